"""Where a snake lies on its board, and the ways of seeing it."""

from __future__ import annotations

# Headings, clockwise, are also the absolute actions.
UP, RIGHT, DOWN, LEFT = 0, 1, 2, 3
OCCUPIED = -1
NO_FOOD = -1

VIEWS = ("around", "board", "features", "flat")
AROUND, BOARD, FEATURES, FLAT = 0, 1, 2, 3
LEAST = 0.2  # of a body that is nearly gone


def numbers_of(view, size):
    """How many numbers a view of a board is."""
    cells = size * size
    around = 2 * (2 * size - 1) ** 2 + cells + 1
    return {"around": around, "board": 3 * cells, "features": 11, "flat": cells}[view]


def rows_down(heading):
    return int(heading == DOWN) - int(heading == UP)


def columns_right(heading):
    return int(heading == RIGHT) - int(heading == LEFT)


def body_cell(state, k, room):
    """The cell of the k-th block from the tail, 0 being the tail itself."""
    return int(state.ring[(state.head + 1 - state.length + k) & (room - 1)])


def deadly(state, row, column, size, room):
    """Whether the head would die there. The tail's cell is free: the tail moves on."""
    if row < 0 or row >= size or column < 0 or column >= size:
        return True
    cell = row * size + column
    return state.slot[cell] == OCCUPIED and cell != body_cell(state, 0, room)


def turned(heading, side):
    """On a square turned so that the snake faces up: where its corner comes to lie, and how far two
    rows and two columns are apart. So the turned place is a linear function of both."""
    if heading == RIGHT:
        return (side - 1) * side, 1, -side
    if heading == DOWN:
        return side * side - 1, -side, -1
    if heading == LEFT:
        return side - 1, -1, side
    return 0, side, 1


def observe_around(state, obs, world):
    """The board as it lies around the head, turned so that the snake faces up.

    Two planes with the head in the middle: the body by the steps for which it still blocks the way,
    and the food. Then where the head is on the board, and how long ago it ate.
    """
    size = world.size
    side = 2 * size - 1
    plane = side * side
    cells = size * size
    for k in range(2 * plane + cells + 1):
        obs[k] = 0.0
    mask = world.room - 1
    head = int(state.ring[state.head & mask])
    head_row = head // size
    head_column = head - head_row * size
    _, per_row, per_column = turned(state.heading, side)
    corner = plane // 2 - per_row * head_row - per_column * head_column
    tail = state.head + 1 - state.length
    for k in range(1, state.length - 1):  # the tail itself moves on
        cell = int(state.ring[(tail + k) & mask])
        row = cell // size
        place = corner + per_row * row + per_column * (cell - row * size)
        obs[place] = LEAST + world.share * k
    if state.food != NO_FOOD:
        row = state.food // size
        place = corner + per_row * row + per_column * (state.food - row * size)
        obs[plane + place] = 1.0
    start, per_row, per_column = turned(state.heading, size)
    obs[2 * plane + start + per_row * head_row + per_column * head_column] = 1.0
    obs[2 * plane + cells] = state.hunger / world.starve_after


def observe_board(state, obs, world):
    """Three planes turned so that the snake faces up: head, body by remaining time, food."""
    size = world.size
    cells = size * size
    for k in range(3 * cells):
        obs[k] = 0.0
    start, per_row, per_column = turned(state.heading, size)
    length = state.length
    share = 0.5 / length
    mask = world.room - 1
    tail = state.head + 1 - length
    for k in range(length):
        cell = int(state.ring[(tail + k) & mask])
        row = cell // size
        place = start + per_row * row + per_column * (cell - row * size)
        obs[cells + place] = 0.5 + share * (k + 1)
    head = int(state.ring[state.head & mask])
    row = head // size
    obs[start + per_row * row + per_column * (head - row * size)] = 1.0
    if state.food != NO_FOOD:
        row = state.food // size
        obs[2 * cells + start + per_row * row + per_column * (state.food - row * size)] = 1.0


def observe_features(state, obs, world):
    """The classic eleven: danger straight, right, left; heading; where the food is."""
    size = world.size
    head = int(state.ring[state.head & (world.room - 1)])
    row = head // size
    column = head - row * size
    for k in range(3):  # straight, right, left
        heading = (state.heading + k + k // 2) & 3
        ahead = deadly(
            state, row + rows_down(heading), column + columns_right(heading), size, world.room
        )
        obs[k] = 1.0 if ahead else 0.0
    obs[3] = 1.0 if state.heading == LEFT else 0.0
    obs[4] = 1.0 if state.heading == RIGHT else 0.0
    obs[5] = 1.0 if state.heading == UP else 0.0
    obs[6] = 1.0 if state.heading == DOWN else 0.0
    food_row = row
    food_column = column
    if state.food != NO_FOOD:
        food_row = state.food // size
        food_column = state.food - food_row * size
    obs[7] = 1.0 if food_column < column else 0.0
    obs[8] = 1.0 if food_column > column else 0.0
    obs[9] = 1.0 if food_row < row else 0.0
    obs[10] = 1.0 if food_row > row else 0.0


def observe_flat(state, obs, world):
    """The board as it lies: 0 free, 1 body, 2 head, 3 food."""
    for cell in range(world.size * world.size):
        obs[cell] = 1.0 if state.slot[cell] == OCCUPIED else 0.0
    obs[int(state.ring[state.head & (world.room - 1)])] = 2.0
    if state.food != NO_FOOD:
        obs[state.food] = 3.0
