"""Samples, steps, counts and looks: whether what is measured is what the script did."""

from __future__ import annotations

import ast
import marshal
import os
from collections import Counter, defaultdict

import pytest
from child_run import run, write

from qlearn.profiling.sharpen import by_line, shares, sharpened


def main(raw):
    return [sample for sample in raw.samples if sample.thread == "main"]


def whole(raw):
    return sum(sample.seconds for sample in main(raw))


def of_functions(raw):
    """Seconds within each function, those below included, and of itself."""
    within, own = Counter(), Counter()
    for sample in main(raw):
        for name in {raw.frames[place].function for place in sample.stack}:
            within[name] += sample.seconds
        own[raw.frames[sample.stack[-1]].function] += sample.seconds
    return within, own


def by_text(raw, script):
    """Leaf seconds by the text of the expression, in the user's file."""
    lines = script.read_text().splitlines()
    found = Counter()
    for sample in main(raw):
        frame = raw.frames[sample.stack[-1]]
        if frame.file == str(script) and frame.line == frame.end_line:
            found[lines[frame.line - 1][frame.col : frame.end_col]] += sample.seconds
    return found


def calls_of(raw, name):
    return sum(call.calls for call in raw.calls if name in call.function)


WORK = """
import time

def heavy():
    total = 0
    for i in range(3000):
        total += abs(i)
    return total

def light():
    total = 0
    for i in range(1000):
        total += abs(i)
    return total

def main():
    for _ in range(7500):
        heavy()
        light()

main()
"""


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """The script, and what was measured of it."""
    folder = tmp_path_factory.mktemp("work")
    return folder / "script.py", run(folder, WORK).raw


def test_seconds_are_the_wall_time_and_go_where_it_went(worked):
    raw = worked[1]
    assert whole(raw) == pytest.approx(raw.wall_seconds, rel=0.05)
    within, own = of_functions(raw)
    assert within["main"] > 0.9 * raw.wall_seconds
    assert within["heavy"] / (within["heavy"] + within["light"]) == pytest.approx(0.75, abs=0.12)
    assert own["main"] < 0.1 * raw.wall_seconds
    timeline = sum(seconds for _, sums in raw.timeline for seconds in sums.values())
    assert timeline == pytest.approx(whole(raw), rel=0.05)
    assert 5 <= len(raw.timeline) <= 100


def test_stacks_begin_with_the_script_and_know_expressions(worked):
    script, raw = worked
    tree = ast.parse(script.read_text())
    spans = {
        (n.lineno, n.end_lineno, n.col_offset, n.end_col_offset)
        for n in ast.walk(tree)
        if hasattr(n, "lineno")
    }
    for sample in main(raw):
        frames = [raw.frames[place] for place in sample.stack]
        assert frames[0].function == "<module>"
        assert frames[0].file == str(script)
        for frame in frames:
            if frame.file == str(script):
                assert (frame.line, frame.end_line, frame.col, frame.end_col) in spans
    texts = by_text(raw, script)
    assert texts["abs(i)"] > 0
    within = ("total += abs(i)", "abs(i)", "abs", "i", "total")  # too small to be told apart
    assert sum(texts[text] for text in within) > 0.7 * whole(raw)


