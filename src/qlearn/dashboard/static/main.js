/* Routes: #/ lists the runs, #/run/NAME shows one, #/compare?runs=a,b lays them over each other. */

import { dress } from "./colours.js";
import { fill, h } from "./dom.js";
import * as comparing from "./compare.js";
import * as list from "./list.js";
import * as run from "./run.js";

const main = document.getElementById("main");
let close = () => {};

function where() {
  const address = location.hash.replace(/^#\/?/, "");
  if (address.startsWith("run/")) return [run, "run", decodeURIComponent(address.slice(4))];
  if (address.startsWith("compare")) {
    const parameters = address.slice(address.indexOf("?") + 1).split("&");
    const runs = parameters.find((part) => part.startsWith("runs="))?.slice(5) ?? "";
    return [comparing, "compare", runs.split(",").filter(Boolean).map(decodeURIComponent)];
  }
  return [list, "list"];
}

function go() {
  close();
  close = () => {};
  fill(main);
  scrollTo(0, 0);
  try {
    const [view, name, parameter] = where();
    for (const link of document.querySelectorAll("header [data-view]"))
      link.setAttribute("aria-current", link.dataset.view === name ? "page" : "false");
    document.title = "qlearn";
    close = view.open(main, parameter);
  } catch (error) {
    fill(main, h("p", { class: "empty" }, error.message));
  }
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", go);
dress()
  .catch(() => {})
  .then(() => {
    document.documentElement.classList.add("dressed");
    go();
  });
