"""`q_loss` beside the loss as people write it: values, gradients, what is kept for them."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest

from qlearn.errors import UserError

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from qlearn.losses import q_loss  # noqa: E402

DISCOUNT = 0.97


def network(inputs=4, hidden=64, outputs=2):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Own(nn.Module):
    """A network of a user's own class."""

    def __init__(self):
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(4, 64), nn.Linear(64, 2)

    def forward(self, x):
        return self.linear2(F.relu(self.linear1(x)))


def batch(*lead, shape=(4,), outputs=2, seed=0):
    """Observations, actions, rewards, next observations, terminated."""
    chance = torch.Generator().manual_seed(seed)
    return (
        torch.randn(*lead, *shape, generator=chance),
        torch.randint(outputs, lead, generator=chance),
        torch.randn(*lead, generator=chance),
        torch.randn(*lead, *shape, generator=chance),
        torch.rand(*lead, generator=chance) < 0.2,
    )


def by_hand(net, data, target_net=None, double=False, factors=None, weights=None, loss="mse"):
    """The eager form: (loss, temporal differences)."""
    observations, actions, rewards, next_observations, terminated = data
    with torch.no_grad():
        values = (target_net or net)(next_observations)
        if double:
            choices = net(next_observations).max(1)[1]
            following = values.gather(1, choices.unsqueeze(1)).squeeze(1)
        else:
            following = values.max(1)[0]
        if factors is None:
            factors = DISCOUNT * (1 - terminated.float())
        target = rewards + factors * following
    chosen = net(observations).gather(1, actions.unsqueeze(1)).squeeze(1)
    kind = F.huber_loss if loss == "huber" else F.mse_loss
    if weights is None:
        return kind(chosen, target), target - chosen
    return (weights * kind(chosen, target, reduction="none")).mean(), target - chosen


def gradients(loss, net):
    net.zero_grad()
    loss.backward(retain_graph=True)
    return [parameter.grad.clone() for parameter in net.parameters()]


def assert_same(loss, net, expected):
    """The loss and its gradient are those of `expected`."""
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-7)
    for found, right in zip(gradients(loss, net), gradients(expected, net), strict=True):
        assert (found - right).norm() <= 1e-6 * right.norm() + 1e-9


@pytest.mark.parametrize("make", [network, Own])
@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("with_target", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_step", [False, True])
def test_it_is_the_loss_as_people_write_it(make, loss, double, with_target, weighted, n_step):
    torch.manual_seed(1)
    net, target_net = make(), make() if with_target else None
    data = batch(32)
    weights = torch.rand(32) if weighted else None
    factors = torch.rand(32).round() * DISCOUNT**3 if n_step else None
    expected, errors = by_hand(net, data, target_net, double, factors, weights, loss)
    found, found_errors = q_loss(
        net, *data, discount=DISCOUNT, target_net=target_net, double=double, discounts=factors,
        weights=weights, loss=loss, errors=True,
    )  # fmt: skip
    assert_same(found, net, expected)
    torch.testing.assert_close(found_errors, errors.detach())
    assert not found_errors.requires_grad
    assert target_net is None or all(p.grad is None for p in target_net.parameters())


def test_nothing_flows_through_the_target():
    torch.manual_seed(2)
    net, (observations, actions, rewards, following, ended) = network(), batch(32)
    found = gradients(q_loss(net, observations, actions, rewards, following, ended), net)
    chosen = net(observations).gather(1, actions[:, None]).squeeze(1)
    attached = rewards + 0.99 * ~ended * net(following).amax(1)
    leaking = gradients((attached - chosen).square().mean(), net)
    assert any((a - b).norm() > 0.1 * b.norm() for a, b in zip(found, leaking, strict=True))
    frozen = copy.deepcopy(net)
    same = q_loss(net, observations, actions, rewards, following, ended, target_net=frozen)
    for a, b in zip(found, gradients(same, net), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_several_batches_in_one_pass_are_as_many_losses(loss, double):
    torch.manual_seed(3)
    net, target_net = network(), network()
    data, weights = batch(8, 32), torch.rand(8, 32)
    how = {"target_net": target_net, "double": double, "loss": loss}
    found, errors = q_loss(net, *data, weights=weights, errors=True, **how)
    each = [
        q_loss(net, *(tensor[k] for tensor in data), weights=weights[k], errors=True, **how)
        for k in range(8)
    ]
    assert found.shape == (8,)
    assert_same(found.sum(), net, torch.stack([one for one, _ in each]).sum())
    torch.testing.assert_close(errors, torch.stack([own for _, own in each]))
    for k in (0, 7):
        for a, b in zip(gradients(q_loss(net, *data, weights=weights, **how)[k], net),
                        gradients(each[k][0], net), strict=True):  # fmt: skip
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("lead", [(32,), (3, 32)])
def test_reduction_none_is_a_loss_for_each_transition(lead):
    net, data = network(), batch(*lead)
    each = q_loss(net, *data, reduction="none")
    assert each.shape == lead
    torch.testing.assert_close(each.mean(-1), q_loss(net, *data))


def test_pictures_and_any_module_will_do():
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 5))
    data = batch(2, 16, shape=(1, 8, 8), outputs=5)
    found = q_loss(net, *data, discount=DISCOUNT)
    expected, _ = by_hand(net, [tensor[1] for tensor in data])
    torch.testing.assert_close(found[1], expected)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.uint8])
