"""The report: words, terminal, page, flame graph; one made by hand in all of them."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest
from rich.console import Console

from qlearn.errors import UserError
from qlearn.profiling import raw as raw_module
from qlearn.profiling import rules, vocabulary
from qlearn.profiling.report import charts, flame, html, listing, terminal, words
from qlearn.profiling.report.excerpt import excerpt, expression

SCRIPT = """\
import random

Q = {(s, a): 0.0 for s in range(25) for a in range(4)}  # "ärger" </script>


def learn(agent):
    for _ in range(100):
        agent.Q = agent.new_Q.copy()
        état = random.random(); choose(agent)


def choose(agent):
    return max(range(4), key=lambda a: agent.Q[0, a])
"""
VOID = {"meta", "input", "br", "link", "img"}


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "q_learning.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


@pytest.fixture
def report(script):
    return {
        "target": str(script),
        "argv": ["--episodes", "5 000"],
        "options": ["--headless"],
        "total_seconds": 12.5,
        "working_seconds": 11.0,
        "cpu_seconds": 12.1,
        "peak_memory_mb": 310.4,
        "memory": [[0.0, 50.0], [6.0, 120.0], [12.5, 310.4]],
        "python": "3.11.7",
        "modules": {"numpy": "2.1.0"},
        "stages": [
            {"name": "other", "seconds": 0.5, "share": 0.04},
            {"name": "table_copy", "seconds": 7.5, "share": 0.6},
            {"name": "acting", "seconds": 4.5, "share": 0.36},
        ],
        "hotspots": [
            spot("learn", str(script), 6, 93_006, 7.5, 12.0, 0.6),
            spot("choose.<locals>.<lambda>", str(script), 12, None, 4.5, 4.5, 0.36),
        ],
        "findings": [
            finding("table-copy", str(script), 8, 0.6, proof(7.5, 0.25, 30.0)),
            finding("dict-table", str(script), 13, 0.3, None),
        ],
        "predicted_gain": 6.12,
        "instead": {"command": "qlearn train grid --episodes 5000", "seconds": 0.03, "speedup": 400},
        "measured": {
            "how": "sampling", "samples": 2500, "every_seconds": 0.005, "calls_observed": 0.04,
            "cost_seconds": 0.25,
        },
        "artifacts": {"speedscope": "/somewhere/q_learning.speedscope.json"},
    }  # fmt: skip


def spot(function, file, line, calls, own, cumulative, share):
    return {
        "function": function, "file": file, "line": line, "calls": calls, "self_seconds": own,
        "cumulative_seconds": cumulative, "share": share,
    }  # fmt: skip


def finding(rule, file, line, share, proof):
    return {
        "rule": rule, "file": file, "line": line, "share": share, "gain_limit": 1 / (1 - share),
        "evidence": f"93,006 copies of a dict <of 100 entries>, by {rule}",
        "why": "Every copy visits every entry. One entry has changed.",
        "fix": "-agent.Q = agent.new_Q.copy()\n+agent.Q[state, action] = value\n",
        "proof": proof,
    }  # fmt: skip


def proof(before, after, speedup):
    return {"before_seconds": before, "after_seconds": after, "speedup": speedup}


@pytest.fixture
def raw(script, tmp_path):
    """Three stacks of the script and one of another thread, as the profiled process writes them."""
    copied = SCRIPT.split("\n")[7]
    at = copied.index("agent.new_Q")
    frames = [
        frame(script, "<module>", 1, 6, 0, 10),
        frame(script, "learn", 6, 8, at, len(copied)),
        frame(script, "learn", 6, 9, len("        état = random.random(); ".encode()), 46),
        frame(script, "choose", 12, 13, 11, 53),
        frame("<frozen importlib._bootstrap>", "_load", 1, 1, 0, 0),
    ]
    samples = [
        sample([0, 1], 7.5), sample([0, 2, 3], 4.5), sample([0, 4], 0.5), sample([0, 1], 2, "other"),
    ]  # fmt: skip
    path = tmp_path / "raw.json"
    path.write_text(json.dumps(whole(frames, samples)))
    return raw_module.read(path)


def frame(file, function, first, line, column, end):
    return {
        "file": str(file), "function": function, "first_line": first, "line": line,
        "end_line": line, "col": column, "end_col": end,
    }  # fmt: skip


def sample(stack, seconds, thread="main"):
    return {"thread": thread, "stack": stack, "seconds": seconds, "count": 3}


def whole(frames, samples):
    return {
        "version": 1, "script": "q_learning.py", "argv": [], "python": "3.11.7",
        "end": {"kind": "end", "code": 0, "traceback": ""}, "wall_seconds": 12.5,
        "cpu_seconds": 12.1, "startup_seconds": 0.1, "peak_memory_mb": 310.0, "memory": [],
        "frames": frames, "samples": samples,
        "timeline": [[0.0, {"0": 3.0, "1": 1.0}], [6.0, {"0": 4.5, "1": 3.5}], [9.0, {}]],
        "calls": [], "calls_observed": 0.04, "seen": [], "modules": {}, "torch_threads": None,
        "cuda": False, "cost": {"sampler_seconds": 0.1, "windows_seconds": 0.1}, "options": {},
        "lines": None, "allocations": None, "artifacts": {},
    }  # fmt: skip


STAGE_OF = ["table_copy", "acting", "other", "table_copy"]


class Page(HTMLParser):
    """Fails where a tag is left open; keeps what the tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.data = [], [], {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for tag, attributes in self.open:
            for name in [tag, *(attributes.get("class") or "").split(), attributes.get("id")]:
                if name:
                    self.data[name] = self.data.get(name, "") + data

    def having(self, attribute):
        return [found[attribute] for _, found in self.tags if attribute in found]


# What numbers look like


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ""), (0, "0 s"), (2.5e-9, "2.50 ns"), (5e-17, "0 s"), (2.134e-6, "2.13 µs"), (0.0456, "45.6 ms"),
        (12.44, "12.4 s"), (125.2, "2 min 05 s"), (59.99, "60.0 s"),
    ],
)  # fmt: skip
def test_seconds_have_a_unit_that_fits(value, said):
    assert words.seconds(value) == said


