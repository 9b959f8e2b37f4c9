/* All runs of the folder: their states, how far they are, how well they do. */

import { choice, fill, h, seldom } from "./dom.js";
import { api, listen, names, pageOf } from "./net.js";
import { duration, moment, number, percent, short } from "./numbers.js";

const SORTED = "qlearn-sort";
const COLUMNS = [
  ["name", "Run", (row) => row.name, 1],
  ["state", "State", (row) => STATES.indexOf(row.status), 1],
  ["env", "Environment", (row) => row.env ?? "", 1],
  ["algo", "Algorithm", (row) => `${row.algo ?? ""} ${row.engine ?? ""}`, 1],
  ["progress", "Progress", (row) => row.share ?? 0, -1],
  ["best", "Best", (row) => row.best ?? -Infinity, -1],
  ["last", "Last", (row) => row.last ?? row.return ?? -Infinity, -1],
  ["time", "Training", (row) => row.train_seconds ?? 0, -1],
  ["started", "Started", (row) => String(row.started ?? ""), -1],
];
const STATES = ["running", "failed", "interrupted", "done", "damaged"];

/** A run's state, by word and by colour. */
export const state = (status, paused = false) =>
  h(
    "span",
    { class: `state ${paused ? "paused" : STATES.includes(status) ? status : "unknown"}` },
    paused ? "paused" : String(status ?? "unknown"),
  );

export function progress(
  { share, env_steps: steps, train_seconds: seconds, status, name },
  more = false,
) {
  const done = Math.max(0, Math.min(1, Number.isFinite(share) ? share : status === "done" ? 1 : 0));
  return h(
    "div",
    {
      class: `progress ${status}`,
      role: "progressbar",
      "aria-label": `Progress of ${name}`,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": Math.round(100 * done),
      "aria-valuetext": `${Math.round(100 * done)} %, ${short(steps)} steps`,
    },
    h("i", { vars: { share: `${100 * done}%` } }),
    h("span", {}, percent(Math.round(100 * done) / 100)),
    h(
      "span",
      { class: "soft" },
      [
        Number.isFinite(steps) ? `${short(steps)} steps` : "",
        more && status === "running" && done > 0.01 && done < 1
          ? `about ${duration((seconds * (1 - done)) / done)} left`
          : "",
      ]
        .filter(Boolean)
        .join(", "),
    ),
  );
}

class ListPage {
  constructor(main) {
    this.rows = new Map();
    this.elements = new Map();
    this.chosen = new Set();
    this.wanted = "";
    [this.sorted, this.way] = (sessionStorage.getItem(SORTED) ?? "started,-1").split(",");
    this.way = Number(this.way) || -1;
    this.ask = seldom(250, () => this.show());
    this._build(main);
    this.stop = listen([], { runs: (rows) => this.take(rows) }, () => this.load());
    this.load();
  }

  close() {
    this.closed = true;
    this.ask.stop();
    this.stop();
  }

