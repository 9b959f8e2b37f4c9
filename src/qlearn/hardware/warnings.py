"""What a circuit's words and its rounding make of a problem that real numbers would not, a line each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qlearn.algorithms.table.exact import Optimum, judge, reachable, solve
from qlearn.errors import UserError
from qlearn.hardware.problem import Problem, optimum_of
from qlearn.hardware.rest import Rest, rest_of
from qlearn.hardware.word import Word

SMALLEST_GAP = 1e-9  # actions nearer than this are equally good


def warnings(
    problem: Problem, word: Word, alpha: float, gamma: float, rounding: str = "half_up"
) -> list[str]:
    """What a word cannot represent of a problem, and where its rounding leads, a line each."""
    optimum = optimum_of(problem, gamma)
    return [
        *_reward_warnings(problem, word),
        *_saturation_warnings(problem, word, gamma, optimum),
        *_rounding_warnings(problem, word, rounding, alpha, gamma, optimum),
        *_chance_warnings(problem),
    ]


def _reward_warnings(problem: Problem, word: Word) -> list[str]:
    real = problem.model.reward[problem.model.chance > 0.0]
    size = np.abs(real)
    said = []
    lost = size[(size > 0.0) & (size < word.unit / 2)]
    if lost.size:
        said.append(
            f"rewards as small as {lost.min():g} are 0 in {word.name}, whose unit is {word.unit:g};"
            " more fraction bits keep them"
        )
    if size.max() > word.limit:
        said.append(
            f"rewards as large as {size.max():g} are cut to {word.limit:g}, the limit of"
            f" {word.name}; more integer bits keep them"
        )
    return said


def _saturation_warnings(
    problem: Problem, word: Word, gamma: float, optimum: Optimum | None
) -> list[str]:
    largest = float(np.abs(problem.model.reward[problem.model.chance > 0.0]).max())
    said = []
    if largest > word.limit * (1.0 - gamma):
        reach = ""
        if optimum is not None:
            best = float(np.abs(optimum.table).max())
            fits = "which fit" if best <= word.limit else "which do not fit"
            reach = f"; the optimum's values reach {best:.4g}, {fits}"
        said.append(
            f"values can saturate: rewards as large as {largest:g} are above {word.name}'s limit"
            f" times 1 - gamma, {word.limit * (1.0 - gamma):.4g}{reach}"
        )
    if problem.initial is not None and np.abs(problem.initial).max() >= word.highest:
        said.append(f"learned values are cut to {word.limit:g}, the limit of {word.name}")
    return said


def _rounding_warnings(
    problem: Problem,
    word: Word,
    rounding: str,
    alpha: float,
    gamma: float,
    optimum: Optimum | None,
) -> list[str]:
    """Where the tables come to rest, if that is known; else what rounding may hide or shift."""
    if optimum is None:
        return []
    rest = rest_of(problem, rounding, alpha, gamma)
    if rest is not None:
        return _rest_warnings(problem, word, rounding, gamma, optimum, rest)
    said = _gap_warnings(problem, word, rounding, alpha, optimum)
    if rounding == "floor":
        said += _drift_warnings(problem, word, alpha, gamma, optimum)
    return said


def _rest_warnings(
    problem: Problem, word: Word, rounding: str, gamma: float, optimum: Optimum, rest: Rest
) -> list[str]:
    """The best and the worst of the policies that may be greedy in the end."""
    may_be, ahead = rest.greedy(), optimum.table
    span = np.ptp(ahead) + 1.0

    def optimal(preferred: np.ndarray) -> bool:
        table = np.where(may_be, preferred, preferred - span)
        return judge(problem.model, gamma, table, optimum).policy_optimal

    if optimal(-ahead):
        return []
    lost = "rises by less than a unit"
    if rounding != "floor":
        lost = "moves by less than half a unit"
    held = max(-int(rest.lowest.min()), int(rest.highest.max())) >= word.highest
    return [
        f"tables {'may come' if optimal(ahead) else 'come'} to rest where the greedy policy is not"
        f" optimal: rounded by {rounding}, no value {lost} of {word.name} ({word.unit:g})"
        + f", nor beyond {word.limit:g}"
        * held
    ]


def _gap_warnings(
    problem: Problem, word: Word, rounding: str, alpha: float, optimum: Optimum
) -> list[str]:
    """Where the best action and the next are nearer than what rounding does to their difference.

    Rounded by rule, an entry rests anywhere between two borders a unit / alpha apart: inside an
    update's move is none. By chance it never rests: each update adds an error of variance up to
    (unit / 2)^2, of which (1 - alpha)^2 is left after the next.
    """
    if alpha <= 0.0:
        return []
    resolved = word.unit / alpha
    if rounding == "stochastic":
        resolved = word.unit / (2.0 * alpha * (2.0 - alpha)) ** 0.5  # of two entries
    reached = reachable(problem.model, optimum.table.argmax(axis=1))
    gaps = optimum.values[reached, None] - optimum.table[reached]
    gaps = np.where(gaps > SMALLEST_GAP, gaps, np.inf).min(axis=1)
    near = np.count_nonzero(gaps < resolved)
    if not near:
        return []
    why = "of which an update moves less than a unit of"
    if rounding == "stochastic":
        why = "which is less than the noise of rounding by chance to"
    return [
        f"in {near} of the optimum's {reached.size} states the best action is ahead by as little as"
        f" {gaps.min():.3g}, {why} {word.name} ({word.unit:g}): the learned policy may differ there"
    ]


def _drift_warnings(
    problem: Problem, word: Word, alpha: float, gamma: float, optimum: Optimum
) -> list[str]:
    """Rounding down takes half a unit of an update on average: as if every reward were less.

    (1 - alpha) Q + alpha (r + gamma max) - unit / 2 is the update with r - unit / (2 alpha).
    """
    less = word.unit / (2.0 * alpha)
    try:
        shifted = solve(replace(problem.model, reward=problem.model.reward - less), gamma)
    except UserError:  # without discount going on for ever may have no value then
        return []
    if judge(problem.model, gamma, shifted.table, optimum).policy_optimal:
        return []
    return [
        f"rounded by floor, values sink as if every reward were {less:.3g} less (half a unit of"
        f" {word.name} / alpha), and with such rewards another policy is best"
    ]


def _chance_warnings(problem: Problem) -> list[str]:
    said = []
    never = (problem.chance == 0.0) & (problem.model.chance > 0.0)
    if never.any():
        said.append(
            f"outcomes as likely as {problem.model.chance[never].max():.2g} never happen:"
            " chances are counted in 65536ths"
        )
    missed = (problem.model.start > 0.0) & (problem.start == 0.0)
    if missed.any():
        said.append(
            f"{np.count_nonzero(missed)} of {np.count_nonzero(problem.model.start)} starts are"
            f" never drawn: their shares of a list of {len(problem.starts)} are too small"
        )
    return said
