"""FeatureExtractor as documented: B1.1 to B1.6, sizes of B2, defects of B3."""

import sys

import numpy as np
import pytest

from benchmarks.learning.eigen3 import learn_ramps, memory_saved
from enilnets.autodiff import Tensor, no_grad
from enilnets.errors import ConfigError, DataError, ShapeError
from enilnets.sequence import FeatureExtractor

SMALL = dict(num_columns=6, cnn_filters=4, lstm_hidden_size=5)


def states(rng, batch=2, time=9, columns=6, features=5):
    return rng.normal(size=(batch, time, columns, features)).astype(np.float32)


def test_documented_sizes():
    """B1.1, B2: the defaults, 559,680 parameters, whatever the number of days."""
    extractor = FeatureExtractor(rng=0)
    assert len(extractor.columns.parameters) == 4 + 2 * 2 * 3
    assert sum(parameter.size for _, parameter in extractor.named_parameters()) == 559_680
    assert sum(buffer.size for _, buffer in extractor.named_buffers()) == 64
    layer = extractor.columns
    assert layer.config() == dict(
        num_columns=669,
        num_features=5,
        cnn_filters=32,
        lstm_hidden_size=128,
        lstm_num_layers=2,
        column_chunk_size=64,
        dropout_rate=0.1,
        use_remat=True,
    )
    assert layer["conv.weights"].shape == (32, 5, 3) and layer["lstm.1.reverse.w"].shape == (512, 256)
    assert extractor.dtype == np.float32 and extractor.width == 256


def test_documented_shape():
    """B1.2: (1, 3, 669, 5) to (1, 669, 256) with the defaults, and finite."""
    features = FeatureExtractor(rng=0).infer(states(np.random.default_rng(0), 1, 3, 669))
    assert features.shape == (1, 669, 256) and np.isfinite(features).all() and features.std() > 0


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("time", [3, 8, 20, 21])
def test_any_batch_and_time(rng, batch, time):
    """B1.2, B3.1, B3.2: the same parameters for every number of days."""
    extractor = FeatureExtractor(**SMALL, rng=0)
    for train in (False, True):
        assert extractor(states(rng, batch, time), train=train).shape == (batch, 6, 10)


def test_initial_values():
    """B2: LeCun's normal, orthogonal gate by gate, no bias anywhere, momentum and epsilon of Flax."""
    layer = FeatureExtractor(2, rng=0).columns
    for name, fan_in in (("conv.weights", 15), ("lstm.0.forward.w", 32), ("lstm.1.reverse.w", 256)):
        bound = 2 / 0.8796256610342398 / np.sqrt(fan_in)
        assert layer[name].std() == pytest.approx(1 / np.sqrt(fan_in), rel=0.1) and np.abs(layer[name]).max() <= bound
    for gate in layer["lstm.0.reverse.u"].reshape(4, 128, 128):
        np.testing.assert_allclose(gate @ gate.T, np.eye(128), atol=1e-5)
    assert not any(layer[name].any() for name in layer.parameters if name.endswith((".b", "bias", "beta")))
    same, other = FeatureExtractor(2, rng=0).columns, FeatureExtractor(2, rng=1).columns
    np.testing.assert_array_equal(same["lstm.1.forward.u"], layer["lstm.1.forward.u"])
    assert not np.array_equal(other["lstm.1.forward.u"], layer["lstm.1.forward.u"])


def test_the_convolution_runs_over_time(rng):
    """B3.2: a change on one day reaches the convolution of its neighbours in time, of its own column alone."""
    layer = FeatureExtractor(**SMALL, rng=0).columns
    x = states(rng, 1)
    moved = x.copy()
    moved[0, 4, 2, 1] += 1
    z, other = (layer._convolved(layer._rows(a, slice(0, 6)))[0] for a in (x, moved))
    assert z.shape == (6, 4, 9)
    changed = np.argwhere(np.abs(z - other).max(axis=1) > 0)
    assert changed.tolist() == [[2, 3], [2, 4], [2, 5]]


def test_columns_are_encoded_alike_and_apart(rng):
    """B1.3: a column's features are the same wherever it stands, and the order of days matters."""
    extractor, x = FeatureExtractor(**SMALL, rng=0), states(rng)
    order = rng.permutation(6)
    y = extractor.infer(x)
    np.testing.assert_allclose(extractor.infer(x[:, :, order]), y[:, order], rtol=0, atol=1e-6)
    assert np.abs(extractor.infer(x[:, ::-1]) - y).max() > 1e-3


