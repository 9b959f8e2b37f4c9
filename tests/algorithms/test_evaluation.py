"""What evaluations report beside scores: means over all steps, figures of the scores."""

from __future__ import annotations

import pytest

import qlearn
from qlearn.envs.spec import from_class
from qlearn.errors import UserError

COUNTED = '''
class Counted:
    """Six steps, whatever is done; in each it has a number."""
    actions = 1
    observation = {observation}
    state = {{"k": "int64"}}
    measures = ("mean_number", "mean_square")

    def reset(state, rng):
        state.k = 0

    def step(state, action, rng):
        state.k += 1
        return 1.0, state.k == 6

    def observe(state, obs):
        obs[0] = state.k

    def measure(state, sums):
        sums[0] += state.k
        sums[1] += state.k * state.k
'''


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))


@pytest.mark.parametrize(
    ("observation", "how"),
    [("7", {"algo": "table"}), ("(1,)", {"algo": "pqn", "hidden": "8", "envs": 4, "rollout": 8})],
)
def test_measures_are_means_over_every_step_played(tmp_path, observation, how):
    (tmp_path / "counted.py").write_text(COUNTED.format(observation=observation))
    run = qlearn.train(f"{tmp_path}/counted.py:Counted", steps=64, **how)
    report = run.evaluate(150).report()
    assert report["mean_length"] == 6
    assert report["mean_number"] == pytest.approx((0 + 1 + 2 + 3 + 4 + 5) / 6)
    assert report["mean_square"] == pytest.approx((0 + 1 + 4 + 9 + 16 + 25) / 6)
    cut = run.evaluate(3, max_steps=2).report()
    assert cut["cut_off"] == 3
    assert cut["mean_number"] == pytest.approx(0.5)


def test_one_action_has_no_other_to_be_clear_of(tmp_path):
    (tmp_path / "counted.py").write_text(COUNTED.format(observation="(1,)"))
    run = qlearn.train(
        f"{tmp_path}/counted.py:Counted", algo="pqn", steps=64, hidden="8", envs=4, rollout=8
    )
    assert '"action_gap": 0.0' in (run.path / "metrics.jsonl").read_text()


def test_a_game_of_snake_reports_food_and_full_boards():
    run = qlearn.train("snake", steps=2000, algo="pqn", hidden="8", **{"env.size": 4})
    evaluation = run.evaluate(50)
    report = evaluation.report()
    assert report["mean_score"] == evaluation.scores.mean() == report["mean"]
    assert report["max_score"] == evaluation.scores.max()
    assert report["filled_share"] == (evaluation.scores == 13).mean()


def test_names_and_sums_go_together():
    class Nameless:
        actions, observation, state = 2, (1,), {"x": "float64"}

        def reset(state, rng): ...
        def step(state, action, rng): ...
        def observe(state, obs): ...
        def measure(state, sums): ...

    with pytest.raises(UserError, match="`measures` names what `def measure"):
        from_class(Nameless, "Nameless", "file")
