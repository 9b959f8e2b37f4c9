"""What one run shows, as the rules ask for it: functions, expressions, their seconds and calls."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from qlearn.profiling import vocabulary
from qlearn.profiling.raw import MAIN, Raw, Sample
from qlearn.profiling.source import (
    FUNCTIONS,
    Source,
    last_name,
    library,
    source_of,
    words,
)
from qlearn.profiling.stages import Attribution, Place

HOT = 0.01  # of the working seconds
NOTHING = 1e-9  # seconds: shares of it can be said
LONG = 0.003  # seconds of a call
AFTERWARDS = {
    "plotting",
    "logging",
    "sleeping",
}  # once the last loop is over, nobody waits to learn
MODULE_CALLS = ("_wrapped_call_impl", "_call_impl", "__call__")  # a torch module's, when called

Owner = tuple[str, str]  # file, qualified name of a function


@dataclass(frozen=True)
class Seen:
    """What a name held when it was last looked at; size 0 and no detail where only the tree says it.

    `longest`: of a list or a tuple, at any look.
    """

    kind: str
    size: int
    detail: Mapping[str, Any]
    name: str
    longest: int = 0


@dataclass(frozen=True)
class Site:
    """An expression or statement of the user's, with what it cost."""

    node: Any  # of the kind that was asked for
    file: str
    line: int
    function: str
    text: str
    seconds: float
    calls: int | None
    loops: int
    share: float


@dataclass(frozen=True)
class Function:
    """A function of the user's; `<module>` is a file's own level."""

    name: str
    file: str
    line: int
    node: ast.AST
    seconds: float
    self_seconds: float
    calls: int | None
    hot: bool


@dataclass
class _Times:
    """Seconds by node and by function, from one walk over the samples."""

    nodes: dict[ast.AST, float] = field(default_factory=lambda: defaultdict(float))
    functions: dict[Owner, float] = field(default_factory=lambda: defaultdict(float))
    selves: dict[Owner, float] = field(default_factory=lambda: defaultdict(float))
    looped: dict[Owner, bool] = field(default_factory=dict)


