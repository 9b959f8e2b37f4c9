"""Every sample's seconds to exactly one stage of Q-learning.

From the root of a stack to its leaf, the first frame that says what it does decides: a library's
file, a call by its full name, a function or class by its own. What nobody says is decided from
the leaf back to the root by structure: what the statement assigns, and whether its function
learns. What is left is `other`, and reported as such.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from qlearn.profiling import vocabulary as say
from qlearn.profiling.raw import MAIN, Frame, Raw
from qlearn.profiling.source import FUNCTIONS, Function, Source, last_name, library, names_in, words
from qlearn.profiling.source import source_of as read_source

DEEP = {"torch", "tensorflow", "keras", "jax", "flax", "mlx"}
OURS = "qlearn.profiling.child"
OTHER = "other"


@dataclass(frozen=True)
class Place:
    """One frame of a stack: a library's function, or an expression of the user's."""

    module: str | None  # None: the user's
    function: str
    file: str
    node: ast.AST | None = None
    reader: Reader | None = None


class Reader:
    """What one file of the user's says about the stage of its expressions and functions."""

    def __init__(self, source: Source) -> None:
        self.source = source
        roots = {name.split(".")[0] for name in source.imports.values()}
        self.deep = bool(roots & DEEP)
        self._functions: dict[Function, str | None] = {}
        self._learns: dict[Function, str | None] = {}
        self._statements: dict[ast.AST, str | None] = {}

    @property
    def learning(self) -> str:
        """A table is updated; a network's loss is made, the rest of its step has stages."""
        return "loss" if self.deep and self._has_network else "update"

    @cached_property
    def _has_network(self) -> bool:
        """Tables may be tensors, too."""
        return any(
            isinstance(node, ast.Attribute) and node.attr in _OF_NETWORKS
            for node in ast.walk(self.source.tree)
        )

    # --- functions

    def of_function(self, function: Function | None) -> str | None:
        if function is None:
            return None
        if function not in self._functions:
            self._functions[function] = self._by_name(function)
        return self._functions[function]

    def _by_name(self, function: Function) -> str | None:
        around = self.source.parent(function)
        if isinstance(around, ast.ClassDef):
            found = self._in_class(function, around)
            if found is not None:
                return found
        stage = say.of_function(function.name)
        if stage == "forward" and not (self.deep or isinstance(around, ast.ClassDef)):
            return None
        if function.name == "step" and isinstance(around, ast.ClassDef):
            stage = None  # an agent's step, not a world's
        if stage is None:
            outer = self.source.function_of(function)
            return self.of_function(outer) if outer is not None else None
        return stage

    def _in_class(self, function: Function, around: ast.ClassDef) -> str | None:
        methods = [node.name for node in around.body if isinstance(node, FUNCTIONS)]
        bases = [last_name(base) for base in around.bases]
        if say.is_env_class(around.name, bases, methods):
            drawing = say.of_function(function.name) == "plotting"
            return "plotting" if drawing else "environment"
        if say.is_memory_class(around.name):
            return say.of_memory(function.name)
        return None

    def learns(self, function: Function | None) -> str | None:
        """The stage of what in a function says nothing itself: it learns, so it is learning."""
        if function is None:
            return None
        if function not in self._learns:
            self._learns[function] = self._by_body(function)
        return self._learns[function]

    def _by_body(self, function: Function) -> str | None:
        if say.is_loss(function.name):
            return "loss"
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        plays = any(self.of_call(call) == "environment" for call in calls)
        trains = any(last_name(call.func) in {"backward", "fit", "gradient"} for call in calls)
        if self.deep:
            return "loss" if trains and not plays else None
        return "update" if any(_writes_table(node) for node in ast.walk(function)) else None

    # --- expressions

    def of_expression(self, node: ast.AST, into_user: bool) -> str | None:
        """By what is called there, from the call outwards; and by an action being chosen.

        What a function of the user's is called for is that function's business.
        """
        for above in self._upwards(node):
            if not isinstance(above, ast.Call):
                continue
            found = self.of_call(above, into_user)
            if found is not None:
                return found
            if into_user:
                break
        return "acting" if self._chooses(node) else None

    def _upwards(self, node: ast.AST) -> Iterable[ast.AST]:
        """The node and what it stands in, up to its statement."""
        while not isinstance(node, (ast.stmt, ast.Module)):
            yield node
            above = self.source.parent(node)
            if above is None:
                return
            node = above

    def _chooses(self, node: ast.AST) -> bool:
        statement = self.source.statement(node)
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = last_name(statement.targets[0])
            learns = self.deep and self.learns(self.source.function_of(node)) is not None
            again = any(
                isinstance(n, ast.Name) and n.id == target for n in ast.walk(statement.value)
            )
            chosen = words(target)[-1:] == ["action"] or target in self._actions
            if chosen and not learns and not again:
                return True
        inside = node
        for above in self.source.parents(node):
            if isinstance(above, FUNCTIONS):
                return False
            if isinstance(above, ast.If) and names_in(above.test) & say.EXPLORING:
                return inside is above.test or _assigns(above, "action") or above is statement
            inside = above
        return False

    @cached_property
    def _actions(self) -> set[str]:
        """Names that a world's `step` is given."""
        steps = (
            node
            for node in ast.walk(self.source.tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"step", "play_step"}
            and set(words(last_name(node.func.value))) & say.ENVS
        )
        return {
            step.args[0].id for step in steps if step.args and isinstance(step.args[0], ast.Name)
        }

    def of_call(self, call: ast.Call, into_user: bool = False) -> str | None:
        dotted = self.source.resolve(call.func)
        stage = say.of_call(dotted)
        if stage is not None:
            return stage
        if isinstance(call.func, ast.Attribute):
            stage = self._of_method(call, call.func)
            if stage is not None:
                return stage
        return None if into_user else self._of_named(call, dotted)

    def _of_method(self, call: ast.Call, called: ast.Attribute) -> str | None:
        method = called.attr
        whose = set(words(last_name(called.value)))
        for matches, stage in (
            (method in _STEPS and bool(whose & say.ENVS), "environment"),
            (method == "step" and bool(whose & say.OPTIMISERS), "optimiser"),
            (method in {"zero_grad", "apply_gradients"}, "optimiser"),
            (method == "backward" or (method == "gradient" and "tape" in whose), "backward"),
            (method == "render" and bool(whose & say.ENVS), "plotting"),
            (method == "sample" and whose >= {"action", "space"}, "acting"),
            (method == "sample" and bool(whose & say.MEMORIES), "sampling"),
            (method in _KEEPS and bool(whose & say.MEMORIES), "storing"),
            (method in _KEEPS and bool(whose & say.LOGS), "logging"),
            (method == "copy" and bool(whose & say.TABLES) and not self.deep, "table_copy"),
            (method in {"load_state_dict", "set_weights"}, "target_update"),
            (method == "copy_" and "target" in names_in(call), "target_update"),
            (method in _TELLS and bool(whose & say.LOGGERS), "logging"),
            (method == "tick" and "clock" in whose, "sleeping"),
            (method in {"train_on_batch", "fit"} and bool(whose & say.NETWORKS), "update"),
            (method in {"predict", "predict_on_batch"} and bool(whose & say.NETWORKS), "forward"),
            (method in _CONVERTS and self.deep, "converting"),
        ):
            if matches:
                return stage
        return None

    def _of_named(self, call: ast.Call, dotted: str) -> str | None:
        name = dotted.rpartition(".")[2]
        given = set().union(*(names_in(argument) for argument in call.args)) if call.args else set()
        have = set(words(name))
        for matches, stage in (
            (name == "deepcopy" and bool(given & say.NETWORKS), "target_update"),
            (name in {"deepcopy", "dict", "copy"} and bool(given & say.TABLES), "table_copy"),
            (name == "zip" and any(isinstance(a, ast.Starred) for a in call.args), "sampling"),
            (_draws(dotted) and bool(given & say.MEMORIES), "sampling"),
            (dotted in _ARRAYS and self.deep, "converting"),
            (self.deep and bool(have & say.LOSSES), "loss"),
            (self.deep and bool(have & say.NETWORKS) and have <= say.NETWORK_WORDS, "forward"),
        ):
            if matches:
                return stage
        return None

    # --- statements

    def of_statement(self, statement: ast.AST) -> str | None:
        """By what it assigns, or what its header asks for, or what it holds."""
        if statement not in self._statements:
            self._statements[statement] = None  # where structures nest without end
            self._statements[statement] = self._by_structure(statement)
        return self._statements[statement]

    def _by_structure(self, statement: ast.AST) -> str | None:
        if isinstance(statement, ast.Assign):
            return self._of_targets(statement.targets, statement.value)
        if isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
            found = self._of_targets([statement.target], statement.value)
            counts = isinstance(statement, ast.AugAssign) and found == "environment"
            return None if counts else found
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            return self.of_call(statement.value) or self._of_first(statement.value)
        if isinstance(statement, ast.If):
            return self._of_header(names_in(statement.test)) or self._of_body(statement.body)
        if isinstance(statement, ast.While):
            asked = self._of_header(names_in(statement.test))
            return self._of_body(statement.body[::-1]) or asked
        if isinstance(statement, (ast.For, ast.With)):
            return self._of_body(statement.body[::-1])
        return None

    def _of_first(self, call: ast.Call) -> str | None:
        """`np.add.at(Q, ...)` writes to what it is given first."""
        given = set(words(last_name(call.args[0]))) if call.args else set()
        return self.learning if given & say.TABLES else None

    def _of_header(self, asked: set[str]) -> str | None:
        for known, stage in (
            (say.EXPLORING, "acting"),
            (say.MEMORIES, "sampling"),
            (say.OBSERVED, "environment"),
            (say.LEARNED, self.learning),
        ):
            if asked & known:
                return stage
        return None

    def _of_body(self, body: Sequence[ast.stmt]) -> str | None:
        return next((stage for stage in map(self.of_statement, body) if stage), None)

    def _of_targets(self, targets: Sequence[ast.expr], value: ast.AST | None) -> str | None:
        flat = [one for target in targets for one in getattr(target, "elts", [target])]
        given = names_in(value) if value is not None else set()
        names = [set(words(last_name(one))) for one in flat]
        together = set().union(*names)
        if any(isinstance(one, ast.Subscript) for one in flat):
            stored = together & say.MEMORIES
            learned = together & (say.TABLES | say.LEARNED) or given & say.TABLES
            return "storing" if stored else self.learning if learned else None
        for matches, stage in (
            (together & say.EXPLORING or given & say.EXPLORING, "acting"),
            (len(flat) > 2 and given & (say.BATCHES | say.MEMORIES), "sampling"),
            (together & say.BATCHES, "sampling"),
            (together & say.LOGS - {"rewards"}, "logging"),
            (together & {"action", "actions", "greedy"}, "acting"),
            (together & say.LEARNED, self.learning),
            (together & say.OBSERVED, "environment"),
        ):
            if matches:
                return stage
        return None


