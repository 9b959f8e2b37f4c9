"""What drawing a run costs a browser: the page's own charts beside plotly.min.js.

    python -m pip install plotly playwright
    python benchmarks/dashboard_charts.py [--repeats 5] [--record]

The same ten charts of 600 points each on the same page: a return with its band, 40 evaluations
with error bars and five marks, eight lines with bands, six stacked areas. In turn, in a browser of
its own each time: bytes of script, seconds from asking for the page until all stand, milliseconds
of the page's main thread for new data in all of them, and its busy share while nothing happens and
with two updates a second.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _report import arguments, record, times
from qlearn.watching.palette import palettes

STATIC = Path(__file__).parent.parent / "src" / "qlearn" / "dashboard" / "static"
OWN = ("chart.js", "group.js", "export.js", "dom.js", "numbers.js", "colours.js", "net.js", "stages.js")  # fmt: skip
UPDATES, WATCHED = 20, 4.0

PAGE = """<!doctype html><meta charset="utf-8"><meta name="qlearn-token" content="">
<link rel="stylesheet" href="/static/style.css"><body><main id="main"></main>
%s<script type="module" src="/%s.js"></script>"""

DATA = """
export const N = 600;
const noise = (n, k) => Math.sin(n * 12.9898 + k * 78.233) * 0.5 + Math.sin(n * 0.7 + k) * 0.5;
export function curve(k, shift) {
  const x = [], mean = [], low = [], high = [];
  for (let n = 0; n < N; n += 1) {
    const y = 100 / (1 + Math.exp(-(n - 200 - 10 * k) / 60)) + 4 * noise(n + shift, k) + 10;
    x.push(n * 1000); mean.push(y); low.push(y - 3); high.push(y + 4);
  }
  return { x, mean, low, high };
}
export function evaluations(shift) {
  const all = curve(0, shift), take = (list) => list.filter((_, n) => n % 15 === 7);
  return { x: take(all.x), mean: take(all.mean), low: take(all.low), high: take(all.high) };
}
export const marks = [1, 2, 3, 4, 5].map((n) => ({ x: n * 100000, event: "set", label: "epsilon" }));
export const stages = (shift) => ({ x: curve(0, 0).x, ...Object.fromEntries(["env", "act", "learn",
  "log", "eval", "other"].map((name, k) => [name, curve(0, 0).x.map((x, n) => x * (k + 2 + 0.2 * noise(n + shift, k)))])) });
const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
export async function ready(update) {
  await update(0);
  await frame();
  window.stood = performance.now();
  window.update = async (shift) => { await update(shift); await frame(); };
}
"""
OWN_PAGE = """
import { Chart } from "/static/chart.js";
import { Group } from "/static/group.js";
import { stageSeries } from "/static/stages.js";
import { curve, evaluations, marks, ready, stages } from "/data.js";
const palette = (await (await fetch("/palette.json")).json()).light;
document.documentElement.dataset.theme = "light";
document.documentElement.classList.add("dressed");
for (const [role, value] of Object.entries(palette)) document.documentElement.style.setProperty(`--${role}`, value);
const group = new Group();
const main = document.getElementById("main");
const charts = Array.from({ length: 10 }, (_, n) => new Chart(group, { title: `Chart ${n}`, ...(n === 9 && { domain: [0, 1] }) }));
const box = document.createElement("div");
box.className = "charts";
box.append(...charts.map(({ element }) => element));
main.append(box);
await ready((shift) => {
  charts.forEach((chart, n) => {
    if (n === 9) chart.show(stageSeries(stages(shift)), [], "steps");
    else if (n === 0) chart.show([{ ...curve(0, shift), name: "training", colour: "series-0" },
      { ...evaluations(shift), name: "greedy", colour: "series-1", kind: "points" }], marks, "steps");
    else chart.show([{ ...curve(n, shift), name: "", colour: "series-2" }], marks, "steps");
  });
});
"""
PLOTLY_PAGE = """
import { curve, evaluations, marks, ready, stages } from "/data.js";
document.documentElement.classList.add("dressed");
const main = document.getElementById("main");
const box = document.createElement("div");
box.className = "charts";
const plots = Array.from({ length: 10 }, () => document.createElement("div"));
for (const plot of plots) plot.style.height = "200px";
box.append(...plots);
main.append(box);
const band = ({ x, mean, low, high }) => [
  { x, y: low, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false },
  { x, y: high, mode: "lines", line: { width: 0 }, fill: "tonexty", hoverinfo: "skip", showlegend: false },
  { x, y: mean, mode: "lines" }];
