"""Snake: eat, grow, do not run into the wall or yourself. A step costs the same at any length."""

from __future__ import annotations

from qlearn.envs.builtin.snake_views import (
    AROUND,
    BOARD,
    FEATURES,
    LEAST,
    NO_FOOD,
    OCCUPIED,
    VIEWS,
    body_cell,
    columns_right,
    deadly,
    numbers_of,
    observe_around,
    observe_board,
    observe_features,
    observe_flat,
    rows_down,
)
from qlearn.errors import UserError
from qlearn.rng import chance, integers

PAST = 4  # meals of which a game may go on
# Relative actions, in the order of the game that everyone trains (seed 004's).
STRAIGHT, TURN_RIGHT, TURN_LEFT = 0, 1, 2


def take(state, cell):
    """Marks a free cell as occupied: the last of the free list moves into its slot."""
    slot = int(state.slot[cell])
    state.n_free -= 1
    last = int(state.free[state.n_free])
    state.free[slot] = last
    state.slot[last] = slot
    state.slot[cell] = OCCUPIED


def clear(state, cells):
    """A board without a snake."""
    for cell in range(cells):
        state.free[cell] = cell
        state.slot[cell] = cell
    state.n_free = cells


def give_back(state, cell):
    """Marks an occupied cell as free."""
    state.free[state.n_free] = cell
    state.slot[cell] = state.n_free
    state.n_free += 1


def place_food(state, rng):
    """Food on a free cell, each equally likely; none where the board is full."""
    if state.n_free == 0:
        state.food = NO_FOOD
    else:
        state.food = int(state.free[integers(rng, state.n_free)])


def next_heading(state, action, relative):
    if relative:
        if action == TURN_RIGHT:
            return (state.heading + 1) & 3
        if action == TURN_LEFT:
            return (state.heading + 3) & 3
        return state.heading
    if action == (state.heading + 2) & 3:  # a snake cannot turn back into its neck
        return state.heading
    return action


def remember(state, world):
    """Keeps this position, in the place of the oldest."""
    slot = state.n_past % PAST
    for k in range(state.length):
        state.past[slot * world.room + k] = body_cell(state, k, world.room)
    state.past_length[slot] = state.length
    state.past_heading[slot] = state.heading
    state.n_past += 1


def go_back(state, rng, world):
    """Goes on from one of the last meals, the food elsewhere."""
    slot = integers(rng, min(state.n_past, PAST))
    clear(state, world.size * world.size)
    state.length = int(state.past_length[slot])
    state.heading = int(state.past_heading[slot])
    state.head = state.length - 1
    for k in range(state.length):
        cell = int(state.past[slot * world.room + k])
        state.ring[k] = cell
        take(state, cell)
    state.hunger = 0
    place_food(state, rng)


# A board is learned long and with many copies: most of it is snake only once the snake is long.
# Nothing is centred, so that the first layer need not look at the zeros. Who looks far ahead from the
# beginning settles on the first round that is safe, and it leaves corners out: short ways are learned
# first, then, as the discount rises, not to die of them (docs/snake.md).
SHARED = {
    "envs": 256, "rollout": 32, "epochs": 1, "minibatch": 512, "lr": "5e-4->1e-6",
    "explorers": 0.0, "reward_scale": 1.0, "average": 0.99, "scale_inputs": False,
    "until_every": 8192 * 16,
}  # fmt: skip
PQN = {
    **SHARED, "hidden": "256x256", "lambda_": 0.95, "discount": "horizon:0.99->0.9999@0.8",
    "epsilon": "exponential:0.2->0.02@0.8", "cut": True, "margin": 0.3,
}  # fmt: skip
DQN = {
    "steps": 2_000_000, "envs": 32, "hidden": "256x256", "lr": "5e-4->1e-5", "batch": 256,
    "updates": 0.05, "every": "256", "epsilon": "0.3->0.005@0.5", "explorers": 0.0,
    "reward_scale": 1.0, "average": 0.99, "scale_inputs": False,
}  # fmt: skip
FEATURES_PQN = {
    **SHARED, "steps": 3_000_000, "epochs": 2, "minibatch": 1024, "hidden": "256", "lambda_": 0.8,
    "discount": 0.99, "epsilon": "0.2->0.002@0.5",
}  # fmt: skip
FEATURES_DQN = {**DQN, "steps": 500_000, "hidden": "256"}
STEPS, MOST_STEPS = 200_000, 240_000_000  # for each cell, and for any board


