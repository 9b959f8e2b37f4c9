"""What the circuit shows of an update, one clock of `trace` in accelerator.sv: a beat."""

from __future__ import annotations

import numpy as np

from qlearn.hardware.generate import Design, bits_for
from qlearn.hardware.model import Trace


def layout(design: Design) -> list[tuple[str, int]]:
    """The fields of a beat and their bits, from the highest."""
    problem, width = design.problem, design.word.width
    state = bits_for(problem.states)
    return [
        ("valid", 1),
        ("agent", bits_for(design.agents)),
        ("state", state),
        ("action", bits_for(problem.actions)),
        ("reward", width),
        ("next", state),
        ("ended", 1),
        ("q_new", width),
    ]


def beat_width(design: Design) -> int:
    return sum(bits for _, bits in layout(design))


def fields(beat: int, design: Design) -> dict[str, int]:
    """A beat, readable."""
    found = {}
    for name, bits in reversed(layout(design)):
        found[name] = beat & ((1 << bits) - 1)
        beat >>= bits
    return dict(reversed(found.items()))


def packed(trace: Trace, design: Design) -> list[int]:
    """A trace as the beats that the circuit shows."""
    beats = np.ones(len(trace.agent), object)  # the bit `valid`; whole numbers of any size
    for name, bits in layout(design)[1:]:
        beats = (beats << bits) | (getattr(trace, name) & ((1 << bits) - 1)).astype(object)
    return beats.tolist()
