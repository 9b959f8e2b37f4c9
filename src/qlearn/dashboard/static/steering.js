/* The knobs of a run, drawn from what the run says it has: no algorithm is known here. */

import { fill, h, icon, note } from "./dom.js";
import { api } from "./net.js";
import { number, whole } from "./numbers.js";

const NOTCHES = 1000;
const BELOW = 100; // times less than where it began a value from zero can be chosen
const WIDE = 50; // times; a range that spans more is moved through in decades
const TITLES = {
  epsilon: "Epsilon",
  lr: "Learning rate",
  discount: "Discount",
  batch: "Batch",
  updates: "Updates a step",
  every: "Learn every",
  epochs: "Epochs",
  minibatch: "Minibatch",
  restless: "Restless",
  tau: "Tau",
  target_every: "Target every",
  eval_every: "Evaluate every",
  checkpoint_seconds: "Checkpoint every",
};
const UNITS = {
  eval_every: "steps",
  checkpoint_seconds: "seconds",
  every: "steps",
  target_every: "updates",
};

/** Where a schedule's text begins. */
const first = (value) => Number.parseFloat(String(value));

/** Between a place of the slider and a value; in decades where the range spans many. */
function scale({ low, high, kind, value: begun }) {
  const rounded = kind === "whole" || kind === "steps";
  const tidy = (value) => (rounded ? Math.round(value) : Number(value.toPrecision(3)));
  // A range from zero has no first decade: it begins well below where the run began.
  const [least, floor] = low > 0 ? [low, low] : [first(begun), first(begun) / BELOW];
  if (least > 0 && low >= 0 && high / least > WIDE) {
    const span = Math.log(high / floor);
    return {
      value: (place) => (place > 0 ? tidy(floor * Math.exp((place / NOTCHES) * span)) : low),
      place: (value) => (NOTCHES * Math.log(Math.max(floor, value) / floor)) / span,
    };
  }
  return {
    value: (place) => tidy(low + (place / NOTCHES) * (high - low)),
    place: (value) => (NOTCHES * (value - low)) / (high - low),
  };
}

/** A number where the text is one; a schedule's text stays a text. */
const meant = (text) =>
  text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text.trim();

class Knob {
  constructor(name, key, about) {
    this.run = name;
    this.key = key;
    this.about = about;
    const bounded =
      Number.isFinite(about.low) && Number.isFinite(about.high) && about.high > about.low;
    this.scale = bounded ? scale(about) : null;
    const id = `knob-${key}`;
    this.field = h("input", {
      id,
      type: "text",
      inputmode: about.kind === "schedule" ? "text" : "decimal",
      spellcheck: "false",
      autocomplete: "off",
      on: {
        change: () => this.send(meant(this.field.value)),
        keydown: (event) => {
          if (event.key === "Escape") {
            this.put(this.value);
            this.field.blur();
          }
        },
      },
    });
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: NOTCHES,
      step: 1,
      hidden: !bounded,
      "aria-label": `${TITLES[key] ?? key}, slider`,
      on: {
        input: () => {
          this.held = true;
          this.field.value = String(this.scale.value(Number(this.slider.value)));
          this._filled();
        },
        change: () => {
          this.held = false;
          this.send(this.scale.value(Number(this.slider.value)));
        },
      },
    });
    this.now = h("output", { for: id });
    this.said = h("p", { class: "said", role: "status" });
    this.element = h(
      "div",
      { class: "knob", "data-key": key },
      h("label", { for: id }, TITLES[key] ?? key.replaceAll("_", " ")),
      this.now,
      this.field,
      this.slider,
      this.said,
    );
    this.put(about.value);
  }

  put(value) {
    if (this.held || document.activeElement === this.field) return;
    this.value = value;
    this.field.value = String(value ?? "");
    if (this.scale && Number.isFinite(first(value)))
      this.slider.value = this.scale.place(first(value));
    this._filled();
  }

  /** What a schedule is at this step. */
  follow(value) {
    this.now.textContent =
      value === undefined || value === null ? (UNITS[this.key] ?? "") : `now ${number(value, 3)}`;
  }

  _filled() {
    this.slider.style.setProperty(
      "--at",
      `${Math.max(0, Math.min(100, Number(this.slider.value) / (NOTCHES / 100)))}%`,
    );
  }

  async send(value) {
    if (value === this.value || value === "") return;
    const before = this.value;
    this._say("", "\u2026");
    try {
      const answer = await api.set(this.run, { [this.key]: value });
      if (answer.refused) throw new Error(answer.refused);
      this.value = value;
      if (Number.isFinite(answer.applied_at_step))
        this._say("good", `since step ${whole(answer.applied_at_step)}`);
      else this._say("", answer.pending ?? "");
    } catch (error) {
      this._say("bad", error.message);
      this.value = undefined;
      this.put(before);
    }
  }

  _say(kind, text) {
    this.said.className = `said ${kind}`;
    this.said.textContent = text;
  }
}

