"""ops.layernorm: what is refused, partial gradients, threads; results are in tests/reference/norm.py."""

import numpy as np
import pytest

from enilnets.errors import ConfigError, DataError, DTypeError, ShapeError
from enilnets.ops.layernorm import groupnorm, layernorm, layernorm_backward
from enilnets.ops.threads import num_threads


def ones(*shape, dtype="float64"):
    return np.ones(shape, dtype)


def test_shapes_that_do_not_fit_are_named():
    for x, gamma in ((ones(3, 4), ones(3)), (ones(3), ones(2, 3)), (ones(3, 4), ones())):
        with pytest.raises(ShapeError, match="layernorm"):
            layernorm(x, gamma, gamma, 1e-5)
    for x, gamma, groups in ((ones(2, 4, 3), ones(3), 1), (ones(2, 4, 3), ones(4), 3), (ones(4), ones(4), 1)):
        with pytest.raises(ShapeError, match="groupnorm"):
            groupnorm(x, gamma, gamma, groups, 1e-5)
    with pytest.raises(ShapeError, match="beta"):
        layernorm(ones(3, 4), ones(4), ones(5), 1e-5)
    with pytest.raises(DataError, match="mean"):
        groupnorm(ones(2, 4, 0), ones(4), ones(4), 2, 1e-5)
    with pytest.raises(DTypeError):
        layernorm(ones(3, 4), ones(4, dtype="float32"), ones(4), 1e-5)
    for eps in (0, -1, np.nan, np.inf, None):
        with pytest.raises(ConfigError, match="eps"):
            layernorm(ones(3, 4), ones(4), ones(4), eps)
    y, saved = layernorm(ones(3, 4), ones(4), ones(4), 1e-5)
    for dy in (ones(4, 3), ones(3, 4, 1)):
        with pytest.raises(ShapeError):
            layernorm_backward(dy, saved)
    with pytest.raises(DTypeError):
        layernorm_backward(y.astype("float32"), saved)


def test_only_what_is_wanted(dtype, rng):
    x, dy = rng.normal(size=(2, 5, 6)).astype(dtype)
    gamma, beta = rng.normal(size=(2, 6)).astype(dtype)
    y, saved = layernorm(x, gamma, beta, 1e-5)
    everything = layernorm_backward(dy, saved)
    places = np.full((2, 6), 9, dtype)
    assert np.array_equal(layernorm_backward(dy, saved, params=False)[0], everything[0])
    dx, *sums = layernorm_backward(dy, saved, inputs=False, dgamma=places[0], dbeta=places[1])
    assert dx is None and sums[0] is not None
    np.testing.assert_array_equal(places, everything[1:])
    assert layernorm_backward(dy, saved, params=False, inputs=False) == (None, None, None)
    place = np.full_like(x, 9)
    assert layernorm(x, gamma, beta, 1e-5, out=place)[0] is place and np.array_equal(place, y)


@pytest.mark.parametrize(
    "groups, shape", [(0, (700, 300)), (0, (50, 40_000)), (4, (16, 64, 20, 20)), (64, (9, 64, 900))]
)
def test_bits_depend_on_no_number_of_threads(groups, shape, dtype, isa, rng):
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    gamma, beta = rng.normal(size=(2, shape[1])).astype(dtype)
    seen = set()
    for threads in (1, 2, 3, 8):
        with num_threads(threads):
            y, saved = groupnorm(x, gamma, beta, groups, 1e-5) if groups else layernorm(x, gamma, beta, 1e-5)
            seen.add(b"".join(a.tobytes() for a in (y, *layernorm_backward(dy, saved))))
    assert len(seen) == 1
