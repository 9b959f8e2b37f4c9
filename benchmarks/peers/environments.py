"""Makes the virtual environments that the peers run in; qlearn needs none of them.

    python benchmarks/peers/environments.py

They lie under $QLEARN_PEERS, or ~/.cache/qlearn-peers: `sb3`, `jax`, `replay`, and beside them a
checkout of PureJaxQL, `purejaxql`, which is on no package registry and has to be cloned there by
hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PUREJAXQL = "https://github.com/mttga/purejaxql"
PACKAGES = {
    "sb3": ["stable-baselines3==2.9.2", "torch", "gymnasium", "numpy"],
    "jax": [
        "jax==0.10.2",
        "jaxlib==0.10.2",
        "flax==0.12.8",
        "optax==0.2.8",
        "chex==0.1.92",
        "gymnax==0.0.6",
        "safetensors",
        "six",  # gymnax 0.0.6 imports it and does not say so
        "numpy",
    ],
    "replay": ["cpprb==11.0.0", "torchrl==0.14.1", "torch", "numpy"],
}
LIBRARIES_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ONE_THREAD = dict.fromkeys(LIBRARIES_THREADS, "1")


def home() -> Path:
    return Path(os.environ.get("QLEARN_PEERS", Path.home() / ".cache" / "qlearn-peers"))


def purejaxql() -> Path:
    return home() / "purejaxql"


def python(name: str) -> Path:
    """That environment's Python, or the end of the script with what would make it."""
    found = home() / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not found.exists():
        sys.exit(f"no {found}: run python {Path(__file__).relative_to(ROOT)} first")
    return found


def versions(name: str) -> dict[str, str]:
    """What is installed there, of what this file asks for."""
    command = [str(python(name)), "-m", "pip", "list", "--format", "json"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    wanted = {package.split("==")[0] for package in PACKAGES[name]}
    return {
        found["name"]: found["version"]
        for found in listed
        if found["name"].replace("_", "-") in wanted
    }


def make(name: str) -> None:
    """constraints.txt pins torch, NumPy and Gymnasium to what qlearn itself is measured with."""
    subprocess.run([sys.executable, "-m", "venv", str(home() / name)], check=True)
    install = [str(python(name)), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*install, *PACKAGES[name]], check=True)


def main() -> None:
    for name in PACKAGES:
        make(name)
        print(f"{name}: {versions(name)}")
    if not purejaxql().is_dir():
        print(f"still missing: git clone {PUREJAXQL} {purejaxql()}")


if __name__ == "__main__":
    main()
