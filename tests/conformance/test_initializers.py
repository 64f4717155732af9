"""Every initialiser: moments, bounds, shapes and seeds; runs over INITIALIZERS."""

import numpy as np
import pytest

from enilnets.errors import ConfigError
from enilnets.init import INITIALIZERS, init_conv_weights, init_weights

N_IN, N_OUT = 300, 200
IN_CH, OUT_CH, K = 30, 50, 3

#: Expected standard deviation and bound as functions of (fan_in, fan_out), from the documented formulas.
EXPECTED = {
    "xavier_uniform": lambda i, o: (np.sqrt(2 / (i + o)), np.sqrt(6 / (i + o))),
    "xavier_normal": lambda i, o: (np.sqrt(2 / (i + o)), None),
    "he_uniform": lambda i, o: (np.sqrt(2 / i), np.sqrt(6 / i)),
    "he_normal": lambda i, o: (np.sqrt(2 / i), None),
    "lecun_normal": lambda i, o: (np.sqrt(1 / i), 2 * np.sqrt(1 / i) / 0.87962566),
    "normal": lambda i, o: (0.1, None),
    "orthogonal": lambda i, o: (None, 1.0),
    "zeros": lambda i, o: (0.0, 0.0),
    "ones": lambda i, o: (0.0, 1.0),
}


def test_every_initializer_has_an_expectation():
    assert set(EXPECTED) == set(INITIALIZERS)


@pytest.mark.contract("A4", "A5", "A7")
@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("conv", [False, True])
def test_distribution(name, conv):
    if conv:
        weights, bias = init_conv_weights(IN_CH, OUT_CH, K, name, rng=1)
        fan_in, fan_out = IN_CH * K * K, OUT_CH
        assert weights.shape == (OUT_CH, IN_CH, K, K) and bias.shape == (OUT_CH,)
    else:
        weights, bias = init_weights(N_IN, N_OUT, name, rng=1)
        fan_in, fan_out = N_IN, N_OUT
        assert weights.shape == (N_OUT, N_IN) and bias.shape == (N_OUT,)
    assert not bias.any() and weights.dtype == bias.dtype == np.float64
    assert np.isfinite(weights).all()
    std, bound = EXPECTED[name](fan_in, fan_out)
    if std is not None:
        assert weights.std() == pytest.approx(std, rel=0.03)
        assert weights.mean() == pytest.approx(
            1.0 if name == "ones" else 0.0, abs=4 * std / np.sqrt(weights.size) + 1e-12
        )
    if bound is not None:
        assert np.abs(weights).max() <= bound + 1e-12


@pytest.mark.contract("A4")
@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (7, 7)])
def test_orthogonal(shape):
    weights, _ = init_weights(shape[1], shape[0], "orthogonal", rng=0)
    small = weights @ weights.T if shape[0] <= shape[1] else weights.T @ weights
    np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-12)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_same_seed_same_weights_in_every_dtype(name):
    double, single = (init_weights(6, 4, name, dtype=d, rng=5)[0] for d in ("float64", "float32"))
    assert single.dtype == np.float32 and np.array_equal(double.astype(np.float32), single)
    assert np.array_equal(double, init_weights(6, 4, name, rng=5)[0])


def test_global_random_state_is_untouched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    init_weights(10, 10, "normal")
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.contract("A5")
def test_orthogonal_kernels_are_orthogonal_as_a_matrix():
    weights = init_conv_weights(4, 6, 3, "orthogonal", rng=0)[0].reshape(6, 36)
    np.testing.assert_allclose(weights @ weights.T, np.eye(6), atol=1e-12)


@pytest.mark.contract("A4")
@pytest.mark.parametrize(
    "arguments, name",
    [
        ((0, 3), "n_in"),
        ((3, -1), "n_out"),
        ((2.5, 3), "n_in"),
        ((3, 3, "bogus"), "method"),
        ((True, 3), "n_in"),
        (("a", 3), "n_in"),
    ],
)
def test_bad_arguments(arguments, name):
    with pytest.raises(ConfigError, match=name):
        init_weights(*arguments)
    with pytest.raises(ConfigError, match="rng"):
        init_weights(3, 3, rng="seed")
