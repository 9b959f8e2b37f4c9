"""A replay as one would write it first: a list of dicts for every lane."""

from __future__ import annotations

import numpy as np

from qlearn import ReplayBuffer


class Model:
    """What a replay of `room` places a lane holds: transitions, ends (None), and a last place."""

    def __init__(self, lanes: int, room: int, n_step: int, discount: float) -> None:
        self.places: list[list[dict | None]] = [[] for _ in range(lanes)]
        self.room, self.n_step, self.discount = room, n_step, discount

    def add(self, lane: int, **step) -> None:
        places = self.places[lane]
        before = places[-1] if places else None
        if before and not goes_on(before, step["observation"]):
            places.append(None)
        places.append(step)
        if step["terminated"] or step["truncated"]:
            places.append(None)
        del places[: max(0, len(places) - (self.room - 1))]  # one waits for what comes next

    def held(self) -> dict[bytes, dict]:
        """Every transition by its first frame, as it should be drawn."""
        return {
            step["observation"].tobytes(): self.looked_ahead(places[k:])
            for places in self.places
            for k, step in enumerate(places)
            if step
        }

    def looked_ahead(self, places: list[dict | None]) -> dict:
        reward, discount, last = 0.0, 1.0, None
        for step in places[: self.n_step]:
            if step is None:
                break
            reward += discount * step["reward"]
            discount *= self.discount
            last = step
            if step["terminated"] or step["truncated"]:
                break
        first = places[0]
        assert first is not None
        assert last is not None
        return {
            "observations": first["observation"],
            "actions": first["action"],
            "rewards": reward,
            "next_observations": last["after"],
            "discounts": 0.0 if last["terminated"] else discount,
            "terminated": last["terminated"],
            "truncated": last["truncated"] and not last["terminated"],
        }


def goes_on(step: dict, observation: np.ndarray) -> bool:
    if step["terminated"] or step["truncated"]:
        return True  # its own end took a place already
    return step["after"].tobytes() == observation.tobytes()


class Play:
    """Lanes of episodes of unequal lengths, told to a replay and to its model alike."""

    def __init__(self, replay: ReplayBuffer, seed: int, ends: float = 0.2, leaps: float = 0.05):
        self.replay, self.ends, self.leaps = replay, ends, leaps
        self.chance = np.random.default_rng(seed)
        room = replay.capacity // replay.envs
        self.model = Model(replay.envs, room, replay.n_step, replay.discount)
        self.seen = self.frames()

    def frames(self) -> np.ndarray:
        """No two alike."""
        replay = self.replay
        shape, kind = (replay.envs, *replay.observation), replay.dtype
        if kind.kind == "f":
            return self.chance.normal(size=shape).astype(kind)
        if kind.kind == "c":
            return (self.chance.normal(size=shape) + 1j).astype(kind)
        return self.chance.integers(0, 2 if kind.kind == "b" else 256, shape).astype(kind)

    def step(self) -> None:
        chance, lanes = self.chance, self.replay.envs
        leaps = chance.random(lanes) < self.leaps  # left alone meanwhile: another frame follows
        self.seen[leaps] = self.frames()[leaps]
        actions = chance.integers(0, 5, lanes)
        rewards = chance.normal(size=lanes).astype(np.float32)
        terminated, truncated = chance.random((2, lanes)) < self.ends / 2
        valid = chance.random(lanes) < 0.8
        before, after = self.seen, self.frames()
        self.replay.add(self.seen, actions, rewards, after, terminated, truncated, valid)
        for lane in np.flatnonzero(valid):
            self.model.add(
                lane,
                observation=self.seen[lane].copy(),
                action=actions[lane],
                reward=float(rewards[lane]),
                after=after[lane].copy(),
                terminated=bool(terminated[lane]),
                truncated=bool(truncated[lane]),
            )
        ended = terminated | truncated
        self.seen = np.where(
            ended.reshape(-1, *[1] * (after.ndim - 1)), self.frames(), after
        ).astype(after.dtype)
        stayed = ~valid & (chance.random(lanes) < 0.5)
        self.seen[stayed] = before[stayed]
