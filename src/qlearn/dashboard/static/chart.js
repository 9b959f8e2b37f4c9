/*
 * A chart: bands from low to high, lines through means, points with error bars, stacked areas, marks
 * of events. Charts of a group share what part of the run they show and where the crosshair stands.
 */

import { onColours } from "./colours.js";
import { fill, h, icon, svg } from "./dom.js";
import { csv, download, png, standalone } from "./export.js";
import { nearest } from "./group.js";
import { decades, number, short, ticks, whole } from "./numbers.js";

const LEFT = 48;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 24;
const DRAG = 5; // pixels; less is a click
const NEAR = 6; // pixels from a mark at which its label is shown
const MANY = 120; // points; beyond, they are drawn without error bars
let made = 0;

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) target.chart.see(isIntersecting);
});
const sized = new ResizeObserver((entries) => {
  for (const { target } of entries) target.chart.ask();
});

export class Chart {
  /** Options: title, log (at first), domain ([low, high] fixed), tall, say (a value as text), name (of files). */
  constructor(group, options) {
    this.group = group;
    this.options = { say: (value) => number(value), file: () => options.title, ...options };
    this.series = [];
    this.marks = [];
    this.hidden = new Set();
    this.log = Boolean(options.log);
    this.visible = false;
    this.frame = 0;
    this.number = made++;
    this._build();
    group.charts.add(this);
    seen.observe(this.element);
    sized.observe(this.plot);
    this._forget = onColours(() => this.ask());
  }

  close() {
    seen.unobserve(this.element);
    sized.unobserve(this.plot);
    cancelAnimationFrame(this.frame);
    this._forget();
    this.group.charts.delete(this);
  }

  _build() {
    const { title, domain, tall } = this.options;
    this.logButton = h(
      "button",
      {
        type: "button",
        class: "quiet",
        title: "Logarithmic scale (L)",
        "aria-pressed": String(this.log),
        on: { click: () => this.toggleLog() },
      },
      "log",
    );
    this.backButton = h(
      "button",
      {
        type: "button",
        class: "quiet",
        hidden: true,
        "aria-label": "Show all again",
        title: "Show all again (double click)",
        on: { click: () => this.group.show(null) },
      },
      icon("undo"),
    );
    this.legend = h("ul", { class: "legend" });
    this.drawing = svg("svg", {
      tabindex: 0,
      role: "img",
      "aria-roledescription": "chart",
      "aria-label": title,
      on: { keydown: (event) => this._key(event), blur: () => this.group.hover(null) },
    });
    this.plot = h("div", { class: "plot" }, this.drawing);
    this.said = h("p", { class: "unseen", "aria-live": "polite" });
    this.heading = h("h3", {}, title);
    this.value = h("output", { class: "value" });
    this.tools = h(
      "div",
      { class: "tools" },
      this.backButton,
      domain ? null : this.logButton,
      this._menu(),
    );
    this.element = h(
      "figure",
      { class: tall ? "chart tall" : "chart" },
      h("figcaption", {}, this.heading, this.value, this.tools),
      this.legend,
      this.plot,
      this.said,
    );
    this.element.chart = this.plot.chart = this;
    this._pointers();
  }

  _menu() {
    const item = (label, work) =>
      h(
        "button",
        {
          type: "button",
          on: {
            click: () => {
              menu.open = false;
              work();
            },
          },
        },
        label,
      );
    const menu = h(
      "details",
      {
        class: "menu",
        on: {
          focusout: (event) => {
            if (!menu.contains(event.relatedTarget)) menu.open = false;
          },
          keydown: (event) => {
            if (event.key === "Escape") menu.open = false;
          },
        },
      },
      h(
        "summary",
        { class: "quiet", "aria-label": `Download ${this.options.title}`, title: "Download" },
        icon("out"),
      ),
      h(
        "div",
        {},
        item("PNG", async () =>
          download(`${this.options.file()}.png`, await png(standalone(this))),
        ),
        item("SVG", () =>
          download(
            `${this.options.file()}.svg`,
            new Blob([new XMLSerializer().serializeToString(standalone(this))], {
              type: "image/svg+xml",
            }),
          ),
        ),
        item("CSV", () =>
          download(
            `${this.options.file()}.csv`,
            new Blob([csv(this.series)], { type: "text/csv" }),
          ),
        ),
      ),
    );
    return menu;
  }