const lines = marks.map(({ x }) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { dash: "dot", width: 1 } }));
const layout = (n) => ({ title: { text: `Chart ${n}` }, margin: { l: 48, r: 12, t: 32, b: 24 }, hovermode: "x", shapes: n < 9 ? lines : [] });
await ready((shift) => Promise.all(plots.map((plot, n) => {
  const given = stages(shift);
  const greedy = evaluations(shift);
  const traces = n === 9 ? Object.keys(given).filter((name) => name !== "x").map((name) => ({ x: given.x, y: given[name], stackgroup: "one", groupnorm: "fraction", name }))
    : n === 0 ? [...band(curve(0, shift)), { x: greedy.x, y: greedy.mean, mode: "lines+markers",
      error_y: { type: "data", symmetric: false, array: greedy.high.map((high, k) => high - greedy.mean[k]), arrayminus: greedy.mean.map((mean, k) => mean - greedy.low[k]) } }]
    : band(curve(n, shift));
  return Plotly.react(plot, traces, layout(n), { responsive: true, displaylogo: false });
})));
"""


def folder_of(place: Path) -> dict[str, list[Path]]:
    """Writes the two pages; which scripts each of them needs."""
    try:
        import plotly
    except ImportError:
        sys.exit("this compares with plotly: python -m pip install plotly")
    library = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    shutil.copytree(STATIC, place / "static")
    shutil.copy(library, place / "plotly.min.js")
    (place / "palette.json").write_text(json.dumps(palettes()))
    (place / "data.js").write_text(DATA)
    (place / "own.js").write_text(OWN_PAGE)
    (place / "plotly.js").write_text(PLOTLY_PAGE)
    (place / "own.html").write_text(PAGE % ("", "own"))
    (place / "plotly.html").write_text(PAGE % ('<script src="/plotly.min.js"></script>', "plotly"))
    return {"own": [STATIC / name for name in OWN], "plotly": [library]}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def look(name: str, address: str) -> dict[str, float]:
    """One fresh browser on one of the pages."""
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        sys.exit("this needs a Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.goto(f"{address}/{name}.html", wait_until="commit")
        page.wait_for_function("window.update !== undefined", timeout=60_000)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")

        def busy() -> float:
            found = session.send("Performance.getMetrics")["metrics"]
            return next(one["value"] for one in found if one["name"] == "TaskDuration")

        before = busy()
        page.evaluate(
            f"(async () => {{ for (let n = 1; n <= {UPDATES}; n += 1) await update(n); }})()"
        )
        updating = (busy() - before) / UPDATES
        before, begun = busy(), time.perf_counter()
        time.sleep(WATCHED)
        idle = (busy() - before) / (time.perf_counter() - begun)
        page.evaluate("void setInterval(() => update(performance.now()), 500)")
        before, begun = busy(), time.perf_counter()
        time.sleep(WATCHED)
        live = (busy() - before) / (time.perf_counter() - begun)
        stood = page.evaluate("window.stood") / 1000
        browser.close()
    return {"stood": stood, "update": 1000 * updating, "idle": 100 * idle, "live": 100 * live}


def main() -> None:
    options = arguments(__doc__)
    with TemporaryDirectory() as folder:
        scripts = folder_of(Path(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        found: dict[str, list[dict[str, float]]] = {name: [] for name in scripts}
        for _ in range(options.repeats):
            for name in scripts:
                found[name].append(look(name, address))
        server.shutdown()
    sizes = {
        name: {
            "bytes": sum(file.stat().st_size for file in files),
            "gzipped": sum(len(gzip.compress(file.read_bytes())) for file in files),
        }
        for name, files in scripts.items()
    }
    for name, size in sizes.items():
        print(f"{name}: {size['bytes']:,} bytes of script, {size['gzipped']:,} gzipped")
    tables = {
        "stood": ("until all charts stand", "s"),
        "update": ("new data in all charts", "ms"),
        "idle": ("busy while nothing happens", "%"),
        "live": ("busy with two updates a second", "%"),
    }
    rows = {
        key: times(
            title,
            {name: [[one[key]] for one in turns] for name, turns in found.items()},
            "own",
            unit,
        )
        for key, (title, unit) in tables.items()
    }
    record("dashboard_charts", {"sizes": sizes, **rows}, options.record)


if __name__ == "__main__":
    main()
