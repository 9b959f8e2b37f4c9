"""Compiled modules: what is in the cache is what runs, and a change of anything is another module."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from qlearn import rng as streams
from qlearn.envs.loop import score as placeholder
from qlearn.errors import UserError
from qlearn.kernels import build as building
from qlearn.kernels.bind import bound
from qlearn.kernels.build import build
from qlearn.kernels.marks import cold

SCALE = 3.0


def meant(x, world):
    return x * SCALE


@cold
def rare(x, world):
    return x - 1.0


def entry(values):
    total = 0.0
    for k in range(values.shape[0]):
        if values[k] < 0.0:
            total += rare(values[k], 0)
        total += placeholder(values[k], 0)
    return total


@pytest.fixture(scope="module")
def kernels():
    return build("test build", [entry], {placeholder: meant})


def test_plain_and_compiled_are_bound_alike(kernels):
    values = np.array([-1.0, 0.1, 0.2])
    assert kernels.entry(values) == bound(entry, {placeholder: meant})(values)
    assert kernels.entry(values) == pytest.approx(-2.0 - 0.7 * SCALE)


def test_binding_leaves_the_original_alone():
    bound(entry, {placeholder: meant})
    with pytest.raises(NotImplementedError):
        entry(np.array([1.0]))


def test_prepare_compiles_once_for_each_kind_of_arguments(kernels):
    dispatcher = kernels.entries["entry"]
    values = np.zeros(3, np.float32)
    kernels.prepare("entry", values)
    known = len(dispatcher.overloads)
    spent = kernels.compile_seconds
    kernels.prepare("entry", np.ones(5, np.float32))
    assert len(dispatcher.overloads) == known
    assert kernels.compile_seconds == spent


def test_unknown_entries_are_attribute_errors(kernels):
    with pytest.raises(AttributeError, match="nothing"):
        kernels.nothing  # noqa: B018


def test_the_same_text_is_the_same_module(kernels):
    assert build("test build", [entry], {placeholder: meant}).module is kernels.module


def other_constant(monkeypatch):
    monkeypatch.setitem(globals(), "SCALE", 4.0)


def other_processor(monkeypatch):
    import llvmlite.binding as llvm

    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "another-processor")


def other_numba(monkeypatch):
    import numba

    monkeypatch.setattr(numba, "__version__", "0.1.2")


@pytest.mark.parametrize("change", [other_constant, other_processor, other_numba])
def test_a_changed_constant_processor_or_compiler_is_another_module(kernels, monkeypatch, change):
    change(monkeypatch)
    changed = build("test build", [entry], {placeholder: meant})
    assert changed.path != kernels.path


def test_a_changed_constant_is_another_result(kernels, monkeypatch):
    values = np.array([1.0])
    assert kernels.entry(values) == 3.0
    monkeypatch.setitem(globals(), "SCALE", 4.0)
    assert build("test build", [entry], {placeholder: meant}).entry(values) == 4.0


def test_another_binding_is_another_module(kernels):
    other = build("test build", [entry], {placeholder: rare})
    assert other.path != kernels.path
    assert other.entry(np.array([1.0])) == 0.0


# Across processes

PLAY = """
import hashlib, json, sys
import numpy as np
import qlearn

batch = qlearn.make("cartpole", envs=70, seed=3)
batch.reset()
digest = hashlib.sha256()
for k in range(300):
    observations, rewards, terminated, truncated, info = batch.step(np.arange(70) * k % 3 % 2)
    digest.update(observations.tobytes() + terminated.tobytes() + batch.copies.tobytes())