@pytest.mark.parametrize(
    ("value", "exact", "said"),
    [(93_006, True, "93,006"), (93_006, False, "≈ 93,000"), (2_028_162, False, "≈ 2.0 M"),
     (3, False, "3"), (None, True, "")],
)  # fmt: skip
def test_estimated_counts_do_not_pretend_to_be_exact(value, exact, said):
    assert words.count(value, exact) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0.0004, "< 0.1 %"), (0, "0.0 %"), (0.042, "4.2 %"), (0.614, "61 %")]
)
def test_shares(value, said):
    assert words.share(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(2.56, "2.6x"), (1.054, "1.05x"), (1234.5, "1,234x"), (None, ""), (float("inf"), "")],
)
def test_times(value, said):
    assert words.times(value) == said


def test_places_are_short(report, script):
    assert words.place(str(script), 8, report) == "q_learning.py:8"
    assert words.place(str(script.parent / "lib" / "net.py"), 2, report) == "lib/net.py:2"
    assert words.place("/usr/lib/site-packages/torch/nn/a.py", 3, report) == "torch/nn/a.py:3"
    assert words.place("/usr/lib/python3.11/random.py", None, report) == "random.py"


def test_a_command_repeats_what_was_typed(report, script):
    again = words.again(report, "--prove", "--headless")
    assert again == f"qlearn profile {script} --headless --prove -- --episodes '5 000'"


def test_how_it_was_measured_is_said(report):
    said = words.measured(report)
    assert "every 5.00 ms" in said
    assert "2,500 samples" in said
    assert "counted during 4.0 % of the time" in said
    assert "own timers" in words.measured(report | {"measured": {"how": "timers"}})
    assert "function profile was on" in words.measured(
        report | {"measured": {"how": "functions", "calls_observed": 1.0}}
    )


@pytest.mark.parametrize(
    ("end", "said"),
    [({"kind": "end", "code": 0}, ""), ({"kind": "exit", "code": 0}, ""), (None, ""),
     ({"kind": "exit", "code": 3}, "exit code 3"), ({"kind": "error", "code": 1}, "failed"),
     ({"kind": "stopped", "code": 0}, "Stopped")],
)  # fmt: skip
def test_an_unusual_end_is_said(report, end, said):
    text = words.ending(report | {"end": end})
    assert said in text
    assert bool(text) == bool(said)


# The code around a finding


def test_an_excerpt_marks_the_line(script):
    lines = excerpt(str(script), 8)
    assert [line.number for line in lines if line.marked] == [8]
    assert [line.number for line in lines] == list(range(5, 12))
    assert "    " + "    agent.Q = agent.new_Q.copy()" in [line.text for line in lines]


