"""DQN in one compiled loop: act, step, remember, draw, learn. Read `readable.py` first.

Mnih et al., "Human-level control through deep reinforcement learning" (2015), and what has proven
itself since: each is a switch of its own.

The text is shared out among the threads of a team: the first member plays and draws, each works on
its own rows of every batch, and they meet where one needs what others have done.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qlearn.algorithms.network.books import (
    ACT,
    ACTED,
    ENV,
    EPISODES,
    ERROR,
    GAP,
    LEARN,
    LEARNED,
    LOGGED,
    LOSS,
    NORM,
    ROUNDS,
    SEEN,
    STEPS,
    TERMINAL,
    UPDATES,
    VALUE,
)
from qlearn.algorithms.network.greedy import best_action
from qlearn.algorithms.network.seeing import encode, notice, settle_scale
from qlearn.envs.loop import advance
from qlearn.kernels.marks import cold
from qlearn.kernels.simd import meet, ticks
from qlearn.nets import adam, mlp
from qlearn.nets.layout import BELOW, OUT, OUTPUTS
from qlearn.replay import ring as rings
from qlearn.replay import rule
from qlearn.rng import chance, integers
from qlearn.schedules import Schedule, value_at

DONE, LEARNS = 0, 1  # what the first member says after playing


class Plan(NamedTuple):
    """The settings that the loop reads."""

    lr: Schedule
    epsilon: Schedule
    beta: Schedule
    explorers: float
    restless: float
    persist: float
    discount: float
    reward_scale: float
    envs: int
    start: int
    updates: float
    every: int  # 0: at the ends of episodes
    batch: int
    double: int
    n_step: int
    prioritized: int
    alpha: float
    huber: int
    tau: float
    target_every: int
    average: float
    scale_inputs: int
    actions: int
    max_steps: int


class Buffers(NamedTuple):
    """One step of all copies, one batch, and the books."""

    inputs: np.ndarray  # flat: envs x width, encoded
    before: np.ndarray  # (envs, width): what each copy saw when it chose
    actions: np.ndarray
    moods: np.ndarray  # whether a copy's episode is one that never settles
    roaming: np.ndarray  # whether its last action was a random one
    slots: np.ndarray
    batch: np.ndarray  # flat: batch x width, encoded
    following: np.ndarray  # the same for what each target bootstraps from
    targets: np.ndarray
    discounts: np.ndarray  # of what follows: 0 where nothing does
    choices: np.ndarray  # the next actions, as the network has them
    weights: np.ndarray
    errors: np.ndarray
    scale: np.ndarray
    books: np.ndarray
    figures: np.ndarray
    credit: np.ndarray  # updates that are owed, or too many, since their rate last changed
    clock: np.ndarray
    said: np.ndarray  # by the first member to the others
    barrier: np.ndarray


def explore(player, greedy, epsilon, roaming, last, i, persist, actions):
    """Copy i's action: the greedy one, or with its chance a random one, which may persist."""
    if persist > 0.0 and roaming[i] and chance(player, persist):
        return last[i]
    roaming[i] = chance(player, epsilon)
    return integers(player, actions) if roaming[i] else greedy


def choose(net, plan, players, buffers, seen, epsilon, counts):
    """Epsilon-greedy actions of all copies."""
    width = buffers.scale.shape[1]
    for i in range(plan.envs):
        row = buffers.before[i]
        for j in range(len(row)):
            row[j] = seen[i, j]
        encode(row, buffers.inputs, i * width, buffers.scale)
    mlp.forward(net, buffers.inputs, 0, 0, plan.envs)
    for i in range(plan.envs):
        action, value, gap = best_action(net, i)
        buffers.figures[GAP] += gap
        buffers.figures[VALUE] += value
        own = max(epsilon, plan.restless) if buffers.moods[i] else epsilon
        buffers.actions[i] = explore(
            players[i], action, own, buffers.roaming, buffers.actions, i, plan.persist, plan.actions
        )
    buffers.figures[ACTED] += plan.envs
    counts[ROUNDS] += 1


def remember(plan, ring, tree, buffers, players, counts, i, reward, terminated, truncated, after):
    """Stores copy i's transition, and counts it."""
    rule.remember(
        ring, tree, plan.prioritized, i, buffers.before[i], buffers.actions[i],
        reward * plan.reward_scale, after, terminated, truncated,
    )  # fmt: skip
    if plan.scale_inputs:
        counts[SEEN] = notice(buffers.before[i], buffers.books, counts[SEEN])
    counts[STEPS] += 1
    buffers.figures[TERMINAL] += terminated
    if terminated or truncated:
        counts[EPISODES] += 1
        buffers.moods[i] = chance(players[i], plan.explorers)
        buffers.roaming[i] = False