class Attribution:
    """The stage of every sample of one run."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self._readers: dict[str, Reader | None] = {}
        self._places: dict[int, Place] = {}

    @cached_property
    def of_samples(self) -> list[str]:
        """One stage a sample, in the order of the raw file."""
        return [self.of_stack([self.place(index) for index in s.stack]) for s in self.raw.samples]

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage; they add up to the run's: what was not sampled is `other`."""
        sums = dict.fromkeys(say.STAGES, 0.0)
        for sample, stage in zip(self.raw.samples, self.of_samples, strict=True):
            if sample.thread == MAIN:
                sums[stage] += sample.seconds
        sums[OTHER] += max(0.0, self.raw.wall_seconds - sum(sums.values()))
        return {stage: seconds for stage, seconds in sums.items() if seconds > 0.0}

    def place(self, index: int) -> Place:
        if index not in self._places:
            self._places[index] = self._look(self.raw.frames[index])
        return self._places[index]

    def _look(self, frame: Frame) -> Place:
        module = library(frame.file)
        name = frame.function.rpartition(".")[2]
        if module is not None and module.split(".")[0] not in say.ENV_LIBRARIES:
            return Place(module, name, frame.file)
        reader = self._reader(frame.file)
        node = None
        if reader is not None:
            at = (frame.line, frame.end_line, frame.col, frame.end_col)
            node = reader.source.node_at(*at)
        return Place(module, name, frame.file, node, reader)

    def _reader(self, file: str) -> Reader | None:
        if file not in self._readers:
            source = read_source(file)
            self._readers[file] = Reader(source) if source is not None else None
        return self._readers[file]

    def of_stack(self, stack: Sequence[Place]) -> str:
        stack = [p for p in stack if not (p.module and say.begins(p.module, OURS))]
        stack, imported = _since_import(stack)
        return imported or _anywhere(stack) or _downwards(stack) or _upwards(stack) or OTHER


