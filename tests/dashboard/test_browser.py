"""The page in a real browser, with real clicks, over a server and a trainer of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sites import write_run

from qlearn.cli.main import main
from qlearn.runs.folder import RunFolder

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TRAIN = (sys.executable, "-m", "qlearn", "train")
DICT = ("--engine", "dict", "--quiet")
LONG = ("--steps", "2M", "--set", "env.buckets=4", "eval_every=20000", "epsilon=0.5")
SNAKE = ("--algo", "table", "--steps", "300", "--set", "env.size=5", "env.observation=features",
         "env.buckets=2")  # fmt: skip
SCRIPT = "<img src=x onerror=document.title='gone'>"
COLOURS_SEEN = """canvas => new Set(new Uint32Array(
    canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("seen")


@pytest.fixture(scope="module")
def trainer(home):
    """A training that goes on until it is told to stop."""
    words = ("cartpole", "--algo", "table", *DICT, "--clips", *LONG, "--out", str(home / "live"))
    process = subprocess.Popen([*TRAIN, *words])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def runs(home, trainer):
    """Finished ones, made while the trainer starts: the same grid twice, a snake, a bad name."""
    assert main(["train", "grid", *DICT, "--steps", "1k", "--clips", "--set", "eval_every=200",
                 "--out", str(home / "grid-0")]) == 0  # fmt: skip
    shutil.copytree(home / "grid-0", home / "grid-1")
    RunFolder.open(home / "grid-1").update(seed=1)
    assert main(["train", "snake", *DICT, *SNAKE, "--clips", "--out", str(home / "snake")]) == 0
    write_run(home, SCRIPT, env=SCRIPT, algo="<b>table</b>")
    return home


@pytest.fixture(scope="module")
def address(home):
    command = [sys.executable, "-m", "qlearn", "serve", str(home), "--port", "0", "--no-open"]
    server = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield json.loads(server.stdout.readline())["url"]
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"needs a browser: {', '.join(BROWSERS)}")
    alone = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=path, args=alone)
        yield found
        found.close()


@pytest.fixture(scope="module")
def tab(browser, runs, address):
    tab = browser.new_page(base_url=address, color_scheme="light")
    tab.set_default_timeout(30_000)
    tab.faults = []
    tab.on("pageerror", lambda error: tab.faults.append(str(error)))
    tab.on("console", lambda said: tab.faults.append(said.text) if said.type == "error" else None)
    return tab


@pytest.fixture
def page(tab):
    """A page without a fault in it: no error of a script, nothing that the policy forbids."""
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.goto("/")
    yield tab
    assert tab.title() != "gone"
    assert tab.faults == []


def show(page, where):
    page.evaluate("where => { location.hash = where }", where)


def events(run: Path, kind: str):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row.get("event") == kind]


def moved(page, element: str, ask: str):
    """Waits until what `ask` says of the element is another than now."""
    page.locator(element).first.wait_for(state="attached")
    before = page.eval_on_selector(element, ask)
    page.wait_for_function(
        f"([name, before]) => ({ask})(document.querySelector(name)) !== before",
        arg=[element, before],
    )


def test_a_run_is_seen_learning_steered_and_stopped(page, home, trainer):
    live = home / "live"
    row = page.locator("tr", has=page.get_by_role("link", name="live", exact=True))
    row.get_by_text("running").wait_for()
    row.get_by_role("link").click()
    moved(page, ".chart.tall path.line", "line => line.getAttribute('d')")

    epsilon = page.get_by_label("Epsilon", exact=True)
    epsilon.fill("0.05")
    epsilon.press("Enter")
    said = page.locator("[data-key=epsilon] .said.good").inner_text()
    (change,) = events(live, "set")
    assert change["knobs"] == {"epsilon": 0.05}
    assert said == f"since step {change['env_steps']:,}"
    page.locator(".mark.set").first.wait_for(state="attached")
    page.get_by_label("Epsilon, slider").press("End")
    page.locator("[data-key=epsilon] .said.good").filter(has_not_text=said).wait_for()
    assert events(live, "set")[-1]["knobs"] == {"epsilon": 1}

    page.get_by_role("button", name="Save now").click()
    page.locator(".note", has_text="Saved").wait_for()
    (saved,) = events(live, "save")
    manifest = json.loads((live / "checkpoints" / "last.json").read_text())
    assert Path(saved["checkpoint"]).exists()
    assert manifest["env_steps"] >= saved["env_steps"] > 0

    page.get_by_role("button", name="Pause", exact=True).click()
    page.locator(".state.paused").wait_for()
    assert len(events(live, "pause")) == 1
    page.get_by_role("button", name="Resume").click()
    page.locator(".state.running").wait_for()
    assert len(events(live, "resume")) == 1

    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Save and stop").click()
    page.locator(".state.interrupted").wait_for()
    assert trainer.wait(30) == 130
    page.locator("canvas").wait_for()  # the game that was recorded at the end


