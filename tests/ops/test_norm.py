"""enilnets.ops.norm: worked numbers, accuracy, gradients, inputs of every kind, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enilnets.errors import ConfigError, DataError, DTypeError, ShapeError
from enilnets.ops import norm
from enilnets.ops.activation import ACTIVATIONS, activation, activation_backward
from tests.reference import norm as oracle

SHAPES = [(6, 5), (3, 4, 2, 3), (3, 4, 7, 8), (64, 200)]


def parameters(rng, channels, dtype):
    """gamma, beta, mean, var."""
    values = (*rng.normal(size=(3, channels)), rng.uniform(0.1, 2, channels))
    return [v.astype(dtype) for v in values]


def three_axes(x):
    return x.reshape(x.shape[0], x.shape[1], -1).astype(np.float64)


def test_by_hand(isa, dtype):
    """x = 1, 3 has mean 2 and variance 1; x = 0, 8 has mean 4 and variance 16. With eps = 0.5625, the roots are
    1.25 for the first; the second has eps 9 in a call of its own: 5."""
    x = np.array([[1], [3]], dtype)
    gamma, beta = np.array([5], dtype), np.array([10], dtype)
    y, saved = norm.batchnorm(x, gamma, beta, 0.5625)
    np.testing.assert_allclose(y, [[6], [14]], rtol=1e-6)
    assert saved.mean == 2 and saved.var == 1 and saved.training
    np.testing.assert_allclose(saved.inv_std, 0.8, rtol=1e-6)
    # dbeta = 1 + 2; dgamma = (-1 + 2) 0.8; dx = 5 * 0.8 (dy - 1.5 -+ 0.8 * 0.8 / 2)
    dx, dgamma, dbeta = norm.batchnorm_backward(np.array([[1], [2]], dtype), saved)
    np.testing.assert_allclose(dbeta, [3], rtol=1e-6)
    np.testing.assert_allclose(dgamma, [0.8], rtol=1e-6)
    np.testing.assert_allclose(dx, [[4 * (1 - 1.5 + 0.32)], [4 * (2 - 1.5 - 0.32)]], rtol=1e-5)

    x = np.array([0, 8], dtype).reshape(1, 1, 1, 2)
    y, saved = norm.batchnorm_inference(x, np.array([4], dtype), np.array([16], dtype), gamma, beta, 9)
    np.testing.assert_allclose(y.ravel(), [6, 14], rtol=1e-6)
    assert not saved.training
    dx, dgamma, dbeta = norm.batchnorm_backward(np.array([1, 2], dtype).reshape(x.shape), saved)
    np.testing.assert_allclose(dx.ravel(), [1, 2], rtol=1e-6)
    np.testing.assert_allclose([dgamma[0], dbeta[0]], [0.8, 3], rtol=1e-6)


@pytest.mark.parametrize("shape", [(500, 3), (4, 3, 5, 5), (4, 3, 16, 16)])
@pytest.mark.parametrize("mean", [1e6, -1e6, 3e4])
def test_accurate_where_the_mean_dwarfs_the_spread(shape, mean, rng, isa, dtype):
    x = (mean + rng.normal(size=shape)).astype(dtype)
    gamma, beta, *_ = parameters(rng, 3, dtype)
    y, saved = norm.batchnorm(x, gamma, beta, 1e-5)
    noise = three_axes(x) - mean  # exact; the oracle sums in NumPy's order, which loses digits to a large mean
    expected, noise_mean, expected_var = oracle.batchnorm(noise, gamma, beta, 1e-5)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(saved.mean, mean + noise_mean, rtol=eps)
    np.testing.assert_allclose(saved.var, expected_var, rtol=8 * eps)
    np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=8 * eps, atol=8 * eps)
    dy = rng.normal(size=shape).astype(dtype)
    dx, dgamma, dbeta = norm.batchnorm_backward(dy, saved)
    want_dx, want_dgamma, want_dbeta = oracle.batchnorm_backward(three_axes(dy), noise, gamma, 1e-5)
    np.testing.assert_allclose(dx.reshape(want_dx.shape), want_dx, rtol=32 * eps, atol=32 * eps)
    np.testing.assert_allclose(dgamma, want_dgamma, rtol=32 * eps, atol=64 * eps)
    np.testing.assert_allclose(dbeta, want_dbeta, rtol=32 * eps, atol=64 * eps)


def test_accurate_where_the_first_element_is_far_off(isa):
    """An outlier in front is the worst place for a variance that is taken around a sample."""
    for shape in ((10_000, 2), (10, 2, 50, 20)):
        x = np.random.default_rng(1).normal(size=shape)
        x[(0, slice(None)) + (0,) * (len(shape) - 2)] = 1e8
        _, saved = norm.batchnorm(x, np.ones(2), np.ones(2), 1e-5)
        np.testing.assert_allclose(saved.var, three_axes(x).var(axis=(0, 2)), rtol=1e-12)
        small = x.copy()
        small[(0, slice(None)) + (0,) * (len(shape) - 2)] = 50
        _, saved = norm.batchnorm(small, np.ones(2), np.ones(2), 1e-5)
        np.testing.assert_allclose(saved.var, three_axes(small).var(axis=(0, 2)), rtol=1e-12)


@given(
    st.one_of(
        st.tuples(st.integers(1, 9), st.integers(0, 300)),
        st.tuples(st.integers(1, 4), st.integers(0, 40), st.integers(1, 9), st.integers(1, 9)),
    ),
    st.sampled_from(["f4", "f8"]),
    st.integers(0, 2**32 - 1),
)
def test_any_shape(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    gamma, beta, mean, var = parameters(rng, shape[1], dtype)
    eps = 0.1
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == "f4" else {"rtol": 1e-10, "atol": 1e-10}
    columns = (shape[0], shape[1], int(np.prod(shape[2:])))
    x3, dy3 = x.reshape(columns).astype(float), dy.reshape(columns).astype(float)
    for forward, want_y, want in (
        (
            norm.batchnorm(x, gamma, beta, eps),
            oracle.batchnorm(x3, gamma, beta, eps)[0],
            oracle.batchnorm_backward(dy3, x3, gamma, eps),
        ),
        (
            norm.batchnorm_inference(x, mean, var, gamma, beta, eps),
            oracle.batchnorm_inference(x3, mean, var, gamma, beta, eps),
            oracle.batchnorm_inference_backward(dy3, x3, mean, var, gamma, eps),
        ),
    ):
        y, saved = forward
        np.testing.assert_allclose(y.reshape(columns), want_y, **tolerance)
        dx, dgamma, dbeta = norm.batchnorm_backward(dy, saved)
        np.testing.assert_allclose(dx.reshape(columns), want[0], **tolerance)
        np.testing.assert_allclose(dgamma, want[1], **tolerance)
        np.testing.assert_allclose(dbeta, want[2], **tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_along_a_direction(shape, training, rng, isa):
    gamma, beta, mean, var = parameters(rng, shape[1], np.float64)
    x, dy, direction = rng.normal(size=(3, *shape))
    directions = rng.normal(size=(2, shape[1]))

    def forward(x, gamma, beta):
        if training:
            return norm.batchnorm(x, gamma, beta, 1e-3)
        return norm.batchnorm_inference(x, mean, var, gamma, beta, 1e-3)

    gradients = norm.batchnorm_backward(dy, forward(x, gamma, beta)[1])
    arguments, step = (x, gamma, beta), 1e-5
    for i, along in enumerate((direction, *directions)):
        ahead, behind = (
            forward(*[a + sign * step * along if i == j else a for j, a in enumerate(arguments)])[0] for sign in (1, -1)
        )
        slope = np.sum(dy * (ahead - behind)) / (2 * step)
        np.testing.assert_allclose(np.sum(gradients[i] * along), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 7), (1, 7, 1, 1)])
def test_a_batch_of_one_gives_beta_and_no_gradient(shape, rng, isa, dtype):
    gamma, beta, *_ = parameters(rng, 7, dtype)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype) * 1000
    y, saved = norm.batchnorm(x, gamma, beta, 1e-5)
    np.testing.assert_array_equal(y.ravel(), beta)
    np.testing.assert_array_equal(saved.mean, x.ravel())
    assert not saved.var.any()
    dx, dgamma, dbeta = norm.batchnorm_backward(dy, saved)
    assert not dx.any() and not dgamma.any()
    np.testing.assert_array_equal(dbeta, dy.ravel())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", [0.1, 1e6 / 3, 0.0])
def test_a_constant_channel_gives_beta(shape, value, isa, dtype):
    x = np.full(shape, value, dtype)
    gamma, beta = np.full((2, shape[1]), 3, dtype)
    y, saved = norm.batchnorm(x, gamma, beta, 1e-75)
    assert (y == 3).all() and not saved.var.any()


def test_least_eps_is_safe(isa, dtype):
    gamma = np.ones(2, dtype)
    y, saved = norm.batchnorm(np.ones((3, 2), dtype), gamma, gamma, norm.LEAST_EPS)
    assert np.isfinite(saved.inv_std).all() and (y == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_nan_stays_in_its_channel(shape, rng, isa, dtype):
    gamma, beta, *_ = parameters(rng, shape[1], dtype)
    for bad in (np.nan, np.inf):
        x = rng.normal(size=shape).astype(dtype)
        x[1, 2] = bad
        with np.errstate(invalid="ignore"):
            y, saved = norm.batchnorm(x, gamma, beta, 1e-5)
        others = np.arange(shape[1]) != 2
        assert np.isfinite(y[:, others]).all() and not np.isfinite(y[:, 2]).any()
        assert np.isnan(saved.var[2]) and not np.isfinite(saved.mean[2])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_only_what_is_wanted(shape, training, rng, dtype):
    gamma, beta, mean, var = parameters(rng, shape[1], dtype)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    forward = norm.batchnorm if training else lambda x, *rest: norm.batchnorm_inference(x, mean, var, *rest)
    _, saved = forward(x, gamma, beta, 1e-5)
    dx, dgamma, dbeta = norm.batchnorm_backward(dy, saved)
    got = norm.batchnorm_backward(dy, saved, params=False)
    assert got[1] is None and got[2] is None
    np.testing.assert_array_equal(got[0], dx)
    outputs = np.full((2, shape[1]), 9, dtype)
    got = norm.batchnorm_backward(dy, saved, inputs=False, dgamma=outputs[0], dbeta=outputs[1])
    assert got[0] is None
    np.testing.assert_array_equal(outputs, (dgamma, dbeta))
    assert norm.batchnorm_backward(dy, saved, params=False, inputs=False) == (None, None, None)
    for bad in (np.empty(shape[1] + 1, dtype), np.empty(shape[1], np.float16), np.empty(2 * shape[1], dtype)[::2]):
        with pytest.raises(ShapeError):
            norm.batchnorm_backward(dy, saved, dgamma=bad)


def test_saved_parameters_are_those_of_the_forward_pass(rng, dtype):
    x, dy = rng.normal(size=(2, 6, 5)).astype(dtype)
    gamma, beta, mean, var = parameters(rng, 5, dtype)
    for forward in (norm.batchnorm, lambda x, *rest: norm.batchnorm_inference(x, mean, var, *rest)):
        _, saved = forward(x, gamma, beta, 1e-5)
        before = norm.batchnorm_backward(dy, saved)
        for parameter in (gamma, beta, mean, var):
            parameter += 1  # as an optimizer, or the update of running statistics, does
        for got, want in zip(norm.batchnorm_backward(dy, saved), before, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", SHAPES)
def test_inputs_of_every_layout_give_the_same(shape, rng, dtype):
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    gamma, beta, mean, var = parameters(rng, shape[1], dtype)
    swapped = dtype.newbyteorder()

    def run(change):
        results = []
        for y, saved in (
            norm.batchnorm(change(x), change(gamma), change(beta), 1e-5),
            norm.batchnorm_inference(change(x), *map(change, (mean, var, gamma, beta)), 1e-5),
        ):
            results += [y, *norm.batchnorm_backward(change(dy), saved)]
        return results

    def frozen(a):
        a = a.copy()
        a.flags.writeable = False
        return a

    expected = run(lambda a: a)
    for change in (
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        lambda a: a.T.copy().T,
        lambda a: a[::-1].copy()[::-1],
        lambda a: a.astype(swapped),
        frozen,
        lambda a: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(dtype).reshape(a.shape),
    ):
        for got, want in zip(run(change), expected, strict=True):
            assert got.dtype == dtype and got.dtype.isnative
            np.testing.assert_array_equal(got, want)


def test_out_is_used(rng, dtype):
    x = rng.normal(size=(3, 4, 5, 6)).astype(dtype)
    gamma, beta, mean, var = parameters(rng, 4, dtype)
    for forward in (norm.batchnorm, lambda x, *rest, **out: norm.batchnorm_inference(x, mean, var, *rest, **out)):
        out = np.full(x.shape, 9, dtype)
        y, _ = forward(x, gamma, beta, 1e-5, out=out)
        assert y is out
        np.testing.assert_array_equal(y, forward(x, gamma, beta, 1e-5)[0])
        with pytest.raises(ValueError, match="overlaps"):
            forward(x, gamma, beta, 1e-5, out=x)
        with pytest.raises(ShapeError):
            forward(x, gamma, beta, 1e-5, out=np.empty((3, 4, 6, 5), dtype))


@pytest.mark.parametrize("shape", [(0, 4), (0, 4, 3, 3), (3, 4, 0, 3)])
def test_an_empty_batch_has_no_statistics_but_can_be_inferred(shape, isa, dtype):
    ones = np.ones(4, dtype)
    with pytest.raises(DataError, match="leave out empty batches"):
        norm.batchnorm(np.ones(shape, dtype), ones, ones, 1e-5)
    y, saved = norm.batchnorm_inference(np.ones(shape, dtype), ones, ones, ones, ones, 1e-5)
    dx, dgamma, dbeta = norm.batchnorm_backward(y, saved)
    assert y.shape == dx.shape == shape
    assert not dgamma.any() and not dbeta.any()


def test_what_is_neither_features_nor_sequences_nor_images_is_refused():
    ones = np.ones(4)
    for shape in ((), (4,), (4, 4, 4, 4, 4)):
        for forward in (norm.batchnorm, lambda x, *rest: norm.batchnorm_inference(x, ones, ones, *rest)):
            with pytest.raises(ShapeError, match="batch, features"):
                forward(np.ones(shape), ones, ones, 1e-5)


@pytest.mark.parametrize("index", range(5))
def test_bad_arrays_are_refused(index):
    good = [np.ones((3, 4)), *np.ones((4, 4))]  # x, mean, var, gamma, beta
    for error, bad in (
        (DTypeError, good[index].astype(np.float32)),
        (DTypeError, good[index].astype(int)),
        (DTypeError, good[index].astype(complex)),
        (DTypeError, good[index].tolist()),
        (DTypeError, None),
        (ShapeError, good[index][..., :3]),
        (ShapeError, good[index][None]),
    ):
        arrays = [*good[:index], bad, *good[index + 1 :]]
        with pytest.raises(error):
            norm.batchnorm_inference(*arrays, 1e-5)
        if index not in (1, 2):
            with pytest.raises(error):
                norm.batchnorm(arrays[0], *arrays[3:], 1e-5)


@pytest.mark.parametrize("eps", [0, -1e-5, 1e-80, np.nan, np.inf, None, "1e-5"])
def test_eps_must_be_a_positive_number(eps):
    ones = np.ones(4)
    with pytest.raises(ConfigError, match="eps"):
        norm.batchnorm(np.ones((3, 4)), ones, ones, eps)
    with pytest.raises(ConfigError, match="eps"):
        norm.batchnorm_inference(np.ones((3, 4)), ones, ones, ones, ones, eps)


def test_bad_gradients_are_refused():
    ones = np.ones(4)
    _, saved = norm.batchnorm(np.ones((3, 4)), ones, ones, 1e-5)
    for error, bad in (
        (ShapeError, np.ones((3, 5))),
        (ShapeError, np.ones((3, 4, 1, 1))),
        (DTypeError, np.ones((3, 4), np.float32)),
        (DTypeError, np.ones((3, 4), int)),
        (DTypeError, None),
    ):
        with pytest.raises(error):
            norm.batchnorm_backward(bad, saved)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "softmax"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_with_an_activation_the_bits_are_those_of_two_ops(name, shape, training, isa, dtype, rng):
    gamma, beta, mean, var = parameters(rng, shape[1], dtype)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)

    def forward(**more):
        if training:
            return norm.batchnorm(x, gamma, beta, 1e-3, **more)
        return norm.batchnorm_inference(x, mean, var, gamma, beta, 1e-3, **more)

    z, separate = forward()
    want, saved = activation(name, z)
    dz = activation_backward(name, dy, saved)
    for keep_z in (False, True):
        y, fused = forward(activation=name, keep_z=keep_z)
        np.testing.assert_array_equal(y, want)
        if keep_z:
            np.testing.assert_array_equal(fused.z, z)
        else:
            assert fused.z is None
        for asked in ({}, {"params": False}, {"inputs": False}):
            for got, wanted in zip(
                norm.batchnorm_backward(dy, fused, **asked), norm.batchnorm_backward(dz, separate, **asked), strict=True
            ):
                np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", ["softmax", "reluu", None, 3])
def test_other_activations_are_refused(name):
    x, c = np.ones((3, 4)), np.ones(4)
    with pytest.raises(ConfigError):
        norm.batchnorm(x, c, c, 1e-5, activation=name)
    with pytest.raises(ConfigError):
        norm.batchnorm_inference(x, c, c, c, c, 1e-5, activation=name)


def test_blend(dtype):
    x, y = np.array([[1, 2], [3, 4]], dtype), np.array([[3, 2], [1, -4]], dtype)
    norm.blend(x, y.T.copy().T, 0.25)  # any strides of y
    assert x.tolist() == [[1.5, 2], [2.5, 2]]
    norm.blend(x, y, 1)
    np.testing.assert_array_equal(x, y)
    for wrong in (y[:1], y.astype(int), y.astype("f4" if dtype == "f8" else "f8"), y.tolist()):
        with pytest.raises((ShapeError, DTypeError)):
            norm.blend(x, wrong, 0.5)
    frozen = x.copy()
    frozen.flags.writeable = False
    for wrong in (frozen, x.T, [1.0, 2.0]):
        with pytest.raises((ShapeError, DTypeError)):
            norm.blend(wrong, y, 0.5)
