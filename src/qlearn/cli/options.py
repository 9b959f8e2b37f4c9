"""Option types that commands share; each says what is wrong and what would work."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any


def whole(lowest: int, highest: int | None = None):
    """A whole number; 20k, 1_000 and 1e6 are understood."""

    def parse(text: str) -> int:
        factor, digits = 1, text.strip().lower()
        if digits.endswith(("k", "m")):
            factor, digits = {"k": 1000, "m": 1_000_000}[digits[-1]], digits[:-1]
        try:
            number = int(digits) * factor
        except ValueError:
            try:
                as_float = float(digits) * factor
                number = int(as_float)
                if number != as_float:
                    raise ValueError
            except (ValueError, OverflowError):
                raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from None
        if number < lowest:
            raise argparse.ArgumentTypeError(f"must be at least {lowest}, not {number}")
        if highest is not None and number > highest:
            raise argparse.ArgumentTypeError(f"must be at most {highest}, not {number}")
        return number

    return parse


def seed(text: str) -> int:
    return whole(0, 2**63 - 1)(text)


def positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number") from None
    if not 0.0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return number


def yes_or_no(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        return words[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false") from None


def real(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number") from None
    if number != number:
        raise argparse.ArgumentTypeError("must be a number, not nan")
    return number


class Settings(argparse.Action):
    """`--set key=value ...`, gathered into one dict."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        settings = dict(getattr(namespace, self.dest) or {})
        for pair in values:
            key, equals, value = pair.partition("=")
            if not equals or not key:
                raise argparse.ArgumentError(self, f"'{pair}' is not key=value")
            settings[key.strip()] = value.strip()
        setattr(namespace, self.dest, settings)


def add_settings(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--set", dest="settings", metavar="key=value", nargs="+", action=Settings, default={},
        help=what,
    )  # fmt: skip


def environment_options(settings: dict[str, Any]) -> dict[str, Any]:
    """The `env.` settings without their prefix; any other key is a mistake here."""
    from qlearn.errors import UserError

    for key in settings:
        if not key.startswith("env."):
            raise UserError(f"--set {key}: only env.KEY can be set here")
    return {key[len("env.") :]: value for key, value in settings.items()}


def refuse(settings: dict[str, Any], taken: Iterable[str]) -> None:
    """What the command has other words for is no setting."""
    from qlearn.errors import UserError

    for key in taken:
        if key in settings:
            raise UserError(f"--set {key}: there is no setting '{key}'; see --help for options")
