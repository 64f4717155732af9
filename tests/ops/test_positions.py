"""Places as numbers: against the papers' formulas, worked out one by one."""

import math

import numpy as np
import pytest

from enilnets.errors import ConfigError, DTypeError, ShapeError
from enilnets.ops.positions import alibi_slopes, rotary, rotary_backward, sinusoidal_table
from tests.gradients import check_direction


def test_sinusoidal_table():
    table = sinusoidal_table(50, 7, start=3)
    for t in range(50):
        for i in range(7):
            angle = (t + 3) / 10000 ** (i // 2 * 2 / 7)
            assert table[t, i] == pytest.approx((math.cos if i % 2 else math.sin)(angle), abs=1e-12)
    assert sinusoidal_table(0, 3).shape == (0, 3)


def test_rotary_is_a_rotation_of_pairs(rng):
    x = rng.normal(size=(2, 9, 6))
    y = rotary(x, start=4, base=100.0)
    for t in range(9):
        for i in range(3):
            turned = complex(*x[1, t, [i, i + 3]]) * np.exp(1j * (t + 4) * 100.0 ** (-2 * i / 6))
            assert y[1, t, i] == pytest.approx(turned.real) and y[1, t, i + 3] == pytest.approx(turned.imag)


def test_products_depend_on_distances_alone(rng):
    q, k = rng.normal(size=(2, 1, 8)) * np.ones((30, 1))
    products = rotary(q) @ rotary(k).T
    for distance in range(-29, 30):
        np.testing.assert_allclose(np.diag(products, distance), np.diag(products, distance)[0])
    np.testing.assert_allclose(rotary(q, start=7)[:20] @ rotary(k, start=7)[:20].T, products[:20, :20])


def test_rotary_gradient(rng):
    x, dy = rng.normal(size=(2, 3, 4, 5, 8))
    gradient = rotary_backward(dy, start=2)
    check_direction(lambda x: float(np.sum(rotary(x, start=2) * dy)), x, gradient, rng)


def test_rotary_in_place_and_in_views(dtype, rng):
    x = rng.normal(size=(2, 5, 3, 4)).astype(dtype)
    want = rotary(x.transpose(0, 2, 1, 3).copy())
    view = x.transpose(0, 2, 1, 3)
    assert rotary(view, out=view) is view and view.dtype == dtype
    np.testing.assert_array_equal(view, want)
    np.testing.assert_allclose(rotary_backward(view), rotary(want, inverse=True))
    assert rotary(np.zeros((0, 3, 4), dtype)).shape == (0, 3, 4) and rotary(np.zeros((2, 0, 4), dtype)).size == 0
    matrix = x[0, 0]
    want = rotary(matrix.copy())
    assert rotary(matrix, out=matrix) is matrix
    np.testing.assert_array_equal(matrix, want)


@pytest.mark.parametrize(
    "heads, want",
    [
        (1, [2**-8]),
        (2, [2**-4, 2**-8]),
        (8, [0.5**i for i in range(1, 9)]),
        (6, [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]),
        (12, [*(0.5**i for i in range(1, 9)), *(2 ** -(i / 2) for i in (1, 3, 5, 7))]),
    ],
)
def test_alibi_slopes(heads, want):
    """The list that the paper's own code gives (Press et al. 2022, appendix A.1): 2^(-8 i / n), then every second."""
    np.testing.assert_allclose(alibi_slopes(heads), want)


def test_refused():
    with pytest.raises(ShapeError, match="even"):
        rotary(np.zeros((3, 5)))
    with pytest.raises(ShapeError, match="out"):
        rotary(np.zeros((3, 4)), out=np.zeros((3, 8))[:, ::2])
    with pytest.raises(ShapeError, match="out"):
        rotary(np.zeros((1, 2, 3, 4)), out=np.zeros((1, 2, 3, 8))[..., ::2])
    with pytest.raises(ShapeError, match="out"):
        rotary(np.zeros((1, 2, 3, 4)), out=np.zeros((1, 2, 4, 4)))
    with pytest.raises(ConfigError, match="base"):
        rotary(np.zeros((3, 4)), base=0.0)
    with pytest.raises(ConfigError, match="heads"):
        alibi_slopes(0)
    with pytest.raises(ConfigError, match="width"):
        sinusoidal_table(3, 0)
    four = np.zeros((1, 1, 3, 4))
    with pytest.raises(DTypeError, match=r"rotary\(out\).*float64.*float32"):
        rotary(four, out=four.astype(np.float32))
    with pytest.raises(DTypeError, match=r"rotary\(x\).*int64"):
        rotary(four.astype(np.int64))


def test_rotary_of_the_other_byte_order(rng):
    x = rng.normal(size=(3, 4))
    np.testing.assert_array_equal(rotary(x.astype(">f8")), rotary(x))
