"""Games of Gymnasium's go on in other environments bit for bit, or are said not to."""

from __future__ import annotations

import json
import random
import threading
from collections import deque, namedtuple
from enum import IntEnum
from fnmatch import fnmatch

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from qlearn.envs import registry
from qlearn.envs.gym import foreign, state
from qlearn.envs.gym.state import Reader, Unsaveable, Writer
from qlearn.errors import EnvironmentFault

Point = namedtuple("Point", "x y")


class Way(IntEnum):
    LEFT, RIGHT = 0, 1


class Segment:
    def __init__(self, at):
        self.at = at


class Trail(gymnasium.Env):
    """Holds a bit of everything that can be written down, some of it in two places."""

    action_space = spaces.Discrete(2)
    observation_space = spaces.Box(-100.0, 100.0, (4,), np.float64)

    def __init__(self, render_mode=None):
        self.board = np.asfortranarray(np.zeros((3, 4), np.float32))
        self.also = self.board
        self.trail, self.marks, self.head = deque(maxlen=3), {}, Segment(Point(0, 0))
        self.tail, self.shown = self.head, self._sum
        self.walls = {(1, 2), (2, 2)}
        self.other = np.random.Generator(np.random.Philox(0))
        self.third, self.old = random.Random(0), np.random.RandomState(0)

    def _sum(self):
        return self.board.sum() + self.tail.at.x

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.other = np.random.Generator(np.random.Philox(seed))
            self.third, self.old = random.Random(seed), np.random.RandomState(seed)
        self.way, self.steps, self.last = Way.LEFT, 0, None
        self.head.at = Point(int(self.np_random.integers(9)), 0)
        self.marks.clear()
        return self._seen(), {}

    def _seen(self):
        return np.array([self.head.at.x, self.way, self.shown(), len(self.trail)], np.float64)

    def step(self, action):
        self.steps += 1
        self.way = Way(action)
        chance = self.other.normal() + self.third.random() + self.old.rand()
        self.also[self.steps % 3, action] += np.float32(chance)
        self.head.at = Point(self.head.at.x + 2 * self.way - 1, self.steps)
        self.trail.append(self.head.at)
        self.marks[self.head.at] = self.marks.get(self.head.at, 0) + 1
        self.last = np.float32(chance) if self.steps % 2 else (self.steps, [chance])
        reward = float(self.trail[0].x) + len(self.marks) + chance
        return self._seen(), reward, self.steps > 5 and chance > 1.5, False, {}


class Doubled(gymnasium.Wrapper):
    """Every second reward is twice as much."""

    def __init__(self, env):
        super().__init__(env)
        self.count = 0

    def step(self, action):
        seen, reward, *rest = self.env.step(action)
        self.count += 1
        return seen, reward * (1 + self.count % 2), *rest


def wrapped(render_mode=None):
    return gymnasium.wrappers.TimeLimit(Doubled(Trail()), 9)


def together(mode):
    return lambda num_envs, **_: SyncVectorEnv([wrapped] * num_envs, autoreset_mode=mode)


def register(name, creator, **more):
    if name not in gymnasium.registry:
        gymnasium.register(id=name, entry_point=creator, **more)


register("Trail-v0", Trail)
register("Wrapped-v0", wrapped)
for mode in AutoresetMode:
    register(f"Trails{mode.value}-v0", Trail, vector_entry_point=together(mode))


@pytest.fixture(autouse=True)
def _two_processes(monkeypatch):
    monkeypatch.setattr(foreign, "processes_for", lambda envs: min(2, envs))


def made(identity, envs=3, seed=4, **options):
    return registry.batch(registry.find(f"gym:{identity}", options), envs, seed)


def played(batch, steps, seed=0):
    """All that is seen of so many steps."""
    chooser, seen = np.random.default_rng(seed), []
    for _ in range(steps):
        batch.step(chooser.integers(batch.environment.actions, size=batch.envs))
        ended = batch.terminated | batch.truncated
        seen += [batch.observations, batch.rewards, batch.terminated, batch.truncated, batch.valid]
        seen += [batch.final_observations[ended], batch.score_so_far, batch.last_return]
        seen = [array.tobytes() if isinstance(array, np.ndarray) else array for array in seen]
    return seen