def test_an_excerpt_of_a_statement_over_several_lines_is_dedented(script):
    lines = excerpt(str(script), 8, 9, around=0)
    assert [line.text[:5] for line in lines] == ["agent", "état "]
    assert all(line.marked for line in lines)


@pytest.mark.parametrize("line", [0, 99])
def test_no_excerpt_of_what_is_not_there(script, line):
    assert excerpt(str(script), line) == []
    assert excerpt(str(script.with_name("gone.py")), 1) == []


def test_columns_of_an_expression_count_bytes(script):
    begin = len("        état = ".encode())
    assert expression(str(script), 9, 9, begin, begin + 15) == "random.random()"
    assert expression(str(script), 8, 9, 8, 3) == "agent.Q = agent.new_Q.copy() …"


# The flame graph


def test_the_tree_has_every_second_once(raw):
    root = flame.tree(raw, STAGE_OF)
    assert root.seconds == 12.5
    (module,) = root.below.values()
    assert module.seconds == 12.5
    assert module.stage == ""  # a mixture
    (learn,) = [node for node in module.below.values() if node.name == "learn"]
    assert learn.seconds == 12.0
    assert {node.name: node.seconds for node in learn.below.values()} == {
        "agent.new_Q.copy()": 7.5,
        "choose": 4.5,
    }
    assert [node.stage for node in learn.below.values()] == ["table_copy", "acting"]
    assert flame.tree(raw, thread="other").seconds == 2
    assert flame.tree(raw, thread=None).seconds == 14.5


def test_importing_has_no_frames_of_the_import_system(raw):
    names = json.dumps(flame.drawn(flame.tree(raw), {}))
    assert "_load" not in names
    assert "choose" in names


def test_what_is_drawn_is_the_tree(raw, report):
    drawn = flame.drawn(flame.tree(raw, STAGE_OF), report)
    name, _, _, _, seconds, below = drawn["tree"]
    assert (drawn["words"][name], seconds, len(below)) == ("all", 12.5, 1)
    name, file, _, line, _, below = below[0]
    assert (drawn["words"][name], drawn["words"][file]) == ("<module>", "q_learning.py")
    assert line == 1
    seconds = [child[4] for child in below]
    assert seconds == sorted(seconds, reverse=True)


def test_a_recursion_of_a_thousand_calls_can_be_drawn(raw, report, tmp_path):
    content = json.loads((tmp_path / "raw.json").read_text())
    content["samples"][0]["stack"] = [0, *[1] * 1000]
    (tmp_path / "raw.json").write_text(json.dumps(content))
    root = flame.tree(raw_module.read(tmp_path / "raw.json"))
    assert root.seconds == 12.5
    json.loads(json.dumps(flame.drawn(root, report)))


def test_speedscope_has_a_profile_a_thread_with_all_its_time(raw, tmp_path):
    flame.write_speedscope(tmp_path / "x.json", raw, "q_learning.py")
    found = json.loads((tmp_path / "x.json").read_text())
    frames = found["shared"]["frames"]
    assert [profile["name"] for profile in found["profiles"]] == ["main", "other"]
    for profile, seconds in zip(found["profiles"], (12.5, 2), strict=True):
        assert sum(profile["weights"]) == profile["endValue"] == seconds
        assert len(profile["weights"]) == len(profile["samples"])
    first = [frames[k]["name"] for k in found["profiles"][0]["samples"][0]]
    assert first == ["<module>", "learn", "agent.new_Q.copy()"]
    assert frames[found["profiles"][0]["samples"][0][-1]]["line"] == 8


def test_what_all_imports_go_through_is_no_function_of_interest(report):
    spots = report["hotspots"]
    report["hotspots"] = [
        spots[0] | {"file": f"{words.IMPORTLIB}._bootstrap>", "function": "_load"}
    ]
    assert "_load" not in terminal.text(report) + html.page(report)
    report["hotspots"] += [*spots, spots[0] | {"self_seconds": 0.0}]
    assert words.spots(report) == spots


# The terminal


def test_the_terminal_says_the_most_important_first(report):
    report["target"] = "q_learning.py"
    text = terminal.text(report)
    order = ["q_learning.py", "copying tables", "choosing actions", "not attributed",
             "table-copy", "dict-table", "choose.<locals>.<lambda>", "qlearn train grid"]  # fmt: skip
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    for said in (
        "60 %",
        "12.1 s of processor time",
        "at most 2.5x",
        "93,006 copies",
        "30x",
        "about 6.1x",
        "≈ 93,000",
    ):
        assert said in text
    assert "\x1b" not in text
    assert max(map(len, text.split("\n"))) <= terminal.WIDTH


