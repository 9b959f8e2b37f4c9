"""The kernels of many independent agents on a GPU: one thread is one agent.

The rule is tabulated.py's, and so are the random words. A block of threads keeps everything in
memory on the chip: the tables of its agents, a ring of eight random words for each, and one copy
of the model. Entry e of thread i lies at e * threads + i, so that the threads of a warp, whatever
entries they look at, are served by different banks.

What chance decides is chosen by selects, not by branches. Only two branches remain where threads
of a warp part: a row that the update has changed is looked at again, and the ring is refilled,
which is asked every second step alone, because then about half of the threads need it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qlearn.kernels.device import grid, meet, shared_array
from qlearn.rng import MASK, PLAYER, TWO_32

RING = 8  # random words that a thread holds: what is left of one block of four, and another
SPARE = 4  # words that two steps may need
WORD = 4  # bytes

# Rows of the 32-bit integers and of the 64-bit integers that agents carry from launch to launch.
PLACE, GREEDY, ELAPSED, KEY_LOW, KEY_HIGH = 0, 1, 2, 3, 4
POSITION, EPISODES = 0, 1

ENDED = 1 << 31  # in `to`, beside the state reached
ZERO, DISCOUNT = 0, 1  # places in `settings`


class Layout(NamedTuple):
    """Where things begin in a block's shared memory, counted in items of their own size."""

    threads: int
    rewards: int  # behind the tables
    to: int  # then the model's states, in words
    ring: int
    size: int  # bytes