class Facts:
    """Everything that is known of one run. `build(raw)` makes it."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.attribution = Attribution(raw)
        self.stages: dict[str, float] = self.attribution.seconds
        self.total_seconds: float = sum(self.stages.values())
        self.modules: dict[str, str] = raw.modules
        self.memory = raw.memory
        self.timeline = raw.timeline
        self.torch_threads: int | None = raw.torch_threads
        self.cuda: bool = raw.cuda
        self._sites: dict[ast.AST, Site] = {}
        self._held: dict[tuple[str, str, tuple[str, ...]], Seen | None] = {}
        self._by_kinds: dict[tuple[type[ast.AST], ...], list[Site]] = {}

    # --- where time went

    @cached_property
    def working_seconds(self) -> float:
        """Without imports, and without what is drawn, told or waited for after the last loop."""
        return max(sum(sample.seconds for sample in self.working_samples()), NOTHING)

    @cached_property
    def functions(self) -> list[Function]:
        """The user's functions that were seen or called, and every file's own level."""
        found = []
        for file in self.files:
            source = source_of(file)
            if source is None:
                continue
            for name, node in [("<module>", source.tree), *source.functions()]:
                function = self._function(file, name, node)
                if function.seconds or function.calls or node is source.tree:
                    found.append(function)
        return sorted(found, key=lambda function: -function.seconds)

    def sites(self, *kinds: type[ast.AST]) -> list[Site]:
        """Every node of these kinds in the user's files, the dearest first."""
        if kinds not in self._by_kinds:
            found = [
                self.site_of(file, node)
                for file, source in self._sources()
                for node in ast.walk(source.tree)
                if isinstance(node, kinds)
            ]
            self._by_kinds[kinds] = sorted(found, key=lambda site: -site.seconds)
        return self._by_kinds[kinds]

    def calls_to(self, *names: str) -> list[Site]:
        """Calls by resolved name: "random.sample", "*.copy", "deque.append" (by what was seen)."""
        return [site for site in self.sites(ast.Call) if self._is_one_of(site, names)]

    def site_of(self, file: str, node: ast.AST) -> Site:
        if node in self._sites:
            return self._sites[node]
        source = self.source(file)
        function = source.qualname(source.function_of(node))
        seconds = self._times.nodes.get(node, 0.0)
        site = self._sites[node] = Site(
            node=node,
            file=file,
            line=getattr(node, "lineno", 1),
            function=function,
            text=source.text(node),
            seconds=seconds,
            calls=self._call_counts.get(node),
            loops=len(source.loops(node)) + self.called_in_loop(file, function),
            share=seconds / self.working_seconds,
        )
        return site

    def called_in_loop(self, file: str, function: str) -> bool:
        """Whether a loop of the user's, near or far, calls the function."""
        return self._times.looped.get((file, function), False)

    # --- what there was

    def seen(self, function: str, name: str, *kinds: str) -> Seen | None:
        """What `Q` or `self.Q` held, as seen from a function (its qualified name).

        Attributes are found from any method of the class, then from anywhere; what was never
        looked at is told from what it is made of. Of several kinds, the largest thing it held.
        """
        key = function, name, kinds
        if key not in self._held:
            self._held[key] = self._look(*key)
        return self._held[key]

    def _look(self, function: str, name: str, kinds: tuple[str, ...]) -> Seen | None:
        own_class = function.rpartition(".")[0]
        best: tuple[int, Seen] | None = None
        for entry in self.raw.seen:
            if entry.name != name or (kinds and entry.kind not in kinds):
                continue
            rank = _nearness(entry.function, function, own_class, name)
            if rank and (best is None or (rank, entry.size) > (best[0], best[1].size)):
                longest = _longest(entry.kind, entry.history)
                best = rank, Seen(entry.kind, entry.size, entry.detail, entry.name, longest)
        if best is not None:
            return best[1]
        told = self._told(function, name)
        return told if told is not None and (not kinds or told.kind in kinds) else None

    def tree(self, file: str) -> ast.Module:
        return self.source(file).tree

    def source(self, file: str) -> Source:
        source = source_of(file)
        if source is None:
            raise KeyError(file)
        return source

    @cached_property
    def files(self) -> list[str]:
        """The user's files that ran, the script first."""
        found = dict.fromkeys([self.raw.script])
        for frame in self.raw.frames:
            if library(frame.file) is None:
                found[frame.file] = None
        return list(found)

    # --- how it is found

    def _sources(self) -> Iterator[tuple[str, Source]]:
        for file in self.files:
            source = source_of(file)
            if source is not None:
                yield file, source

    def working_samples(self) -> list[Sample]:
        """Those of the working seconds."""
        return [
            sample
            for sample, stage in self._main_samples()
            if stage != "imports" and (stage not in AFTERWARDS or self._looped(sample.stack))
        ]

    def _main_samples(self) -> list[tuple[Any, str]]:
        pairs = zip(self.raw.samples, self.attribution.of_samples, strict=True)
        return [(sample, stage) for sample, stage in pairs if sample.thread == MAIN]

    def _user_places(self, stack: Iterable[int]) -> list[Place]:
        places = (self.attribution.place(index) for index in stack)
        return [p for p in places if p.module is None and p.reader is not None and p.node]

    def _looped(self, stack: Iterable[int]) -> bool:
        return any(p.reader.source.loops(p.node) for p in self._user_places(stack))  # type: ignore[union-attr, arg-type]

    @cached_property
    def _times(self) -> _Times:
        times = _Times()
        for sample, _ in self._main_samples():
            places = self._user_places(sample.stack)
            for node in _around(places):
                times.nodes[node] += sample.seconds
            looped = False
            owners: list[Owner] = []
            for place in places:
                source = place.reader.source  # type: ignore[union-attr]
                owner = place.file, source.qualname(source.function_of(place.node))  # type: ignore[arg-type]
                if owners[-1:] != [owner]:  # else a comprehension of its own
                    times.looped[owner] = times.looped.get(owner, False) or looped
                owners.append(owner)
                looped = looped or bool(source.loops(place.node))  # type: ignore[arg-type]
            for owner in set(owners):
                times.functions[owner] += sample.seconds
            if places and self.attribution.place(sample.stack[-1]).module is None:
                times.selves[owners[-1]] += sample.seconds
        return times

    def nodes_around(self, stack: Iterable[int]) -> set[ast.AST]:
        """The nodes that a stack stands in, up to the functions', once however deep it recurs."""
        return _around(self._user_places(stack))

    def _function(self, file: str, name: str, node: ast.AST) -> Function:
        seconds = self._times.functions.get((file, name), 0.0)
        return Function(
            name=name,
            file=file,
            line=getattr(node, "lineno", 1),
            node=node,
            seconds=seconds,
            self_seconds=self._times.selves.get((file, name), 0.0),
            calls=self._function_counts.get((file, name)),
            hot=seconds >= HOT * self.working_seconds,
        )

    # --- how often

    @cached_property
    def _owners(self) -> list[Owner | None]:
        """Whose each entry of the table of calls is: a function of the user's, or nobody's."""
        return [self._owner_of(call) for call in self.raw.calls]

    def _owner_of(self, call: Any) -> Owner | None:
        if library(call.file) is not None:
            return None
        source = source_of(call.file)
        if source is None:
            return None
        return call.file, source.qualname(source.owner(call.first_line, call.function))

    @cached_property
    def _function_counts(self) -> dict[Owner, int]:
        counts: dict[Owner, int] = {}
        for call, owner in zip(self.raw.calls, self._owners, strict=True):
            name = call.function.rpartition(".")[2]
            if owner is not None and owner[1].rpartition(".")[2] == name:
                counts[owner] = counts.get(owner, 0) + round(call.calls)
        return counts

    @cached_property
    def _called(self) -> dict[Owner | None, dict[str, float]]:
        """For each function of the user's, how often it called what, by the callee's short name.

        Under None: calls by functions that take long, and by nobody who was seen to be called.
        Where calls are counted in windows, those were running already when a window opened.
        """
        found: dict[Owner | None, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for call, owner in zip(self.raw.calls, self._owners, strict=True):
            name = short_name(call.function)
            if name == "__init__" and owner is not None:
                name = owner[1].split(".")[-2]  # calling a class
            for index, times in call.callers:
                caller = self._owners[index]
                if caller is not None:  # else a library's
                    found[None if self._is_long(caller) else caller][name] += times
            found[None][name] += max(0.0, call.calls - sum(times for _, times in call.callers))
        return found

    def _is_long(self, owner: Owner) -> bool:
        """Its calls are long beside a window in which calls are counted, or none was seen."""
        return self._times.functions.get(owner, 0.0) > LONG * self._function_counts.get(owner, 0)

    @cached_property
    def _call_counts(self) -> dict[ast.AST, int]:
        """Calls at each call expression: those of its function to its callee, by their seconds."""
        groups: dict[tuple[Owner | None, str], list[ast.Call]] = defaultdict(list)
        for file, source in self._sources():
            for node in ast.walk(source.tree):
                if isinstance(node, ast.Call):
                    function = file, source.qualname(source.function_of(node))
                    owner = None if self._is_long(function) else function
                    name = self._counted_as(source, owner, node)
                    if name is not None:
                        groups[owner, name].append(node)
        counts: dict[ast.AST, int] = {}
        for (owner, name), nodes in groups.items():
            counts |= self._shared(nodes, self._called[owner][name])
        return counts

    def _counted_as(self, source: Source, owner: Owner | None, call: ast.Call) -> str | None:
        name = source.resolve(call.func).rpartition(".")[2]
        called = self._called.get(owner, {})
        if called.get(name):
            return name
        if set(words(last_name(call.func))) & vocabulary.NETWORKS:
            return next((known for known in MODULE_CALLS if called.get(known)), None)
        return None

    def _shared(self, nodes: list[ast.Call], calls: float) -> dict[ast.AST, int]:
        seconds = [self._times.nodes.get(node, 0.0) for node in nodes]
        whole = sum(seconds)
        parts = [s / whole for s in seconds] if whole else [1 / len(nodes)] * len(nodes)
        return {node: round(part * calls) for node, part in zip(nodes, parts, strict=True)}

    # --- of what kind

    def _is_one_of(self, site: Site, names: Iterable[str]) -> bool:
        call = site.node
        if not isinstance(call, ast.Call):
            return False
        dotted = self.source(site.file).resolve(call.func)
        return any(self._is_called(site, call, dotted, name) for name in names)

    def _is_called(self, site: Site, call: ast.Call, dotted: str, name: str) -> bool:
        if dotted == name:
            return "." in name or self.source(site.file).is_builtin(name)
        if "*" in name:
            return fnmatchcase(dotted, name)
        kind, _, method = name.partition(".")
        if not isinstance(call.func, ast.Attribute) or call.func.attr != method:
            return False
        held = self.kind_of(site.function, call.func.value)
        return held is not None and (
            held.lower() == kind or (kind == "dict" and "dict" in held.lower())
        )

    def kind_of(self, function: str, node: ast.AST) -> str | None:
        """ "dict", "deque", "ndarray", "Tensor" ...: what an expression holds, where it is a name."""
        if not isinstance(node, (ast.Name, ast.Attribute)):
            return None
        seen = self.seen(function, ast.unparse(node))
        return seen.kind if seen else None

    def _told(self, function: str, name: str) -> Seen | None:
        """From what the name is assigned, where all that is said of it is one kind."""
        kinds = set()
        for _, source in self._sources():
            own = next((node for known, node in source.functions() if known == function), None)
            for scope in (own, source.tree):
                kinds = {_kind_made(source, value) for value in source.assigned(name, scope)}
                if kinds and (scope is own or "." in name or _is_global(source, name)):
                    break
                kinds = set()
            if kinds:
                break
        kind = kinds.pop() if len(kinds) == 1 else None
        return Seen(kind, 0, {}, name) if kind else None


def build(raw: Raw) -> Facts:
    return Facts(raw)


def _around(places: Iterable[Place]) -> set[ast.AST]:
    within: set[ast.AST] = set()
    for place in places:
        within.add(place.node)  # type: ignore[arg-type]
        for above in place.reader.source.parents(place.node):  # type: ignore[union-attr, arg-type]
            within.add(above)
            if isinstance(above, FUNCTIONS):
                break
    return within


_C_FUNCTION = re.compile(r"(?:method|function) '?([\w.]+)'?")


def short_name(function: str) -> str:
    """`round` of "<built-in method builtins.round>", `copy` of "<method 'copy' of 'dict' objects>"."""
    found = _C_FUNCTION.search(function) if function[:1] in "<{" else None
    return (found.group(1) if found else function).rpartition(".")[2]


def _nearness(there: str, here: str, own_class: str, name: str) -> int:
    if there == here:
        return 4
    if name.startswith("self."):
        return 3 if there.rpartition(".")[0] == own_class else 1
    return 2 if there == "<module>" else 0


def _longest(kind: str, history: Iterable[Any]) -> int:
    return max((size for _, size in history), default=0) if kind in ("list", "tuple") else 0


def _is_global(source: Source, name: str) -> bool:
    return any(
        source.function_of(value) is None for value in source.assigned(name) if value is not None
    )


def _kind_made(source: Source, value: ast.expr) -> str | None:
    for node, kind in _LITERALS:
        if isinstance(value, node):
            return kind
    if not isinstance(value, ast.Call):
        return None
    dotted = source.resolve(value.func)
    if dotted in _MAKERS:
        return _MAKERS[dotted]
    root, _, made = dotted.rpartition(".")
    if root == "numpy" and made in _NUMPY_MAKERS:
        return "ndarray"
    if root == "torch" and made in _TORCH_MAKERS:
        return "Tensor"
    return None


_LITERALS: tuple[tuple[Any, str], ...] = (
    ((ast.Dict, ast.DictComp), "dict"),
    ((ast.List, ast.ListComp), "list"),
    ((ast.Set, ast.SetComp), "set"),
    (ast.Tuple, "tuple"),
)
_MAKERS = {
    "dict": "dict",
    "list": "list",
    "set": "set",
    "collections.deque": "deque",
    "collections.defaultdict": "defaultdict",
}
_NUMPY_MAKERS = {"zeros", "ones", "empty", "full", "array", "asarray", "arange"}
_TORCH_MAKERS = {"zeros", "ones", "empty", "full", "tensor", "as_tensor", "from_numpy", "arange"}
