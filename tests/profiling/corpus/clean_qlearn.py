# rule: none
# ruff: noqa
import tempfile

import qlearn

with tempfile.TemporaryDirectory() as folder:
    run = qlearn.train("grid", engine="numpy", steps=400_000, seed=0, out=folder + "/run")
    print(run.evaluate(10).mean)
