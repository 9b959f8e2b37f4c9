/* Runs over each other: what is alike but for its seed is one curve with an interval. */

import { Chart } from "./chart.js";
import { fill, h, note, seldom, svg } from "./dom.js";
import { Group, UNITS, axisChoice } from "./group.js";
import { api, listen, names, pageOf } from "./net.js";
import { number, whole } from "./numbers.js";

const OFTEN = 2000; // milliseconds between two looks at runs that go on
const FEW = 12; // runs up to which each has a line of its own at first
const POINTS = 300;
const COLOURS = 8;
const TITLES = {
  "eval.mean": "Greedy return",
  return: "Return while training",
  loss: "Loss",
  td_error: "TD error",
  action_gap: "Action gap",
  epsilon: "Epsilon",
  lr: "Learning rate",
  steps_per_second: "Steps per second",
  memory_mb: "Memory, MB",
};
const NO_METRICS = new Set(["env_steps", "seconds", "time"]);

const titleOf = (metric) => TITLES[metric] ?? metric.replaceAll("_", " ");
const colourOf = (n) => `series-${n % COLOURS}`;
const key = (n) => h("i", { class: "key line", vars: { c: `var(--${colourOf(n)})` } });
const leaf = (name) => name.split("/").at(-1);

class ComparePage {
  constructor(main, runs) {
    this.runs = runs;
    this.metric = "eval.mean";
    this.x = "env_steps";
    this.group = new Group();
    this.ask = seldom(OFTEN, () => this.load());
    this._build(main);
    this.stop = listen(runs, { rows: () => this.ask() }, () => this.load());
    this.load();
  }

  close() {
    this.closed = true;
    this.ask.stop();
    this.stop();
    this.chart.close();
  }

  _build(main) {
    document.title = "Overlay \u00b7 qlearn";
    this.metrics = h("select", {
      "aria-label": "Measurement",
      on: {
        change: () => {
          this.metric = this.metrics.value;
          this.load();
        },
      },
    });
    this.single = h("input", {
      type: "checkbox",
      checked: this.runs.length <= FEW,
      on: { change: () => this.load() },
    });
    this.csv = h("a", { class: "button", download: "compare.csv" }, "CSV with intervals");
    this.chips = h("div", { class: "chips" });
    this.chart = new Chart(this.group, {
      title: titleOf(this.metric),
      tall: true,
      file: () => `compare ${this.metric}`,
    });
    this.results = h("div", { class: "scroll" });
    this.methods = h("section", { class: "card", hidden: true });
    this.differences = h("section", { class: "card", hidden: true });
    fill(
      main,
      h(
        "div",
        { class: "head" },
        h(
          "div",
          { class: "title" },
          h("h1", {}, "Overlay"),
          h(
            "p",
            { class: "kind" },
            "Lines are interquartile means over seeds; bands are 95 % stratified bootstrap intervals.",
          ),
        ),
        this.csv,
      ),
      this.chips,
      h(
        "div",
        { class: "filters" },
        this.metrics,
        axisChoice(this.x, (x) => this._along(x)),
        h("label", { class: "check" }, this.single, "single runs"),
      ),
      h(
        "div",
        { class: "compare" },
        this.chart.element,
        h("section", { class: "card" }, h("header", {}, h("h2", {}, "Final scores")), this.results),
        this.methods,
        this.differences,
      ),
    );
  }

  async load() {
    if (!this.runs.length) return this._none();
    if (this.loading) {
      this.again = true;
      return undefined;
    }
    this.loading = true;
    const { metric, x } = this;
    try {
      const found = await api.compare(this.runs, metric, x);
      const lines =
        this.single.checked && this.runs.length > 1
          ? await Promise.all(this.runs.map((name) => api.series(name, [metric], x, POINTS)))
          : [];
      if (!this.closed && metric === this.metric && x === this.x) this._show(found, lines);
    } catch (error) {
      if (!this.closed) note(error.message, "bad");
    }
    this.loading = false;
    if (this.again && !this.closed) {
      this.again = false;
      this.load();
    }
    return undefined;
  }

  _none() {
    this.csv.hidden = true;
    fill(
      this.results,
      h("p", { class: "empty" }, "Choose runs in the list: each has a box at its left."),
    );
  }

  _along(x) {
    this.x = x;
    this.group.zoom = null;
    this.load();
  }

  _show(found, lines) {
    const known = found.metrics.filter((metric) => !NO_METRICS.has(metric));
    if (!known.includes(this.metric) && known.includes("return")) {
      this.metric = "return";
      this.again = true;
    }
    if (this.metrics.childElementCount !== known.length)
      fill(
        this.metrics,
        known.map((metric) => h("option", { value: metric }, titleOf(metric))),
      );
    this.metrics.value = this.metric;
    this.csv.href = api.comparing(this.runs, this.metric, this.x, ".csv");
    this.chart.options.title = titleOf(this.metric);
    this.chart.heading.textContent = titleOf(this.metric);
    const groupOf = new Map(found.groups.flatMap(({ runs }, n) => runs.map((name) => [name, n])));
    const thin = lines.map(({ series }, k) => ({
      ...series[this.metric],
      name: "",
      kind: "thin",
      colour: colourOf(groupOf.get(this.runs[k])),
      low: null,
      high: null,
    }));
    this.chart.show(
      [
        ...found.groups.map(({ label, curve, seeds }, n) => ({
          ...curve,
          name: this._label(found.groups, n, label, seeds),
          colour: colourOf(n),
          kind: "line",
        })),
        ...thin.filter(({ x }) => x?.length),
      ],
      [],
      UNITS[this.x],
    );
    this.group.redraw();
    this._chips(groupOf);
    this._results(found.groups);
    this._methods(found.methods);
    this._differences(found.groups);
  }

