"""Snake is learned to the last cell: on the smallest board, in two seconds."""

from __future__ import annotations

import qlearn


def test_a_small_board_is_filled(tmp_path):
    run = qlearn.train(
        "snake", seed=1, steps=600_000, hidden="64x64", threads=1, out=tmp_path / "run",
        **{"env.size": 4},
    )  # fmt: skip
    report = run.evaluate(300).report()
    assert report["mean_score"] > 11.0  # of 13; by chance 1
    assert report["filled_share"] > 0.6
