"""The replay beside a model of lists and dicts, on random lanes; and what it says to bad input."""

from __future__ import annotations

import inspect
import threading

import numpy as np
import pytest
from replay_model import Play

from qlearn import ReplayBuffer, UserError
from qlearn import rng as random_streams
from qlearn.replay import buffer as buffers
from qlearn.replay.batch import Batch
from qlearn.replay.size import described, megabytes


def filled(steps: int = 30, seed: int = 0, **options) -> ReplayBuffer:
    """Two lanes with a few episodes behind them."""
    replay = ReplayBuffer(40, 3, **{"envs": 2, "seed": 5} | options)
    play = Play(replay, seed)
    for _ in range(steps):
        play.step()
    return replay


def assert_rows_equal_the_model(drawn: Batch, held: dict[bytes, dict]) -> None:
    for row in range(len(drawn.slots)):
        wanted = held[drawn.observations[row].tobytes()]
        for name in ("actions", "terminated", "truncated"):
            assert getattr(drawn, name)[row] == wanted[name], name
        assert drawn.next_observations[row].tobytes() == wanted["next_observations"].tobytes()
        for name in ("rewards", "discounts"):
            assert getattr(drawn, name)[row] == pytest.approx(wanted[name], rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("prioritized", [False, True], ids=["uniform", "prioritized"])
@pytest.mark.parametrize(
    ("lanes", "room", "n_step", "ends"),
    [
        (1, 4, 1, 0.3),  # the smallest: every place is written over all the time
        (1, 50, 3, 0.0),  # one endless episode
        (1, 23, 1, 1.0),  # nothing but episodes of one step
        (3, 16, 1, 0.2),
        (3, 9, 5, 0.3),  # look-ahead over more than most episodes
        (5, 40, 3, 0.1),
    ],
)
def test_every_transition_drawn_is_the_models(lanes, room, n_step, ends, prioritized) -> None:
    options = {"envs": lanes, "n_step": n_step, "discount": 0.9, "prioritized": prioritized}
    play = Play(ReplayBuffer(lanes * room + lanes - 1, 3, **options), lanes + room, ends)
    replay, everyone = play.replay, set()
    assert replay.capacity == lanes * room
    for k in range(4 * room):
        play.step()
        held = play.model.held()
        assert len(replay) == len(held)
        if held and (k % 7 == 0 or k == 4 * room - 1):
            drawn = replay.sample(200)
            assert_rows_equal_the_model(drawn, held)
            everyone = {row.tobytes() for row in drawn.observations}
            of_slot = dict(
                zip(drawn.slots, map(np.ndarray.tobytes, drawn.observations), strict=True)
            )
            assert len(of_slot) == len(everyone)  # a slot each
    rest = held.keys() - everyone
    for _ in range(50):
        rest -= {row.tobytes() for row in replay.sample(200).observations}
    assert not rest


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        (np.uint8, (3, 5)),  # in bytes
        (np.float32, 5),  # in words of four
        (np.uint8, (4, 6)),  # in words of eight
        (np.float64, 2),
        (np.float16, (3, 3)),
        (np.int16, (7,)),
        (np.bool_, 64),
        (np.complex64, (2, 2)),
        (">f4", 4),
    ],
)
def test_frames_of_any_numbers_come_back_bit_for_bit(dtype, shape) -> None:
    play = Play(ReplayBuffer(60, shape, envs=2, dtype=dtype), 3)
    for _ in range(80):
        play.step()
    drawn = play.replay.sample(100)
    assert drawn.observations.dtype == drawn.next_observations.dtype == np.dtype(dtype)
    assert_rows_equal_the_model(drawn, play.model.held())


def test_one_state_without_an_axis() -> None:
    replay = ReplayBuffer(10, (), dtype=np.int64)
    replay.add(3, 1, 0.5, 4, True, False)
    drawn = replay.sample(2)
    assert drawn.observations.tolist() == [3, 3]
    assert drawn.next_observations.tolist() == [4, 4]


