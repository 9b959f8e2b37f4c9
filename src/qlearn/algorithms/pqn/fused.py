"""PQN in one compiled loop: act, step, store, lambda returns, learn. Read `readable.py` first.

Gallici et al., "Simplifying deep temporal difference learning" (2024). The text is shared out
among the threads of a team: each member plays its own copies and works on its own rows of every
minibatch, and they meet where one needs what others have done. Without a team there is one member.
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
from qlearn.algorithms.network.seeing import encode, rescale
from qlearn.envs.loop import advance
from qlearn.kernels.marks import cold
from qlearn.kernels.simd import meet, ticks
from qlearn.nets import adam, mlp
from qlearn.nets.layout import BELOW, OUT, OUTPUTS
from qlearn.rng import chance, integers
from qlearn.schedules import Schedule, value_at


class Plan(NamedTuple):
    """The settings that the loop reads."""

    lr: Schedule
    epsilon: Schedule
    explorers: int
    restless: float
    margin: float
    daring: float
    discount: Schedule
    lambda_: float
    cut: int  # whether a return looks no further than a random action
    reward_scale: float
    envs: int
    rollout: int
    epochs: int
    minibatch: int
    average: float
    scale_inputs: int
    actions: int
    max_steps: int


class Buffers(NamedTuple):
    """One rollout, time by time, and what learning from it needs."""

    inputs: np.ndarray  # flat: (rollout + 1) x envs x width, encoded
    last_inputs: np.ndarray  # flat: envs x width, the last states of episodes that were cut off
    actions: np.ndarray
    strays: np.ndarray  # whether the action was another than the best; False after the last step
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    valid: np.ndarray
    values: np.ndarray  # the best action's, at every step and after the last
    last_values: np.ndarray  # of the last states of episodes that were cut off
    gaps: np.ndarray  # between the best action and the next
    targets: np.ndarray
    ended: np.ndarray  # the return of each episode that ended at this step, else nan
    order: np.ndarray
    batch: np.ndarray  # flat: minibatch x width
    errors: np.ndarray
    scale: np.ndarray
    books: np.ndarray
    figures: np.ndarray
    clock: np.ndarray
    barrier: np.ndarray


def look(net, buffers, k, low, high, envs):
    """Action values of copies low .. high-1 at step k: their best value and how clear it is."""
    width = buffers.scale.shape[1]
    mlp.forward(net, buffers.inputs, k * envs * width, low, high)
    for i in range(low, high):
        _, value, gap = best_action(net, i)
        buffers.values[k * envs + i] = value
        buffers.gaps[k * envs + i] = gap


def stray(values, place, best, actions, margin, daring, player):
    """A random action; mostly the best one where that would cost more than `margin`.

    What is known to be fatal need not be tried as often as what is nearly as good: so there is
    much exploration late in a long game, too.
    """
    action = integers(player, actions)
    if margin > 0.0 and values[place + best] - values[place + action] > margin:
        return action if chance(player, daring) else best
    return action


def choose(net, plan, players, buffers, k, epsilon, low, high):
    """Epsilon-greedy actions of copies low .. high-1 at step k."""
    look(net, buffers, k, low, high, plan.envs)
    for i in range(low, high):
        best = best_action(net, i)[0]
        action = best
        if chance(players[i], max(epsilon, plan.restless) if i < plan.explorers else epsilon):
            place = net.layers[len(net.layers) - 1][OUT] + i * plan.actions
            action = stray(
                net.work, place, best, plan.actions, plan.margin, plan.daring, players[i]
            )
        buffers.actions[k * plan.envs + i] = action
        buffers.strays[k * plan.envs + i] = action != best


def keep(net, plan, buffers, k, i, reward, terminated, truncated, seen, final):
    """Stores what copy i was answered at step k, and what it sees now."""
    width = buffers.scale.shape[1]
    at = k * plan.envs + i
    buffers.rewards[at] = reward * plan.reward_scale
    buffers.terminated[at] = terminated
    buffers.truncated[at] = truncated
    encode(seen, buffers.inputs, (at + plan.envs) * width, buffers.scale)
    if truncated:  # cut off, not over: its last state is still worth something
        encode(final, buffers.last_inputs, i * width, buffers.scale)
        mlp.forward(net, buffers.last_inputs, 0, i, i + 1)
        buffers.last_values[at] = best_action(net, i)[1]


def play(net, plan, players, copies, seen, finals, buffers, epsilon, low, high, timed, world):
    """One rollout of copies low .. high-1."""
    width = buffers.scale.shape[1]
    for i in range(low, high):
        encode(seen[i], buffers.inputs, i * width, buffers.scale)
    for k in range(plan.rollout):
        begun = ticks()
        choose(net, plan, players, buffers, k, epsilon, low, high)
        chosen = ticks()
        for i in range(low, high):
            at = k * plan.envs + i
            reward, terminated, truncated = advance(
                copies[i], buffers.actions[at], seen[i], finals[i], plan.max_steps, world
            )
            keep(net, plan, buffers, k, i, reward, terminated, truncated, seen[i], finals[i])
            buffers.ended[at] = copies[i].last_return if terminated or truncated else np.nan
        if timed:
            buffers.clock[ACT] += chosen - begun
            buffers.clock[ENV] += ticks() - chosen


@cold
def lambda_returns(plan, buffers, discount, low, high):
    """R = r + discount ((1 - lambda) V' + lambda R'), backwards through time.

    Cut, R = r + discount V' where the next action was a random one, and not the best: what comes of
    it says nothing about the best.
    """
    envs = plan.envs
    for i in range(low, high):
        following = buffers.values[plan.rollout * envs + i]
        for k in range(plan.rollout - 1, -1, -1):
            at = k * envs + i
            reward = buffers.rewards[at]
            if buffers.terminated[at]:
                following = reward
            elif buffers.truncated[at]:
                following = reward + discount * buffers.last_values[at]
            else:
                value = buffers.values[at + envs]
                if plan.cut and buffers.strays[at + envs]:
                    following = value
                following = reward + discount * (
                    (1.0 - plan.lambda_) * value + plan.lambda_ * following
                )
            buffers.targets[at] = following


@cold
def shuffle(order, stream):
    """Fisher and Yates."""
    for i in range(len(order) - 1, 0, -1):
        j = integers(stream, i + 1)
        order[i], order[j] = order[j], order[i]


@cold
def gather(buffers, start, low, high):
    """Rows low .. high-1 of the minibatch that begins at `start`: inputs in place."""
    width = buffers.scale.shape[1]
    for row in range(low, high):
        source = buffers.inputs[buffers.order[start + row] * width :]
        target = buffers.batch[row * width : (row + 1) * width]
        for j in range(len(target)):
            target[j] = source[j]


@cold
def compare(net, plan, buffers, start, low, high):
    """Half the mean squared error: its gradient at the head, for these rows."""
    head = net.layers[len(net.layers) - 1]
    actions = head[OUTPUTS]
    share = np.float32(1.0 / plan.minibatch)
    for row in range(low, high):
        at = buffers.order[start + row]
        place = row * actions
        for a in range(actions):
            net.work[head[BELOW] + place + a] = np.float32(0.0)
        chosen = place + buffers.actions[at]
        error = net.work[head[OUT] + chosen] - buffers.targets[at]
        if not buffers.valid[at]:
            error = np.float32(0.0)
        buffers.errors[row] = error
        net.work[head[BELOW] + chosen] = error * share


@cold
def count_figures(plan, moments, buffers):
    """What the metrics say about this update."""
    for row in range(plan.minibatch):
        error = buffers.errors[row]
        buffers.figures[LOSS] += 0.5 * error * error
        buffers.figures[ERROR] += abs(error)
    buffers.figures[NORM] += adam.norm(moments)
    buffers.figures[LEARNED] += 1.0


def learn(net, moments, plan, buffers, stream, lr, counts, member, members):
    """Every epoch of one rollout; False where another member gave up."""
    rows = plan.minibatch
    low, high = mlp.share(rows, member, members, 4)
    for _ in range(plan.epochs):
        if member == 0:
            shuffle(buffers.order, stream)
        if members > 1 and not meet(buffers.barrier, 0, members):
            return False
        for start in range(0, len(buffers.order), rows):
            if not update(
                net, moments, plan, buffers, start, low, high, lr, counts, member, members
            ):
                return False
    return True


@cold
def update(net, moments, plan, buffers, start, low, high, lr, counts, member, members):
    """One minibatch: forward, error, backward, gradient, step."""
    rows = plan.minibatch
    alone = members == 1
    mlp.turn(net, member, members)
    gather(buffers, start, low, high)
    mlp.forward(net, buffers.batch, 0, low, high)
    compare(net, plan, buffers, start, low, high)
    if not alone and not meet(buffers.barrier, 0, members):
        return False
    mlp.backward(net, low, high)
    if not alone and not meet(buffers.barrier, 0, members):
        return False
    mlp.gradients(net, buffers.batch, 0, rows, member, members)
    if not alone and not meet(buffers.barrier, 0, members):
        return False
    adam.squares(net, moments, member, members)
    if not alone and not meet(buffers.barrier, 0, members):
        return False
    done = counts[UPDATES] + 1
    # Young averages follow quickly, or they would remember the untrained network.
    past = min(plan.average, done / (done + 10.0)) if plan.average > 0.0 else 0.0
    adam.adam(net, moments, lr, done, past, member, members)
    if not alone and not meet(buffers.barrier, 0, members):
        return False
    if member == 0:
        counts[UPDATES] = done
        count_figures(plan, moments, buffers)
    return alone or meet(buffers.barrier, 0, members)


@cold
def account(plan, buffers, counts, log):
    """Counts a rollout and files the returns of the episodes that ended in it."""
    for at in range(plan.rollout * plan.envs):
        if buffers.valid[at]:
            counts[STEPS] += 1
            buffers.figures[GAP] += buffers.gaps[at]
            buffers.figures[VALUE] += buffers.values[at]
            buffers.figures[TERMINAL] += buffers.terminated[at]
            buffers.figures[ACTED] += 1.0
        if buffers.terminated[at] or buffers.truncated[at]:
            counts[EPISODES] += 1
            log[counts[LOGGED]] = buffers.ended[at]
            counts[LOGGED] += 1
    if plan.scale_inputs:
        rows = plan.rollout * plan.envs
        counts[SEEN] = rescale(buffers.inputs, rows, buffers.scale, buffers.books, counts[SEEN])
    counts[ROUNDS] += plan.rollout


def learn_rollout(net, moments, plan, buffers, stream, counts, log, member, members):
    """Targets, updates, books: everything after a rollout was played."""
    low, high = mlp.share(plan.envs, member, members, 4)
    look(net, buffers, plan.rollout, low, high, plan.envs)
    discount = value_at(plan.discount, counts[STEPS], counts[EPISODES])
    lambda_returns(plan, buffers, discount, low, high)
    lr = value_at(plan.lr, counts[STEPS], counts[EPISODES])
    if members > 1 and not meet(buffers.barrier, 0, members):
        return False
    if not learn(net, moments, plan, buffers, stream, lr, counts, member, members):
        return False
    if member == 0:
        account(plan, buffers, counts, log)
    return members == 1 or meet(buffers.barrier, 0, members)


def advance_chunk(
    net, moments, plan, buffers, players, stream, copies, seen, finals, counts, log, steps,
    episodes, member, members, world,
):  # fmt: skip
    """Rollouts until `steps` steps or `episodes` episodes are done, or the log is full."""
    low, high = mlp.share(plan.envs, member, members, 4)
    most = plan.envs * plan.rollout
    while (
        counts[STEPS] < steps and counts[EPISODES] < episodes and counts[LOGGED] + most <= len(log)
    ):
        epsilon = value_at(plan.epsilon, counts[STEPS], counts[EPISODES])
        play(
            net, plan, players, copies, seen, finals, buffers, epsilon, low, high, member == 0,
            world,
        )  # fmt: skip
        begun = ticks()
        if not learn_rollout(net, moments, plan, buffers, stream, counts, log, member, members):
            return
        if member == 0:
            buffers.clock[LEARN] += ticks() - begun


def act(net, plan, players, seen, buffers, k, epsilon):
    """Actions of all copies at step k, of an environment that steps from Python."""
    width = buffers.scale.shape[1]
    if k == 0:
        for i in range(plan.envs):
            encode(seen[i], buffers.inputs, i * width, buffers.scale)
    choose(net, plan, players, buffers, k, epsilon, 0, plan.envs)


def store(net, plan, buffers, k, rewards, terminated, truncated, valid, seen, finals, returns):
    """What such an environment answered."""
    for i in range(plan.envs):
        keep(
            net, plan, buffers, k, i, rewards[i], terminated[i],
            truncated[i] and not terminated[i], seen[i], finals[i],
        )  # fmt: skip
        buffers.valid[k * plan.envs + i] = valid[i]
        buffers.ended[k * plan.envs + i] = returns[i]
