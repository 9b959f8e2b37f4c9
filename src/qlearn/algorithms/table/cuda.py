"""Many independent agents on an NVIDIA GPU, each with its table on the chip.

One thread is one agent; a launch plays as many steps as it is asked for and touches the GPU's
main memory only at its ends. What is promised, beside the CPU's agent of the same seed:

- `dtype="float64"`: the same actions, games and table, bit for bit. (Schedules are computed on
  the CPU, sums are not fused.)
- `dtype="float32"` with given actions (`follow`): the same states and rewards; every entry within
  1e-5 where rewards and values are of the order of 1.
- `dtype="float32"` on its own: the same random words, so explored actions are the same as long as
  the games are. Where two values are nearer than float32 can tell, the greedy choices may part
  and the games with them; what is learned is another table towards the same optimum.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.evaluation import Evaluation
from qlearn.algorithms.live import Live
from qlearn.algorithms.table import cuda_loop, greedy, rule, tabulated
from qlearn.algorithms.table.config import TableConfig
from qlearn.algorithms.table.cuda_loop import Layout, Model, layout_of
from qlearn.algorithms.table.plan import KNOBS, check_values, plan_of, replanned, states_of
from qlearn.envs.spec import Environment
from qlearn.errors import UserError
from qlearn.kernels.build import Kernels, build
from qlearn.schedules import CONSTANT, VISITS, Schedule, counts_episodes, value_at

DTYPES = ("float32", "float64")
LAUNCH_STEPS = 1 << 20  # at most, of each agent: bounds what schedules take and Ctrl-C waits
EPISODE_STEPS = 256  # the same where episodes end the training and are counted between launches

WARP, MOST_THREADS = 32, 512
UNASKED = 48 * 1024  # shared memory that a block has without asking for more
RESERVED = 1024  # of every block's shared memory, for the system
MOST_RESIDENT, MOST_BLOCKS = 768, 32  # threads (by their registers) and blocks of a processor
NEARLY = 0.9  # of the best occupancy is enough: smaller blocks spread more evenly
SIMULATED_THREADS = 4  # the simulator's threads are slow Python threads


class CudaAgents:
    """Independent agents; agent i is the CPU's agent with seed `seeds[i]` (see above)."""

    def __init__(
        self,
        environment: Environment,
        config: TableConfig,
        seeds: Sequence[int],
        dtype: str = "float32",
    ) -> None:
        config.check()
        if dtype not in DTYPES:
            raise UserError(f"dtype is float32 or float64, not {dtype}")
        self.environment, self.config, self.dtype = environment, config, np.dtype(dtype)
        self.seeds = [random_streams.checked_seed(seed) for seed in seeds]
        self.plan = plan_of(environment, replace(config, episodes=0))
        world = world_of(environment, self.plan)
        self.kernels = kernels(environment)
        self._cuda = usable()
        self.simulated = not hasattr(self.kernels.entries["learn"], "compile")
        self.layout = self._choose_layout(len(world.to))
        self._model = self._send_model(world)
        self.env_steps = 0
        self._schedules = Schedules(self.plan, self.dtype)
        self._begin(world.start)
        self._prepare()

    def take(self, config: TableConfig, plan: rule.Plan) -> None:
        """Goes on by another plan of the same world."""
        self.config, self.plan = config, plan
        self._model = self._send_model(world_of(self.environment, plan))
        self._schedules = Schedules(plan, self.dtype)
        self.compile_seconds += self._schedules.compile_seconds

    def _choose_layout(self, entries: int) -> Layout:
        if self.simulated:
            return layout_of(SIMULATED_THREADS, entries, self.dtype.itemsize)
        device = self._cuda.get_current_device()
        return best_layout(
            entries,
            self.dtype.itemsize,
            device.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
            device.MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
        )

    def _send(self, array: np.ndarray) -> Any:
        return self._cuda.to_device(array)

    def _send_model(self, world: tabulated.World) -> Model:
        return Model(
            self._send(world.to.astype(np.uint32) | world.ended * np.uint32(cuda_loop.ENDED)),
            self._send(world.reward.astype(self.dtype)),
            self._send(np.array([0.0, self.plan.discount], self.dtype)),
        )

    def _begin(self, start: int) -> None:
        agents, entries = len(self.seeds), states_of(self.environment) * self.environment.actions
        self.start = start
        small = np.zeros((5, agents), np.uint32)
        small[cuda_loop.PLACE] = start
        small[cuda_loop.KEY_LOW] = [seed & random_streams.MASK for seed in self.seeds]
        small[cuda_loop.KEY_HIGH] = [seed >> 32 for seed in self.seeds]
        self._state = {
            "tables": self._send(np.full((entries, agents), self.config.initial, self.dtype)),
            "small": self._send(small),
            "large": self._send(np.zeros((2, agents), np.int64)),
            "earned": self._send(np.zeros(agents, self.dtype)),
            "returned": self._send(np.zeros(agents)),
        }

    def _prepare(self) -> None:
        """Compiles or loads now, and claims the shared memory."""
        arguments = self._arguments(*self._schedule(0, 1), 0)
        self.kernels.prepare("learn", *arguments)
        self.compile_seconds = self.kernels.compile_seconds + self._schedules.compile_seconds
        self._learn = self._launcher("learn")

    def _launcher(self, entry: str) -> Any:
        dispatcher = self.kernels.entries[entry]
        if not self.simulated:
            for kernel in dispatcher.overloads.values():
                claim_shared_memory(kernel, self.layout.size)
        blocks = -(-len(self.seeds) // self.layout.threads)
        with warnings.catch_warnings():
            # Few agents are the user's choice; numba-cuda warns of a GPU that is not filled.
            warnings.filterwarnings("ignore", message="Grid size")
            return dispatcher[blocks, self.layout.threads, 0, self.layout.size]

    def _arguments(self, lrs: Any, chances: Any, steps: int) -> tuple:
        state = self._state
        return (
            state["tables"], state["small"], state["large"], state["earned"], state["returned"],
            self._model, lrs, chances, self.layout, steps, *self._rules,
        )  # fmt: skip

    @property
    def _rules(self) -> tuple[int, int, int]:
        return self.plan.actions, self.plan.max_steps, self.start

    def _schedule(self, t: int, steps: int) -> tuple[Any, Any]:
        return tuple(self._send(values) for values in self._schedules.values(t, steps))

    def advance(self, steps: int) -> None:
        """Every agent learns until it has done `steps` steps."""
        while self.env_steps < steps:
            now = min(steps - self.env_steps, LAUNCH_STEPS)
            self._learn(*self._arguments(*self._schedule(self.env_steps, now), now))
            self.env_steps += now
        self._cuda.synchronize()

    def follow(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Learns from given actions (steps, agents): the states come to, and the rewards.

        For checks: random streams stay where they are, episodes are not counted.
        """
        actions = np.ascontiguousarray(actions, np.int64)
        if actions.ndim != 2 or actions.shape[1] != len(self.seeds):
            raise UserError(f"follow() takes actions of {len(self.seeds)} agents, (steps, agents)")
        if actions.size and not 0 <= actions.min() <= actions.max() < self.plan.actions:
            raise UserError(f"an action given is not in 0 .. {self.plan.actions - 1}")
        states = self._send(np.zeros(actions.shape, np.uint32))
        rewards = self._send(np.zeros(actions.shape, self.dtype))
        lrs, _ = self._schedule(self.env_steps, len(actions))
        arguments = (
            self._state["tables"], self._state["small"], self._send(actions), states, rewards,
            self._model, lrs, self.layout, *self._rules,
        )  # fmt: skip
        self.kernels.prepare("follow", *arguments)
        self._launcher("follow")(*arguments)
        self.env_steps += len(actions)
        return states.copy_to_host(), rewards.copy_to_host()

    @property
    def tables(self) -> np.ndarray:
        """(agents, states, actions), a copy."""
        tables = self._state["tables"].copy_to_host().T
        return np.ascontiguousarray(tables).reshape(len(self.seeds), -1, self.plan.actions)

    @property
    def updates(self) -> int:
        """Of all agents together."""
        return self.env_steps * len(self.seeds)

    def agents_at_a_time(self) -> int:
        """How many the GPU's processors hold at once; more wait for their turn."""
        if self.simulated:
            return self.layout.threads
        device = self._cuda.get_current_device()
        each = agents_on(self.layout, device.MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)
        return each * device.MULTIPROCESSOR_COUNT

    def device_name(self) -> str:
        if self.simulated:
            return "CUDA simulator"
        name = self._cuda.get_current_device().name
        return name.decode() if isinstance(name, bytes) else str(name)

    def books(self) -> tuple[int, float]:
        """(episodes that ended, the sum of their returns), of all agents together."""
        episodes = self._state["large"].copy_to_host()[cuda_loop.EPISODES]
        return int(episodes.sum()), float(self._state["returned"].copy_to_host().sum())

    def get_state(self) -> dict[str, np.ndarray]:
        arrays = {name: array.copy_to_host() for name, array in self._state.items()}
        return arrays | {"env_steps": np.array([self.env_steps])}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Goes on from there, bit for bit."""
        for name, array in self._state.items():
            if state[name].shape != array.shape or state[name].dtype != array.dtype:
                raise UserError(f"the state is of other agents: '{name}' has another shape or type")
            array.copy_to_device(np.ascontiguousarray(state[name]))
        self.env_steps = int(state["env_steps"][0])


class Schedules:
    """Learning rates and chances to explore, step by step, as the CPU computes them."""

    def __init__(self, plan: rule.Plan, dtype: np.dtype) -> None:
        self.plan, self.dtype = plan, dtype
        self.constant = plan.lr.kind == CONSTANT and plan.epsilon.kind == CONSTANT
        self.compile_seconds = 0.0
        if not self.constant:
            self.kernels = build("schedules", [fill], {})
            self.kernels.prepare("fill", plan.lr, 0, np.zeros(1))
            self.compile_seconds = self.kernels.compile_seconds

    def values(self, t: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """For steps t, t + 1, ...; one value where it never changes.

        A word w explores where w < epsilon * 2**32: for whole w, where w is below the next whole
        number, which spares the GPU the conversion.
        """
        lrs = self._of(self.plan.lr, t, steps)
        chances = np.ceil(self._of(self.plan.epsilon, t, steps) * random_streams.TWO_32)
        return lrs.astype(self.dtype), chances.astype(np.uint64)

    def _of(self, schedule: Schedule, t: int, steps: int) -> np.ndarray:
        if self.constant:
            return np.array([schedule.start])
        values = np.zeros(steps)
        self.kernels.fill(schedule, t, values)
        return values


def fill(schedule, t, values):
    for k in range(values.shape[0]):
        values[k] = value_at(schedule, t + k, 0)


def world_of(environment: Environment, plan: rule.Plan) -> tabulated.World:
    """The environment as arrays; where this engine cannot learn it, one line says why."""
    states = states_of(environment)
    other = "--engine numba learns it"
    if plan.rule != rule.Q_LEARNING:
        raise UserError(f"the cuda engine learns by rule q alone; {other} by any rule")
    if plan.lr.kind == VISITS:
        raise UserError(
            f"the cuda engine counts no visits: lr is a number or a schedule of steps, such as"
            f" --set lr=0.5; {other} by visits"
        )
    for name, schedule in (("lr", plan.lr), ("epsilon", plan.epsilon)):
        if counts_episodes(schedule):
            raise UserError(
                f"{name}: schedules of the cuda engine count steps; {other} by episodes"
            )
    if plan.decimals >= 0:
        raise UserError(f"the cuda engine does not round; {other} with round_to")
    if states * environment.actions > tabulated.MOST_ENTRIES:
        raise too_large(states * environment.actions, "", other)
    world = tabulated.fits(environment, plan)
    if world is None:
        raise UserError(
            f"the cuda engine takes worlds where nothing is drawn, with one first state;"
            f" {environment.name} is none; {other}"
        )
    return world


def too_large(entries: int, most: str, other: str) -> UserError:
    return UserError(
        f"a table of {entries:,} entries does not fit on the GPU's chip{most}; {other}"
    )


def kernels(environment: Environment) -> Kernels:
    """Compiled once for each kind of environment, whatever its size."""
    bind: dict = {}
    if environment.actions == 4:
        bind[cuda_loop.best_of_row] = cuda_loop.best_of_four
    if environment.actions & (environment.actions - 1) == 0:
        bind[cuda_loop.drawn] = cuda_loop.drawn_at_once
    if environment.max_steps == 0:
        bind[cuda_loop.cut_off] = cuda_loop.never_cut_off
    return build("tables on the GPU", (cuda_loop.learn, cuda_loop.follow), bind, "cuda")


def usable() -> Any:
    """numba.cuda, where there is a device (or the simulator) to use it on."""
    from numba import cuda

    if cuda.is_available():
        return cuda
    error = cuda.cuda_error()
    if error is None:  # a driver, but nothing to compile with
        raise UserError(
            "NVIDIA's compiler library was not found: pip install 'numba-cuda[cu13]' (cu12 for a"
            " driver of CUDA 12); --engine numba works"
        )
    reason = str(error).strip().split("\n")[0].strip(" .:")
    raise UserError(
        f"no CUDA device was found{f' ({reason})' if reason else ''}; --engine numba works"
    )


def best_layout(entries: int, itemsize: int, of_a_block: int, of_a_processor: int) -> Layout:
    """The smallest block of threads with nearly the most agents on a processor at a time."""
    layouts = [
        layout
        for threads in range(WARP, MOST_THREADS + 1, WARP)
        if (layout := layout_of(threads, entries, itemsize)).size <= of_a_block
    ]
    if not layouts:
        one = layout_of(WARP, 1, itemsize).size - layout_of(WARP, 0, itemsize).size
        largest = (of_a_block - layout_of(WARP, 0, itemsize).size) // one
        raise too_large(
            entries, f" (at most {largest:,} of {8 * itemsize} bits)", "--engine numba learns it"
        )

    most = max(agents_on(layout, of_a_processor) for layout in layouts)
    return next(layout for layout in layouts if agents_on(layout, of_a_processor) >= NEARLY * most)


def agents_on(layout: Layout, of_a_processor: int) -> int:
    """How many agents one processor's shared memory and threads have room for."""
    blocks = min(
        of_a_processor // (layout.size + RESERVED),
        MOST_RESIDENT // layout.threads,
        MOST_BLOCKS,
    )
    return blocks * layout.threads


def claim_shared_memory(kernel: Any, size: int) -> None:
    """Lets a compiled kernel have more shared memory than a block gets unasked.

    numba-cuda has no option for it, only the driver's call.
    """
    function = kernel._codelibrary.get_cufunc()
    with suppress(Exception):  # a hint: all that is not shared memory would be cache
        function.set_shared_memory_carveout(100)
    if size <= UNASKED:
        return
    from numba.cuda.cudadrv.driver import binding, driver

    driver.cuKernelSetAttribute(
        binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
        size, function.handle, function.device.id,
    )  # fmt: skip


class CudaLearner(Live):
    """`--envs` agents side by side, agent i with seed `seed + i`; agent 0 is shown and judged.

    Steps, updates and episodes count over all agents together. A schedule runs by each agent's
    own steps: a budget of 1,000,000 steps for 100 agents is 10,000 steps for each, and
    `1->0.05@0.5` has fallen after 5,000. `advance` gives the mean return of the episodes that
    ended meanwhile. Where episodes end the training, it ends after the launch that reaches them.
    """

    algo = "table"
    engine = "cuda"
    device = "cuda"
    knobs = KNOBS

    def __init__(self, environment: Environment, config: TableConfig, seed: int) -> None:
        config.check()
        self.environment, self.config, self.seed = environment, config, seed
        self.envs = config.envs
        self.agents = CudaAgents(environment, self._each(config), range(seed, seed + config.envs))
        self.plan = self.agents.plan
        self.evaluator = greedy.Evaluator(environment)
        self.compile_seconds = self.agents.compile_seconds + self.evaluator.compile_seconds
        self.notes = self._notes()
        self.episodes, self._returned = 0, 0.0

    def _each(self, config: TableConfig) -> TableConfig:
        """Of one agent."""
        return replace(config, steps=-(-config.steps // config.envs))

    def planned(self, config: TableConfig) -> rule.Plan:
        plan = replanned(self.environment, replace(self._each(config), episodes=0), self.plan)
        world_of(self.environment, plan)
        return plan

    def take(self, config: TableConfig, plan: rule.Plan) -> None:
        super().take(config, plan)
        self.agents.take(self._each(config), plan)

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self.agents.simulated:
            notes.append("the CUDA simulator plays: right, but slow")
        moving = self.plan.lr.kind != CONSTANT or self.plan.epsilon.kind != CONSTANT
        if self.config.episodes and moving:
            notes.append(
                f"schedules of the cuda engine count steps, here {self.agents.config.steps:,} of"
                " each agent; --steps says how many"
            )
        return tuple(notes)

    @property
    def env_steps(self) -> int:
        return self.agents.updates

    @property
    def updates(self) -> int:
        return self.agents.updates

    @property
    def finished(self) -> bool:
        return self._enough or self.env_steps >= self.config.steps

    @property
    def _enough(self) -> bool:
        return bool(self.config.episodes and self.episodes >= self.config.episodes)

    def advance(self, steps: int) -> np.ndarray:
        """Learns until at least `steps` steps are done in all, the same number by every agent."""
        goal = -(-steps // self.envs)
        at_once = EPISODE_STEPS if self.config.episodes else goal
        before, returned = self.episodes, self._returned
        while self.agents.env_steps < goal and not self._enough:
            self.agents.advance(min(goal, self.agents.env_steps + at_once))
            self.episodes, self._returned = self.agents.books()
        ended = self.episodes - before
        return np.array([(self._returned - returned) / ended] if ended else [])

    def values(self) -> np.ndarray:
        """Agent 0's table (states, actions)."""
        return self.agents.tables[0].astype(np.float64)

    def policy(self) -> Callable[[np.ndarray], int]:
        """Agent 0's greedy action for what is observed."""
        return greedy.policy_of(self.values())

    def evaluate(self, episodes: int, seed: int, most_steps: int) -> Evaluation:
        return self.evaluator(self.values(), episodes, seed, most_steps)

    def check(self) -> None:
        check_values(self.environment, self.values(), self.env_steps)

    def figures(self) -> dict[str, Any]:
        return rule.figures(self.plan, self.agents.env_steps, 0)

    def get_state(self) -> dict[str, np.ndarray]:
        return self.agents.get_state()

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self.agents.set_state(state)
        self.episodes, self._returned = self.agents.books()


def cuda_learner(environment: Environment, config: TableConfig, seed: int) -> CudaLearner:
    return CudaLearner(environment, config, seed)
