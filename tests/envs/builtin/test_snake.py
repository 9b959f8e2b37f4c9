"""Snake against a slow snake with a list for a body, and a player that fills the board."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

import qlearn
from qlearn.envs.builtin.snake import PAST
from qlearn.envs.builtin.snake_views import DOWN, LEFT, RIGHT, UP, VIEWS
from qlearn.envs.plain import PlainGame
from qlearn.envs.registry import batch as batch_of
from qlearn.envs.registry import find
from qlearn.errors import UserError

WAYS = {UP: (-1, 0), RIGHT: (0, 1), DOWN: (1, 0), LEFT: (0, -1)}
SIZE = 10
REWARDS = {
    "food_reward": 2.0, "death_reward": -3.0, "win_reward": 5.0, "step_reward": -0.125,
    "approach_reward": 0.25,
}  # fmt: skip


def body_of(state, size=SIZE):
    """The body from tail to head as (row, column), out of the ring."""
    room = len(state["ring"])
    tail = state["head"] + 1 - state["length"]
    cells = [int(state["ring"][(tail + k) % room]) for k in range(int(state["length"]))]
    return [divmod(cell, size) for cell in cells]


class SlowSnake:
    """The rules once more, as one would write them without thinking of speed."""

    def __init__(self, state, size=SIZE):
        self.size = size
        self.body = body_of(state, size)
        self.heading = int(state["heading"])
        self.food = divmod(int(state["food"]), size)
        self.hunger = 0

    def turned(self, action, relative):
        if relative:
            return (self.heading + [0, 1, -1][action]) % 4
        return self.heading if (action - self.heading) % 4 == 2 else action

    def deadly(self, heading):
        row, column = self.ahead(heading)
        outside = not (0 <= row < self.size and 0 <= column < self.size)
        return outside or (row, column) in self.body[1:]

    def ahead(self, heading):
        return tuple(np.add(self.body[-1], WAYS[heading]).tolist())

    def to_food(self):
        return int(np.abs(np.subtract(self.body[-1], self.food)).sum())

    def step(self, action, relative):
        """(reward, terminated, whether it ate); where the food comes next is up to chance."""
        self.heading = self.turned(action, relative)
        self.hunger += 1
        if self.deadly(self.heading):
            return REWARDS["death_reward"], True, False
        before = self.to_food()
        self.body.append(self.ahead(self.heading))
        if self.body[-1] == self.food:
            self.hunger = 0
            reward = REWARDS["step_reward"] + REWARDS["food_reward"]
            won = len(self.body) == self.size**2
            return reward + REWARDS["win_reward"] * won, won, True
        del self.body[0]
        approach = REWARDS["approach_reward"] * (before - self.to_food())
        return REWARDS["step_reward"] + approach, False, False

    def around(self):
        """A board in the middle of nothing, the head moved to its middle, turned by the library."""
        size = self.size
        planes = np.zeros((2, 3 * size, 3 * size))
        for age, (row, column) in enumerate(self.body[1:-1], 1):
            planes[0][size + row, size + column] = 0.2 + 0.8 * age / size**2
        planes[1][size + self.food[0], size + self.food[1]] = 1.0
        row, column = self.body[-1]
        seen = planes[:, row + 1 : row + 2 * size, column + 1 : column + 2 * size]
        place = np.zeros((size, size))
        place[row, column] = 1.0
        turned = (np.rot90(part, self.heading, axes=(-2, -1)) for part in (seen, place))
        return np.concatenate(
            [*(part.reshape(-1) for part in turned), [self.hunger / (2 * size**2 + 50)]]
        )

    def board(self):
        """Planes as they lie, then turned by the library until the snake faces up."""
        planes = np.zeros((3, self.size, self.size))
        planes[0][self.body[-1]] = 1.0
        for age, cell in enumerate(self.body, 1):
            planes[1][cell] = 0.5 + 0.5 * age / len(self.body)
        planes[2][self.food] = 1.0
        return np.rot90(planes, self.heading, axes=(1, 2)).reshape(-1)

    def features(self):
        (row, column), food = self.body[-1], self.food
        turns = [self.heading, (self.heading + 1) % 4, (self.heading - 1) % 4]
        headings = [self.heading == way for way in (LEFT, RIGHT, UP, DOWN)]
        where = [food[1] < column, food[1] > column, food[0] < row, food[0] > row]
        return np.array([self.deadly(way) for way in turns] + headings + where, float)

    def flat(self):
        board = np.zeros((self.size, self.size))
        for cell in self.body:
            board[cell] = 1.0
        board[self.body[-1]] = 2.0
        board[self.food] = 3.0
        return board.reshape(-1)


def make(**options):
    return qlearn.make("snake", **{"envs": 1, "seed": 0, **options})


# Against the slow snake


@pytest.mark.parametrize("actions", ["relative", "absolute"])
def test_every_step_and_every_observation_is_the_slow_snakes(actions):
    copies, steps, relative = 24, 250, actions == "relative"
    batches = {
        kind: make(envs=copies, seed=7, observation=kind, actions=actions, **REWARDS)
        for kind in VIEWS
    }
    for batch in batches.values():
        batch.reset()
    states = batches["board"].copies["state"]
    slow = [SlowSnake(state) for state in states]
    rng = np.random.default_rng(1)
    met = {"eaten": 0, "dead": 0, "reversed": 0, "tail": 0, "headings": set(), "length": 0}
    for _ in range(steps):
        chosen = np.array([wander(snake, relative, rng) for snake in slow])
        results = {kind: batch.step(chosen) for kind, batch in batches.items()}
        _, rewards, terminated, truncated, _ = results["board"]
        for k, snake in enumerate(slow):
            met["reversed"] += not relative and (chosen[k] - snake.heading) % 4 == 2
            met["tail"] += snake.ahead(snake.turned(chosen[k], relative)) == snake.body[0]
            reward, ended, ate = snake.step(chosen[k], relative)
            assert rewards[k] == np.float32(reward)
            assert terminated[k] == ended
            met["eaten"] += ate
            met["dead"] += ended
            met["headings"].add(snake.heading)
            met["length"] = max(met["length"], len(snake.body))
            if ended or truncated[k]:
                shown = {kind: batch.final_observations[k] for kind, batch in batches.items()}
            else:
                shown = {kind: batch.observations[k] for kind, batch in batches.items()}
                assert body_of(states[k]) == snake.body
                assert states[k]["heading"] == snake.heading
            if ate:
                snake.food = divmod(int(states[k]["food"]), SIZE)
                assert snake.food not in snake.body
            np.testing.assert_allclose(shown["around"], snake.around(), atol=1e-6)
            np.testing.assert_allclose(shown["board"], snake.board(), atol=1e-6)
            np.testing.assert_array_equal(shown["features"], snake.features())
            np.testing.assert_array_equal(shown["flat"], snake.flat())
            if ended or truncated[k]:
                slow[k] = SlowSnake(states[k])
    assert met["eaten"] > 300
    assert met["dead"] > 20
    assert met["tail"] > 3
    assert met["length"] > 15
    assert met["headings"] == {UP, RIGHT, DOWN, LEFT}
    assert relative or met["reversed"] > 50


def wander(snake, relative, rng):
    """Mostly towards the food over cells that are free, now and then anywhere."""
    count = 3 if relative else 4
    if rng.random() < 0.02:
        return int(rng.integers(count))
    if not relative and rng.random() < 0.05:
        return (snake.heading + 2) % 4
    worth = []
    for action in range(count):
        way = snake.turned(action, relative)
        far = np.abs(np.subtract(snake.ahead(way), snake.food)).sum()
        follows = snake.ahead(way) == snake.body[0] and rng.random() < 0.2
        worth.append(1000 if snake.deadly(way) else -100 if follows else far + rng.random())
    return int(np.argmin(worth))


# The full board


def cycle_of(size):
    """Each cell's next on a round trip of all cells: rows there and back, the first column up."""
    path = []
    for row in range(size):
        columns = range(1, size) if row % 2 == 0 else range(size - 1, 0, -1)
        path += [row * size + column for column in columns]
    path += [row * size for row in reversed(range(size))]
    return dict(zip(path, path[1:] + path[:1], strict=True))


