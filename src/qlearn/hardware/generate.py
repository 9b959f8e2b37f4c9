"""Writes a design: the circuit's modules, what is particular to one problem, and a manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.envs.model import Model
from qlearn.errors import UserError
from qlearn.hardware.fast import FastRing
from qlearn.hardware.model import Ring, checked_seed, epsilon_word
from qlearn.hardware.problem import Problem, problem_of, tabulated
from qlearn.hardware.readme import readme
from qlearn.hardware.warnings import warnings
from qlearn.hardware.word import (
    COEFFICIENT_FRACTION,
    Word,
    coefficients,
    rounding_number,
)
from qlearn.runs.files import explained, read_json, write_bytes, write_json

FORMAT = 1
MODULES = Path(__file__).with_name("rtl")
BENCHES = Path(__file__).with_name("tb")
PARAMETERS = "ql_parameters.sv"
THRESHOLD_BITS = 17
BANK_BITS = 18  # the widest address of a table's bank, {agent, state}
MOST_RINGS = 256
WIDE = 18  # bits; a wider word takes the update unit one stage more
ARRAYS = ("to", "chance", "reward", "ended", "start")  # of a model, as a file keeps them


@dataclass(frozen=True, eq=False)
class Design:
    """One circuit for one problem: every choice made, every impossible one refused."""

    problem: Problem
    agents: int
    rings: int
    rounding: str
    alpha: float
    gamma: float
    epsilon: float
    seed: int

    def __post_init__(self) -> None:
        rounding_number(self.rounding)
        coefficients(self.alpha, self.gamma)
        epsilon_word(self.epsilon)
        checked_seed(self.seed)
        if not 1 <= self.rings <= MOST_RINGS:
            raise UserError(f"rings must be 1 to {MOST_RINGS}, not {self.rings}")
        if self.agents < self.depth:
            raise UserError(
                f"agents must be at least {self.depth}, one for each stage of the pipeline,"
                f" not {self.agents}"
            )
        bits = bits_for(self.agents) + bits_for(self.problem.states)
        if bits > BANK_BITS:
            raise UserError(
                f"{self.agents:,} agents of {self.problem.states:,} states need {bits} bits of"
                f" address, and a table has {BANK_BITS}; fewer agents or a smaller problem fit"
            )

    @property
    def word(self) -> Word:
        return self.problem.word

    @property
    def depth(self) -> int:
        return depth(self.problem.actions, self.word.width)

    def ring(self, number: int = 0, fast: bool = False) -> Ring:
        """The specification of one of its rings, as it is at power-on."""
        return (FastRing if fast else Ring)(
            self.problem,
            self.word,
            self.rounding,
            self.alpha,
            self.gamma,
            self.epsilon,
            self.seed,
            number,
            self.agents,
        )


def depth(actions: int, width: int) -> int:
    """Stages of a ring's pipeline: no agent may come round before its update has been written."""
    levels = bits_for(actions)
    select, choose, environment, read, update, write = levels, 1, 3, 2, 5 + (width > WIDE), 1
    return select + choose + environment + read + levels + update + write


def bits_for(number: int) -> int:
    """How many bits count 0 .. number - 1; one where there is nothing to count."""
    return max(1, (number - 1).bit_length())


