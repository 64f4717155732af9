"""Directional gradient check: the derivative along a random direction, analytic against central differences."""

import numpy as np


def check_direction(f, x, gradient, rng, rtol=1e-6, eps=1e-5, directions=3):
    """Compare <gradient, v> with (f(x + eps v) - f(x - eps v)) / (2 eps) in float64 for random v of norm |x|-ish.

    ``f`` maps an array like ``x`` to a float. Steps are kept small so that kinks (ReLU, max) are rarely crossed.
    """
    assert x.dtype == np.float64 and gradient.shape == x.shape
    for _ in range(directions):
        v = rng.normal(size=x.shape)
        v /= max(np.linalg.norm(v), 1e-30)
        numeric = (f(x + eps * v) - f(x - eps * v)) / (2 * eps)
        analytic = float(np.sum(gradient * v))
        scale = max(abs(numeric), abs(analytic), float(np.linalg.norm(gradient)) * 1e-2, 1e-8)
        assert abs(numeric - analytic) <= rtol * scale, (numeric, analytic)
