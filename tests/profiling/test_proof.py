"""Small measurements of before and after: they run apart, in turn, and say which is faster."""

from __future__ import annotations

import dataclasses

import pytest

from qlearn.profiling import rules
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Measured, Proof, in_turn, measure, timer
from qlearn.profiling.rules import scalar_numpy

NETWORK = {"parameters": 4_000, "inputs": 4, "outputs": 2, "batch": 32, "threads": 1}
SIZES = {
    "dict-table": {"entries": 100, "actions": 4, "targets": True, "attribute": True},
    "table-copy": {"kind": "dict", "entries": 100, "shape": (), "deep": False},
    "list-membership": {"entries": 40, "value": "tuple"},
    "object-per-step": {"attributes": 3, "answers": 2},
    "scalar-numpy": {"called": "choice", "entries": 4},
    "repeated-loop": {"entries": 4},
    "loop-over-batch": NETWORK,
    "tensor-from-list": {"entries": 64, "width": 11},
    "deque-sample": {"entries": 10_000, "batch": 64},
    "batch-of-one": NETWORK,
    "grad-when-acting": NETWORK,
    "target-not-detached": NETWORK,
    "device-sync": {},
    "tiny-net-on-gpu": NETWORK,
    "too-many-threads": NETWORK | {"many": 2},
    "keras-predict": {"shape": [1, 4]},
    "graph-kept": {"threads": 1},
    "growing-list": {"entries": 5_000},
    "replay-waste": {"shape": (20_000, 4), "batch": 64},
    "async-slower": {"env": "CartPole-v1", "count": 2},
    "single-env": {"env": "CartPole-v1", "network": True},
}
# What a processor without a GPU and without Keras can run. No time is asserted: that what the rules
# recommend is faster is recorded by a script; here a text must run, and mean what the rule says.
ELSEWHERE = {"device-sync", "tiny-net-on-gpu", "keras-predict"}


def finding(rule: str, sizes: dict) -> Finding:
    return Finding(rule=rule, file="x.py", line=1, evidence="", seconds=1.0, sizes=sizes)


def proof_of(rule: str, sizes: dict) -> Proof:
    return rules.rule(rule).proof(finding(rule, sizes))


def test_every_rule_with_a_proof_is_here():
    with_proof = {module.RULE for module in rules.all_rules() if hasattr(module, "proof")}
    assert with_proof == set(SIZES)


@pytest.mark.parametrize("rule", sorted(set(SIZES) - ELSEWHERE))
def test_the_proofs_run(rule, monkeypatch):
    """In this process, and but once: an error in a text would be seen."""
    text = proof_of(rule, SIZES[rule])
    if rule == "async-slower":  # processes of its own, which end with the one that made them
        assert measure(text) is not None
        return
    monkeypatch.setattr("qlearn.profiling.proof.LEAST_BLOCK_SECONDS", 0.0)
    monkeypatch.setattr("qlearn.profiling.proof.ROUNDS", 1)
    threads = pytest.importorskip("torch").get_num_threads() if "torch" in text.setup else None
    measured = in_turn(text)
    if threads:
        import torch

        torch.set_num_threads(threads)
    assert measured.before_seconds > 0
    assert measured.after_seconds > 0


@pytest.mark.parametrize("rule", sorted(ELSEWHERE))
def test_proofs_for_other_machines_are_python(rule):
    text = proof_of(rule, SIZES[rule])
    timer(text.setup, text.before)
    timer(text.setup, text.after)


@pytest.mark.parametrize("called", [*scalar_numpy.DRAWS, *scalar_numpy.LOOKS, *scalar_numpy.ROUNDS])
def test_a_number_by_numpy_and_without(called, monkeypatch):
    monkeypatch.setattr("qlearn.profiling.proof.LEAST_BLOCK_SECONDS", 0.0)
    assert in_turn(proof_of("scalar-numpy", {"called": called, "entries": 4})).speedup > 0


@pytest.mark.parametrize("targets", [False, True])
@pytest.mark.parametrize("attribute", [False, True])
def test_a_dict_is_looped_over_in_any_of_its_forms(targets, attribute, monkeypatch):
    monkeypatch.setattr("qlearn.profiling.proof.LEAST_BLOCK_SECONDS", 0.0)
    sizes = {"entries": 100, "actions": 4, "targets": targets, "attribute": attribute}
    assert in_turn(proof_of("dict-table", sizes)).speedup > 0


@pytest.mark.parametrize("answers", [0, 3])
def test_an_object_is_asked_or_not(answers, monkeypatch):
    monkeypatch.setattr("qlearn.profiling.proof.LEAST_BLOCK_SECONDS", 0.0)
    sizes = {"attributes": 2, "answers": answers}
    assert in_turn(proof_of("object-per-step", sizes)).speedup > 0


@pytest.mark.parametrize("kind", ["dict", "defaultdict", "list", "ndarray", "Tensor"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_table_of_any_kind_is_copied(kind, deep, monkeypatch):
    monkeypatch.setattr("qlearn.profiling.proof.LEAST_BLOCK_SECONDS", 0.0)
    sizes = {"kind": kind, "entries": 25, "shape": (5, 5, 4), "deep": deep}
    assert in_turn(proof_of("table-copy", sizes)).speedup > 0


def test_measured_apart_and_compared():
    """A thousand sums against one: whichever machine, the ratio has a side."""
    measured = measure(Proof("x = list(range(1000))", "for _ in x:\n    sum(x)", "sum(x)"))
    assert isinstance(measured, Measured)
    assert measured.speedup == pytest.approx(measured.before_seconds / measured.after_seconds)
    assert measured.speedup > 2
    assert set(dataclasses.asdict(measured)) == {"before_seconds", "after_seconds", "speedup"}


def test_what_a_text_prints_is_no_answer():
    assert measure(Proof("", "print('{}')", "print(1)")) is not None


def test_what_cannot_run_here_is_not_measured():
    assert measure(Proof("import a_library_that_nobody_has", "pass", "pass")) is None
    assert measure(Proof("import time", "time.sleep(9)", "pass"), timeout=0.5) is None


def test_texts_may_change_what_they_need():
    """`total += 1` in the text, where total is of the setup."""
    assert timer("total = 0", "total += 1")(10) > 0