def test_what_is_not_attributed_is_always_shown_and_last(report):
    report["stages"] = [
        {"name": f"stage_{k}", "seconds": k, "share": k / 100} for k in range(12)
    ] + [{"name": "other", "seconds": 40.0, "share": 0.4}]
    text = terminal.text(report)
    order = ["stage 11", "stage 3", "not attributed", "2 others"]
    assert [text.index(word) for word in order] == sorted(text.index(word) for word in order)
    assert "stage 2 " not in text
    page = Page(html.page(report))
    named = [a["data-stage"] for tag, a in page.tags if tag == "button" and "data-stage" in a]
    assert named == [f"stage_{k}" for k in range(11, 0, -1)] + ["other"]


def test_a_narrow_terminal_gets_narrow_lines(report):
    report["target"] = "q_learning.py"
    assert max(map(len, terminal.text(report, 60).split("\n"))) <= 60


def test_brackets_of_the_script_are_not_markup(report):
    report["findings"][0]["evidence"] = "list[0] [bold]copied[/bold]"
    report["hotspots"][0]["function"] = "f[red]"
    text = terminal.text(report)
    assert "list[0] [bold]copied[/bold]" in text
    assert "f[red]" in text


def test_the_terminal_shows_a_few_and_counts_the_rest(report):
    report["findings"] = report["findings"] * 10
    text = terminal.text(report)
    assert text.count("-agent.Q = agent.new_Q.copy()") == terminal.EXPLAINED
    assert text.count("Every copy visits every entry.") == 1  # a reason is given once
    assert text.count("of the working time") == terminal.FINDINGS
    assert f"and {20 - terminal.FINDINGS} smaller ones" in text
    assert Page(html.page(report)).data["card"].count("of the working time") == 20


def test_no_findings_are_said(report):
    report["findings"] = []
    assert "Nothing that a rule knows" in terminal.text(report)
    assert "6.1x" not in terminal.text(report)


def test_a_terminal_without_blocks_gets_signs(report):
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    terminal.show(report, file, 90)
    file.flush()
    assert b"#####" in file.buffer.getvalue()


def test_a_bare_report_is_enough(script):
    bare = {"total_seconds": 1.0, "stages": [], "hotspots": [], "peak_memory_mb": 10.0,
            "findings": [], "artifacts": {}}  # fmt: skip
    assert "1.00 s" in terminal.text(bare)
    assert "1.00 s" in Page(html.page(bare)).data["tiles"]


# The page


def test_the_page_is_whole_and_asks_for_nothing(report, raw):
    text = html.page(report, raw, STAGE_OF)
    page = Page(text)
    assert page.having("src") == []
    assert all(link.startswith("#") for link in page.having("href"))
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "default-src 'none'" in "".join(page.having("content"))


def test_links_and_labels_lead_somewhere(report, raw):
    page = Page(html.page(report, raw, STAGE_OF))
    ids = Counter(page.having("id"))
    assert set(ids.values()) == {1}
    targets = [link[1:] for link in page.having("href")] + page.having("aria-labelledby")
    assert set(targets) <= set(ids)
    assert {"stages", "changes", "flame-graph", "functions", "memory", "instead"} <= set(targets)


def test_what_the_user_wrote_is_text(report, raw):
    page = Page(html.page(report, raw, STAGE_OF))
    assert "<of 100 entries>" in page.data["evidence"]
    assert "choose.<locals>.<lambda>" in page.data["spots"]
    report["findings"][0]["line"] = 3
    assert '"ärger" </script>' in Page(html.page(report)).data["code"]


def test_a_card_a_finding_with_the_line_and_the_change(report):
    page = Page(html.page(report))
    assert [tag for tag, _ in page.tags].count("article") == 2
    assert "agent.Q = agent.new_Q.copy()" in page.data["marked"]
    assert page.data["out"].count("agent.new_Q.copy()") == 2
    assert page.data["in"].count("agent.Q[state, action] = value") == 2
    assert "30x" in page.data["proof"]
    assert "at most 2.5x" in page.data["gain"]
    assert "--prove" in page.data["command"]


def test_the_graph_on_the_page_is_the_tree(report, raw):
    page = Page(html.page(report, raw, STAGE_OF))
    found = json.loads(page.data["calls"])
    root = flame.tree(raw, STAGE_OF)
    assert found["tree"] == json.loads(json.dumps(flame.drawn(root, report)["tree"]))
    assert found["colours"]["table_copy"] == charts.colour("table_copy")
    assert "calls" not in Page(html.page(report)).data


