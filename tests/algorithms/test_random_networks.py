"""Networks of random sizes: saved, loaded and gone on with, they learn the same bits as without."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from qlearn.algorithms import registry
from qlearn.envs.registry import find
from qlearn.runs import checkpoint

BUDGET = {"pqn": {"envs": 4, "rollout": 8, "epochs": 2, "minibatch": 16, "threads": 1},
          "dqn": {"envs": 4, "replay": 200, "start": 20, "batch": 8, "every": "8",
                  "threads": 1}}  # fmt: skip
networks = st.fixed_dictionaries({
    "hidden": st.lists(st.integers(1, 20), min_size=1, max_size=3).map(
        lambda halves: "x".join(str(2 * half) for half in halves)  # a dueling head halves one
    ),
    "activation": st.sampled_from(("relu", "selu", "tanh")),
    "layer_norm": st.booleans(),
    "scale_inputs": st.booleans(),
    "optimiser": st.sampled_from(("adam", "radam")),
})  # fmt: skip
own = {"pqn": st.just({}), "dqn": st.fixed_dictionaries({
    "dueling": st.booleans(), "prioritized": st.booleans(), "n_step": st.integers(1, 4),
})}  # fmt: skip


@pytest.mark.parametrize("algo", ["pqn", "dqn"])
def test_a_random_network_goes_on_as_if_never_saved(tmp_path, algo):
    environment = find("cartpole")

    @settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
    @given(network=networks, more=own[algo], seed=st.integers(0, 2**63 - 1))
    def check(network, more, seed):
        chosen = {**BUDGET[algo], **network, **more, "steps": 400}
        config = registry.configure(algo, chosen, environment, "fused")
        whole, first, then = (
            registry.make_learner(algo, "fused", environment, config, each)
            for each in (seed, seed, seed // 2 + 1)
        )
        whole.advance(200)
        first.advance(96)
        checkpoint.save(tmp_path / "last", first.get_state(), {})
        then.set_state(checkpoint.load(tmp_path / "last")[0])
        then.advance(200)
        expected, found = whole.get_state(), then.get_state()
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            assert found[name].tobytes() == array.tobytes(), name
        assert whole.updates > first.updates > 0

    check()
