"""Places in the code, each known once: what stacks are made of."""

from __future__ import annotations

import os
from opcode import opmap
from types import CodeType, FrameType

HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(HERE))) + os.sep
STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep

RESUME = opmap.get("RESUME")
BACK = {code for name, code in opmap.items() if "JUMP_BACKWARD" in name}
IMPORTLIB = "<frozen importlib"
DEEPEST = 200
OURS = -1

Stack = tuple[int, ...]


def is_users(file: str) -> bool:
    """A file that the user wrote, not a library's."""
    return not (
        file.startswith(("<", HERE, PACKAGE, STANDARD))
        or "site-packages" in file
        or "dist-packages" in file
    )


def is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(HERE)


class Places:
    """(file, function, first line, line, end line, column, end column), numbered as they are met."""

    def __init__(self) -> None:
        self.rows: list[tuple] = []
        self.entries: set[int] = set()
        self.importing: set[int] = set()
        self.codes: dict[int, CodeType] = {}  # kept, so that an id stays one code's
        self._numbers: dict[tuple, int] = {}
        self._at: dict[tuple[int, int], int] = {}
        self._positions: dict[int, list] = {}
        self._users: dict[int, bool] = {}

    def at(self, code: CodeType, offset: int) -> int:
        key = (id(code), offset)
        place = self._at.get(key)
        if place is None:
            place = self._at[key] = self._new(code, offset)
        return place

    def stack(self, frame: FrameType | None) -> Stack:
        """Root first, without our own frames.

        A function that has only just been entered has done nothing yet: the time was its caller's.
        """
        places: list[int] = []
        while frame is not None and len(places) < DEEPEST:
            place = self.at(frame.f_code, frame.f_lasti)
            if place != OURS:
                places.append(place)
            frame = frame.f_back
        if len(places) > 1 and places[0] in self.entries:
            del places[0]
        places.reverse()
        return tuple(places)

    def users(self, code: CodeType) -> bool:
        known = self._users.get(id(code))
        if known is None:
            self.codes[id(code)] = code
            known = self._users[id(code)] = is_users(code.co_filename)
        return known

    def _new(self, code: CodeType, offset: int) -> int:
        self.codes[id(code)] = code
        if is_ours(code):
            return OURS
        function = (full(code.co_filename), code.co_qualname, code.co_firstlineno)
        row = (*function, *self._position(code, offset))
        # The end of a loop is named after the last expression in it, and is a place of its own:
        # samples are taken there, and not where that expression is.
        known = (*row, goes_back(code, offset))
        place = self._numbers.get(known)
        if place is None:
            place = self._numbers[known] = len(self.rows)
            self.rows.append(row)
        if code.co_filename.startswith(IMPORTLIB):
            self.importing.add(place)
        if enters(code, offset):
            self.entries.add(place)
        return place

    def _position(self, code: CodeType, offset: int) -> tuple[int, int, int, int]:
        if code.co_name == "<module>" and not self.users(code):
            # A library that is imported: listing all its positions was 3 % of a script with PyTorch.
            at = line_at(code, offset)
            return at, at, 0, 0
        positions = self._positions.get(id(code))
        if positions is None:
            positions = self._positions[id(code)] = list(code.co_positions())
        number = offset // 2
        found = positions[number] if 0 <= number < len(positions) else (None,) * 4
        line, end_line, column, end_column = found
        line = code.co_firstlineno if line is None else line
        return line, end_line or line, column or 0, end_column or 0


def full(file: str) -> str:
    return file if file.startswith("<") else os.path.abspath(file)


def line_at(code: CodeType, offset: int) -> int:
    for begin, end, line in code.co_lines():
        if begin <= offset < end and line is not None:
            return line
    return code.co_firstlineno


def goes_back(code: CodeType, offset: int) -> bool:
    text = code.co_code
    return 0 <= offset < len(text) and text[offset] in BACK


def enters(code: CodeType, offset: int) -> bool:
    """Whether the instruction is a function's first, not a generator's going on."""
    text = code.co_code
    return 0 <= offset < len(text) - 1 and text[offset] == RESUME and not text[offset + 1] & 3
