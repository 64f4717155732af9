"""Every layer as a node gives what its own forward and backward give; Dense-like ones also when recorded."""

import copy

import numpy as np
import pytest

from enilnets.autodiff import Tensor, apply, grad, gradcheck, no_grad
from enilnets.errors import DTypeError, ShapeError, StateError
from enilnets.layers import (
    GRU,
    INFERENCE,
    LSTM,
    RNN,
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Mode,
    Residual,
    Sequential,
)
from enilnets.ops.activation import ACTIVATIONS
from tests.conformance.test_layers import CASES, IDS, Ids, batch, make, mode


@pytest.fixture(params=CASES, ids=IDS)
def case(request):
    return request.param


@pytest.mark.parametrize("training", [True, False])
def test_node_gives_the_gradients_of_the_layer(case, training, rng):
    layer, shape = make(case)
    twin = copy.deepcopy(layer)
    x = batch(shape)
    y, saved = layer.forward(x, mode(training))
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy, saved)
    leaf = Tensor(x, requires_grad=True)
    out = twin(leaf, mode(training))
    assert np.array_equal(out.data, y)
    if not out.requires_grad:
        return
    out.backward(dy, retain_graph=True)
    assert np.array_equal(leaf.grad, dx) or isinstance(shape, Ids)
    for p, q in zip(layer.parameters.values(), twin.parameters.values(), strict=True):
        assert np.array_equal(p.grad, q.grad)
    gathered = [p.grad.copy() for p in twin.parameters.values()]
    found = grad(out, [leaf, *twin.parameters.values()], dy)
    for g, p in zip(found[1:], layer.parameters.values(), strict=True):
        np.testing.assert_allclose(g.data, p.grad, rtol=1e-12)
    for p, g in zip(twin.parameters.values(), gathered, strict=True):
        assert np.array_equal(p.grad, g)
    out.backward(dy)  # what gradients were gathered was left alone, so this doubles them
    for p, g in zip(twin.parameters.values(), gathered, strict=True):
        np.testing.assert_allclose(p.grad, 2 * g)


SMOOTH = [name for name in ACTIVATIONS if name not in ("relu", "leakyrelu")]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_second_order_through_dense(activation, rng):
    layer = Dense(3, 4, activation, rng=0)
    x = rng.normal(size=(5, 3))
    assert gradcheck(lambda x: layer(x), x, second_order=True)
    assert gradcheck(lambda x: layer(x), x.reshape(5, 1, 3), second_order=True)

    def of_weights(w):
        twin = copy.deepcopy(layer)
        twin["weights"] = w.data
        leaf = Tensor(x, requires_grad=True)
        return (grad(twin(leaf).sum(), leaf, create_graph=True) ** 2).sum(), twin

    value, twin = of_weights(Tensor(layer["weights"]))
    value.backward()
    v = rng.normal(size=(4, 3))
    above, below = (float(of_weights(Tensor(layer["weights"] + s * 1e-5 * v))[0]) for s in (1, -1))
    analytic = float((twin["d_weights"] * v).sum())
    assert abs((above - below) / 2e-5 - analytic) <= 1e-6 * max(1, abs(analytic))


def test_second_order_through_containers(rng):
    body = Sequential([Flatten(), Dense(6, 6, "tanh", rng=1), Activation("gelu")])
    net = Sequential([body, Residual(Dense(6, 6, "softplus", rng=2)), Dense(6, 1, "linear", use_bias=False, rng=3)])
    assert gradcheck(lambda x: net(x), rng.normal(size=(4, 2, 3)), second_order=True)


def test_gradient_penalty(rng):
    """The WGAN-GP critic loss (Gulrajani et al. 2017, eq. 3): its parameter gradients by differences."""
    critic = Sequential([Dense(2, 8, "tanh", rng=0), Dense(8, 1, "linear", rng=1)])
    real, fake, t = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), rng.random((6, 1))

    def penalty(critic):
        between = Tensor(t * real + (1 - t) * fake, requires_grad=True)
        slope = grad(critic(between).sum(), between, create_graph=True)
        length = (slope * slope).sum(1).sqrt()
        return (critic(Tensor(fake)) - critic(Tensor(real))).mean() + 10 * ((length - 1) ** 2).mean()

    penalty(critic).backward()
    for name, parameter in critic.parameters.items():
        v = rng.normal(size=parameter.value.shape)
        values = []
        for step in (1e-5, -1e-5):
            twin = copy.deepcopy(critic)
            twin[name] = parameter.value + step * v
            values.append(float(penalty(twin)))
        assert abs((values[0] - values[1]) / 2e-5 - float((parameter.grad * v).sum())) < 1e-6


def test_energy_model_input_gradient(rng):
    """Langevin steps need dE/dx and no parameter gradient; the parameters stay untouched."""
    energy = Sequential([Dense(2, 8, "swish", rng=0), Dense(8, 1, "linear", rng=1)])
    x = Tensor(rng.normal(size=(4, 2)), requires_grad=True)
    slope = grad(energy(x).sum(), x)
    saved = energy.forward(x.data)[1]
    assert np.array_equal(slope.data, energy.backward(np.ones((4, 1)), saved, params=False))
    assert not any(p.fresh for p in energy.parameters.values())