def due(plan, counts, steps_before, episodes_before):
    """Whether it is time to learn, after a step of all copies."""
    if counts[STEPS] <= plan.start:
        return False
    if plan.every == 0:
        return counts[EPISODES] > episodes_before
    return counts[STEPS] // plan.every > steps_before // plan.every


@cold
def gather(plan, ring, buffers, low, high):
    """These rows of the batch drawn: their rewards looked ahead, and both ends encoded."""
    width = buffers.scale.shape[1]
    for row in range(low, high):
        slot = buffers.slots[row]
        reward, discount, last, _ = rings.look_ahead(ring, slot, plan.n_step, plan.discount)
        buffers.targets[row] = reward
        buffers.discounts[row] = discount
        encode(ring.frames[slot], buffers.batch, row * width, buffers.scale)
        encode(ring.frames[last], buffers.following, row * width, buffers.scale)


@cold
def td_targets(net, target, plan, buffers, low, high):
    """target = rewards + discount * Q_target(next, best), the best by the network where double."""
    mlp.forward(target, buffers.following, 0, low, high)
    if plan.double:
        mlp.forward(net, buffers.following, 0, low, high)
        for row in range(low, high):
            buffers.choices[row] = best_action(net, row)[0]
    else:
        for row in range(low, high):
            buffers.choices[row] = best_action(target, row)[0]
    head = target.layers[len(target.layers) - 1]
    for row in range(low, high):
        value = target.work[head[OUT] + row * head[OUTPUTS] + buffers.choices[row]]
        buffers.targets[row] += buffers.discounts[row] * value


@cold
def compare(net, plan, ring, buffers, low, high):
    """The weighted error at the head: of half the square, or of Huber's loss beyond 1."""
    head = net.layers[len(net.layers) - 1]
    actions = head[OUTPUTS]
    share = np.float32(1.0 / plan.batch)
    for row in range(low, high):
        place = row * actions
        for a in range(actions):
            net.work[head[BELOW] + place + a] = np.float32(0.0)
        chosen = place + ring.actions[buffers.slots[row]]
        error = net.work[head[OUT] + chosen] - buffers.targets[row]
        buffers.errors[row] = error
        if plan.huber:
            error = min(max(error, np.float32(-1.0)), np.float32(1.0))
        net.work[head[BELOW] + chosen] = error * buffers.weights[row] * share


@cold
def follow(net, target, count, plan, member, members):
    """The target network moves towards the network: this member's share of its parameters."""
    tau = np.float32(plan.tau)
    low, high = mlp.share(count, member, members, mlp.BLOCK)
    for j in range(low, high):
        target.params[j] += tau * (net.params[j] - target.params[j])


@cold
def count_figures(plan, moments, buffers):
    """What the metrics say about this update."""
    for row in range(plan.batch):
        size = abs(buffers.errors[row])
        loss = size - 0.5 if plan.huber and size > 1.0 else 0.5 * size * size
        buffers.figures[LOSS] += buffers.weights[row] * loss
        buffers.figures[ERROR] += size
    buffers.figures[NORM] += adam.norm(moments)
    buffers.figures[LEARNED] += 1.0


def together(buffers, members):
    """Waits until every member is here; False where one has given up."""
    return members == 1 or meet(buffers.barrier, 0, members)


@cold
def update(net, target, moments, plan, ring, buffers, lr, counts, member, members):
    """One batch: targets, forward, error, backward, step, target network."""
    low, high = mlp.share(plan.batch, member, members, 4)
    mlp.turn(net, member, members)
    gather(plan, ring, buffers, low, high)
    td_targets(net, target, plan, buffers, low, high)
    mlp.forward(net, buffers.batch, 0, low, high)
    compare(net, plan, ring, buffers, low, high)
    if not together(buffers, members):
        return False
    mlp.backward(net, low, high)
    if not together(buffers, members):
        return False
    mlp.gradients(net, buffers.batch, 0, plan.batch, member, members)
    if not together(buffers, members):
        return False
    if mlp.dueling(net):
        if member == 0:
            mlp.decompose(net)
        if not together(buffers, members):
            return False
    adam.squares(net, moments, member, members)
    if not together(buffers, members):
        return False
    done = counts[UPDATES] + 1
    # Young averages follow quickly, or they would remember the untrained network.
    past = min(plan.average, done / (done + 10.0)) if plan.average > 0.0 else 0.0
    adam.adam(net, moments, lr, done, past, member, members)
    if done % plan.target_every == 0:
        follow(net, target, len(moments.first), plan, member, members)
    if not together(buffers, members):
        return False
    if member == 0:
        mlp.compose(net)
        mlp.compose(target)
        counts[UPDATES] = done
        count_figures(plan, moments, buffers)
    return together(buffers, members)