def settings_of(view, cells):
    """Settings by algorithm."""
    if view == "features":
        return {"pqn": FEATURES_PQN, "dqn": FEATURES_DQN}
    return {"pqn": {**PQN, "steps": min(STEPS * cells, MOST_STEPS)}, "dqn": DQN}


class Snake:
    """Snake on a walled board; the score is the food eaten."""

    options = {
        "size": 10,
        "observation": VIEWS,
        "actions": ("relative", "absolute"),
        "start_length": 3,
        "distance_to_border": 3,
        "starve_after": 0,
        "food_reward": 1.0,
        "death_reward": -1.0,
        "win_reward": 1.0,
        "step_reward": 0.0,
        "approach_reward": 0.0,
        "max_steps": 0,
        "retry": 0.5,
    }

    @staticmethod
    def configure(options):
        size, length, border = (
            options["size"], options["start_length"], options["distance_to_border"],
        )  # fmt: skip
        if not 4 <= size <= 100:
            raise UserError(f"env.size must be between 4 and 100, not {size}")
        if length < 1:
            raise UserError(f"env.start_length must be at least 1, not {length}")
        if border < 0:
            raise UserError(f"env.distance_to_border must be at least 0, not {border}")
        if length > size:
            raise UserError(
                f"a board of {size}x{size} has no room for a straight snake of {length}; lower"
                " env.start_length or raise env.size"
            )
        # On a small board the snake starts as far from the border as there is room for.
        border = min(border, (size - 1) // 2, size - length)
        if options["starve_after"] < 0:
            raise UserError("env.starve_after must be at least 0 (0: by the board's size)")
        if not 0.0 <= options["retry"] <= 1.0:
            raise UserError(f"env.retry must be between 0 and 1, not {options['retry']:g}")
        cells = size * size
        room = 1 << (cells - 1).bit_length()  # the ring's length, a power of two
        view = options["observation"]
        relative = options["actions"] == "relative"
        return {
            "actions": 3 if relative else 4,
            "action_names": ("straight", "right", "left")
            if relative
            else ("up", "right", "down", "left"),
            "observation": (numbers_of(view, size),),
            "planes": {"board": (3, size, size), "flat": (1, size, size)}.get(view),
            "low": 0.0,
            "settings": settings_of(view, cells),
            "high": 3.0 if view == "flat" else 1.0,
            "state": {
                "ring": ("int16", room),  # cells of the body, the head at `head`
                "free": ("int16", room),  # the free cells, in no order
                "slot": ("int16", room),  # where a cell stands in `free`, or OCCUPIED
                "n_free": "int64",
                "head": "int64",
                "length": "int64",
                "heading": "int64",
                "food": "int64",
                "hunger": "int64",  # steps since the last food
                "past": ("int16", PAST * room),  # bodies after the last meals, each from its tail
                "past_length": ("int16", PAST),
                "past_heading": ("int16", PAST),
                "n_past": "int64",
            },
            # Where it is learned, a game that is lost may go on from one of its last meals: what
            # ends long games is met more often than once in a thousand steps. And who starves has
            # lost: an end that is no loss is none to whom tomorrow counts as much as today.
            "practice": {"retry": options["retry"], "starving_loses": True},
            "world": {
                "room": room,
                "sight": VIEWS.index(view),
                "share": (1.0 - LEAST) / cells,
                "relative": relative,
                "retry": 0.0,
                "starving_loses": False,
                "starve_after": options["starve_after"] or 2 * cells + 50,
                "distance_to_border": border,
            },
        }

    @staticmethod
    def reset(state, rng, world):
        if world.retry > 0.0 and state.n_past > 0 and chance(rng, world.retry):
            go_back(state, rng, world)
            return
        size = world.size
        clear(state, size * size)
        state.heading = integers(rng, 4)
        ahead = world.distance_to_border
        behind = max(ahead, world.start_length - 1)
        down, right = rows_down(state.heading), columns_right(state.heading)
        along = behind + integers(rng, size - ahead - behind)
        across = ahead + integers(rng, size - 2 * ahead)
        if down + right < 0:
            along = size - 1 - along
        row, column = across, along
        if down != 0:
            row, column = along, across
        state.length = world.start_length
        state.head = world.start_length - 1
        for k in range(world.start_length):
            back = world.start_length - 1 - k
            cell = (row - back * down) * size + column - back * right
            state.ring[k] = cell
            take(state, cell)
        state.hunger = 0
        place_food(state, rng)

    @staticmethod
    def step(state, action, rng, world):
        size = world.size
        room = world.room
        state.heading = next_heading(state, action, world.relative)
        head = int(state.ring[state.head & (room - 1)])
        row = head // size
        column = head - row * size
        new_row = row + rows_down(state.heading)
        new_column = column + columns_right(state.heading)
        state.hunger += 1
        if deadly(state, new_row, new_column, size, room):
            return world.death_reward, True

        cell = new_row * size + new_column
        reward = world.step_reward
        eats = cell == state.food
        if not eats:
            if world.approach_reward != 0.0:
                food_row = state.food // size
                food_column = state.food - food_row * size
                before = abs(food_row - row) + abs(food_column - column)
                after = abs(food_row - new_row) + abs(food_column - new_column)
                reward += world.approach_reward * (before - after)
            give_back(state, body_cell(state, 0, room))
        take(state, cell)
        state.head = (state.head + 1) & (room - 1)
        state.ring[state.head] = cell
        if eats:
            state.length += 1
            state.hunger = 0
            reward += world.food_reward
            place_food(state, rng)
            if state.food == NO_FOOD:
                state.n_past = 0  # nothing to do better
                return reward + world.win_reward, True
            if world.retry > 0.0:
                remember(state, world)
        if world.starving_loses and state.hunger >= world.starve_after:
            return reward + world.death_reward, True
        return reward, False

    @staticmethod
    def observe(state, obs, world):
        if world.sight == AROUND:
            observe_around(state, obs, world)
        elif world.sight == BOARD:
            observe_board(state, obs, world)
        elif world.sight == FEATURES:
            observe_features(state, obs, world)
        else:
            observe_flat(state, obs, world)

    @staticmethod
    def truncated(state, world):
        return state.hunger >= world.starve_after

    @staticmethod
    def score(state, world):
        return float(state.length - world.start_length)

    @staticmethod
    def figures(scores, world):
        full = world.size * world.size - world.start_length
        return {
            "mean_score": float(scores.mean()),
            "max_score": float(scores.max()),
            "filled_share": float((scores == full).mean()),
        }

    @staticmethod
    def draw(state, world):
        size = world.size
        board = [["."] * size for _ in range(size)]
        for k in range(state.length):
            cell = body_cell(state, k, world.room)
            board[cell // size][cell % size] = "o"
        head = int(state.ring[state.head & (world.room - 1)])
        board[head // size][head % size] = "^>v<"[state.heading]
        if state.food != NO_FOOD:
            board[state.food // size][state.food % size] = "*"
        rule = "+" + "-" * (2 * size - 1) + "+"
        rows = ["|" + " ".join(row) + "|" for row in board]
        return "\n".join([rule, *rows, rule, f"score {state.length - world.start_length}"])
