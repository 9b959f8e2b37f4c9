"use strict";

const all = (what, where = document) => [...where.querySelectorAll(what)];
const byId = (id) => document.getElementById(id);

/* One stage at a time, in every drawing; pressing it again shows all. */
let only = "";

function shade() {
  for (const mark of all(".strip [data-stage], .chart [data-stage], .flame [data-stage]"))
    mark.classList.toggle("dim", only !== "" && mark.dataset.stage !== only);
  for (const button of all(".stage"))
    button.setAttribute("aria-pressed", String(button.dataset.stage === only));
}

for (const button of all(".stage"))
  button.addEventListener("click", () => {
    only = only === button.dataset.stage ? "" : button.dataset.stage;
    shade();
  });

for (const button of all(".copy"))
  button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
      setTimeout(() => (button.textContent = "copy"), 1500);
    } catch {
      getSelection().selectAllChildren(code);
    }
  });

for (const table of all(".spots")) {
  const heads = all("thead th", table);
  heads.forEach((head, column) =>
    head.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value;
      const order = (a, b) =>
        column === 0 ? key(b).localeCompare(key(a)) : key(b) - key(a);
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => (down ? order(a, b) : order(b, a))));
    }),
  );
}

/* The flame graph: callers above, callees below, as wide as they took time. */
const LEVEL = 23; // pixels
const NARROWEST = 2; // pixels; what is narrower is not drawn

function read(text) {
  const { words, tree, colours } = JSON.parse(text);
  const open = ([name, file, stage, line, seconds, children], parent, depth) => {
    const call = { name: words[name], file: words[file], stage: words[stage], line, seconds };
    Object.assign(call, { parent, depth, colour: colours[words[stage]] || "mixed" });
    call.children = children.map((child) => open(child, call, depth + 1));
    return call;
  };
  return open(tree, null, 0);
}

function said(call, whole) {
  const percent = ((100 * call.seconds) / whole).toPrecision(3);
  const where = call.file ? ` · ${call.file}:${call.line}` : "";
  const stage = call.stage ? ` · ${call.stage.replaceAll("_", " ")}` : "";
  return `${call.name}${where} · ${call.seconds.toPrecision(3)} s, ${percent} %${stage}`;
}

function flame(place, root) {
  const status = byId("status");
  const whole = byId("whole");
  const find = byId("find");
  let zoomed = root;
  let focused = root;
  let drawn = new Map();

  const matches = (call) => {
    const word = find.value.trim().toLowerCase();
    return word !== "" && `${call.name} ${call.file}`.toLowerCase().includes(word);
  };

  function add(call, left, width, above) {
    const box = document.createElement("div");
    box.className = `call ${call.colour}${above ? " above" : ""}${matches(call) ? " match" : ""}`;
    box.dataset.stage = call.stage;
    box.style.cssText = `left:${100 * left}%;width:${100 * width}%;top:${LEVEL * call.depth}px`;
    box.textContent = width * place.clientWidth > 28 ? call.name : "";
    box.setAttribute("role", "treeitem");
    box.setAttribute("aria-level", call.depth + 1);
    box.setAttribute("aria-label", said(call, root.seconds));
    box.tabIndex = call === focused ? 0 : -1;
    box.addEventListener("click", () => zoom(call));
    box.addEventListener("focus", () => tell(call));
    box.addEventListener("mouseenter", () => tell(call));
    drawn.set(call, box);
    place.append(box);
    return call.depth;
  }

  function addBelow(call, left, width) {
    let deepest = add(call, left, width, false);
    let at = left;
    for (const child of call.children) {
      const share = (width * child.seconds) / call.seconds;
      if (share * place.clientWidth >= NARROWEST)
        deepest = Math.max(deepest, addBelow(child, at, share));
      at += share;
    }
    return deepest;
  }

  function draw() {
    place.replaceChildren();
    drawn = new Map();
    for (let call = zoomed.parent; call; call = call.parent) add(call, 0, 1, true);
    place.style.height = `${LEVEL * (addBelow(zoomed, 0, 1) + 1) + 1}px`;
    if (!drawn.has(focused)) drawn.get((focused = zoomed)).tabIndex = 0;
    whole.disabled = zoomed === root;
    shade();
  }

  function tell(call) {
    status.textContent = said(call, root.seconds);
  }

  function zoom(call) {
    zoomed = focused = call;
    draw();
    drawn.get(call).focus();
  }

  function focus(call) {
    if (!drawn.has(call)) return;
    drawn.get(focused).tabIndex = -1;
    focused = call;
    drawn.get(call).tabIndex = 0;
    drawn.get(call).focus();
  }

  function beside(call, step) {
    const level = [...drawn.keys()].filter((other) => other.depth === call.depth);
    const left = (other) => parseFloat(drawn.get(other).style.left);
    level.sort((a, b) => left(a) - left(b));
    return level[level.indexOf(call) + step];
  }

  const keys = {
    ArrowUp: () => focus(focused.parent),
    ArrowDown: () => focus(focused.children[0]),
    ArrowLeft: () => focus(beside(focused, -1)),
    ArrowRight: () => focus(beside(focused, 1)),
    Home: () => focus(root),
    Enter: () => zoom(focused),
    " ": () => zoom(focused),
    Escape: () => zoom(root),
  };

  function count() {
    const found = (call) =>
      matches(call)
        ? [1, call.seconds]
        : call.children.map(found).reduce(([n, s], [m, t]) => [n + m, s + t], [0, 0]);
    const [number, seconds] = found(root);
    const percent = ((100 * seconds) / root.seconds).toPrecision(3);
    status.textContent = find.value.trim()
      ? `${number} found, ${seconds.toPrecision(3)} s, ${percent} %`
      : "\u00a0";
  }

  place.addEventListener("keydown", (event) => {
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  whole.addEventListener("click", () => zoom(root));
  find.addEventListener("input", () => {
    draw();
    count();
  });
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const first = [...drawn.keys()].filter(matches).sort((a, b) => b.seconds - a.seconds)[0];
    if (first) focus(first);
  });
  let width = 0;
  new ResizeObserver(() => {
    if (place.clientWidth === width) return;
    width = place.clientWidth;
    draw();
  }).observe(place);
}

if (byId("calls")) flame(byId("flame"), read(byId("calls").textContent));
