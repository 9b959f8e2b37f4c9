"""Environments with a finite model run compiled: Gymnasium's toy text games, out of their tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces

from qlearn.envs import spec
from qlearn.envs.gym.foreign_copies import Recipe, recipe_of
from qlearn.envs.model import Model
from qlearn.rng import uniform

# Wrappers that leave the game as its model says.
HARMLESS = ("TimeLimit", "OrderEnforcing", "PassiveEnvChecker")
# Others' models are believed after this many steps played by them.
TRIED_STEPS = 500
ACTION_NAMES = {
    "FrozenLakeEnv": ("left", "down", "right", "up"),
    "CliffWalkingEnv": ("up", "right", "down", "left"),
    "TaxiEnv": ("south", "north", "east", "west", "pick up", "drop off"),
}


def chosen_by(chance, cumulative, low, high):
    """The first place in low .. high-1 whose cumulative chance is above `chance`."""
    high -= 1
    while low < high:
        middle = (low + high) // 2
        if cumulative[middle] > chance:
            high = middle
        else:
            low = middle + 1
    return low


class Finite:
    """States, actions and what may come of them as flat arrays [state, action, outcome]."""

    state = {"place": "int64"}

    @staticmethod
    def reset(state, rng, world):
        state.place = chosen_by(uniform(rng), world.start, 0, world.start.shape[0])

    @staticmethod
    def step(state, action, rng, world):
        row = (state.place * world.actions + action) * world.outcomes
        if world.outcomes > 1:
            row = chosen_by(uniform(rng), world.chance, row, row + world.outcomes)
        state.place = int(world.to[row])
        return world.reward[row], world.ended[row]

    @staticmethod
    def observe(state, obs):
        obs[0] = state.place


def world_of(model: Model) -> dict[str, Any]:
    """The model as the compiled functions read it: flat, chances summed up."""
    return {
        "to": model.to.reshape(-1),
        "chance": _cumulative(model.chance).reshape(-1),
        "reward": model.reward.reshape(-1),
        "ended": model.ended.reshape(-1),
        "start": _cumulative(model.start),
        "actions": model.actions,
        "outcomes": model.to.shape[2],
    }


def _cumulative(chances: np.ndarray) -> np.ndarray:
    """Sums along the last axis; from the last possible outcome on exactly 1, whatever rounding."""
    sums = np.cumsum(chances, axis=-1)
    left = np.cumsum(chances[..., ::-1], axis=-1)[..., ::-1]  # the chance of this one or a later
    after = np.concatenate([left[..., 1:], np.zeros_like(left[..., :1])], axis=-1)
    return np.where(after <= 0.0, 1.0, sums)


def from_gymnasium(
    identity: str, chosen: Mapping[str, Any], reward=None
) -> spec.Environment | None:
    """Gymnasium's environment compiled out of its own model, or None where it has none."""
    recipe = recipe_of(identity, chosen)
    env = recipe.open()
    try:
        model = model_in(env)
        if model is None:
            return None
        cls = _class_of(model, recipe, env)
    finally:
        env.close()
    environment = spec.from_class(cls, recipe.name, "gymnasium", {}, reward, recipe.name)
    return replace(environment, options=settled(recipe, chosen))


def _class_of(known: Model, recipe: Recipe, env: Any) -> type:
    """The plain functions with one environment's figures."""
    original = type(env.unwrapped)

    class Compiled(Finite):
        __doc__ = original.__doc__
        actions = known.actions
        observation = known.states
        action_names = ACTION_NAMES.get(original.__name__, ())
        max_steps = recipe.max_steps
        world = world_of(known)
        draw = _drawing(recipe, env)

        @staticmethod
        def model(world):
            return known

    return Compiled


def settled(recipe: Recipe, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they were meant: `find()` with them gives the same environment."""
    ours = {"max_steps": recipe.max_steps} if "max_steps" in chosen else {}
    return {**recipe.options, **ours}


def model_in(env: Any) -> Model | None:
    """The transition model that an environment carries in `P`, where it tells the whole truth."""
    game = env.unwrapped
    table, start = getattr(game, "P", None), getattr(game, "initial_state_distrib", None)
    if table is None or start is None or not _only_harmless_wrappers(env):
        return None
    if getattr(game, "fickle_passenger", False):  # Taxi's passenger changes his mind outside of P
        return None
    for space in (env.observation_space, env.action_space):
        if not isinstance(space, spaces.Discrete) or space.start != 0:
            return None
    places, actions = int(env.observation_space.n), int(env.action_space.n)
    try:
        model = _read(table, np.asarray(start, np.float64), places, actions)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    if not type(game).__module__.startswith("gymnasium.envs.") and not _holds(model, env):
        return None
    return model


def _only_harmless_wrappers(env: Any) -> bool:
    while env is not env.unwrapped:
        if type(env).__name__ not in HARMLESS:
            return False
        env = env.env
    return True


def _read(table: Any, start: np.ndarray, places: int, actions: int) -> Model:
    outcomes = max(len(table[s][a]) for s in range(places) for a in range(actions))
    shape = (places, actions, outcomes)
    model = Model(
        np.zeros(shape, np.int64),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(shape, np.bool_),
        start,
    )
    for s in range(places):
        for a in range(actions):
            for k, (chance, to, reward, terminated) in enumerate(table[s][a]):
                model.to[s, a, k] = to
                model.chance[s, a, k] = chance
                model.reward[s, a, k] = reward
                model.ended[s, a, k] = terminated
    sums = model.chance.sum(axis=2)
    if start.shape != (places,) or not np.allclose(sums, 1.0) or not np.isclose(start.sum(), 1.0):
        raise ValueError("chances that do not sum to 1")
    if model.to.min() < 0 or model.to.max() >= places or model.chance.min() < 0.0:
        raise ValueError("a place that does not exist")
    return model


def _holds(model: Model, env: Any) -> bool:
    """Whether the environment does as the model says, for as long as we try."""
    chooser = np.random.default_rng(0)
    place, _ = env.reset(seed=0)
    if model.start[place] <= 0.0:
        return False
    for _ in range(TRIED_STEPS):
        action = int(chooser.integers(model.actions))
        to, reward, terminated, truncated, _ = env.step(action)
        foreseen = (
            (model.chance[place, action] > 0.0)
            & (model.to[place, action] == to)
            & (model.reward[place, action] == reward)
            & (model.ended[place, action] == terminated)
        )
        if not foreseen.any() or truncated:
            return False
        place = env.reset()[0] if terminated else to
    return True


def _drawing(recipe: Recipe, env: Any) -> Any:
    """The environment's own picture as text of any place, where it has one."""
    env.reset(seed=0)
    if "ansi" not in env.metadata.get("render_modes", ()) or not hasattr(env.unwrapped, "s"):
        return None
    artist: list[Any] = []

    def draw(state, world):
        if not artist:
            artist.append(recipe.open(render_mode="ansi").unwrapped)
            artist[0].reset()
        artist[0].s = int(state.place)
        return str(artist[0].render()).strip("\n")

    return staticmethod(draw)
