"""Profiles and compares the dict and the PyTorch script: one call into qlearn.

python examples/classic/main.py [options of qlearn compare]
"""

import shlex
import sys
from pathlib import Path

from qlearn.cli.main import main

HERE = Path(__file__).parent
SCRIPTS = (("q_learning.py", "2000"), ("pytorch_q_learning.py", "64", "200"))


def targets():
    """As `qlearn compare` takes them: a file and its arguments in one word."""
    return [shlex.join([str(HERE / name), *words]) for name, *words in SCRIPTS]


if __name__ == "__main__":
    sys.exit(main(["compare", *targets(), "--profile", "--headless", *sys.argv[1:]]))
