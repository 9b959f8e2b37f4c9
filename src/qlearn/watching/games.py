"""One game at a time, stepped in Python and drawable at every moment."""

from __future__ import annotations

import os
import sys
from typing import Any, Protocol

import numpy as np

from qlearn import rng as random_streams
from qlearn.watching.pictures import encoded

MOST_PIXELS = 640  # along a picture's longer side


class Game(Protocol):
    size: tuple[int, int] | None  # of its own pictures, where it makes them

    @property
    def observation(self) -> np.ndarray: ...
    @property
    def score(self) -> float: ...
    def reset(self, seed: int, index: int) -> None: ...
    def step(self, action: int) -> tuple[float, bool]: ...
    def look(self) -> dict[str, Any]: ...
    def close(self) -> None: ...


def game_of(environment: Any, pictures: bool = True) -> Game:
    """A game of its own beside the learner's; without `pictures` it need not be drawable."""
    if not environment.compiled:
        return ForeignGame(environment, pictures)
    camera = Camera.of(environment) if pictures else None
    return CompiledGame(environment) if camera is None else FilmedGame(environment, camera)


class CompiledGame:
    """What the compiled loop plays, by the interpreter: game `index` of an evaluation's seed."""

    size: tuple[int, int] | None = None

    def __init__(self, environment: Any) -> None:
        from qlearn.envs import loop
        from qlearn.envs.plain import PlainGame
        from qlearn.kernels.bind import bound

        self.environment = environment
        self.game = PlainGame(environment, autoreset=False)
        self._score = bound(loop.final_score, environment.bind)

    @property
    def score(self) -> float:
        return float(self._score(self.game.copy, self.game.world))

    @property
    def observation(self) -> np.ndarray:
        return self.game.observation

    def reset(self, seed: int, index: int) -> None:
        self.game.reseed(seed, index)
        self.game.copy.rng = random_streams.stream(seed, index, random_streams.EVALUATION)
        self.game.reset()

    def step(self, action: int) -> tuple[float, bool]:
        reward, terminated, truncated = self.game.step(action)
        return reward, terminated or truncated

    def look(self) -> dict[str, Any]:
        return {
            name: value.copy() if isinstance(value, np.ndarray) else value
            for name, value in self.game.copy.state.as_dict().items()
        }

    def close(self) -> None:
        pass


class FilmedGame(CompiledGame):
    """A game compiled out of Gymnasium's tables, painted by Gymnasium's own environment."""

    def __init__(self, environment: Any, camera: Camera) -> None:
        super().__init__(environment)
        self.camera, self.size = camera, camera.size

    def look(self) -> dict[str, Any]:
        return self.camera.look(int(super().look()["place"]))

    def close(self) -> None:
        self.camera.close()


class Camera:
    """Gymnasium's environment, set to a place and asked to paint."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.size = picture_of(env)[1]

    @classmethod
    def of(cls, environment: Any) -> Camera | None:
        """Of games without a board of ours that can be set to a place and can paint."""
        from qlearn.envs.gym.foreign_copies import recipe_of
        from qlearn.envs.layout import layout_of

        if environment.kind != "gymnasium" or "place" not in (environment.state.names or ()):
            return None
        if layout_of(environment) is not None:
            return None
        try:
            env = recipe_of(environment.target.partition(":")[2], environment.options).open(
                "rgb_array"
            )
            env.reset(seed=0)
            return cls(env) if hasattr(env.unwrapped, "s") else None
        except Exception:
            return None  # then it is drawn as text

    def look(self, place: int) -> dict[str, Any]:
        self.env.unwrapped.s = place
        data, (width, height) = picture_of(self.env)
        return {"image": data, "width": width, "height": height}

    def close(self) -> None:
        self.env.close()


class ForeignGame:
    """Gymnasium's environment as it is, without its own time limit: ours counts."""

    def __init__(self, environment: Any, pictures: bool) -> None:
        from qlearn.envs.gym.foreign_copies import failure, view_of

        self.environment, self.recipe = environment, environment.recipe
        self.failure = failure
        self.env = _opened(environment.recipe, pictures)
        self.write = view_of(self.env.observation_space, self.recipe.index, self.recipe.name).write
        self.first_action = int(self.env.action_space.start)
        inner = getattr(environment, "inner", environment)
        self._seen = np.zeros(inner.observation_shape, inner.observation_dtype)
        self._painted: tuple[str, tuple[int, int]] | None = None
        self.size: tuple[int, int] | None = None
        self.score, self.elapsed = 0.0, 0
        if pictures:
            self._guarded(lambda: self.env.reset(seed=0))
            self.size = self._paint()[1]

    @property
    def observation(self) -> np.ndarray:
        place = getattr(self.environment, "place", None)  # real numbers divided into buckets
        return self._seen if place is None else place(self._seen[None])[0]

    def reset(self, seed: int, index: int) -> None:
        from qlearn.envs.gym.foreign_batch import seed_of

        seen, _ = self._guarded(lambda: self.env.reset(seed=seed_of(seed, index)))
        self.write(self._seen, seen)
        self.score, self.elapsed = 0.0, 0

    def step(self, action: int) -> tuple[float, bool]:
        step = self._guarded(lambda: self.env.step(action + self.first_action))
        seen, reward, terminated, truncated, _ = step
        self.write(self._seen, seen)
        self.score += float(reward)
        self.elapsed += 1
        return float(reward), bool(terminated or truncated or self.elapsed == self.recipe.max_steps)

    def look(self) -> dict[str, Any]:
        data, (width, height) = self._paint()
        return {"image": data, "width": width, "height": height}

    def _paint(self) -> tuple[str, tuple[int, int]]:
        return self._guarded(lambda: picture_of(self.env))

    def _guarded(self, what: Any) -> Any:
        from qlearn.errors import UserError

        try:
            return what()
        except UserError:
            raise
        except Exception as error:
            if type(error).__name__ == "DependencyNotInstalled":
                raise self.recipe.refused(error) from error
            raise self.failure(self.recipe.name, "the game", error) from error

    def close(self) -> None:
        self.env.close()


def _opened(recipe: Any, pictures: bool) -> Any:
    """The environment, asked for pictures where they are wanted; without them in one line."""
    from qlearn.errors import UserError

    if not pictures:
        return recipe.open()
    env = recipe.open()
    try:
        modes = env.metadata.get("render_modes") or ()
    finally:
        env.close()
    if "rgb_array" not in modes:
        raise UserError(f"{recipe.name} makes no pictures (no render mode rgb_array) to be watched")
    return recipe.open("rgb_array")


def _without_screen() -> None:
    """Where there is no screen SDL is told so, or it complains of it."""
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def picture_of(env: Any) -> tuple[str, tuple[int, int]]:
    """What the environment paints now, and how wide and high it is."""
    _without_screen()
    painted = np.asarray(env.render())
    if painted.ndim != 3 or painted.shape[2] != 3 or painted.dtype != np.uint8:
        raise TypeError(f"render() gave no picture but {painted.dtype} of {painted.shape}")
    every = -(-max(painted.shape[:2]) // MOST_PIXELS)
    painted = painted[::every, ::every]
    return encoded(painted), (painted.shape[1], painted.shape[0])
