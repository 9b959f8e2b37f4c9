/* Plays clips: greedy episodes as the agent played them. */

import { onColours } from "./colours.js";
import { fill, h, icon, note } from "./dom.js";
import { api } from "./net.js";
import { number, short, whole } from "./numbers.js";
import { paint, prepare, tipAt } from "./scene.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
const PAUSE = 1200; // milliseconds at the end before it begins again
const NEWEST = "";

export class Player {
  constructor(name) {
    this.name = name;
    this.clip = null;
    this.at = 0;
    this.playing = false;
    this.due = 0;
    this.frame = 0;
    this.clips = [];
    this._build();
    this._forget = onColours(() => this.paint());
    this._sized = new ResizeObserver(() => this.paint());
    this._sized.observe(this.canvas);
  }

  close() {
    this.closed = true;
    this._forget();
    this._sized.disconnect();
    cancelAnimationFrame(this.frame);
  }

  _build() {
    this.canvas = h("canvas", {
      tabindex: 0,
      role: "img",
      "aria-label": "The game",
      on: {
        pointermove: (event) => this._tip(event),
        pointerdown: (event) => this._tip(event),
        pointerleave: () => {
          this.tip.hidden = true;
        },
        keydown: (event) => this._key(event),
      },
    });
    this.tip = h("p", { class: "tip", hidden: true });
    this.choice = h("select", { "aria-label": "Which game", on: { change: () => this._chosen() } });
    this.playButton = h("button", {
      type: "button",
      class: "round",
      on: { click: () => this.toggle() },
    });
    this.scrub = h("input", {
      type: "range",
      min: 0,
      max: 0,
      step: 1,
      value: 0,
      "aria-label": "Frame",
      on: {
        input: () => {
          this.pause();
          this.go(Number(this.scrub.value));
        },
      },
    });
    this.speed = h(
      "select",
      { "aria-label": "Speed" },
      SPEEDS.map((speed) => h("option", { value: speed, selected: speed === 1 }, `${speed}\u00d7`)),
    );
    this.facts = h("p", { class: "facts" });
    this.values = h("div", { class: "values" });
    this.best = h("input", { type: "checkbox" });
    this.live = h(
      "button",
      { type: "button", on: { click: () => this.playNow() } },
      icon("play"),
      "Play now with this network",
    );
    const step = (by, name, label) =>
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-label": label,
          title: label,
          on: {
            click: () => {
              this.pause();
              this.go(this.at + by);
            },
          },
        },
        icon(name),
      );
    this.stage = h("div", { class: "stage" }, this.canvas, this.tip);
    this.empty = h(
      "p",
      { class: "empty" },
      "No game yet. The newest greedy game comes here when the run records clips.",
    );
    this.screen = h(
      "div",
      { hidden: true },
      this.stage,
      this.facts,
      this.values,
      h(
        "div",
        { class: "controls" },
        this.playButton,
        step(-1, "back", "One frame back"),
        this.scrub,
        step(1, "forth", "One frame on"),
        this.speed,
      ),
    );
    this.element = h(
      "section",
      { class: "card player", "aria-label": "Game" },
      h("header", {}, h("h2", {}, "Game"), this.choice),
      this.empty,
      this.screen,
      h(
        "div",
        { class: "row" },
        this.live,
        h("label", { class: "check" }, this.best, "best network"),
      ),
    );
    this._shown();
  }

  /** The clips there are; the newest is shown as long as no other was chosen. */
  offer(clips) {
    const files = clips.map(({ file }) => file).join();
    if (files === this.files) return;
    this.files = files;
    this.clips = [...clips].sort((a, b) => b.env_steps - a.env_steps);
    const chosen = this.choice.value;
    fill(
      this.choice,
      h("option", { value: NEWEST }, clips.length ? "the newest" : "none"),
      this.clips.map((clip) =>
        h("option", { value: clip.file }, `${short(clip.env_steps)} steps: ${number(clip.return)}`),
      ),
    );
    this.choice.value = this.clips.some(({ file }) => file === chosen) ? chosen : NEWEST;
    this.choice.hidden = !clips.length;
    if (this.choice.value === NEWEST && clips.length && !this.own) this.load(this.clips[0].file);
  }

  _chosen() {
    this.own = false;
    const file = this.choice.value === NEWEST ? this.clips[0]?.file : this.choice.value;
    if (file) this.load(file);
  }

  async load(file) {
    try {
      this.show(await api.clip(this.name, file));
    } catch (error) {
      note(error.message, "bad");
    }
  }

  async playNow() {
    this.live.disabled = true;
    this.live.setAttribute("aria-busy", "true");
    try {
      const clip = await api.play(this.name, {
        seed: Math.floor(Math.random() * 2 ** 31),
        best: this.best.checked,
      });
      this.own = true;
      this.show(clip);
    } catch (error) {
      note(error.message, "bad");
    }
    this.live.disabled = false;
    this.live.removeAttribute("aria-busy");
  }

  show(clip) {
    if (this.closed || !clip.frames?.length) return;
    this.clip = clip;
    this.sums = [];
    clip.frames.reduce((sum, { reward }, n) => (this.sums[n] = sum + (reward ?? 0)), 0);
    this.scrub.max = clip.frames.length - 1;
    this.empty.hidden = true;
    this.screen.hidden = false;
    this.element.dataset.clip = clip.env;
    this.go(0);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.play();
  }

  go(at) {
    if (!this.clip) return;
    this.at = Math.min(this.clip.frames.length - 1, Math.max(0, at));
    this.scrub.value = this.at;
    prepare(this.clip.frames, this.at);
    this.paint();
    this._tell();
  }

  paint() {
    if (!this.clip || !this.canvas.clientWidth) return;
    paint(this.canvas, this.clip.frames[this.at].scene, this.clip.ground, () => this.paint());
  }

  _tell() {
    const { frames, env_steps: steps } = this.clip;
    const { q, action, scene } = frames[this.at];
    const trained = !steps ? "" : `, after ${short(steps)} steps of training`;
    this.facts.textContent = `Frame ${whole(this.at + 1)} of ${whole(frames.length)}, return ${number(this.sums[this.at])} of ${number(this.clip.return)}${trained}`;
    // A game of our own draws its values itself, a stranger's pixels do not.
    const plain = q?.length && scene.shapes.some(({ kind }) => kind === "image");
    this.values.hidden = !plain;
    if (plain)
      fill(
        this.values,
        q.map((value, n) =>
          h(
            "span",
            { class: n === action ? "chosen" : null },
            h("small", {}, `Q ${n}`),
            number(value, 3),
          ),
        ),
      );
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (!this.clip || this.playing) return;
    if (this.at === this.clip.frames.length - 1) this.go(0);
    this.playing = true;
    this.due = performance.now();
    this._shown();
    const tick = (now) => {
      if (!this.playing) return;
      this.frame = requestAnimationFrame(tick);
      if (now < this.due) return;
      const wait = 1000 / ((this.clip.fps || 10) * Number(this.speed.value));
      const frames = Math.max(1, Math.floor((now - this.due) / wait));
      const last = this.clip.frames.length - 1;
      if (this.at === last) this.go(0);
      else this.go(Math.min(last, this.at + frames));
      this.due =
        this.at === last
          ? now + PAUSE
          : Math.max(now - wait, this.due + frames * wait) + (this.at === 0 ? wait : 0);
    };
    this.frame = requestAnimationFrame(tick);
  }

  pause() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this._shown();
  }

  _shown() {
    fill(this.playButton, icon(this.playing ? "pause" : "play"));
    this.playButton.setAttribute("aria-label", this.playing ? "Pause the game" : "Play the game");
  }

  _tip(event) {
    if (!this.clip) return;
    const text = tipAt(this.canvas, this.clip.frames[this.at].scene, this.clip.ground, event);
    this.tip.hidden = !text;
    if (!text) return;
    this.tip.textContent = text;
    const box = this.stage.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const left = Math.max(0, Math.min(x + 14, box.width - this.tip.offsetWidth));
    const below = y + 18 + this.tip.offsetHeight < box.height;
    this.tip.style.transform = `translate(${left}px, ${below ? y + 18 : Math.max(0, y - this.tip.offsetHeight - 10)}px)`;
  }

  _key(event) {
    const does = {
      " ": () => this.toggle(),
      ArrowLeft: () => {
        this.pause();
        this.go(this.at - 1);
      },
      ArrowRight: () => {
        this.pause();
        this.go(this.at + 1);
      },
      Home: () => this.go(0),
      End: () => this.go(Infinity),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }
}