def _since_import(stack: Sequence[Place]) -> tuple[Sequence[Place], str | None]:
    """What runs below the last import; the stage `imports` where that is the importing itself."""
    user = max((at for at, place in enumerate(stack) if place.module is None), default=-1)
    importing = [at for at, place in enumerate(stack) if _imports(place)]
    if not importing:
        return stack, None
    last = importing[-1]
    if last >= user:
        return stack, "imports"
    below = stack[last + 1 :]
    alone = sum(place.module is None for place in below) == 1
    place = stack[user]
    if alone and place.function == "<module>" and not _in_loop(place):
        return stack, "imports"
    return below, None


def _imports(place: Place) -> bool:
    if place.module is not None:
        return say.begins(place.module, "importlib")
    if place.reader is None or place.node is None:
        return False
    statement = place.reader.source.statement(place.node)
    return isinstance(statement, (ast.Import, ast.ImportFrom))


def _in_loop(place: Place) -> bool:
    if place.reader is None or place.node is None:
        return False
    return bool(place.reader.source.loops(place.node))


def _anywhere(stack: Sequence[Place]) -> str | None:
    """Compiling, waiting and drawing are what they are wherever they are asked for."""
    for place in stack:
        if place.module is None:
            continue
        if say.compiles(place.module, place.function):
            return "compiling"
        root = place.module.split(".")[0]
        if root in say.PLOT_LIBRARIES:
            return "sleeping" if place.function == "pause" else "plotting"
        if root in say.ENV_LIBRARIES and place.function in {"render", "_render_frame"}:
            return "sleeping" if _waits(stack[-1]) else "plotting"
    return "sleeping" if stack and _waits(stack[-1]) else None


