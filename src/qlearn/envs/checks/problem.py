"""One mistake and its place."""

from __future__ import annotations

import re
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from types import FunctionType

from qlearn.errors import UserError

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Problem:
    """What is wrong, and the line to mend; line 0 where no line of a file is to blame."""

    file: str
    line: int
    message: str
    severity: str = ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}"


class Found(Exception):
    """Ends a stage that cannot go on after this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def in_function(function: FunctionType, message: str, severity: str = ERROR) -> Problem:
    """A problem of a function as a whole, at its `def`."""
    code = function.__code__
    return Problem(code.co_filename, code.co_firstlineno, message, severity)


def from_error(error: UserError, file: str, line: int = 0, severity: str = ERROR) -> Problem:
    """A UserError as a problem: at the place it names itself, else at the one given."""
    if found := re.match(r"(.+?):(\d+): (.+)", str(error), re.DOTALL):
        return Problem(found[1], int(found[2]), found[3], severity)
    return Problem(file, line, str(error).removeprefix(f"{file}: "), severity)


def innermost(error: BaseException, files: Collection[str]) -> traceback.FrameSummary | None:
    """The frame in one of these files that was running when the error was raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
    return frames[-1] if frames else None


def distinct(problems: list[Problem]) -> list[Problem]:
    """In the order of the files' lines; of several errors in one line the first found."""
    first: dict[tuple[str, int, str], Problem] = {}
    for problem in problems:
        message = problem.message if not problem.line else problem.severity
        first.setdefault((problem.file, problem.line, message), problem)
    return sorted(first.values(), key=lambda problem: (problem.file, problem.line))