  /** Groups whose labels are alike still need names of their own. */
  _label(groups, n, label, seeds) {
    const alike = groups.filter((other) => other.label === label).length > 1;
    return `${label}${alike ? ` (${n + 1})` : ""}${seeds.length > 1 ? `, ${seeds.length} seeds` : ""}`;
  }

  _chips(groupOf) {
    const text = JSON.stringify([...groupOf]);
    if (text === this.chipped) return;
    this.chipped = text;
    fill(
      this.chips,
      this.runs.map((name) =>
        h(
          "span",
          { class: "chip" },
          key(groupOf.get(name)),
          h("a", { href: pageOf(name) }, name),
          this.runs.length > 1
            ? h(
                "a",
                {
                  class: "quiet button",
                  "aria-label": `Without ${name}`,
                  title: "Leave out",
                  href: `#/compare?runs=${names(this.runs.filter((other) => other !== name))}`,
                },
                "\u00d7",
              )
            : null,
        ),
      ),
    );
  }

  _results(groups) {
    const span = spanOf(groups.map(({ final }) => final));
    fill(
      this.results,
      h(
        "table",
        { class: "results" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Runs", "Seeds", "IQM", "95 % interval", "", "Mean", "Median"].map((title, n) =>
              h("th", { scope: "col", class: n && n !== 4 ? "number" : null }, title),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          groups.map(({ label, seeds, final, interval }, n) =>
            h(
              "tr",
              {},
              h("td", {}, h("span", { class: "named" }, key(n), label)),
              h("td", { class: "number" }, whole(seeds.length)),
              h("td", { class: "number" }, h("strong", {}, number(final.iqm))),
              h(
                "td",
                { class: "number soft" },
                interval ? `${number(final.low, 3)} \u2026 ${number(final.high, 3)}` : "one seed",
              ),
              h("td", { class: "wide" }, whisker(final, span, n)),
              h("td", { class: "number" }, number(final.mean)),
              h("td", { class: "number" }, number(final.median)),
            ),
          ),
        ),
      ),
    );
  }

  _methods(methods) {
    this.methods.hidden = !methods?.length;
    if (!methods?.length) return;
    fill(
      this.methods,
      h("header", {}, h("h2", {}, "Over all environments")),
      h(
        "p",
        { class: "soft" },
        "Each environment counts from its worst run here (0) to its best (1).",
      ),
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "results" },
          h(
            "tbody",
            {},
            methods.map((one, n) =>
              h(
                "tr",
                {},
                h("td", {}, one.label),
                h("td", { class: "number" }, h("strong", {}, number(one.iqm, 3))),
                h(
                  "td",
                  { class: "number soft" },
                  `${number(one.low, 3)} \u2026 ${number(one.high, 3)}`,
                ),
                h("td", { class: "wide" }, whisker(one, [0, 1], n)),
              ),
            ),
          ),
        ),
      ),
    );
  }

  /** The settings in which the groups are not alike. */
  async _differences(groups) {
    const firsts = groups.map(({ runs }) => runs[0]);
    const text = firsts.join();
    if (text === this.differing || groups.length < 2) return;
    this.differing = text;
    try {
      const configs = (await Promise.all(firsts.map((name) => api.run(name)))).map(
        ({ record }) => ({
          env: record.env,
          algo: record.algo,
          engine: record.engine,
          ...record.config,
        }),
      );
      const keys = [...new Set(configs.flatMap(Object.keys))].filter(
        (name) => new Set(configs.map((config) => JSON.stringify(config[name]))).size > 1,
      );
      this.differences.hidden = !keys.length;
      fill(
        this.differences,
        h("header", {}, h("h2", {}, "What differs")),
        h(
          "div",
          { class: "scroll" },
          h(
            "table",
            { class: "results" },
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                h("th", {}, "Setting"),
                groups.map(({ label, runs }, n) =>
                  h(
                    "th",
                    { scope: "col" },
                    h(
                      "span",
                      { class: "named" },
                      key(n),
                      label.length < 30 ? label : leaf(runs[0]),
                    ),
                  ),
                ),
              ),
            ),
            h(
              "tbody",
              {},
              keys.map((name) =>
                h(
                  "tr",
                  {},
                  h("td", { class: "soft" }, name),
                  configs.map((config) =>
                    h(
                      "td",
                      {},
                      h("code", {}, (config[name] ?? "") === "" ? "\u2013" : String(config[name])),
                    ),
                  ),
                ),
              ),
            ),
          ),
        ),
      );
    } catch (error) {
      note(error.message, "bad");
    }
  }
}

function spanOf(finals) {
  const values = finals.flatMap(({ iqm, low, high }) => [iqm, low, high]).filter(Number.isFinite);
  const low = Math.min(0, ...values);
  const high = Math.max(...values, low + 1e-9);
  return [low, high];
}

/** A middle with its interval, on the scale of all. */
function whisker({ iqm, low, high }, [from, to], n) {
  if (!Number.isFinite(iqm)) return null;
  const at = (value) => `${2 + (96 * (value - from)) / (to - from)}%`;
  return svg(
    "svg",
    {
      class: "whisker",
      role: "img",
      "aria-label": `${number(iqm)}, from ${number(low)} to ${number(high)}`,
      vars: { c: `var(--${colourOf(n)})` },
    },
    svg("line", { class: "base", x1: "2%", x2: "98%", y1: 12, y2: 12 }),
    svg("line", { x1: at(low), x2: at(high), y1: 12, y2: 12 }),
    svg("circle", { cx: at(iqm), cy: 12, r: 5 }),
  );
}

export function open(main, runs) {
  const page = new ComparePage(main, runs);
  return () => page.close();
}