export class Steering {
  constructor(name) {
    this.name = name;
    this.knobs = new Map();
    this.box = h("div", { class: "knobs" });
    this.hint = h("p", { class: "soft" });
    this.buttons = {
      pause: this._button("pause", "Pause", () => this._pause()),
      save: this._button("save", "Save now", () => this._ask("save")),
      evaluate: this._button("look", "Evaluate now", () => this._ask("evaluate")),
      stop: this._button("stop", "Stop", () => this.dialog.showModal()),
    };
    this.dialog = h(
      "dialog",
      { "aria-label": "Stop the training?" },
      h(
        "p",
        {},
        "The training saves its state and ends; ",
        h("code", {}, "--resume"),
        " goes on from there.",
      ),
      h(
        "form",
        { method: "dialog" },
        h("button", { value: "" }, "Go on training"),
        h("button", { value: "stop", class: "danger" }, "Save and stop"),
      ),
    );
    this.dialog.addEventListener("close", () => {
      if (this.dialog.returnValue === "stop") this._ask("stop");
      this.dialog.returnValue = "";
    });
    this.actions = h(
      "div",
      { class: "actions", role: "group", "aria-label": "The training" },
      Object.values(this.buttons),
      this.dialog,
    );
    this.element = h(
      "section",
      { class: "card steering", "aria-label": "Steering" },
      h("header", {}, h("h2", {}, "Steering")),
      this.hint,
      this.box,
    );
  }

  _button(name, label, work) {
    return h(
      "button",
      { type: "button", on: { click: work }, "data-do": name },
      icon(name),
      h("span", {}, label),
    );
  }

  /** `now`: the newest logged value of each key. */
  update({ live, knobs, status }, now) {
    const trained = status === "running";
    const paused = trained && knobs?.paused === true;
    this.paused = paused;
    for (const button of Object.values(this.buttons)) button.disabled = !trained;
    fill(
      this.buttons.pause,
      icon(paused ? "play" : "pause"),
      h("span", {}, paused ? "Resume" : "Pause"),
    );
    for (const [key, about] of Object.entries(live ?? {})) {
      if (key === "paused") continue;
      if (!this.knobs.has(key)) {
        this.knobs.set(key, new Knob(this.name, key, about));
        this.box.append(this.knobs.get(key).element);
      }
      const knob = this.knobs.get(key);
      knob.put(knobs?.[key] ?? about.value);
      knob.follow(about.kind === "schedule" ? now[key] : undefined);
    }
    this.hint.hidden = trained && this.knobs.size > 0;
    if (!this.knobs.size) fill(this.hint, "This run names no value that may change.");
    else if (!trained)
      fill(
        this.hint,
        "Not being trained: what is set here holds from the next ",
        h("code", {}, "--resume"),
        ".",
      );
  }

  async _pause() {
    const said = this.paused ? "The training goes on" : "Paused";
    await this._send(
      "pause",
      () => said,
      () => api.set(this.name, { paused: !this.paused }),
    );
  }

  async _ask(what) {
    const said = {
      save: ({ checkpoint }) =>
        `Saved${checkpoint ? `: ${checkpoint.split("/").slice(-2).join("/")}` : ""}`,
      evaluate: ({ mean }) => (Number.isFinite(mean) ? `Greedy mean ${number(mean)}` : "Evaluated"),
      stop: () => "Saved and stopped",
    }[what];
    await this._send(what, said, () => api.ask(this.name, what));
  }

  /** What the trainer answers is said as it is. */
  async _send(what, said, work) {
    this.buttons[what].setAttribute("aria-busy", "true");
    try {
      const answer = await work();
      if (answer.refused) throw new Error(answer.refused);
      note(answer.pending ?? said(answer));
    } catch (error) {
      note(error.message, "bad");
    }
    this.buttons[what].removeAttribute("aria-busy");
  }
}
