"""RNN, LSTM and GRU as layers: states in and out, lengths, resets, dropout, what they begin with, what they refuse."""

import copy

import numpy as np
import pytest

from enilnets.errors import ConfigError, DataError, DTypeError, ShapeError, StateError
from enilnets.layers import GRU, LSTM, RNN, Mode
from tests.gradients import check_direction

KINDS = [RNN, LSTM, GRU]


def as_list(state):
    return list(state) if isinstance(state, tuple) else [state]


def training(seed=0):
    return Mode(True, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "stack", [{}, {"num_layers": 2}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}]
)
def test_gradients_with_states_lengths_and_resets(kind, stack, rng):
    """C-1: all of it together, against central differences, in training with fixed dropout masks."""
    layer = kind(3, 4, **stack, return_sequences=True, dropout=0.3, recurrent_dropout=0.3, rng=1)
    x, lengths, reset = rng.normal(size=(4, 5, 3)), [5, 2, 1, 4], rng.random((4, 5)) < 0.3
    shape = (layer.num_layers * layer.directions, 4, 4)
    first = [rng.normal(size=shape) for _ in range(2 if kind is LSTM else 1)]
    last = [rng.normal(size=shape) for _ in first]

    def states(arrays):
        return tuple(arrays) if kind is LSTM else arrays[0]

    def run(layer, x, first):
        return layer.forward(x, training(), state=states(first), lengths=lengths, reset=reset)

    y, saved = run(layer, x, first)
    dy = rng.normal(size=y.shape)
    dx, dfirst = layer.backward_with_state(dy, saved, states(last))

    def loss(layer, x, first):
        y, saved = run(layer, x, first)
        ends = zip(as_list(layer.final_state(saved)), last, strict=True)
        return float(np.sum(y * dy)) + sum(float(np.sum(a * d)) for a, d in ends)

    check_direction(lambda v: loss(layer, v, first), x, dx, rng)
    for i, gradient in enumerate(as_list(dfirst)):
        check_direction(
            lambda v, i=i: loss(layer, x, [v if i == k else a for k, a in enumerate(first)]), first[i], gradient, rng
        )
    for name, parameter in layer.parameters.items():

        def of_parameter(value, name=name):
            twin = copy.deepcopy(layer)
            twin[name] = value
            return loss(twin, x, first)

        check_direction(of_parameter, parameter.value.copy(), parameter.grad, rng)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_output_is_that_of_each_sequence(kind, rng):
    layer = kind(3, 4, num_layers=2, bidirectional=True, rng=0)
    whole = kind(3, 4, num_layers=2, bidirectional=True, return_sequences=True, rng=0)
    x, lengths = rng.normal(size=(3, 6, 3)), np.array([4, 6, 1])
    last, _ = layer.forward(x, lengths=lengths)
    y, saved = whole.forward(x, lengths=lengths)
    assert np.array_equal(last[:, :4], y[np.arange(3), lengths - 1, :4])  # forward: at the end
    assert np.array_equal(last[:, 4:], y[:, 0, 4:])  # backward: at the beginning
    h = as_list(whole.final_state(saved))[0]
    assert np.array_equal(last, np.concatenate([h[2], h[3]], axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_mode_carries_what_the_arguments_say(kind, rng):
    layer = kind(3, 4, return_sequences=True, rng=0)
    x, lengths, reset = rng.normal(size=(3, 6, 3)), np.array([4, 6, 1]), rng.random((3, 6)) < 0.3
    _, saved = layer.forward(x)
    state = layer.final_state(saved)
    by_argument, _ = layer.forward(x, state=state, lengths=lengths, reset=reset)
    by_mode, _ = layer.forward(x, Mode(lengths=lengths, reset=reset, states={layer: state}))
    assert np.array_equal(by_argument, by_mode)
    plain, _ = layer.forward(x)
    assert not np.array_equal(by_mode, plain)
    assert np.array_equal(layer.forward(x, Mode(states={kind(3, 4): state}))[0], plain)  # of another layer


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_remembers_nothing(kind, rng):
    layer = kind(3, 4, rng=0)
    x = rng.normal(size=(2, 5, 3))
    before, _ = layer.forward(x)
    _, saved = layer.forward(rng.normal(size=(2, 5, 3)), training())
    final = as_list(layer.final_state(saved))[0]
    final[...] = 7
    assert np.array_equal(layer.forward(x)[0], before)
    assert not (as_list(layer.final_state(saved))[0] == 7).any()


def test_what_the_weights_begin_with():
    layer = LSTM(3, 5, num_layers=2, bidirectional=True, rng=0)
    for name, parameter in layer.parameters.items():
        if name.startswith("recurrent_weights"):
            for gate in parameter.value.reshape(4, 5, 5):
                np.testing.assert_allclose(gate @ gate.T, np.eye(5), atol=1e-12)
        elif name.startswith("weights"):
            bound = np.sqrt(6 / (parameter.value.shape[1] + 5))
            assert 0.5 * bound < np.abs(parameter.value).max() <= bound
        else:
            assert parameter.value.tolist() == [0] * 5 + [1] * 5 + [0] * 10
        assert parameter.penalised == (not name.startswith("bias"))
    assert LSTM(3, 5, forget_bias=0.25)["bias"][5:10].tolist() == [0.25] * 5
    assert not any(p.value.any() for p in GRU(3, 5, init_method="zeros").parameters.values())


def test_names_and_shapes_of_the_parameters():
    layer = GRU(3, 5, num_layers=2, bidirectional=True)
    assert list(layer.parameters) == [
        f"{name}{number}{direction}"
        for number in ("", "_1")
        for direction in ("", "_reverse")
        for name in ("weights", "recurrent_weights", "bias")
    ]
    assert layer["weights_1_reverse"].shape == (15, 10) and layer["bias"].shape == (20,)
    assert layer["recurrent_weights_1"].shape == (15, 5) and layer.n_parameters == 2 * (45 + 150 + 2 * (75 + 20))


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_dropout_drops_the_same_units_at_every_step(kind, rng):
    layer = kind(2, 50, return_sequences=True, recurrent_dropout=0.4, rng=0)
    x = rng.normal(size=(3, 6, 2))
    y, saved = layer.forward(x, training())
    kept = saved.passes[0]
    assert set(np.unique(kept.mask)) == {0, 1 / 0.6} and (kept.mask[0] != kept.mask[1]).any()
    np.testing.assert_allclose(kept.xh[1:, :, 3:], kept.hs[1:-1] * kept.mask)
    again, _ = layer.forward(x, training())
    other, _ = layer.forward(x, training(1))
    assert np.array_equal(y, again) and not np.array_equal(y, other)
    inference, saved = layer.forward(x)
    assert saved.passes[0].mask is None and not np.array_equal(inference, y)


def test_dropout_between_layers_is_undone_with_the_rate_it_had(rng):
    layer = GRU(2, 5, num_layers=2, dropout=0.5, rng=0)
    x = rng.normal(size=(3, 4, 2))
    y, saved = layer.forward(x, training())
    expected = layer.backward(y, saved)
    layer["dropout"] = 0.1
    assert np.array_equal(layer.backward(y, saved), expected)
    assert saved.masks[0] is None and saved.masks[1][0].shape == (3, 4, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_inference_alone_keeps_nothing(kind, rng):
    layer = kind(2, 5, rng=0)
    x = rng.normal(size=(3, 4, 2))
    y, saved = layer.forward(x, Mode(backward=False))
    assert saved.passes == [None] and np.array_equal(y, layer.forward(x)[0])
    assert as_list(layer.final_state(saved))[0].shape == (1, 3, 5)
    with pytest.raises(StateError, match="kept nothing"):
        layer.backward(y, saved)


@pytest.mark.parametrize("settings", [{}, {"bidirectional": True, "return_sequences": True}])
def test_gradients_of_another_shape_are_refused(settings, rng):
    layer = GRU(2, 3, rng=0, **settings)
    y, saved = layer.forward(rng.normal(size=(2, 4, 2)))
    for dy in (np.zeros((*y.shape[:-1], y.shape[-1] + 1)), np.zeros(y.shape[1:])):
        with pytest.raises(ShapeError, match=r"GRU\(2 -> 3\).backward\(dy\)"):
            layer.backward(dy, saved)
    assert not any(p.fresh for p in layer.parameters.values())


def test_gradient_of_the_state_alone(rng):
    """Where only the final state is read, there is no gradient of the outputs."""
    layer = LSTM(2, 3, rng=0)
    _, saved = layer.forward(rng.normal(size=(2, 4, 2)))
    dh = rng.normal(size=(1, 2, 3))
    dx, _ = layer.backward_with_state(None, saved, (dh, np.zeros_like(dh)))
    np.testing.assert_allclose(dx, layer.backward(dh[0], saved), rtol=1e-13)


X = np.zeros((2, 4, 3))


@pytest.mark.parametrize(
    "error, words, x, given",
    [
        (ShapeError, r"LSTM\(3 -> 5\).*\(batch, time, 3\).*\(batch, 4, 2\)", X[..., :2], {}),
        (ShapeError, "return_sequences=True", X[:, 0], {}),
        (ShapeError, "at least one step", X[:, :0], {}),
        (DataError, r"LSTM\(3 -> 5\)\(lengths\).*1 to 4.*got 5", X, {"lengths": [5, 1]}),
        (DataError, "1 to 4.*got 0", X, {"lengths": [1, 0]}),
        (ShapeError, r"\(2,\).*\(3,\)", X, {"lengths": [1, 2, 3]}),
        (ShapeError, r"reset.*\(2, 4\).*\(4, 2\)", X, {"reset": np.zeros((4, 2), bool)}),
        (DTypeError, "reset.*booleans", X, {"reset": np.zeros((2, 4), int)}),
        (ShapeError, r"a pair \(h, c\)", X, {"state": np.zeros((1, 2, 5))}),
        (ShapeError, r"\(1, 2, 5\).*\(1, 3, 5\)", X, {"state": (np.zeros((1, 3, 5)), np.zeros((1, 3, 5)))}),
        (ShapeError, r"\(1, 2, 5\).*\(2, 5\)", X, {"state": (np.zeros((2, 5)), np.zeros((2, 5)))}),
        (DTypeError, "float64.*float32", X, {"state": (np.zeros((1, 2, 5), np.float32),) * 2}),
    ],
)
def test_what_forward_refuses(error, words, x, given):
    layer = LSTM(3, 5, rng=0)
    with pytest.raises(error, match=words):
        layer.forward(x, **given)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_in": 0},
        {"hidden_size": 2.5},
        {"num_layers": 0},
        {"num_layers": 10**9},
        {"bidirectional": 1},
        {"return_sequences": "yes"},
        {"dropout": 1.0},
        {"recurrent_dropout": -0.1},
        {"init_method": "unknown"},
        {"forget_bias": np.nan},
    ],
)
def test_what_the_constructor_refuses(settings):
    with pytest.raises(ConfigError, match=next(iter(settings)).split("_")[0]):
        LSTM(**{"n_in": 3, "hidden_size": 4, **settings})


def test_dropout_needs_a_generator():
    with pytest.raises(StateError, match="random generator"):
        GRU(3, 4, recurrent_dropout=0.5).forward(X, Mode(training=True))
    with pytest.raises(ConfigError, match="tanh, relu"):
        RNN(3, 4, activation="sigmoid")