@pytest.mark.parametrize("run", ["grid-0", "snake", "live"])
def test_the_game_of_a_run_is_played(page, run, home, trainer):
    if run == "live" and trainer.poll() is None:
        trainer.terminate()
        trainer.wait()
    show(page, f"#/run/{run}")
    page.locator("canvas").wait_for()
    moved(page, ".facts", "facts => facts.textContent")
    assert page.eval_on_selector("canvas", COLOURS_SEEN) > 4
    page.get_by_role("button", name="Pause the game").click()
    page.get_by_label("Frame", exact=True).fill("0")
    assert page.locator(".facts").inner_text().startswith("Frame 1 of")
    if run == "grid-0":
        page.locator("canvas").hover(position={"x": 40, "y": 40})
        tip = page.locator(".tip").inner_text()
        assert all(name in tip for name in ("up", "down", "left", "right"))


def test_runs_are_laid_over_each_other_and_exported(page, tmp_path):
    page.get_by_label("Filter the runs").fill("grid")
    for name in ("grid-0", "grid-1"):
        page.get_by_label(f"Choose {name}").check()
    page.get_by_role("link", name="Overlay").click()
    page.locator(".legend", has_text="2 seeds").wait_for()
    assert page.locator("path.thin").count() == 2
    page.locator("table.results", has_text="IQM").wait_for()
    for kind, begins in (("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("CSV", b"series,x")):
        page.get_by_label("Download Greedy return").click()
        with page.expect_download() as found:
            page.get_by_role("button", name=kind, exact=True).click()
        found.value.save_as(tmp_path / kind)
        assert (tmp_path / kind).read_bytes().startswith(begins)
    with page.expect_download() as found:
        page.get_by_role("link", name="CSV with intervals").click()
    assert "iqm" in Path(found.value.path()).read_text()


def test_a_chart_obeys_the_keyboard(page):
    show(page, "#/run/grid-0")
    chart = page.locator(".chart.tall")
    drawing = chart.locator(".plot svg")
    chart.locator("path.line").wait_for()
    drawing.focus()
    drawing.press("End")
    assert "training" in chart.locator("[aria-live]").inner_text()
    assert drawing.locator(".where").text_content() == "1,000 steps"
    before = drawing.locator(".grid").text_content()
    drawing.press("+")
    chart.get_by_role("button", name="Show all again").wait_for()
    assert drawing.locator(".grid").text_content() != before
    drawing.press("Escape")
    chart.get_by_role("button", name="Show all again").wait_for(state="hidden")


def test_names_are_text_and_nothing_is_wider_than_a_phone(page, runs):
    page.set_viewport_size({"width": 400, "height": 800})
    page.emulate_media(color_scheme="dark")
    page.locator("tr", has_text="<b>table</b>").wait_for()
    views = {
        "#/compare?runs=grid-0,snake": "table.results",
        "#/run/grid-0": ".chart path.line",
        f"#/run/{SCRIPT.replace('=', '%3D')}": ".config dl",
        "#/": "table.runs",
    }
    for view, shown in views.items():
        show(page, view)
        page.locator(shown).first.wait_for(state="attached")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, view
        if SCRIPT in view.replace("%3D", "="):
            assert page.locator("h1").inner_text() == SCRIPT
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
