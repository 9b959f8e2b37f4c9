/* Elements. What comes from a run goes in as text, never as markup. */

const DRAWING = "http://www.w3.org/2000/svg";

function build(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value))
        element.addEventListener(event, listener);
    } else if (name === "vars") {
      for (const [key, of] of Object.entries(value)) element.style.setProperty(`--${key}`, of);
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(
    ...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

export const h = (name, properties, ...children) =>
  build(document.createElement(name), properties, children);

export const svg = (name, properties, ...children) =>
  build(document.createElementNS(DRAWING, name), properties, children);

export const fill = (element, ...children) =>
  element.replaceChildren(...children.flat(3).filter(Boolean));

/** A line drawing of 16 by 16, for buttons. */
const ICONS = {
  play: "M5 3l8 5-8 5z",
  pause: "M4.5 3v10M11.5 3v10",
  back: "M10 3L5 8l5 5",
  forth: "M6 3l5 5-5 5",
  stop: "M4 4h8v8H4z",
  save: "M8 2v8M4.5 7L8 10.5 11.5 7M3 13.5h10",
  look: "M1.5 8C3.5 4.5 5.6 3.5 8 3.5s4.5 1 6.5 4.500C12.5 11.5 10.4 12.5 8 12.500S3.5 11.5 1.5 8zM8 6.200a1.8 1.8 0 100 3.6 1.8 1.8 0 000-3.600z",
  out: "M8 2v8M4.5 7L8 10.5 11.5 7M3 13.500h10",
  undo: "M3.5 6h6a3.5 3.5 0 010 7H6M6 3L3 6l3 3",
  cross: "M4 4l8 8M12 4l-8 8",
  sun: "M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13 9.500A5.5 5.5 0 116.5 3 4.5 4.5 0 0013 9.500z",
  half: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 2v12M9.6 3v10M11.2 4v8M12.8 5.5v5",
};

export const icon = (name) =>
  svg(
    "svg",
    { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" },
    svg("path", { d: ICONS[name] }),
  );

/** Buttons of which one is pressed; `options` are values with their words. */
export function choice(label, options, chosen, work) {
  const buttons = Object.entries(options).map(([value, said]) => {
    const press = () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      work(value);
    };
    const pressed = String(value === chosen);
    const button = h(
      "button",
      { type: "button", "aria-pressed": pressed, "data-value": value, on: { click: press } },
      said,
    );
    return button;
  });
  return h("div", { class: "segments", role: "group", "aria-label": label }, buttons);
}

const notes = () => document.getElementById("notes");

/** A short message at the edge of the page. */
export function note(text, kind = "") {
  const element = h("p", { class: `note ${kind}` }, text);
  notes().append(element);
  setTimeout(() => element.remove(), kind === "bad" ? 8000 : 4000);
}

/** At most one call each `milliseconds`; the last one is never lost. */
export function seldom(milliseconds, work) {
  let waiting = null;
  let last = -Infinity;
  const now = () => {
    waiting = null;
    last = performance.now();
    work();
  };
  const ask = () => {
    if (waiting === null)
      waiting = setTimeout(now, Math.max(0, last + milliseconds - performance.now()));
  };
  ask.stop = () => clearTimeout(waiting);
  return ask;
}