def test_stages_are_pressed_by_name(report, raw):
    page = Page(html.page(report, raw, STAGE_OF))
    pressed = [a["data-stage"] for tag, a in page.tags if tag == "button" and "data-stage" in a]
    assert pressed == ["table_copy", "acting", "other"]  # the largest first
    assert {a["data-stage"] for tag, a in page.tags if tag == "rect"} == {"table_copy", "acting"}


def test_every_colour_is_in_the_style():
    style = files("qlearn.profiling.report").joinpath("page.css").read_text()
    stages = [stage for family in words.FAMILIES.values() for stage in family]
    for stage in [*stages, *words.SAME, "other", "a_stage_of_tomorrow"]:
        for name in charts.colour(stage).split():
            assert re.search(rf"\.{name}\b", style)
    assert len({charts.colour(stage) for stage in stages}) == len(stages)


def test_slices_over_time_are_full(raw):
    drawn = charts.over_time(raw, STAGE_OF, ["acting", "table_copy"])
    heights = [float(height) for height in re.findall(r'height="([\d.]+)"', drawn)]
    assert heights == [25.0, 75.0, 43.75, 56.25]  # the empty slice is left out
    assert charts.over_time(raw, STAGE_OF, []).count("<rect") == 0


def test_a_memory_peak_survives_thinning():
    points = [[k / 4, 100.0] for k in range(10_000)]
    points[5001][1] = 990.0
    drawn = charts.memory(points)
    line = re.search(r'class="line" points="([^"]+)"', drawn)[1].split()
    assert len(line) <= charts.MOST_POINTS
    heights = [float(point.split(",")[1]) for point in line]
    assert min(heights) == pytest.approx(1.0)
    assert sum(height < 50 for height in heights) == 1
    assert all(float(a.split(",")[0]) < float(b.split(",")[0]) for a, b in pairwise(line))


def test_memory_that_is_not_known_is_not_drawn(report):
    assert charts.memory([[0.0, 1.0]]) == ""
    report["memory"] = []
    assert "memory" not in Page(html.page(report)).having("id")


def test_a_page_that_cannot_be_written_is_one_line(report, raw, tmp_path):
    html.write(tmp_path / "new" / "page.html", report, raw, STAGE_OF)
    html.write_flame(tmp_path / "flame.html", report, raw)
    assert "calls" in Page((tmp_path / "flame.html").read_text(encoding="utf-8")).data
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        html.write(tmp_path / "file" / "page.html", report)


def test_a_terminal_with_colours_has_them(report):
    file = io.StringIO()
    terminal._print(report, Console(file=file, force_terminal=True, width=90))
    assert "\x1b[" in file.getvalue()


# What the options add


def line(script, function, first, number, hits, seconds):
    return {
        "file": str(script), "function": function, "first_line": first, "line": number,
        "hits": hits, "seconds": seconds,
    }  # fmt: skip


@pytest.fixture
def lines(script):
    return [
        line(script, "choose", 12, 13, 92_961, 4.5),
        line(script, "learn", 6, 7, 92_961, 0.5),
        line(script, "learn", 6, 8, 92_961, 7.5),
        line(script.with_name("gone.py"), "lost", 1, 1, 1, 99.0),
    ]


def test_listings_begin_with_the_dearest_function(lines):
    learn, choose = listing.listings(lines)
    assert (learn.function, choose.function) == ("learn", "choose")
    assert [(row.number, row.hits) for row in learn.rows] == [(6, None), (7, 92_961), (8, 92_961)]
    assert [row.heat for row in learn.rows] == [0.0, 0.5 / 7.5, 1.0]
    assert listing.listings(None) == []


def test_lines_are_shown_on_both(report, lines):
    report["lines"] = lines[:3]
    page = Page(html.page(report))
    assert "agent.Q = agent.new_Q.copy()" in page.data["heated"]
    assert "≈ 93,000" in page.data["heated"]
    text = terminal.text(report).split("the dearest lines")[1]
    assert text.index("agent.Q = agent.new_Q.copy()") < text.index("return max(")


def test_memory_by_line_is_shown_on_both(report, script):
    report["allocations"] = [
        {"file": str(script), "line": 3, "mb": 210.0, "growth_mb": 200.04, "history": []}
    ]
    assert "+200.0 MB" in Page(html.page(report)).data["memory"]
    assert "+200.0 MB" in terminal.text(report)


