"""Every mistake in an environment is told in words, at the user's own line."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import qlearn
from qlearn.envs import registry
from qlearn.envs.check import check
from qlearn.envs.checks import watching
from qlearn.envs.checks.quick import probe
from qlearn.errors import UserError

EXAMPLES = Path(__file__).parents[2] / "examples"

GOOD = '''
import math
import numpy as np
from qlearn.rng import integers, uniform

SPEED = 0.5


def clipped(x):
    return max(-9.0, min(9.0, x))


class Walk:
    """Walk along a line to its end."""

    actions = 2
    observation = (3,)
    max_steps = 50
    options = {"pace": 1.0}
    state = {"x": "float64", "steps": "int64", "seen": ("float64", 4)}

    def reset(state, rng):
        state.x = uniform(rng)
        state.steps = 0
        for k in range(4):
            state.seen[k] = 0.0

    def step(state, action, rng, world):
        state.x = clipped(state.x + world.pace * SPEED * (2 * action - 1))
        state.seen[state.steps & 3] = state.x
        state.steps += 1
        return 1.0 - abs(state.x), abs(state.x) > 4.0

    def observe(state, obs):
        obs[0] = state.x
        obs[1] = state.seen[0]
        obs[2] = 0.1 * state.steps
'''

RESET, STEPS, PAID = (
    "state.steps = 0",
    "state.steps += 1",
    "return 1.0 - abs(state.x), abs(state.x) > 4.0",
)
SEES = "obs[0] = state.x"


def written(folder: Path, text: str, name: str = "walk.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def broken(*changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def found_in(folder: Path, text: str, **options):
    return check(f"{written(folder, text)}:Walk", options)


def line_of(text: str, mark: str = "# HERE") -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if mark in line)


def assert_told(problems, path: Path, line: int, words: tuple[str, ...], severity: str):
    told = [p for p in problems if p.line == line and p.severity == severity]
    assert told, f"nothing at line {line}: {[str(p) for p in problems]}"
    assert Path(told[0].file).name == path.name
    for word in words:
        assert word in told[0].message, told[0].message


# What is declared, and what the functions' text says: found without compiling anything.

DECLARED = {
    "practice of nothing": ([("max_steps = 50", "max_steps = 50\n    practice = {'wealth': 1.0}  # HERE")],
                            ("`practice`", "'wealth': 1.0")),
    "no actions": ([("    actions = 2\n", ""), ("class Walk:", "class Walk:  # HERE")], ("no `actions`",)),
    "a slip of the pen": (
        [("    actions = 2\n", "    action = 2\n"), ("class Walk:", "class Walk:  # HERE")],
        ("no `actions`", "did you mean 'action'?"),
    ),
    "actions no number": ([("actions = 2", "actions = 'two'  # HERE")], ("`actions`", "'two'")),
    "no action at all": ([("actions = 2", "actions = 0  # HERE")], ("at least 1",)),
    "observation no shape": (
        [("observation = (3,)", "observation = (3, 3)  # HERE")], ("`observation`", "shape"),
    ),
    "negative limit": ([("max_steps = 50", "max_steps = -1  # HERE")], ("`max_steps`", "-1")),
    "state no dict": ([('state = {"x": "float64", "steps": "int64", "seen": ("float64", 4)}',
                        'state = ["x", "steps"]  # HERE')], ("`state` must name its fields",)),
    "a field without a name": ([('"seen": ("float64", 4)}', '"seen": ("float64", 4), "class": "bool"}  # HERE')],
                               ("called 'class'",)),
    "too large to see": ([("observation = (3,)", "observation = (10**12,)  # HERE")], ("too large",)),
    "bounds the wrong way": ([("max_steps = 50", "max_steps = 50\n    low, high = 1.0, 0.0  # HERE")],
                             ("`low` must be below `high`",)),
    "an option without a name": ([('options = {"pace": 1.0}', 'options = {"pace": 1.0, 3: 4}  # HERE')],
                                 ("called 3",)),
    "field of text": ([('"steps": "int64"', '"steps": "str"'), ('"seen": ("float64", 4)}',
                        '"seen": ("float64", 4)}  # HERE')], ("'steps'", "use float64")),
    "no step": (
        [("def step(", "def stepp("), ("class Walk:", "class Walk:  # HERE")],
        ("no `def step(state, action, rng)`", "did you mean 'stepp'?"),
    ),
    "self": ([("def reset(state, rng):", "def reset(self, state, rng):  # HERE")], ("no self",)),
    "as in Gymnasium": ([("def reset(state, rng):", "def reset(self):  # HERE")], ("no self",)),
    "too few arguments": (
        [("def observe(state, obs):", "def observe(state):  # HERE")],
        ("`observe` must take (state, obs)", "not (state)"),
    ),
    "a default": (
        [("def step(state, action, rng, world):", "def step(state, action, rng, world=1):  # HERE")],
        ("default",),
    ),
    "a generator": ([(PAID, f"yield 1\n        {PAID}"),
                     ("def step(state, action, rng, world):", "def step(state, action, rng, world):  # HERE")],
                    ("without async and yield",)),
    "configure raises": (
        [("    def reset(", "    @staticmethod\n    def configure(options):\n"
          "        return {'actions': options['nothing']}  # HERE\n\n    def reset(")],
        ("configure raised KeyError",),
    ),
    "a list as an option": ([('options = {"pace": 1.0}', 'options = {"pace": [1.0]}  # HERE')],
                            ("'pace'", "tuple of choices")),
    "a decorator": ([("    def step(", "    @functools.lru_cache\n    def step("),
                     ("def step(state, action, rng, world):", "def step(state, action, rng, world):  # HERE"),
            ("import math", "import functools\nimport math")],
                    ("`step`", "without a decorator")),
    "bounds of too few": (
        [("actions = 2", "actions = 2\n    bounds = ((0, 1),)  # HERE")], ("`bounds`", "each number"),
    ),
    "names of actions": (
        [("actions = 2", "actions = 2\n    action_names = ('left',)  # HERE")], ("1 `action_names` for 2",),
    ),
    "draw with rng": (
        [("    def observe(", "    def draw(state, rng, world):  # HERE\n        return ''\n\n    def observe(")],
        ("`draw` must take (state)",),
    ),
}  # fmt: skip

TEXT = {
    "undeclared": ([(STEPS, "state.stebs += 1  # HERE")], ("state.stebs", "did you mean 'steps'?")),
    "undeclared on a rare way": (
        [(STEPS, "if state.x > 1e9:\n            state.stebs = 1  # HERE\n        state.steps += 1")],
        ("state.stebs",),
    ),
    "undeclared in a helper": (
        [("def clipped(x):", "def count(s):\n    s.stebs += 1  # HERE\n\n\ndef clipped(x):"),
         (STEPS, "count(state)\n        state.steps += 1")],
        ("count uses s.stebs",),
    ),
    "no such option": ([("world.pace", "world.speed"), ("def step(state, action, rng, world):",
                        "def step(state, action, rng, world):"),
                        ("* (2 * action - 1))", "* (2 * action - 1))  # HERE")],
                       ("world.speed", "no option")),
    "undefined": ([(STEPS, "state.steps += pace  # HERE")], ("'pace', which is not defined",)),
    "array replaced": ([(RESET, "state.seen = 0.0  # HERE\n        state.steps = 0")],
                       ("state.seen[:] = ...",)),
    "by key": ([(RESET, "state['steps'] = 0  # HERE")], ("write state.steps",)),
    "obs renamed": ([(SEES, "obs = np.array([state.x])  # HERE")], ("write obs[0] = ...",)),
    "allocates an array": ([(STEPS, "spare = np.zeros(3)  # HERE\n        state.steps += 1")],
                           ("np.zeros", "in `state`")),
    "builds a list": ([(STEPS, "spare = [1, 2]  # HERE\n        state.steps += 1")], ("builds a list",)),
    "comprehends": ([(STEPS, "state.steps += sum([1 for _ in range(1)])  # HERE")], ("a list",)),
    "builds a dict": ([(STEPS, "state.steps += {0: 1, 1: 1}[action]  # HERE")], ("builds a dict",)),
    "copies": ([(STEPS, "old = state.seen.copy()  # HERE\n        state.steps += 1")], (".copy()",)),
    "random": ([("import math", "import math\nimport random"), (STEPS, "state.steps += random.randint(1, 2)  # HERE")],
               ("random.randint", "uniform(rng)")),
    "numpy random": ([(STEPS, "state.steps += int(np.random.rand() < 2.0)  # HERE")],
                     ("np.random", "uniform(rng)")),
    "from random": ([("import math", "from random import random"), (STEPS, "state.steps += int(random() < 2)  # HERE")],
                    ("the seed does not reach",)),
    "the clock": ([("import math", "import time"), (STEPS, "state.steps += int(time.time() > 0)  # HERE")],
                  ("reads the clock",)),
    "random in a helper": (
        [("    return max(-9.0,", "    x += 0.0 * np.random.random()  # HERE\n    return max(-9.0,")],
        ("clipped draws from np.random.random",),
    ),
    "methods of rng": ([("state.x = uniform(rng)", "state.x = rng.random()  # HERE")], ("rng is a stream",)),
    "global counter": ([("SPEED = 0.5", "SPEED = 0.5\nplayed = 0"),
                        (STEPS, "global played  # HERE\n        played += 1\n        state.steps += 1")],
                       ("changes a global",)),
    "global array": ([("SPEED = 0.5", "SPEED = 0.5\nTABLE = np.zeros(3)"),
                      (STEPS, "TABLE[0] += 1  # HERE\n        state.steps += 1")],
                     ("changes the global 'TABLE'",)),
    "attribute of the class": ([("    actions = 2", "    actions = 2\n    played = 0"),
                                (STEPS, "Walk.played += 1  # HERE\n        state.steps += 1")],
                               ("changes",)),
    "large global array": ([("SPEED = 0.5", "SPEED = 0.5\nTABLE = np.zeros(5000)"),
                            (STEPS, "state.steps += 1 + int(TABLE[0])  # HERE")],
                           ("large global array 'TABLE'", "`world`")),
    "global list": ([("SPEED = 0.5", "SPEED = 0.5\nTABLE = [1, 2]"),
                     (STEPS, "state.steps += TABLE[0]  # HERE")], ("global list 'TABLE'",)),
    "global dict": ([("SPEED = 0.5", "SPEED = 0.5\nTABLE = {0: 1, 1: 1}"),
                     (STEPS, "state.steps += TABLE[action]  # HERE")], ("global dict 'TABLE'",)),
    "an object": ([("SPEED = 0.5", "SPEED = 0.5\nclass P:\n    a = 1\np = P()"),
                   (STEPS, "state.steps += p.a  # HERE")], ("global 'p'",)),
    "five values": ([(PAID, "return obs, 1.0, False, False, {}  # HERE")], ("not 5 values",)),
    "five values on a rare way": (
        [(PAID, f"if state.x > 1e9:\n            return 1.0, False, {{}}  # HERE\n        {PAID}")],
        ("not 3 values",),
    ),
    "an import": ([(STEPS, "import math  # HERE\n        state.steps += 1")], ("at the top",)),
    "del": ([(STEPS, "del state.x  # HERE\n        state.steps += 1")], ("`del`",)),
    "with": ([(STEPS, "with open('f'):  # HERE\n            state.steps += 1")], ("`with`",)),
    "writes to world": ([(STEPS, "world.pace = 2.0  # HERE\n        state.steps += 1")], ("read-only",)),
}  # fmt: skip

# What plain play finds.

PLAYED = {
    "raises": ([(STEPS, "state.steps += 1 // (state.steps - state.steps)  # HERE")],
               ("step raised ZeroDivisionError", "action", "step 1 of an episode", "seed 0")),
    "raises in reset": ([(RESET, "state.steps = int(math.log(0.0))  # HERE")],
                        ("reset raised ValueError", "at the start of an episode")),
    "raises in a helper": ([("    return max(-9.0,", "    math.sqrt(-1.0)  # HERE\n    return max(-9.0,")],
                           ("clipped raised ValueError",)),
    "raises later": ([(STEPS, "state.steps += 1\n        math.sqrt(9.0 - state.steps)  # HERE")],
                     ("step 10 of an episode",)),
    "quits": ([(STEPS, "raise SystemExit(1)  # HERE")], ("SystemExit",)),
    "outside obs": ([("obs[2] = 0.1 * state.steps", "obs[3] = 0.1 * state.steps  # HERE")],
                    ("outside an array", "obs[3]", "index 3", "0 .. 2")),
    "outside the state": ([("state.seen[state.steps & 3] = state.x", "state.seen[state.steps] = state.x  # HERE")],
                          ("state.seen[state.steps]", "index 4", "0 .. 3")),
    "obs half filled": ([("        obs[1] = state.seen[0]\n", ""), ("def observe(state, obs):", "def observe(state, obs):  # HERE")],
                        ("2 of 3 numbers", "obs[1]")),
    "obs given back": (
        [(f"        {SEES}\n        obs[1] = state.seen[0]\n        obs[2] = 0.1 * state.steps\n", "        return state.x\n"),
         ("def observe(state, obs):", "def observe(state, obs):  # HERE")],
        ("must fill obs",),
    ),
    "NaN seen": ([("obs[1] = state.seen[0]", "obs[1] = state.seen[0] + float('nan')  # HERE")], ("obs[1] to NaN",)),
    "infinity seen": ([(SEES, "obs[0] = 1e200 * (1.0 + abs(state.x))  # HERE")], ("obs[0] to infinite",)),
    "outside its bounds": (
        [("max_steps = 50", "max_steps = 50\n    low, high = 0.0, 3.0"), (SEES, f"{SEES}  # HERE")],
        ("obs[0]", "outside 0 .. 3"),
    ),
    "NaN paid": ([(PAID, "return float('nan'), False  # HERE")], ("reward that is NaN",)),
    "infinity paid": ([(PAID, "return math.inf, False  # HERE")], ("reward that is infinite",)),
    "nothing paid": ([(PAID, "nothing = state.x > 9.5  # HERE")], ("not nothing",)),
    "a reward alone": ([(PAID, "return 1.0  # HERE")], ("(reward, terminated), not a float",)),
    "a reward of text": ([(PAID, "return '1', False  # HERE")], ("no number: '1'",)),
    "no reward": ([(PAID, "return None, False  # HERE")], ("no number: None",)),
    "terminated of text": ([(PAID, "return 1.0, 'no'  # HERE")], ("True or False", "'no'")),
    "the wrong way round": ([(PAID, "return False, 1.0  # HERE")], ("the reward comes first",)),
    "one return of two": ([(PAID, "if state.x > 1.5:\n            return math.nan, False  # HERE\n        return 0.0, False")],
                          ("reward that is NaN",)),
    "truncated of text": (
        [("    def observe(", "    def truncated(state):  # HERE\n        return 'no'\n\n    def observe(")],
        ("truncated must give True or False",),
    ),
    "a score of NaN": (
        [("    def observe(", "    def score(state):  # HERE\n        return math.nan\n\n    def observe(")],
        ("score gives NaN",),
    ),
    "the world is shared": (
        [("    options = {", "    world = {'table': np.ones(3)}\n    options = {"),
         (STEPS, "world.table[0] = 2.0  # HERE\n        state.steps += 1")],
        ("world", "read-only"),
    ),
    "drawn as no text": (
        [("    def observe(", "    def draw(state, world):  # HERE\n        return 1\n\n    def observe(")],
        ("draw must give a text",),
    ),
    "too large": ([('"steps": "int64"', '"steps": "int16"'), (STEPS, "state.steps += 70000  # HERE")], ("70000",)),
}  # fmt: skip

WARNED = {
    "action unused": ([("(2 * action - 1)", "1"), ("def step(state, action, rng, world):",
                        "def step(state, action, rng, world):  # HERE")], ("never looks at `action`",)),
    "prints": ([(STEPS, "print(state.x)  # HERE\n        state.steps += 1")], ("prints",)),
    "fraction lost": ([(STEPS, "state.steps += 1.5  # HERE")], ("loses the fraction of 1.5", "float64")),
    "observe changes the state": ([(SEES, f"state.steps += 1\n        {SEES}"),
                                   ("def observe(state, obs):", "def observe(state, obs):  # HERE")],
                                  ("observe changes state.steps",)),
    "reset forgets": ([(f"        {RESET}\n", ""), ("def reset(state, rng):", "def reset(state, rng):  # HERE")],
                      ("reset leaves state.steps",)),
}  # fmt: skip

CASES = [
    (kind, name) for kind in ("declared", "text", "played") for name in globals()[kind.upper()]
]


@pytest.fixture
def uncompiled(monkeypatch):
    """These mistakes are found before anything is compiled."""
    from qlearn.envs.checks import compiling

    monkeypatch.setattr(compiling, "problems", lambda environment, files: [])


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_mistake_is_told_at_its_line(kind, name, tmp_path, uncompiled):
    changes, words = globals()[kind.upper()][name]
    text = broken(*changes)
    problems = found_in(tmp_path, text)
    assert_told(problems, tmp_path / "walk.py", line_of(text), words, "error")


@pytest.mark.parametrize("name", WARNED)
def test_oddity_is_a_warning(name, tmp_path, uncompiled, capfd):
    changes, words = WARNED[name]
    text = broken(*changes)
    problems = found_in(tmp_path, text)
    assert_told(problems, tmp_path / "walk.py", line_of(text), words, "warning")
    assert [p for p in problems if p.severity == "error"] == []
    assert capfd.readouterr().out == ""


def test_the_text_these_tests_break_has_no_problem(tmp_path, uncompiled):
    assert found_in(tmp_path, GOOD) == []


def test_the_example_and_the_built_ins_have_no_problem():
    for target in (f"{EXAMPLES / 'my_env.py'}:Lander", *registry.BUILTIN):
        assert check(target) == []


def test_what_a_file_prints_does_not_reach_standard_output(tmp_path, capfd):
    text = "print('imported')\n" + broken((STEPS, f"print('stepped')\n        {STEPS}"))
    assert [problem.severity for problem in found_in(tmp_path, text)] == ["warning"]
    assert capfd.readouterr().out == ""


def test_several_mistakes_are_told_at_once(tmp_path, uncompiled):
    text = broken(
        (STEPS, "spare = np.zeros(3)\n        state.steps += 1"),
        (RESET, "state.stebs = 0"),
        ("obs[1] = state.seen[0]", "obs[1] = np.random.rand()"),
    )
    lines = text.splitlines()
    told = {lines[p.line - 1].strip() for p in found_in(tmp_path, text)}
    assert told >= {"spare = np.zeros(3)", "state.stebs = 0", "obs[1] = np.random.rand()"}
    both = broken(("actions = 2", "actions = 0"), ("observation = (3,)", "observation = 0"))
    assert len(found_in(tmp_path, both)) == 2
    assert len(found_in(tmp_path, "class Walk:\n    pass\n")) == 6


def test_a_hidden_source_that_the_text_does_not_show(tmp_path, uncompiled):
    text = broken(
        ("SPEED = 0.5", "SPEED = 0.5\nplayed = np.zeros(1)\n"),
        ("def clipped(x):\n", "def clipped(x):\n    here = played\n    here[0] += 1\n    x += here[0]\n"),
        ("def step(state, action, rng, world):", "def step(state, action, rng, world):  # HERE"),
    )  # fmt: skip
    problems = found_in(tmp_path, text)
    words = ("two different games",)
    assert_told(problems, tmp_path / "walk.py", line_of(text), words, "error")


def test_a_step_that_does_not_come_back(tmp_path, uncompiled, monkeypatch):
    monkeypatch.setattr(watching, "LONGEST_CALL", 0.2)
    text = broken((STEPS, "while state.steps >= 0:\n            state.x = 0.0  # HERE"))
    problems = found_in(tmp_path, text)
    assert ["does not come back" in problem.message for problem in problems] == [True]
    assert abs(problems[0].line - line_of(text)) <= 1


# What only compiled play finds, about two seconds each.

COMPILED = {
    "cannot be compiled": ([(STEPS, "state.steps += int(np.clip(state.x, 1.0, 1.0))  # HERE")],
                           ("step cannot be compiled: there is no clip",), "error"),
    "a new array": ([(STEPS, "state.steps += int((state.seen + 1.0)[0] > -1e9)  # HERE")],
                    ("computes a whole new array",), "error"),
    "a rare write outside": (
        [("    return max(-9.0,", "    return max(-9999.0,"), ("min(9.0, x)", "min(9999.0, x)"),
         ("max_steps = 50", "max_steps = 0"), ("abs(state.x) > 4.0", "abs(state.x) > 400.0"),
         ("state.steps += 1\n", "state.steps += 1\n        state.seen[int(abs(state.x)) // 8] = 1.0  # HERE\n")],
        ("outside an array", "index 4", "0 .. 3"), "error",
    ),
    "another number when compiled": (
        [(STEPS, "state.steps += 1\n        state.x += 2 ** (-state.steps)"),
         ("def step(state, action, rng, world):", "def step(state, action, rng, world):  # HERE")],
        ("when compiled", "in plain Python"), "error",
    ),
    "rounded elsewhere": (
        [('"x": "float64"', '"x": "float32"'),
         (STEPS, "state.steps += 1\n        state.x = state.x * state.x * state.x"),
         ("def step(state, action, rng, world):", "def step(state, action, rng, world):  # HERE")],
        ("float32", "float64 is as fast"), "warning",
    ),
    "too large at times": (
        [('"steps": "int64"', '"steps": "int16"'), ("max_steps = 50", "max_steps = 500"),
         ("abs(state.x) > 4.0", "state.steps < 0"), ("state.steps += 1\n", "state.steps += 200\n"),
         ("state.seen[state.steps & 3]", "state.seen[0]"), ("0.1 * state.steps", "1.0"),
         ("def step(state, action, rng, world):", "def step(state, action, rng, world):  # HERE")],
        ("in plain Python alone", "out of bounds for int16"), "error",
    ),
    "never ends": (
        [("max_steps = 50", "max_steps = 0"), ("abs(state.x) > 4.0", "abs(state.x) > 40.0"),
         ("def step(state, action, rng, world):", "def step(state, action, rng, world):  # HERE")],
        ("no episode ended", "`max_steps`"), "warning",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPILED)
def test_what_compiled_play_finds(name, tmp_path):
    changes, words, severity = COMPILED[name]
    text = broken(*changes)
    problems = found_in(tmp_path, text)
    assert_told(problems, tmp_path / "walk.py", line_of(text), words, severity)


# Files that are none, other kinds of environments.


def test_files_that_cannot_be_read_as_environments(tmp_path):
    path = written(tmp_path, "class Walk:\n    actions = (\n")
    [problem] = check(f"{path}:Walk")
    assert "no Python" in problem.message
    assert problem.line == 2
    path = written(tmp_path, "import math\nmath.sqrt(-1)\n", "raises.py")
    [problem] = check(f"{path}:Walk")
    assert problem.line == 2
    assert "ValueError" in problem.message
    path = written(tmp_path, GOOD, "named.py")
    assert "did you mean 'Walk'?" in check(f"{path}:Wolk")[0].message
    assert "no class" in check(f"{path}:clipped")[0].message
    assert "write" in check(str(path))[0].message
    assert "cannot read" in check(f"{tmp_path / 'missing.py'}:Walk")[0].message
    assert "did you mean 'pace'?" in check(f"{path}:Walk", {"pase": 1})[0].message


def test_maps(tmp_path):
    assert check(str(written(tmp_path, "S.\n.G\n", "good.txt"))) == []
    [problem] = check(str(written(tmp_path, "S.\n.GG\n", "ragged.txt")))
    assert (problem.line, problem.severity) == (2, "error")
    [problem] = check(str(written(tmp_path, "S#\n#G\n", "walled.txt")))
    assert problem.severity == "warning"
    assert "cannot be reached" in problem.message


def test_options_of_built_ins():
    assert "env.sise" in check("snake", {"sise": 8})[0].message
    assert check("snake", {"size": 8, "observation": "features"}) == []
    assert "did you mean 'snake'" in check("snoke")[0].message


REWARD = "def shaped(before, action, after, reward, terminated):\n    {0}\n"


@pytest.mark.parametrize(
    ("body", "words", "line"),
    [
        ("return float('nan')", "NaN", 1),
        ("after[0] = 0.0; return reward", "changes what it is shown", 1),
        ("return before[4]", "outside an array: before[4]", 2),
        ("return reward + pole", "'pole', which is not defined", 2),
    ],
)
def test_a_reward_of_the_users_own(body, words, line, tmp_path):
    path = written(tmp_path, REWARD.format(body), "shape.py")
    [problem] = check("cartpole", {"reward": f"{path}:shaped"})
    assert words in problem.message
    assert (Path(problem.file).name, problem.line) == ("shape.py", line)


def test_a_good_reward_of_the_users_own(tmp_path):
    path = written(tmp_path, REWARD.format("return reward - abs(after[2])"), "shape.py")
    assert check("cartpole", {"reward": f"{path}:shaped"}) == []


# The quick look before training.


def test_probe_stops_a_broken_file_in_one_line(tmp_path):
    path = written(tmp_path, broken(("obs[2] = 0.1", "obs[30] = 0.1")))
    with pytest.raises(
        UserError, match=rf"^{re.escape(str(path))}:37: observe reaches outside an array"
    ) as told:
        qlearn.make(f"{path}:Walk", envs=4)
    assert "\n" not in str(told.value)


def test_what_a_class_declares_is_told_with_its_line_by_every_command(tmp_path):
    path = written(tmp_path, broken(("actions = 2", "actions = 0")))
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}:16: `actions` must be"):
        registry.find(f"{path}:Walk")


def test_probe_is_quick(tmp_path):
    environment = registry.find(f"{written(tmp_path, GOOD)}:Walk")
    begun = time.perf_counter()
    probe(environment)
    assert time.perf_counter() - begun < 0.3


def test_probe_ends_where_a_step_is_slow(tmp_path):
    slow = broken((STEPS, "for _ in range(300_000):\n            pass\n        state.steps += 1"))
    environment = registry.find(f"{written(tmp_path, slow)}:Walk")
    begun = time.perf_counter()
    probe(environment)
    assert time.perf_counter() - begun < 1.0


def test_what_is_divided_into_buckets_is_probed_as_it_was_written():
    probe(registry.find("cartpole", {"buckets": 4}))
