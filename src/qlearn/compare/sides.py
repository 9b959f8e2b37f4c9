"""Where the time of each side went: profiled once, when all times are taken, and laid in columns."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qlearn.compare.contenders import Contender, ScriptContender
from qlearn.profiling.report import listing, words

Profile = Mapping[str, Any] | None  # none where a side left nothing behind
Table = list[list[str]]

SMALL = 0.005  # of a side's time; a stage below that on every side is not shown
HOTTEST = 6
LONGEST = 44  # characters of a line of source


def profiles(
    compared: Sequence[Contender],
    line: bool,
    headless: bool,
    seed: int,
    say: Callable[[str], None],
) -> list[dict[str, Any] | None]:
    """The object of `qlearn profile --json` for each; what scripts print is not shown again."""
    found = []
    with open(os.devnull, "w") as nowhere:
        for contender in compared:
            say(f"profiling {contender.name}")
            how = {"line": line, "headless": headless, "output": nowhere}
            found.append(_profile(contender, seed, how))
            if found[-1] is None:
                say(f"{contender.name} ended before anything of it was profiled")
    return found


def _profile(contender: Contender, seed: int, how: Mapping[str, Any]) -> dict[str, Any] | None:
    from qlearn.profiling.profile import NothingMeasured, profile

    try:
        if isinstance(contender, ScriptContender):
            script, *arguments = contender.command
            return profile(script, arguments, **how)
        return profile(contender.job["env"], training=_training(contender.job, seed), **how)
    except NothingMeasured:
        return None


def _training(job: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The measured training as `qlearn.train` is called."""
    options = {f"env.{key}": value for key, value in job["env_options"].items()}
    named = {key: job[key] for key in ("env", "algo", "engine")}
    return {**named, "seed": seed, **options, **job["settings"]}


def short(names: Sequence[str]) -> list[str]:
    """Without the folders of scripts, where that leaves them distinct."""
    shorter = []
    for name in names:
        first, *rest = name.split(" ")
        shorter.append(" ".join([Path(first).name if first.endswith(".py") else first, *rest]))
    return shorter if len(set(shorter)) == len(names) else list(names)


def stages(names: Sequence[str], of: Sequence[Profile]) -> Table:
    """A row a stage, a column a side; the first row is its heading."""
    by_name = [{stage["name"]: stage for stage in (side or {}).get("stages", ())} for side in of]
    largest: dict[str, float] = {}
    for side in by_name:
        for name, stage in side.items():
            largest[name] = max(largest.get(name, 0.0), stage["share"])
    shown = sorted(
        (name for name, share in largest.items() if share >= SMALL),
        key=lambda name: (name == words.OTHER, -largest[name]),
    )
    rows = [[words.title(name), *(_spent(side.get(name)) for side in by_name)] for name in shown]
    whole = [words.seconds(side["total_seconds"]) if side else "" for side in of]
    return [["stage", *short(names)], *rows, ["in all", *whole]]


def hottest(names: Sequence[str], of: Sequence[Profile]) -> Table:
    """The functions with the most time of their own on each side; lines, where they were asked."""
    line = any(side and "--line" in side["options"] for side in of)
    columns = [_hottest(side, line) for side in of]
    rows = [
        [str(place + 1), *(column[place] if place < len(column) else "" for column in columns)]
        for place in range(max(map(len, columns), default=0))
    ]
    return [["hottest lines" if line else "hottest functions", *short(names)], *rows]


def _hottest(side: Profile, line: bool) -> list[str]:
    if side is None:
        return []
    if line and side.get("lines"):
        return [_line(row, side) for row in listing.hottest(side["lines"], HOTTEST)]
    spots = [spot for spot in side["hotspots"] if spot["share"] >= SMALL]
    return [_function(spot, side) for spot in spots[:HOTTEST]]


def _function(spot: Mapping[str, Any], side: Mapping[str, Any]) -> str:
    where = words.place(spot["file"], spot["line"], side)
    return f"{words.share(spot['share'])}  {spot['function']}  {where}"


def _line(row: Mapping[str, Any], side: Mapping[str, Any]) -> str:
    share = words.share(row["seconds"] / side["total_seconds"])
    text = listing.text_of(row["file"], row["line"])
    text = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    return f"{share}  {words.place(row['file'], row['line'], side)}  {text}"


def _spent(stage: Mapping[str, Any] | None) -> str:
    if stage is None:
        return ""
    return f"{words.share(stage['share'])}  {words.seconds(stage['seconds'])}"
