"""Where the time of each side went: profiled once, when all times are taken, and laid in columns."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qlearn.compare.circuit import CircuitContender
from qlearn.compare.contenders import Contender, EngineContender, ScriptContender
from qlearn.compare.names import short
from qlearn.profiling.report import listing, words

Profile = Mapping[str, Any] | None  # none where a side left nothing behind
Table = list[list[str]]

SMALL = 0.005  # of a side's time; a stage below that on every side is not shown
HOTTEST = 6
IMPORTING = "<frozen importlib"  # a stage already, and nobody's function
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
            if isinstance(contender, CircuitContender):
                say(f"{contender.name} is computed: nothing runs that could be profiled")
            elif found[-1] is None:
                say(f"{contender.name} ended before anything of it was profiled")
            elif line and not found[-1]["lines"]:
                say(f"{contender.name} has no lines to show; its functions are")
    return found


def _profile(contender: Contender, seed: int, how: Mapping[str, Any]) -> dict[str, Any] | None:
    from qlearn.profiling.profile import NothingMeasured, profile

    try:
        if isinstance(contender, ScriptContender):
            script, *arguments = contender.command
            return profile(script, arguments, **how)
        if not isinstance(contender, EngineContender):
            return None
        return profile(contender.job["env"], training=_training(contender.job, seed), **how)
    except NothingMeasured:
        return None


def _training(job: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The measured training as `qlearn.train` is called."""
    options = {f"env.{key}": value for key, value in job["env_options"].items()}
    named = {key: job[key] for key in ("env", "algo", "engine")}
    return {**named, "seed": seed, **options, **job["settings"]}


def stages(names: Sequence[str], of: Sequence[Profile]) -> Table:
    """A row a stage, a column a side; the first row is its heading."""
    by_title = [_by_title(side) for side in of]
    shares: dict[str, float] = {}
    for side in by_title:
        for title, (share, _) in side.items():
            shares[title] = max(shares.get(title, 0.0), share)
    shown = sorted(
        (title for title, share in shares.items() if share >= SMALL),
        key=lambda title: (title == words.title(words.OTHER), -shares[title]),
    )
    rows = [
        [title, *(_spent(*side.get(title, (0.0, 0.0))) for side in by_title)] for title in shown
    ]
    whole = [words.seconds(side["total_seconds"]) if side else "" for side in of]
    return [["stage", *short(names)], *rows, ["in all", *whole]]


def _by_title(side: Profile) -> dict[str, tuple[float, float]]:
    """Share and seconds; scripts' stages and those of our timers meet where they are called alike."""
    sums: dict[str, tuple[float, float]] = {}
    for stage in (side or {}).get("stages", ()):
        share, seconds = sums.get(words.title(stage["name"]), (0.0, 0.0))
        sums[words.title(stage["name"])] = share + stage["share"], seconds + stage["seconds"]
    return sums


def hottest(names: Sequence[str], of: Sequence[Profile]) -> Table:
    """The functions with the most time of their own on each side; lines, where they were asked."""
    columns = [_hottest(side) for side in of]
    lines = any(side and side["lines"] for side in of)
    rows = [
        [str(place + 1), *(column[place] if place < len(column) else "" for column in columns)]
        for place in range(max(map(len, columns), default=0))
    ]
    return [["hottest lines" if lines else "hottest functions", *short(names)], *rows]


def _hottest(side: Profile) -> list[str]:
    if side is None:
        return []
    if side["lines"]:
        return [_line(row, side) for row in listing.hottest(side["lines"], HOTTEST)]
    spots = [
        spot
        for spot in side["hotspots"]
        if spot["share"] >= SMALL and not spot["file"].startswith(IMPORTING)
    ]
    return [_function(spot, side) for spot in spots[:HOTTEST]]


def _function(spot: Mapping[str, Any], side: Mapping[str, Any]) -> str:
    where = words.place(spot["file"], spot["line"], side)
    return f"{words.share(spot['share'])}  {spot['function']}  {where}"


def _line(row: Mapping[str, Any], side: Mapping[str, Any]) -> str:
    spent = words.seconds(row["seconds"])
    text = listing.text_of(row["file"], row["line"])
    text = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    return f"{spent}  {words.place(row['file'], row['line'], side)}  {text}"


def _spent(share: float, seconds: float) -> str:
    return f"{words.share(share)}  {words.seconds(seconds)}" if seconds else ""
