"""Gradients of the flat networks beside float64 autograd, and the optimisers beside torch.optim."""

from __future__ import annotations

import numpy as np
import pytest

from qlearn.errors import UserError
from qlearn.kernels.build import build
from qlearn.nets import adam, mlp
from qlearn.nets.layout import BELOW, OUT, OUTPUTS, Architecture

torch = pytest.importorskip("torch")

HIDDEN = [
    (1,), (3,), (17,), (30,), (33,), (64,), (256,),
    (64, 64), (30, 17), (33, 3), (256, 30), (17, 256), (1, 64),
    (64, 33, 17), (30, 17, 5), (3, 64, 30),
]  # fmt: skip
ROWS = (1, 5, 13, 32, 128)
ACTIVATIONS = {"relu": torch.relu, "selu": torch.selu, "tanh": torch.tanh}


def gradient(net, x, targets, actions, rows):
    """Of half the mean squared error of the chosen actions' values."""
    mlp.forward(net, x, 0, 0, rows)
    head = net.layers[len(net.layers) - 1]
    n = head[OUTPUTS]
    for i in range(rows):
        for o in range(n):
            net.work[head[BELOW] + i * n + o] = np.float32(0.0)
        chosen = i * n + actions[i]
        error = net.work[head[OUT] + chosen] - targets[i]
        net.work[head[BELOW] + chosen] = error / np.float32(rows)
    mlp.turn(net, 0, 1)
    mlp.backward(net, 0, rows)
    mlp.gradients(net, x, 0, rows, 0, 1)
    mlp.decompose(net)


def share_of_gradients(net, x, rows, member, members):
    mlp.gradients(net, x, 0, rows, member, members)


def step(net, moments, lr, update):
    adam.squares(net, moments, 0, 1)
    adam.adam(net, moments, lr, update, 0.0, 0, 1)


@pytest.fixture(scope="module")
def kernels():
    return build("test gradients", [gradient, share_of_gradients, step], {})


def some_parameters(architecture, generator):
    """No bias at 0, no gain at 1: every term counts."""
    params = architecture.initial(int(generator.integers(1000)))
    return params + 0.1 * generator.standard_normal(params.shape).astype(np.float32)


def values_by_torch(architecture, tensors, x):
    for k in range(len(architecture.hidden)):
        name = f"layer{k + 1}"
        x = x @ tensors[f"{name}.weight"] + tensors[f"{name}.bias"]
        if architecture.layer_norm:
            gain, shift = tensors[f"{name}.gain"], tensors[f"{name}.shift"]
            x = torch.nn.functional.layer_norm(x, gain.shape, gain, shift)
        x = ACTIVATIONS[architecture.activation](x)
    if architecture.dueling:
        for_value, for_advantage = x.chunk(2, dim=-1)
        advantage = for_advantage @ tensors["advantage.weight"].T + tensors["advantage.bias"]
        value = for_value @ tensors["value.weight"].T + tensors["value.bias"]
        return value + advantage - advantage.mean(dim=-1, keepdim=True)
    return x @ tensors["head.weight"].T + tensors["head.bias"]


def gradients_by_torch(architecture, params, x, targets, actions, dtype):
    tensors = {
        name: torch.tensor(part, dtype=dtype, requires_grad=True)
        for name, part in architecture.views(params).items()
    }
    values = values_by_torch(architecture, tensors, torch.tensor(x, dtype=dtype))
    chosen = values[torch.arange(len(x)), torch.tensor(actions)]
    (0.5 * (chosen - torch.tensor(targets, dtype=dtype)) ** 2).mean().backward()
    return {name: tensor.grad.double().numpy() for name, tensor in tensors.items()}


def check(kernels, architecture, rows, seed):
    """Within 1e-5 of float64, by norms.

    Where a gradient is a small difference of large numbers (the shift of a layer of one unit) no
    float32 has its last digits: there, about as near as autograd's own in float32.
    """
    generator = np.random.default_rng(seed)
    params = some_parameters(architecture, generator)
    x = generator.standard_normal((rows, architecture.inputs)).astype(np.float32)
    targets = generator.standard_normal(rows).astype(np.float32)
    targets += 2.0 * np.sign(targets)  # no error is a small difference of large numbers
    actions = generator.integers(0, architecture.outputs, rows)
    net = mlp.net_of(architecture, rows, params)
    kernels.gradient(net, x.ravel(), targets, actions, rows)
    problem = (architecture, params, x, targets, actions)
    exact = gradients_by_torch(*problem, torch.float64)
    single = gradients_by_torch(*problem, torch.float32)
    for name, found in architecture.views(net.grads).items():
        off = np.linalg.norm(found - exact[name])
        # An advantage's gradient is what is left of one as large as the value's.
        beside = exact[name.replace("advantage", "value")]
        allowed = 1e-5 * np.linalg.norm(beside)
        allowed = max(allowed, 2.0 * np.linalg.norm(single[name] - exact[name]), 1e-12)
        assert off <= allowed, (name, architecture, rows, off, np.linalg.norm(exact[name]))


