"""Gradients by finite differences, for models that cannot tell their own, and clipping."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ... import checks
from ...errors import DTypeError, NonFiniteError
from ...ops.array import as_reals
from .protocol import SequenceModelProtocol, params_of

__all__ = ["clip_gradients", "compute_numerical_gradient", "compute_numerical_gradient_fast"]

LossFunction = Callable[[np.ndarray, Any], float]


def compute_numerical_gradient(
    model: SequenceModelProtocol, X: np.ndarray, y: np.ndarray, loss_fn: LossFunction, epsilon: float = 1e-5
) -> dict[str, np.ndarray]:
    """Return the gradient of a loss by central differences, one element after the other.

    Parameters
    ----------
    model : object with forward, get_params and set_params
        Its parameters are the same bits afterwards, also if the loss raises.
    X, y : ndarray
        A batch and its targets.
    loss_fn : function of (outputs, y)
        Such as ``cross_entropy_loss``.
    epsilon : float > 0, default 1e-5
        The step; right for float64. A model of float32 needs about 1e-2.

    Returns
    -------
    dict of str to ndarray
        By the names and shapes of ``get_params()``.

    Notes
    -----
    ``(f(w + ε) - f(w - ε)) / 2ε``: two passes per parameter. The error is of the order of ε² plus rounding.

    Examples
    --------
    >>> from enilnets.sequence import LSTM, compute_numerical_gradient, cross_entropy_loss
    >>> import numpy as np
    >>> model, X = LSTM(2, 3, 2, rng=0), np.ones((4, 5, 2))
    >>> numeric = compute_numerical_gradient(model, X, np.array([0, 1, 1, 0]), cross_entropy_loss)
    >>> exact = model.gradients(X, np.array([0, 1, 1, 0]))[2]
    >>> max(float(abs(numeric[name] - exact[name]).max()) for name in exact) < 1e-8
    True
    """
    where = "compute_numerical_gradient"
    params, epsilon = params_of(where, model), checks.number(where, "epsilon", epsilon, 0.0, above=True)
    gradients = {name: np.zeros_like(value) for name, value in params.items()}
    try:
        for name, value in params.items():
            for i in range(value.size):
                sides = []
                for step in (epsilon, -epsilon):
                    moved = value.copy()
                    moved.flat[i] += step
                    model.set_params({**params, name: moved})
                    sides.append(float(loss_fn(model.forward(X), y)))
                gradients[name].flat[i] = (sides[0] - sides[1]) / (2 * epsilon)
    finally:
        model.set_params(params)
    return gradients


def compute_numerical_gradient_fast(
    model: SequenceModelProtocol,
    X: np.ndarray,
    y: np.ndarray,
    loss_fn: LossFunction,
    epsilon: float = 1e-5,
    n_samples: int = 10,
    *,
    rng: Any = None,
) -> dict[str, np.ndarray]:
    """Estimate the gradient of a loss from differences along random directions.

    The estimate is unbiased, so the mean of many is the gradient; a single one is rough. With d parameters and n
    samples, the cosine with the gradient is about ``1 / sqrt(1 + d / n)``.

    Parameters
    ----------
    model, X, y, loss_fn, epsilon
        See ``compute_numerical_gradient``.
    n_samples : int >= 1, default 10
        Directions to average over; each costs two passes, however many parameters there are.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    dict of str to ndarray
        By the names and shapes of ``get_params()``.

    Notes
    -----
    The mean of ``(f(w + ε z) - f(w - ε z)) / 2ε · z`` over directions z of random signs, drawn for all parameters
    together (Spall 1992, simultaneous perturbation stochastic approximation, eq. 2.2).
    """
    where = "compute_numerical_gradient_fast"
    params, epsilon = params_of(where, model), checks.number(where, "epsilon", epsilon, 0.0, above=True)
    n_samples, rng = checks.size(where, "n_samples", n_samples), checks.generator(where, rng)
    gradients = {name: np.zeros_like(value) for name, value in params.items()}
    try:
        for _ in range(n_samples):
            signs = {name: rng.choice([-1.0, 1.0], value.shape).astype(value.dtype) for name, value in params.items()}
            sides = []
            for step in (epsilon, -epsilon):
                model.set_params({name: value + step * signs[name] for name, value in params.items()})
                sides.append(float(loss_fn(model.forward(X), y)))
            slope = (sides[0] - sides[1]) / (2 * epsilon * n_samples)
            for name, sign in signs.items():
                gradients[name] += slope * sign
    finally:
        model.set_params(params)
    return gradients


def clip_gradients(gradients: Mapping[str, Any], max_norm: float = 5.0) -> tuple[dict[str, np.ndarray], float]:
    """Scale gradients down together if their common norm is too large.

    Parameters
    ----------
    gradients : dict of str to array_like
    max_norm : float > 0, default 5.0

    Returns
    -------
    clipped : dict of str to ndarray
        Copies, whose norm is at most ``max_norm``.
    norm : float
        The norm before.

    Raises
    ------
    DataError, NonFiniteError
        If a gradient is NaN or infinite, or the norm overflows.

    Notes
    -----
    ``g max_norm / |g|`` where ``|g| > max_norm``, with the Euclidean norm over all of them (Pascanu et al. 2013,
    algorithm 1).

    Examples
    --------
    >>> clipped, norm = clip_gradients({"w": [3.0, 4.0]}, max_norm=1.0)
    >>> clipped["w"].round(12).tolist(), norm
    ([0.6, 0.8], 5.0)
    """
    max_norm = checks.number("clip_gradients", "max_norm", max_norm, 0.0, above=True)
    if not isinstance(gradients, Mapping):
        raise DTypeError("clip_gradients(gradients)", "a dict of arrays", type(gradients).__name__)
    arrays = {name: as_reals("clip_gradients", **{str(name): value})[0] for name, value in gradients.items()}
    with np.errstate(over="ignore"):  # is refused below
        norm = math.sqrt(sum(float(np.sum(np.square(array, dtype=np.float64))) for array in arrays.values()))
    if not math.isfinite(norm):
        raise NonFiniteError("clip_gradients", "gradients whose squares are finite", f"a norm of {norm}")
    factor = max_norm / norm if norm > max_norm else 1.0
    return {name: array * array.dtype.type(factor) for name, array in arrays.items()}, norm
