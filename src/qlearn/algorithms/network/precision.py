"""How the torch engine computes: precision, and compiled or not.

How many times as fast as the default, on one core of an AMD EPYC with AVX512-bf16
(`benchmarks/torch_settings.py`), where the default is what the table makes it:

    updates of 1,024 rows                300-256-256-3     32x3x1,64x3x1 256
    bf16                                     1.58               1.88
    torch.compile                            1.00               0.67
    two threads                              1.53               1.55
    channels last                             -                 0.85
    torch's default Adam, not fused          0.96               0.97
    the average tensor by tensor             1.00               0.99
    gradients zeroed, not None               1.00               0.97
    figures read at every update             0.99               1.00
    forwards of 256 rows
    no_grad, not inference_mode              0.99               0.96

So bf16 is worth asking for where the processor has it, compiling is not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any

from qlearn.errors import UserError
from qlearn.nets.module import torch

FLOAT32, TF32, BF16 = "float32", "tf32", "bf16"


def autocast(device: str, precision: str) -> Any:
    """Forwards, and backwards of what is made in it, in this precision; parameters stay float32."""
    if precision == BF16:
        return torch.autocast(device, torch.bfloat16)
    return contextlib.nullcontext()


def set_products(device: str, precision: str) -> None:
    """Whether a GPU may round what it multiplies; PyTorch's own default differs by the layer."""
    if device == "cuda":
        torch.set_float32_matmul_precision("high" if precision == TF32 else "highest")
        torch.backends.cudnn.allow_tf32 = precision == TF32


def notes(device: str, precision: str) -> tuple[str, ...]:
    if precision == TF32 and device == "cpu":
        return ("--precision tf32 is a GPU's; on the processor it changes nothing, bf16 may",)
    return ()


def compiled(function: Any, device: str) -> Any:
    """torch.compile, where there is what it compiles with."""
    if device == "cpu" and not _compiler():
        raise UserError("compile needs a C++ compiler (g++ or clang++) for PyTorch to call")
    return torch.compile(function)


def _compiler() -> str | None:
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