def test_a_single_transition_comes_without_the_leading_axis_or_with_it() -> None:
    bare, axis = ReplayBuffer(10, 2), ReplayBuffer(10, 2)
    bare.add([1.0, 2.0], 1, -1.0, [3.0, 4.0], False, True)
    axis.add([[1.0, 2.0]], [1], [-1.0], [[3.0, 4.0]], [False], [True])
    for one, other in zip(bare.sample(3), axis.sample(3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_strided_and_read_only_arrays_and_other_types_are_taken() -> None:
    replay, plain = ReplayBuffer(20, 2, envs=3), ReplayBuffer(20, 2, envs=3)
    wide = np.arange(24.0).reshape(6, 4)
    wide.flags.writeable = False
    frames, after = wide[::2, ::2], wide[1::2, 1::2]
    flags = np.array([0, 1, 0])
    replay.add(frames, np.arange(3, dtype=np.uint8), [1, 2, 3], after, flags, flags * 0.0)
    plain.add(
        frames.astype(np.float32), np.arange(3), np.ones(3) * [1, 2, 3], after.astype(np.float32),
        flags == 1, [False] * 3,
    )  # fmt: skip
    for one, other in zip(replay.sample(9), plain.sample(9), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", [*inspect.signature(ReplayBuffer.add).parameters][1:])
def test_every_other_number_of_an_array_is_no_array_of_its_own(name) -> None:
    replay, plain = ReplayBuffer(20, 2, envs=4), ReplayBuffer(20, 2, envs=4)
    frames, after = np.arange(16, dtype=np.float32).reshape(2, 4, 2)
    numbers = np.arange(4), np.arange(4, dtype=np.float32)
    terminated, truncated, left_out = np.eye(4, dtype=bool)[1:]
    given = {
        "observations": frames,
        "actions": numbers[0],
        "rewards": numbers[1],
        "next_observations": after,
        "terminated": terminated,
        "truncated": truncated,
        "valid": ~left_out,
    }
    plain.add(**given)
    strided = given[name].repeat(2, axis=0)
    strided[1::2] = strided[::-2]
    replay.add(**given | {name: strided[::2]})
    for one, other in zip(replay.sample(9), plain.sample(9), strict=True):
        np.testing.assert_array_equal(one, other)


def test_several_batches_in_one_call_are_those_of_several_calls() -> None:
    for prioritized in (False, True):
        together, apart = (filled(prioritized=prioritized) for _ in range(2))
        drawn = together.sample(7, 4)
        assert drawn.observations.shape == (4, 7, 3)
        assert drawn.weights.shape == (4, 7)
        for k in range(4):
            for many, one in zip(drawn, apart.sample(7), strict=True):
                np.testing.assert_array_equal(many[k], one)


def test_batches_belong_to_the_reader() -> None:
    replay = filled()
    first = replay.sample(8)
    kept = [array.copy() for array in first]
    replay.sample(8)
    for array, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(array, copy)
        array[...] = 0
    assert filled().sample(8).observations.any()


def test_a_stream_may_be_shared() -> None:
    stream = random_streams.streams(5, 1, random_streams.LEARNER)[0]
    shared, own = filled(stream=stream), filled()
    np.testing.assert_array_equal(shared.sample(20).slots, own.sample(20).slots)
    random_streams.integers(stream, 10)
    assert shared.sample(20).slots.tolist() != own.sample(20).slots.tolist()
    assert "stream" in own.get_state()
    assert "stream" not in shared.get_state()


def test_a_view_of_the_state_is_the_state_without_a_copy() -> None:
    replay = filled(prioritized=True)
    views, copies = replay.state_views(), replay.get_state()
    assert views.keys() == copies.keys()
    for name, view in views.items():
        assert view.tobytes() == copies[name].tobytes()
        assert np.shares_memory(view, replay.state_views()[name])
        assert not np.shares_memory(view, copies[name])


def test_seeds_differ() -> None:
    assert filled(seed=1).sample(20).slots.tolist() != filled(seed=2).sample(20).slots.tolist()


# ---------------------------------------------------------------------- memory


@pytest.mark.parametrize("prioritized", [False, True], ids=["uniform", "prioritized"])
def test_a_million_transitions_of_cartpole_take_less_than_60_mb(prioritized) -> None:
    replay = ReplayBuffer(1_000_000, 4, envs=64, prioritized=prioritized)
    assert replay.capacity == 1_000_000
    assert 25e6 <= replay.nbytes < 60e6
    said = megabytes(1_000_000, 4, prioritized=prioritized)
    assert replay.nbytes == pytest.approx(said * 1e6, abs=2048)
    assert f"{said:,.1f} MB" in described(1_000_000, 4, prioritized=prioritized)


def test_an_endless_episode_costs_one_place_a_step_and_an_end_one_more() -> None:
    endless, ending = ReplayBuffer(100, 3), ReplayBuffer(100, 3)
    frames = np.random.default_rng(0).normal(size=(501, 3)).astype(np.float32)
    for k in range(500):
        endless.add(frames[k], 0, 0.0, frames[k + 1], False, False)
        ending.add(frames[k], 0, 0.0, frames[k + 1], k % 10 == 9, False)
    assert len(endless) == 99  # and the frame that waits
    assert len(ending) == 90


def test_more_than_there_is_is_refused_before_it_is_taken(monkeypatch) -> None:
    monkeypatch.setattr("qlearn.memory.available_megabytes", lambda: 20.0)
    monkeypatch.setattr(buffers, "ring_of", None)
    with pytest.raises(UserError, match=r"takes 25\.0 MB, and 20 MB of memory are free"):
        ReplayBuffer(1_000_000, 4)


# ---------------------------------------------------------------------- ahead


def test_batches_drawn_ahead_are_those_drawn_when_asked() -> None:
    ahead, asked = filled(prioritized=True), filled(prioritized=True)
    for batch in ahead.batches(6, limit=5):
        for one, other in zip(batch, asked.sample(6), strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(ahead.sample(6).slots, asked.sample(6).slots)


def test_the_next_batch_is_drawn_before_what_happens_to_the_present_one() -> None:
    ahead, asked = filled(prioritized=True), filled(prioritized=True)
    plays = [Play(replay, 9) for replay in (ahead, asked)]
    batches = ahead.batches(6, 2)
    following = asked.sample(6, 2)
    for _ in range(20):
        batch, present, following = next(batches), following, asked.sample(6, 2)
        for one, other in zip(batch, present, strict=True):
            np.testing.assert_array_equal(one, other)
        for play, drawn in zip(plays, (batch, present), strict=True):
            play.step()
            play.replay.prioritize(drawn.slots, drawn.rewards)
    batches.close()


def test_batches_end_with_their_thread() -> None:
    before = threading.active_count()
    replay = filled()
    assert len(list(replay.batches(4, limit=3))) == 3
    batches = replay.batches(4)
    next(batches)
    assert threading.active_count() == before + 1
    batches.close()
    assert threading.active_count() == before
    with pytest.raises(UserError, match="nothing to sample"):
        next(ReplayBuffer(10, 2).batches(4))


# ---------------------------------------------------------------------- state


@pytest.mark.parametrize("prioritized", [False, True], ids=["uniform", "prioritized"])
def test_a_state_goes_on_with_the_same_draws(prioritized) -> None:
    one = filled(prioritized=prioritized)
    if prioritized:
        drawn = one.sample(16)
        one.prioritize(drawn.slots, drawn.rewards)
    other = ReplayBuffer(40, 3, envs=2, prioritized=prioritized)
    other.set_state(one.get_state())
    assert len(other) == len(one)
    plays = [Play(replay, 4) for replay in (one, other)]
    for _ in range(30):
        drawn = one.sample(5), other.sample(5)
        for array, same in zip(*drawn, strict=True):
            np.testing.assert_array_equal(array, same)
        for play, batch in zip(plays, drawn, strict=True):
            play.step()
            if prioritized:
                play.replay.prioritize(batch.slots, batch.rewards)


def test_a_state_is_a_copy() -> None:
    replay = filled()
    state = replay.get_state()
    kept = {name: array.copy() for name, array in state.items()}
    play = Play(replay, 1)
    for _ in range(20):
        play.step()
    replay.sample(4)
    for name, array in state.items():
        np.testing.assert_array_equal(array, kept[name])


DAMAGED = {
    "ends": ("replay.ends", lambda ends: ends.fill(9)),
    "heads": ("replay.heads", lambda heads: heads.fill(20)),
    "negative heads": ("replay.heads", lambda heads: heads.fill(-1)),
    "filled": ("replay.filled", lambda filled: filled.fill(0)),
    "held": ("replay.held", lambda held: held.fill(0)),
    "stream": ("stream", lambda stream: stream.fill(77)),
    "nan": ("priorities", lambda priorities: priorities.fill(np.nan)),
    "zero": ("priorities", lambda priorities: priorities.fill(0.0)),
    "positive": ("priorities", lambda priorities: priorities.fill(1.0)),
    "largest": ("largest_priority", lambda largest: largest.fill(np.inf)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_state_is_refused_and_nothing_of_it_is_taken(name) -> None:
    replay, twin = filled(5, prioritized=True), filled(5, prioritized=True)
    state = filled(9, prioritized=True).get_state()
    array, damage = DAMAGED[name]
    damage(state[array])
    with pytest.raises(UserError, match="damaged"):
        replay.set_state(state)
    for one, other in zip(replay.sample(9), twin.sample(9), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_sums_of_priorities_are_not_believed() -> None:
    replay, twin = filled(prioritized=True), filled(prioritized=True)
    state = twin.get_state()
    state["priorities"][replay.capacity :] = 1e9
    replay.set_state(state)
    np.testing.assert_array_equal(replay.sample(9).slots, twin.sample(9).slots)


@pytest.mark.parametrize(
    ("capacity", "observation", "options"),
    [
        (20, 3, {"envs": 1}),
        (40, 2, {"envs": 2}),
        (40, 3, {"envs": 2, "dtype": np.float64}),
        (40, 3, {"envs": 2, "prioritized": True}),
    ],
    ids=["capacity", "observation", "dtype", "prioritized"],
)
def test_the_state_of_another_replay_is_refused(capacity, observation, options) -> None:
    with pytest.raises(UserError, match="not the state of such a replay"):
        ReplayBuffer(capacity, observation, **options).set_state(filled().get_state())


# ---------------------------------------------------------------------- errors

BAD_MAKING = {
    "capacity 0": ((0, 4), {}, "at least 4"),
    "capacity -1": ((-1, 4), {}, "at least 4"),
    "capacity 1.5": ((1.5, 4), {}, "capacity must be a whole number"),
    "too small": ((15, 4), {"envs": 4}, "at least 16, 4 for each copy"),
    "too large": ((2**31, ()), {"dtype": np.uint8}, "at most 2,147,483,647"),
    "observation 0": ((10, 0), {}, "observation is a shape"),
    "observation text": ((10, "4"), {}, "observation is a shape"),
    "observation 2.5": ((10, (2.5,)), {}, "observation is a shape"),
    "dtype object": ((10, 4), {"dtype": object}, "dtype is a type of numbers"),
    "dtype text": ((10, 4), {"dtype": "S4"}, "dtype is a type of numbers"),
    "dtype nonsense": ((10, 4), {"dtype": "nonsense"}, "dtype is a type of numbers"),
    "envs 0": ((10, 4), {"envs": 0}, "envs must be at least 1, not 0"),
    "n_step 0": ((10, 4), {"n_step": 0}, "n_step must be at least 1, not 0"),
    "n_step 1.5": ((10, 4), {"n_step": 1.5}, "n_step must be a whole number"),
    "discount 1.1": ((10, 4), {"discount": 1.1}, "discount must be between 0 and 1, not 1.1"),
    "discount nan": ((10, 4), {"discount": float("nan")}, "discount must be between 0 and 1"),
    "alpha -1": ((10, 4), {"alpha": -1}, "alpha must be between 0 and 1, not -1"),
    "alpha text": ((10, 4), {"alpha": "high"}, "alpha must be a number, not 'high'"),
    "beta 2": ((10, 4), {"beta": 2}, "beta must be between 0 and 1, not 2"),
    "seed -1": ((10, 4), {"seed": -1}, "a seed is a whole number"),
    "stream": ((10, 4), {"stream": np.zeros(11)}, "stream is a row of"),
}


@pytest.mark.parametrize("name", BAD_MAKING)
def test_a_replay_that_cannot_be_is_one_clear_line(name) -> None:
    arguments, options, message = BAD_MAKING[name]
    with pytest.raises(UserError, match=message) as raised:
        ReplayBuffer(*arguments, **options)
    assert "\n" not in str(raised.value)


def step(**changed) -> dict:
    """A step of two lanes."""
    return {
        "observations": np.zeros((2, 3), np.float32),
        "actions": np.zeros(2, np.int64),
        "rewards": np.zeros(2),
        "next_observations": np.zeros((2, 3), np.float32),
        "terminated": np.zeros(2, bool),
        "truncated": np.zeros(2, bool),
    } | changed


BAD_STEPS = {
    "one lane too few": ({"observations": np.zeros((1, 3), np.float32)}, r"\(1, 3\), not \(2, 3\)"),
    "too wide": ({"next_observations": np.zeros((2, 4))}, r"next_observations .* not \(2, 3\)"),
    "complex": ({"observations": np.zeros((2, 3), complex)}, "are complex128, this .* float32"),
    "ragged": ({"observations": [[1.0], [1.0, 2.0]]}, "observations are no array"),
    "float actions": ({"actions": np.zeros(2)}, "actions cannot be float64"),
    "three actions": ({"actions": [0, 0, 0]}, r"actions have the shape \(3,\), not \(2,\)"),
    "a column": ({"actions": [[0], [0]]}, r"actions have the shape \(2, 1\), not \(2,\)"),
    "huge action": ({"actions": [0, 2**31]}, "actions must be"),
    "text": ({"rewards": ["a", "b"]}, "rewards cannot be"),
    "one reward": ({"rewards": 1.0}, r"rewards have the shape \(\), not \(2,\)"),
    "flags": ({"terminated": [None, None]}, "terminated cannot be object"),
    "three flags": ({"truncated": [False] * 3}, r"truncated have the shape \(3,\)"),
    "valid": ({"valid": [True]}, r"valid have the shape \(1,\)"),
}


@pytest.mark.parametrize("name", BAD_STEPS)
def test_a_step_that_does_not_fit_is_one_clear_line_and_changes_nothing(name) -> None:
    replay, twin = filled(prioritized=True), filled(prioritized=True)
    changed, message = BAD_STEPS[name]
    with pytest.raises(UserError, match=message) as raised:
        replay.add(**step(**changed))
    assert "\n" not in str(raised.value)
    for one, other in zip(replay.sample(9), twin.sample(9), strict=True):
        np.testing.assert_array_equal(one, other)


def test_frames_are_not_narrowed_unasked() -> None:
    replay = ReplayBuffer(10, 2, dtype=np.uint8)
    with pytest.raises(UserError, match="observations are float32, this replay holds uint8"):
        replay.add(np.ones(2, np.float32), 0, 0.0, np.ones(2, np.uint8), False, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "batch must be at least 1, not 0"),
        ((-3,), "batch must be at least 1, not -3"),
        ((1.5,), "batch must be a whole number, not 1.5"),
        ((4, 0), "count must be at least 1, not 0"),
    ],
)
def test_a_batch_that_cannot_be_is_one_clear_line(arguments, message) -> None:
    with pytest.raises(UserError, match=message):
        filled().sample(*arguments)


def test_an_empty_replay_has_nothing_to_sample() -> None:
    for prioritized in (False, True):
        replay = ReplayBuffer(10, 2, envs=2, prioritized=prioritized)
        with pytest.raises(UserError, match="an empty replay has nothing to sample"):
            replay.sample(4)
        nothing = np.zeros((2, 2))
        replay.add(nothing, [0, 0], [0, 0], nothing, [0, 0], [0, 0], valid=[0, 0])
        with pytest.raises(UserError, match="an empty replay has nothing to sample"):
            replay.sample(4)


# ---------------------------------------------------------------------- others' arrays


def test_torch_shares_the_memory() -> None:
    torch = pytest.importorskip("torch")
    drawn = filled().sample(6, 2)
    tensors = drawn.torch()
    for array, tensor in zip(drawn, tensors, strict=True):
        assert torch.from_dlpack(array).data_ptr() == tensor.data_ptr() == array.ctypes.data
        np.testing.assert_array_equal(tensor.numpy(), array)
    assert tensors.terminated.dtype == torch.bool
    values = torch.ones(2, 6, 5).gather(2, tensors.actions[..., None])  # an index as it is
    assert values.shape == (2, 6, 1)


def test_torch_without_such_numbers_is_one_clear_line() -> None:
    pytest.importorskip("torch")
    replay = ReplayBuffer(10, 2, dtype=">f4")
    replay.add(np.zeros(2, ">f4"), 0, 0.0, np.zeros(2, ">f4"), False, False)
    with pytest.raises(UserError, match="torch has no tensors of >f4"):
        replay.sample(2).torch()


def test_jax_reads_every_array() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    for array in filled().sample(6, 2):
        np.testing.assert_array_equal(np.asarray(jax.dlpack.from_dlpack(array)), array)


def test_tensorflow_reads_every_array() -> None:
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    for array in filled().sample(6, 2):
        read = tensorflow.experimental.dlpack.from_dlpack(array.__dlpack__())
        np.testing.assert_array_equal(read.numpy(), array)
