"""Updates a second of independent agents on a GPU, beside the same agents on the CPU's cores.

Both learn the 5x5 grid with the classic settings (alpha 0.5, epsilon 0.1), each agent with a seed
and a table of its own. Compiling and the agents' start are not timed. Before anything is timed,
agents on the GPU with float64 tables must equal the CPU's bit for bit.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from _report import arguments, rates, record
from qlearn.algorithms.table.agents import Agents
from qlearn.algorithms.table.config import TableConfig
from qlearn.algorithms.table.cuda import CudaAgents
from qlearn.compare.measure import alternate
from qlearn.envs.registry import find
from qlearn.errors import UserError

CONFIG = TableConfig(lr=0.5, epsilon=0.1, steps=2**40)
TURNS = 4  # of all that the GPU's processors hold at a time
GPU_STEPS, CPU_STEPS = 200_000, 100_000
CPU_AGENTS = 1024
CHECKED_AGENTS, CHECKED_STEPS = 256, 20_000


def per_second(agents: Any, steps: int) -> Callable[[], float]:
    """How many updates a second; every call goes on where the last one stopped."""

    def measure() -> float:
        updates, begun = agents.updates, time.perf_counter()
        agents.advance(agents.env_steps + steps)
        return (agents.updates - updates) / (time.perf_counter() - begun)

    return measure


def agents_on_the_gpu(dtype: str) -> CudaAgents:
    """As many as fill every processor TURNS times."""
    grid = find("grid", {})
    together = CudaAgents(grid, CONFIG, [0], dtype).agents_at_a_time()
    return CudaAgents(grid, CONFIG, range(TURNS * together), dtype)


def check() -> None:
    grid = find("grid", {})
    here = Agents(grid, CONFIG, range(CHECKED_AGENTS))
    there = CudaAgents(grid, CONFIG, range(CHECKED_AGENTS), "float64")
    here.advance(CHECKED_STEPS)
    there.advance(CHECKED_STEPS)
    if not np.array_equal(here.tables, there.tables):
        sys.exit("the GPU's float64 tables are not the CPU's; nothing was timed")


def main() -> None:
    options = arguments(__doc__)
    try:
        gpu = {dtype: agents_on_the_gpu(dtype) for dtype in ("float32", "float64")}
        if gpu["float32"].simulated:
            sys.exit("the CUDA simulator is no GPU: there is nothing to time")
        check()
    except UserError as error:
        sys.exit(str(error))
    cores = os.cpu_count() or 1
    base = f"CPU, {CPU_AGENTS:,} agents, float64, {cores} cores"
    measured = alternate(
        {
            base: per_second(Agents(find("grid", {}), CONFIG, range(CPU_AGENTS)), CPU_STEPS),
            **{
                f"GPU, {len(agents.seeds):,} agents, {dtype}": per_second(agents, GPU_STEPS)
                for dtype, agents in gpu.items()
            },
        },
        options.repeats,
    )
    tables = {"updates": rates("5x5 grid, independent agents", measured, base, "updates/s")}
    record("table_cuda", tables | {"gpu": gpu["float32"].device_name()}, options.record)


if __name__ == "__main__":
    main()
