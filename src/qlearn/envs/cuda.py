"""Many copies of one environment, stepped together on an NVIDIA GPU."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.envs import cuda_loop
from qlearn.envs.batch import Batch
from qlearn.envs.spec import Environment
from qlearn.errors import UserError
from qlearn.kernels.build import Kernels, build

ENTRIES = (
    cuda_loop.begin_copies,
    cuda_loop.step_copies,
    cuda_loop.roll,
    cuda_loop.roll_near,
    cuda_loop.read_column,
)

# Up to here a thread can hold its copy in registers during a rollout.
NEAR_BYTES = 256
# Blocks of one warp spread a small batch over all processors of the GPU.
SMALL_BLOCK, LARGE_BLOCK = 32, 128
SMALL_BATCH = 32768
# The simulator's threads are slow Python threads: few, each with many copies.
SIMULATED_BLOCKS, SIMULATED_THREADS = 2, 3
ALIGNMENT = 256  # of each result in the buffer that holds them all


class CudaBatch(Batch):
    """The environment compiled for the GPU; the same games as on the CPU, copy for copy.

    Everything stays on the device between steps. `step` takes NumPy arrays or anything with
    `__cuda_array_interface__` (CuPy, PyTorch, Numba), and gives NumPy arrays: one transfer a
    step, and a second for `final_observations` where an episode has ended. A learner on the same
    device asks for `step(actions, device=True)`: nothing is copied and nothing waits; the results
    are device arrays, which are also the attributes of `on_device`. What went wrong in such a
    step (an impossible action, a reward that is no number) is raised by the next `host()`, which
    brings the last results over and gives them like `step`. A copy with an impossible action
    stays as it is.

    On the device observations lie (k, N) and show themselves as (N, k), so they are in Fortran
    order on both sides. `copies` and `get_state` are snapshots.
    """

    def __init__(self, environment: Environment, envs: int, seed: int) -> None:
        self._allocate(environment, envs)
        self.kernels = compiled(environment)
        self._cuda = _numba_cuda()
        self._simulated = not hasattr(self.kernels.entries["roll"], "compile")
        self._shape = self._launch_shape()
        self._check_memory()
        self.world = self._send_world()
        self._place_results()
        self._actions = self._cuda.pinned_array(envs, np.int64)
        self._actions_there = self._send(np.zeros(envs, np.int64))
        self._launchers: dict[tuple, Any] = {}
        self._stream: Any = 0
        self._seed(seed)
        self._prepare()

    def _launch_shape(self) -> tuple[int, int]:
        """Blocks, and threads in each."""
        if self._simulated:
            return SIMULATED_BLOCKS, SIMULATED_THREADS
        threads = SMALL_BLOCK if self.envs < SMALL_BATCH else LARGE_BLOCK
        return -(-self.envs // threads), threads

    def _check_memory(self) -> None:
        if self._simulated:
            return
        words = 2 * self.environment.observation_shape[0] + 4
        each = self.environment.copy_dtype.itemsize + 8 * (words + random_streams.LENGTH)
        free, _ = self._cuda.current_context().get_memory_info()
        if each * self.envs > free:
            raise UserError(
                f"{self.envs:,} copies of {self.environment.name} need about"
                f" {each * self.envs / 2**30:.1f} GiB, and the GPU has {free / 2**30:.1f} GiB free;"
                " lower the number of environments"
            )

    def _send(self, array: np.ndarray) -> Any:
        return self._cuda.to_device(array)

    def _send_world(self) -> tuple:
        world = self.environment.world(self.kernels.module.World)
        return type(world)(
            *(self._send(np.array(v)) if isinstance(v, np.ndarray) else v for v in world)
        )

    def _place_results(self) -> None:
        """All results in one buffer on each side, so that one transfer brings them over."""
        n, k = self.envs, self.environment.observation_shape[0]
        kind = self.environment.observation_dtype
        plan = {
            "trouble": (2, np.int64),
            "rewards": (n, np.float32),
            "terminated": (n, np.bool_),
            "truncated": (n, np.bool_),
            "observations": ((k, n), kind),
            "finals": ((k, n), kind),
        }
        places, size = _lay_out(plan)
        start_of_finals = places["finals"][0]
        here = self._cuda.pinned_array(size, np.uint8)
        here[:] = 0
        there = self._send(here)
        mine = {name: _carve(here, *places[name], *plan[name]) for name in plan}
        self._there = {name: _carve(there, *places[name], *plan[name]) for name in plan}

        self._front = here[:start_of_finals], there[:start_of_finals]
        self._back = here[start_of_finals:], there[start_of_finals:]
        self._trouble = mine["trouble"]
        self._trouble[:] = cuda_loop.NONE
        self._there["trouble"].copy_to_device(self._trouble)
        self.rewards = mine["rewards"]
        self.terminated, self.truncated = mine["terminated"], mine["truncated"]
        self.observations, self.final_observations = mine["observations"].T, mine["finals"].T
        self.info = {"final_observations": self.final_observations, "valid": self.valid}
        self._finals_behind = False

        self.on_device = SimpleNamespace(
            observations=self._turned(self._there["observations"]),
            final_observations=self._turned(self._there["finals"]),
            rewards=self._there["rewards"],
            terminated=self._there["terminated"],
            truncated=self._there["truncated"],
            valid=self._send(self.valid),
        )

    def _turned(self, array: Any) -> Any:
        """A view of a (k, N) device array as (N, k)."""
        if self._simulated:
            return array.T
        return self._cuda.as_cuda_array(_Turned(array))

    def _seed(self, seed: int) -> None:
        self.seed = random_streams.checked_seed(seed)
        copies = np.zeros(self.envs, self.environment.copy_dtype)
        copies["rng"] = random_streams.streams(self.seed, self.envs)
        self._copies = self._send(copies)
        self._words = self._copies.view(np.int64).reshape(self.envs, copies.itemsize // 8)
        self._players: Any = None
        self.begun = False

    def _prepare(self) -> None:
        """Compiles or loads now what every step needs, so that none pays for it."""
        self._launcher("begin_copies", self._begin_arguments())
        self._launcher("step_copies", self._step_arguments(self._actions_there))

    def _begin_arguments(self) -> tuple:
        return self._copies, self._there["observations"], self.world

    def _step_arguments(self, actions: Any) -> tuple:
        there = self._there
        return (
            self._copies, actions, there["observations"], there["finals"], there["rewards"],
            there["terminated"], there["truncated"], there["trouble"],
            self.environment.actions, self.environment.max_steps, self.world,
        )  # fmt: skip

    def _launch(self, entry: str, arguments: tuple) -> None:
        self._launcher(entry, arguments)(*arguments)

    def _launcher(self, entry: str, arguments: tuple) -> Any:
        """The entry, compiled for arguments like these and ready to be called."""
        kinds = ((a.dtype, a.strides) for a in arguments if hasattr(a, "strides"))
        key = (entry, self._stream, *kinds)
        if key not in self._launchers:
            self.kernels.prepare(entry, *arguments)
            with warnings.catch_warnings():
                # A batch too small for the GPU is the user's choice; numba-cuda warns of it.
                warnings.filterwarnings("ignore", message="Grid size")
                stream = self._cuda.external_stream(self._stream) if self._stream else 0
                self._launchers[key] = self.kernels.entries[entry][(*self._shape, stream)]
        return self._launchers[key]

    def use_stream(self, stream: int) -> None:
        """Which CUDA stream, by its handle, the next steps are launched on; 0: the usual one."""
        self._stream = stream

    @property
    def compile_seconds(self) -> float:
        return self.kernels.compile_seconds

    @property
    def copies(self) -> np.ndarray:
        """The copies as they are now, records of `Environment.copy_dtype`; to read only."""
        copies = self._copies.copy_to_host()
        copies.flags.writeable = False
        return copies

    def reset(
        self, seed: int | None = None, device: bool = False
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode in every copy; with a seed, as if the batch were new."""
        if seed is not None:
            self._seed(seed)
        self._launch("begin_copies", self._begin_arguments())
        self.begun = True
        observations, *_, info = self._result_there() if device else self.host()
        return observations, info

    def step(self, actions: Any, device: bool = False):
        """One step of every copy."""
        if not self.begun:
            raise UserError("reset() comes before the first step()")
        there = self._actions_to_device(actions)
        self._launch("step_copies", self._step_arguments(there))
        if device:
            self._finals_behind = True
            return self._result_there()
        return self.host()

    def rollout(self, steps: int, device: bool = False) -> int:
        """`steps` random steps of every copy in one launch; how many that were."""
        if not self.begun:
            raise UserError("reset() comes before the first rollout()")
        if self._players is None:
            players = random_streams.streams(self.seed, self.envs, random_streams.PLAYER)
            self._players = self._send(players)
        there = self._there
        fixed = (
            self._players, there["observations"], there["finals"], there["rewards"],
            there["terminated"], there["truncated"],
            steps, self.environment.actions, self.environment.max_steps, self.world,
        )  # fmt: skip
        if self.environment.copy_dtype.itemsize <= NEAR_BYTES:
            self._launch("roll_near", (self._copies, self._words, *fixed))
        else:
            self._launch("roll", (self._copies, *fixed))
        self._finals_behind = True
        if device:
            self._cuda.synchronize()
        else:
            self.host()
        return steps * self.envs

    def host(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Brings the last results to the NumPy attributes and gives them like `step`."""
        here, there = self._front
        there.copy_to_host(here)
        self._raise_trouble()
        if self._finals_behind or self.terminated.any() or self.truncated.any():
            here, there = self._back
            there.copy_to_host(here)
            self._finals_behind = False
        return self._result()

    def _result_there(self) -> tuple:
        there = self.on_device
        info = {"final_observations": there.final_observations, "valid": there.valid}
        return there.observations, there.rewards, there.terminated, there.truncated, info

    def _actions_to_device(self, actions: Any) -> Any:
        """The actions where the kernel finds them; those on the host are checked right here."""
        if _is_on_device(actions):
            if not hasattr(actions, "__cuda_ndarray__"):
                actions = self._cuda.as_cuda_array(actions)
            if tuple(actions.shape) != (self.envs,) or actions.dtype.kind not in "biu":
                raise UserError(f"step() takes {self.envs} whole numbers, one action for each copy")
            return actions
        self._actions[:] = self._whole(actions)
        impossible = (self._actions < 0) | (self._actions >= self.environment.actions)
        if impossible.any():
            bad = int(impossible.argmax())
            raise self._impossible(bad, self._actions[bad])
        self._actions_there.copy_to_device(self._actions)
        return self._actions_there

    def _raise_trouble(self) -> None:
        if (self._trouble == cuda_loop.NONE).all():
            return
        action, reward = self._trouble.tolist()
        self._trouble[:] = cuda_loop.NONE
        self._there["trouble"].copy_to_device(self._trouble)
        if action == cuda_loop.NONE:
            raise self._no_number(reward)
        environment = self.environment
        raise UserError(
            f"{environment.name}: the action of copy {action} is not in"
            f" 0 .. {environment.actions - 1}"
        )

    def _book(self, name: str) -> np.ndarray:
        kind, offset = self._copies.dtype.fields[name][:2]
        out = self._cuda.device_array(self.envs, np.int64)
        self._launch("read_column", (self._words, offset // 8, out))
        return out.copy_to_host().view(kind)

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything the next step depends on, as named arrays; the CPU's batches take them too."""
        copies = self._copies.copy_to_host()
        state = {
            "copies": copies.view(np.uint8).reshape(self.envs, -1),
            "observations": self._there["observations"].copy_to_host().T.copy(),
        }
        if self._players is not None:
            state["players"] = self._players.copy_to_host()
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Goes on from there, bit for bit."""
        self._check_state(state)
        copies = np.zeros(self.envs, self.environment.copy_dtype)
        copies.view(np.uint8).reshape(self.envs, -1)[:] = state["copies"]
        self._copies.copy_to_device(copies)
        self.observations[:] = state["observations"]
        self._there["observations"].copy_to_device(np.ascontiguousarray(self.observations.T))
        self._players = self._send(state["players"]) if "players" in state else None
        self.begun = True


def _is_on_device(array: Any) -> bool:
    return hasattr(array, "__cuda_array_interface__") or hasattr(array, "__cuda_ndarray__")


class _Turned:
    """How a (k, N) device array shows itself as (N, k), to whoever reads the interface."""

    def __init__(self, array: Any) -> None:
        self.array = array

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            **self.array.__cuda_array_interface__,
            "shape": tuple(reversed(self.array.shape)),
            "strides": tuple(reversed(self.array.strides)),
        }


def _lay_out(plan: Mapping[str, tuple]) -> tuple[dict[str, tuple[int, int]], int]:
    """Where each array begins and ends in one buffer, and the buffer's size."""
    places, start = {}, 0
    for name, (shape, kind) in plan.items():
        end = start + int(np.prod(shape)) * np.dtype(kind).itemsize
        places[name] = (start, end)
        start = -(-end // ALIGNMENT) * ALIGNMENT
    return places, start


def _carve(buffer: Any, start: int, end: int, shape: Any, kind: Any) -> Any:
    return buffer[start:end].view(np.dtype(kind)).reshape(shape)


def _numba_cuda() -> Any:
    """numba.cuda, where there is a device (or the simulator) to use it on."""
    from numba import cuda

    if cuda.is_available():
        return cuda
    error = cuda.cuda_error()
    if error is None:  # a driver, but nothing to compile with
        raise UserError(
            "NVIDIA's compiler library was not found: pip install 'numba-cuda[cu13]' (cu12 for a"
            " driver of CUDA 12); --device cpu works"
        )
    reason = str(error).strip().split("\n")[0].strip(" .:")
    raise UserError(
        f"no CUDA device was found{f' ({reason})' if reason else ''}; --device cpu works"
    )


def compiled(environment: Environment) -> Kernels:
    """The environment's kernels; what draws random words is told to keep them in registers."""
    bind = {**environment.bind, random_streams.word: cuda_loop.word}
    return build(environment.name, ENTRIES, bind, "cuda", environment.definitions)