def action_to(head, heading, to, size):
    """The relative action that leads from `head` to the cell `to` next door."""
    step = tuple(np.subtract(divmod(to, size), divmod(head, size)).tolist())
    way = next(way for way, along in WAYS.items() if along == step)
    return {0: 0, 1: 1, 3: 2}[(way - heading) % 4]


class RoundTripper:
    def __init__(self, state, size):
        self.size = size
        self.next = cycle_of(size)
        *_, neck, head = (row * size + column for row, column in body_of(state, size))
        if self.next[head] == neck:  # round the other way
            self.next = {to: cell for cell, to in self.next.items()}

    def action(self, state):
        head = int(state["ring"][state["head"] % len(state["ring"])])
        return action_to(head, int(state["heading"]), self.next[head], self.size)


def test_a_full_board_is_won():
    batch = make(envs=8, seed=3, observation="flat", **REWARDS)
    batch.reset()
    states = batch.copies["state"]
    players = [RoundTripper(state, SIZE) for state in states]
    won = 0
    for _ in range(9000):
        _, rewards, terminated, truncated, info = batch.step(
            [player.action(state) for player, state in zip(players, states, strict=True)]
        )
        assert not truncated.any()
        for k in np.flatnonzero(terminated):
            assert rewards[k] == np.float32(2.0 + 5.0 - 0.125)
            assert batch.last_score[k] == 97.0
            last = info["final_observations"][k]
            assert (last == 2.0).sum() == 1
            assert (last == 1.0).sum() == 99
            players[k] = RoundTripper(states[k], SIZE)
            won += 1
        if won >= 8:
            break
    assert won >= 8


