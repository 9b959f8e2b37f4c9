"""Map files: every mistake in one line, and defaults under which the goal is worth the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qlearn.envs import maps
from qlearn.envs.plain import PlainGame
from qlearn.envs.registry import find
from qlearn.errors import UserError

WAYS = ((-1, 0), (1, 0), (0, -1), (0, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("maps")


@pytest.fixture
def load(folder):
    def of(content, **options):
        path = folder / "map.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return find(str(path), options)

    return of


# What is read


def test_a_map_is_a_grid_of_its_own(load):
    environment = load("#.G\nS.O\n")
    assert environment.kind == "map"
    assert environment.name == "map.txt"
    assert environment.target.endswith("map.txt")
    assert environment.description == "The board of map.txt, 2 x 3."
    assert environment.observation == 6
    assert environment.world().cells.tolist() == [1, 0, 3, 0, 0, 2]
    assert (environment.world().rows, environment.world().columns) == (2, 3)
    assert environment.world().start == 3


@pytest.mark.parametrize(
    "content",
    ["S.G", "S.G\n", "S.G\r\n", "S.G  \n\n\n", "\ufeffS.G\n", b"S.G\n\x20\n"],
)
def test_line_ends_and_blanks_at_the_end_do_not_matter(load, content):
    assert load(content).observation == 3


def test_the_largest_map(folder):
    """A comb: half a million steps from the start to the goal."""
    rows = ["." * 1000 if k % 2 == 0 else "#" * 1000 for k in range(1000)]
    for k in range(1, 999, 2):
        gap = 999 if k % 4 == 1 else 0
        rows[k] = "#" * gap + "." + "#" * (999 - gap)
    rows[0] = "S" + rows[0][1:]
    rows[998] = "G" + rows[998][1:] if 998 % 4 == 2 else rows[998][:-1] + "G"
    path = folder / "large.txt"
    path.write_text("\n".join(rows))
    environment = find(str(path))
    steps = 500 * 999 + 2 * 499
    assert environment.observation == 1_000_000
    assert environment.notes == ()
    assert environment.options["hole_reward"] <= -steps
    pays = -(1 - environment.discount**steps) / (1 - environment.discount)
    assert pays + environment.discount**steps > -1 / (1 - environment.discount)
    game = PlainGame(environment)
    game.reset()
    for _ in range(999):
        game.step(3)
    assert game.step(1)[0] == -1.0
    assert game.observation.tolist() == [1999]


@pytest.mark.parametrize("shape", [(40, 41), (1, 1000), (1000, 1), (80, 80)])
def test_compiled_and_plain_search_agree(monkeypatch, shape):
    rng = np.random.default_rng(3)
    kinds = rng.choice([0, 1, 2, 3], p=[0.75, 0.2, 0.03, 0.02], size=shape).astype(np.int8)
    monkeypatch.setattr(maps, "PLAIN_CELLS", 10**9)
    plain = maps.distances(kinds, 3)
    monkeypatch.setattr(maps, "PLAIN_CELLS", 0)
    np.testing.assert_array_equal(maps.distances(kinds, 3), plain)
    assert (plain >= 0).any()


# What cannot be


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the map PATH is empty"),
        ("\n \n\n", "the map PATH is empty"),
        ("...\n..G\n", "the map PATH has no start; put one S where episodes begin"),
        ("S..\n..G\n..S\n", "the map PATH has 2 starts (line 1, line 3); one S is needed"),
        ("SSG\n", "the map PATH has 2 starts (line 1); one S is needed"),
        ("S..\n...\n", "the map PATH has no goal; put a G where episodes should end"),
        ("S.G\n..\n", "PATH:2: the line has 2 cells, the first has 3; all lines must be of one"),
        ("S.G\n....\n", "PATH:2: the line has 4 cells, the first has 3"),
        ("S.G\n\n...\n", "PATH:2: the line has 0 cells, the first has 3"),
        ("S.G\n.x.\n", "PATH:2: unknown character 'x' in column 2; a map is made of S (start)"),
        ("S G\n", "PATH:1: unknown character ' ' in column 2"),
        ("s.g\n", "PATH:1: unknown character 's' in column 1"),
        ("S\t.G\n", "PATH:1: unknown character '\\t' in column 2"),
        ("S.G\n.é.\n", "PATH:2: unknown character 'é' in column 2"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "PATH is no text file; a map is made of S G O . and #"),
        (bytes(range(128, 256)), "PATH is no text file"),
        ("S.G\n".encode("utf-16"), "PATH is no text file"),
        ("S" + "." * 999 + "G\n", "the map PATH is 1 x 1001; up to 1000 x 1000 works"),
        ("S\nG\n" + ".\n" * 999, "the map PATH is 1001 x 1; up to 1000 x 1000 works"),
    ],
)
def test_maps_that_cannot_be(load, folder, content, said):
    with pytest.raises(UserError) as caught:
        load(content)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(said.replace("PATH", str(folder / "map.txt")))


def test_files_that_are_no_maps(folder):
    with pytest.raises(UserError, match=r"cannot read the map .*nowhere\.txt: No such file"):
        find(str(folder / "nowhere.txt"))
    (folder / "folder.txt").mkdir()
    with pytest.raises(UserError, match=r"cannot read the map .*folder\.txt"):
        find(str(folder / "folder.txt"))


def test_options_of_a_map_are_those_of_the_grid(load):
    with pytest.raises(UserError, match=r"there is no option env\.slipp; did you mean 'slip'"):
        load("S.G", slipp=0.1)
    assert load("S.G", max_steps=7).max_steps == 7


# What is worth it: the optimum by value iteration over lists


def solve(lines, options, discount, forbidden=""):
    """Optimal values of all cells, a cell of a forbidden kind never entered."""
    cells = {(r, c): mark for r, line in enumerate(lines) for c, mark in enumerate(line)}
    own = {"G": options["goal_reward"], "O": options["hole_reward"]}
    step, classic = options["step_reward"], options["reward"] == "classic"
    values = {cell: 0.0 for cell, mark in cells.items() if mark in "S."}

    def best(cell):
        worth = [-np.inf]
        for down, right in WAYS:
            to = (cell[0] + down, cell[1] + right)
            if cells.get(to, "#") == "#":
                to = cell
            if cells[to] in forbidden:
                continue
            if cells[to] in own:
                worth.append(step + discount * own[cells[to]] if classic else own[cells[to]])
            else:
                worth.append(step + discount * values[to])
        return max(worth)

    for _ in range(100_000):
        new = {cell: best(cell) for cell in values}
        change = max((abs(new[c] - values[c]) for c in new if new[c] != values[c]), default=0.0)
        values = new
        if change < 1e-12:
            break
    return values


def start_of(lines):
    return next((r, line.index("S")) for r, line in enumerate(lines) if "S" in line)


def reachable(lines):
    """Whether a goal can be reached from the start, over free cells."""
    seen, todo = set(), [start_of(lines)]
    while todo:
        row, column = cell = todo.pop()
        if cell in seen or not (0 <= row < len(lines) and 0 <= column < len(lines[0])):
            continue
        mark = lines[row][column]
        if mark == "G":
            return True
        if mark in "S.":
            seen.add(cell)
            todo += [(row + down, column + right) for down, right in WAYS]
    return False


@st.composite
def boards(draw, rows=5, columns=5, marks="....#O"):
    rows, columns = draw(st.integers(1, rows)), draw(st.integers(1, columns))
    assume(rows * columns >= 2)
    marks = draw(st.lists(st.sampled_from(marks), min_size=rows * columns, max_size=rows * columns))
    start, goal = draw(st.permutations(range(rows * columns)))[:2]
    marks[start], marks[goal] = "S", "G"
    return ["".join(marks[r * columns : (r + 1) * columns]) for r in range(rows)]


@pytest.mark.parametrize("reward", ["classic", "arrival"])
def test_with_the_defaults_the_best_policy_reaches_the_goal(load, reward):
    @settings(max_examples=60, deadline=None)
    @given(lines=boards())
    def check(lines):
        environment = load("\n".join(lines), reward=reward)
        if not reachable(lines):
            assert environment.notes == ("the goal cannot be reached from the start",)
            return
        assert environment.notes == ()
        values = solve(lines, environment.options, environment.discount)
        game = PlainGame(environment, autoreset=False)
        game.reset()
        here = start_of(lines)
        ended = False
        for _ in range(len(values) + 1):
            to = max(WAYS, key=lambda way: worth_of(lines, environment, values, here, way))
            _, ended, _ = game.step(WAYS.index(to))
            if ended:
                break
            here = divmod(int(game.observation[0]), len(lines[0]))
        assert ended
        row, column = divmod(int(game.final_observation[0]), len(lines[0]))
        assert lines[row][column] == "G"

    check()


def worth_of(lines, environment, values, cell, way):
    if cell not in values:  # the classic exit: every action is the same
        return 0.0
    to = (cell[0] + way[0], cell[1] + way[1])
    inside = 0 <= to[0] < len(lines) and 0 <= to[1] < len(lines[0])
    if not inside or lines[to[0]][to[1]] == "#":
        to = cell
    ends = {"G": environment.options["goal_reward"], "O": environment.options["hole_reward"]}
    mark = lines[to[0]][to[1]]
    later = environment.options["reward"] == "classic"
    worth = (environment.discount if later else 1.0) * ends[mark] if mark in ends else None
    if worth is not None:
        return worth + (environment.options["step_reward"] if later else 0.0)
    return environment.options["step_reward"] + environment.discount * values[to]


NOTES = {
    "hole": "ending in a hole is optimal",
    "never": "never arriving is optimal",
    "unreachable": "the goal cannot be reached",
}


@pytest.mark.parametrize("reward", ["classic", "arrival"])
def test_notes_say_what_value_iteration_finds(load, reward):
    met = set()

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(
        lines=boards(3, 4, "..OOO#"),
        step=st.sampled_from([-1.0, -0.1, 0.0, 0.1]),
        goal=st.sampled_from([1.0, 0.0, 10.0, -3.0]),
        hole=st.sampled_from([-5.0, -0.5, 2.0]),
    )
    def check(lines, step, goal, hole):
        environment = load(
            "\n".join(lines), reward=reward, step_reward=step, goal_reward=goal, hole_reward=hole
        )
        said = [kind for kind, text in NOTES.items() if any(text in n for n in environment.notes)]
        assert len(said) == len(environment.notes) <= 1
        met.update(said)
        if not reachable(lines):
            assert said == ["unreachable"]
            return

        def value(forbidden=""):
            solved = solve(lines, environment.options, environment.discount, forbidden)
            return solved[start_of(lines)]

        best, close = value(), 1e-6
        if said == ["hole"]:
            assert value("G") >= best - close
        elif said == ["never"]:
            assert value("GO") >= best - close
        else:
            assert value("O") >= best - close
            met.add("goal")
        if best > value("O") + close:
            assert said == ["hole"]
        if best > value("G") + close:
            assert said == []

    check()
    assert met == {"hole", "never", "unreachable", "goal"}


def test_a_hole_that_pays_is_told_with_what_to_change(load):
    (note,) = load("SO" + "." * 20 + "G\n" + "." * 23, hole_reward=-5.0).notes
    assert "ending in a hole is optimal" in note
    assert note.endswith("lower env.hole_reward or raise discount")


def test_never_arriving_is_told_with_what_to_change(load):
    for reward, goal in (("classic", "1.76"), ("arrival", "1.4")):
        (note,) = load("S.G", step_reward=0.5, reward=reward).notes
        assert "never arriving is optimal" in note
        assert f"(5 against {goal} at the goal)" in note
        assert note.endswith("raise env.goal_reward or discount")


def test_where_no_one_can_wait_waiting_is_not_advised(load):
    assert load("OGO\nGSG\nOGO\n", step_reward=0.5).notes == ()


def test_an_unreachable_goal_is_told_on_slippery_maps_too(load):
    assert load("S#G", slip=0.2).notes == ("the goal cannot be reached from the start",)
    assert load("S.G", slip=0.2).notes == ()


def test_the_built_in_board_keeps_the_classic_hole(load):
    assert find("grid").options["hole_reward"] == -5.0
    assert load("S" + "." * 50 + "G").options["hole_reward"] < -100.0
    assert load("S.G", hole_reward=-7.5).options["hole_reward"] == -7.5
