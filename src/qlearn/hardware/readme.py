"""The README that stands in the folder of a design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REGISTERS = (
    ("0x00", "CONTROL", "bit 0 runs; writing bit 1 clears: streams, counters, agents to a start"),
    ("0x04", "STATUS", "bit 0: idle, tables may be read and written"),
    ("0x08", "ALPHA", "learning rate, in units of 2^-17 (0 to 131072)"),
    ("0x0c", "GAMMA", "discount, in units of 2^-17"),
    ("0x10", "EPSILON", "chance of a random action, in 65536ths (0 to 65536)"),
    ("0x14", "SEED", "of all random streams, taken at the next clear"),
    ("0x18", "UPDATES_LOW", "updates of all rings since the last clear"),
    ("0x1c", "UPDATES_HIGH", "their upper 32 bits"),
    ("0x20", "TABLE_ADDRESS", "{ring, agent, state, action}"),
    ("0x24", "TABLE_DATA", "that entry: read, or written; sign-extended"),
    ("0x28", "EPISODES", "episodes ended since the last clear; wraps around"),
    ("0x3c", "VERSION", "of this layout"),
)


def readme(manifest: Mapping[str, Any]) -> str:
    """The folder's README, out of its manifest."""
    m = manifest
    return f"""# A circuit that learns {m["name"]}

{m["rings"]} ring{"s" * (m["rings"] != 1)} of {m["agents"]} agents, one update a clock cycle and \
ring. Every agent has its own table of {m["states"]} states x {m["actions"]} actions, in words \
{m["word"]} ({m["width"]} bits, {m["fraction"]} behind the point).

```
Q(s, a) <- sat(round((1 - alpha) Q(s, a) + alpha r + alpha gamma max Q(s', .)))
```

Products are exact, then there is one rounding ({m["rounding"]}) and one saturation.

| | value | in the circuit |
|---|---|---|
| alpha | {m["alpha"]:g} | {m["registers"]["alpha"]} / 2^17 |
| gamma | {m["gamma"]:g} | {m["registers"]["gamma"]} / 2^17 |
| epsilon | {m["epsilon"]:g} | {m["registers"]["epsilon"]} / 2^16 |
| seed | {m["seed"]} | 32 bits |
| outcomes of one action | {m["outcomes"]} | chances differ by {m["chance_difference"]:.2g} at most |
| starts | {m["starts"]} | chances differ by {m["start_difference"]:.2g} at most |
| pipeline | {m["depth"]} stages | so many agents at least |

{_remarks(m)}## Files

- `rtl/`: the circuit. `accelerator.sv` is the top, `ql_parameters.sv` holds its sizes, `*.hex` are
  the contents of its memories, which tools look for in the folder they are started in.
- `tb/`: test benches.
- `manifest.json`: every parameter; `problem.json`: the exact problem, for those who check.

`qlearn hardware simulate`, `verify` and `synthesize` take this folder.

## Registers (AXI4-Lite)

| address | name | |
|---|---|---|
{_rows()}

`TABLE_ADDRESS` from its highest bit: {_address(m)}.
"""


def _remarks(m: Mapping[str, Any]) -> str:
    """What a person should know before trusting the circuit's policy; nothing if all is well."""
    said = [*m["warnings"]]
    if m["max_steps"]:
        said.append(
            f"the environment's limit of {m['max_steps']} steps an episode is not kept:"
            " episodes last until they end by themselves"
        )
    if m["initial"]:
        said.append("tables begin with what a run has learned")
    lines = "".join(f"- {line}\n" for line in said)
    return f"## To know\n\n{lines}\n" if said else ""


def _rows() -> str:
    return "\n".join(f"| {address} | {name} | {text} |" for address, name, text in REGISTERS)


def _address(m: Mapping[str, Any]) -> str:
    fields = reversed(m["table_address"].items())
    return ", ".join(f"{name} ({_bits(where['bits'])})" for name, where in fields)


def _bits(number: int) -> str:
    return f"{number} bit" + "s" * (number != 1)