@pytest.mark.parametrize(
    ("identity", "options"),
    [
        ("CartPole-v1", {"native": False, "run": "serial"}),
        ("CartPole-v1", {"native": False, "run": "processes"}),
        ("CartPole-v1", {"native": False, "run": "vector"}),
        ("MountainCar-v0", {"run": "processes", "max_steps": 20}),
        ("MountainCar-v0", {"run": "serial", "buckets": 5, "max_steps": 20}),
        ("Acrobot-v1", {"run": "serial", "max_steps": 20}),
        ("Blackjack-v1", {"run": "serial"}),
        ("Trail-v0", {"run": "serial"}),
        ("Wrapped-v0", {"run": "processes"}),
        ("TrailsNextStep-v0", {"run": "vector"}),
        ("TrailsSameStep-v0", {"run": "vector"}),
        ("TrailsDisabled-v0", {"run": "vector"}),
    ],
)
def test_games_go_on_bit_for_bit_in_other_environments(identity, options):
    with made(identity, **options) as whole, made(identity, **options) as other:
        whole.reset()
        played(whole, 31)
        other.reset()
        played(other, 7, seed=1)
        saved = whole.get_state()
        assert "games" in saved
        other.set_state(saved)
        assert other.anew == ""
        np.testing.assert_array_equal(other.observations, whole.observations)
        assert played(other, 40) == played(whole, 40)
        assert whole.episodes.min() > 1
        ends, others = whole.get_state(), other.get_state()
        assert ends.keys() == others.keys()
        for name, array in ends.items():
            np.testing.assert_array_equal(array, others[name], err_msg=name)


def test_it_matters_not_where_the_copies_run():
    serial, processes = (made("Trail-v0", run=run) for run in ("serial", "processes"))
    with serial, processes:
        serial.reset()
        played(serial, 20)
        processes.set_state(serial.get_state())  # that nobody has reset
        assert played(serial, 20) == played(processes, 20)


# --------------------------------------------------------------------- what cannot be saved


class Simple(gymnasium.Env):
    """Counts to ten."""

    action_space = spaces.Discrete(2)
    observation_space = spaces.Box(-100.0, 100.0, (1,), np.float64)

    def __init__(self, render_mode=None):
        self.begins()

    def begins(self):
        self.x = 0.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.begins()
        return np.array([self.x]), {}

    def step(self, action):
        self.x += self.drawn()
        return np.array([self.x]), 1.0, self.x > 10, False, {}

    def drawn(self):
        return 1.0


class Slots:
    __slots__ = ("x",)


class InC(Simple):
    def begins(self):
        self.x, self.lock = 0.0, threading.Lock()


class InSlots(Simple):
    def begins(self):
        self.x, self.slots = 0.0, Slots()


class Sets(Simple):
    def begins(self):
        self.x, self.seen = 0.0, set()

    def drawn(self):
        self.seen.add(self.x)
        return 1.0


class Closed(Simple):
    """A function of its own remembers."""

    def begins(self):
        count = [0]

        def more():
            count[0] += 1
            return count[0] % 3

        self.x, self.more = 0.0, more

    def drawn(self):
        return self.more()


class Everybodys(Simple):
    def drawn(self):
        return float(np.random.random())  # noqa: NPY002


class Objects(Simple):
    def begins(self):
        self.x, self.things = 0.0, np.array([None])


class Views(Simple):
    def begins(self):
        self.x, self.board = 0.0, np.zeros((2, 3))
        self.row = self.board[1]


class Grows(Simple):
    def begins(self):
        self.x, self.segments = 0.0, []

    def drawn(self):
        self.segments.append(Segment(0))
        return 1.0


COMMON = Segment(0)


class Shares(Simple):
    def begins(self):
        self.x, self.segment = 0.0, COMMON


class Numbered(Simple):
    made = 0

    def __init__(self, render_mode=None):
        super().__init__()
        Numbered.made += 1
        self.number = Numbered.made


class Large(Simple):
    def __init__(self, render_mode=None):
        super().__init__()
        self.data = np.zeros(2**21 + 1)


class Alone(Simple):
    """There can be four: one to look at, two copies, and the first that is tried."""

    made = 0

    def __init__(self, render_mode=None):
        super().__init__()
        Alone.made += 1
        if Alone.made == 5:
            raise OSError("the port is taken")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (InC, "its 'lock' is a lock"),
        (InSlots, "its 'slots' is a Slots"),
        (Sets, "its 'seen' is a set, not the one it began with"),
        (Closed, "it plays on otherwise in a second one"),
        (Everybodys, "it does not play the same from the same seed"),
        (Objects, "its 'things' is an array of object"),
        (Views, "its 'board' and 'row' are parts of one array"),
        (Grows, "its 'segments[0]' is a Segment, not the one it began with"),
        (Shares, "its copies share an object"),
        (Numbered, "it remembers what is another each time"),
        (Large, "a game of it takes more than 16 MB"),
        (Alone, "a second one beside it fails: gym:Alone-v0 cannot be made: *the port is taken"),
    ],
)
def test_what_cannot_be_saved_is_named_and_begins_anew(kind, why):
    register(f"{kind.__name__}-v0", kind)
    kind.made = 0
    with made(f"{kind.__name__}-v0", 2, run="serial") as batch:
        batch.reset()
        batch.step([0, 0])
        before = chance()
        saved = batch.get_state()
        assert not any("games" in name for name in saved)
        assert chance() == before  # though more was played
        batch.set_state(saved)
        assert batch.anew.startswith("cannot be saved (")
        assert fnmatch(batch.anew.replace("[", "("), f"cannot be saved ({why})".replace("[", "("))
        batch.step([0, 0])


