/* One run: what it learns, where its time goes, its game, and its knobs. */

import { Chart } from "./chart.js";
import { fill, h, note, seldom } from "./dom.js";
import { Group, UNITS, axisChoice } from "./group.js";
import { api, listen } from "./net.js";
import { clock, duration, moment, number, percent, short, whole } from "./numbers.js";
import { Player } from "./player.js";
import { Steering } from "./steering.js";
import { progress, state } from "./list.js";
import { stageSeries } from "./stages.js";

const POINTS = 400;
const OFTEN = 500; // milliseconds between two looks at the curves
const SELDOM = 1000; // and at the rest

/** Every chart that a run may have; those without numbers are not shown. */
const CHARTS = [
  { title: "Loss", lines: [["loss", "", "series-4"]], log: true },
  { title: "TD error", lines: [["td_error", "", "series-4"]] },
  { title: "Action gap", lines: [["action_gap", "", "series-2"]] },
  { title: "Q of the newest batch", lines: [["q_mean", "", "series-2"]] },
  { title: "Value", lines: [["value", "", "series-2"]] },
  { title: "Epsilon", lines: [["epsilon", "", "series-3"]] },
  { title: "Learning rate", lines: [["lr", "", "series-3"]], log: true },
  { title: "Steps per second", lines: [["steps_per_second", "", "series-5"]], say: short },
  {
    title: "Memory",
    lines: [["memory_mb", "", "series-5"]],
    say: (value) => `${number(value, 3)} MB`,
  },
];
const RETURN = [
  ["return", "training", "series-0", "line"],
  ["eval.mean", "greedy", "series-1", "points"],
];
const NOT_DRAWN = new Set([
  "env_steps",
  "seconds",
  "updates",
  "episodes",
  "time",
  "eval.episodes",
  "eval.std",
  ...RETURN.map(([key]) => key),
  ...CHARTS.flatMap(({ lines }) => lines.map(([key]) => key)),
]);
/** What kind of line of the log that is. */
const KINDS = [
  ["bad", /^(refused|failed|damaged)/],
  ["warm", /^(warning|interrupted)/],
  ["soft", /^greedy mean/],
];

/** Evaluations with their standard error, everything else with its extremes. */
function drawn(series, [key, name, colour, kind = "line"]) {
  const found = series[key];
  if (!found?.x.length) return null;
  const error = found.error;
  const bars = error
    ? {
        low: found.mean.map((mean, n) => mean - error[n]),
        high: found.mean.map((mean, n) => mean + error[n]),
      }
    : {};
  return { ...found, ...bars, name, colour, kind };
}

class RunPage {
  constructor(main, name) {
    this.main = main;
    this.name = name;
    this.x = "env_steps";
    this.keys = [];
    this.row = {};
    this.now = {};
    this.group = new Group(() => this.askSeries());
    this.charts = [];
    this.more = new Map();
    this.player = new Player(name);
    this.steering = new Steering(name);
    this.askSeries = seldom(OFTEN, () => this.loadSeries());
    this.askAbout = seldom(SELDOM, () => this.loadAbout());
    this._build();
    this.start();
  }

  close() {
    this.closed = true;
    this.askSeries.stop();
    this.askAbout.stop();
    this.stopListening?.();
    this.player.close();
    for (const { chart } of [...this.charts, ...this.more.values()]) chart.close();
    this.returns.close();
    this.stages.close();
  }

  _build() {
    const leaf = this.name.split("/").at(-1);
    document.title = `${leaf} \u00b7 qlearn`;
    const file = (title) => () => `${leaf} ${title}`;
    this.newChart = (options) => new Chart(this.group, { ...options, file: file(options.title) });
    this.badge = h("span");
    this.kind = h("p", { class: "kind" });
    this.tiles = h("dl", { class: "tiles" });
    this.bar = h("div");
    this.warnings = h("div", { class: "warnings", role: "status" });
    this.returns = this.newChart({ title: "Return", tall: true });
    this.stages = this.newChart({
      title: "Where the time goes",
      domain: [0, 1],
      say: percent,
      axis: percent,
    });
    this.stages.element.classList.add("wide");
    this.grid = h("div", { class: "charts" });
    this.moreGrid = h("div", { class: "charts" });
    this.moreBox = h(
      "details",
      { class: "more", hidden: true, on: { toggle: () => this.askSeries() } },
      h("summary", {}, "Everything else that was measured"),
      this.moreGrid,
    );
    this.lines = h("ol", { class: "log" });
    this.config = h("div", { class: "config" });
    fill(
      this.main,
      h(
        "div",
        { class: "head" },
        h("div", { class: "title" }, h("h1", {}, this.name), this.badge, this.kind),
        this.steering.actions,
      ),
      this.tiles,
      this.bar,
      this.warnings,
      h(
        "div",
        { class: "run" },
        this.returns.element,
        h(
          "aside",
          { class: "side" },
          this.player.element,
          this.steering.element,
          h("section", { class: "card" }, h("header", {}, h("h2", {}, "Log")), this.lines),
        ),
        h(
          "section",
          { class: "rest", "aria-label": "Measurements" },
          this.grid,
          this.stages.element,
          this.moreBox,
          h(
            "details",
            { class: "card", open: innerWidth > 1000 },
            h("summary", {}, "Configuration"),
            this.config,
          ),
        ),
      ),
    );
    this.returns.tools.prepend(axisChoice(this.x, (x) => this._along(x)));
  }