@pytest.mark.parametrize("kind", VIEWS)
def test_a_full_board_can_be_observed(kind):
    game = PlainGame(
        find("snake", {"size": 4, "distance_to_border": 0, "observation": kind}), autoreset=False
    )
    game.reset()
    player = RoundTripper(game.copy.state.as_dict(), 4)
    ended = False
    while not ended:
        reward, ended, truncated = game.step(player.action(game.copy.state.as_dict()))
        assert not truncated
    assert reward == 2.0
    assert game.copy.last_score == 13.0
    if kind == "board":
        head, body, food = game.final_observation.reshape(3, 4, 4)
        assert head.sum() == 1.0
        np.testing.assert_allclose(np.sort(body.reshape(-1)), 0.5 + 0.5 * np.arange(1, 17) / 16)
        assert not food.any()
    if kind == "features":
        assert not game.final_observation[7:].any()
    assert "*" not in game.draw()


# The start


@pytest.mark.parametrize(
    ("length", "border"),
    [(3, 3), (3, 0), (1, 0), (1, 4), (5, 2), (10, 0), (6, 4), (2, 1), (3, 9), (9, 3)],
)
def test_a_snake_starts_straight_and_away_from_the_border(length, border):
    batch = make(envs=4000, seed=1, observation="features", start_length=length,
                 distance_to_border=border)  # fmt: skip
    batch.reset()
    heads, headings = [], []
    room = SIZE - length  # where the border cannot be that far, it is as far as can be
    border = min(border, room, (SIZE - 1) // 2)
    for state in batch.copies["state"]:
        body = body_of(state)
        steps = {tuple(np.subtract(b, a).tolist()) for a, b in pairwise(body)}
        assert len(body) == length
        assert steps <= {WAYS[int(state["heading"])]}
        assert all(0 <= row < SIZE and 0 <= column < SIZE for row, column in body)
        assert divmod(int(state["food"]), SIZE) not in body
        heads.append(body[-1])
        headings.append(int(state["heading"]))
    heads = np.array(heads)
    assert heads.min() >= border
    assert heads.max() <= SIZE - 1 - border
    assert stats.chisquare(np.bincount(headings, minlength=4)).pvalue > 1e-4
    # Every place that is possible is met.
    behind = max(border, length - 1)
    for heading in range(4):
        there = {tuple(head) for head in heads[np.array(headings) == heading].tolist()}
        assert len(there) == (SIZE - border - behind) * (SIZE - 2 * border)


def ranks(states):
    """Where the food stands among the free cells, counted along the board."""
    free = states["slot"][:, : SIZE * SIZE] >= 0
    below = np.arange(SIZE * SIZE) < states["food"][:, None]
    assert free[np.arange(len(states)), states["food"]].all()
    return (free & below).sum(axis=1)


def test_the_first_food_is_even_over_the_free_cells():
    batch = make(envs=40_000, seed=4, observation="features")
    batch.reset()
    counts = np.bincount(ranks(batch.copies["state"]), minlength=97)
    assert counts.size == 97
    assert stats.chisquare(counts).pvalue > 1e-4


def test_later_food_is_even_over_the_free_cells():
    batch = make(envs=4000, seed=4, observation="features")
    seen = batch.reset()[0]
    drawn = []
    rng = np.random.default_rng(0)
    for _ in range(60):
        # Towards the food, never straight into danger; `seen` is what features() says.
        danger, heading = seen[:, :3], seen[:, [5, 4, 6, 3]].argmax(axis=1)
        wanted = seen[:, [9, 8, 10, 7]].astype(bool)
        turn = (np.arange(3) + np.arange(3) // 2)[None, :] + heading[:, None]
        worth = np.take_along_axis(wanted, turn % 4, axis=1) - 5 * danger + rng.random((4000, 3))
        batch.step(worth.argmax(axis=1))
        states = batch.copies["state"]
        ate = (states["hunger"] == 0) & (states["length"] > 3)
        drawn.append((ranks(states[ate]) + 0.5) / states["n_free"][ate])
    drawn = np.concatenate(drawn)
    assert drawn.size > 10_000
    assert stats.kstest(drawn, "uniform").pvalue > 1e-4


# What stays true


def test_the_books_of_the_board_stay_consistent():
    batch = make(envs=200, seed=9, observation="features", starve_after=60)
    seen = batch.reset()[0]
    rng = np.random.default_rng(0)
    for _ in range(150):
        batch.step((rng.random((200, 3)) - 2 * seen[:, :3]).argmax(axis=1))
        for state in batch.copies["state"][rng.integers(200, size=5)]:
            body = [row * SIZE + column for row, column in body_of(state)]
            free = state["free"][: state["n_free"]].tolist()
            assert len(set(body)) == len(body) == state["length"]
            assert sorted(body + free) == list(range(SIZE * SIZE))
            assert [state["slot"][cell] for cell in free] == list(range(len(free)))
            assert all(state["slot"][cell] == -1 for cell in body)
            assert state["food"] in free
            assert 0 <= state["hunger"] < 60
    assert (batch.episodes > 0).mean() > 0.5


def test_following_the_tail_is_allowed_and_biting_is_not():
    game = PlainGame(find("snake", {"start_length": 4, "distance_to_border": 0, "size": 6}), 0)
    for food_far in (True, False):
        place(game, [(2, 2), (2, 3), (3, 3), (3, 2)], LEFT, food=(0, 0))
        if not food_far:
            game.copy.state.length = 4
            place(game, [(2, 1), (2, 2), (2, 3), (3, 3), (3, 2)], LEFT, food=(0, 0))
        _, terminated, _ = game.step(1)  # right of left is up, where (2, 2) is
        assert terminated is not food_far


def place(game, body, heading, food):
    """A position of one's own, the body from tail to head."""
    game.reset()
    state, size, cells = game.copy.state, game.world.size, game.world.size**2
    taken = [row * size + column for row, column in body]
    free = [cell for cell in range(cells) if cell not in taken]
    state.free[: len(free)] = free
    state.n_free = len(free)
    for slot, cell in enumerate(free):
        state.slot[cell] = slot
    for k, cell in enumerate(taken):
        state.ring[k] = cell
        state.slot[cell] = -1
    state.head, state.length, state.heading = len(body) - 1, len(body), heading
    state.food = food[0] * size + food[1]


@pytest.mark.parametrize("heading", WAYS)
def test_turning_back_is_ignored(heading):
    game = PlainGame(find("snake", {"actions": "absolute"}), seed=1)
    row, column = np.array([5, 5])
    down, right = WAYS[heading]
    body = [(row - k * down, column - k * right) for k in (2, 1, 0)]
    place(game, body, heading, food=(0, 0))
    reward, terminated, _ = game.step((heading + 2) % 4)
    assert (reward, terminated) == (0.0, False)
    assert game.copy.state.heading == heading
    assert body_of(game.copy.state.as_dict())[-1] == (5 + down, 5 + right)


def test_an_action_of_every_kind_goes_its_way():
    for actions in ("relative", "absolute"):
        environment = find("snake", {"actions": actions})
        for action, name in enumerate(environment.action_names):
            game = PlainGame(environment, seed=1)
            place(game, [(7, 5), (6, 5), (5, 5)], UP, food=(0, 0))
            game.step(action)
            there = {"straight": UP, "up": UP, "down": UP, "right": RIGHT, "left": LEFT}[name]
            assert game.copy.state.heading == there


# Hunger


def test_a_starving_snake_is_cut_off_and_not_dead():
    batch = make(envs=50, seed=2, observation="features", starve_after=4, start_length=1)
    batch.reset()
    for step in range(1, 5):
        hungry = batch.copies["state"]["hunger"].copy()
        assert (hungry < 4).all()
        *_, terminated, truncated, _ = batch.step([1] * 50)  # four turns to the right: a circle
        assert not terminated.any()
        assert truncated.any() == (step == 4)
    assert 20 < truncated.sum() < 50  # who ate on the way is not
    assert (batch.last_length[truncated] == 4).all()


def test_food_in_the_last_moment_saves():
    game = PlainGame(find("snake", {"starve_after": 3}), seed=0)
    place(game, [(9, 5), (8, 5), (7, 5)], UP, food=(4, 5))
    assert [game.step(0)[1:] for _ in range(3)] == [(False, False)] * 3
    assert game.copy.state.hunger == 0
    assert game.copy.state.length == 4


def test_death_in_the_last_moment_is_death():
    game = PlainGame(find("snake", {"starve_after": 2}), seed=0)
    place(game, [(3, 5), (2, 5), (1, 5)], UP, food=(9, 9))
    assert game.step(0) == (0.0, False, False)
    assert game.step(0) == (-1.0, True, False)


def test_by_default_a_snake_starves_after_twice_the_board():
    game = PlainGame(find("snake"), seed=0, autoreset=False)
    place(game, [(5, 5)], UP, food=(0, 0))
    cuts = [game.step(1)[2] for _ in range(250)]
    assert cuts == [False] * 249 + [True]


# Score and rewards


def test_the_score_is_the_food_eaten_whatever_the_rewards():
    plain, shaped = (
        make(envs=64, seed=5, observation="features", **rewards) for rewards in ({}, REWARDS)
    )
    seen = plain.reset()[0]
    shaped.reset()
    rng = np.random.default_rng(0)
    eaten = np.zeros(64)
    finished = 0
    for _ in range(800):
        before = plain.copies["state"]["length"].copy()
        actions = (rng.random((64, 3)) - 2 * seen[:, :3] * (rng.random((64, 1)) < 0.97)).argmax(1)
        *_, terminated, truncated, _ = plain.step(actions)
        shaped.step(actions)
        ended = terminated | truncated
        eaten += np.where(ended, 0, plain.copies["state"]["length"] - before)
        assert (plain.last_score[ended] == eaten[ended]).all()
        finished += ended.sum()
        eaten[ended] = 0
    assert finished > 100
    np.testing.assert_array_equal(plain.last_score, shaped.last_score)
    assert plain.last_score.max() >= 3.0
    assert not np.array_equal(plain.last_return, shaped.last_return)


# Sizes


@pytest.mark.parametrize("size", [4, 5, 100])
def test_boards_of_every_size(size):
    game = PlainGame(
        find("snake", {"size": size, "distance_to_border": 0, "observation": "flat"}), seed=size
    )
    rng = np.random.default_rng(size)
    highest = 0
    for _ in range(5 if size == 100 else 40):
        game.reset()
        for _ in range(10):
            body = body_of(game.copy.state.as_dict(), size)
            board = game.observation.reshape(size, size)
            assert board[body[-1]] == 2.0
            assert (board == 3.0).sum() == 1
            assert (board == 1.0).sum() == len(body) - 1
            highest = max(highest, *(row * size + column for row, column in body))
            if game.step(int(rng.integers(3)))[1]:
                break
    assert highest > 0.8 * size * size


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 3}, "env.size must be between 4 and 100, not 3"),
        ({"size": 101}, "env.size must be between 4 and 100, not 101"),
        ({"start_length": 0}, "env.start_length must be at least 1, not 0"),
        ({"distance_to_border": -1}, "env.distance_to_border must be at least 0, not -1"),
        ({"start_length": 11}, "a board of 10x10 has no room for a straight snake of 11"),
        ({"size": 5, "start_length": 6}, "lower env.start_length or raise env.size"),
        ({"starve_after": -1}, "env.starve_after must be at least 0"),
        ({"observation": "pixels"}, "must be one of around, board, features, flat, not 'pixels'"),
        ({"actions": "both"}, "must be one of relative, absolute"),
    ],
)
def test_snakes_that_cannot_be(options, said):
    with pytest.raises(UserError, match=said):
        find("snake", options)