def _waits(place: Place) -> bool:
    if place.reader is None or place.node is None:
        return False
    node: ast.AST | None = place.node
    while isinstance(node, (ast.Call, ast.Attribute, ast.Name)):
        if isinstance(node, ast.Call) and place.reader.of_call(node) == "sleeping":
            return True
        node = place.reader.source.parent(node)
    return False


def _downwards(stack: Sequence[Place]) -> str | None:
    for at, place in enumerate(stack):
        if place.module is not None:
            found = say.of_library(place.module, place.function)
            if found == "forward" and any(_is_loss(deeper) for deeper in stack[at:]):
                found = "loss"
        else:
            following = stack[at + 1] if at + 1 < len(stack) else None
            found = _of_user(place, following)
        if found is not None:
            return found
    return None


def _is_loss(place: Place) -> bool:
    return bool(place.module) and say.begins(place.module or "", "torch.nn.modules.loss")


def _of_user(place: Place, following: Place | None) -> str | None:
    if place.reader is None or place.node is None:
        return say.of_function(place.function)
    function = place.reader.source.function_of(place.node)
    into_user = following is not None and following.module is None
    if into_user and following is not None:
        into_user = following.function[:1] != "<" or following.function == "<module>"
    return place.reader.of_function(function) or place.reader.of_expression(place.node, into_user)


def _upwards(stack: Sequence[Place]) -> str | None:
    for place in reversed(stack):
        if place.module is not None or place.reader is None or place.node is None:
            if place.module is not None and say.begins(place.module, "qlearn.algorithms"):
                return "update"
            continue
        source = place.reader.source
        found = place.reader.of_statement(source.statement(place.node))
        found = found or place.reader.learns(source.function_of(place.node))
        if found is not None:
            return found
    return None


def _writes_table(node: ast.AST) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if not isinstance(node, (ast.Assign, ast.AugAssign)):
        return False
    return any(
        isinstance(target, ast.Subscript) and bool(set(words(last_name(target))) & say.TABLES)
        for target in targets
    )


def _assigns(statement: ast.AST, word: str) -> bool:
    return any(
        isinstance(node, (ast.Name, ast.Attribute))
        and isinstance(node.ctx, ast.Store)
        and word in words(last_name(node))
        for node in ast.walk(statement)
    )


def _draws(dotted: str) -> bool:
    """Random numbers, of Python's, NumPy's, or a generator's of the user's."""
    root, _, method = dotted.rpartition(".")
    return method in {"choice", "choices", "randint", "integers", "permutation", "randrange"} and (
        say.begins(root, "random") or say.begins(root, "numpy.random") or "rng" in root
    )


_OF_NETWORKS = {"backward", "gradient", "apply_gradients", "fit", "train_on_batch", "Module",
                "state_dict", "parameters", "value_and_grad", "grad"}  # fmt: skip
_STEPS = {"step", "reset", "step_async", "step_wait", "close", "play_step"}
_KEEPS = {"append", "appendleft", "add", "push", "store", "extend", "put", "insert"}
_TELLS = {"write", "add_scalar", "log", "info", "debug", "set_postfix", "set_description",
          "update", "flush", "writerow"}  # fmt: skip
_CONVERTS = {"to", "cuda", "cpu", "numpy", "float", "long", "unsqueeze", "squeeze", "item",
             "tolist", "detach", "view", "reshape"}  # fmt: skip
_ARRAYS = {f"numpy.{name}" for name in ("array", "asarray", "stack", "vstack", "concatenate",
                                        "reshape", "expand_dims", "float32")}  # fmt: skip