  async start() {
    this.stopListening = listen(
      [this.name],
      {
        rows: ({ name }) => {
          if (name === this.name) {
            this.askSeries();
            this.askAbout();
          }
        },
        runs: (rows) => this._rows(rows),
      },
      () => this._again(),
    );
    await this.loadAbout();
    await this.loadSeries();
  }

  _again() {
    this.askAbout();
    this.askSeries();
  }

  _rows(rows) {
    const mine = rows.find(({ name }) => name === this.name);
    if (!mine || this.closed) return;
    const before = this.row.status;
    this.row = mine;
    this._head();
    if (before && before !== mine.status) this._again();
  }

  async loadAbout() {
    try {
      const about = await api.run(this.name);
      if (this.closed) return;
      this.about = about;
      this.row = { ...this.row, status: about.status, ...about.row };
      this._head();
      this._keys(about.keys);
      this._log(about.log ?? []);
      this._warnings(about.warnings);
      this._config(about.record);
      this.player.offer(about.clips);
      this.steering.update(about, this.now);
    } catch (error) {
      if (!this.about)
        fill(
          this.main,
          h("p", { class: "empty" }, error.message),
          h("p", {}, h("a", { href: "#/" }, "All runs")),
        );
    }
  }

  /** One question at a time, however fast the rows come. */
  async loadSeries() {
    if (this.loading) this.late = true;
    if (this.loading || !this.keys.length || this.closed) return;
    this.loading = true;
    try {
      const more = this.moreBox.open ? this.keys.filter((key) => !NOT_DRAWN.has(key)) : [];
      const wanted = [...RETURN, ...CHARTS.flatMap(({ lines }) => lines)]
        .map(([key]) => key)
        .filter((key) => this.keys.includes(key));
      const found = await api.series(
        this.name,
        [...wanted, ...more],
        this.x,
        POINTS,
        this.group.zoom,
      );
      if (!this.closed) this._draw(found, more);
    } catch (error) {
      if (!this.warned) note(error.message, "bad");
      this.warned = true;
    }
    this.loading = false;
    if (this.late && !this.closed) {
      this.late = false;
      this.askSeries();
    }
  }

  _draw({ series, marks, stages, last, x }, more) {
    if (x !== this.x) return;
    const unit = UNITS[this.x];
    this.group.ends = [0, Math.max(...Object.values(last ?? {}).map(([at]) => at), 1e-9)];
    this.now = Object.fromEntries(
      Object.entries(last ?? {}).map(([key, [, value]]) => [key, value]),
    );
    this.returns.show(RETURN.map((line) => drawn(series, line)).filter(Boolean), marks, unit);
    for (const { chart, lines } of this.charts)
      chart.show(lines.map((line) => drawn(series, line)).filter(Boolean), marks, unit);
    for (const key of more) {
      if (!this.more.has(key)) {
        const chart = this.newChart({ title: key.replaceAll("_", " ") });
        this.more.set(key, { chart });
        this.moreGrid.append(chart.element);
      }
      this.more
        .get(key)
        .chart.show([drawn(series, [key, "", "series-6"])].filter(Boolean), marks, unit);
    }
    const shares = stageSeries(stages);
    this.stages.element.hidden = !shares.length;
    this.stages.show(shares, [], unit);
    this.group.redraw();
    if (this.about) this.steering.update(this.about, this.now);
    this._tiles();
  }

  _along(x) {
    this.x = x;
    this.group.zoom = this.group.ends = null;
    this.group.at = null;
    this.loadSeries();
  }