def chance():
    """Where the streams stand that everybody draws from."""
    return random.getstate(), str(np.random.get_state())  # noqa: NPY002


def test_where_it_is_made_otherwise_new_games_begin(monkeypatch):
    register("Simple-v0", Simple)
    with made("Simple-v0", 2, run="serial") as batch:
        batch.reset()
        batch.step([0, 0])
        saved = batch.get_state()
    monkeypatch.setattr(Simple, "begins", lambda self: vars(self).update(x=0.0, gravity=9.81))
    with made("Simple-v0", 2, run="serial") as batch:
        batch.set_state(saved)
        assert batch.anew == "is not made as it was when it was saved"
        assert batch.observations.tolist() == [[0.0], [0.0]]


def test_a_step_that_failed_leaves_no_games():
    class Fails(Simple):
        def drawn(self):
            return 1.0 if self.x < 3 else 1 / 0

    register("Fails-v0", Fails)
    with made("Fails-v0", 2, run="serial") as batch:
        batch.reset()
        for _ in range(3):
            batch.step([0, 0])
        assert "games" not in batch.get_state()  # a second one fails as well
        batch._cannot = ""
        assert "games" in batch.get_state()
        with pytest.raises(EnvironmentFault):
            batch.step([0, 0])
        assert "games" not in batch.get_state()


def test_processes_that_have_ended_leave_what_was_learned():
    with made("Trail-v0", run="processes") as batch:
        batch.reset()
        batch.workers.processes[0].kill()
        batch.workers.processes[0].wait()
        assert "games" not in batch.get_state()


def test_what_is_tried_costs_few_environments(monkeypatch):
    opened = []
    open_one = foreign.Recipe.open
    monkeypatch.setattr(
        foreign.Recipe, "open", lambda recipe, *how: opened.append(1) or open_one(recipe, *how)
    )
    with made("Trail-v0", run="serial") as batch:
        batch.reset()
        assert len(opened) == 4  # three copies, and one to look at: nothing is tried before a save
        for _ in range(5):
            batch.get_state()
        assert len(opened) == 6


# ------------------------------------------------------------------------------- the text


def again(value, there=None):
    writer = Writer()
    written = json.loads(json.dumps(writer.write(value)))
    return Reader(writer.classes).read(written, there)


@pytest.mark.parametrize(
    "value",
    [
        None, True, -7, 2**200, 0.1, -0.0, float("inf"), "x\ud800\n", (), (1, (2.5,)), [[], [1]],
        {"a": 1, (1, 2): [3], 4: None}, deque([1, 2], 5), Point(1, 2.0), Way.RIGHT,
        np.float32(0.1), np.int8(-3), np.bool_(True), np.str_("C"), np.str_(""),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_plain_comes_back_as_it_was(value):
    found = again(value)
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_arrays_come_back_to_the_bit():
    rng = np.random.default_rng(0)
    for kind in "?bBhiqQefdFD":
        raw = rng.integers(0, 2, 96, dtype=np.uint8) if kind == "?" else rng.bytes(96)
        array = np.frombuffer(raw, kind).reshape(2, -1).copy()
        for each in (array, np.asfortranarray(array), array[:0], array[:1, :1].copy()[0, 0, None]):
            found = again(each)
            assert (found.dtype, found.shape) == (each.dtype, each.shape)
            assert found.tobytes() == each.tobytes()
            assert found.flags.f_contiguous == each.flags.f_contiguous
            found[...] = 0  # it can be written to


def test_what_stands_in_two_places_comes_back_as_one():
    array, inner = np.zeros(2), [1]
    one, other, lists = again([array, array, [inner, inner]])
    assert one is other
    assert lists[0] is lists[1]
    loop = []
    loop.append(loop)
    found = again(loop)
    assert found[0] is found


def test_a_text_makes_nothing_but_plain_things():
    for written in (
        ["object", f"{__name__}.Segment", {"at": 1}],
        ["named", f"{__name__}.Point", 1, 2],
        ["member", f"{__name__}.Way", "LEFT"],
        ["still", "a function", "os.system"],
        ["generator", "os", {}],
        ["scalar", "|O", "AAAAAAAAAAA="],
        ["array", "C", [1], "|O", "AAAAAAAAAAA="],
        ["array", "C", [2**40], "<f8", "AAAAAAAAAAA="],
        ["array", "C", [2], "<f8", "AAAAAAAAAAA="],
        ["again", 0],
        ["deque", -1, 1],
        ["reduce", "os.system", "true"],
        {"a": 1},
        [],
    ):
        with pytest.raises(state.MISFITS):
            Reader({}).read(written, None)
    for text in (b"", b"[", b"1", b"[1]", b'[0,["object","x",{}]]', b"[" * 100_000):
        with pytest.raises(ValueError, match="a saved game does not fit"):
            state.read(text, Simple())


def test_a_number_without_end_is_no_text():
    with pytest.raises(Unsaveable):
        Writer().text(10**5000)