@pytest.mark.parametrize("missing", ["one", "column", "all"])
@pytest.mark.parametrize("train", [False, True])
def test_nan_in_no_nan_out(rng, missing, train):
    """B1.4, B3.6: as if there was 0; running statistics too."""
    x = states(rng)
    x[{"one": (0, 2, 1, 3), "column": (slice(None), slice(None), 4), "all": ...}[missing]] = np.nan
    found, filled = FeatureExtractor(**SMALL, dropout_rate=0, rng=0), FeatureExtractor(**SMALL, dropout_rate=0, rng=0)
    features = found(x, train=train)
    assert np.isfinite(features.data).all()
    np.testing.assert_array_equal(features.data, filled(np.nan_to_num(x), train=train).data)
    for (_, ours), (_, theirs) in zip(found.named_buffers(), filled.named_buffers(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("chunk", [1, 7, 64, 669])
def test_chunks_at_inference(chunk):
    """B1.5: 1, 7 and 64 columns at a time, 669 = 10 x 64 + 29."""
    x = states(np.random.default_rng(0), 1, 3, 669)
    sizes = dict(cnn_filters=8, lstm_hidden_size=8, rng=0)
    expected = FeatureExtractor(**sizes, column_chunk_size=1000).infer(x)
    np.testing.assert_allclose(FeatureExtractor(**sizes, column_chunk_size=chunk).infer(x), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("chunk", [2, 64])
def test_remat(rng, chunk):
    """B1.6: same loss, same gradients, dropout included."""
    x, results = states(rng), []
    for remat in (True, False):
        extractor = FeatureExtractor(**SMALL, column_chunk_size=chunk, use_remat=remat, dropout_rate=0.5, rng=0)
        loss = (extractor(x, train=True) ** 2).mean()
        loss.backward()
        results.append((float(loss), extractor.arena.gradients.copy()))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory of a process is read from /proc")
def test_chunks_save_memory():
    """B-1, B1.6: a training pass in 16 chunks takes less than a third of what it takes in one, or without remat."""
    assert min(memory_saved()) > 3


def test_training_and_inference(rng):
    """B1.17: inference repeats, dropout and batch statistics do not."""
    extractor, x = FeatureExtractor(**SMALL, dropout_rate=0.5, rng=0), states(rng)
    np.testing.assert_array_equal(extractor(x, train=False).data, extractor(x).data)
    assert np.abs(extractor(x, train=True).data - extractor(x, train=True).data).max() > 1e-3
    extractor.training = False
    np.testing.assert_array_equal(extractor(x, train=True).data, extractor(x).data)


def test_the_model_protocol(rng):
    """Forward, backward, step: the loss of one batch falls; the gradient of the state on request."""
    extractor, x = FeatureExtractor(**SMALL, learning_rate=0.01, rng=0), states(rng)
    target = rng.normal(0, 0.3, size=(2, 6, 10)).astype(np.float32)
    losses = []
    for _ in range(40):
        y, ctx = extractor.forward(x, train=True)
        losses.append(float(np.square(y - target).mean()))
        assert extractor.backward(ctx, (y - target) / y.size) is None
        extractor.step()
    assert losses[-1] < 0.7 * losses[0]
    y, ctx = extractor.forward(x)
    assert extractor.backward(ctx, y, params=False, inputs=True).shape == x.shape
    state = Tensor(x, requires_grad=True)
    extractor(state).sum().backward()
    assert state.grad.shape == x.shape and state.grad.any()


def test_inference_keeps_nothing(rng):
    extractor, x = FeatureExtractor(**SMALL, rng=0), states(rng)
    with no_grad():
        assert not extractor(x).requires_grad
    np.testing.assert_array_equal(extractor.infer(x), extractor(x).data)


def test_ramps_quickly():
    """B-2, small: what happens at the end of a window is learned, and lost when its days are shuffled."""
    accuracy, shuffled = learn_ramps(0, steps=60)
    assert accuracy > 0.95 and shuffled < 0.6


def test_bad_states():
    extractor = FeatureExtractor(**SMALL, rng=0)
    for shape in [(2, 9, 5, 5), (2, 9, 6, 4), (9, 6, 5), (2, 2, 6, 5), (5,), ()]:
        with pytest.raises(ShapeError, match=r"FeatureExtractor\(6 columns, 5 features\)"):
            extractor(np.zeros(shape))
    with pytest.raises(ShapeError, match="mean of the last 3 steps"):
        extractor(np.zeros((1, 2, 6, 5)))
    x = np.zeros((1, 4, 6, 5))
    x[0, 3, 5, 2] = -np.inf
    with pytest.raises(DataError, match=r"-inf at index \(0, 3, 5, 2\)"):
        extractor(x)
    with pytest.raises(ConfigError, match="lstm_hidden_size"):
        FeatureExtractor(lstm_hidden_size=0)


def test_an_empty_batch(rng):
    """B1.2: inference has nothing to say about nothing; training has no statistics, and takes none."""
    extractor = FeatureExtractor(**SMALL, rng=0)
    assert extractor.infer(states(rng, 0)).shape == (0, 6, 10)
    with pytest.raises(DataError, match="at least one sample"):
        extractor.forward(states(rng, 0), train=True)
    assert np.isfinite(extractor.infer(states(rng))).all()


def test_outliers_do_not_spoil_the_running_statistics(rng):
    """B3.6: a finite number whose square is none in float32 would make the running variance infinite for good."""
    extractor, x = FeatureExtractor(**SMALL, rng=0), states(rng)
    before = extractor.clone()
    x[1, 2, 3, 4] = 1e25
    with pytest.raises(DataError, match=r"\(state\): expected numbers whose variance is one of float32, got up to 1e"):
        extractor.forward(x, train=True)
    x[1, 2, 3, 4] = 0
    np.testing.assert_array_equal(extractor.infer(x), before.infer(x))


def test_masked_entries_are_not_taken_for_numbers(rng):
    with pytest.raises(DataError, match="masked"):
        FeatureExtractor(**SMALL, rng=0)(np.ma.masked_less(states(rng), 0))