def test_a_position_as_text():
    game = PlainGame(find("snake", {"size": 4, "distance_to_border": 0, "start_length": 2}))
    place(game, [(1, 1), (1, 2)], RIGHT, food=(3, 0))
    assert game.draw().splitlines() == [
        "+-------+", "|. . . .|", "|. o > .|", "|. . . .|", "|* . . .|", "+-------+", "score 0",
    ]  # fmt: skip


# Where it is learned


def test_a_lost_game_may_go_on_from_one_of_its_last_meals():
    environment = find("snake", {"retry": 1.0, "size": 6, "distance_to_border": 1})
    batch = batch_of(environment.practised, 40, 3)
    batch.reset()
    rng = np.random.default_rng(2)
    kept = [[] for _ in range(40)]
    anew = again = 0
    for _ in range(400):
        before = batch.copies["state"].copy()
        batch.step(rng.integers(3, size=40))
        for k, state in enumerate(batch.copies["state"]):
            body = body_of(state, 6)
            assert state["length"] + state["n_free"] == 36
            assert divmod(int(state["food"]), 6) not in body
            if not batch.terminated[k] and not batch.truncated[k]:
                if state["length"] > before[k]["length"]:
                    kept[k] = [*kept[k], (body, int(state["heading"]))][-PAST:]
            elif kept[k]:
                assert (body, int(state["heading"])) in kept[k]
                assert state["hunger"] == 0
                again += 1
            else:
                assert state["length"] == 3
                anew += 1
    assert again > 200
    assert anew > 20


