"""Compiles plain functions: for the CPU with Numba, for the GPU with numba-cuda."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import time
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlearn.errors import UserError, missing_extra
from qlearn.kernels import cache, device
from qlearn.kernels.text import PREAMBLE, ModuleText

# Only entries are cached. A cached helper would be linked, not inlined, by the next kernel that
# uses it: slower, and with other bits. Strict IEEE (no fastmath) keeps the bits the same in every
# kernel that holds the same text. `_nrt=False` compiles reference counting away (two atomic
# operations for every view of an array: a third of a CartPole step) and turns any allocation
# into an error at compile time. Inlining is forced: a call with a few array arguments pushes
# some fifty words, measured at 38 ns a CartPole step against 14 ns inlined.
_COMMON = "error_model='numpy', _nrt=False"
_FLAVOURS = {
    "cpu": {
        "import": "from numba import njit\n",
        "entry": f"@njit(cache=True, nogil=True, {_COMMON})",
        "hot": f"@njit(forceinline=True, {_COMMON})",
        "cold": f"@njit({_COMMON})",
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
            with device.unfused() if cuda else nullcontext():
                dispatcher.compile(signature)
        except Exception as error:
            raise explained(error, self) from error
        self.compile_seconds += time.perf_counter() - started


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
    )
    if flavour == "cuda":
        text._names.update(device.NAMES)
    for line in lines:
        text.add_line(line)
    names = {entry.__name__: text.add(entry, style["entry"]) for entry in entries}
    rendered = text.render()
    folder_name = f"{_slug(name)}-{flavour}-{cache.key(rendered, *_toolchain(flavour))}"
    home = cache.store(folder_name, {"kernel.py": rendered})
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


def explained(error: Exception, kernels: Kernels) -> UserError:
    """A compiler's message in one line that leads to the user's own line."""
    message = str(error)
    place = ""
    for found in re.finditer(r'File "([^"]+)", line (\d+)', message):
        if Path(found[1]).name == "kernel.py":
            source = kernels.text.locate(int(found[2]))
            if source is not None:
                place = f"{source.file}:{source.line}: "
                break  # the innermost comes first
    return UserError(f"{place}{_in_words(message)}")


def _in_words(message: str) -> str:
    """What Numba means, for its commonest complaints."""
    if "NRT required" in message or re.search(
        r"Function\(<(built-in function|function) (zeros|ones|empty|full|array|arange|copy)",
        message,
    ):
        return "allocates an array; declare it in `state` and fill it in place"
    if found := re.search(r"Record.*has no attribute '?(\w+)", message):
        return f"uses state.{found[1]}, which `state` does not declare"
    if found := re.search(r"Unknown attribute '(\w+)' of type (Record|Nested)", message):
        return f"uses state.{found[1]}, which `state` does not declare"
    if found := re.search(r"Unknown attribute '(\w+)' of type (\w+)", message):
        return f"uses .{found[1]} of a {found[2]}, which cannot be compiled"
    if found := re.search(r"NameError: name '(\w+)'", message):
        return f"uses '{found[1]}', which is not defined"
    if "Cannot unify" in message:
        found = re.search(r"Cannot unify (.+?) and (.+?) for '(\w+)", message)
        if found:
            return (
                f"'{found[3].split('.')[0]}' is once {found[1]}, once {found[2]};"
                " give it one type throughout"
            )
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    telling = [
        line
        for line in lines
        if not line.startswith(("Failed in", "During:", "File ", "<source", "-", "There are"))
    ]
    return "cannot be compiled: " + (telling[0] if telling else lines[0] if lines else "no reason")


def _require(flavour: str) -> None:
    try:
        importlib.import_module("numba")
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


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()[:40] or "kernel"


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
