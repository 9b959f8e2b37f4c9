"""A game of Gymnasium's as text: all that its environment and its wrappers remember.

Numbers, words, arrays, random generators and lists of such are written down. Whatever else an
environment is made of (its wrappers, its functions, objects of its own) comes from who makes it:
a text says what stands where, and goes into an environment in which the same stands there. So no
text can run code. What may hide something (what is written in C, the order of a set that changes)
makes a game one that cannot be saved.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import random
import types
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

GAMES, SIZES, MADE = "games", "games.sizes", "games.made"  # of a batch's state
PLAIN = (type(None), bool, int, float, str)
STILL = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type,
    functools.partial, np.ufunc, np.dtype, EnvSpec,
)  # fmt: skip
GENERATORS: dict[str, Any] = {
    name: getattr(np.random, name) for name in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
}
NO_NUMBERS = "OV"  # kinds of arrays: of objects, and of parts with names
MOST_BYTES = 32 * 2**20  # of the games of a batch: they are written with every checkpoint
MISFITS = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)

Thing = tuple[str, str]  # what stands somewhere, in a person's words and by its full name


class Unsaveable(Exception):
    """Why a game cannot be saved, such as `its 'world' is a b2World`."""


class Given(NamedTuple):
    """The games of some copies."""

    made: bytes  # a checksum of the environment as it was made
    texts: list[bytes]
    why: str = ""  # there are no texts


class Keeper:
    """Writes down games of environments that were made alike, and reads them."""

    def __init__(self, env: Any) -> None:
        """`env` is as it was made: nobody has reset it."""
        self._things: dict[str, Thing] | None = None
        self._classes: set[str] = set()
        self.made = bytes(hashlib.sha256().digest_size)
        with contextlib.suppress(Unsaveable):  # it will be said with the games
            self.made = hashlib.sha256(Writer(brief=True).text(env)).digest()

    def begins(self, env: Any) -> None:
        """Notes what stands in an environment that was reset for the first time."""
        if self._things is None:
            first = Writer(brief=True)
            with contextlib.suppress(Unsaveable):
                first.text(env)
            self._things, self._classes = first.things, set(first.classes)

    def give(self, envs: Sequence[Any], elapsed: Sequence[int] = (0,)) -> Given:
        """The games, and how many steps each has made."""
        texts, others = [], set[int]()
        try:
            for env, steps in zip(envs, elapsed, strict=True):
                writer = Writer(MOST_BYTES // len(envs))
                texts.append(writer.text(env, steps))
                self._check(writer, others)
        except Unsaveable as error:
            return Given(self.made, [], str(error))
        return Given(self.made, texts)

    def _check(self, writer: Writer, others: set[int]) -> None:
        """Refuses what could not be read into an environment made elsewhere."""
        assert self._things is not None
        writer.refuse_shared_memory()
        for place, thing in writer.things.items():
            if self._things.get(place) != thing:
                raise Unsaveable(f"its '{_shown(place)}' is {thing[0]}, not the one it began with")
        for name in writer.classes.keys() - self._classes:
            raise Unsaveable(f"it began without a {name}")
        if writer.objects & others:
            raise Unsaveable("its copies share an object")
        others |= writer.objects

    def take(self, envs: Sequence[Any], texts: Sequence[bytes]) -> list[int]:
        """Puts games into environments that were reset; how many steps each has made."""
        if len(texts) != len(envs):
            raise ValueError(f"there are {len(texts)} saved games, and {len(envs)} copies")
        return [read(text, env) for env, text in zip(envs, texts, strict=True)]


def read(text: bytes, env: Any) -> int:
    """A game into an environment; a `ValueError` where it does not fit."""
    there = Writer(brief=True)
    try:
        there.text(env)
        written, steps = json.loads(text)
        Reader(there.classes).read(written, env)
        return int(steps)
    except Unsaveable as error:
        raise ValueError(f"a saved game does not fit: {error}") from None
    except MISFITS as error:
        raise ValueError(f"a saved game does not fit: {type(error).__name__} ({error})") from None


def joined(given: Given) -> dict[str, np.ndarray]:
    """Games as arrays."""
    return {
        GAMES: np.frombuffer(b"".join(given.texts), np.uint8),
        SIZES: np.array([len(text) for text in given.texts]),
        MADE: np.frombuffer(given.made, np.uint8),
    }


def parted(state: dict[str, np.ndarray]) -> list[bytes]:
    """The games out of arrays."""
    data, ends = state[GAMES].tobytes(), np.cumsum(state[SIZES]).tolist()
    if not ends or ends[-1] != len(data):
        raise ValueError("the saved games have other sizes than it says")
    return [data[begin:end] for begin, end in pairwise([0, *ends])]


# ------------------------------------------------------------------------------------- writing


class _Plain:
    """Objects as large as one of these hold nothing but their attributes."""


class Writer:
    """Writes down what can be, and notes where something stands that cannot."""

    def __init__(self, most_bytes: int = MOST_BYTES, brief: bool = False) -> None:
        """`brief` is for who compares: arrays are told by their checksums."""
        self.things: dict[str, Thing] = {}  # by their place
        self.classes: dict[str, type] = {}  # of named tuples and of members of enumerations
        self.objects: set[int] = set()
        self._most = self._left = most_bytes
        self._raw = _checksum if brief else _bytes
        self._met: list[Any] = []  # alive: another would get its id
        self._numbers: dict[int, int] = {}  # in the order in which they are met, by their ids
        self._spans: list[tuple[int, int, str]] = []  # of arrays, in memory

    def text(self, env: Any, steps: int = 0) -> bytes:
        """All of an environment, and a number of ours."""
        try:
            text = json.dumps([self.write(env), steps], separators=(",", ":")).encode()
        except MISFITS as error:  # such as a number of 5,000 digits
            raise Unsaveable(f"it holds what no text can: {error}") from None
        if len(text) > 2 * self._most:
            raise self._too_large()
        return text

    def _too_large(self) -> Unsaveable:
        return Unsaveable(f"a game of it takes more than {self._most / 2**20:.3g} MB")

    def write(self, value: Any, place: str = "") -> Any:
        kind = type(value)
        if kind in PLAIN:
            return value
        if kind is tuple:
            return ["tuple", *self._items(value, place)]
        if kind.__bases__ == (tuple,):
            return ["named", self._class_of(value), *self._items(value, place)]
        if isinstance(value, Enum):
            return ["member", self._class_of(value), value.name]
        if isinstance(value, np.generic):
            return ["scalar", *self._content(np.asarray(value), place)]
        if thing := still(value):
            self.things[place] = thing
            return ["still", *thing]
        if id(value) in self._numbers:
            return ["again", self._numbers[id(value)]]
        self._numbers[id(value)] = len(self._met)
        self._met.append(value)
        return self._write_once(value, place)

    def _write_once(self, value: Any, place: str) -> list[Any]:
        kind = type(value)
        if kind is list:
            return ["list", *self._items(value, place)]
        if kind is deque:
            return ["deque", value.maxlen, *self._items(value, place)]
        if kind is dict:
            return ["dict", *self._pairs(value, place)]
        if kind is np.ndarray:
            return ["array", *self._array(value, place)]
        if kind is np.random.Generator and type(value.bit_generator).__name__ in GENERATORS:
            bits = value.bit_generator
            return ["generator", type(bits).__name__, self.write(bits.state, place)]
        if kind is np.random.RandomState:
            return ["legacy", self.write(value.get_state(legacy=False), place)]
        if kind is random.Random:
            return ["random", self.write(value.getstate(), place)]
        if hasattr(value, "__dict__") and kind.__basicsize__ == _Plain.__basicsize__:
            return ["object", _name(kind), self._attributes(value, place)]
        raise Unsaveable(f"its '{_shown(place)}' is {_a(kind)}")

    def _items(self, values: Any, place: str) -> Iterator[Any]:
        return (self.write(each, f"{place}[{k}]") for k, each in enumerate(values))

    def _pairs(self, values: dict[Any, Any], place: str) -> Iterator[Any]:
        for key, each in values.items():
            yield [self.write(key, place), self.write(each, f"{place}[{key!r}]")]

    def _attributes(self, value: Any, place: str) -> dict[str, Any]:
        self.objects.add(id(value))
        self.things[place] = _a(type(value)), _name(type(value))
        prefix = f"{place}." if place else ""
        return {k: self.write(each, prefix + k) for k, each in sorted(vars(value).items())}

    def _class_of(self, value: Any) -> str:
        name = _name(type(value))
        self.classes[name] = type(value)
        return name

    def _array(self, array: np.ndarray, place: str) -> list[Any]:
        """Its order, shape, type and bytes."""
        if not array.flags.forc:  # in one piece, its sums may be rounded otherwise
            raise Unsaveable(f"its '{_shown(place)}' is part of another array")
        if array.nbytes:
            begin = array.__array_interface__["data"][0]
            self._spans.append((begin, begin + array.nbytes, place))
        order = "C" if array.flags.c_contiguous else "F"
        return [order, list(array.shape), *self._content(array, place)]

    def _content(self, array: np.ndarray, place: str) -> list[Any]:
        """Their type, and their bytes."""
        if array.dtype.kind in NO_NUMBERS:
            raise Unsaveable(f"its '{_shown(place)}' is an array of {array.dtype}")
        self._left -= array.nbytes
        if self._left < 0:
            raise self._too_large()
        return [array.dtype.str, self._raw(array)]

    def refuse_shared_memory(self) -> None:
        """Arrays that lie in one another would come back as two."""
        spans = sorted(self._spans)
        for (_, end, one), (begin, _, other) in pairwise(spans):
            if begin < end:
                pair = f"'{_shown(one)}' and '{_shown(other)}'"
                raise Unsaveable(f"its {pair} are parts of one array")


def _bytes(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes("A")).decode()


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(array.tobytes("A"))


def still(value: Any) -> Thing | None:
    """What is made with the environment, and is always the same or holds nothing."""
    kind = type(value)
    if kind in (set, frozenset):
        return "a set", repr(sorted(map(repr, value)))
    if kind is range:
        return "a range", repr(value)
    if isinstance(value, spaces.Space):
        return (_a(kind), _name(kind)) if value._np_random is None else None
    if isinstance(value, STILL):
        return _a(kind), _name(value if hasattr(value, "__qualname__") else kind)
    return None


def _name(named: Any) -> str:
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"


def _a(kind: type) -> str:
    name = kind.__name__
    return f"an {name}" if name[0] in "AEIOUaeiou" else f"a {name}"


def _shown(place: str) -> str:
    """Without the wrappers around."""
    while place.startswith("env."):
        place = place[4:]
    return place


# ------------------------------------------------------------------------------------- reading


class Reader:
    """Reads what a `Writer` wrote, beside what already stands there."""

    def __init__(self, classes: dict[str, type]) -> None:
        self.classes = classes
        self._met: list[Any] = []
        self._used: set[int] = set()  # of what stood there

    def read(self, written: Any, there: Any) -> Any:
        if type(written) in PLAIN:
            return written
        match written:
            case ["tuple", *items]:
                return tuple(self._items(items, there))
            case ["named", name, *items]:
                return tuple.__new__(self.classes[name], self._items(items, there))
            case ["member", name, member]:
                return self.classes[name][member]  # type: ignore[index]
            case ["scalar", kind, data]:
                return _array_of("C", [], kind, data)[()]
            case ["still", *thing]:
                if still(there) != tuple(thing):
                    raise ValueError(f"{thing[0]} ({thing[1]:.100}) is missing")
                return there
            case ["again", number]:
                return self._met[number]
            case ["array", *parts]:
                return self._meet(_array_of(*parts))
            case ["list", *items]:
                made = self._meet([])
                made.extend(self._items(items, there))
                return made
            case ["deque", most, *items]:
                queue = self._meet(deque(maxlen=most))
                queue.extend(self._items(items, there))
                return queue
            case ["dict", *pairs]:
                old, found = there if isinstance(there, dict) else {}, self._meet({})
                for key, value in pairs:
                    key = self.read(key, None)
                    found[key] = self.read(value, old.get(key))
                return found
            case ["object", name, attributes]:
                return self._object(name, attributes, there)
            case ["generator", name, state]:
                return self._generator(name, state, there)
            case ["legacy", state]:
                legacy = self._meet(self._same(there, np.random.RandomState))
                legacy.set_state(self.read(state, None))
                return legacy
            case ["random", state]:
                chance = self._meet(self._same(there, random.Random))
                chance.setstate(self.read(state, None))
                return chance
        raise ValueError(f"{written!r:.100} is no part of a game")

    def _items(self, items: list[Any], there: Any) -> Iterator[Any]:
        old = there if isinstance(there, list | tuple | deque) else ()
        return (self.read(each, old[k] if k < len(old) else None) for k, each in enumerate(items))

    def _meet(self, made: Any) -> Any:
        self._met.append(made)
        return made

    def _same(self, there: Any, kind: type) -> Any:
        """What stands there, whoever else may hold it, or a new one."""
        if type(there) is not kind or id(there) in self._used:
            return kind()
        self._used.add(id(there))
        return there

    def _object(self, name: str, attributes: dict[str, Any], there: Any) -> Any:
        if there is None or _name(type(there)) != name or id(there) in self._used:
            raise ValueError(f"{name} is missing")
        self._used.add(id(there))
        held = vars(self._meet(there))
        for key, value in attributes.items():
            held[key] = self.read(value, held.get(key))
        return there

    def _generator(self, name: str, state: Any, there: Any) -> Any:
        kind = GENERATORS[name]
        if type(there) is not np.random.Generator or type(there.bit_generator) is not kind:
            there = np.random.Generator(kind())
        self._meet(there).bit_generator.state = self.read(state, None)
        return there


def _array_of(order: Any, shape: list[int], kind: str, data: str) -> np.ndarray:
    raw, dtype = bytearray(base64.b64decode(data, validate=True)), np.dtype(kind)
    if dtype.kind in NO_NUMBERS:
        raise ValueError(f"an array of {dtype}")
    flat = np.frombuffer(raw, dtype) if raw else np.empty(0, dtype)
    return flat.reshape(shape, order=order)
