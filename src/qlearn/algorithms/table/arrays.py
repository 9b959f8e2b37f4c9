"""The few array operations that the batched engines need, on NumPy, CuPy or PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.errors import UserError, missing_extra


class NumpyArrays:
    """NumPy, and whatever has its interface (CuPy)."""

    engine = "numpy"
    device = "cpu"

    def __init__(self, seed: int) -> None:
        self.np: Any = np
        self._generator = np.random.Generator(np.random.Philox(key=[seed, random_streams.PLAYER]))

    def full(self, shape: tuple[int, ...], value: float) -> Any:
        return self.np.full(shape, value, self.np.float64)

    def put(self, array: np.ndarray) -> Any:
        """From the host."""
        return self.np.asarray(array)

    def host(self, array: Any) -> np.ndarray:
        return array

    def uniform(self, n: int) -> Any:
        return self._generator.random(n)

    def integers(self, n: int, high: int) -> Any:
        return self._generator.integers(0, high, n)

    def argmax(self, rows: Any) -> Any:
        return rows.argmax(axis=1)

    def highest(self, rows: Any) -> Any:
        return rows.max(axis=1)

    def mean(self, rows: Any) -> Any:
        return rows.mean(axis=1)

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        return self.np.where(condition, yes, no)

    def arange(self, n: int) -> Any:
        return self.np.arange(n)

    def round(self, values: Any, decimals: int) -> Any:
        return self.np.round(values, decimals)

    def groups(self, keys: Any) -> tuple[Any, Any, Any]:
        """The different keys, the group of each key, and how many are in each group."""
        return self.np.unique(keys, return_inverse=True, return_counts=True)

    def sums(self, groups: Any, values: Any, n: int) -> Any:
        return self.np.bincount(groups, values, n)

    def get_state(self) -> np.ndarray:
        state = self._generator.bit_generator.state
        words = state["state"]
        return np.concatenate(
            [
                words["counter"],
                words["key"],
                state["buffer"],
                np.array([state["buffer_pos"], state["has_uint32"], state["uinteger"]], np.uint64),
            ]
        )

    def set_state(self, array: np.ndarray) -> None:
        array = array.astype(np.uint64)
        self._generator.bit_generator.state = {
            "bit_generator": "Philox",
            "state": {"counter": array[:4], "key": array[4:6]},
            "buffer": array[6:10],
            "buffer_pos": int(array[10]),
            "has_uint32": int(array[11]),
            "uinteger": int(array[12]),
        }


class CupyArrays(NumpyArrays):
    """CuPy: NumPy's interface on a GPU."""

    engine = "cupy"
    device = "cuda"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        try:
            import cupy  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise missing_extra("cupy", "gpu") from None
        try:
            cupy.cuda.runtime.getDeviceCount()
        except Exception:
            raise UserError(
                "cupy found no CUDA device; --engine numpy or numba runs on the CPU"
            ) from None
        self.np = cupy

    def host(self, array: Any) -> np.ndarray:
        return self.np.asnumpy(array)

    # Actions are drawn on the host, where the environments are stepped.
    def uniform(self, n: int) -> Any:
        return self.np.asarray(super().uniform(n))

    def integers(self, n: int, high: int) -> Any:
        return self.np.asarray(super().integers(n, high))


class TorchArrays(NumpyArrays):
    """PyTorch, on the CPU or a GPU."""

    engine = "torch"

    def __init__(self, seed: int, device: str = "cpu") -> None:
        super().__init__(seed)
        try:
            import torch
        except ImportError:
            raise missing_extra("torch", "torch") from None
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("torch found no CUDA device; --device cpu works")
        self.torch, self.device = torch, device

    def full(self, shape: tuple[int, ...], value: float) -> Any:
        return self.torch.full(shape, value, dtype=self.torch.float64, device=self.device)

    def put(self, array: np.ndarray) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def host(self, array: Any) -> np.ndarray:
        return array.cpu().numpy()

    def uniform(self, n: int) -> Any:
        return self.put(super().uniform(n))

    def integers(self, n: int, high: int) -> Any:
        return self.put(super().integers(n, high))

    def highest(self, rows: Any) -> Any:
        return rows.amax(dim=1)

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        return self.torch.where(condition, yes, no)

    def arange(self, n: int) -> Any:
        return self.torch.arange(n, device=self.device)

    def round(self, values: Any, decimals: int) -> Any:
        return self.torch.round(values, decimals=decimals)

    def groups(self, keys: Any) -> tuple[Any, Any, Any]:
        entries, groups, counts = self.torch.unique(keys, return_inverse=True, return_counts=True)
        return entries, groups, counts.double()  # a power of whole numbers would be float32

    def sums(self, groups: Any, values: Any, n: int) -> Any:
        return self.torch.bincount(groups, values, n)