stats = [batch.kernels.entries[name].stats for name in ("begin_batch", "step_batch")]
home = batch.kernels.path.parent
print(json.dumps({
    "digest": digest.hexdigest(),
    "fresh": batch.kernels.fresh,
    "hits": [sum(s.cache_hits.values()) for s in stats],
    "misses": [sum(s.cache_misses.values()) for s in stats],
    "home": str(home),
    "files": {p.name: p.stat().st_mtime_ns for p in sorted((home / "__pycache__").glob("*.nb*"))},
}))
"""


def start(folder, code=PLAY):
    environment = {**os.environ, "QLEARN_CACHE": str(folder), "QLEARN_QUIET": ""}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out), err


@pytest.fixture(scope="module")
def three_processes(tmp_path_factory):
    """Two that find an empty cache at the same time, one that comes after them."""
    folder = tmp_path_factory.mktemp("kernels")
    folder.chmod(0o700)
    together = [start(folder), start(folder)]
    together = [finish(process) for process in together]
    return *together, finish(start(folder))


def test_processes_that_compile_at_once_agree(three_processes):
    (first, _), (second, _), _ = three_processes
    assert first["home"] == second["home"]
    assert first["digest"] == second["digest"]


def test_a_later_process_loads_and_compiles_nothing(three_processes):
    *_, (later, _) = three_processes
    assert later["misses"] == [0, 0]
    assert later["hits"] == [1, 1]
    assert not later["fresh"]


def test_a_later_process_writes_nothing(three_processes):
    (first, _), (second, _), (later, _) = three_processes
    assert later["files"]
    for name, written in later["files"].items():
        assert written in (first["files"].get(name), second["files"].get(name)), name


def test_what_was_just_compiled_and_what_is_loaded_play_the_same_bits(three_processes):
    (first, _), _, (later, _) = three_processes
    assert first["digest"] == later["digest"]


def test_the_first_compile_says_so_and_the_second_process_is_silent(three_processes):
    (_, first), _, (_, later) = three_processes
    assert first == "compiling cartpole for this processor (once, a few seconds)\n"
    assert later == ""


# A compiler's message in words


def line_of(function, offset):
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno + offset}: "


def explained(function, *arguments):
    kernels = build("test errors", [function], {})
    with pytest.raises(UserError) as caught:
        kernels.prepare(function.__name__, *arguments)
    said = str(caught.value)
    assert "\n" not in said
    return said


def allocates(values):
    values[0] = 1.0
    return np.zeros(3)[0]


def two_types(values):
    x = values
    if values[0] > 0.0:
        x = 1.0
    return x


def helper_in_need(values):
    return values.nothing


def calls_helper(values):
    y = values[0]
    return y + helper_in_need(values)


def grows(values):
    seen = []
    seen.append(values[0])
    return len(seen)


@pytest.mark.parametrize("function", [allocates, grows])
def test_allocation_is_told_in_words(function):
    assert " allocates" in explained(function, np.zeros(2))


def test_allocation_is_told_with_its_line():
    assert explained(allocates, np.zeros(2)).startswith(line_of(allocates, 2))


def test_two_types_are_told_with_the_variable():
    said = explained(two_types, np.zeros(2))
    assert "'x' is once " in said
    assert said.endswith("give it one type throughout")


def test_a_mistake_in_a_helper_is_told_with_the_helpers_line():
    said = explained(calls_helper, np.zeros(2))
    assert said.startswith(line_of(helper_in_need, 1))
    assert "uses .nothing" in said


def test_compiling_is_said_once_and_can_be_silenced(capsys, monkeypatch):
    monkeypatch.setattr(building, "_said", set())
    monkeypatch.setenv("QLEARN_QUIET", "1")
    building.say_compiling("something")
    assert capsys.readouterr().err == ""
    monkeypatch.delenv("QLEARN_QUIET")
    for _ in range(2):
        building.say_compiling("something")
    assert capsys.readouterr().err.count("compiling something") == 1


def test_streams_are_rows_the_kernels_can_take():
    def draw(rng):
        return streams.integers(rng, 10)

    row = np.array(streams.stream(3), np.int64)
    assert build("test draw", [draw], {}).draw(row) == draw(streams.stream(3))
