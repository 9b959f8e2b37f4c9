"""What the rules ask of a run and its tree: who runs how often, what is a table, what has a graph."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qlearn.profiling.findings import Finding

if TYPE_CHECKING:
    from qlearn.profiling.facts import Facts, Function, Seen, Site

NO_GRAPH = ("torch.no_grad", "torch.inference_mode")
ARRAYS = ("ndarray", "Tensor")
NUMBERS = ("float", "int", "float64", "float32", "bool")
DONE_WORDS = (
    "done",
    "terminal",
    "terminated",
    "game_over",
    "is_end",
    "finished",
    "mask",
    "alive",
    "over",
    "ended",
)
DISCOUNTS = ("gamma", "discount", "discount_factor")


# --- a finding and its words


def finding(
    facts: Facts,
    rule: str,
    why: str,
    site: Site,
    evidence: str,
    fix: str,
    *,
    seconds: float | None = None,
    parts: Iterable[Site] | None = None,
    sizes: dict[str, Any] | None = None,
    faster: bool = True,
    trade: bool = False,
) -> Finding:
    """The share is of the working seconds; `faster=False`: mending it is for learning, not speed.
    `trade`: it learns something else then, too.

    `parts` are the places whose seconds these are, if not the site alone.
    """
    seconds = min(site.seconds if seconds is None else seconds, 0.99 * facts.working_seconds)
    share = seconds / facts.working_seconds if facts.working_seconds else 0.0
    return Finding(
        rule=rule,
        file=site.file,
        line=site.line,
        evidence=evidence,
        seconds=seconds,
        share=share,
        gain_limit=1 / (1 - share) if faster else 1.0,
        why=why,
        fix=fix,
        sizes=sizes or {},
        trade=trade,
        parts=tuple(part.node for part in ([site] if parts is None else parts)),
    )


def amount(facts: Facts, seconds: float, calls: float | None) -> str:
    """`about 450,000 times, 0.61 s, 43 %`."""
    times = f"about {rounded(calls)} times, " if calls else ""
    share = seconds / facts.working_seconds if facts.working_seconds else 0.0
    return f"{times}{seconds:.2f} s, {100 * share:.0f} % of the working time"


def rounded(count: float) -> str:
    """Two digits: more would pretend to have counted what was estimated."""
    digits = max(len(str(int(count))) - 2, 0)
    return f"{round(int(count), -digits):,}"


def other_lines(sites: Iterable[Site]) -> str:
    lines = sorted({site.line for site in sites})
    return (
        f"; also in line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
        if lines
        else ""
    )


def diff(before: str, *after: str) -> str:
    """The user's lines with a minus, what to write with a plus."""
    taken = [f"- {line}" for line in before.splitlines()]
    return "\n".join([*taken, *(f"+ {line}" for text in after for line in text.splitlines())])


def total(sites: Iterable[Site]) -> tuple[float, float]:
    """Seconds and calls of several places."""
    sites = list(sites)
    return sum(s.seconds for s in sites), sum(s.calls or 0 for s in sites)


def outermost(facts: Facts, sites: Iterable[Site]) -> list[Site]:
    """Without those within another, whose seconds the other one has already."""
    by_node = {site.node: site for site in sites}
    return [
        site
        for node, site in by_node.items()
        if not by_node.keys() & set(facts.source(site.file).parents(node))
    ]


# --- the tree


def name_of(node: ast.AST) -> str:
    """`self.Q` of the node self.Q; nothing where it is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        above = name_of(node.value)
        return f"{above}.{node.attr}" if above else ""
    return ""


def names_below(node: ast.AST) -> Iterator[str]:
    for below in ast.walk(node):
        if isinstance(below, (ast.Name, ast.Attribute)) and (name := name_of(below)):
            yield name


def calls_below(node: ast.AST) -> Iterator[ast.Call]:
    return (below for below in ast.walk(node) if isinstance(below, ast.Call))


def root_of(node: ast.AST) -> ast.AST:
    """What is subscripted: Q of Q[s][a]."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node


def scope_of(facts: Facts, file: str, node: ast.AST) -> ast.AST:
    """The def around the node, or the module."""
    return facts.source(file).function_of(node) or facts.tree(file)


def scope_name(facts: Facts, file: str, node: ast.AST) -> str:
    source = facts.source(file)
    return source.qualname(source.function_of(node))


def statement_text(facts: Facts, site: Site) -> str:
    """The statement's own lines; a compound one's first line."""
    source = facts.source(site.file)
    text = source.text(source.statement(site.node))
    return text if text.count("\n") < 6 else text.splitlines()[0] + " ..."


def seen(facts: Facts, site: Site, node: ast.AST, *kinds: str) -> Seen | None:
    name = name_of(node)
    return facts.seen(scope_name(facts, site.file, site.node), name, *kinds) if name else None


def shape_of(thing: Seen | None) -> tuple[int, ...]:
    return tuple(thing.detail.get("shape") or ()) if thing is not None else ()


def is_array(thing: Seen | None) -> bool:
    """Holds several numbers."""
    return thing is not None and thing.kind in ARRAYS and shape_of(thing) not in ((), (1,))


# --- how often


def function_of(facts: Facts, file: str, node: ast.AST) -> Function | None:
    name = scope_name(facts, file, node)
    return next((f for f in facts.functions if f.file == file and f.name == name), None)


def executions(facts: Facts, site: Site) -> float:
    """How often an expression without a call of its own ran: as often as the calls beside it."""
    source = facts.source(site.file)
    times = 1.0
    for loop in source.loops(site.node):
        beside = [
            facts.site_of(site.file, call).calls or 0
            for call in calls_below(loop)
            if loop in source.loops(call)[:1]
        ]
        if beside and max(beside) > 0:
            return times * max(beside)
        times *= trips(facts, site, loop)
    function = function_of(facts, site.file, site.node)
    return times * (function.calls or 1 if function is not None else 1)


