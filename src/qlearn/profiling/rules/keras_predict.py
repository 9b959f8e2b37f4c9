"""Keras' predict, which is made for data sets, asked every step."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "keras-predict"
WHY = (
    "predict sets up a data set, a progress bar and callbacks before it computes, tens of "
    "milliseconds each time. Calling the model itself computes at once."
)
LIBRARIES = ("keras", "tensorflow", "tf_keras")


def find(facts: Facts) -> Iterator[Finding]:
    if not any(library in facts.modules for library in LIBRARIES) and not _imported(facts):
        return
    predictions = [
        site
        for site in facts.calls_to("*.predict", "*.predict_on_batch")
        if site.loops and site.node.args and (site.calls is None or site.calls >= 20)
    ]
    for sites in telling.by_file(predictions):
        worst = sites[0]
        given = patterns.seen(facts, worst, worst.node.args[0])
        yield telling.finding_of_all(
            facts,
            RULE,
            WHY,
            sites,
            f"{worst.text}: ",
            _fix(facts, worst),
            sizes={"shape": list(patterns.shape_of(given))},
        )


def _imported(facts: Facts) -> bool:
    return any(
        imported.split(".")[0] in LIBRARIES
        for file in patterns.user_files(facts)
        for imported in facts.source(file).imports.values()
    )


def _fix(facts: Facts, site) -> str:
    source = facts.source(site.file)
    call = site.node
    model = source.text(call.func.value) if isinstance(call.func, ast.Attribute) else "model"
    return telling.diff(site.text, f"{model}({source.text(call.args[0])}, training=False).numpy()")


def proof(finding: Finding) -> Proof:
    shape = finding.sizes["shape"] or [1, 4]
    return Proof(
        "import numpy as np\nimport keras\n"
        f"model = keras.Sequential([keras.layers.Input(({shape[-1]},)), "
        "keras.layers.Dense(24, activation='relu'), keras.layers.Dense(2)])\n"
        f"x = np.zeros({tuple(shape)}, dtype=np.float32)",
        "y = model.predict(x, verbose=0)",
        "y = model(x, training=False)",
    )
