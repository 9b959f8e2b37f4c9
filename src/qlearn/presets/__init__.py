"""Settings that are known to do well, one small file each: `qlearn train --preset NAME`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from qlearn.errors import UserError, closest


@dataclass(frozen=True)
class Preset:
    env: str
    algo: str = "auto"
    settings: dict[str, Any] = field(default_factory=dict)


def names() -> list[str]:
    files = resources.files(__name__).iterdir()
    return sorted(file.name[:-5] for file in files if file.name.endswith(".toml"))


def file_of(name: str) -> str:
    """Of presets of one environment the second word is enough: `strong` is `snake-strong`."""
    meant = [known for known in names() if known.partition("-")[2] == name]
    return meant[0] if len(meant) == 1 else name


def read(name: str) -> Preset:
    name = file_of(name)
    if name not in names():
        raise UserError(
            f"there is no preset '{name}'{closest(name, names())}; there are {', '.join(names())}"
        )
    return Preset(**tomllib.loads((resources.files(__name__) / f"{name}.toml").read_text()))


def apply(
    name: str, env: str | None, algo: str, settings: dict[str, Any]
) -> tuple[str, str, dict[str, Any]]:
    """The environment, the algorithm and the settings; what the user says himself goes first."""
    preset = read(name)
    if env not in (None, preset.env):
        raise UserError(f"the preset {name} is for {preset.env}, not {env}")
    if algo not in ("auto", preset.algo):
        raise UserError(f"the preset {name} is for {preset.algo}, not {algo}")
    return preset.env, preset.algo, {**preset.settings, **settings}
