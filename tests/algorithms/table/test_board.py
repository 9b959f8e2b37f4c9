"""What a table learned about a board, as text and as a picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qlearn.algorithms.table import board as boards
from qlearn.algorithms.table import exact, picture
from qlearn.algorithms.table.board import FINE, NO_ARROW, PLAIN, board_of, summary, text
from qlearn.envs.builtin.grid import DOWN, FREE, GOAL, HOLE, LEFT, RIGHT, UP, WALL
from qlearn.envs.layout import layout_of
from qlearn.envs.model import model_of
from qlearn.envs.registry import find
from qlearn.errors import UserError

STEPS = {UP: (-1, 0), DOWN: (1, 0), LEFT: (0, -1), RIGHT: (0, 1)}
FIELD = "S.#.\n.O..\n...G\n"


def optimal(environment):
    """The table of the exact optimum: every arrow is right, nothing had to be trained."""
    return exact.solve(model_of(environment), environment.discount).table


def map_of(folder: Path, lines: str, **options):
    (folder / "field.txt").write_text(lines)
    return find(str(folder / "field.txt"), options)


def open_field(folder: Path, rows: int, columns: int):
    cells = np.full((rows, columns), ".")
    cells[0, 0], cells[-1, -1] = "S", "G"
    return map_of(folder, "\n".join("".join(row) for row in cells))


def image_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64)


def colours_of(image: np.ndarray) -> int:
    return len(np.unique(image @ [1, 256, 65536]))


# Layouts.


def test_layout_of_the_grid_is_its_board():
    layout = layout_of(find("grid"))
    assert layout.kinds.shape == (5, 5)
    assert layout.start == 0
    assert layout.directions == (UP, DOWN, LEFT, RIGHT)
    assert layout.kinds[4, 4] == GOAL
    assert [tuple(place) for place in np.argwhere(layout.kinds == HOLE)] == [
        (1, 0), (1, 3), (3, 1), (4, 2),
    ]  # fmt: skip


def test_layout_of_a_map_has_its_walls(tmp_path):
    layout = layout_of(map_of(tmp_path, FIELD))
    assert layout.kinds.tolist() == [
        [FREE, FREE, WALL, FREE],
        [FREE, HOLE, FREE, FREE],
        [FREE, FREE, FREE, GOAL],
    ]


@pytest.mark.parametrize("native", [True, False])
def test_layout_of_frozen_lake(native):
    layout = layout_of(find("gym:FrozenLake-v1", {"native": native}))
    marks = np.array(list("SFHG"))[
        np.select([layout.kinds == HOLE, layout.kinds == GOAL], [2, 3], 1)
    ]
    marks.flat[layout.start] = "S"
    assert ["".join(row) for row in marks] == ["SFFF", "FHFH", "FFFH", "HFFG"]
    assert layout.directions == (LEFT, DOWN, RIGHT, UP)


def test_layout_of_frozen_lake_knows_its_options():
    assert layout_of(find("gym:FrozenLake-v1", {"map_name": "8x8"})).kinds.shape == (8, 8)


def test_layout_of_cliff_walking():
    layout = layout_of(find("gym:CliffWalking-v1"))
    assert layout.kinds.shape == (4, 12)
    assert layout.start == 36
    assert np.all(layout.kinds[3, 1:11] == HOLE)
    assert layout.kinds[3, 11] == GOAL
    assert layout.directions == (UP, RIGHT, DOWN, LEFT)


@pytest.mark.parametrize("target", ["gym:Taxi-v4", "cartpole", "snake"])
def test_other_environments_are_no_boards(target):
    environment = find(target)
    assert layout_of(environment) is None
    with pytest.raises(UserError, match="is no board; grid, a map"):
        board_of(environment, np.zeros((2, environment.actions)))


def test_states_of_buckets_are_no_board():
    assert layout_of(find("cartpole", {"buckets": "3x4x8x8"})) is None


# Arrows, values and the way.


@pytest.mark.parametrize("reward", ["classic", "arrival"])
def test_arrows_of_the_optimum_lead_to_the_goal_from_everywhere(tmp_path, reward):
    environment = map_of(tmp_path, FIELD, reward=reward)
    board = board_of(environment, optimal(environment))
    free = np.argwhere(board.layout.kinds == FREE)
    for place in free:
        place = tuple(place)
        for _ in range(board.values.size):
            if board.layout.kinds[place] == GOAL:
                break
            step = STEPS[int(board.arrows[place])]
            place = (place[0] + step[0], place[1] + step[1])
            assert board.layout.kinds[place] in (FREE, GOAL)
        assert board.layout.kinds[place] == GOAL


def test_the_way_is_what_the_greedy_policy_walks():
    environment = find("grid")
    board = board_of(environment, optimal(environment))
    assert board.ending == "goal"
    assert len(board.way) == 9
    assert board.way[0] == board.layout.start
    assert board.layout.kinds.flat[board.way[-1]] == GOAL
    assert summary(board) == "from the start the greedy policy reaches the goal in 8 moves"


def test_cliff_walking_on_its_way_back_to_the_start_goes_in_circles():
    environment = find("gym:CliffWalking-v1")
    table = optimal(environment)
    assert board_of(environment, table).ending == "goal"
    table[36] = [-2.0, -1.0, -2.0, -2.0]  # right, over the cliff
    board = board_of(environment, table)
    assert (board.ending, board.way) == ("circles", (36, 36))


def test_a_way_into_a_hole_is_called_so():
    table = np.zeros((25, 4))
    table[0, DOWN] = 1.0
    board = board_of(find("grid"), table)
    assert summary(board) == "from the start the greedy policy falls into a hole after 1 moves"


def test_where_chance_has_a_say_no_single_way_is_shown():
    environment = find("gym:FrozenLake-v1")
    board = board_of(environment, optimal(environment))
    assert (board.way, board.ending) == ((), "open")
    assert "chance" in summary(board)
    slippery = find("grid", {"slip": 0.2})
    assert board_of(slippery, optimal(slippery)).way == ()


def test_only_untouched_cells_and_cells_where_nobody_acts_have_no_arrow(tmp_path):
    environment = map_of(tmp_path, FIELD)
    table = np.full((12, 4), 7.0)
    table[0] = [-1.0, -1.0, -1.0, -1.0]  # learned, and all the same
    table[1, RIGHT] = 8.0
    board = board_of(environment, table, initial=7.0)
    shown = np.zeros((3, 4), bool)
    shown[0, 0] = shown[0, 1] = True
    assert np.array_equal(board.arrows != NO_ARROW, shown)
    assert np.array_equal(np.isfinite(board.values), shown)
    assert board.values[0, :2].tolist() == [-1.0, 8.0]
    assert board.arrows[0, :2].tolist() == [UP, RIGHT]


def test_arrows_follow_the_order_of_an_environments_own_actions():
    environment = find("gym:FrozenLake-v1", {"is_slippery": "false"})
    board = board_of(environment, optimal(environment))
    assert board.ending == "goal"
    for here, there in zip(board.way, board.way[1:], strict=False):
        step = STEPS[int(board.arrows.flat[here])]
        assert there == here + 4 * step[0] + step[1]


# Text.


def test_text_of_the_classic_board():
    environment = find("grid")
    table = optimal(environment)
    drawn = text(board_of(environment, table)).splitlines()
    assert drawn[0] == "┌───────┬───────┬───────┬───────┬───────┐"
    upper, lower = drawn[1].split("│")[1:-1], drawn[2].split("│")[1:-1]
    assert upper[0].split() == ["S", "⇒"]
    assert [float(value) for value in lower] == pytest.approx(table.max(axis=1)[:5], abs=0.006)
    assert drawn[4].split("│")[1].split() == ["O"]
    assert drawn[-6].split("│")[5].split() == ["G"]
    assert drawn[-1] == "from the start the greedy policy reaches the goal in 8 moves"
    assert "nothing learned" not in drawn[-2]


def test_every_line_of_a_drawing_is_as_wide_as_the_first(tmp_path):
    environment = open_field(tmp_path, 6, 14)
    board = board_of(environment, optimal(environment))
    for width in (200, 100, 80, 40, 20, 8):
        drawn = text(board, width).split("\n\n")[0].splitlines()
        assert {len(line) for line in drawn} == {len(drawn[0])}
        assert len(drawn[0]) <= width


def test_twenty_columns_show_their_values_in_a_hundred_characters(tmp_path):
    environment = open_field(tmp_path, 20, 20)
    drawn = text(board_of(environment, optimal(environment)), 100)
    lines = drawn.splitlines()
    assert len(lines[0]) <= 100
    assert len(lines[1].split()) == 20
    assert "-0 " not in drawn


def test_forty_columns_show_arrows_only_and_say_so(tmp_path):
    environment = open_field(tmp_path, 10, 40)
    drawn = text(board_of(environment, optimal(environment)), 100)
    assert set(drawn.splitlines()[1]) <= set("↑↓←→⇑⇓⇐⇒ ")
    assert "arrows only" in drawn


def test_larger_boards_are_cropped_around_the_start_and_it_is_said(tmp_path):
    cells = np.full((150, 180), ".")
    cells[149, 179], cells[149, 178] = "S", "G"
    environment = map_of(tmp_path, "\n".join("".join(row) for row in cells))
    drawn = text(board_of(environment, np.zeros((150 * 180, 4))), 100).splitlines()
    assert drawn[99] == "·" * 98 + "GS"
    assert drawn[101].startswith("rows 51 to 150 and columns 81 to 180 of a board of 150 x 180")


def test_plain_characters_where_a_terminal_knows_no_others(tmp_path):
    assert boards.encodable("utf-8") is FINE
    assert boards.encodable("ascii") is PLAIN
    assert boards.encodable(None) is PLAIN
    assert boards.encodable("no-such-encoding") is PLAIN
    environment = map_of(tmp_path, FIELD)
    board = board_of(environment, optimal(environment))
    for width in (100, 20, 8):
        assert text(board, width, PLAIN).isascii()


@pytest.mark.parametrize(
    ("values", "decimals"),
    [([-7.123], 2), ([0.5, np.nan], 3), ([150.0], 0), ([1e9], 0), ([1e-9], 4), ([0.0], 0), ([], 0)],
)
def test_decimals_give_the_largest_value_three_digits(values, decimals):
    assert boards.decimals_of(np.array(values)) == decimals


# Pictures.


@pytest.mark.parametrize("shape", [(1, 2), (1, 30), (5, 5), (70, 30), (200, 200)])
def test_pictures_of_any_shape_are_of_a_sensible_size(tmp_path, shape):
    environment = open_field(tmp_path, *shape)
    table = np.random.default_rng(0).random((environment.observation, 4))
    image = image_of(picture.png(board_of(environment, table), "a title"))
    height, width, _ = image.shape
    assert 400 <= height <= 2000
    assert 900 <= width <= 2000
    assert colours_of(image) > 50
    assert np.all(image[0] == 255.0)  # nothing runs over the edge
    assert np.all(image[:, 0] == 255.0)
    assert np.all(image[:, -1] == 255.0)


def test_a_board_of_which_nothing_is_known_can_be_drawn():
    image = image_of(picture.png(board_of(find("grid"), np.zeros((25, 4))), "untrained"))
    assert image.std() > 1.0


def test_cells_of_a_large_board_are_whole_pixels(tmp_path):
    environment = open_field(tmp_path, 100, 100)
    table = np.zeros((10_000, 4))
    table[:, UP] = np.where(np.indices((100, 100)).sum(axis=0) % 2, 1.0, 2.0).reshape(-1)
    image = image_of(picture.png(board_of(environment, table), "chess"))
    row = image[image.shape[0] // 2]
    changes = np.flatnonzero(np.any(np.diff(row, axis=0) != 0, axis=1))
    inside = changes[10:60]
    assert set(np.diff(inside)) == {16}


def test_the_same_board_is_the_same_bytes():
    environment = find("grid")
    board = board_of(environment, optimal(environment))
    assert picture.png(board, "twice") == picture.png(board, "twice")


def test_a_few_far_values_do_not_take_the_colours_of_the_rest():
    usual = np.linspace(-20.0, 0.0, 50)
    assert picture.colour_range(usual) == (-20.0, 0.0)
    assert picture.colour_range(np.append(usual, [-500.0, np.nan])) == (-20.0, 0.0)
    assert picture.colour_range(np.full(3, 2.0)) == (2.0, 2.0)
    assert picture.colour_range(np.full(3, np.nan)) == (0.0, 1.0)