def design_of(
    target: str,
    word: str = "Q8.8",
    agents: int | None = None,
    rings: int = 1,
    rounding: str = "half_up",
    alpha: float | None = None,
    gamma: float | None = None,
    epsilon: float | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Design:
    """The design for a target; what is not given is the environment's own, agents as few as fit."""
    problem = problem_of(target, Word(word), options)
    return Design(
        problem,
        depth(problem.actions, problem.word.width) if agents is None else agents,
        rings,
        rounding,
        problem.alpha if alpha is None else alpha,
        problem.discount if gamma is None else gamma,
        problem.epsilon if epsilon is None else epsilon,
        seed,
    )


def generate(target: str, out: str | Path, **choices: Any) -> dict[str, Any]:
    """Writes the design of a target into a folder and gives its manifest; see `design_of`."""
    return write(design_of(target, **choices), Path(out))


def write(design: Design, out: Path) -> dict[str, Any]:
    """The folder of a design: rtl/, tb/, README.md, manifest.json, problem.json."""
    _prepare(out)
    files = _circuit(design)
    made = manifest(design) | {
        "files": sorted([*files, "README.md", "manifest.json", "problem.json"])
    }
    files["README.md"] = readme(made).encode()
    for name, data in files.items():
        make_folder(out / name.rpartition("/")[0])
        write_bytes(out / name, data)
    write_bytes(out / "problem.json", (json.dumps(_portable(design.problem)) + "\n").encode())
    write_json(out / "manifest.json", made)
    return made


def load(folder: str | Path) -> Design:
    """The design in a folder, as it was written."""
    home = Path(folder)
    if not (home / "manifest.json").is_file():
        raise UserError(f"{home} holds no design; qlearn hardware generate TARGET --out makes one")
    made, kept = read_json(home / "manifest.json"), read_json(home / "problem.json")
    try:
        if made["format"] != FORMAT:
            raise UserError(
                f"{home} has format {made['format']}, and this qlearn reads {FORMAT}:"
                " generate it again"
            )
        lost = [name for name in made["files"] if not (home / name).is_file()]
        if lost:
            raise UserError(f"{home} has lost {', '.join(lost)}: generate it again")
        return Design(
            _problem(made, kept),
            **{key: made[key] for key in Design.__dataclass_fields__ if key != "problem"},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{home} is damaged ({error}): generate it again") from None


def changed(home: Path) -> list[str]:
    """The files of a design that are not as `generate` wrote them."""
    written = _circuit(load(home))
    return sorted(name for name, data in written.items() if (home / name).read_bytes() != data)


def make_folder(path: Path) -> Path:
    """A folder that there is now, or a line that says why not."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, path) from None
    return path


def _prepare(out: Path) -> None:
    """A new folder, an empty one, or an older design's, whose memory files then go."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (out / "manifest.json").is_file():
            raise UserError(f"{out} is not empty, and holds no design; choose another --out")
        for stale in (out / "rtl").glob("initial_*.hex"):
            stale.unlink()
    except OSError as error:
        raise explained(error, out) from None


def _circuit(design: Design) -> dict[str, bytes]:
    """What tools read: modules, memories and test benches."""
    return {
        **_copies(MODULES, "rtl"),
        **_copies(BENCHES, "tb"),
        **{f"rtl/{name}": text.encode() for name, text in generated(design).items()},
    }


def _copies(source: Path, name: str) -> dict[str, bytes]:
    """The hand-written files of a folder of this package."""
    found = sorted(path for path in source.glob("*") if path.is_file())
    return {f"{name}/{path.name}": path.read_bytes() for path in found}


def manifest(design: Design) -> dict[str, Any]:
    """Every parameter of a design, for whoever talks to the circuit."""
    problem = design.problem
    return {
        "format": FORMAT,
        "name": problem.name,
        "target": problem.target,
        "options": problem.options,
        "word": design.word.name,
        "width": design.word.width,
        "fraction": design.word.fraction,
        "rounding": design.rounding,
        "alpha": design.alpha,
        "gamma": design.gamma,
        "epsilon": design.epsilon,
        "seed": design.seed,
        "registers": registers(design),
        "coefficient_fraction": COEFFICIENT_FRACTION,
        "states": problem.states,
        "actions": problem.actions,
        "action_names": list(problem.action_names),
        "outcomes": problem.outcomes,
        "starts": len(problem.starts),
        "agents": design.agents,
        "rings": design.rings,
        "depth": design.depth,
        "table_address": table_address(design),
        "initial": problem.initial is not None,
        "chance_difference": problem.chance_difference,
        "start_difference": problem.start_difference,
        "max_steps": problem.max_steps,
        "warnings": warnings(problem, design.word, design.alpha, design.gamma, design.rounding),
    }


def registers(design: Design) -> dict[str, int]:
    """What the host's registers hold after reset."""
    c = coefficients(design.alpha, design.gamma)
    return {
        "alpha": c.alpha,
        "gamma": c.gamma,
        "epsilon": epsilon_word(design.epsilon),
        "seed": design.seed,
    }


def table_address(design: Design) -> dict[str, dict[str, int]]:
    """Where each field of TABLE_ADDRESS lies."""
    fields, low = {}, 0
    for name, count in (
        ("action", design.problem.actions),
        ("state", design.problem.states),
        ("agent", design.agents),
        ("ring", design.rings),
    ):
        fields[name] = {"low": low, "bits": bits_for(count)}
        low += bits_for(count)
    return fields


# ------------------------------------------------------------------------- the circuit's own files


def generated(design: Design) -> dict[str, str]:
    """The files in rtl/ that one problem makes different from another."""
    problem, word = design.problem, design.word
    lines = hexadecimal(environment_lines(problem), environment_width(problem))
    starts = hexadecimal(problem.starts.tolist(), bits_for(problem.states))
    files = {
        PARAMETERS: parameters(design),
        "environment.hex": lines,
        "starts.hex": starts,
    }
    if problem.initial is not None:
        for action in range(problem.actions):
            bank = initial_lines(problem.initial[:, action], design.agents)
            files[f"initial_{action:x}.hex"] = hexadecimal(bank, word.width)
        files["initial_table.hex"] = hexadecimal(table_lines(problem.initial), word.width)
    return files


def parameters(design: Design) -> str:
    """The package that every module takes its sizes from."""
    problem, word = design.problem, design.word
    sizes = {
        "WIDTH": (word.width, f"bits of a word, {word.name}"),
        "FRACTION": (word.fraction, "of them behind the point"),
        "CF": (COEFFICIENT_FRACTION, "fraction bits of alpha and gamma"),
        "ROUNDING": (rounding_number(design.rounding), "0 half_up, 1 even, 2 floor, 3 stochastic"),
        "ACTIONS": (problem.actions, ""),
        "ACTION_BITS": (bits_for(problem.actions), ""),
        "STATES": (problem.states, ""),
        "STATE_BITS": (bits_for(problem.states), ""),
        "OUTCOMES": (problem.outcomes, "of one action in one state, at most"),
        "STARTS": (len(problem.starts), "states, all drawn equally often"),
        "START_BITS": (bits_for(len(problem.starts)), ""),
        "AGENTS": (design.agents, "in each ring"),
        "AGENT_BITS": (bits_for(design.agents), ""),
        "RINGS": (design.rings, ""),
        "RING_BITS": (bits_for(design.rings), ""),
        "OUTCOME_WIDTH": (outcome_width(problem), "{ended, reward, next}"),
        "ENVIRONMENT_WIDTH": (environment_width(problem), "{thresholds, outcomes}"),
        "INITIAL": (int(problem.initial is not None), "1: tables start as in initial_*.hex"),
    }
    held = registers(design)
    reset = {
        "[17:0] ALPHA": (f"18'd{held['alpha']}", f"{design.alpha:g} in units of 2^-17"),
        "[17:0] GAMMA": (f"18'd{held['gamma']}", f"{design.gamma:g}"),
        "[16:0] EPSILON": (f"17'd{held['epsilon']}", f"{design.epsilon:g} in 65536ths"),
        "[31:0] SEED": (f"32'h{design.seed:08x}", ""),
        "[31:0] VERSION": (f"32'h{FORMAT:08x}", "of the registers' and files' layout"),
    }
    return "\n".join(
        [
            f"// {problem.name}: what one problem makes different from another. Generated.",
            "package ql_parameters;",
            "  /* verilator lint_off UNUSEDPARAM */  // some sizes are for readers and test benches",
            *(_constant(f"int {name}", *said) for name, said in sizes.items()),
            "",
            "  // The registers after reset.",
            *(_constant(f"logic {name}", *said) for name, said in reset.items()),
            "",
            '  localparam ENVIRONMENT_FILE = "environment.hex";',
            '  localparam STARTS_FILE = "starts.hex";',
            "  /* verilator lint_on UNUSEDPARAM */",
            "endpackage",
            "",
        ]
    )


def _constant(name: str, value: object, comment: str) -> str:
    line = f"  localparam {name} = {value};"
    return f"{line:<46} // {comment}" if comment else line


def outcome_width(problem: Problem) -> int:
    return 1 + problem.word.width + bits_for(problem.states)


def environment_width(problem: Problem) -> int:
    return problem.outcomes * outcome_width(problem) + (problem.outcomes - 1) * THRESHOLD_BITS


def environment_lines(problem: Problem) -> Iterator[int]:
    """The environment's memory: for each address {state, action} {thresholds, outcomes}."""
    for state in range(1 << bits_for(problem.states)):
        for action in range(1 << bits_for(problem.actions)):
            inside = state < problem.states and action < problem.actions
            yield environment_line(problem, state, action) if inside else 0


def environment_line(problem: Problem, state: int, action: int) -> int:
    """One line; the last threshold is always 65536 and therefore not kept."""
    width, state_bits = problem.word.width, bits_for(problem.states)
    line = low = 0
    for k in range(problem.outcomes):
        reward = int(problem.reward[state, action, k]) & ((1 << width) - 1)
        outcome = int(problem.ended[state, action, k]) << width | reward
        line |= (outcome << state_bits | int(problem.to[state, action, k])) << low
        low += outcome_width(problem)
    for k in range(problem.outcomes - 1):
        line |= int(problem.threshold[state, action, k]) << low
        low += THRESHOLD_BITS
    return line


def initial_lines(values: np.ndarray, agents: int) -> Iterator[int]:
    """One action's bank: for each address {agent, state} a word."""
    padded = np.zeros(1 << bits_for(len(values)), np.int64)
    padded[: len(values)] = values
    for _ in range(1 << bits_for(agents)):
        yield from padded.tolist()


def table_lines(values: np.ndarray) -> list[int]:
    """The memory of the single agent: for each address {state, action} a word."""
    states, actions = values.shape
    padded = np.zeros((1 << bits_for(states), 1 << bits_for(actions)), np.int64)
    padded[:states, :actions] = values
    return padded.ravel().tolist()


def hexadecimal(numbers: Iterable[int], bits: int) -> str:
    """A memory file: a line for each number, negative ones in two's complement."""
    digits, mask = (bits + 3) // 4, (1 << bits) - 1
    return "".join(f"{number & mask:0{digits}x}\n" for number in numbers)


# --------------------------------------------------------------------------- the problem on a disk


def _portable(problem: Problem) -> dict[str, Any]:
    """What `load` needs beside the manifest: the exact model, and what was learned before."""
    arrays = {name: getattr(problem.model, name).tolist() for name in ARRAYS}
    learned = None if problem.initial is None else problem.initial.tolist()
    return arrays | {"initial": learned}


def _problem(made: Mapping[str, Any], kept: Mapping[str, Any]) -> Problem:
    word = Word(made["word"])
    model = Model(
        to=np.array(kept["to"], np.int64),
        chance=np.array(kept["chance"], np.float64),
        reward=np.array(kept["reward"], np.float64),
        ended=np.array(kept["ended"], np.bool_),
        start=np.array(kept["start"], np.float64),
    )
    initial = kept["initial"]
    return tabulated(
        model,
        word,
        name=made["name"],
        target=made["target"],
        options=made["options"],
        discount=made["gamma"],
        alpha=made["alpha"],
        epsilon=made["epsilon"],
        max_steps=made["max_steps"],
        action_names=tuple(made["action_names"]),
        values=None if initial is None else np.array(initial) * word.unit,
    )