def learn(net, target, moments, plan, ring, tree, buffers, stream, counts, member, members):
    """As many updates as the transitions so far are worth; False where another member gave up."""
    if member == 0 and plan.scale_inputs:
        settle_scale(buffers.scale, buffers.books, counts[SEEN])
    lr = value_at(plan.lr, counts[STEPS], counts[EPISODES])
    beta = value_at(plan.beta, counts[STEPS], counts[EPISODES])
    worth = (counts[STEPS] - plan.start) * plan.updates + buffers.credit[0]
    while counts[UPDATES] < worth and ring.held[0] > 0:
        if member == 0:
            rule.draw(ring, tree, plan.prioritized, beta, buffers.slots, buffers.weights, stream)
        if not together(buffers, members):
            return False
        if not update(net, target, moments, plan, ring, buffers, lr, counts, member, members):
            return False
        if member == 0 and plan.prioritized:
            rule.prioritize(ring, tree, buffers.slots, buffers.errors, plan.alpha)
    return True


def compose_both(net, target):
    """Both heads, by the same machine code after a checkpoint as after an update."""
    mlp.compose(net)
    mlp.compose(target)


def play(
    net, plan, ring, tree, buffers, players, copies, seen, finals, counts, log, steps, episodes,
    world,
):  # fmt: skip
    """Steps of all copies until it is time to learn; DONE where the budget or the log is used up."""
    while (
        counts[STEPS] < steps
        and counts[EPISODES] < episodes
        and counts[LOGGED] + plan.envs <= len(log)
    ):
        begun = ticks()
        epsilon = value_at(plan.epsilon, counts[STEPS], counts[EPISODES])
        steps_before, episodes_before = counts[STEPS], counts[EPISODES]
        choose(net, plan, players, buffers, seen, epsilon, counts)
        chosen = ticks()
        for i in range(plan.envs):
            reward, terminated, truncated = advance(
                copies[i], buffers.actions[i], seen[i], finals[i], plan.max_steps, world
            )
            ended = terminated or truncated
            after = finals[i] if ended else seen[i]
            remember(
                plan, ring, tree, buffers, players, counts, i, reward, terminated, truncated, after
            )
            if ended:
                log[counts[LOGGED]] = copies[i].last_return
                counts[LOGGED] += 1
        buffers.clock[ACT] += chosen - begun
        buffers.clock[ENV] += ticks() - chosen
        if due(plan, counts, steps_before, episodes_before):
            return LEARNS
    return DONE


def advance_chunk(
    net, target, moments, plan, ring, tree, buffers, players, stream, copies, seen, finals, counts,
    log, steps, episodes, member, members, world,
):  # fmt: skip
    """Playing and learning until `steps` steps or `episodes` episodes are done, or the log is full."""
    while True:
        if member == 0:
            buffers.said[0] = play(
                net, plan, ring, tree, buffers, players, copies, seen, finals, counts, log, steps,
                episodes, world,
            )  # fmt: skip
        if not together(buffers, members) or buffers.said[0] == DONE:
            return
        begun = ticks()
        if not learn(
            net, target, moments, plan, ring, tree, buffers, stream, counts, member, members
        ):
            return
        # Nobody asks what is said next before everybody has heard this.
        if not together(buffers, members):
            return
        if member == 0:
            buffers.clock[LEARN] += ticks() - begun


def act(net, plan, players, buffers, seen, epsilon, counts):
    """Actions of all copies of an environment that steps from Python."""
    choose(net, plan, players, buffers, seen, epsilon, counts)


def store(
    plan, ring, tree, buffers, players, counts, log, rewards, terminated, truncated, valid, seen,
    finals, returns,
):  # fmt: skip
    """What such an environment answered; whether it is time to learn."""
    steps_before, episodes_before = counts[STEPS], counts[EPISODES]
    for i in range(plan.envs):
        if not valid[i]:  # this step was the reset of an episode that had ended
            continue
        ended = terminated[i] or truncated[i]
        after = finals[i] if ended else seen[i]
        remember(
            plan, ring, tree, buffers, players, counts, i, rewards[i], terminated[i],
            truncated[i] and not terminated[i], after,
        )  # fmt: skip
        if ended:
            log[counts[LOGGED]] = returns[i]
            counts[LOGGED] += 1
    return due(plan, counts, steps_before, episodes_before)
