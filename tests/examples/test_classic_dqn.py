"""The classic deep scripts: their replay is our loss and an Adam step, their board is our board."""

from __future__ import annotations

import copy
import importlib
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import qlearn
from qlearn.envs.registry import find

torch = pytest.importorskip("torch")

from qlearn.losses import q_loss  # noqa: E402
from qlearn.runs.exchange import import_run  # noqa: E402

CLASSIC = Path(__file__).parents[2] / "examples" / "classic"
SIZE = 6  # small enough for chance to find food

# slow on purpose
pytestmark = pytest.mark.filterwarnings("ignore:Creating a tensor from a list")


@pytest.fixture(autouse=True)
def folder(monkeypatch):
    monkeypatch.syspath_prepend(str(CLASSIC))
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def cartpole():
    return importlib.import_module("cartpole_dqn")


@pytest.fixture
def snake():
    return importlib.import_module("snake_train")


@pytest.fixture
def q_trainer():
    return importlib.import_module("q_trainer")


def remembering(agent, inputs, actions, rows=32):
    """The agent after so many transitions; the same as tensors."""
    chance = np.random.default_rng(0)
    for _ in range(rows):
        state, next_state = chance.normal(size=(2, inputs)).astype(np.float32)
        done = bool(chance.random() < 0.3)
        agent.remember(state, int(chance.integers(actions)), chance.normal(), next_state, done)
    columns = [np.array(column) for column in zip(*agent.memory, strict=True)]
    columns[2] = columns[2].astype(np.float32)
    return [torch.from_numpy(column) for column in columns]


@pytest.mark.parametrize(
    ("name", "inputs", "actions", "lr", "with_target"),
    [
        ("cartpole_dqn", 4, 2, 0.001, True),
        ("snake_train", 36, 4, 0.001, True),
        ("snake_train", 36, 4, 0.001, False),
    ],
)
def test_a_replay_is_our_loss_and_a_step_of_adam(
    monkeypatch, name, inputs, actions, lr, with_target
):
    script = importlib.import_module(name)
    if not with_target:
        monkeypatch.setitem(script.CONFIG, "use_target_network", False)
    agent = script.DQNAgent(inputs, actions)
    other = script.DQNAgent(inputs, actions)
    agent.target_model.load_state_dict(other.model.state_dict())
    batch = remembering(agent, inputs, actions)
    monkeypatch.setattr(script.random, "sample", lambda memory, size: list(memory)[:size])
    twin = copy.deepcopy(agent.model)
    before = [part.detach().clone() for part in twin.parameters()]
    optimizer = torch.optim.Adam(twin.parameters(), lr=lr)

    agent.replay(32)
    target = agent.target_model if with_target else None
    q_loss(twin, *batch, discount=0.99, target_net=target).backward()
    optimizer.step()

    for mine, theirs, first in zip(
        twin.parameters(), agent.model.parameters(), before, strict=True
    ):
        torch.testing.assert_close(theirs, mine, rtol=1e-4, atol=1e-5)
        assert not torch.equal(theirs, first)


@pytest.mark.parametrize("name", ["cartpole_dqn", "snake_train"])
def test_it_acts_greedily_or_by_chance(name):
    agent = importlib.import_module(name).DQNAgent(36, 4)
    state = np.random.default_rng(0).normal(size=36)
    best = agent.model(torch.tensor(state, dtype=torch.float32)).argmax().item()
    assert {agent.act(state) for _ in range(200)} == {0, 1, 2, 3}
    agent.epsilon = 0.0
    assert {agent.act(state) for _ in range(20)} == {best}


def test_cartpole_learns_at_every_step(cartpole, monkeypatch, capsys):
    sizes = []
    learn = cartpole.DQNAgent.replay
    monkeypatch.setattr(
        cartpole.DQNAgent, "replay", lambda agent: (sizes.append(len(agent.memory)), learn(agent))
    )
    scores = cartpole.train(episodes=4, seed=1)
    assert sizes == list(range(1, int(sum(scores)) + 1))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[3].startswith(f"Episode 4/4 Score {scores[3]} Epsilon 0.980")


def test_cartpole_gets_better(cartpole, capsys):
    scores = cartpole.train(episodes=120, seed=0)
    assert np.mean(scores[-20:]) > 1.5 * np.mean(scores[:20])


def test_the_snake_lies_on_the_board_as_it_is_told_to(snake):
    env = snake.SnakeEnv(startingBlocks=4, dim=10, distToBorder=3)
    for _ in range(50):
        board, info = env.reset()
        assert info == {}
        assert board.shape == (10, 10)
        assert np.bincount(board.astype(int).ravel(), minlength=4).tolist()[1:] == [3, 1, 1]
        row, column = np.argwhere(board == snake.HEAD)[0]
        assert min(row, column) >= 3
        assert max(row, column) <= 6


def take_over(env, state):
    """Goes on from a game of qlearn's."""
    room = len(state["ring"])
    places = [int(state["head"]) - k for k in range(int(state["length"]))]
    env.snake = [divmod(int(state["ring"][place % room]), SIZE) for place in reversed(places)]
    env.direction = int(state["heading"])
    env.food = divmod(int(state["food"]), SIZE)
    env.hunger = int(state["hunger"])