def test_operators_of_torch_are_shown(report, raw):
    raw.operators = [
        {"name": "aten::addmm<", "calls": 1200, "cpu_seconds": 0.5, "device_seconds": 0.0}
    ]
    page = Page(html.page(report, raw, STAGE_OF))
    assert "aten::addmm<" in page.data["operators"]
    assert "1,200" in page.data["operators"]
    raw.operators = None
    assert "operators" not in Page(html.page(report, raw, STAGE_OF)).data


def test_growth_is_counted_from_the_end_of_the_imports(report):
    assert words.growth(report | {"startup_seconds": 1.0}) == pytest.approx(190.4)
    assert words.growth(report | {"memory": []}) == 0.0
    assert "grown by 260 MB" in terminal.text(report)
    assert "grown" not in terminal.text(report | {"startup_seconds": 7.0})


def test_a_change_for_learnings_sake_promises_no_speed(report):
    """It stands after those that do, and a share of the time is not what it is about."""
    report["findings"][0]["gain_limit"] = 1.0
    text, page = terminal.text(report), Page(html.page(report))
    assert text.index("1. dict-table") < text.index("what it learns") < text.index("2. table-copy")
    assert page.data["changes"].startswith("What to change1. The Q-table is a dict")
    assert page.data["learning"].startswith("What it learns2. The whole table copied")
    assert text.count("of the working time") == 1
    assert page.data["gain"].count("of the working time") == 1
    assert page.data["gain"].count("changes what is learned") == 1


def test_findings_that_save_nothing_promise_nothing(report):
    for finding in report["findings"]:
        finding["gain_limit"] = 1.0
    for text in (terminal.text(report), html.page(report)):
        assert "6.1x" not in text
        assert ">What to change<" not in text


def test_what_nobody_measured_is_a_bound(report):
    assert words.together(report) == "about 6.1x"
    report["findings"][0]["proof"] = None
    assert words.together(report) == "at most 6.1x"
    for text in (terminal.text(report), Page(html.page(report)).data["instead"]):
        assert "--prove" in text.replace("\n", " ")
    report["findings"][0]["gain_limit"] = None  # all of the time could go
    assert words.saves_time(report["findings"][0])


def test_both_end_with_what_can_be_reached(report):
    said = "400x as fast, 30.0 ms of training, measured here"
    page = Page(html.page(report)).data["instead"]
    text = terminal.text(report).split("how fast it can be")[1]
    for words_of in (page, text):
        assert words_of.index("about 6.1x as fast") < words_of.index("qlearn train grid")
        assert said in words_of
    del report["instead"]
    assert "about 6.1x as fast" in Page(html.page(report)).data["instead"]
    report["findings"] = []
    assert "how fast it can be" not in terminal.text(report)
    assert "instead" not in Page(html.page(report)).having("id")


def test_a_training_of_ours_was_looked_at_by_no_rule(report, raw):
    report |= {"findings": [], "measured": {"how": "timers"}}
    assert "what to change" not in terminal.text(report)
    page = html.page(report, raw, STAGE_OF)
    assert "What to change" not in page
    assert "From beginning to end" not in page  # its samples know other stages than its timers
    assert "From beginning to end" in html.page(report | {"measured": {}}, raw, STAGE_OF)


def test_a_file_gets_no_blanks_at_the_ends_of_lines(report):
    assert not re.search(r" $", terminal.text(report), re.M)


def test_versions_are_those_of_what_was_installed(report):
    report["modules"] |= {"json": "2.0.9", "_csv": "1.0", "torch": "2.5.0"}
    assert words.versions(report) == "Python 3.11.7, numpy 2.1.0, torch 2.5.0"


def test_every_rule_has_a_heading():
    assert set(words.HEADINGS) == {module.RULE for module in rules.all_rules()}
    assert words.heading({"rule": "rule-of-tomorrow"}) == "Rule of tomorrow"


def test_every_stage_has_a_colour_of_its_own():
    listed = {stage for family in words.FAMILIES.values() for stage in family}
    assert set(vocabulary.STAGES) <= listed | {words.OTHER}
    assert charts.colour("env") == charts.colour("environment")  # by our timers, the same


def test_trouble_of_the_measuring_is_said(report, raw):
    raw.trouble = ["OSError(1)"]
    assert "OSError(1)" in Page(html.page(report, raw, STAGE_OF)).data["footer"]
