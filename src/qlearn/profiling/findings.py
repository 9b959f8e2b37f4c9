"""What a profile tells people to change, and how much of the run each change can save at most."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qlearn.profiling.facts import Facts
    from qlearn.profiling.proof import Measured

LEAST_SECONDS = 0.01  # two samples; less is chance
FLOOR = 0.01  # of the working seconds; what is less is not worth a person's time
LEAST_GROWTH_MB = 16.0  # of memory, where that is the fault


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
    proof: Measured | None = None
    growth_mb: float = 0.0  # of memory by it: a fault, however little time it takes
    trade: bool = False  # faster, and something else is learned: promised to nobody
    parts: tuple[ast.AST, ...] = ()  # what would go, where several findings want the same

    @property
    def saved_seconds(self) -> float:
        """All of them where nothing was measured; none where it is for learning's sake."""
        if self.gain_limit <= 1.0:
            return 0.0
        return self.seconds * (1.0 if self.proof is None else max(0.0, 1 - 1 / self.proof.speedup))

    def report(self) -> dict[str, Any]:
        """Its object in `profile --json`; no gain limit where all of the run could go."""
        kept = ("rule", "file", "line", "evidence", "seconds", "share", "why", "fix", "trade")
        return {name: getattr(self, name) for name in kept} | {
            "gain_limit": self.gain_limit if math.isfinite(self.gain_limit) else None,
            "proof": asdict(self.proof) if self.proof is not None else None,
        }


def gain_limit(share: float) -> float:
    """How many times faster the whole is at most, were this share of it free (Amdahl)."""
    return math.inf if share >= 1.0 else 1.0 / (1.0 - share)


def by_worth(findings: Iterable[Finding]) -> list[Finding]:
    """What saves the most first; what is for learning's sake after that."""
    return sorted(findings, key=lambda f: (-f.saved_seconds, -f.share))


def collect(facts: Facts, rules: Iterable[ModuleType]) -> list[Finding]:
    """What the rules find in a run, the most worthwhile first."""
    found: dict[tuple[str, str, Any], Finding] = {}
    for rule in rules:
        for finding in rule.find(facts):
            _weigh(finding, facts.working_seconds)
            place = finding.rule, finding.file, finding.parts or finding.line
            worth = finding.share >= FLOOR and finding.seconds >= LEAST_SECONDS
            worth = worth or finding.growth_mb >= LEAST_GROWTH_MB
            if worth and finding.seconds > getattr(found.get(place), "seconds", 0.0):
                found[place] = finding
    return by_worth(found.values())


def _weigh(finding: Finding, working_seconds: float) -> None:
    if not finding.share and working_seconds:
        finding.share = finding.seconds / working_seconds
    finding.share = min(1.0, finding.share)
    finding.gain_limit = finding.gain_limit or gain_limit(finding.share)
