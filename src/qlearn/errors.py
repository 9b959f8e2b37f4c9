"""The errors a user can mend: one clear line, exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What is wrong and what would work, in one line for the person at the keyboard."""


class EnvironmentFault(UserError):
    """What an environment did that is stepped from Python; what was learned before it is whole."""


class Diverged(UserError):
    """What was learned is no number any more, or about to be none; with the likely cause."""


MOST_NAMES = 12  # an error is one line


def closest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'snake'?` where a known word is near, else the list of what there is."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    shown = ", ".join(known[:MOST_NAMES]) + (", ..." if len(known) > MOST_NAMES else "")
    return f"; known: {shown}" if known else ""


def missing_extra(what: str, extra: str) -> UserError:
    return UserError(f"{what} is not installed: pip install 'qlearn[{extra}]'")
