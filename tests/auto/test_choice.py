"""What `auto` chooses: with made-up figures, without any, on machines that are not here."""

from __future__ import annotations

import math

import pytest

from qlearn.auto import calibration, choice, machine
from qlearn.auto.calibration import Calibration, Rate, between
from qlearn.auto.machine import Machine
from qlearn.auto.work import Work, work_of
from qlearn.envs.registry import find
from qlearn.errors import UserError

GPU = Machine("made up", 2, gpu="NVIDIA Imagined", cuda=True)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Two cores and no calibration, until a test says otherwise."""

    def settle(found: Machine, rates: tuple[Rate, ...] = ()) -> None:
        monkeypatch.setattr(machine, "here", lambda: found)
        monkeypatch.setattr(machine, "cuda_works", lambda: True)
        monkeypatch.setattr(calibration, "load", lambda: Calibration(rates) if rates else None)

    settle(Machine("made up", 2))
    return settle


def rate(engine, threads, steps, *, work=(0.04, 60_000.0), algo="pqn", device="cpu", conv=False):
    calls, products = work
    return Rate(algo, "made up", conv, engine, device, threads, calls, products, steps)


def work(environment, algo="pqn", **settings):
    return work_of(environment, algo, choice.choose(environment, algo, "torch", settings).config)


CARTPOLE = find("cartpole")
BOARD = find("snake", {"observation": "board"})
FAST = (rate("fused", 1, 200_000.0), rate("fused", 2, 314_159.0))
SLOW = (rate("torch", 1, 21_234.0), rate("torch", 2, 9_000.0))


# ------------------------------------------------------------------ without a calibration


def test_without_figures_a_rule_chooses_and_says_what_would_measure():
    chosen = choice.choose(CARTPOLE)
    assert (chosen.algo, chosen.engine) == ("pqn", "fused")
    assert (chosen.config.device, chosen.config.threads) == ("cpu", 0)
    assert chosen.note == (
        "fused on the CPU, by a rule; qlearn calibrate measures what is fastest here"
    )


def test_torch_gets_all_cores_where_a_call_has_enough_to_do():
    small = choice.choose(CARTPOLE, "pqn", "torch").config
    large = choice.choose(BOARD, "pqn", "torch", {"hidden": "1024x1024"}).config
    assert (small.threads, large.threads) == (1, 2)


def test_what_only_torch_has_is_for_torch():
    usual = {"conv": "", "network": None, "precision": "float32", "compile": False}
    assert choice.choose(BOARD, "auto", "auto", usual).engine == "fused"
    for key, value in (
        ("conv", "8x3x1"), ("network", "mine.py:Net"), ("precision", "bf16"), ("compile", "true"),
    ):  # fmt: skip
        settings = {**usual, key: value}
        chosen = choice.choose(BOARD, "auto", "auto", settings)
        assert chosen.engine == "torch"
        assert chosen.note.startswith("torch on ")
    assert choice.choose(BOARD, "dqn", "auto", {"conv": "8x3x1"}).engine == "torch"


def test_where_nothing_is_open_nothing_is_said(here):
    here(Machine("made up", 2, torch=False))
    assert choice.choose(CARTPOLE).note == ""
    here(Machine("made up", 1))
    assert choice.choose(CARTPOLE, "pqn", "fused").note == ""
    assert choice.choose(CARTPOLE, "pqn", "torch").note == ""


def test_tables_keep_the_rule_of_their_own():
    chosen = choice.choose(find("grid"), settings={"device": "cuda"})
    assert (chosen.algo, chosen.engine, chosen.note) == ("table", "numba", "")
    assert chosen.config.device == "cuda"


def test_games_that_step_from_python_are_not_predicted(here):
    here(Machine("made up", 2), (*FAST, *SLOW))
    chosen = choice.choose(find("gym:Acrobot-v1"))
    assert (chosen.engine, chosen.note) == ("fused", "fused on the CPU, by a rule")


# --------------------------------------------------------------------- with a calibration


def test_the_fastest_is_chosen_and_said_with_its_figure_beside_the_others(here):
    here(Machine("made up", 2), (*FAST, *SLOW))
    exact = work(CARTPOLE)
    here(Machine("made up", 2), tuple(
        rate(r.engine, r.threads, r.steps_per_second, work=(exact.calls, exact.products))
        for r in (*FAST, *SLOW)
    ))  # fmt: skip
    chosen = choice.choose(CARTPOLE)
    assert (chosen.engine, chosen.config.threads) == ("fused", 0)
    assert chosen.note == "fused on 2 threads: about 310,000 steps/s here; torch on 1 thread 21,000"


def test_torch_is_chosen_with_its_threads_where_it_is_faster(here):
    fused, torch = rate("fused", 1, 1000.0), rate("torch", 1, 900.0)
    here(Machine("made up", 2), (fused, torch, rate("torch", 2, 1500.0)))
    chosen = choice.choose(CARTPOLE)
    assert (chosen.engine, chosen.config.threads) == ("torch", 2)
    here(Machine("made up", 2), (fused, torch, rate("torch", 2, 1020.0)))  # not worth its import
    assert choice.choose(CARTPOLE).engine == "fused"


def test_what_is_given_by_hand_wins(here):
    here(Machine("made up", 2), (*FAST, *SLOW))
    assert choice.choose(CARTPOLE, "pqn", "torch").engine == "torch"
    assert choice.choose(CARTPOLE, "pqn", "torch").config.threads == 1
    assert choice.choose(CARTPOLE, "pqn", "torch", {"threads": 2}).config.threads == 2
    by_hand = choice.choose(CARTPOLE, settings={"threads": 1, "envs": 48})
    assert (by_hand.config.threads, by_hand.config.envs) == (1, 48)
    assert by_hand.note.startswith("fused on 1 thread: about ")
    unmeasured = choice.choose(CARTPOLE, settings={"threads": 7})
    assert (unmeasured.engine, unmeasured.config.threads) == ("fused", 7)
    assert "by a rule" in unmeasured.note


def test_dqn_is_chosen_for_by_its_own_figures(here):
    mine = (rate("fused", 1, 10.0, algo="dqn"), rate("torch", 2, 90.0, algo="dqn"))
    here(Machine("made up", 2), (*FAST, *SLOW, *mine))
    chosen = choice.choose(CARTPOLE, "dqn")
    assert (chosen.engine, chosen.config.threads) == ("torch", 2)
    assert choice.choose(CARTPOLE, "dqn", settings={"threads": 1}).engine == "fused"


def test_an_unmeasured_algorithm_is_chosen_for_by_the_rule(here):
    here(Machine("made up", 2), (*FAST, *SLOW))
    chosen = choice.choose(CARTPOLE, "dqn")
    assert chosen.note == "fused on the CPU, by a rule"


def test_convolutions_are_predicted_from_convolutions(here):
    dense, conv = rate("torch", 1, 5000.0), rate("torch", 1, 50.0, conv=True)
    one = Calibration((dense, conv)).best("pqn", dense.place, Work(1500, 0.04, 60_000.0, True))
    assert one is not None
    assert one.steps_per_second == pytest.approx(50.0)


# -------------------------------------------------------------------------------- on a GPU


def test_a_gpu_is_left_alone_by_a_small_network_and_that_is_said(here):
    here(GPU)
    chosen = choice.choose(CARTPOLE)
    assert (chosen.engine, chosen.config.device) == ("fused", "cpu")
    said = "; the network is too small for the NVIDIA Imagined (4,480 multiply-adds a row)"
    assert chosen.note.endswith(said)
    assert chosen.config.envs == choice.choose(CARTPOLE, "pqn", "fused").config.envs


def test_a_gpu_takes_a_large_network_with_copies_enough(here):
    few = choice.choose(BOARD).config
    here(GPU)
    chosen = choice.choose(BOARD)
    assert (chosen.engine, chosen.config.device) == ("torch", "cuda")
    factor = chosen.config.envs // few.envs
    assert factor > 1
    assert chosen.config.envs <= choice.GPU_ENVS
    assert chosen.config.minibatch == factor * few.minibatch
    assert chosen.note.startswith("torch on the GPU, by a rule; qlearn calibrate measures")
    assert chosen.note.endswith(f"{chosen.config.envs} copies and minibatches of"
                                f" {chosen.config.minibatch} fill it")  # fmt: skip


def test_copies_that_the_user_gave_stay_on_a_gpu(here):
    here(GPU)
    for settings in ({"envs": 40}, {"minibatch": 64}, {"rollout": 8}):
        config = choice.choose(BOARD, settings=settings).config
        assert config.device == "cuda"
        default = choice.choose(BOARD, settings={"device": "cpu"}).config
        assert config.envs == settings.get("envs", default.envs)
    dqn = choice.choose(BOARD, "dqn")
    assert dqn.config.device == "cuda"
    assert dqn.config.envs == choice.choose(BOARD, "dqn", "fused").config.envs


def test_a_device_given_by_hand_wins(here):
    here(GPU)
    assert choice.choose(BOARD, settings={"device": "cpu"}).config.device == "cpu"
    assert "NVIDIA" not in choice.choose(BOARD, settings={"device": "cpu"}).note
    chosen = choice.choose(CARTPOLE, settings={"device": "cuda"})
    assert (chosen.engine, chosen.config.device) == ("torch", "cuda")
    assert choice.choose(BOARD, "pqn", "fused", {"device": "cuda"}).config.device == "cpu"


def test_a_gpu_that_torch_cannot_use_is_said(here):
    here(Machine("made up", 2, gpu="NVIDIA Imagined"))
    chosen = choice.choose(BOARD)
    assert chosen.engine == "fused"
    assert chosen.note.endswith("; the PyTorch installed here cannot use the NVIDIA Imagined")


def test_a_gpu_whose_driver_does_not_work_is_not_chosen(here, monkeypatch):
    here(GPU)
    monkeypatch.setattr(machine, "cuda_works", lambda: False)
    chosen = choice.choose(BOARD)
    assert (chosen.engine, chosen.config.device) == ("fused", "cpu")
    assert chosen.note.endswith("; the PyTorch installed here cannot use the NVIDIA Imagined")
    monkeypatch.setattr(machine, "cuda_works", lambda: 1 / 0)  # a small network does not ask
    assert choice.choose(CARTPOLE).engine == "fused"
    assert choice.choose(BOARD, settings={"device": "cuda"}).config.device == "cuda"


def test_measured_a_gpu_is_taken_only_where_it_is_faster(here):
    slow, fast = rate("torch", 1, 1e4, device="cuda"), rate("torch", 1, 1e9, device="cuda")
    here(GPU, (*FAST, *SLOW, slow))
    chosen = choice.choose(CARTPOLE)
    assert chosen.config.device == "cpu"
    assert "; torch on the GPU " in chosen.note
    here(GPU, (*FAST, *SLOW, fast))
    chosen = choice.choose(CARTPOLE)
    assert (chosen.engine, chosen.config.device) == ("torch", "cuda")
    assert chosen.config.envs > CARTPOLE.settings["pqn"].get("envs", 32)


# --------------------------------------------------------------------- arithmetic and lines


def test_work_counts_multiply_adds():
    found = work(CARTPOLE, hidden="64x64", envs=32, epochs=4, minibatch=128)
    assert found.row == 4 * 64 + 64 * 64 + 64 * 2
    assert found.calls == 1 / 32 + 4 / 128
    assert found.products == found.row * (1 + 4 * 3)
    learned = work(CARTPOLE, "dqn", updates=0.5, batch=64, envs=8, double=False)
    assert learned.calls == 1 / 8 + 0.5
    assert learned.products == learned.row * (1 + 0.5 * 64 * 4)
    conv = work(BOARD, conv="8x3x1,4x3x2", hidden="16")
    assert conv.row == 100 * 9 * 3 * 8 + 16 * 9 * 8 * 4 + 4 * 16 * 16 + 16 * 3
    assert conv.convolutions


@pytest.mark.parametrize("settings", [{"minibatch": 0}, {"hidden": "0"}, {"envs": 0}])
def test_networks_that_cannot_be_are_not_predicted(here, settings):
    """They are refused in words by what makes them."""
    here(Machine("made up", 2), (*FAST, *SLOW))
    with_them = {"rollout": 8, **settings}
    assert "by a rule" in choice.choose(CARTPOLE, "pqn", "auto", with_them).note
    here(GPU)
    with_them = {"lr": 0.1, **settings}
    assert "by a rule" in choice.choose(CARTPOLE, "pqn", "auto", with_them).note


def test_time_lies_between_what_was_measured_and_goes_on_no_steeper_than_arithmetic():
    points = [(0.0, 1.0), (2.0, 2.0), (4.0, 8.0)]
    assert between(points, 1.0) == 1.5
    assert between(points, 3.0) == 5.0
    assert between(points, 5.0) == 9.0  # 3 measured, 1 believed
    assert between(points, -2.0) == 0.0
    assert between([(0.0, 2.0), (1.0, 1.0)], -3.0) == 2.0  # no faster for more work
    assert between([(1.0, 5.0)], 3.0) == 7.0
    assert between([(1.0, 5.0)], -3.0) == 5.0


def test_a_prediction_is_what_was_measured_where_it_was():
    known = Calibration((rate("torch", 1, 100.0), rate("torch", 1, 3.0, work=(0.5, 9e7))))
    place = known.rates[0].place
    for measured in known.rates:
        own = Work(1, measured.calls, measured.products)
        found = known.best("pqn", place, own)
        assert found is not None
        assert math.isclose(found.steps_per_second, measured.steps_per_second)


def test_numbers_of_threads():
    found = {cores: choice.numbers_of_threads(cores) for cores in (1, 2, 4, 6, 64)}
    assert found == {1: [1], 2: [1, 2], 4: [1, 2, 4], 6: [1, 3, 6], 64: [1, 32, 64]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"hidden": "wide"}, "hidden is widths such as"), ({"threads": "many"}, "threads")],
)
def test_bad_settings_are_one_line(settings, message):
    with pytest.raises(UserError, match=message) as caught:
        choice.choose(CARTPOLE, "pqn", "auto", settings)
    assert "\n" not in str(caught.value)