def test_layers_that_cannot_be_recorded_say_so(rng):
    layer = Conv2D(1, 2, 3, rng=0)
    x = Tensor(rng.normal(size=(2, 1, 5, 5)), requires_grad=True)
    y = layer(x).sum()
    with pytest.raises(StateError, match=r"create_graph through Conv2D.*expected one of Dense.*do without"):
        grad(y, x, create_graph=True)
    assert grad(y, x).shape == x.shape


def test_ambient_mode_is_inference_and_modes_are_taken(rng):
    x = Tensor(np.ones((50, 4)))
    layer = Dropout(0.5)
    assert np.array_equal(layer(x).data, x.data)
    assert not layer(x, Mode(True, rng)).data.all()


def test_inputs_are_cast_but_for_ids():
    layer = Dense(2, 2, dtype="float32", rng=0)
    x = Tensor(np.ones((1, 2)), requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.dtype == np.float32 and x.grad.dtype == np.float64
    assert layer(Tensor(np.ones((1, 2), int))).dtype == np.float32
    table = Embedding(5, 3, rng=0)
    table(Tensor(np.array([[4, 4, 1]]))).sum().backward()
    assert table["d_weights"].tolist() == [[0] * 3, [1] * 3, [0] * 3, [0] * 3, [2] * 3]


def test_arrays_are_refused_and_apply_takes_them():
    layer = Dense(2, 3, rng=0)
    with pytest.raises(DTypeError, match=r"Dense\(2 -> 3\)\(x\): expected a Tensor.*ndarray.*forward"):
        layer(np.ones((1, 2)))
    assert apply(layer, np.ones((1, 2))).requires_grad
    with pytest.raises(ShapeError):
        layer(Tensor(np.ones((1, 3))))
    with no_grad():
        assert not layer(Tensor(np.ones((1, 2)))).requires_grad


def test_frozen_layers_get_no_gradient():
    layer = Dense(2, 3, rng=0)
    layer.frozen = True
    assert not layer(Tensor(np.ones((1, 2)))).requires_grad
    x = Tensor(np.ones((1, 2)), requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None and not layer.parameters["weights"].fresh


def test_a_parameter_changed_in_between_is_noticed():
    for layer in (Dense(2, 3, rng=0), Sequential([BatchNorm(2), Dense(2, 3, rng=0)])):
        x = Tensor(np.ones((1, 2)), requires_grad=True)
        y = layer(x).sum()
        name = list(layer.parameters)[-2]
        layer[name] = layer[name] + 1
        with pytest.raises(StateError, match="changed since"):
            y.backward()
        assert x.grad is None and not any(p.fresh for p in layer.parameters.values())


class Scaled(Dense):
    """A layer with a second input, whose gradients come in a pair."""

    def forward(self, x, mode=INFERENCE, *, scale=None, shift=0.0):
        y, saved = super().forward(x, mode)
        return (y, (saved, None)) if scale is None else (y * scale + shift, (saved, (y, scale)))

    def backward(self, dy, saved, *, params=True, inputs=True):
        saved, pair = saved
        if pair is None:
            return super().backward(dy, saved, params=params, inputs=inputs)
        dx = super().backward(dy * pair[1], saved, params=params, inputs=inputs)
        return (dx, dy * pair[0]) if inputs else None


def test_layers_of_several_inputs(rng):
    layer = Scaled(3, 2, "tanh", rng=0)
    x, scale = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    assert gradcheck(lambda x, s: layer(x, scale=s, shift=2.0), x, scale)
    assert gradcheck(lambda s: apply(layer, x, scale=s), scale) and gradcheck(lambda x: layer(x, scale=scale), x)
    s = Tensor(scale.astype(np.float32), requires_grad=True)
    y = layer(Tensor(x), scale=s)
    y.sum().backward()
    assert s.grad.dtype == np.float32 and layer.parameters["weights"].fresh
    found = grad(layer(Tensor(x), scale=s).sum(), [s, layer.parameters["weights"]])
    np.testing.assert_allclose(found[1].data, layer["d_weights"])
    with pytest.raises(StateError, match=r"backward through Dense.*detach"):
        layer(Tensor(x, requires_grad=True), shift=s).sum().backward()


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_gradients_of_the_state_a_recurrent_layer_begins_with(kind, rng):
    """What a decoder needs that begins with the state of an encoder."""
    layer = kind(3, 4, num_layers=2, bidirectional=True, return_sequences=True, rng=0)
    x, states = rng.normal(size=(2, 5, 3)), list(rng.normal(size=(2 if kind is LSTM else 1, 4, 2, 4)))

    def run(x, *states):
        return layer(x, state=states if len(states) > 1 else states[0], lengths=[5, 3])

    assert gradcheck(run, x, *states)
    for i, one in enumerate(states):
        others = states[:i], states[i + 1 :]
        assert gradcheck(lambda h, others=others: run(Tensor(x), *others[0], h, *others[1]), one)
    w = layer.parameters["weights"]
    h = [Tensor(state.astype(np.float32), requires_grad=True) for state in states]
    y = run(Tensor(x), *h).sum()
    found = grad(y, [*h, w])
    assert not w.fresh
    y.backward()
    np.testing.assert_array_equal(w.grad, found[-1].data)
    assert all((a.grad == b.data).all() and a.grad.dtype == np.float32 for a, b in zip(h, found, strict=False))