  _head() {
    const record = this.about?.record ?? {};
    const { row } = this;
    const paused = this.about?.knobs?.paused === true;
    fill(this.badge, state(row.status, paused && row.status === "running"));
    this.kind.textContent = [
      row.env ?? record.env_name ?? record.env,
      [row.algo ?? record.algo, row.engine ?? record.engine].filter(Boolean).join(" \u00b7 "),
      record.device,
      Number.isFinite(row.seed ?? record.seed) ? `seed ${row.seed ?? record.seed}` : "",
      record.started ? `started ${moment(record.started)}` : "",
    ]
      .filter(Boolean)
      .join(", ");
    fill(this.bar, progress(row, true));
    this._tiles();
  }

  _tiles() {
    const { row, now } = this;
    const result = this.about?.record?.result;
    const tiles = [
      ["Last greedy", number(now["eval.mean"] ?? row.last)],
      ["Best greedy", number(row.best)],
      ["Steps", short(row.env_steps)],
      ["Training", duration(row.train_seconds)],
      [
        "Steps a second",
        short(
          row.status === "running"
            ? now.steps_per_second
            : (result?.steps_per_second ?? now.steps_per_second),
        ),
      ],
      [
        "Memory",
        now.memory_mb
          ? `${number(now.memory_mb, 3)} MB`
          : result?.peak_memory_mb
            ? `${number(result.peak_memory_mb, 3)} MB`
            : "\u2013",
      ],
    ];
    if (this.tiles.children.length !== tiles.length)
      fill(
        this.tiles,
        tiles.map(([title]) => h("div", {}, h("dt", {}, title), h("dd"))),
      );
    tiles.forEach(([, value], n) => {
      this.tiles.children[n].lastChild.textContent = value;
    });
  }

  _keys(keys) {
    this.keys = keys;
    for (const options of CHARTS) {
      if (
        !options.lines.some(([key]) => keys.includes(key)) ||
        this.charts.some((one) => one.title === options.title)
      )
        continue;
      const entry = { ...options, chart: this.newChart(options) };
      this.charts.push(entry);
      this.charts.sort(
        (a, b) =>
          CHARTS.findIndex((one) => one.title === a.title) -
          CHARTS.findIndex((one) => one.title === b.title),
      );
      this.grid.insertBefore(
        entry.chart.element,
        this.grid.children[this.charts.indexOf(entry)] ?? null,
      );
    }
    this.moreBox.hidden = !keys.some((key) => !NOT_DRAWN.has(key));
    this.askSeries();
  }

  /** Newest first; what was changed stands out from what was measured. */
  _log(lines) {
    const text = JSON.stringify(lines);
    if (text === this.logged) return;
    this.logged = text;
    fill(
      this.lines,
      [...lines].reverse().map((line) =>
        h(
          "li",
          { class: KINDS.find(([, kind]) => kind.test(line.text))?.[0] },
          h(
            "button",
            {
              type: "button",
              class: "at",
              title: "Show in the charts",
              on: { click: () => this._showAt(line) },
            },
            whole(line.env_steps),
          ),
          h("span", { class: "said" }, line.text),
          h("time", {}, line.time ? clock(new Date(1000 * line.time)) : ""),
        ),
      ),
    );
  }

  _showAt({ env_steps: steps }) {
    if (this.x === "seconds") this._along("env_steps");
    this.group.hover(steps);
    this.returns.element.scrollIntoView({ block: "center", behavior: "smooth" });
  }

  /** The newest of each kind; all of them stand in the log. */
  _warnings(warnings) {
    const newest = new Map(warnings.map((one) => [one.kind, one]));
    fill(
      this.warnings,
      [...newest.values()].map(({ why, env_steps: steps }) =>
        h("p", { class: "warning" }, `${why ?? "warning"}, at step ${whole(steps)}`),
      ),
    );
  }

  _config(record) {
    const text = JSON.stringify([record.config, record.run_config]);
    if (text === this.configured) return;
    this.configured = text;
    const table = (title, values) => {
      const entries = Object.entries(values ?? {}).filter(
        ([, value]) => typeof value !== "object" || value === null,
      );
      return entries.length
        ? h(
            "div",
            {},
            h("h3", {}, title),
            h(
              "dl",
              {},
              entries.map(([key, value]) =>
                h(
                  "div",
                  {},
                  h("dt", {}, key),
                  h("dd", {}, value === null || value === "" ? "\u2013" : String(value)),
                ),
              ),
            ),
          )
        : null;
    };
    fill(
      this.config,
      table(`${record.algo ?? "Algorithm"}`, record.config),
      table("Run", { ...record.run_config, ...record.env_options, until: record.until }),
      table("Versions", record.versions),
      table("Processor", record.processor),
    );
  }
}

export function open(main, name) {
  const page = new RunPage(main, name);
  return () => page.close();
}
