"""Hostile command lines: each is a correct run, or exit code 2 with one line and nothing left.

    python benchmarks/hostile.py [--trials 1000] [--seed 0] [--networks 0.4] [--every] [--record]

Lines are drawn from every command and every option of the parsers themselves, and from every
setting of the algorithms; `--networks` is the share of trainings that are of networks. They run in
this process; a training ends after its first steps, and what would measure for minutes where that
would begin. `--every` also gives each setting of each algorithm each hostile value.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

import _report
from qlearn.algorithms import registry
from qlearn.cli import main as cli
from qlearn.runs.config import RunConfig
from qlearn.runs.driver import Training

VALUES = (
    "", " ", "nan", "inf", "-inf", "1e999", "-1", "0", "1", "2", "0.5", "-0.0", "1e-320", "1e308",
    str(2**31), str(2**63 - 1), str(2**64), "9" * 5000, "1_0", "0x10", "1e3", "true", "none", "None",
    "null", "é", "\u202e", "日本", "\U0001f600", "\ud800", "a\nb", "a\0b", "x" * 5000, "'", '"',
    "-", "--", "=", "a=b", "../..", "/", "/dev/null", "/dev/full", "/proc/1/mem", "adir", "empty", "bytes",
    "no/such", "maze.txt", "maze.txt:X", "bytes.py:X", "raises.py:X", "mine.py:", ":X", "gym:", "gym::",
    "gym:No-v0", "grid", "cartpole", "run", "last", "{}", "%s", "$HOME", "~", "~nobody/x", "1->",
    "1->0@", "1->0@0", "decay:1->0@2/ep", "step:1->0@1x0", "->", "@", "1@1", "8x8", "0x0", "x", "1,2", "64x-1",
)  # fmt: skip
SECONDS, SECONDS_TRAINED = 20, 4
USUAL = {
    "train": ("grid", "maze.txt"), "runs": (), "envs": (), "calibrate": (), "serve": (".", "run"),
    "compare": ("grid", "maze.txt", "run", "quick.py", "quick.py 1"), "import": ("net.pth",),
    "profile": ("quick.py", "grid", "run"), "check": ("grid", "maze.txt", "quick.py:Name"),
}  # fmt: skip
# Where a command has done all that it does before it measures or serves for minutes.
MEASURING = (
    "qlearn.compare.compare._measure", "qlearn.compare.calibrate.measure",
    "qlearn.profiling.process.run", "qlearn.profiling.own.profile", "qlearn.dashboard.app.make_app",
    "qlearn.hardware.simulate.simulate", "qlearn.hardware.verify.verify",
    "qlearn.hardware.synthesize.synthesize",
)  # fmt: skip


class Started(BaseException):
    """A training has begun, and learned a little: the line was a correct one."""


class Slow(BaseException):
    pass


def places(home: Path) -> None:
    """Files that are not what they are taken for, and a run."""
    (home / "adir").mkdir()
    (home / "empty").write_bytes(b"")
    (home / "bytes").write_bytes(bytes(range(256)))
    (home / "bytes.py").write_bytes(bytes(range(256)))
    (home / "raises.py").write_text("1 / 0\n")
    (home / "quick.py").write_text("print('score: 1')\n")
    (home / "maze.txt").write_text("S.G\n")
    module = nn.Linear(4, 2)
    torch.save(module.state_dict(), home / "net.pth")
    run(
        [
            "train",
            "grid",
            "--engine",
            "dict",
            "--steps",
            "100",
            "--quiet",
            "--out",
            "run",
            "--set",
            "eval_episodes=1",
        ]
    )


def settings(algo: str) -> list[str]:
    found = [field.name for field in (*fields(RunConfig), *fields(registry.config_class(algo)))]
    environment = ("slip", "reward", "buckets", "size", "native", "max_steps", "observation", "no")
    return sorted(set(found)) + [f"env.{key}" for key in environment] + ["no", "say", "", "=", "é"]


def line(chance: random.Random, networks: float = 0.0) -> list[str]:
    """A command line; most of it is right, so that its mistake is looked at."""
    name = chance.choice(["train"] * 6 + list(cli.COMMANDS))
    if chance.random() < 0.02:
        return [chance.choice(VALUES), chance.choice(VALUES)]
    words = [name]
    parser = argparse.ArgumentParser(add_help=False)
    command = import_module(f"qlearn.cli.{name}")
    if name == "hardware":
        words.append(chance.choice(list(command.ACTIONS)))
        command.ACTIONS[words[1]].add_arguments(parser)
    else:
        command.add_arguments(parser)
    for action in parser._actions:
        if not action.option_strings:
            words += positional(name, chance)
    algo = "table"
    if name == "train" and chance.random() < networks:
        algo = chance.choice(("pqn", "dqn"))
        words = begins_with(algo)
    elif name == "train":
        words += ["--engine", chance.choice(["dict"] * 4 + ["numpy"]), "--steps", "50"]
    options = [action for action in parser._actions if action.option_strings]
    chosen = chance.sample(options, min(len(options), chance.choice([0, 1, 1, 2, 3])))
    for action in chosen + (chosen[:1] if chance.random() < 0.1 else []):
        words.append(action.option_strings[0])
        if action.dest == "settings":
            pairs = chance.randint(1, 2)
            words += [setting(algo, chance) for _ in range(pairs)]
        elif action.nargs != 0 and chance.random() < 0.97:
            words.append(value(action, chance))
    if words[:2] == ["hardware", "generate"] and chance.random() < 0.9:
        words += ["--out", chance.choice(["design", "adir", "run"])]
    if name in ("import", "profile", "compare") and chance.random() < 0.5:
        words += {"import": ["--env", "cartpole"], "compare": ["--repeats", "1"]}.get(name, ["--"])
    if name == "train" and chance.random() < 0.5:
        words += ["--set", setting(algo, chance)]
    return words + (["--json"] if chance.random() < 0.2 else [])


def begins_with(algo: str) -> list[str]:
    """A training that settings are tried on."""
    if algo == "table":
        return ["train", "grid", "--engine", "dict", "--steps", "50"]
    return ["train", "cartpole", "--algo", algo, "--engine", "torch", "--steps", "50"]


def every_setting() -> Iterator[list[str]]:
    """Each setting of each algorithm with each hostile value."""
    for algo in registry.ALGORITHMS:
        for key in settings(algo):
            for word in VALUES:
                yield [*begins_with(algo), "--set", f"{key}={word}"]


def positional(name: str, chance: random.Random) -> list[str]:
    usual = USUAL.get(name, ("run", "last"))
    if chance.random() < 0.7:
        return [chance.choice(usual)] if usual else []
    return [chance.choice(VALUES)] if chance.random() < 0.9 else []


def setting(algo: str, chance: random.Random) -> str:
    return f"{chance.choice(settings(algo))}={chance.choice(VALUES)}"


def value(action: Any, chance: random.Random) -> str:
    if action.choices and chance.random() < 0.5:
        return str(chance.choice(list(action.choices)))
    return chance.choice(VALUES)


def run(words: list[str]) -> tuple[Any, str, str]:
    """Exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: Any = cli.main(words)
        except SystemExit as left:
            code = left.code
        except Started:
            code = 0
    return code, out.getvalue(), err.getvalue()


