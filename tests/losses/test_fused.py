"""`FusedQLoss` beside `q_loss`: the same loss, the same gradient, in a module's own `.grad`."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest

from qlearn.errors import UserError
from qlearn.losses.fused import FusedQLoss
from qlearn.nets.layout import Architecture

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from qlearn.losses import q_loss  # noqa: E402
from qlearn.nets.module import ACTIVATIONS, Network, put_flat  # noqa: E402


def module(*widths, activation=nn.ReLU, layer_norm=False):
    layers = []
    for inputs, outputs in pairwise(widths):
        norm = [nn.LayerNorm(outputs)] if layer_norm else []
        layers += [nn.Linear(inputs, outputs), *norm, activation()]
    return nn.Sequential(*layers[: -2 if layer_norm else -1])


def batch(rows, inputs, outputs, seed=0):
    chance = np.random.default_rng(seed)
    return (
        chance.standard_normal((rows, inputs), np.float32),
        chance.integers(0, outputs, rows),
        chance.standard_normal(rows, np.float32),
        chance.standard_normal((rows, inputs), np.float32),
        chance.random(rows) < 0.2,
    )


def tensors(arrays):
    return [torch.from_numpy(array) for array in arrays]


def by_autograd(net, data, **how):
    """Loss, temporal differences, gradients."""
    net.zero_grad(set_to_none=True)
    how = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in how.items()
    }
    loss, errors = q_loss(net, *tensors(data), errors=True, **how)
    loss.backward()
    return loss.item(), errors.numpy(), [parameter.grad.numpy() for parameter in net.parameters()]


def assert_near(found, expected):
    """Norm-wise, tensor by tensor."""
    for a, b in zip(found, expected, strict=True):
        assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b) + 1e-9


def check(net, rows, **how):
    linears = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    first, last = linears[0], linears[-1]
    data = batch(rows, first.in_features, last.out_features, seed=rows)
    per_batch = {name: how.pop(name) for name in ("discounts", "weights") if name in how}
    loss, errors, gradients = by_autograd(net, data, **how, **per_batch)
    fused = FusedQLoss(net, **how)
    found = fused(*data, **per_batch)
    assert abs(found - loss) <= 1e-6 * max(1.0, abs(loss))
    assert_near([fused.errors], [errors])
    assert_near([parameter.grad.numpy() for parameter in net.parameters()], gradients)


@pytest.mark.parametrize("rows", [1, 5, 32, 130])
@pytest.mark.parametrize("widths", [(4, 64, 2), (11, 256, 3), (3, 17, 1)])
def test_loss_and_gradient_are_those_of_autograd(widths, rows):
    torch.manual_seed(rows)
    check(module(*widths), rows)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("activation", list(ACTIVATIONS.values()))
def test_every_layer_that_is_known(activation, layer_norm):
    torch.manual_seed(4)
    hidden = (33,) if layer_norm else (33, 17)  # as many tensors: one kernel
    check(module(5, *hidden, 4, activation=activation, layer_norm=layer_norm), 32)


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("n_step", [False, True])
def test_every_form_of_the_loss(loss, double, n_step):
    torch.manual_seed(5)
    chance = np.random.default_rng(1)
    more = {"weights": chance.random(32, np.float32)}
    if n_step:
        more["discounts"] = (chance.random(32) < 0.8) * np.float32(0.97**3)
    check(
        module(4, 64, 2), 32, target_net=module(4, 64, 2), double=double, loss=loss, discount=0.9,
        **more,
    )  # fmt: skip


def test_nested_sequentials_are_one():
    inner = module(4, 32, 8)
    check(nn.Sequential(inner, nn.ReLU(), nn.Linear(8, 2)), 32)


# ------------------------------------------------------------------------- a module's own tensors


def test_a_training_by_it_is_one_by_autograd():
    torch.manual_seed(6)
    ours, target = module(4, 64, 2), module(4, 64, 2)
    theirs = copy.deepcopy(ours)
    fused = FusedQLoss(ours, target_net=target, double=True)
    steps = [torch.optim.Adam(net.parameters(), 1e-3) for net in (ours, theirs)]
    for k in range(20):
        data = batch(32, 4, 2, seed=k)
        fused(*tensors(data))
        steps[0].step()
        steps[0].zero_grad(set_to_none=k % 2 == 0)
        by_autograd(theirs, data, target_net=target, double=True)
        steps[1].step()
        if k == 10:
            target.load_state_dict(ours.state_dict())
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_gradients_are_written_not_added():
    net, data = module(4, 64, 2), batch(32, 4, 2)
    fused = FusedQLoss(net)
    fused(*data)
    once = [parameter.grad.clone() for parameter in net.parameters()]
    fused(*data)
    for parameter, grad in zip(net.parameters(), once, strict=True):
        assert torch.equal(parameter.grad, grad)


@pytest.mark.parametrize("how", ["data", "assign", "parameter"])
def test_parameters_that_lie_elsewhere_now_are_found(how):
    net, data = module(4, 64, 2), batch(32, 4, 2)
    fused = FusedQLoss(net)
    fused(*data)
    other = module(4, 64, 2)
    if how == "data":
        for parameter, new in zip(net.parameters(), other.parameters(), strict=True):
            parameter.data = new.data.clone()
    elif how == "assign":
        net.load_state_dict(other.state_dict(), assign=True)
    else:
        net[0].weight = nn.Parameter(other[0].weight.detach().clone())
    found = fused(*data)
    written = [parameter.grad.numpy().copy() for parameter in net.parameters()]
    loss, _, gradients = by_autograd(net, data)
    assert abs(found - loss) < 1e-6
    assert_near(written, gradients)


def test_a_frozen_parameter_gets_no_gradient():
    net = module(4, 64, 2)
    net[0].weight.requires_grad_(False)
    FusedQLoss(net)(*batch(32, 4, 2))
    assert net[0].weight.grad is None
    assert net[2].weight.grad is not None


def test_batches_of_any_kind_and_size():
    net = module(4, 64, 2)
    fused = FusedQLoss(net)
    for rows in (32, 500, 7):
        data = batch(rows, 4, 2, seed=rows)
        expected = q_loss(net, *tensors(data)).item()
        lists = [array.tolist() for array in data]
        others = [data[0].astype(np.float64), data[1].astype(np.int32), *data[2:4],
                  data[4].astype(np.float32)]  # fmt: skip
        turned = [np.asfortranarray(data[0]), *data[1:]]
        skipping = [np.repeat(array, 2, axis=0)[::2] for array in data]
        for given in (data, tensors(data), lists, others, turned, skipping):
            assert abs(fused(*given) - expected) < 1e-6
        assert fused.errors.shape == (rows,)


# -------------------------------------------------------------------------------- architectures


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_an_architecture_has_its_numbers_in_flat_arrays(layer_norm, dueling):
    architecture = Architecture(4, (32, 16), 3, "tanh", layer_norm, dueling)
    chance = np.random.default_rng(3)
    params, judge = (
        architecture.initial(k) + 0.1 * chance.standard_normal(architecture.parameters, np.float32)
        for k in range(2)
    )
    net, target = Network(architecture), Network(architecture)
    put_flat(architecture, params, net.parameters())
    put_flat(architecture, judge, target.parameters())
    fused = FusedQLoss(architecture, target_net=judge, double=True)
    fused.parameters[:] = params
    for rows in (32, 100):
        data = batch(rows, 4, 3)
        loss, _, gradients = by_autograd(net, data, target_net=target, double=True)
        assert abs(fused(*data) - loss) <= 1e-6 * max(1.0, loss)
        views = architecture.views(fused.gradient).items()
        assert_near([g.T if n.startswith("layer") else g for n, g in views], gradients)
    fused.target_parameters[:] = params
    loss, _, _ = by_autograd(net, data)
    assert abs(fused(*data) - loss) <= 1e-6 * max(1.0, loss)


def test_a_network_without_hidden_layers():
    architecture = Architecture(4, (), 2, layer_norm=False)
    fused, net, data = FusedQLoss(architecture), nn.Linear(4, 2), batch(32, 4, 2)
    put_flat(architecture, fused.parameters, net.parameters())
    loss, _, gradients = by_autograd(net, data)
    assert abs(fused(*data) - loss) < 1e-6
    assert_near(architecture.views(fused.gradient).values(), gradients)


# ------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (nn.Conv2d(1, 2, 3), "here is Conv2d. q_loss takes any module"),
        (nn.Sequential(nn.Linear(4, 2), nn.ReLU()), "a network for FusedQLoss is Linear"),
        (nn.Sequential(), "a network for FusedQLoss is Linear"),
        (nn.Sequential(nn.ReLU(), nn.Linear(4, 2)), "here is ReLU"),
        (nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 2)), "here is Dropout"),
        (nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 2)), "needs a bias"),
        (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(9, 2)), "what comes before fits it"),
        (nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8, eps=1e-3), nn.ReLU(), nn.Linear(8, 2)),
         "only LayerNorm(8) as PyTorch makes it"),
        (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)),
         "the same activation"),
        (module(4, 8, 2).double(), "float32 on the CPU; this network is torch.float64"),
    ],
)  # fmt: skip
def test_a_network_that_it_does_not_know_is_one_line(net, said):
    with pytest.raises(UserError) as caught:
        FusedQLoss(net)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, np.zeros((31, 4)), "here are 124 observations"),
        (1, np.full(32, 2), "actions 2 .. 2, and the network has 2 outputs"),
        (1, np.full(32, -1), "actions -1 .. -1"),
        (1, np.zeros(0), "0 actions want"),
        (2, np.zeros(31), "31 rewards"),
        (4, np.zeros(31), "31 terminated"),
        (4, None, "32 terminated or discounts"),
        (2, ["much"] * 32, "FusedQLoss takes arrays, or tensors on the CPU"),
        (0, torch.zeros(32, 4, requires_grad=True), "without gradient"),
    ],
)
def test_a_batch_that_does_not_fit_is_one_line(place, value, said):
    fused = FusedQLoss(Architecture(4, (64,), 2, layer_norm=False))
    data = list(batch(32, 4, 2))
    data[place] = value
    with pytest.raises(UserError) as caught:
        fused(*data)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_mistakes():
    with pytest.raises(UserError, match="unknown loss 'l1'"):
        FusedQLoss(module(4, 64, 2), loss="l1")
    with pytest.raises(UserError, match="the same layers"):
        FusedQLoss(module(4, 64, 2), target_net=module(4, 32, 2))
    with pytest.raises(UserError, match="target_net has 3 parameters, the architecture 450"):
        FusedQLoss(Architecture(4, (64,), 2, layer_norm=False), target_net=np.zeros(3))