def a_move(snake, env, chance):
    """Mostly one that the snake survives."""
    row, column = env.snake[-1]
    ahead = [(row + down, column + right) for down, right in snake.DELTAS]
    safe = [k for k in range(4) if env.inside(ahead[k]) and ahead[k] not in env.snake[1:]]
    return int(chance.choice(safe if safe and chance.random() < 0.97 else range(4)))


def test_its_board_moves_as_ours(snake):
    """Every position of wandering games: the same numbers, and the same ones after a move."""
    copies, chance = 16, np.random.default_rng(3)
    batch = qlearn.make(
        "snake", envs=copies, seed=5, size=SIZE, observation="flat", actions="absolute",
        distance_to_border=2,
    )  # fmt: skip
    batch.reset()
    env = snake.SnakeEnv(startingBlocks=3, dim=SIZE, distToBorder=2)
    met = {"dead": 0, "eaten": 0, "longest": 0}
    for _ in range(400):
        seen, before = batch.observations.copy(), batch.copies["state"].copy()
        actions = []
        for k in range(copies):
            take_over(env, before[k])
            np.testing.assert_array_equal(env.observation().ravel(), seen[k])
            actions.append(a_move(snake, env, chance))
        _, rewards, terminated, truncated, _ = batch.step(actions)
        last = batch.final_observations
        for k in range(copies):
            take_over(env, before[k])
            board, reward, ended, cut_off, _ = env.step(actions[k])
            assert (reward, ended) == (rewards[k], terminated[k])
            ate = reward > 0
            if not ended:
                assert cut_off == truncated[k]
                theirs = last[k] if truncated[k] else batch.observations[k]
                ours, theirs = (np.array(b).ravel() for b in (board, theirs))
                without_food = [np.where(b == snake.FOOD, 0, b) for b in (ours, theirs)]
                np.testing.assert_array_equal(*(without_food if ate else (ours, theirs)))
            met["dead"] += ended
            met["eaten"] += ate
            met["longest"] = max(met["longest"], len(env.snake))
    assert met["dead"] > 10
    assert met["eaten"] > 50
    assert met["longest"] > 8


def test_a_snake_that_eats_nothing_is_cut_off_when_ours_is(snake):
    starve_after = find("snake", {"size": 10}).world_values["starve_after"]
    env = snake.SnakeEnv(dim=10)
    env.reset()
    env.food = None
    cut_off = [env.step(k % 4)[3] for k in range(starve_after)]
    assert cut_off == [False] * (starve_after - 1) + [True]


def test_a_full_board_ends_the_game(snake):
    env = snake.SnakeEnv(dim=2)
    env.snake, env.direction, env.hunger = [(0, 0), (0, 1), (1, 1)], 2, 0
    env.food = (1, 0)
    board, reward, ended, _, _ = env.step(3)
    assert (reward, ended) == (2.0, True)
    assert sorted(board.ravel()) == [1, 1, 1, 2]


def test_snake_learns_by_config(snake, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(snake, "CONFIG", snake.CONFIG | {"episodes": 3, "max_steps": 40})
    assert len(snake.train()) == 3
    assert capsys.readouterr().out.splitlines()[2].startswith("Episode 3 Score ")
    kept = torch.load("snake_model.pth", weights_only=True)
    assert [tuple(part.shape) for part in kept.values()][::2] == [(256, 100), (256, 256), (4, 256)]
    snake.CONFIG["train_mode"] = False
    monkeypatch.setattr(snake.DQNAgent, "replay", None)  # it only plays
    assert len(snake.train()) == 3


def test_what_snake_has_learned_is_played_by_ours(snake, monkeypatch, tmp_path):
    """Its network and its board fit `env.observation=flat env.actions=absolute`."""
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    agent = snake.DQNAgent(100, 4)
    torch.save(agent.model.state_dict(), tmp_path / "snake_model.pth")
    run = import_run(tmp_path / "snake_model.pth", "snake")
    assert run.folder.record["env_options"] == {"observation": "flat", "actions": "absolute"}
    env, agent.epsilon = snake.SnakeEnv(), 0.0
    boards = [env.reset()[0].flatten() for _ in range(20)]
    policy = run.learner().policy()
    assert [policy(board) for board in boards] == [agent.act(board) for board in boards]


def test_the_trainers_are_those_of_the_other_script(q_trainer):
    from deep_q_learning import Linear_QNet, QTrainer

    assert (q_trainer.Linear_QNet, q_trainer.QTrainer) == (Linear_QNet, QTrainer)


def test_our_trainer_takes_its_place(q_trainer, monkeypatch):
    monkeypatch.setattr(q_trainer, "BATCH_SIZE", 50)
    trained = []
    for trainer in (q_trainer.QTrainer, qlearn.QTrainer):
        monkeypatch.setattr(q_trainer, "QTrainer", trainer)
        random.seed(0)
        trained.append(q_trainer.train(3).model)
    for theirs, ours in zip(*(model.parameters() for model in trained), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("script", "words", "said"),
    [
        ("cartpole_dqn.py", ["2", "1"], "mean score of the last 20 episodes:"),
        ("snake_train.py", ["2", "20"], "Episode 2 Score "),
        ("q_trainer.py", ["1"], "1 steps on 1,000 samples each"),
    ],
)
def test_the_script_runs(tmp_path, script, words, said):
    done = subprocess.run(
        [sys.executable, CLASSIC / script, *words],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1].startswith(said)
