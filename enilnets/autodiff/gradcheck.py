"""Is a gradient right? Compared with differences of the function itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import checks
from ..errors import DTypeError, GradientError
from .gradients import grad
from .recording import enable_grad, no_grad
from .tensor import Tensor

__all__ = ["gradcheck"]


def gradcheck(
    function: Callable[..., Any],
    *inputs: Any,
    second_order: bool = False,
    eps: float = 1e-5,
    rtol: float = 1e-6,
    directions: int = 3,
    rng: Any = 0,
) -> bool:
    """Check the gradients of a function against central differences along random directions.

    Parameters
    ----------
    function : callable
        Takes Tensors and returns a Tensor of any shape, the same whenever it is called.
    *inputs : array_like of float64
        Where to check. All are checked together; integers are constants.
    second_order : bool, default False
        Check the gradients of the gradients too.
    eps : float > 0, default 1e-5
        Length of the step; kinks closer than that mislead the check.
    rtol : float > 0, default 1e-6
        Largest relative error.
    directions : int >= 1, default 3
    rng : None, int, SeedSequence or Generator, default 0

    Returns
    -------
    bool
        True.

    Raises
    ------
    GradientError
        If a directional derivative differs; the message has both numbers.
    DTypeError
        If an input is no float64 and no integer.

    Notes
    -----
    For random v of length 1 and w: ``<w, f(x + eps v) - f(x - eps v)> / (2 eps)`` against ``<grad <w, f>, v>``.

    Examples
    --------
    >>> from enilnets.autodiff import exp, gradcheck
    >>> gradcheck(lambda x: exp(x) * x, [0.5, -1.0], second_order=True)
    True
    """
    eps = checks.number("gradcheck", "eps", eps, 0.0, above=True)
    rtol = checks.number("gradcheck", "rtol", rtol, 0.0, above=True)
    random = checks.generator("gradcheck", rng)
    arrays = [np.array(x.data if isinstance(x, Tensor) else x) for x in inputs]
    for i, array in enumerate(arrays):
        if array.dtype != np.float64 and array.dtype.kind not in "iub":
            raise DTypeError(f"gradcheck(inputs[{i}])", "float64", str(array.dtype), "differences need its digits")
    _check(function, arrays, eps, rtol, checks.integer("gradcheck", "directions", directions, 1), random, "gradient")
    if second_order:
        with no_grad():
            weights = random.normal(size=_value(function, arrays).shape)
        _check_recorded(function, arrays, weights, rtol)

        def slope(*xs: Tensor) -> Any:
            wanted = [x for x in xs if x.requires_grad]
            with enable_grad():
                parts = grad(function(*xs), wanted, weights, create_graph=True)
            total = 0.0
            for part, scale in zip(parts, scales, strict=True):
                total = (part * scale).sum() + total
            return total

        scales = [random.normal(size=a.shape) for a in arrays if a.dtype == np.float64]
        _check(slope, arrays, eps, rtol, directions, random, "gradient of the gradient")
    return True


def _check_recorded(function: Callable[..., Any], arrays: list[np.ndarray], weights: np.ndarray, rtol: float) -> None:
    """Compare the gradients of a recorded pass with those of one that is not."""
    with enable_grad():
        xs = [Tensor(a, a.dtype == np.float64) for a in arrays]
        y = function(*xs)
        wanted = [x for x in xs if x.requires_grad]
        plain, recorded = grad(y, wanted, weights), grad(y, wanted, weights, create_graph=True)
    for a, b in zip(plain, recorded, strict=True):
        bound = rtol * max(float(np.abs(a.data).max(initial=0)), 1e-8)
        if not np.abs(a.data - b.data).max(initial=0) <= bound:
            raise GradientError("gradcheck", f"gradient {a.data} under create_graph", f"{b.data}")


def _value(function: Callable[..., Any], arrays: list[np.ndarray]) -> np.ndarray:
    return function(*[Tensor(a, a.dtype == np.float64) for a in arrays]).data


def _check(
    function: Callable[..., Any],
    arrays: list[np.ndarray],
    eps: float,
    rtol: float,
    directions: int,
    rng: np.random.Generator,
    what: str,
) -> None:
    with enable_grad():
        xs = [Tensor(a, a.dtype == np.float64) for a in arrays]
        y = function(*xs)
    if not isinstance(y, Tensor):
        raise DTypeError(
            "gradcheck(function)", "a function that returns a Tensor", f"one that returns {type(y).__name__}"
        )
    weights = rng.normal(size=y.shape)
    wanted = [x for x in xs if x.requires_grad]
    gradients = [np.zeros(x.shape) for x in wanted]
    if y.source is not None:
        gradients = [g.data for g in grad(y, wanted, weights)]
    for _ in range(directions):
        v = [rng.normal(size=x.shape) for x in wanted]
        length = np.sqrt(sum(float((part * part).sum()) for part in v)) or 1.0
        v = [part / length for part in v]
        above, below = ([], [])  # type: tuple[list[np.ndarray], list[np.ndarray]]
        steps = iter(v)
        for a in arrays:
            step = eps * next(steps) if a.dtype == np.float64 else 0
            above.append(a + step)
            below.append(a - step)
        numeric = float((weights * (_value(function, above) - _value(function, below))).sum()) / (2 * eps)
        analytic = sum(float((g * part).sum()) for g, part in zip(gradients, v, strict=True))
        norm = np.sqrt(sum(float((g * g).sum()) for g in gradients))
        scale = max(abs(numeric), abs(analytic), 1e-2 * norm, 1e-8)
        if not abs(numeric - analytic) <= rtol * scale:
            raise GradientError("gradcheck", f"{what} {numeric:.12g} by differences", f"{analytic:.12g}")