  toggleLog() {
    this.log = !this.log;
    this.logButton.setAttribute("aria-pressed", String(this.log));
    this.ask();
  }

  /**
   * Series: {name, colour, kind: "line" | "points" | "area" | "thin", x, mean, low, high}; areas come
   * stacked, from low to high. Marks: {x, event, label}.
   */
  show(series, marks = [], unit = "") {
    this.series = series.filter((one) => one.x?.length);
    this.marks = marks;
    this.unit = unit;
    this._legend();
    this.ask();
  }

  ask() {
    if (this.visible && !this.frame)
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.draw();
      });
  }

  see(visible) {
    this.visible = visible;
    this.ask();
  }

  get shown() {
    return this.series.filter(({ name }) => !this.hidden.has(name));
  }

  _legend() {
    const named = this.series.filter(({ name }) => name);
    const names = named.map(({ name, colour }) => `${name} ${colour}`).join("\n");
    if (names === this.names) return;
    this.names = names;
    this.legend.hidden = !named.length;
    fill(
      this.legend,
      named.map((one) => {
        const value = h("output");
        const key = h("i", {
          class: `key ${one.kind || "line"}`,
          vars: { c: `var(--${one.colour})` },
        });
        const button = h(
          "button",
          {
            type: "button",
            "aria-pressed": String(!this.hidden.has(one.name)),
            title: named.length > 1 ? "Click to hide or show" : null,
            on: { click: () => this._toggle(one.name, button) },
          },
          key,
          h("span", {}, one.name),
          value,
        );
        const item = h("li", {}, button);
        item.name = one.name;
        item.output = value;
        return item;
      }),
    );
  }

  _toggle(name, button) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    button.setAttribute("aria-pressed", String(!this.hidden.has(name)));
    this.ask();
  }

  /* Scales. */

  _scales() {
    this.width = this.plot.clientWidth;
    this.height = this.plot.clientHeight;
    const [from, to] = this.group.range;
    const wide = this.width - LEFT - RIGHT;
    this.across = (x) => LEFT + ((x - from) / (to - from)) * wide;
    this.atPixel = (pixel) => from + ((pixel - LEFT) / wide) * (to - from);
    const [low, high] = this.options.domain ?? this._extent(from, to);
    const tall = this.height - TOP - BOTTOM;
    this.low = low;
    this.high = high;
    if (this.log) {
      const a = Math.log(low);
      const span = Math.log(high) - a;
      this.up = (y) => (y > 0 ? TOP + tall * (1 - (Math.log(y) - a) / span) : TOP + 2 * tall);
    } else this.up = (y) => TOP + tall * (1 - (y - low) / (high - low));
  }

  /** Lowest and highest value that is to be seen, with some air. */
  _extent(from, to) {
    let low = Infinity;
    let high = -Infinity;
    const take = (value) => {
      if (value === null || !Number.isFinite(value) || (this.log && value <= 0)) return;
      if (value < low) low = value;
      if (value > high) high = value;
    };
    for (const { x, mean, low: lows, high: highs } of this.shown)
      for (let n = 0; n < x.length; n += 1)
        if (x[n] >= from && x[n] <= to) {
          take(mean[n]);
          if (lows) take(lows[n]);
          if (highs) take(highs[n]);
        }
    if (low > high) return this.log ? [0.1, 1] : [0, 1];
    if (this.log) return low === high ? [low / 2, high * 2] : [low / 1.1, high * 1.1];
    if (low === high) {
      const air = Math.abs(low) / 10 || 1;
      return low < 0 || low - air >= 0 ? [low - air, high + air] : [0, high + air];
    }
    const air = 0.06 * (high - low);
    return [low >= 0 && low < 0.4 * high ? 0 : low - air, high + air];
  }

  /* Drawing. */

  draw() {
    if (!this.plot.clientWidth) return;
    this._scales();
    const { width, height } = this;
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.drawing.setAttribute("aria-label", this._inWords());
    const clip = `clip${this.number}`;
    const inside = svg("g", { "clip-path": `url(#${clip})` });
    for (const kind of ["area", "line", "thin", "points"])
      for (const one of this.shown)
        if ((one.kind || "line") === kind) inside.append(...this._drawn(one, kind));
    this.cross = svg("g", { class: "cross" });
    this.selected = svg("rect", {
      class: "selected",
      y: TOP,
      height: height - TOP - BOTTOM,
      width: 0,
    });
    fill(
      this.drawing,
      svg(
        "defs",
        {},
        svg(
          "clipPath",
          { id: clip },
          svg("rect", {
            x: LEFT - 1,
            y: TOP - 6,
            width: width - LEFT - RIGHT + 7,
            height: height - TOP - BOTTOM + 7,
          }),
        ),
      ),
      this._grid(),
      this._marked(),
      inside,
      this.cross,
      this.selected,
      this.series.length
        ? null
        : svg(
            "text",
            { class: "nothing", x: (LEFT + width - RIGHT) / 2, y: height / 2 },
            "nothing yet",
          ),
    );
    this.backButton.hidden = !this.group.zoom;
    this.point();
  }

  _grid() {
    const { width, height, low, high } = this;
    const grid = svg("g", { class: "grid" });
    const rows = Math.max(2, Math.round((height - TOP - BOTTOM) / 34));
    const values = this.log ? decades(low, high, rows + 2) : ticks(low, high, rows);
    for (const value of values) {
      const y = Math.round(this.up(value)) + 0.5;
      grid.append(
        svg("line", { x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
        svg(
          "text",
          { class: "y", x: LEFT - 8, y },
          this.options.axis ? this.options.axis(value) : short(value),
        ),
      );
    }
    const [from, to] = this.group.range;
    const columns = Math.max(2, Math.round((width - LEFT - RIGHT) / 96));
    const bottom = height - BOTTOM + 0.5;
    grid.append(
      svg("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: bottom, y2: bottom }),
    );
    for (const value of ticks(from, to, columns)) {
      const x = this.across(value);
      if (x < LEFT - 1 || x > width - RIGHT + 1) continue;
      const anchor = x > width - RIGHT - 16 ? "end" : x < LEFT + 16 ? "start" : "middle";
      grid.append(
        svg("line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 }),
        svg(
          "text",
          {
            class: "x",
            x: anchor === "end" ? width - RIGHT : x,
            y: height - 6,
            "text-anchor": anchor,
          },
          short(value),
        ),
      );
    }
    return grid;
  }

  _marked() {
    const [from, to] = this.group.range;
    const marks = svg("g", { class: "marks" });
    for (const { x, event, label } of this.marks) {
      if (x < from || x > to) continue;
      const at = Math.round(this.across(x)) + 0.5;
      marks.append(
        svg(
          "g",
          { class: `mark ${String(event).replace(/[^a-z]/g, "")}` },
          svg("title", {}, String(label || event)),
          svg("line", { x1: at, x2: at, y1: TOP - 4, y2: this.height - BOTTOM }),
          svg("path", { d: `M${at - 4} ${TOP - 10}h8l-4 6z` }),
        ),
      );
    }
    return marks;
  }

  _drawn({ x, mean, low, high, colour }, kind) {
    const vars = { c: `var(--${colour})` };
    if (kind === "area") return [svg("path", { class: "area", d: this._band(x, low, high), vars })];
    const drawn = [];
    if (kind !== "points" && low && high && low.some((value, n) => value !== high[n]))
      drawn.push(svg("path", { class: "band", d: this._band(x, low, high), vars }));
    drawn.push(svg("path", { class: kind, d: this._line(x, mean), vars }));
    if (kind === "points" || x.length === 1) drawn.push(...this._points(x, mean, low, high, vars));
    return drawn;
  }

  _points(x, mean, low, high, vars) {
    const [from, to] = this.group.range;
    const bars = [];
    const dots = [];
    const few = x.length <= MANY;
    for (let n = 0; n < x.length; n += 1) {
      if (x[n] < from || x[n] > to || mean[n] === null) continue;
      const at = this.across(x[n]).toFixed(1);
      if (few && low && high && low[n] !== high[n])
        bars.push(`M${at} ${this.up(low[n]).toFixed(1)}V${this.up(high[n]).toFixed(1)}`);
      dots.push(`M${at} ${this.up(mean[n]).toFixed(1)}h0`);
    }
    return [
      svg("path", { class: "bars", d: bars.join(""), vars }),
      svg("path", { class: few ? "dots" : "dots small", d: dots.join(""), vars }),
    ];
  }

  /** A path through the points in sight and the two beside them; a missing value is a gap. */
  _line(x, y) {
    const [from, to] = this.group.range;
    let path = "";
    let pen = "M";
    for (let n = 0; n < x.length; n += 1) {
      if (x[n + 1] < from) continue;
      if (y[n] === null || !Number.isFinite(y[n])) pen = "M";
      else {
        path += `${pen}${this.across(x[n]).toFixed(1)} ${this.up(y[n]).toFixed(1)}`;
        pen = "L";
      }
      if (x[n] > to) break;
    }
    return path;
  }

  _band(x, low, high) {
    const [from, to] = this.group.range;
    const there = [];
    const back = [];
    for (let n = 0; n < x.length; n += 1) {
      if (x[n + 1] < from || low[n] === null || high[n] === null) continue;
      const at = this.across(x[n]).toFixed(1);
      there.push(`${at} ${this.up(high[n]).toFixed(1)}`);
      back.push(`${at} ${this.up(low[n]).toFixed(1)}`);
      if (x[n] > to) break;
    }
    return there.length ? `M${there.join("L")}L${back.reverse().join("L")}Z` : "";
  }

  _inWords() {
    const parts = this.shown.map(
      ({ name, x, mean }) =>
        `${name} ${this.options.say(mean[mean.length - 1])} at ${short(x[x.length - 1])}`,
    );
    return `${this.options.title}: ${parts.join(", ") || "nothing yet"}. Arrow keys move the crosshair.`;
  }

  /* The crosshair. */

  point() {
    if (!this.cross || !this.visible) return;
    const { at } = this.group;
    const found = [];
    const [only] = this.series;
    this.value.textContent =
      only && !only.name
        ? this.options.say(only.mean[at === null ? only.mean.length - 1 : nearest(only.x, at)])
        : "";
    if (at !== null && only && !only.name) found.push([only, nearest(only.x, at)]);
    for (const item of this.legend.children) {
      const one = this.series.find(({ name }) => name === item.name);
      if (!one) continue;
      const n = at === null ? one.x.length - 1 : nearest(one.x, at);
      const { kind, mean, low, high } = one;
      const spread =
        kind === "points" && low && high && high[n] !== low[n]
          ? ` \u00b1 ${number((high[n] - low[n]) / 2, 2)}`
          : "";
      item.output.textContent = this.options.say(mean[n]) + spread;
      if (at !== null && !this.hidden.has(one.name)) found.push([one, n]);
    }
    if (at === null || !this.series.length) return fill(this.cross);
    const x = this.across(at);
    if (x < LEFT - 1 || x > this.width - RIGHT + 1) return fill(this.cross);
    const bottom = this.height - BOTTOM;
    const mark = this.marks.find((one) => Math.abs(this.across(one.x) - x) < NEAR);
    const label = `${this.unit === "s" ? number(at, 4) : whole(at)} ${this.unit ?? ""}`.trim();
    const half = label.length * 3.4 + 6;
    const middle = Math.min(this.width - half - 2, Math.max(half + 2, x));
    fill(
      this.cross,
      svg("line", { x1: x, x2: x, y1: TOP - 4, y2: bottom }),
      found
        .filter(([one]) => one.kind !== "area")
        .map(([one, n]) =>
          svg("circle", {
            cx: this.across(one.x[n]),
            cy: this.up(one.mean[n] ?? NaN) || -9,
            r: 3.5,
            vars: { c: `var(--${one.colour})` },
          }),
        ),
      svg("rect", { x: middle - half, y: bottom + 3, width: 2 * half, height: 18, rx: 4 }),
      svg("text", { class: "where", x: middle, y: bottom + 16 }, label),
      mark
        ? svg(
            "text",
            {
              class: "what",
              x: x + (x > this.width / 2 ? -8 : 8),
              y: TOP + 6,
              "text-anchor": x > this.width / 2 ? "end" : "start",
            },
            String(mark.label || mark.event),
          )
        : null,
    );
    return undefined;
  }

  _say() {
    const { at } = this.group;
    this.said.textContent =
      at === null
        ? ""
        : `${short(at)} ${this.unit}: ${this.shown
            .map(({ name, x, mean }) => `${name} ${this.options.say(mean[nearest(x, at)])}`)
            .join(", ")}`;
  }

  _pointers() {
    let begun = null;
    const place = (event) => {
      const { left } = this.drawing.getBoundingClientRect();
      return Math.min(this.width - RIGHT, Math.max(LEFT, event.clientX - left));
    };
    const listen = (name, work) =>
      this.drawing.addEventListener(name, (event) => this.atPixel && work(event));
    listen("pointerdown", (event) => {
      if (event.pointerType !== "mouse") return this.group.hover(this.atPixel(place(event)));
      if (event.button !== 0) return undefined;
      begun = place(event);
      this.drawing.setPointerCapture(event.pointerId);
      return undefined;
    });
    listen("pointermove", (event) => {
      const here = place(event);
      if (begun !== null) {
        this.selected.setAttribute("x", Math.min(begun, here));
        this.selected.setAttribute("width", Math.abs(here - begun));
      }
      this.group.hover(this.atPixel(here));
    });
    listen("pointerup", (event) => {
      if (begun === null) return;
      const [a, b] = [begun, place(event)].sort((one, other) => one - other);
      begun = null;
      this.selected.setAttribute("width", 0);
      if (b - a > DRAG) this.group.show([this.atPixel(a), this.atPixel(b)]);
    });
    listen("pointercancel", () => {
      begun = null;
    });
    listen("pointerleave", () => {
      if (begun === null) this.group.hover(null);
    });
    listen("dblclick", () => this.group.show(null));
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.series.length) return;
    const longest = this.series.reduce((a, b) => (b.x.length > a.x.length ? b : a)).x;
    const [from, to] = this.group.range;
    const at = this.group.at ?? (event.key === "ArrowLeft" ? to : from);
    const move = (steps) => {
      const n = Math.min(longest.length - 1, Math.max(0, nearest(longest, at) + steps));
      this.group.hover(longest[n]);
    };
    const zoom = (factor) => this.group.show([at - (at - from) * factor, at + (to - at) * factor]);
    const stride = event.shiftKey ? 10 : 1;
    const does = {
      ArrowLeft: () => move(-stride),
      ArrowRight: () => move(stride),
      Home: () => this.group.hover(longest[0]),
      End: () => this.group.hover(longest[longest.length - 1]),
      "+": () => zoom(0.5),
      "-": () => zoom(2),
      0: () => this.group.show(null),
      l: () => {
        if (!this.options.domain) this.toggleLog();
      },
      Escape: () => {
        this.group.hover(null);
        this.group.show(null);
      },
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
    this._say();
  }
}