def test_nobody_but_a_learner_goes_back():
    environment = find("snake", {"retry": 1.0, "size": 6, "distance_to_border": 1})
    batch = batch_of(environment, 40, 3)
    batch.reset()
    rng = np.random.default_rng(2)
    for _ in range(400):
        batch.step(rng.integers(3, size=40))
        ended = batch.terminated | batch.truncated
        assert (batch.copies["state"]["length"][ended] == 3).all()
    assert (batch.copies["state"]["n_past"] == 0).all()
    assert batch.copies["last_score"].max() > 0


@pytest.mark.parametrize("retry", [0.0, 1.0])
def test_where_it_is_learned_who_starves_has_lost(retry):
    options = {"retry": retry, "size": 4, "distance_to_border": 0, "starve_after": 3}
    environment = find("snake", options)
    for played, starving in ((environment, 0), (environment.practised, 1)):
        batch = batch_of(played, 40, 3)
        batch.reset()
        rng = np.random.default_rng(2)
        starved = 0
        for _ in range(200):
            hunger = batch.copies["state"]["hunger"].copy()
            batch.step(rng.integers(3, size=40))
            ends = batch.terminated | batch.truncated
            hungry = ends & (hunger == 2) & (batch.rewards <= 0.0)
            starved += hungry.sum()
            if starving:
                assert not batch.truncated.any()
                assert (batch.rewards[hungry] == -1.0).all()
            else:
                assert (batch.rewards[batch.truncated] == 0.0).all()
        assert starved > 100