def trips(facts: Facts, site: Site, loop: ast.AST) -> int:
    """How often a loop goes round each time it is met, where that can be told."""
    if isinstance(loop, (ast.For, ast.AsyncFor)):
        return length_of(facts, site, loop.iter)
    generators = getattr(loop, "generators", [])
    times = 1
    for generator in generators:
        times *= length_of(facts, site, generator.iter)
    return times


def length_of(facts: Facts, site: Site, iterated: ast.AST) -> int:
    if isinstance(iterated, (ast.Tuple, ast.List, ast.Set)):
        return len(iterated.elts)
    if isinstance(iterated, ast.Call) and iterated.args:
        called, last = name_of(iterated.func), iterated.args[-1]
        if called == "range" and isinstance(last, ast.Constant) and isinstance(last.value, int):
            return last.value
        if called == "range" and (number := seen(facts, site, last)) is not None:
            value = number.detail.get("value")
            return value if isinstance(value, int) else 1
        if called in ("range", "len", "enumerate", "zip", "reversed"):
            return length_of(facts, site, iterated.args[0])
        return 1
    return max(size_of(facts, site, iterated), 1)


def size_of(facts: Facts, site: Site, node: ast.AST) -> int:
    """How many entries a name held; of what was never looked at, how many it is made of."""
    thing = seen(facts, site, node)
    if thing is not None and (thing.size or thing.kind in NUMBERS):
        return 0 if thing.kind in NUMBERS else thing.size
    made = [
        v for v in _given(facts, site.file, node) if isinstance(v, (ast.List, ast.Tuple, ast.Set))
    ]
    return max((len(value.elts) for value in made), default=0)


def around(facts: Facts, site: Site) -> float:
    """Seconds of the code that a fault of learning spoils: its function, or its outermost loop."""
    source = facts.source(site.file)
    function = function_of(facts, site.file, site.node)
    if source.function_of(site.node) is not None and function is not None:
        return function.seconds
    loops = source.loops(site.node)
    return facts.site_of(site.file, loops[-1]).seconds if loops else site.seconds


# --- tables


def tables(facts: Facts, file: str) -> set[str]:
    """Names of Q-tables: what a maximum is taken of by state."""
    calls = calls_below(facts.tree(file))
    return {name for call in calls for name in _maximised(call)} - {""}


def _maximised(call: ast.Call) -> Iterator[str]:
    """Q of max(Q[s]), np.argmax(Q[s]), Q[s].max(), max(Q[s, a] for a in actions)."""
    function = call.func
    last = (
        name_of(function).rsplit(".", 1)[-1] if name_of(function) else getattr(function, "attr", "")
    )
    if last not in ("max", "argmax", "amax", "amin", "maximum", "index"):
        return
    looked_at = [*call.args, *([function.value] if isinstance(function, ast.Attribute) else [])]
    for part in looked_at:
        part = getattr(part, "elt", part)
        if isinstance(part, ast.Subscript):
            yield name_of(root_of(part))


def dict_tables(facts: Facts, file: str) -> Iterator[Site]:
    """Places that reach into a dict which is keyed by tuples, or by texts made of states, and
    written to while running."""
    written = _written(facts.tree(file))
    for site in facts.sites(ast.Subscript):
        if site.file != file or name_of(site.node.value) not in written:
            continue
        thing = seen(facts, site, site.node.value)
        if thing is not None and "dict" in thing.kind.lower() and _keyed_by_tuples(thing, site):
            yield site


def _written(tree: ast.AST) -> set[str]:
    """Names whose entries are set, and those that are given what such a name holds."""
    found, given = set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found.add(name_of(root_of(node)))
        elif isinstance(node, ast.Assign):
            given.append((set(names_below(node.value)), [name_of(t) for t in node.targets]))
    for names, targets in given:
        if names & found:
            found.update(targets)
    return found - {""}


def _keyed_by_tuples(thing: Seen, site: Site) -> bool:
    key, index = thing.detail.get("key"), site.node.slice
    if key == "str":
        return isinstance(index, ast.Call) and name_of(index.func) in ("str", "repr")
    return key == "tuple" or (key is None and isinstance(index, ast.Tuple))


def user_files(facts: Facts) -> list[str]:
    return list(dict.fromkeys(function.file for function in facts.functions))


# --- networks


def is_module(facts: Facts, site: Site, node: ast.AST) -> bool:
    """A network of torch's, by what was seen or by how it was made."""
    if parameters(seen(facts, site, node)):
        return True
    return any(_makes_module(facts, site.file, v) for v in _given(facts, site.file, node))


def parameters(thing: Seen | None) -> int:
    """How many parameters a network has; 0 of anything else."""
    if thing is None:
        return 0
    return thing.size if thing.kind == "Module" else 0


def _given(facts: Facts, file: str, node: ast.AST) -> list[ast.expr]:
    name = name_of(node)
    return list(facts.source(file).assigned(name)) if name else []


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


def network_setup(sizes: dict[str, Any]) -> str:
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


def network_sizes(facts: Facts, call: Site) -> dict[str, Any]:
    """What a proof needs of `model(x)`: widths, parameters, batch, threads."""
    given = shape_of(seen(facts, call, call.node.args[0]))
    return {
        "parameters": parameters(seen(facts, call, network(call))),
        "inputs": given[-1] if given else None,
        "batch": given[0] if len(given) > 1 else None,
        "threads": facts.torch_threads,
    }
