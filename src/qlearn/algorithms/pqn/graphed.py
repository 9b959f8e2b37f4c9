"""The readable PQN with everything of a rollout on one device, its loops replayed as CUDA graphs.

Rollout, scale and counters are tensors that stay where they are; what changes between two replays
is a number in one of them. On a GPU the games of environments that compile are stepped there too,
inside the graph; others are stepped on the processor between two graphs. A rollout waits for the
device once, for what is counted and reported.

On a GPU chance is PyTorch's own generator, seeded by the run's seed: other numbers than on the
processor, where this learner is the readable one to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from qlearn.algorithms.network.books import SEEN, UPDATES
from qlearn.algorithms.network.graphs import Replayed
from qlearn.algorithms.network.optimisers import set_lr
from qlearn.algorithms.network.seeing import LEAST_SPREAD, MIDDLE, SQUARES, pool_scale
from qlearn.algorithms.network.shown import games_on, running_returns, shown
from qlearn.algorithms.pqn.config import PqnConfig
from qlearn.algorithms.pqn.fused import Plan
from qlearn.algorithms.pqn.readable import Rollout, TorchPqn
from qlearn.nets.module import torch
from qlearn.schedules import value_at

REPORTED = ("terminated", "truncated", "valid", "values", "gaps", "ended")


class GraphedPqn(TorchPqn):
    """Whole rollouts and updates without a number that leaves the device."""

    def __init__(self, environment: Any, config: PqnConfig, seed: int) -> None:
        super().__init__(environment, config, seed)
        device, envs = self.device, config.envs

        def there(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(device)

        self.there: Any = Rollout._make(map(there, self.rollout))  # of tensors
        self.scale_there, self.books_there = there(self.scale), there(self.scale_books)
        self.order_there = there(self.order)
        self.actions = torch.zeros(envs, dtype=torch.int64, device=device)
        self.inputs = torch.zeros_like(self.there.inputs[0])
        self.chances = torch.zeros(envs, dtype=torch.float64, device=device)
        self.returns = torch.zeros(envs, dtype=torch.float64, device=device)
        self.k = torch.zeros(1, dtype=torch.int64, device=device)  # the step of the rollout
        self.updated = torch.zeros((), device=device)
        self.discounted = torch.zeros((), device=device)  # what the future counts
        self.count = torch.zeros((), dtype=torch.float64, device=device)  # inputs in the scale
        self.rows_there = torch.zeros(config.minibatch, dtype=torch.int64, device=device)
        self.generator = torch.Generator(device).manual_seed(seed) if device == "cuda" else None
        self.chance = self.generator.get_state().numpy().copy() if self.generator else np.zeros(0)
        self.games = shown(self.batch, device)
        # Only where an episode can be cut off are its last states worth a look.
        functions = getattr(environment, "functions", None)
        self.cuts = bool(functions is None or self.plan.max_steps or "truncated" in functions)

        def replayed(function: Any) -> Replayed:
            return Replayed(function, device, self.generator)

        self.step: Callable[[], None]
        if self.games.on_device or device == "cpu":
            self.step = replayed(self.step_all)
        else:
            act, store = replayed(self.act), replayed(self.store)

            def step() -> None:
                act()
                self.games.step(self.actions)
                store()

            self.step = step
        self.begin = replayed(self.begin_rollout)
        self.bootstrap = replayed(self.judge_now)
        self.targets = replayed(self.look_back)
        self.mix = replayed(self.shuffle)
        self.learn_rows = replayed(self.update_rows)
        self.measure = replayed(self.rescale_there)

    def take(self, config: PqnConfig, plan: Plan) -> None:
        super().take(config, plan)
        self.rows_there = torch.zeros(config.minibatch, dtype=torch.int64, device=self.device)
        self.targets.forget()
        self.learn_rows.forget()

    def make_batch(self, played: Any, seed: int) -> Any:
        return games_on(played, self.config.envs, seed, self.device)

    def advance(self, steps: int) -> np.ndarray:
        """As the readable one; between two calls the truth is in NumPy's arrays, for checkpoints."""
        self.send()
        ended = super().advance(steps)
        self.bring()
        return ended

    def send(self) -> None:
        self.games.look()
        for tensor, array in self._pairs():
            tensor.copy_(torch.from_numpy(array))
        self.returns.copy_(torch.from_numpy(np.array(running_returns(self.batch), np.float64)))
        self.updated.fill_(self.updates)
        self.count.fill_(int(self.counts[SEEN]))
        if self.generator is not None:
            self.generator.set_state(torch.from_numpy(self.chance))

    def bring(self) -> None:
        self.games.settle()
        for tensor, array in self._pairs():
            array[...] = tensor.cpu().numpy()
        if self.generator is not None:
            self.chance[:] = self.generator.get_state().numpy()

    def _pairs(self) -> tuple[tuple[torch.Tensor, np.ndarray], ...]:
        return (
            (self.scale_there, self.scale),
            (self.books_there, self.scale_books),
            (self.order_there, self.order),
        )

    # ------------------------------------------------------------------ acting

    def play(self) -> None:
        begun = time.perf_counter()
        self.chances.copy_(torch.from_numpy(self.epsilons()))
        self.begin()
        for _ in range(self.config.rollout):
            self.step()
        if self.generator is not None:
            torch.cuda.synchronize()  # so that the seconds are those of playing
        self.seconds["act"] += time.perf_counter() - begun  # stepping is part of it

    @torch.no_grad()
    def begin_rollout(self) -> None:
        self.k.zero_()
        self.inputs.copy_(self.encode_there(self.games.observations))

    @torch.no_grad()
    def step_all(self) -> None:
        self.act()
        self.games.step(self.actions)
        self.store()

    def encode_there(self, seen: torch.Tensor) -> torch.Tensor:
        if self.environment.discrete:
            return torch.zeros_like(self.inputs).scatter_(1, seen, 1.0)
        return (seen - self.scale_there[0]) * self.scale_there[1]

    def keep(self, **parts: torch.Tensor) -> None:
        """Into this step's place of the rollout."""
        for name, part in parts.items():
            getattr(self.there, name).index_copy_(0, self.k, part[None])

    @torch.no_grad()
    def judge_now(self) -> torch.Tensor:
        values = self.values(self.network, self.inputs)
        ranked = values.topk(min(2, values.shape[1])).values
        self.keep(inputs=self.inputs, values=ranked[:, 0], gaps=ranked[:, 0] - ranked[:, -1])
        return values

    @torch.no_grad()
    def act(self) -> None:
        values = self.judge_now()
        best = values.argmax(dim=1)
        self.actions.copy_(best)
        self.explore(values)
        self.keep(actions=self.actions, strays=self.actions != best)

    def explore(self, values: torch.Tensor) -> None:
        if self.generator is None:
            now = self.actions.numpy(), values.numpy(), self.chances.numpy()
            self.kernels.explore(*self.chances_of(*now))
            return
        where = {"device": self.device, "generator": self.generator}
        others = torch.randint(self.plan.actions, self.actions.shape, **where)
        strays = torch.rand(self.actions.shape, **where) < self.chances
        if self.config.margin > 0.0:
            worth = values.gather(1, torch.stack((self.actions, others), dim=1))
            dear = worth[:, 0] - worth[:, 1] > self.config.margin
            daring = torch.rand(self.actions.shape, **where) < self.config.daring
            strays &= daring | ~dear
        self.actions.copy_(torch.where(strays, others, self.actions))

    @torch.no_grad()
    def store(self) -> None:
        games = self.games
        ended = games.terminated | games.truncated
        self.returns += games.rewards
        self.keep(
            rewards=games.rewards * self.config.reward_scale,
            valid=games.valid,
            terminated=games.terminated,
            truncated=games.truncated & ~games.terminated,
            ended=self.returns,
        )
        self.returns.masked_fill_(ended, 0.0)
        if self.cuts:
            finals = self.encode_there(games.final_observations)
            self.keep(last_values=self.values(self.network, finals).amax(dim=1))
        self.inputs.copy_(self.encode_there(games.observations))
        self.k += 1

    # ---------------------------------------------------------------- learning

    def look(self, k: int) -> np.ndarray:
        self.bootstrap()
        return self.rollout.values[k]

    def lambda_returns(self) -> None:
        self.discounted.fill_(self.discount)
        self.targets()

    @torch.no_grad()
    def look_back(self) -> None:
        now, lambda_ = self.there, self.config.lambda_
        following = now.values[-1]
        for k in reversed(range(self.config.rollout)):
            if self.config.cut:
                following = torch.where(now.strays[k + 1], now.values[k + 1], following)
            ahead = torch.lerp(now.values[k + 1], following, lambda_)
            ahead = torch.where(now.truncated[k], now.last_values[k], ahead)
            ahead = ahead.masked_fill(now.terminated[k], 0.0)
            following = now.rewards[k] + self.discounted * ahead
            now.targets[k].copy_(following)

    def learn(self) -> None:
        set_lr(self.optimiser, value_at(self.plan.lr, self.env_steps, self.episodes))
        with self.learning():
            for _ in range(self.config.epochs):
                self.mix()
                for rows in self.order_there.split(self.config.minibatch):
                    self.rows_there.copy_(rows)
                    self.learn_rows()
                    self.counts[UPDATES] += 1
        self.settle_figures()

    def shuffle(self) -> None:
        if self.generator is None:
            self.kernels.shuffle(self.order_there.numpy(), self.stream)
            return
        drawn = torch.rand(len(self.order), device=self.device, generator=self.generator)
        self.order_there.copy_(drawn.argsort())

    def update_rows(self) -> None:
        now, rows = self.there, self.rows_there
        self.update(
            now.inputs[:-1].flatten(0, 1)[rows],
            *(part.flatten()[rows] for part in (now.actions, now.targets, now.valid)),
        )
        with torch.no_grad():
            self.updated += 1.0
            young = 10.0 / (self.updated + 10.0)
            self.follow(self.average, young.clamp(min=1.0 - self.config.average))

    # ------------------------------------------------------------------- books

    def account(self) -> np.ndarray:
        for name in REPORTED:
            getattr(self.rollout, name)[...] = getattr(self.there, name).cpu().numpy()
        return super().account()

    def rescale(self) -> None:
        self.measure()
        self.counts[SEEN] += len(self.order)

    @torch.no_grad()
    def rescale_there(self) -> None:
        scale, books = self.scale_there, self.books_there
        inputs = self.there.inputs[:-1].flatten(0, 1).double()
        size = 1.0 / scale[1].double()
        middle = inputs.mean(dim=0)
        squares = ((inputs - middle) ** 2).sum(dim=0) * size**2
        rows = len(inputs)
        total = self.count + rows
        away = middle * size + scale[0] - books[MIDDLE]
        books[SQUARES] += squares + away**2 * self.count * rows / total
        books[MIDDLE] += away * rows / total
        self.count.copy_(total)
        spread = (books[SQUARES] / total).sqrt()
        scale[0].copy_(books[MIDDLE])
        scale[1].copy_(1.0 / torch.where(spread > LEAST_SPREAD, spread, 1.0))
        if self.picture:
            pool_scale(scale, books, total, self.picture)

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        return self.there.rewards.cpu().numpy(), self.there.inputs.cpu().numpy()

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        super().set_state({"chance": self.chance, **state})  # the processor's learners have none

    def _arrays(self) -> dict[str, np.ndarray]:
        return super()._arrays() | ({"chance": self.chance} if self.generator else {})


def torch_learner(environment: Any, config: PqnConfig, seed: int) -> TorchPqn:
    """The readable one on the processor, where it is as quick; its twin on a GPU."""
    return (TorchPqn if config.device == "cpu" else GraphedPqn)(environment, config, seed)
