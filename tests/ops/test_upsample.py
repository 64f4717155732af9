"""ops.upsample: what is refused, and places for results."""

import numpy as np
import pytest

from enilnets.errors import ConfigError, DTypeError, ShapeError
from enilnets.ops.upsample import upsample2d, upsample2d_backward


def test_refusals():
    image = np.ones((1, 2, 4, 6))
    for function in (upsample2d, upsample2d_backward):
        with pytest.raises(ShapeError):
            function(image[0], 2)
        with pytest.raises(DTypeError):
            function(image.astype(int), 2)
        for scale in (0, 1.5, True):
            with pytest.raises(ConfigError, match="scale"):
                function(image, scale)
    with pytest.raises(ShapeError, match="blocks of 3"):
        upsample2d_backward(image, 3)


@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (2, 0, 3, 4), (2, 1, 0, 4), (2, 1, 3, 4)])
def test_there_and_back(shape, dtype, rng):
    x = rng.normal(size=shape).astype(dtype)
    out = np.empty((*shape[:2], 3 * shape[2], 3 * shape[3]), dtype)
    y = upsample2d(x, 3, out=out)
    assert y is out and np.array_equal(y[:, :, ::3, 1::3], x)
    np.testing.assert_allclose(upsample2d_backward(y, 3), 9 * x, rtol=16 * np.finfo(dtype).eps)
