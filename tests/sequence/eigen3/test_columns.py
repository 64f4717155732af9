"""The encoder of columns behind FeatureExtractor: gradients, chunks, recomputation, statistics, the short run."""

import copy

import numpy as np
import pytest

from enilnets.errors import ConfigError, DataError, ShapeError, StateError
from enilnets.layers import Mode
from enilnets.ops.recurrent import lstm
from enilnets.sequence.eigen3.columns import ColumnEncoder
from enilnets.sequence.eigen3.recurrence import Cell, last_steps
from tests.gradients import check_direction

COLUMNS, FEATURES = 5, 3


def make(chunk=64, rate=0.0, remat=True, layers=2, dtype="float64"):
    encoder = ColumnEncoder(COLUMNS, FEATURES, 4, 6, layers, chunk, rate, remat, dtype=dtype, rng=1)
    shake = np.random.default_rng(3)
    for parameter in encoder.parameters.values():
        parameter.value[...] += 0.2 * shake.normal(size=parameter.value.shape)
    return encoder


def states(rng, batch=2, time=7):
    return rng.normal(size=(batch, time, COLUMNS, FEATURES))


def run(encoder, x, dy, training=True):
    """Output, state gradient, parameter gradients and running statistics of one pass; dropout from a fixed seed."""
    y, saved = encoder.forward(x, Mode(training, np.random.default_rng(5)))
    dx = encoder.backward(dy, saved)
    gradients = {name: parameter.grad.copy() for name, parameter in encoder.parameters.items()}
    for parameter in encoder.parameters.values():
        parameter.fresh = False
    return {"y": y, "dx": dx, **gradients, **{name: buffer.copy() for name, buffer in encoder.buffers.items()}}


def assert_same(ours, theirs, atol=1e-12):
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("training", "rate"), [(False, 0.0), (True, 0.0), (True, 0.4)])
def test_gradients(rng, layers, training, rate):
    """B-1: state and parameters, through the statistics of the batch, with dropout, for several chunks."""
    encoder, x = make(2, rate, layers=layers), states(rng, time=5)
    dy = rng.normal(size=(2, COLUMNS, 12))
    found = run(encoder, x, dy, training)

    def loss(x):
        return float((encoder.forward(x, Mode(training, np.random.default_rng(5)))[0] * dy).sum())

    check_direction(loss, x, found["dx"], rng)
    for name, parameter in encoder.parameters.items():
        if training and name == "conv.bias":  # batch normalisation takes every constant away again
            np.testing.assert_allclose(found[name], 0, atol=1e-12)
            continue

        def at(value, parameter=parameter):
            before = parameter.value.copy()
            parameter.value[...] = value
            result = loss(x)
            parameter.value[...] = before
            return result

        check_direction(at, parameter.value.copy(), found[name], rng)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_chunks_change_nothing(rng, training, chunk):
    """B1.5, also in training: statistics and gradients are those of all columns, ragged last chunk included."""
    x, dy = states(rng), rng.normal(size=(2, COLUMNS, 12))
    x[0, 3, 1, 2] = np.nan
    assert_same(run(make(chunk), x, dy, training), run(make(), x, dy, training))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_remat_changes_nothing(rng, training, rate):
    """B1.6: bit for bit, the masks of dropout included; running statistics move once."""
    x, dy = states(rng), rng.normal(size=(2, COLUMNS, 12))
    assert_same(run(make(2, rate), x, dy, training), run(make(2, rate, remat=False), x, dy, training), atol=0)


def test_going_back_twice_adds_the_same_again(rng):
    """What was given up after the first time is run again."""
    encoder, x, dy = make(2, 0.5), states(rng), rng.normal(size=(2, COLUMNS, 12))
    _, saved = encoder.forward(x, Mode(True, rng))
    first = encoder.backward(dy, saved)
    gradient = encoder["d_lstm.0.forward.w"].copy()
    np.testing.assert_array_equal(encoder.backward(dy, saved), first)
    np.testing.assert_allclose(encoder["d_lstm.0.forward.w"], 2 * gradient, rtol=1e-14)


def test_parts_of_the_gradient(rng):
    encoder, x, dy = make(2), states(rng), rng.normal(size=(2, COLUMNS, 12))
    whole = run(encoder, x, dy)
    _, saved = encoder.forward(x, Mode(True, rng))
    assert encoder.backward(dy, saved, inputs=False) is None
    np.testing.assert_array_equal(encoder["d_conv.weights"], whole["conv.weights"])
    for parameter in encoder.parameters.values():
        parameter.fresh = False
    np.testing.assert_array_equal(encoder.backward(dy, saved, params=False), whole["dx"])
    assert not any(parameter.fresh for parameter in encoder.parameters.values())
    assert encoder.backward(dy, saved, params=False, inputs=False) is None


def test_frozen_uses_the_running_statistics(rng):
    encoder, x, dy = make(2), states(rng), rng.normal(size=(2, COLUMNS, 12))
    expected = run(make(2), x, dy, training=False)
    encoder.frozen = True
    found = run(encoder, x, dy)
    assert_same({name: found[name] for name in ("y", "dx", *encoder.buffers)}, {n: expected[n] for n in ("y", "dx")})
    np.testing.assert_array_equal(found["norm.running_mean"], 0)
    assert not found["conv.weights"].any()


