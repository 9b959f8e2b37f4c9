"""What a value is and how large, told without calling anything of the user's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

NUMBERS = (bool, int, float)
SIZED: dict[type, Callable[[Any], int]] = {
    kind: kind.__len__
    for kind in (dict, list, tuple, set, frozenset, str, bytes, bytearray, deque, range)
}
TENSORS = ("torch.Tensor", "torch.nn.parameter.Parameter")
MODULE = "torch.nn.modules.module.Module"
DEEPEST_MODULE = 8
ITEMS_SHOWN = 8


def full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def family(kind: type) -> list[str]:
    return [full_name(each) for each in type.mro(kind)[:-1]]


def attributes(value: Any) -> dict[str, Any]:
    """What is in an object's own dictionary."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return found if type(found) is dict else {}


def describe(value: Any) -> tuple[str, int, dict[str, Any]]:
    """(kind, size, detail)."""
    kind = type(value)
    if kind in NUMBERS:
        return kind.__name__, 1, {"value": plain(value)}
    for base in type.mro(kind):
        if base in SIZED:
            return container(value, kind, base)
    name = full_name(kind)
    if name == "numpy.ndarray":
        return "ndarray", int(value.size), array(value)
    if name in TENSORS:
        return "Tensor", int(value.numel()), tensor(value)
    return thing(value, kind)


def plain(value: Any) -> Any:
    """JSON knows no other numbers."""
    if type(value) is float and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value if type(value) is not int or abs(value) < 2**63 else str(value)[:20]


def short(value: Any) -> str:
    """One word for an item of a container."""
    name = full_name(type(value))
    return "Tensor" if name in TENSORS else type(value).__name__


def container(value: Any, kind: type, base: type) -> tuple[str, int, dict[str, Any]]:
    size = SIZED[base](value)
    detail: dict[str, Any] = {}
    if kind is not base:
        detail["module"] = full_name(kind)
    if base is deque:
        detail["maxlen"] = deque.maxlen.__get__(value)
    if size and base is dict:
        detail |= dict_items(value)
    elif size and base in (list, tuple, set, frozenset, deque):
        detail |= items(next(base.__iter__(value)))
    name = kind.__name__ if kind is not base and is_standard(kind) else base.__name__
    return name, size, detail


def is_standard(kind: type) -> bool:
    return kind.__module__ == "collections"


def dict_items(value: dict) -> dict[str, Any]:
    first, held = next(iter(dict.items(value)))
    detail: dict[str, Any] = {"key": short(first), "value": short(held)}
    if type(first) is tuple:
        detail["key_length"] = len(first)
    if type(held) in SIZED:
        detail["value_size"] = SIZED[type(held)](held)
    return detail | prefixed("value", held)


def items(first: Any) -> dict[str, Any]:
    """What the first of a container is; of a tuple in it, what each part is."""
    detail: dict[str, Any] = {"value": short(first)} | prefixed("value", first)
    if type(first) in (tuple, list) or tuple in type.mro(type(first)):
        parts = list(tuple.__iter__(first) if type(first) is not list else first)
        detail["value_length"] = len(parts)
        parts = parts[:ITEMS_SHOWN]
        detail["value_kinds"] = [short(part) for part in parts]
        detail["value_dtypes"] = [array_like(part).get("dtype") for part in parts]
        detail["value_shapes"] = [array_like(part).get("shape") for part in parts]
    return detail


def prefixed(prefix: str, value: Any) -> dict[str, Any]:
    return {f"{prefix}_{name}": found for name, found in array_like(value).items()}


def array_like(value: Any) -> dict[str, Any]:
    name = full_name(type(value))
    if name == "numpy.ndarray":
        return array(value)
    return tensor(value) if name in TENSORS else {}


def array(value: Any) -> dict[str, Any]:
    return {"shape": list(value.shape), "dtype": str(value.dtype), "bytes": int(value.nbytes)}


def tensor(value: Any) -> dict[str, Any]:
    return {
        "shape": list(value.shape),
        "dtype": str(value.dtype).removeprefix("torch."),
        "device": str(value.device),
        "requires_grad": bool(value.requires_grad),
        "is_leaf": bool(value.is_leaf),
    }


def thing(value: Any, kind: type) -> tuple[str, int, dict[str, Any]]:
    names = family(kind)
    detail: dict[str, Any] = {"module": full_name(kind), "bases": names[1:]}
    if MODULE not in names:
        return kind.__name__, 1, detail
    found = parameters(value)
    detail |= {
        "device": str(found[0].device) if found else None,
        "requires_grad": any(each.requires_grad for each in found),
        "training": attributes(value).get("training"),
    }
    return "Module", sum(int(each.numel()) for each in found), detail


def parameters(module: Any, depth: int = 0) -> list[Any]:
    """Of a torch module and those in it, from its own dictionaries."""
    own = attributes(module)
    found = [each for each in (own.get("_parameters") or {}).values() if each is not None]
    if depth < DEEPEST_MODULE:
        for inner in (own.get("_modules") or {}).values():
            found += parameters(inner, depth + 1)
    return found
