"""What a profile tells people to change, and how much of the run each change can save at most."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qlearn.profiling.facts import Facts

FLOOR = 0.01  # of the working seconds; what is less is not worth a person's time


@dataclass
class Finding:
    """One thing to change: where, why, how, and what is known of its price in this run."""

    rule: str
    file: str
    line: int
    evidence: str
    seconds: float
    share: float = 0.0
    gain_limit: float = 0.0
    why: str = ""
    fix: str = ""
    sizes: dict[str, Any] = field(default_factory=dict)
    proof: Any = None

    def report(self) -> dict[str, Any]:
        """Its object in `profile --json`; no gain limit where all of the run could go."""
        kept = ("rule", "file", "line", "evidence", "seconds", "share", "why", "fix")
        return {name: getattr(self, name) for name in kept} | {
            "gain_limit": self.gain_limit if math.isfinite(self.gain_limit) else None,
            "proof": self.proof.as_json() if self.proof is not None else None,
        }


def gain_limit(share: float) -> float:
    """How many times faster the whole is at most, were this share of it free (Amdahl)."""
    return math.inf if share >= 1.0 else 1.0 / (1.0 - share)


def collect(facts: Facts, rules: Iterable[ModuleType]) -> list[Finding]:
    """What the rules find in a run, the dearest first."""
    found: dict[tuple[str, str, int], Finding] = {}
    for rule in rules:
        for finding in rule.find(facts):
            _weigh(finding, facts.working_seconds)
            place = (finding.rule, finding.file, finding.line)
            if finding.share >= FLOOR and finding.seconds > getattr(
                found.get(place), "seconds", 0.0
            ):
                found[place] = finding
    return sorted(found.values(), key=lambda finding: -finding.share)


def _weigh(finding: Finding, working_seconds: float) -> None:
    if not finding.share and working_seconds:
        finding.share = finding.seconds / working_seconds
    finding.share = min(1.0, finding.share)
    finding.gain_limit = finding.gain_limit or gain_limit(finding.share)