@pytest.mark.parametrize("layer_norm", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=lambda widths: "x".join(map(str, widths)))
def test_gradients_are_those_of_autograd(kernels, hidden, activation, layer_norm):
    for k, rows in enumerate(ROWS):
        inputs, outputs = (1, 3, 4, 8, 48)[k], (2, 5, 2, 1, 18)[k]
        architecture = Architecture(inputs, hidden, outputs, activation, layer_norm)
        check(kernels, architecture, rows, seed=rows)


def few_inputs(generator, rows, inputs, share):
    """Rows of which about this share is not 0, one of them none at all."""
    x = generator.standard_normal((rows, inputs)) * (generator.random((rows, inputs)) < share)
    x[0] = 0.0
    return x.astype(np.float32)


@pytest.mark.parametrize("hidden", [(256, 64), (33,), (17, 30)])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.26, 1.0])
def test_inputs_that_are_mostly_zeros_give_the_bits_of_whole_products(kernels, hidden, share):
    generator = np.random.default_rng(len(hidden))
    rows, inputs = 37, 120
    architecture = Architecture(inputs, hidden, 3)
    params = some_parameters(architecture, generator)
    x = few_inputs(generator, rows, inputs, share)
    targets = generator.standard_normal(rows).astype(np.float32)
    actions = generator.integers(0, 3, rows)
    picked, whole = (mlp.net_of(architecture, rows, params) for _ in range(2))
    whole = whole._replace(places=whole.places[:0])  # no room to note what is not 0
    for net in (picked, whole):
        kernels.gradient(net, x.ravel(), targets, actions, rows)
    assert (picked.found.min() >= 0) == (share < 0.25)
    assert whole.found.min() < 0
    np.testing.assert_array_equal(picked.grads, whole.grads)
    for members in (2, 3, 5):  # however many threads share the inputs
        shared = picked._replace(grads=np.full_like(picked.grads, np.nan))
        for member in range(members):
            kernels.share_of_gradients(shared, x.ravel(), rows, member, members)
        np.testing.assert_array_equal(shared.grads, picked.grads)


@pytest.mark.parametrize("actions", range(1, 19))
def test_any_number_of_actions(kernels, actions):
    for hidden in ((64, 64), (17,)):
        check(kernels, Architecture(4, hidden, actions), rows=32, seed=actions)


@pytest.mark.parametrize("actions", [1, 2, 3, 18])
@pytest.mark.parametrize("hidden", [(6,), (64,), (33, 30), (64, 64), (17, 256)])
def test_dueling_heads(kernels, hidden, actions):
    for rows in ROWS:
        architecture = Architecture(4, hidden, actions, dueling=True)
        check(kernels, architecture, rows, seed=rows)


def test_a_dueling_head_needs_two_halves():
    for hidden in ((), (64, 33)):
        with pytest.raises(UserError, match="must be even"):
            Architecture(4, hidden, 2, dueling=True)


OPTIMISERS = {"adam": torch.optim.Adam, "radam": torch.optim.RAdam}


@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize("updates", [1, 2, 6, 10, 40])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_steps_are_those_of_torch(kernels, optimiser, updates, clip):
    """The last of `updates` steps from the very same state; RAdam adapts from the sixth on."""
    generator = np.random.default_rng(updates)
    architecture = Architecture(4, (64, 33), 2)
    net = mlp.net_of(architecture, 1, some_parameters(architecture, generator))
    moments = adam.moments_of(net.params, optimiser, clip)
    tensor = torch.tensor(net.params, requires_grad=True)
    theirs = OPTIMISERS[optimiser]([tensor], lr=1e-3)
    for update in range(1, updates + 1):
        tensor.data.copy_(torch.from_numpy(net.params))
        if update > 1:
            theirs.state[tensor]["exp_avg"].copy_(torch.from_numpy(moments.first))
            theirs.state[tensor]["exp_avg_sq"].copy_(torch.from_numpy(moments.second))
        # Of every size, zeros among them: of units that no row reached.
        net.grads[:] = generator.standard_normal(net.grads.shape)
        net.grads[:] *= 10.0 ** generator.integers(-9, 1, net.grads.shape)
        net.grads[::7] = 0.0
        tensor.grad = torch.from_numpy(net.grads.copy())
        before = net.params.copy()
        kernels.step(net, moments, 1e-3, update)
        if clip:
            torch.nn.utils.clip_grad_norm_([tensor], clip)
        theirs.step()
    assert near(net.params, tensor.detach().numpy(), 1e-6)
    state = theirs.state[tensor]
    assert near(moments.first, state["exp_avg"].numpy(), 1e-6)
    assert near(moments.second, state["exp_avg_sq"].numpy(), 1e-6)
    # The step itself, to what is left of it in parameters of float32.
    assert near(net.params - before, tensor.detach().numpy() - before, 1e-4)


def near(found, expected, share):
    return np.linalg.norm(found - expected) <= share * np.linalg.norm(expected)
