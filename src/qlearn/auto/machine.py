"""The machine as a choice of engine, device and threads sees it; nothing heavy is imported to look."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

NVIDIA = Path("/proc/driver/nvidia/gpus")
WINDOWS_DRIVER = Path("C:/Windows/System32/nvcuda.dll")


@dataclass(frozen=True)
class Machine:
    processor: str
    cores: int
    gpu: str = ""  # its name; nothing where there is none
    torch: bool = True  # installed
    cuda: bool = False  # and built for GPUs


@cache
def here() -> Machine:
    from qlearn.algorithms.network.team import cores  # NumPy with it, which a name needs not

    installed = find_spec("torch") is not None
    return Machine(processor_name(), cores(), gpu_name(), installed, _torch_has_cuda())


def processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def gpu_name() -> str:
    """The first NVIDIA GPU that this process may see, as its driver's own files tell it.

    Asking CUDA itself takes tenths of a second, and torch before it one and a half.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return ""
    for card in sorted(NVIDIA.glob("*/information")):
        try:
            found = re.search(r"Model:\s*(.+)", card.read_text())
        except OSError:
            continue
        if found:
            return found[1].strip()
    nodes = (*Path("/dev").glob("nvidia[0-9]*"), WINDOWS_DRIVER)
    return "NVIDIA GPU" if any(node.exists() for node in nodes) else ""


def _torch_has_cuda() -> bool:
    """By the file in which torch says what it was built for: importing torch is dear."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(r"^cuda\b[^=]*=\s*['\"]", text, re.MULTILINE) is not None


@cache
def cuda_works() -> bool:
    """Whether PyTorch gets along with the driver: asked once it is to be imported anyhow."""
    import torch

    return torch.cuda.is_available()


def version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