  _build(main) {
    this.home = h("p", { class: "kind" });
    this.search = h("input", {
      type: "search",
      placeholder: "Filter: cartpole dqn running",
      "aria-label": "Filter the runs",
      on: { input: () => this.show() },
    });
    this.states = choice(
      "States",
      { "": "all", ...Object.fromEntries(STATES.map((status) => [status, status])) },
      "",
      (status) => this._state(status),
    );
    for (const button of this.states.children) button.append(h("small"));
    this.order = h(
      "select",
      {
        "aria-label": "Sort by",
        class: "order",
        on: { change: () => this._sort(this.order.value) },
      },
      COLUMNS.map(([key, title]) => h("option", { value: key }, title)),
    );
    this.compare = h("a", { class: "button primary", href: "#/compare" }, "Overlay");
    this.clear = h(
      "button",
      {
        type: "button",
        class: "quiet",
        on: {
          click: () => {
            this.chosen.clear();
            this.show();
          },
        },
      },
      "none",
    );
    this.tray = h("div", { class: "tray", hidden: true }, h("span"), this.clear, this.compare);
    this.heads = COLUMNS.map(([key, title]) =>
      h(
        "th",
        { scope: "col", class: `of-${key}` },
        h("button", { type: "button", on: { click: () => this._sort(key) } }, title),
      ),
    );
    this.body = h("tbody");
    this.table = h(
      "table",
      { class: "runs" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { class: "pick" }, h("span", { class: "unseen" }, "Choose")),
          this.heads,
        ),
      ),
      this.body,
    );
    this.empty = h("p", { class: "empty", hidden: true });
    fill(
      main,
      h("div", { class: "head" }, h("div", { class: "title" }, h("h1", {}, "Runs"), this.home)),
      h("div", { class: "filters" }, this.search, this.states, this.order),
      this.table,
      this.empty,
      this.tray,
    );
  }

  async load() {
    try {
      const { home, runs } = await api.runs();
      if (this.closed) return;
      this.home.textContent = home;
      this.rows.clear();
      this.take(runs);
      this.show();
    } catch (error) {
      this.empty.hidden = false;
      this.empty.textContent = error.message;
    }
  }

  take(rows) {
    for (const row of rows) {
      if (row.gone) this.rows.delete(row.name);
      else this.rows.set(row.name, row);
    }
    this.ask();
  }

  _state(status) {
    this.wanted = status;
    this.show();
  }

  _sort(key) {
    const [, , , way] = COLUMNS.find(([known]) => known === key);
    this.way = this.sorted === key ? -this.way : way;
    this.sorted = key;
    sessionStorage.setItem(SORTED, `${this.sorted},${this.way}`);
    this.show();
  }

  _passes(row) {
    if (this.wanted && row.status !== this.wanted) return false;
    const text =
      `${row.name} ${row.env} ${row.algo} ${row.engine} ${row.status} seed ${row.seed}`.toLowerCase();
    return this.search.value
      .toLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word));
  }

  show() {
    if (this.closed) return;
    const [, , value] = COLUMNS.find(([key]) => key === this.sorted) ?? COLUMNS.at(-1);
    const order = (a, b) => {
      const [one, other] = [value(a), value(b)];
      const by =
        typeof one === "string"
          ? one.localeCompare(other, undefined, { numeric: true })
          : one - other || 0;
      return this.way * by || a.name.localeCompare(b.name);
    };
    const shown = [...this.rows.values()].filter((row) => this._passes(row)).sort(order);
    this._place(shown.map((row) => this._row(row)));
    this.heads.forEach((head, n) =>
      head.setAttribute(
        "aria-sort",
        COLUMNS[n][0] === this.sorted ? (this.way > 0 ? "ascending" : "descending") : "none",
      ),
    );
    this.order.value = this.sorted;
    for (const button of this.states.children) {
      const status = button.dataset.value;
      const count = status
        ? [...this.rows.values()].filter((row) => row.status === status).length
        : this.rows.size;
      button.lastChild.textContent = ` ${count}`;
      button.hidden = Boolean(status) && !count;
    }
    this.table.hidden = !shown.length;
    this.empty.hidden = shown.length > 0;
    this.empty.textContent = this.rows.size
      ? "No run is like that."
      : "No runs yet. `qlearn train grid` makes one; it appears here by itself.";
    this._tray();
  }

  /** Only what stands elsewhere is moved: a row under the pointer or with the focus stays. */
  _place(elements) {
    elements.forEach((element, n) => {
      if (this.body.children[n] !== element)
        this.body.insertBefore(element, this.body.children[n] ?? null);
    });
    while (this.body.children.length > elements.length) this.body.lastChild.remove();
  }

  _row(row) {
    let known = this.elements.get(row.name);
    if (!known) {
      const pick = h("input", {
        type: "checkbox",
        "aria-label": `Choose ${row.name}`,
        on: {
          change: () => {
            if (pick.checked) this.chosen.add(row.name);
            else this.chosen.delete(row.name);
            this._tray();
            known.element.classList.toggle("chosen", pick.checked);
          },
        },
      });
      const cells = Object.fromEntries(
        COLUMNS.map(([key, title]) => [key, h("td", { class: `of-${key}`, "data-title": title })]),
      );
      cells.name.append(h("a", { href: pageOf(row.name) }, row.name));
      known = {
        pick,
        cells,
        element: h("tr", {}, h("td", { class: "pick" }, pick), Object.values(cells)),
      };
      this.elements.set(row.name, known);
    }
    known.pick.disabled = row.status === "damaged";
    known.pick.checked = this.chosen.has(row.name);
    known.element.classList.toggle("chosen", known.pick.checked);
    const text = JSON.stringify(row);
    if (known.text !== text) {
      known.text = text;
      const { cells } = known;
      fill(
        cells.state,
        state(row.status, row.paused),
        row.warnings
          ? h("span", { class: "count", title: `${row.warnings} warnings` }, row.warnings)
          : null,
      );
      cells.state.title = row.error ?? "";
      cells.env.textContent = row.env ?? "";
      fill(
        cells.algo,
        row.algo ?? "",
        h(
          "small",
          {},
          [row.engine, Number.isFinite(row.seed) ? `seed ${row.seed}` : ""]
            .filter(Boolean)
            .join(", "),
        ),
      );
      fill(cells.progress, progress(row));
      cells.best.textContent = number(row.best);
      cells.last.textContent = number(row.last ?? row.return);
      cells.time.textContent = duration(row.train_seconds);
      cells.started.textContent = moment(row.started);
    }
    return known.element;
  }

  _tray() {
    for (const name of this.chosen) if (!this.rows.has(name)) this.chosen.delete(name);
    const count = this.chosen.size;
    this.tray.hidden = !count;
    this.tray.firstChild.textContent = count === 1 ? "1 run chosen" : `${count} runs chosen`;
    this.compare.textContent = count === 1 ? "Look at it" : "Overlay";
    this.compare.href = `#/compare?runs=${names([...this.chosen])}`;
  }
}

export function open(main) {
  const page = new ListPage(main);
  return () => page.close();
}
