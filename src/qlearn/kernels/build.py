"""Compiles plain functions: for the CPU with Numba, for the GPU with numba-cuda."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import time
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlearn.errors import UserError, missing_extra
from qlearn.kernels import cache, device, once, simd
from qlearn.kernels.numba_import import import_numba
from qlearn.kernels.text import PREAMBLE, ModuleText

# Only entries are cached. A cached helper would be linked, not inlined, by the next kernel that
# uses it: slower, and with other bits. Strict IEEE (no fastmath) keeps the bits the same in every
# kernel that holds the same text. `_nrt=False` compiles reference counting away (two atomic
# operations for every view of an array: a third of a CartPole step) and turns any allocation
# into an error at compile time. Inlining is forced: a call with a few array arguments pushes
# some fifty words, measured at 38 ns a CartPole step against 14 ns inlined.
_COMMON = "error_model='numpy', _nrt=False"
_INNER = "no_cpython_wrapper=True, no_cfunc_wrapper=True"
_FLAVOURS = {
    "cpu": {
        "import": "from numba import njit\n",
        "entry": f"@njit(cache=True, nogil=True, {_COMMON})",
        "hot": f"@njit(forceinline=True, {_COMMON}, {_INNER})",
        "cold": f"@njit({_COMMON}, {_INNER})",
    },
    "checked": {
        "import": "from numba import njit\n",
        "entry": "@njit(boundscheck=True)",
        "hot": "@njit(boundscheck=True)",
        "cold": "@njit(boundscheck=True)",
    },
    "cuda": {
        "import": device.IMPORT,
        "entry": "@kernel",
        "hot": "@device",
        "cold": "@cold",
    },
}
SIMD = "qlearn.kernels.simd_code"
COMPILING = Path(once.__file__).read_text()  # how kernels are made decides their code too
SIMD_FILE = Path(simd.__file__).with_name("simd_code.py")


@dataclass
class Kernels:
    """The compiled entries of one generated module, and the way back to the user's lines."""

    module: types.ModuleType
    entries: dict[str, Any]
    text: ModuleText
    path: Path
    fresh: bool
    name: str
    flavour: str = "cpu"
    compile_seconds: float = 0.0

    def __getattr__(self, entry: str) -> Any:
        try:
            return self.entries[entry]
        except KeyError:
            raise AttributeError(entry) from None

    def prepare(self, entry: str, *arguments: Any) -> None:
        """Loads or compiles one entry for arguments like these, without running it."""
        from numba import typeof

        dispatcher = self.entries[entry]
        if not hasattr(dispatcher, "compile"):
            return  # the CUDA simulator interprets the text
        cuda = self.flavour == "cuda"
        kind = dispatcher.typeof_pyval if cuda else typeof
        signature = tuple(kind(argument) for argument in arguments)
        if signature in dispatcher.overloads:
            return
        if self.fresh:
            say_compiling(self.name)
        started = time.perf_counter()
        try:
            with self._compiling():
                dispatcher.compile(signature)
        except Exception as error:
            raise explained(error, self) from error
        self.compile_seconds += time.perf_counter() - started

    def _compiling(self) -> AbstractContextManager:
        if self.flavour == "cuda":
            return device.unfused()
        if self.flavour == "cpu":
            emitted = {entry.__name__ for entry in self.entries.values()}
            return once.entries_only(self.text.names - emitted)
        return nullcontext()


def build(
    name: str,
    entries: Sequence[Callable],
    bind: Mapping[Any, Callable],
    flavour: str = "cpu",
    lines: Sequence[str] = (),
) -> Kernels:
    """A module with these entries, placeholders bound, out of the cache where it is there.

    `lines` are definitions that the Python side needs from the module, such as the named tuple of
    an environment's world: machine code from the cache knows it by the module's name.
    """
    style = _FLAVOURS[flavour]
    _require(flavour)
    text = ModuleText(
        bind,
        lambda function: style["cold" if getattr(function, "__cold__", False) else "hot"],
        PREAMBLE + style["import"],
        given=device.NAMES if flavour == "cuda" else {},
        imported=dict.fromkeys(simd.PLACEHOLDERS, SIMD) if flavour != "cuda" else {},
    )
    for line in lines:
        text.add_line(line)
    names = {entry.__name__: text.add(entry, style["entry"]) for entry in entries}
    rendered = text.render()
    # Named by what it says alone: environments that differ in numbers only share a kernel.
    vector_code = SIMD_FILE.read_text() if SIMD in rendered else ""
    folder_name = f"{flavour}-{cache.key(rendered, vector_code, COMPILING, *_toolchain(flavour))}"
    home = cache.store(folder_name, {"kernel.py": rendered})
    _texts[str(home / "kernel.py")] = text
    module = _load(f"qlearn_kernel_{folder_name.replace('-', '_')}", home / "kernel.py")
    fresh = not any((home / "__pycache__").glob("*.nbi"))
    return Kernels(
        module,
        {entry: getattr(module, emitted) for entry, emitted in names.items()},
        text,
        home / "kernel.py",
        fresh,
        name,
        flavour,
    )


def say_compiling(name: str) -> None:
    """Said once for each new module, before the wait."""
    if name not in _said and not os.environ.get("QLEARN_QUIET"):
        _said.add(name)
        print(f"compiling {name} for this processor (once, a few seconds)", file=sys.stderr)


_said: set[str] = set()
_texts: dict[str, ModuleText] = {}  # of the modules that this process has built, by their files


def is_generated(file: str) -> bool:
    return file in _texts


def located(file: str, line: int) -> tuple[str, int]:
    """The line that somebody wrote behind a line of a generated module; any other as it is."""
    source = _texts[file].locate(line) if file in _texts else None
    return (source.file, source.line) if source else (file, line)


