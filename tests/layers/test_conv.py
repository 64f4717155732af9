"""Conv2D: what only this layer does."""

import numpy as np
import pytest

from enilnets.layers import Conv2D
from enilnets.layers.base import Mode


@pytest.mark.parametrize("size", [5, 16])
def test_relu_within_the_convolution_changes_no_bit(rng, dtype, isa, size):
    layer = Conv2D(3, 5, 3, "relu", padding=1, dtype=dtype, rng=0)
    x, dy = rng.normal(size=(2, 3, size, size)).astype(dtype), rng.normal(size=(2, 5, size, size)).astype(dtype)
    (y, saved), (apart, kept) = layer.forward(x), layer.forward(x, Mode(keep_z=True))
    np.testing.assert_array_equal(y, apart)
    assert (y == 0).any() and layer.pre_activation(saved) is None and (layer.pre_activation(kept) < 0).any()
    np.testing.assert_array_equal(layer.backward(dy, saved), layer.backward(dy, kept))
