"""The affine map and its gradients, and the sums over rows."""

import numpy as np
import pytest

from enilnets.errors import EnilnetsError, ShapeError
from enilnets.ops import affine as ops


@pytest.mark.parametrize("batch, n_in, n_out", [(0, 3, 2), (1, 1, 1), (5, 3, 2), (4, 17, 33)])
def test_affine_against_numpy(dtype, rng, batch, n_in, n_out):
    x, w, b, dz = (rng.normal(size=s).astype(dtype) for s in ((batch, n_in), (n_out, n_in), n_out, (batch, n_out)))
    eps = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(ops.affine(x, w, b), x @ w.T + b, rtol=eps, atol=eps)
    np.testing.assert_allclose(ops.affine(x, w), x @ w.T, rtol=eps, atol=eps)
    dw, db = np.empty_like(w), np.empty_like(b)
    gradients = ops.affine_backward(dz, x, w, dw=dw, db=db)
    assert gradients[1] is dw and gradients[2] is db
    for got, want in zip(gradients, (dz @ w, dz.T @ x, dz.sum(0)), strict=True):
        np.testing.assert_allclose(got, want, rtol=eps, atol=10 * eps)
    assert ops.affine_backward(dz, x, w, params=False)[1:] == (None, None)
    assert ops.affine_backward(dz, x, w, inputs=False)[0] is None


def test_affine_refuses_other_widths():
    with pytest.raises(ShapeError, match="batch, 3"):
        ops.affine(np.ones((2, 4)), np.ones((2, 3)))


def test_column_sums(dtype, rng):
    y, b = rng.normal(size=(4, 3, 5)).astype(dtype), rng.normal(size=5).astype(dtype)
    sums = ops.column_sums(y)
    np.testing.assert_allclose(sums, y.sum((0, 1)), rtol=1e-5)
    gradient = np.empty(5, dtype)
    assert ops.column_sums(np.asfortranarray(y), gradient) is gradient
    np.testing.assert_array_equal(gradient, sums)
    assert ops.column_sums(np.ones((0, 3), dtype)).tolist() == [0, 0, 0]
    assert ops.column_sums(b).tolist() == b.tolist()


@pytest.mark.parametrize("x, out", [(np.ones(()), None), ([[1.0]], None), (np.ones((2, 3)), np.ones(2))])
def test_column_sums_refuse_what_does_not_fit(x, out):
    with pytest.raises(EnilnetsError):
        ops.column_sums(x, out)
