/* The palette of watching/palette.json as CSS variables, light or dark. */

import { fill, icon } from "./dom.js";
import { api } from "./net.js";

const CHOICES = ["auto", "light", "dark"];
const SAID = { auto: "as the system", light: "light", dark: "dark" };
const SHOWN = { auto: "half", light: "sun", dark: "moon" };
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();
let palette = {};
let chosen = CHOICES.includes(localStorage.getItem("qlearn-theme"))
  ? localStorage.getItem("qlearn-theme")
  : "auto";

export const dark = () => (chosen === "auto" ? system.matches : chosen === "dark");

/** A role's colour now. */
export const colour = (role) => palette[dark() ? "dark" : "light"]?.[role] ?? role;

/** Called again whenever the colours change, until the returned function is called. */
export function onColours(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function apply() {
  const root = document.documentElement;
  root.dataset.theme = dark() ? "dark" : "light";
  for (const [role, value] of Object.entries(palette[root.dataset.theme] || {}))
    root.style.setProperty(`--${role}`, value);
  const button = document.getElementById("theme");
  button.setAttribute("aria-label", `Colours: ${SAID[chosen]}; switch`);
  button.title = `Colours: ${SAID[chosen]}`;
  fill(button, icon(SHOWN[chosen]));
  for (const listener of listeners) listener();
}

function next() {
  chosen = CHOICES[(CHOICES.indexOf(chosen) + 1) % CHOICES.length];
  localStorage.setItem("qlearn-theme", chosen);
  apply();
}

export async function dress() {
  palette = await api.palette();
  document.getElementById("theme").addEventListener("click", next);
  system.addEventListener("change", apply);
  apply();
}