def layout_of(threads: int, entries: int, itemsize: int) -> Layout:
    rewards = entries * threads
    to = (rewards + entries) * itemsize // WORD
    ring = to + entries
    size = (ring + RING * threads) * WORD
    return Layout(threads, rewards, to, ring, -(-size // 8) * 8)


class Model(NamedTuple):
    """The deterministic world in the form that the kernels read."""

    to: Any  # uint32: the state where the agent goes on, with ENDED where the episode terminated
    reward: Any
    settings: Any  # zero and the discount, in the tables' own precision


def encrypt(words, ring, threads, block, key_low, key_high):
    """`qlearn.rng.refill`, 32 bits at a time, into the half of the ring whose turn it is."""
    half = np.uint64(32)
    mask = np.uint64(MASK)
    c0 = np.uint32(block & MASK)
    c1 = np.uint32((block >> 32) & MASK)
    c2 = np.uint32(0)
    c3 = np.uint32(PLAYER)
    k0 = np.uint64(key_low)
    k1 = np.uint64(key_high)
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * np.uint64(c0)
        p1 = np.uint64(0xCD9E8D57) * np.uint64(c2)
        c0 = np.uint32(np.uint32(p1 >> half) ^ c1 ^ np.uint32(k0))
        c1 = np.uint32(p1 & mask)
        c2 = np.uint32(np.uint32(p0 >> half) ^ c3 ^ np.uint32(k1))
        c3 = np.uint32(p0 & mask)
        k0 = (k0 + np.uint64(0x9E3779B9)) & mask
        k1 = (k1 + np.uint64(0xBB67AE85)) & mask
    at = ring + np.uint32((4 * block) & (RING - 1)) * threads
    words[at] = c0
    words[at + threads] = c1
    words[at + np.uint32(2) * threads] = c2
    words[at + np.uint32(3) * threads] = c3


def word_at(words, ring, threads, block, left):
    """The word that comes next where `left` of those before block number `block` are unused."""
    return words[ring + np.uint32((4 * block - left) & (RING - 1)) * threads]


def drawn(words, ring, threads, block, left, key_low, key_high, explores, actions):
    """(a random action, block, left); bound to `drawn_at_once` for 2, 4, 8, ... actions.

    Lemire's rejection, as in rng.integers, once in a thousand million draws.
    """
    mask = np.uint64(MASK)
    product = np.uint64(word_at(words, ring, threads, block, left)) * np.uint64(np.uint32(actions))
    if explores and product & mask < np.uint64(np.uint32(actions)):
        threshold = np.uint64((TWO_32 - actions) % actions)
        while product & mask < threshold:
            left = np.int32(left - 1)
            if left < SPARE:  # what the rest of the two steps may need is there again
                encrypt(words, ring, threads, block, key_low, key_high)
                block += 1
                left = np.int32(left + 4)
            product = np.uint64(word_at(words, ring, threads, block, left)) * np.uint64(
                np.uint32(actions)
            )
    return np.uint32(product >> np.uint64(32)), block, left


def drawn_at_once(words, ring, threads, block, left, key_low, key_high, explores, actions):
    product = np.uint64(word_at(words, ring, threads, block, left)) * np.uint64(np.uint32(actions))
    return np.uint32(product >> np.uint64(32)), block, left


def best_of_row(table, at, threads, actions):
    """(best action, its value); ties go to the lowest. Bound to `best_of_four` where it fits."""
    best = np.uint32(0)
    highest = table[at]
    for k in range(1, actions):
        value = table[at + np.uint32(k) * threads]
        better = value > highest
        best = np.uint32(k) if better else best
        highest = value if better else highest
    return best, highest


def best_of_four(table, at, threads, actions):
    """The same for four actions, as two comparisons of two."""
    q0 = table[at]
    q1 = table[at + threads]
    q2 = table[at + np.uint32(2) * threads]
    q3 = table[at + np.uint32(3) * threads]
    second = q1 > q0
    fourth = q3 > q2
    low = np.uint32(1) if second else np.uint32(0)
    high = np.uint32(3) if fourth else np.uint32(2)
    highest_low = q1 if second else q0
    highest_high = q3 if fourth else q2
    upper = highest_high > highest_low
    best = high if upper else low
    return best, highest_high if upper else highest_low


def cut_off(elapsed, ended, max_steps):
    """(steps so far, whether the time is up); `never_cut_off` where there is no limit."""
    return elapsed, not ended and elapsed == max_steps


def never_cut_off(elapsed, ended, max_steps):
    return np.uint32(0), False


def advance(
    table, words, lane, place, action, elapsed, lr, zero, discount, layout, actions, max_steps,
    start,
):  # fmt: skip
    """One step and one update: (where to go on, its best action, elapsed, reward, over)."""
    threads = np.uint32(layout.threads)
    width = np.uint32(actions)
    entry = np.uint32(place * width + action)
    where = words[np.uint32(layout.to) + entry]
    reward = table[np.uint32(layout.rewards) + entry]
    ended = where >= np.uint32(ENDED)
    seen = np.uint32(where & np.uint32(ENDED - 1))
    elapsed, cut = cut_off(np.uint32(elapsed + np.uint32(1)), ended, max_steps)
    over = ended or cut
    after = np.uint32(start) if cut else seen

    best, value = best_of_row(table, seen * width * threads + lane, threads, actions)
    at = entry * threads + lane
    old = table[at]
    td_target = reward + (zero if ended else discount) * value
    table[at] = old + lr * (td_target - old)
    if after == place or cut:
        # The update has changed the row that the next choice is made from, or it is another row.
        best = best_of_row(table, after * width * threads + lane, threads, actions)[0]
    elapsed = np.uint32(0) if over else elapsed
    return after, best, elapsed, reward, over


def take_in(tables, table, words, model, layout, i, lane):
    """Brings the model and this thread's table to the chip."""
    entries = tables.shape[0]
    for e in range(lane, entries, layout.threads):
        table[layout.rewards + e] = model.reward[e]
        words[layout.to + e] = model.to[e]
    if i < tables.shape[1]:
        for e in range(entries):
            table[e * layout.threads + lane] = tables[e, i]
    meet()


def put_back(tables, table, layout, i, lane):
    for e in range(tables.shape[0]):
        tables[e, i] = table[e * layout.threads + lane]


def learn(
    tables, small, large, earned, returned, model, lrs, chances, layout, steps, actions,
    max_steps, start,
):  # fmt: skip
    """`steps` steps of every agent; `lrs` and `chances` hold one value, or one for each step."""
    table = shared_array(0, tables.dtype)
    words = shared_array(0, small.dtype)
    i = grid(1)
    take_in(tables, table, words, model, layout, i, i % layout.threads)
    if i < tables.shape[1]:
        play(
            table, words, np.uint32(i % layout.threads), small[:, i], large[:, i], earned,
            returned, i, model, lrs, chances, layout, steps, actions, max_steps, start,
        )  # fmt: skip
        put_back(tables, table, layout, i, i % layout.threads)


def play(
    table, words, lane, small, large, earned, returned, i, model, lrs, chances, layout, steps,
    actions, max_steps, start,
):  # fmt: skip
    threads = np.uint32(layout.threads)
    ring = np.uint32(np.uint32(layout.ring) + lane)
    place, best, elapsed = small[PLACE], small[GREEDY], small[ELAPSED]
    key_low, key_high = small[KEY_LOW], small[KEY_HIGH]
    block = large[POSITION] >> 2
    left = np.int32(-(large[POSITION] & 3))
    zero, discount = model.settings[ZERO], model.settings[DISCOUNT]
    scheduled = lrs.shape[0] > 1
    lr, most = lrs[0], chances[0]
    episodes, sum_of_returns, this_return = large[EPISODES], returned[i], earned[i]
    for now in range(steps):
        if now & 1 == 0:
            while left < SPARE:  # twice when the ring is opened, then once at most
                encrypt(words, ring, threads, block, key_low, key_high)
                block += 1
                left = np.int32(left + 4)
        if scheduled:
            lr, most = lrs[now], chances[now]
        explores = np.uint64(word_at(words, ring, threads, block, left)) < most
        left = np.int32(left - 1)
        random, block, left = drawn(
            words, ring, threads, block, left, key_low, key_high, explores, actions
        )
        action = random if explores else best
        left = np.int32(left - np.int32(explores))
        place, best, elapsed, reward, over = advance(
            table, words, lane, place, action, elapsed, lr, zero, discount, layout, actions,
            max_steps, start,
        )  # fmt: skip
        this_return += reward
        if over:
            episodes += 1
            sum_of_returns += this_return
            this_return = zero
    small[PLACE], small[GREEDY], small[ELAPSED] = place, best, elapsed
    large[POSITION] = 4 * block - left
    large[EPISODES], returned[i], earned[i] = episodes, sum_of_returns, this_return


def follow(tables, small, given, states, rewards, model, lrs, layout, actions, max_steps, start):
    """The same with given actions (steps, agents): nothing is drawn, every step is filed."""
    table = shared_array(0, tables.dtype)
    words = shared_array(0, small.dtype)
    i = grid(1)
    lane = np.uint32(i % layout.threads)
    take_in(tables, table, words, model, layout, i, i % layout.threads)
    if i < tables.shape[1]:
        place, best, elapsed = small[PLACE, i], small[GREEDY, i], small[ELAPSED, i]
        zero, discount = model.settings[ZERO], model.settings[DISCOUNT]
        for now in range(given.shape[0]):
            place, best, elapsed, reward, _ = advance(
                table, words, lane, place, np.uint32(given[now, i]), elapsed,
                lrs[min(now, lrs.shape[0] - 1)], zero, discount, layout, actions, max_steps, start,
            )  # fmt: skip
            states[now, i] = place
            rewards[now, i] = reward
        small[PLACE, i], small[GREEDY, i], small[ELAPSED, i] = place, best, elapsed
        put_back(tables, table, layout, i, i % layout.threads)