def explained(error: Exception, kernels: Kernels) -> UserError:
    """A compiler's message in one line that leads to the user's own line."""
    message = str(error)
    if isinstance(error, KeyError):  # so Numba says that a record lacks a field
        message = f"Unknown attribute {message} of type Record"
    lines = [int(n) for n in re.findall(r'kernel\.py(?:", line | \()(\d+)', message)]
    where = getattr(error, "loc", None)
    if where is not None and Path(where.filename).name == "kernel.py" and where.line:
        lines.append(where.line)
    sources = [source for line in lines if (source := kernels.text.locate(line)) is not None]
    place = f"{sources[0].file}:{sources[0].line}: " if sources else ""  # the innermost is first
    name = f"{sources[0].name.split('.')[-1]} " if sources else ""
    return UserError(f"{place}{name}{_in_words(message)}")


def _in_words(message: str) -> str:
    """What Numba means, for its commonest complaints; goes on after a function's name."""
    if "NRT required" in message or re.search(
        r"Function\(<(built-in function|function) (zeros|ones|empty|full|array|arange|copy)",
        message,
    ):
        return _allocation(message)
    for pattern, words in _COMPLAINTS:
        if found := re.search(pattern, message, re.DOTALL):
            return words.format(*(_kind(group) for group in found.groups()))
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    telling = [
        line
        for line in lines
        if not line.startswith(("Failed in", "During:", "File ", "<source", "-", "There are"))
    ]
    return "cannot be compiled: " + (telling[0] if telling else lines[0] if lines else "no reason")


# Numba's messages, the telling ones first; {0} is what the pattern's first group found.
_COMPLAINTS = (
    (r"Cannot modify readonly array", "changes an array that is constant; keep it in `state`"),
    (r"array index type (\w+)", "uses a {0} as the index of an array; write int(...)"),
    (r"Exception matching is limited", "catches one kind of exception, which cannot be compiled"),
    (r"No implementation of function Function\(<.*?>>> (\w+)\((.*?)\)\n",
     "cannot be compiled: there is no {0} of ({1})"),
    (r"Record.*has no attribute '?(\w+)", "uses state.{0}, which `state` does not declare"),
    (r"Unknown attribute '(\w+)' of type (?:Record|Nested)",
     "uses state.{0}, which `state` does not declare"),
    (r"Unknown attribute '(\w+)' of type (\w+)", "uses .{0} of a {1}, which cannot be compiled"),
    (r"NameError: name '(\w+)'", "uses '{0}', which is not defined"),
    (r"Cannot unify (.+?) and (.+?) for '([^$'.]+)",
     "is unclear: '{2}' is once {0}, once {1}; give it one type throughout"),
    (r"Cannot unify (.+?) and (.+?) for",
     "gives back once {0}, once {1}; give it one type throughout"),
    (r"Can't unify return type from the following types: (.+?)\n",
     "gives back different types ({0}); give it one type throughout"),
    (r"Cannot cast (.+?) to ([^:]+)", "puts {0} where {1} is needed"),
    (r"Type of variable '([^$'.]+)[^']*' cannot be determined",
     "uses '{0}', whose type cannot be told; set it to a number before"),
    (r"Type of variable '\$[^']*' cannot be determined",
     "has a value whose type cannot be told; write it in simpler steps"),
    (r"variable '(\w+)' referenced before assignment", "uses '{0}' before it is set"),
    (r"del found at", "uses `del`, which cannot be compiled"),
    (r"The use of (\w+) in a closure", "uses `{0}` inside a function, which cannot be compiled"),
    (r"[Tt]he '?(.+?)'? construct is not supported", "uses `{0}`, which cannot be compiled"),
)  # fmt: skip


def _allocation(message: str) -> str:
    """Which text allocates: memory in a compiled loop costs more than the step itself."""
    in_place = "declare an array in `state` and fill it in place"
    if re.search(r'lowering "[^"]*= build_(list|set|map)', message):
        return f"builds a list, a set or a dict, which allocates; use a tuple, or {in_place}"
    if "= arrayexpr(" in message:
        return "computes a whole new array, which allocates; write a loop over its numbers"
    if re.search(r'lowering "\w+\[slice\(', message):
        return "copies a stretch of an array, which may allocate; write a loop over its numbers"
    return f"allocates an array; {in_place}"


def _kind(text: str) -> str:
    """A type as Numba writes it, as a person would."""
    text = re.sub(r"Literal\[(\w+)\]\([^()]*\)", r"\1", text)
    text = re.sub(
        r"(?:readonly )?(?:nested)?array\((\w+), [^()]*(?:\([^()]*\))?[^()]*\)",
        r"array of \1",
        text,
    )
    text = re.sub(r"(?:Uni)?Tuple\(([^()]*)\)", r"a tuple (\1)", text)
    text = text.replace("unicode_type", "text").replace("none", "None")
    return text


def _require(flavour: str) -> None:
    try:
        import_numba()
        if flavour == "cuda":  # not the one that older Numba itself has
            importlib.import_module("numba_cuda")
            importlib.import_module("numba.cuda")
    except ImportError:
        if flavour == "cuda":
            raise missing_extra("numba-cuda", "gpu") from None
        raise UserError("numba is not installed: pip install numba") from None


def _toolchain(flavour: str) -> list[str]:
    """What else decides the machine code: compiler versions and the processor."""
    import llvmlite
    import llvmlite.binding as llvm
    import numba
    import numpy

    if flavour == "cuda":
        flavour += importlib.import_module("numba_cuda").__version__
    return [
        flavour,
        numba.__version__,
        llvmlite.__version__,
        numpy.__version__,
        sys.version,
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    ]


def _load(module_name: str, path: Path) -> types.ModuleType:
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module