SEARCH = """
import time
visited = list(range(2000))
def search(n):
    found = 0
    for i in range(n):
        if i + 1999 in visited:
            found += 1
        found += abs(i)
    return found
searched = 0
end = time.perf_counter() + 1.5
while time.perf_counter() < end:
    search(20)
    searched += 20
print(searched)
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search measured by line, where there is no line_profiler."""
    folder = tmp_path_factory.mktemp("search")
    write(folder, "raise ImportError", "line_profiler.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        return run(folder, SEARCH, line=True)


def test_what_has_no_call_is_seen_too(searched):
    """A search in a list: by itself no place where a sample can be taken."""
    raw = searched.raw
    texts = by_text(raw, searched.folder.parent / "script.py")
    assert texts["i + 1999 in visited"] > 0.6 * whole(raw)
    assert texts["abs(i)"] < 0.3 * whole(raw)
    assert whole(raw) == pytest.approx(raw.wall_seconds, rel=0.05)


def test_sleeping_and_computing_outside_are_where_they_are(tmp_path):
    text = """
        import time
        def wait():
            time.sleep(0.3)
        def sort():
            sorted(numbers)
        numbers = [(i * 7919) % 1000003 for i in range(1000000)]
        wait()
        sort()
        wait()
    """
    raw = run(tmp_path, text).raw
    within, _ = of_functions(raw)
    assert within["wait"] == pytest.approx(0.6, rel=0.1)
    assert within["sort"] > 0.05
    assert whole(raw) == pytest.approx(raw.wall_seconds, rel=0.05)


RECURSION = """
import sys
sys.setrecursionlimit(5000)
def down(n):
    return 0 if n == 0 else 1 + down(n - 1)
def numbers(n):
    for i in range(n):
        yield sum(range(i % 50))
for _ in range(1000):
    assert down(900) == 900
    for number in numbers(300):
        abs(number)
"""


def test_recursion_and_generators(tmp_path):
    done = run(tmp_path, RECURSION)
    assert (done.code, done.err) == (0, "")
    raw = done.raw
    within, _ = of_functions(raw)
    assert within["down"] > 0.1 * raw.wall_seconds
    assert within["numbers"] > 0.05 * raw.wall_seconds
    assert max(len(sample.stack) for sample in raw.samples) <= 200
    assert not raw.trouble


def test_threads_are_kept_apart(tmp_path):
    text = """
        import threading, time
        def worker():
            end = time.perf_counter() + 0.8
            while time.perf_counter() < end:
                sum(range(200))
        thread = threading.Thread(target=worker, name="player")
        thread.start()
        thread.join()
    """
    raw = run(tmp_path, text).raw
    assert whole(raw) == pytest.approx(raw.wall_seconds, rel=0.05)
    player = [sample for sample in raw.samples if sample.thread == "player"]
    assert sum(sample.seconds for sample in player) > 0.4
    assert {sample.thread for sample in raw.samples} == {"main", "player"}
    within, _ = of_functions(raw)
    assert "worker" not in within
    assert within["Thread.join"] > 0.5


COUNTED = """
import time
class Agent:
    def step(self):
        return round(0.5)
agent = Agent()
count = 0
end = time.perf_counter() + 2.0
while time.perf_counter() < end:
    for _ in range(1000):
        agent.step()
    count += 1000
print(count)
"""


def test_windows_estimate_how_often(tmp_path):
    done = run(tmp_path, COUNTED)
    count = int(done.out)
    raw = done.raw
    assert 0 < raw.calls_observed < 0.5
    assert count / 3 < calls_of(raw, "Agent.step") < count * 3
    assert count / 3 < calls_of(raw, "builtins.round") < count * 3
    assert "prof" not in raw.artifacts


def test_functions_count_exactly(tmp_path):
    import pstats

    done = run(tmp_path, COUNTED.replace("2.0", "0.3"), functions=True)
    count = int(done.out)
    raw = done.raw
    assert raw.calls_observed == 1.0
    assert calls_of(raw, "Agent.step") == count
    step = next(call for call in raw.calls if call.function == "Agent.step")
    assert (step.file, step.first_line) == (str(tmp_path / "script.py"), 4)
    callers = {raw.calls[number].function: calls for number, calls in step.callers}
    assert callers == {"<module>": count}
    assert calls_of(raw, "builtins.round") == 0  # to count these too would be twice as slow
    with open(raw.artifacts["prof"], "rb") as file:
        stats = marshal.load(file)
    assert stats[(str(tmp_path / "script.py"), 4, "Agent.step")][:2] == (count, count)
    assert not any("child" in file for file, _, _ in stats)
    assert pstats.Stats(raw.artifacts["prof"]).total_calls >= count  # type: ignore[attr-defined]


LOOKED = """
import time
from collections import deque, defaultdict, namedtuple
Move = namedtuple("Move", "state action")

class Angry:
    def __repr__(self): raise SystemExit("called")
    __len__ = __eq__ = __hash__ = __getattr__ = __iter__ = __bool__ = __repr__

class Agent:
    def __init__(self):
        self.Q = {(row, column): 0.5 for row in range(5) for column in range(20)}
        self.memory = deque(maxlen=1000)
        self.epsilon = 1.0
        self.angry = Angry()
        self.by_state = defaultdict(list)
        self.moves = [Move((0.0, 1), 2)]

    def act(self, state):
        odd = Angry()
        best = max(self.Q.values())
        self.memory.append((state, 1, 0.5, state, False))
        self.epsilon *= 0.9999
        return best

agent = Agent()
grows = []
end = time.perf_counter() + 1.2
while time.perf_counter() < end:
    agent.act([1.0, 2.0])
    grows.append(1)
"""


def test_what_names_hold(tmp_path):
    done = run(tmp_path, LOOKED)
    assert (done.code, done.err) == (0, "")
    raw = done.raw
    assert not raw.trouble
    seen = {(entry.function, entry.name): entry for entry in raw.seen}
    table = seen["Agent.act", "self.Q"]
    assert (table.kind, table.size) == ("dict", 100)
    assert (table.detail["key"], table.detail["key_length"], table.detail["value"]) == (
        "tuple", 2, "float",
    )  # fmt: skip
    memory = seen["Agent.act", "self.memory"]
    assert (memory.kind, memory.size, memory.detail["maxlen"]) == ("deque", 1000, 1000)
    assert memory.detail["value_kinds"] == ["list", "int", "float", "list", "bool"]
    assert seen["Agent.act", "state"].kind == "list"
    assert seen["Agent.act", "odd"].kind == "Angry"
    assert seen["Agent.act", "self.angry"].detail["module"] == "__main__.Angry"
    assert seen["<module>", "agent.Q"].size == 100
    assert seen["Agent.act", "self.by_state"].kind == "defaultdict"
    assert seen["Agent.act", "self.moves"].detail["value_length"] == 2
    epsilon = [value for _, value in seen["Agent.act", "self.epsilon"].history]
    assert epsilon == sorted(epsilon, reverse=True)
    assert epsilon[0] > epsilon[-1]
    sizes = [size for _, size in seen["<module>", "grows"].history]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_attributes_are_read_without_running_anything(tmp_path):
    text = """
        import time
        class Base:
            __slots__ = ("board",)
        class Agent(Base):
            moves = 0
            def __init__(self):
                self.board, self.table, self.moves = [1, 2], {1: 2}, 3
            @property
            def best(self):
                raise SystemExit("called")
            def act(self):
                return sum(range(100)), self.best if self.moves < 0 else self.missing_not()
            def missing_not(self):
                return len(self.table)
        agent = Agent()
        end = time.perf_counter() + 0.4
        while time.perf_counter() < end:
            agent.act()
    """
    done = run(tmp_path, text)
    assert (done.code, done.err) == (0, "")
    seen = {entry.name: entry for entry in done.raw.seen if entry.function == "<module>"}
    sizes = {name: entry.size for name, entry in seen.items() if name.startswith("agent.")}
    assert sizes == {"agent.board": 2, "agent.table": 1, "agent.moves": 1}
    assert seen["agent.moves"].detail["value"] == 3


def test_windows_wait_until_everything_is_imported(tmp_path):
    write(tmp_path, "def f(x):\n    return x\nfor i in range(4_000_000):\n    f(i)", "slow.py")
    text = """
        import slow, time
        def g(x):
            return x
        end = time.perf_counter() + 0.3
        while time.perf_counter() < end:
            g(1)
    """
    raw = run(tmp_path, text).raw
    counted = {call.function for call in raw.calls if call.file.startswith(str(tmp_path))}
    assert counted == {"g"}


def test_what_arrays_and_networks_are(tmp_path):
    pytest.importorskip("torch")
    text = """
        import time, numpy as np, torch
        from torch import nn
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
            def forward(self, x):
                return self.layers(x)
        def learn():
            net = Net()
            batch = np.zeros((32, 4))
            states = torch.zeros(32, 4)
            end = time.perf_counter() + 1.0
            while time.perf_counter() < end:
                loss = net(states).sum()
                loss.backward()
        learn()
    """
    raw = run(tmp_path, text).raw
    assert not raw.trouble
    seen = {(entry.function, entry.name): entry for entry in raw.seen}
    net = seen["learn", "net"]
    assert (net.kind, net.size, net.detail["module"]) == ("Module", 58, "__main__.Net")
    assert net.detail["device"] == "cpu"
    assert seen["Net.forward", "self"].kind == "Module"
    batch = seen["learn", "batch"]
    assert (batch.kind, batch.size) == ("ndarray", 128)
    assert (batch.detail["shape"], batch.detail["dtype"]) == ([32, 4], "float64")
    states = seen["learn", "states"]
    assert (states.kind, states.detail["dtype"], states.detail["device"]) == (
        "Tensor", "float32", "cpu",
    )  # fmt: skip
    assert seen["learn", "loss"].detail["requires_grad"]
    assert raw.modules["numpy"]


def test_lines_without_a_line_profiler(searched):
    raw, count = searched.raw, int(searched.out)
    rows = {row["line"]: row for row in raw.lines or () if row["file"].endswith("script.py")}
    assert rows[7]["seconds"] > 0.5 * raw.wall_seconds
    assert rows[7]["hits"] == rows[9]["hits"]
    busy = raw.cpu_seconds / raw.wall_seconds  # waiting for a processor is no hit of a line
    assert count / 2.5 < busy * rows[7]["hits"] < count * 2.5


def test_lines_with_a_line_profiler(tmp_path):
    """Its counts are exact, of the functions that were hottest in the first second."""
    pytest.importorskip("line_profiler")
    done = run(tmp_path, SEARCH.replace("1.5", "2.0"), line=True)
    rows = {row["line"]: row for row in done.raw.lines or ()}
    assert done.err == ""
    assert {row["function"] for row in rows.values()} == {"search"}
    assert 0 < rows[7]["hits"] == rows[9]["hits"] < int(done.out)
    assert rows[6]["hits"] == rows[7]["hits"] + rows[5]["hits"]  # the loop's end each time
    assert rows[7]["seconds"] > 0.5 * sum(row["seconds"] for row in rows.values())


def test_the_cost_is_said(worked):
    raw = worked[1]
    assert set(raw.cost) == {"sampler_seconds", "windows_seconds"}
    assert 0 < raw.cost["sampler_seconds"] < 0.5 * raw.wall_seconds
    assert 0 < raw.cost["windows_seconds"] < 0.5 * raw.wall_seconds


# ---- sharpening, on numbers


A, B, C, D = (0, 1), (0, 2), (0, 3), (0, 2, 5)


def test_a_sample_stands_for_what_ran_since_the_place_before():
    window = [(C, 10), (A, 10), (B, 310), (C, 110), (A, 10), (B, 310), (C, 110)]
    found = shares({C}, [window])
    assert set(found) == {C}
    parts = dict(found[C])
    assert parts[B] == pytest.approx(300 / 410, abs=0.01)
    assert parts[C] == pytest.approx(100 / 410, abs=0.01)
    assert parts[A] == pytest.approx(10 / 410, abs=0.01)
    assert sum(parts.values()) == pytest.approx(1.0)


def test_a_place_of_its_own_keeps_what_is_its():
    window = [(C, 10), (B, 310), (C, 110)] * 3 + [(A, 10)] * 8
    found = shares({B, C}, [window])
    assert dict(found[B]) == {B: pytest.approx(1.0)}
    assert dict(found[C]) == {C: pytest.approx(1.0)}


def test_sharpening_keeps_the_sum_and_the_timeline():
    rows = [("main", C, 4.1, 41), ("main", D, 1.0, 10), ("other", C, 2.0, 20)]
    timeline = [(0.0, {0: 2.1, 1: 1.0}), (1.0, {0: 2.0})]
    window = [(C, 10), (A, 10), (B, 310), (C, 110)]
    new, moved = sharpened(rows, timeline, [window])
    sums = defaultdict(float)
    for thread, stack, seconds, _ in new:
        sums[thread, stack] += seconds
    assert sums["main", B] == pytest.approx(4.1 * 300 / 410, abs=0.05)
    assert sums["main", D] == 1.0
    assert sums["other", C] == 2.0
    assert sum(sums.values()) == pytest.approx(7.1)
    assert sum(row[3] for row in new) == 71
    assert [sum(bucket.values()) for _, bucket in moved] == pytest.approx([3.1, 2.0])
    number = next(n for n, row in enumerate(new) if row[:2] == ("main", B))
    assert moved[0][1][number] == pytest.approx(2.1 * 300 / 410, abs=0.05)


def test_without_windows_nothing_moves():
    rows = [("main", C, 4.0, 4)]
    assert sharpened(rows, [(0.0, {0: 4.0})], []) == (rows, [(0.0, {0: 4.0})])


class Frame:
    def __init__(self, line, file="f.py"):
        self.file, self.function, self.first_line, self.line = str(file), "f", 1, line


def test_lines_count_each_line_once_a_stack():
    frames = [Frame(2), Frame(3), Frame(3)]
    rows = [("main", (0,), 1.0, 1), ("main", (1,), 2.0, 2), ("main", (1, 2), 4.0, 4)]
    window = [((0,), 10), ((1,), 1010), ((0,), 10), ((1,), 1010)]
    found = {row["line"]: row for row in by_line(rows, [window], frames)}
    assert found[3]["seconds"] == 6.0
    assert found[2]["seconds"] == 1.0


BLOCKS = """\
def f(n):
    a = n
    b = a
    for i in range(n):
        c = i
        d = c
        if d % 4:
            continue
        e = d
"""


def test_lines_of_one_block_were_hit_equally_often(tmp_path):
    """However the samples fell, and wherever a window began."""
    script = write(tmp_path, BLOCKS)
    lines = range(2, 10)
    frames = [Frame(line, script) for line in range(10)]
    rows = [("main", (line,), 0.001 * line * line, 1) for line in lines]
    round_of_loop = [4, 5, 6, 7, 8] * 3 + [4, 5, 6, 7, 9]
    call = [2, 3, *round_of_loop * 5, 4]
    steps = [((line,), 1010) for line in [6, 7, *call, 2, 3, 4, 5]] + [((0,), 10)] * 40
    hits = {row["line"]: row["hits"] for row in by_line(rows, [steps], frames)}
    assert hits.keys() == set(lines)
    assert hits[2] == hits[3] > 0
    assert hits[5] == hits[6] == hits[7]
    assert hits[4] > hits[5]
    assert hits[5] / hits[2] == pytest.approx(20 / 2, rel=0.1)
    assert hits[9] / hits[8] == pytest.approx(1 / 3, rel=0.01)
    cost = 1000e-9  # all steps took as long as each other: so many there were in all
    assert sum(hits.values()) == pytest.approx(sum(row[2] for row in rows) / cost, rel=0.02)
