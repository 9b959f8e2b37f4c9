"""Loads this folder under a name of its own: a user's `memory.py` or `lines.py` stays theirs."""

import time

BEGUN = time.perf_counter()

import importlib.util  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

NAME = "_qlearn_child"


def load():
    folder = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        NAME, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)
    return importlib.import_module(f"{NAME}.run")


if __name__ == "__main__":
    load().main(sys.argv[1:], BEGUN)
