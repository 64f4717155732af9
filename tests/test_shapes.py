"""Random shapes and settings: networks train, foretell their shapes, or say clearly why not."""

import itertools

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from enilnets import NeuralNet
from enilnets.errors import EnilnetsError
from enilnets.ops.activation import ACTIVATIONS
from enilnets.optim import OPTIMIZERS

RUNS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
names = st.sampled_from(sorted(set(ACTIVATIONS) - {"softmax"}))
dtypes = st.sampled_from(["float32", "float64"])


@RUNS
@given(
    batch=st.integers(1, 5),
    widths=st.lists(st.integers(1, 33), min_size=2, max_size=5),
    activation=names,
    dtype=dtypes,
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    data=st.data(),
)
def test_dense_chains(batch, widths, activation, dtype, optimizer, data):
    net = NeuralNet(1e-3, optimizer, dtype=dtype, rng=0)
    for n_in, n_out in itertools.pairwise(widths):
        net.add_dense(n_in, n_out, activation=activation)
    x = data.draw(hnp.arrays(dtype, (batch, widths[0]), elements=st.floats(-3, 3, width=32)))
    y = np.ones((batch, widths[-1]))
    loss, out = net.TrainBatch(x, y)
    assert np.isfinite(loss) and out.shape == y.shape and out.dtype == dtype
    assert net.check_nan_inf() == []


@RUNS
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 9),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    out_ch=st.integers(1, 17),
    k=st.integers(1, 6),
    stride=st.integers(1, 4),
    padding=st.one_of(st.integers(0, 3), st.just("same")),
    pool=st.integers(1, 4),
    norm=st.booleans(),
    dtype=dtypes,
)
def test_convolution_chains(batch, channels, size, out_ch, k, stride, padding, pool, norm, dtype):
    net = NeuralNet(dtype=dtype, rng=0).add_conv2d(channels, out_ch, k, stride=stride, padding=padding)
    if norm:
        net.add_batchnorm(out_ch)
    net.add_maxpool2d(pool).add_flatten()
    x = np.random.default_rng(0).normal(size=(batch, channels, *size))
    try:
        (features,) = net.chain.output_shape(x.shape[1:])
    except EnilnetsError:
        h, w = (s if padding == "same" else s + 2 * padding for s in size)
        too_small = padding != "same" and min(h, w) < k
        out = [-(-s // stride) for s in size] if padding == "same" else [(s - k) // stride + 1 for s in (h, w)]
        assert too_small or min(out) < pool
        return
    net.add_dense(features, 2, activation="softmax")
    loss, out = net.TrainBatch(x, np.zeros(batch, int))
    assert np.isfinite(loss) and out.shape == (batch, 2) and net.check_nan_inf() == []


@RUNS
@given(
    x=hnp.arrays(
        st.sampled_from(["f2", "f4", ">f8", "i1", "u8", "?", "O", "c8", "S3", "M8[s]"]),
        hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
    )
)
def test_any_array_works_or_is_refused_by_name(x):
    net = NeuralNet(rng=0).add_dense(3, 2)
    before = net.arena.values.copy()
    try:
        out = net.predict(x)
        assert out.shape[-1] == 2 and np.isfinite(out).all()
    except EnilnetsError as error:
        assert "inputs" in str(error)
    assert np.array_equal(before, net.arena.values)


@RUNS
@given(
    value=st.one_of(
        st.none(),
        st.text(max_size=3),
        st.floats(),
        st.integers(-10, 10**9),
        st.booleans(),
        st.lists(st.integers(), max_size=2),
    ),
    name=st.sampled_from(["learning_rate", "optimizer", "l2_lambda", "momentum", "dtype", "rng"]),
)
def test_hostile_settings(value, name):
    try:
        NeuralNet(**{name: value})
    except EnilnetsError as error:
        assert name in str(error)