def test_ends_and_rewards_of_other_kinds(kind):
    net, (observations, actions, rewards, following, ended) = network(), batch(32)
    rewards = rewards.round()
    expected = q_loss(net, observations, actions, rewards, following, ended)
    for given in (rewards.double(), rewards.long()):
        found = q_loss(net, observations, actions, given, following, ended.to(kind))
        torch.testing.assert_close(found, expected, check_dtype=False)


def test_what_follows_an_end_does_not_count_even_if_it_is_no_number():
    net, (observations, actions, rewards, following, ended) = network(), batch(32)
    following[ended] = float("nan")
    assert ended.any()
    assert torch.isfinite(q_loss(net, observations, actions, rewards, following, ended))


# ------------------------------------------------------------------------------------- memory


def kept_bytes(function):
    """Bytes that a graph keeps for its gradient, each stretch of memory once."""
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = function()
    loss.backward()
    return sum(kept.values())


@pytest.mark.parametrize("make", [network, Own])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_no_more_is_kept_than_by_hand(make, double, loss):
    net, target_net, data = make(), make(), batch(32)
    theirs = kept_bytes(lambda: by_hand(net, data, target_net, double, loss=loss)[0])
    ours = kept_bytes(lambda: q_loss(net, *data, target_net=target_net, double=double, loss=loss))
    assert 0 < ours <= theirs
    together = kept_bytes(lambda: net(torch.cat([data[0], data[3]])).sum())
    assert together > ours  # what one forward of both would keep: the test can fail


# -------------------------------------------------------------------------------------- hooks


def hooked(net, kind):
    """How often something that listens is called."""
    calls = []

    def listen(*arguments):
        calls.append(1)

    if kind == "everywhere":
        handle = nn.modules.module.register_module_forward_hook(listen)
    elif kind == "before":
        handle = net[2].register_forward_pre_hook(listen)
    elif kind == "backward":
        handle = net[0].register_full_backward_hook(listen)
    else:
        handle = (net if kind == "whole" else net[0]).register_forward_hook(listen)
    return calls, handle


@pytest.mark.parametrize("kind", ["whole", "layer", "before", "backward", "everywhere"])
def test_whoever_listens_to_the_network_is_called(kind):
    net, data = network(), batch(32)
    quiet = q_loss(net, *data)
    calls, handle = hooked(net, kind)
    try:
        loss = q_loss(net, *data)
        loss.backward()
    finally:
        handle.remove()
    assert len(calls) == {"backward": 1, "everywhere": 8}.get(kind, 2)
    torch.testing.assert_close(loss, quiet)


def test_a_forward_of_its_own_is_called():
    net, data = network(), batch(32)
    before = q_loss(net, *data)
    net[2].forward = lambda x: torch.zeros(len(x), 2, requires_grad=True)
    assert not torch.isclose(q_loss(net, *data), before)


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": "l1"}, "unknown loss 'l1'; known: huber, mse"),
        ({"reduction": "sum"}, "unknown reduction 'sum'; known: mean, none"),
        ({"rewards": torch.zeros(32, 1)}, "rewards (32, 1)"),
        ({"actions": torch.zeros(32, 1, dtype=torch.long)}, "actions (32, 1)"),
        ({"actions": torch.zeros((), dtype=torch.long)}, "actions ()"),
        ({"terminated": torch.zeros(31)}, "terminated or discounts (31,)"),
        ({"weights": torch.zeros(2, 16)}, "weights (2, 16)"),
        ({"observations": torch.zeros(31, 4)}, "observations (31, 4)"),
        ({"terminated": None}, "terminated or discounts: NoneType"),
        ({"rewards": [0.0] * 32}, "q_loss takes tensors; rewards: list"),
        ({"actions": torch.full((32,), 2)}, "actions 2 .. 2, and the network has 2 outputs"),
        ({"actions": torch.full((32,), -1)}, "actions -1 .. -1"),
        ({"actions": torch.zeros(32)}, "actions are indices, int64, not torch.float32"),
        ({"net": nn.Flatten(0)}, "the network must give (batch, actions)"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(changes, said):
    names = ("observations", "actions", "rewards", "next_observations", "terminated")
    given = {"net": network(), **dict(zip(names, batch(32), strict=True)), **changes}
    with pytest.raises(UserError) as caught:
        q_loss(**given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_naming_it_imports_no_torch():
    code = "import sys, qlearn; qlearn.losses; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