def begins(training: Training) -> Any:
    """A little of a training; that of a setting which makes it long is a correct one, too."""
    training._chunk = 8
    signal.alarm(SECONDS_TRAINED)
    with contextlib.suppress(Slow):
        training._train_a_chunk()
        training._look()
    raise Started


def fault(words: list[str], home: Path) -> str:
    """What is wrong with how a command line ended; nothing if it ended well."""
    before = sorted(home.rglob("*"))
    signal.alarm(SECONDS)
    try:
        code, out, err = run(words)
    except Slow:
        return f"takes longer than {SECONDS} s"
    except BaseException as error:
        return f"raises {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    told = [text for text in err.splitlines() if text.startswith("qlearn: ")]
    if code not in (0, 2) or "Traceback" in err:
        return f"exit code {code}: {err.strip()[-300:]}"
    if words[:1] == ["check"] and code == 2 and out and not err:
        return ""  # what it finds is its result
    if code == 2 and (len(told) != 1 or not err.endswith(told[0] + "\n")):
        return f"says {len(told)} lines: {err!r}"
    if code == 2 and out:
        return f"says {out[:100]!r} on standard output"
    left = [path for path in sorted(home.rglob("*")) if path not in before]
    if code == 2 and left:
        return f"leaves {left[0].relative_to(home)}"
    return ""


def trials(
    number: int, first: int = 0, networks: float = 0.0, more: Iterable[list[str]] = ()
) -> tuple[Counter[str], list[str]]:
    """How many lines of each command were tried, and what was wrong with some."""
    tried: Counter[str] = Counter()
    wrong = []
    drawn = (line(random.Random(seed), networks) for seed in range(first, first + number))
    with tempfile.TemporaryDirectory() as folder, there(Path(folder)):
        for words in chain(drawn, more):
            tried[words[0] if words[0] in cli.COMMANDS else "none"] += 1
            if said := fault(words, Path(folder)):
                shown = " ".join(word[:60] for word in map(repr, words))
                wrong.append(f"{shown}: {said}")
    return tried, wrong


@contextlib.contextmanager
def there(home: Path) -> Iterator[None]:
    """In a folder of files and a run, where nothing trains or measures for long."""

    def late(*_: Any) -> None:
        raise Slow

    def started(*_: Any, **__: Any) -> None:
        raise Started

    with contextlib.ExitStack() as patches:
        patches.callback(os.chdir, Path.cwd())
        patches.callback(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, late))
        os.chdir(home)
        patches.enter_context(patch.dict(os.environ, QLEARN_RUNS=str(home / "runs")))
        places(home)
        patches.enter_context(patch.object(Training, "_run", begins))
        for place in MEASURING:
            patches.enter_context(patch(place, started))
        yield


if __name__ == "__main__":
    options = _report.parser(__doc__)
    options.add_argument("--trials", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--networks", type=float, default=0.4)
    options.add_argument("--every", action="store_true")
    chosen = options.parse_args()
    more = every_setting() if chosen.every else ()
    tried, wrong = trials(chosen.trials, chosen.seed, chosen.networks, more)
    print(*wrong, sep="\n")
    print(f"{tried.total():,} command lines, {len(wrong)} of them ended badly; {dict(tried)}")
    found = {"trials": tried.total(), "every_setting": chosen.every, "wrong": len(wrong)}
    _report.record("hostile", found | {"seed": chosen.seed, "commands": tried}, chosen.record)
    sys.exit(bool(wrong))
