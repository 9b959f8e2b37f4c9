"""`qlearn COMMAND ...`: finds the command, runs it, turns every ending into an exit code.

argparse, not a larger library: `import argparse` takes 7 ms here, tyro 74 ms, and
`qlearn --help` promises an answer within a blink. Commands are imported when they are named.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import sys
import time
from importlib import import_module
from typing import Any, NoReturn

import qlearn
from qlearn.cli.console import Console
from qlearn.errors import UserError, closest

# One file a command, `qlearn.cli.NAME`: `add_arguments(parser)`, `run(arguments, console)` gives
# the JSON object, `show(report, console)` says it to a person; `exit_code(report)` where it may
# be another than 0; `REST`, the argument that takes what stands after `--`.
COMMANDS = {
    "train": "learn an environment",
    "eval": "play a run's greedy policy and report its scores",
    "profile": "see where the time of your own script goes, and what to change",
    "compare": "measure versions side by side: engines, runs, your own scripts",
    "calibrate": "measure which engine, device and threads are fastest here",
    "hardware": "a circuit that learns: generate, simulate, verify, synthesize",
    "watch": "see an environment played",
    "serve": "see runs in the browser while they learn, and steer them",
    "envs": "list the environments",
    "runs": "list the runs",
    "set": "change a run while it is trained: epsilon, lr, ...",
    "save": "have a run write a checkpoint now",
    "reproduce": "train a run again and say whether every bit is the same",
    "import": "make a run out of a file of weights",
    "export": "write what a run has learned: text, or a PyTorch state dict",
    "check": "find the mistakes in an environment of your own",
}

DONE, OUR_FAULT, USER_INPUT, INTERRUPTED = 0, 1, 2, 130


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    console = Console()
    try:
        return _main(argv, console)
    except UserError as error:
        console.error(str(error))
        return USER_INPUT
    except KeyboardInterrupt:
        console.error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read it has gone
        return DONE
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            console.error("the disk is full; nothing that was there is lost")
            return USER_INPUT
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            console.error(f"{_short(error.filename)} is no path: {error.strerror}")
            return USER_INPUT
        return _our_fault(error, console)
    except MemoryError as error:
        console.error(f"there is not enough memory ({str(error) or 'none is left'})")
        return USER_INPUT
    except Exception as error:
        return _our_fault(error, console)


def _main(argv: list[str], console: Console) -> int:
    for word in argv:
        _check_characters(word)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return DONE
    if argv[0] == "--version":
        print(f"qlearn {qlearn.__version__}")
        return DONE
    name = argv[0]
    if name not in COMMANDS:
        raise UserError(f"there is no command '{name}'{closest(name, COMMANDS)}")
    command = import_module(f"qlearn.cli.{name}")
    parser = Parser(
        prog=f"qlearn {name}",
        description=(command.__doc__ or COMMANDS[name]).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="one JSON object as the last line of standard output"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing but results and errors")
    words, rest = _split(argv[1:]) if hasattr(command, "REST") else (argv[1:], [])
    arguments = parser.parse_args(words)
    if hasattr(command, "REST"):
        setattr(arguments, command.REST, rest)
    console.quiet = arguments.quiet
    if arguments.quiet:
        os.environ["QLEARN_QUIET"] = "1"
    exit_code = getattr(command, "exit_code", lambda report: DONE)
    if not arguments.json:
        report = command.run(arguments, console)
        command.show(report, console)
        return exit_code(report)
    # Whatever an environment or a library prints must not get between the reader and the object.
    with contextlib.redirect_stdout(sys.stderr):
        console.json = True
        report = command.run(arguments, console)
    if report is not None:  # else it has been said
        print(json.dumps(report, default=_plain))
    sys.stdout.flush()
    return exit_code(report)


def _check_characters(word: str) -> None:
    """What no system could have handed over: from here on, every word may be part of a path."""
    try:
        os.fsencode(word)
    except UnicodeEncodeError:
        raise UserError(f"{_short(word)} holds a character that does not exist") from None
    if "\0" in word:
        raise UserError(f"{_short(word)} holds a null character")


def _short(word: Any) -> str:
    text = ascii(str(word))
    return text if len(text) <= 100 else f"{text[:100]}...'"


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before `--`, and what after it, which is somebody else's."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def usage() -> str:
    lines = [
        "qlearn: Q-learning as fast as the machine allows.",
        "",
        "usage: qlearn COMMAND ...   (qlearn COMMAND --help says more)",
        "",
        *(f"  {name:10} {summary}" for name, summary in COMMANDS.items()),
        "",
        "begin with: qlearn train grid",
    ]
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    """NumPy's numbers and paths as JSON's."""
    return value.item() if hasattr(value, "item") else str(value)


def _our_fault(error: BaseException, console: Console) -> int:
    """Not the user's doing: the traceback goes to a file, one line says how to report it."""
    if os.environ.get("QLEARN_DEBUG"):
        raise error
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"qlearn-{int(time.time())}-", suffix=".txt", delete=False
    ) as file:
        file.write(f"qlearn {qlearn.__version__}, Python {sys.version}\n{sys.argv}\n{text}")
    console.error(
        f"this is a fault of qlearn ({type(error).__name__}: {error});"
        f" please report it with the text in {file.name}"
    )
    return OUR_FAULT
