"""The classic scripts: importable, and the references that our engines and games behave like."""
# ruff: noqa: NPY002 - the script draws so

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import qlearn
from qlearn.algorithms.registry import configure, make_learner
from qlearn.algorithms.table import exact
from qlearn.envs.model import model_of
from qlearn.envs.registry import find

CLASSIC = Path(__file__).parents[2] / "examples" / "classic"
SCRIPT = CLASSIC / "q_learning.py"


@pytest.fixture(scope="module")
def classic():
    spec = importlib.util.spec_from_file_location("classic_q_learning", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def learned(classic):
    np.random.seed(0)
    random.seed(0)
    agent = classic.Agent()
    agent.Q_Learning(3000)
    table = np.zeros((25, 4))
    for (row, column, action), value in agent.Q.items():
        table[5 * row + column, action] = value
    return agent, table


def test_importing_it_does_nothing():
    code = (
        "import sys, random; before = random.getstate(); sys.path.insert(0, sys.argv[1])\n"
        "import q_learning; assert random.getstate() == before\n"
        "assert 'matplotlib' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, str(SCRIPT.parent)], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_as_a_script_it_prints_what_it_learned():
    done = subprocess.run(
        [sys.executable, SCRIPT, "300"], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [len(line.split()) for line in lines[:5]] == [5] * 5
    assert lines[4].split()[4] == "1.000"
    assert lines[5].startswith("mean return of the last 100 episodes: -")


def test_its_function_is_handed_to_a_line_profiler_where_there_is_one():
    code = (
        "import builtins, sys; sys.path.insert(0, sys.argv[1])\n"
        "seen = []; builtins.profile = lambda function: seen.append(function.__name__) or function\n"
        "import q_learning, pytorch_q_learning; print(*seen)"
    )
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", code, str(SCRIPT.parent)], capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.split() == ["run_q_learning", "run_pytorch_q_learning"]


def test_it_draws_what_it_explores_with(classic):
    np.random.seed(0)
    agent = classic.Agent(epsilon=1.0)
    assert {int(agent.Action()[1]) for _ in range(100)} == {0, 1, 2, 3}


def test_run_q_learning_gives_the_returns(classic):
    assert len(classic.run_q_learning(20)) == 20
    agent = classic.Agent()
    assert classic.run_q_learning(20, agent) is agent.plot_reward


def test_mended_it_learns_the_same_bit_for_bit(monkeypatch):
    """With the same chance, and without rounding."""
    monkeypatch.syspath_prepend(str(CLASSIC))
    first, mended = map(importlib.import_module, ("q_learning", "q_learning_mended"))
    chance = SimpleNamespace(choice=lambda actions: actions[int(random.random() * len(actions))])
    monkeypatch.setattr(first, "np", SimpleNamespace(random=chance))
    plain = SimpleNamespace(random=random.random, choice=chance.choice)
    monkeypatch.setattr(mended, "random", plain)
    monkeypatch.setattr(first, "round", lambda value, digits: value, raising=False)
    agent = first.Agent()
    random.seed(1)
    returns = first.run_q_learning(500, agent)
    random.seed(1)
    table, mended_returns = mended.run_q_learning(500)
    assert mended_returns == returns
    for (i, j, action), value in agent.Q.items():
        assert table[mended.NUMBER[i, j]][action] == value


def test_the_mended_script_prints_what_the_first_does():
    script = CLASSIC / "q_learning_mended.py"
    done = subprocess.run([sys.executable, script, "300"], capture_output=True, text=True,
                          check=True)  # fmt: skip
    lines = done.stdout.splitlines()
    assert [len(line.split()) for line in lines[:5]] == [5] * 5
    assert lines[4].split()[4] == "1.000"
    assert lines[5].startswith("mean return of the last 100 episodes: -")


def test_it_learns_the_optimal_policy(learned):
    model = model_of(find("grid"))
    verdict = exact.judge(model, 0.9, learned[1], exact.solve(model, 0.9))
    assert verdict.policy_optimal
    assert verdict.max_error_to_optimum < 0.01


def test_the_dict_engine_with_three_decimals_finds_the_same_optimum(learned):
    environment = find("grid")
    settings = {"lr": 0.5, "epsilon": 0.1, "round_to": 3, "episodes": 3000, "steps": 10**7}
    config = configure("table", settings, environment, "dict")
    ours = make_learner("table", "dict", environment, config, 0)
    ours.advance(10**7)
    model = model_of(environment)
    on_the_way = exact.reachable(model, ours.values().argmax(axis=1))
    best = ours.values().max(axis=1)[on_the_way]
    np.testing.assert_allclose(best, learned[1].max(axis=1)[on_the_way], atol=0.005)
    assert (ours.values().argmax(axis=1) == learned[1].argmax(axis=1))[on_the_way].all()


def test_its_board_is_the_grid(classic):
    """Same rewards, same moves, same ends, at every place and for every action."""
    model = model_of(find("grid"))
    for place, action in np.ndindex(25, 4):
        state = classic.State(divmod(place, 5))
        state.isEndFunc()
        assert model.reward[place, action, 0] == state.getReward()
        assert model.ended[place, action, 0] == state.isEnd
        if not state.isEnd:
            row, column = state.nxtPosition(action)
            assert model.to[place, action, 0] == 5 * row + column


def test_its_returns_are_those_of_whole_episodes(learned):
    agent, _ = learned
    assert len(agent.plot_reward) == 3000
    assert max(agent.plot_reward) == -6  # the first hole is one step away
    assert np.median(agent.plot_reward[-500:]) == -7  # eight steps, and the goal
    assert np.mean(agent.plot_reward[-500:]) > np.mean(agent.plot_reward[:50])


# Snake

SIZE = 6  # small enough for chance to find food


@pytest.fixture
def snake(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(CLASSIC))
    return importlib.import_module("snake")


def one_hot(action):
    return [int(action == k) for k in range(3)]


def body_of(snake, state):
    """Its cells, the head first, out of qlearn's ring."""
    room = len(state["ring"])
    places = (int(state["head"]) - k for k in range(int(state["length"])))
    cells = (divmod(int(state["ring"][place % room]), SIZE) for place in places)
    return [snake.Point(column, row) for row, column in cells]


def take_over(snake, game, state):
    ways = snake.Direction
    game.snake = body_of(snake, state)
    game.head = game.snake[0]
    game.direction = (ways.UP, ways.RIGHT, ways.DOWN, ways.LEFT)[int(state["heading"])]
    game.food = snake.Point(*reversed(divmod(int(state["food"]), SIZE)))
    game.moves = 0


def test_its_snake_sees_and_moves_as_ours(snake):
    """Every position of wandering games: the same eleven numbers, and the same one after a move."""
    copies, chance = 16, np.random.default_rng(3)
    batch = qlearn.make("snake", envs=copies, seed=5, size=SIZE, observation="features")
    batch.reset()
    states = batch.copies["state"]
    game, agent = snake.SnakeGame(SIZE), snake.Agent()
    met = {"dead": 0, "eaten": 0, "into the tail": 0, "longest": 0}
    for _ in range(400):
        seen, before = batch.observations.copy(), states.copy()
        actions = [
            int(chance.choice(np.flatnonzero(row[:3] == 0))) if row[:3].min() == 0 else 0
            for row in seen
        ]
        _, rewards, terminated, truncated, _ = batch.step(actions)
        for k in range(copies):
            take_over(snake, game, before[k])
            np.testing.assert_array_equal(agent.get_state(game), seen[k])
            tail, length = game.snake[-1], len(game.snake)
            reward, over, _ = game.play_step(one_hot(actions[k]))
            assert (reward, over) == (10 * rewards[k], terminated[k])
            if not terminated[k] and not truncated[k]:
                assert game.snake == body_of(snake, states[k])
            met["dead"] += over
            met["eaten"] += reward == 10
            met["into the tail"] += game.head == tail and not over
            met["longest"] = max(met["longest"], length)
    assert met["dead"] > 10
    assert met["eaten"] > 100
    assert met["into the tail"] > 3
    assert met["longest"] > 10


def test_a_snake_that_eats_nothing_is_lost_after_a_hundred_moves_for_each_block(snake):
    game = snake.SnakeGame(10)
    game.food = snake.Point(0, 0)
    for _ in range(300):
        assert game.play_step([0, 1, 0]) == (0, False, 0)  # round and round in four cells
    assert game.play_step([0, 1, 0]) == (-10, True, 0)


@pytest.mark.filterwarnings("ignore:Creating a tensor from a list")  # slow on purpose
def test_it_learns_after_every_move_and_after_every_game(snake):
    random.seed(0)
    game, agent, sizes = snake.SnakeGame(6), snake.Agent(), []
    learn = agent.trainer.train_step

    def counted(state, action, reward, next_state, done):
        sizes.append(len(done) if isinstance(done, tuple) else 1)
        learn(state, action, reward, next_state, done)

    agent.trainer.train_step = counted
    before = [part.detach().clone() for part in agent.model.parameters()]
    snake.play_game(agent, game)
    first = game.moves
    snake.play_game(agent, game)
    assert sizes == [1] * first + [first] + [1] * game.moves + [first + game.moves]
    assert (agent.n_games, len(agent.memory)) == (2, first + game.moves)
    assert not any((a == b).all() for a, b in zip(before, agent.model.parameters(), strict=True))


def test_it_says_a_line_a_game_and_keeps_the_network_of_a_record(
    snake, tmp_path, monkeypatch, capsys
):
    import torch

    monkeypatch.chdir(tmp_path)
    scores = iter((2, 0, 3))

    def played(agent, game):
        agent.n_games += 1
        return next(scores)

    monkeypatch.setattr(snake, "play_game", played)
    clock = iter((0.0, 1.0, 2.0, 3.0, 4.0))
    monkeypatch.setattr(snake.time, "time", lambda: next(clock))
    assert snake.train(seconds=4, seed=1) == [2.0, 1.0, pytest.approx(5 / 3)]
    assert capsys.readouterr().out.splitlines() == [
        "Game 1 Score 2 Record 2",
        "Game 2 Score 0 Record 2",
        "Game 3 Score 3 Record 3",
    ]
    kept = torch.load("model/model.pth", weights_only=True)
    assert [tuple(part.shape) for part in kept.values()] == [(256, 11), (256,), (3, 256), (3,)]


def test_the_snake_script_plays(tmp_path):
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, CLASSIC / "snake.py", "--size", "6", "--seconds", "0.2", "--seed", "1"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("Game 1 Score ")
