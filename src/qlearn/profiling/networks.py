"""Networks of torch's: where they are asked, whether a graph is built, a stand-in for proofs."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qlearn.profiling.patterns import calls_below, name_of, seen, shape_of, values_of

if TYPE_CHECKING:
    from qlearn.profiling.facts import Facts, Seen, Site

NO_GRAPH = ("torch.no_grad", "torch.inference_mode")
DISCOUNTS = ("gamma", "discount", "discount_factor")


def is_module(facts: Facts, site: Site, node: ast.AST) -> bool:
    """A network of torch's, by what was seen or by how it was made."""
    if parameters(seen(facts, site, node)):
        return True
    return any(_makes_module(facts, site.file, v) for v in values_of(facts, site.file, node))


def parameters(thing: Seen | None) -> int:
    """How many parameters a network has; 0 of anything else."""
    if thing is None:
        return 0
    return thing.size if thing.kind == "Module" else 0


def _makes_module(facts: Facts, file: str, value: ast.AST) -> bool:
    source = facts.source(file)
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "to"
    ):
        value = value.func.value
    if not isinstance(value, ast.Call):
        return False
    made = source.resolve(value)
    if made.startswith("torch.nn.") and not made.startswith("torch.nn.functional"):
        return not made.endswith("Loss")
    return any(
        source.resolve(base) == "torch.nn.Module"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and node.name == made
        for base in node.bases
    )


@lru_cache(maxsize=1)  # several rules ask, one run after the other
def module_calls(facts: Facts) -> tuple[Site, ...]:
    """`model(x)` and `model.forward(x)` for every network, the slowest first.

    Not its layers, which are called by the network's own `forward`.
    """
    return tuple(
        site
        for site in facts.sites(ast.Call)
        if name_of(network(site))
        and site.node.args
        and is_module(facts, site, network(site))
        and not _within_forward(facts, site)
    )


def network(call: Site) -> ast.expr:
    """What is asked: `model` of model(x), and of model.forward(x)."""
    called = call.node.func
    if isinstance(called, ast.Attribute) and called.attr == "forward":
        return called.value
    return called


def _within_forward(facts: Facts, site: Site) -> bool:
    around = facts.source(site.file).function_of(site.node)
    return around is not None and around.name == "forward"


def has_no_graph(facts: Facts, site: Site, deep: bool = True) -> bool:
    """Under `no_grad` or `inference_mode`: here, by a decorator, or wherever the function is called."""
    source = facts.source(site.file)
    for above in source.parents(site.node):
        if isinstance(above, ast.With) and any(
            _turns_off(source, i.context_expr) for i in above.items
        ):
            return True
        if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if any(_turns_off(source, decorator) for decorator in above.decorator_list):
                return True
            callers = _calls_of(facts, above) if deep else []
            return bool(callers) and all(has_no_graph(facts, c, deep=False) for c in callers)
    return False


def _turns_off(source: Any, node: ast.AST) -> bool:
    return source.resolve(node) in NO_GRAPH


def _calls_of(facts: Facts, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[Site]:
    last = function.name
    return [s for s in facts.sites(ast.Call) if name_of(s.node.func).rsplit(".", 1)[-1] == last]


def is_detached(facts: Facts, site: Site) -> bool:
    """`.detach()`, `.data` or `.item()` further out in the same expression."""
    for above in facts.source(site.file).parents(site.node):
        if isinstance(above, ast.stmt):
            return False
        if isinstance(above, ast.Attribute) and above.attr in ("detach", "data", "item", "tolist"):
            return True
    return False


def learns(scope: ast.AST) -> bool:
    """Holds a `.backward()`."""
    return any(getattr(call.func, "attr", "") == "backward" for call in calls_below(scope))


def discounts(node: ast.AST) -> bool:
    """A product with the discount: by its name, or a literal as discounts are."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)):
        return False
    for below in ast.walk(node):
        if isinstance(below, ast.Constant) and isinstance(below.value, float):
            if 0.8 <= below.value < 1:
                return True
        elif name_of(below).rsplit(".", 1)[-1].lower() in DISCOUNTS:
            return True
    return False


def setup(sizes: dict[str, Any]) -> str:
    """A stand-in of the seen network: as wide at both ends, as many parameters."""
    inputs, outputs = int(sizes.get("inputs") or 4), int(sizes.get("outputs") or 3)
    hidden = max(int(sizes.get("parameters") or 0) // (inputs + outputs + 1), 8)
    return (
        "import numpy as np\nimport torch\nfrom torch import nn\n"
        f"torch.set_num_threads({int(sizes.get('threads') or 1)})\n"
        f"model = nn.Sequential(nn.Linear({inputs}, {hidden}), nn.ReLU(), nn.Linear({hidden}, {outputs}))\n"
        f"batch = {int(sizes.get('batch') or 32)}\n"
        f"states = torch.rand(batch, {inputs})\nnext_states = torch.rand(batch, {inputs})\n"
        f"actions = torch.randint({outputs}, (batch,))\nrewards = torch.rand(batch)\n"
        "alive = (torch.rand(batch) > 0.1).float()\n"
    )


def sizes(facts: Facts, call: Site) -> dict[str, Any]:
    """What a proof needs of `model(x)`: widths, parameters, batch, threads."""
    given = shape_of(seen(facts, call, call.node.args[0]))
    return {
        "parameters": parameters(seen(facts, call, network(call))),
        "inputs": given[-1] if given else None,
        "batch": given[0] if len(given) > 1 else None,
        "threads": facts.torch_threads,
    }
