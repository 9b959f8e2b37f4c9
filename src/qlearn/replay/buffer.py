"""A replay to be used alone: `qlearn.ReplayBuffer`."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.errors import UserError
from qlearn.kernels.build import build
from qlearn.kernels.direct import direct
from qlearn.replay import calls
from qlearn.replay.batch import Batch
from qlearn.replay.ring import ring_of
from qlearn.replay.size import refuse_beyond_memory, shape_of
from qlearn.replay.state import FRAMES, named, put
from qlearn.replay.tree import tree_of

WORDS = (np.uint64, np.uint32, np.uint8)  # frames are copied in the widest that divides them
NUMBERS, WHOLE, FLAGS, FRAME_KINDS = "fiub", "iub", "biuf", "biufc"  # kinds of NumPy's types
INT64, FLOAT32, BOOL = np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.bool_)


class ReplayBuffer:
    """Transitions of `envs` lanes, each frame stored once, drawn uniformly or by priority.

    `capacity` counts places: a transition takes one, an episode's end one more. One thread at a
    time may use it; `batches` has a thread of its own.
    """

    def __init__(
        self,
        capacity: int,
        observation: int | tuple[int, ...],
        *,
        envs: int = 1,
        dtype: Any = np.float32,
        n_step: int = 1,
        discount: float = 0.99,
        prioritized: bool = False,
        alpha: float = 0.6,
        beta: float = 0.4,
        seed: int = 0,
        stream: np.ndarray | None = None,
    ) -> None:
        self.observation, self.dtype = shape_of(observation), _dtype_of(dtype)
        self.envs, self.n_step = _count("envs", envs), _count("n_step", n_step)
        self.discount, self.alpha = _share("discount", discount), _share("alpha", alpha)
        self.beta = beta
        self.prioritized = bool(prioritized)
        capacity = _whole("capacity", capacity)
        refuse_beyond_memory(capacity, self.observation, self.dtype, self.prioritized)
        self._own_stream = stream is None
        self._stream = _stream_of(seed) if stream is None else _checked_stream(stream)
        width = math.prod(self.observation) * self.dtype.itemsize
        self._word = np.dtype(next(word for word in WORDS if width % np.dtype(word).itemsize == 0))
        self._words = width // self._word.itemsize
        self._ring = ring_of(capacity, self.envs, self._words, self._word.type)
        self._tree = tree_of(len(self._ring.ends) if self.prioritized else 1)
        self._many = (self.envs, *self.observation)
        self._step_types = (self.dtype, self.dtype, INT64, FLOAT32, BOOL, BOOL)
        self._step_shapes = (self._many,) * 2 + ((self.envs,),) * 4
        self._everyone = np.ones(self.envs, np.bool_)
        self._ahead: Future | None = None
        self._compile()

    def _compile(self) -> None:
        kernels = build("the replay", (calls.add_step, calls.sample_batches, calls.set_errors), {})
        replay = self._ring, self._tree, self.prioritized
        step = np.zeros(self.envs * self._words, self._word)
        slots, numbers, flags = np.zeros(1, np.int64), np.zeros(1, np.float32), self._everyone
        self._add = direct(
            kernels, "add_step", *replay, step, slots, numbers, step, flags, flags, flags
        )
        self._sample = direct(
            kernels, "sample_batches", *replay, self.beta, self.n_step, self.discount, 1,
            self._stream, slots, step, slots, numbers, step, numbers, flags, flags, numbers,
        )  # fmt: skip
        self._set_errors = direct(
            kernels, "set_errors", self._ring, self._tree, slots, numbers, self.alpha
        )
        self.compile_seconds = kernels.compile_seconds

    @property
    def capacity(self) -> int:
        """Places in all lanes."""
        return len(self._ring.ends)

    @property
    def nbytes(self) -> int:
        arrays = (*self._ring, *self._tree) if self.prioritized else self._ring
        return sum(array.nbytes for array in arrays)

    @property
    def beta(self) -> float:
        """How far importance weights undo what priorities distort; may be changed at any time."""
        return self._beta

    @beta.setter
    def beta(self, beta: float) -> None:
        self._beta = _share("beta", beta)

    def __len__(self) -> int:
        """Transitions held."""
        return int(self._ring.held[0])

    def add(
        self,
        observations: Any,
        actions: Any,
        rewards: Any,
        next_observations: Any,
        terminated: Any,
        truncated: Any,
        valid: Any = None,
    ) -> None:
        """A transition of every lane, or of those that are `valid`.

        With one lane also without the leading axis.
        """
        if self._ahead is not None:
            self._settle()
        if not self._fits(observations, next_observations, actions, rewards, terminated, truncated):
            observations = self._frames_of("observations", observations)
            next_observations = self._frames_of("next_observations", next_observations)
            actions = self._numbers_of("actions", actions, INT64, WHOLE)
            rewards = self._numbers_of("rewards", rewards, FLOAT32, NUMBERS)
            terminated = self._numbers_of("terminated", terminated, BOOL, FLAGS)
            truncated = self._numbers_of("truncated", truncated, BOOL, FLAGS)
        if valid is None:
            valid = self._everyone
        else:
            valid = self._numbers_of("valid", valid, BOOL, FLAGS)
        word = self._word
        if not self._add(
            self._ring, self._tree, self.prioritized, np.frombuffer(observations, word), actions,
            rewards, np.frombuffer(next_observations, word), terminated, truncated, valid,
        ):  # fmt: skip
            raise UserError("actions must be numbers of at most 31 bits")

    def sample(self, batch: int, count: int | None = None) -> Batch:
        """`batch` transitions; with `count`, so many batches at once, drawn one after the other."""
        if self._ahead is not None:
            self._settle()
        return self._draw(batch, count)

    def batches(
        self, size: int, count: int | None = None, limit: int | None = None
    ) -> Iterator[Batch]:
        """Batches without end, or `limit` of them, as `sample(size, count)` gives them.

        While one is used, another thread draws the next, from the replay as it was when the one
        in use was handed out: whatever changes the replay waits for that.
        """
        _count("size", size)
        if limit is not None:
            _count("limit", limit)
        return self._drawn_ahead(size, count, limit)

    def _drawn_ahead(self, size: int, count: int | None, limit: int | None) -> Iterator[Batch]:
        with ThreadPoolExecutor(1, "qlearn-replay") as thread:

            def begin() -> Future[Batch]:
                self._settle()
                self._ahead = thread.submit(self._draw, size, count)
                return self._ahead

            drawing = begin()
            for given in itertools.count(1):
                batch = drawing.result()
                if given == limit:
                    yield batch
                    return
                drawing = begin()
                yield batch

    def prioritize(self, slots: Any, errors: Any) -> None:
        """The errors of drawn transitions; their priorities are |error| ** alpha.

        Of a slot that is named twice, the last error counts. A slot that was written over since
        it was drawn takes the error of what it held, unless nothing begins there now.
        """
        if not self.prioritized:
            raise UserError("this replay draws uniformly; make it with prioritized=True")
        self._settle()
        places = _flat("slots", slots, INT64, WHOLE)
        sizes = _flat("errors", errors, FLOAT32, NUMBERS)
        if len(places) != len(sizes):
            raise UserError(f"{len(sizes):,} errors were given for {len(places):,} slots")
        wrong, row = self._set_errors(self._ring, self._tree, places, sizes, self.alpha)
        if wrong == calls.NOT_FINITE:
            raise UserError(f"errors must be finite; number {row} is {sizes[row]}")
        if wrong != calls.DONE:
            raise UserError(f"slot {places[row]} holds no transition; give back those of a batch")

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that further draws depend on, as named arrays; a stream only if it is its own.

        A batch that `batches` has drawn ahead counts as drawn.
        """
        return {name: array.copy() for name, array in self.state_views().items()}

    def state_views(self) -> dict[str, np.ndarray]:
        """The same without a copy: it changes with the next step."""
        self._settle()
        return self._named()

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Goes on where another replay, made in the same way, gave its state."""
        self._settle()
        put(self._ring, self._tree if self.prioritized else None, self._named(), state)

    def _named(self) -> dict[str, np.ndarray]:
        own = {"stream": self._stream} if self._own_stream else {}
        return (
            own
            | named(self._ring, self._tree if self.prioritized else None)
            | {FRAMES: self._ring.frames.view(self.dtype).reshape(-1, *self.observation)}
        )

    def _settle(self) -> None:
        """Waits for the batch that is being drawn ahead."""
        if self._ahead is not None:
            self._ahead.exception()
            self._ahead = None

    def _draw(self, batch: int, count: int | None) -> Batch:
        if type(batch) is not int or batch < 1:
            batch = _count("batch", batch)
        rows = batch if count is None else batch * _count("count", count)
        shape, dtype, empty = (rows, *self.observation), self.dtype, np.empty
        observations, followers = empty(shape, dtype), empty(shape, dtype)
        actions, slots = empty(rows, INT64), empty(rows, INT64)
        rewards, discounts = empty(rows, FLOAT32), empty(rows, FLOAT32)
        weights = empty(rows, FLOAT32)
        terminated, truncated = empty(rows, BOOL), empty(rows, BOOL)
        word = self._word
        if not self._sample(
            self._ring, self._tree, self.prioritized, self._beta, self.n_step, self.discount,
            batch, self._stream, slots, np.frombuffer(observations, word), actions, rewards,
            np.frombuffer(followers, word), discounts, terminated, truncated, weights,
        ):  # fmt: skip
            raise UserError("an empty replay has nothing to sample; add transitions first")
        drawn = Batch(
            observations, actions, rewards, followers, discounts, terminated, truncated, slots,
            weights,
        )  # fmt: skip
        if count is None:
            return drawn
        return Batch(*(array.reshape(count, batch, *array.shape[1:]) for array in drawn))

    def _fits(self, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> bool:
        """Whether the arrays of a step can be handed to compiled code as they are.

        At such length because it is asked at every step: one by one, it takes 2 us more.
        """
        return (
            type(a) is type(b) is type(c) is type(d) is type(e) is type(f) is np.ndarray
            and (a.dtype, b.dtype, c.dtype, d.dtype, e.dtype, f.dtype) == self._step_types
            and (a.shape, b.shape, c.shape, d.shape, e.shape, f.shape) == self._step_shapes
            and a.flags.c_contiguous
            and b.flags.c_contiguous
            and c.flags.c_contiguous
            and d.flags.c_contiguous
            and e.flags.c_contiguous
            and f.flags.c_contiguous
        )

    def _frames_of(self, name: str, given: Any) -> np.ndarray:
        """A frame of every lane."""
        array = _array(name, given)
        if not np.can_cast(array.dtype, self.dtype, "same_kind"):
            raise UserError(
                f"{name} are {array.dtype}, this replay holds {self.dtype}; convert them"
            )
        if array.shape != self._many and not (self.envs == 1 and array.shape == self.observation):
            raise UserError(f"{name} have the shape {array.shape}, not {self._many}")
        return np.ascontiguousarray(array, self.dtype)

    def _numbers_of(self, name: str, given: Any, dtype: np.dtype, kinds: str) -> np.ndarray:
        """A number for every lane."""
        array = _array(name, given)
        if array.dtype.kind not in kinds:
            raise UserError(f"{name} cannot be {array.dtype}; convert them to {dtype}")
        if array.shape != (self.envs,) and not (self.envs == 1 and array.ndim == 0):
            raise UserError(f"{name} have the shape {array.shape}, not ({self.envs},)")
        return np.ascontiguousarray(array, dtype)  # of at least one dimension


def _array(name: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} are no array: {error}") from None


def _flat(name: str, given: Any, dtype: np.dtype, kinds: str) -> np.ndarray:
    """As many numbers as there are, one after the other; tensors are let go of their graph."""
    array = given
    if type(given) is not np.ndarray:
        array = _array(name, given.detach() if hasattr(given, "detach") else given)
    if array.dtype.kind not in kinds:
        raise UserError(f"{name} cannot be {array.dtype}; convert them to {dtype}")
    if array.dtype is not dtype:
        with np.errstate(over="ignore"):  # an error beyond float32 is refused as infinite
            array = array.astype(dtype)
    return array.ravel()  # contiguous


def _dtype_of(dtype: Any) -> np.dtype:
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found.kind not in FRAME_KINDS:
        raise UserError(f"dtype is a type of numbers such as numpy.float32, not {dtype!r}")
    return found


def _whole(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise UserError(f"{name} must be a whole number, not {value!r}") from None


def _count(name: str, value: Any) -> int:
    number = value if type(value) is int else _whole(name, value)
    if number < 1:
        raise UserError(f"{name} must be at least 1, not {number}")
    return number


def _share(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UserError(f"{name} must be a number, not {value!r}") from None
    if not 0.0 <= number <= 1.0:
        raise UserError(f"{name} must be between 0 and 1, not {number:g}")
    return number


def _stream_of(seed: int) -> np.ndarray:
    return random_streams.streams(random_streams.checked_seed(seed), 1, random_streams.LEARNER)[0]


def _checked_stream(stream: Any) -> np.ndarray:
    if (
        not isinstance(stream, np.ndarray)
        or stream.dtype != np.int64
        or stream.shape != (random_streams.LENGTH,)
        or not stream.flags.c_contiguous
        or not stream.flags.writeable
    ):
        raise UserError("stream is a row of qlearn.rng.streams(seed, copies, purpose)")
    return stream
