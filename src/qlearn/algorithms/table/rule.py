"""Tabular Q-learning, top to bottom. Read this one first.

The text knows nothing of how a table is kept: `table[state, action]` is an entry of a dict in the
`dict` engine, where the interpreter runs it, and of an array in the `numba` engine, where it is
compiled. Both learn the same numbers, bit for bit.

Watkins, "Learning from delayed rewards" (1989); Rummery and Niranjan (1994) for SARSA; van
Seijen et al. (2009) for expected SARSA; van Hasselt (2010) for double Q-learning.
"""

from __future__ import annotations

from typing import NamedTuple

from qlearn.envs.loop import advance
from qlearn.rng import chance, integers
from qlearn.schedules import VISITS, Schedule, value_at

Q_LEARNING, SARSA, EXPECTED_SARSA, DOUBLE = 0, 1, 2, 3

# Places in `counts`.
STEPS, UPDATES, EPISODES, LOGGED = 0, 1, 2, 3


class Plan(NamedTuple):
    """The settings that the loop reads; what may change while training is set here."""

    lr: Schedule
    epsilon: Schedule
    discount: float
    rule: int
    decimals: int
    actions: int
    max_steps: int


def greedy(table, twin, state, plan):
    """The best action; ties go to the lowest. Double Q-learning asks the sum of its tables."""
    best = 0
    highest = table[state, 0]
    if plan.rule == DOUBLE:
        highest += twin[state, 0]
    for action in range(1, plan.actions):
        value = table[state, action]
        if plan.rule == DOUBLE:
            value += twin[state, action]
        if value > highest:
            best = action
            highest = value
    return best


def choose(table, twin, state, epsilon, plan, player):
    """Epsilon-greedy."""
    if chance(player, epsilon):
        return integers(player, plan.actions)
    return greedy(table, twin, state, plan)


def best_and_value(table, state, plan):
    """The best action of one table and its value; ties go to the lowest."""
    best = 0
    highest = table[state, 0]
    for action in range(1, plan.actions):
        value = table[state, action]
        best = action if value > highest else best
        highest = max(highest, value)
    return best, highest


def expected_value(table, state, epsilon, plan):
    """What the epsilon-greedy policy earns from here, on average."""
    total = 0.0
    for action in range(plan.actions):
        total += table[state, action]
    highest = best_and_value(table, state, plan)[1]
    return (1.0 - epsilon) * highest + epsilon * total / plan.actions


def rounded(value, decimals):
    """Round half to even as NumPy does; `round(value, decimals)` differs when it is compiled."""
    scale = 10.0**decimals
    return round(value * scale) / scale


def update(table, visits, state, action, td_target, plan, t, episodes):
    """Moves one entry towards its target."""
    when = t
    if plan.lr.kind == VISITS:  # by visits of this entry
        when = visits[state, action]
        visits[state, action] = when + 1
    lr = value_at(plan.lr, when, episodes)
    value = table[state, action] + lr * (td_target - table[state, action])
    if plan.decimals >= 0:
        value = rounded(value, plan.decimals)
    table[state, action] = value


def learn(
    copy, observation, final_observation, player, table, twin, visits, plan, counts, log,
    action, steps, episodes, world,
):  # fmt: skip
    """Plays and learns until `steps` steps or `episodes` episodes are done in all.

    An episode that is cut off (truncated) is no end of the world: its last state keeps its value.
    SARSA chooses its next action before it learns from the last; `action` hands that choice from
    call to call, -1 where there is none.
    """
    state = int(observation[0])
    best = -1  # the greedy action here, where it is known already
    while counts[STEPS] < steps and counts[EPISODES] < episodes and counts[LOGGED] < len(log):
        t, played = counts[STEPS], counts[EPISODES]
        epsilon = value_at(plan.epsilon, t, played)
        if action < 0:
            if chance(player, epsilon):
                action = integers(player, plan.actions)
            else:
                action = best if best >= 0 else greedy(table, twin, state, plan)
        reward, terminated, truncated = advance(
            copy, action, observation, final_observation, plan.max_steps, world
        )
        ended = terminated or truncated
        new_state = int(final_observation[0]) if ended else int(observation[0])

        next_action = best = -1
        td_target = reward
        learned, other = table, twin
        if plan.rule == DOUBLE and chance(player, 0.5):
            learned, other = twin, table
        if not terminated:
            if plan.rule == Q_LEARNING:
                best, value = best_and_value(table, new_state, plan)
            elif plan.rule == SARSA:
                next_action = choose(table, twin, new_state, epsilon, plan, player)
                value = table[new_state, next_action]
            elif plan.rule == EXPECTED_SARSA:
                value = expected_value(table, new_state, epsilon, plan)
            else:
                value = other[new_state, best_and_value(learned, new_state, plan)[0]]
            td_target += plan.discount * value
        update(learned, visits, state, action, td_target, plan, t, played)
        if ended or new_state == state:
            best = -1  # another state begins, or the update has changed this one's row

        counts[STEPS] = t + 1
        counts[UPDATES] += 1
        state, action = new_state, next_action
        if ended:
            state, action = int(observation[0]), -1
            counts[EPISODES] += 1
            log[counts[LOGGED]] = copy.last_return
            counts[LOGGED] += 1
    return action


def figures(plan: Plan, steps: int, episodes: int) -> dict[str, float]:
    """What the schedules say now, for the metrics."""
    said = {"epsilon": value_at(plan.epsilon, steps, episodes)}
    if plan.lr.kind != VISITS:
        said["lr"] = value_at(plan.lr, steps, episodes)
    return said