@pytest.mark.parametrize("time", [3, 4, 20, 21])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_short_reverse_run_is_exact(rng, time, layers):
    """B3: the last layer's outputs at the last three steps, beside those of running it over all steps."""

    def cell(n_in):
        return Cell(rng.normal(size=(16, n_in)), rng.normal(size=(16, 4)), rng.normal(size=16))

    cells = [(cell(5 if layer == 0 else 8), cell(5 if layer == 0 else 8)) for layer in range(layers)]
    x = rng.normal(size=(3, time, 5))
    h = x
    for along, against in cells:
        h = np.concatenate((lstm(h, *along)[0], lstm(h, *against, reverse=True)[0]), axis=2)
    y, saved = last_steps(x, cells, keep=False)
    np.testing.assert_allclose(y, h[:, -3:].mean(axis=1), rtol=0, atol=1e-14)
    assert saved is None


def test_running_statistics_by_hand(rng):
    """B3.3: they move by 1 % of the batch's, once per training pass, over batch, all columns and steps."""
    encoder, x = make(2), states(rng)
    w, b = encoder["conv.weights"], encoder["conv.bias"]
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    z = sum(np.einsum("btcf,of->btco", padded[:, i : i + 7], w[:, :, i]) for i in range(3)) + b
    encoder.forward(x)
    assert not encoder["norm.running_mean"].any()
    encoder.forward(x, Mode(True, rng))
    np.testing.assert_allclose(encoder["norm.running_mean"], 0.01 * z.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(encoder["norm.running_var"], 0.99 + 0.01 * z.var(axis=(0, 1, 2)), rtol=1e-12)


def test_statistics_far_from_zero():
    """Prices of 1e4 that move by 1: the variance survives the merging of chunks in float32."""
    x = (1e4 + np.random.default_rng(0).normal(size=(2, 30, COLUMNS, FEATURES))).astype(np.float32)
    encoder = make(2, dtype="float32")
    chunks = [slice(0, 2), slice(2, 4), slice(4, 5)]
    z = np.concatenate([encoder._convolved(encoder._rows(x, chunk))[0] for chunk in chunks], dtype=np.float64)
    found = encoder._of_batch(x, chunks)
    np.testing.assert_allclose(found.mean, z.mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(found.var, z.var(axis=(0, 2)), rtol=1e-5)


def test_missing_values_count_as_zero(rng):
    """B1.4, B3.6: NaN is 0 before the normalisation, poisons nothing and gets no gradient."""
    x, dy = states(rng), rng.normal(size=(2, COLUMNS, 12))
    x[0, 2, 1, 1] = np.nan
    x[:, :, 3] = np.nan
    found, filled = run(make(2), x, dy), run(make(2), np.nan_to_num(x), dy)
    assert all(np.isfinite(part).all() for part in found.values())
    filled["dx"][np.isnan(x)] = 0
    assert_same(found, filled, atol=0)
    everything = run(make(2), np.full_like(x, np.nan), dy)
    assert all(np.isfinite(part).all() for part in everything.values())


def test_dtypes(rng, dtype):
    encoder = make(dtype=dtype.name)
    y, _ = encoder.forward(states(rng).astype(np.float64))
    assert y.dtype == dtype
    assert encoder.forward(states(rng).astype(np.float32)[:, ::-1])[0].dtype == dtype


@pytest.mark.parametrize("shape", [(2, 7, 4, 3), (2, 7, 5, 2), (2, 2, 5, 3), (7, 5, 3), (2, 7, 5, 3, 1)])
def test_wrong_shapes(shape):
    with pytest.raises(ShapeError, match=r"FeatureExtractor\(5 columns, 3 features\): expected input of shape"):
        make().forward(np.zeros(shape))


def test_bad_numbers(rng):
    """Infinities are named by their place in the state and move no statistics."""
    x = states(rng)
    x[1, 6, 4, 2] = np.inf
    encoder = make(2)
    with pytest.raises(DataError, match=r"got inf at index \(1, 6, 4, 2\); only NaN stands for a missing value"):
        encoder.forward(x, Mode(True, rng))
    assert not encoder["norm.running_mean"].any()
    x[1, 6, 4, 2] = 1e300
    with pytest.raises(DataError, match=r"1e\+300 at index"):
        make(dtype="float32").forward(x)


def test_bad_settings():
    for name, value in [("num_columns", 0), ("column_chunk_size", 0), ("dropout_rate", 1.0), ("use_remat", 1)]:
        with pytest.raises(ConfigError, match=rf"FeatureExtractor\({name}\)"):
            ColumnEncoder(**{"num_columns": 2, name: value})
    with pytest.raises(StateError, match="a random generator"):
        make(rate=0.1).forward(np.zeros((1, 3, COLUMNS, FEATURES)), Mode(True))


def test_shapes_and_copies(rng):
    encoder, x = make(), states(rng)
    found = {name: array.shape for name, array in encoder.arrays().items()}
    assert found == ColumnEncoder.shapes(encoder.config())
    encoder.forward(x, Mode(True, rng))
    twin = copy.deepcopy(encoder)
    np.testing.assert_array_equal(twin.forward(x)[0], encoder.forward(x)[0])
    twin["norm.running_mean"] += 1
    assert abs(encoder["norm.running_mean"]).max() < 1
