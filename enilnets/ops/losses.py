"""Sums of losses and their gradients, one pass over outputs and targets.

Every function takes ``o`` (outputs) and ``t`` (targets), float32 or float64 arrays of one dtype and shape, and returns
the sum of the losses as a Python float, accumulated in double precision in a fixed order. The sum is all they do with
the losses unless asked for more:

each : ndarray, optional
    Where to write the losses themselves: shape of ``o``, or of its rows for ``softmax_cross_entropy``.
grad : ndarray like o, optional
    Where to write ``scale`` times the gradient of the sum.
scale : float, default 1.0
    Factor of the gradient, such as ``1 / o.size`` for the gradient of the mean.

All raise DTypeError and ShapeError for arrays that do not fit one another.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .._ext import losses as _kernels
from ..errors import ShapeError
from .array import output, real, same_dtype, same_shape

__all__ = [
    "bce_logits",
    "binary_cross_entropy",
    "binary_cross_entropy_at_sigmoid",
    "cross_entropy",
    "cross_entropy_at_softmax",
    "focal",
    "focal_at_sigmoid",
    "hinge",
    "huber",
    "mae",
    "mse",
    "smooth_l1",
    "softmax_cross_entropy",
    "wasserstein",
]

Out = np.ndarray | None


def _arguments(where: str, o: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    o = real(where, "o", o)
    t = real(where, "t", t)
    same_shape(where, "t", t, o.shape)
    same_dtype(where, "t", t, o.dtype)
    return o, t


def _asked(where: str, out: Out, like: np.ndarray, shape: tuple[int, ...], flat: tuple[int, ...]) -> Out:
    """View of the output ``out`` of ``shape`` as the kernel wants it, or None if nobody asked for it."""
    return None if out is None else output(where, out, shape, like.dtype).reshape(flat)


def _elementwise(
    kernel: Callable[..., float],
    where: str,
    o: np.ndarray,
    t: np.ndarray,
    each: Out,
    grad: Out,
    scale: float,
    *options: float,
) -> float:
    o, t = _arguments(where, o, t)
    flat = (o.size,)
    each = _asked(where, each, o, o.shape, flat)
    grad = _asked(where, grad, o, o.shape, flat)
    return kernel(o.reshape(flat), t.reshape(flat), each, grad, scale, *options)


def _row_shape(where: str, o: np.ndarray) -> tuple[int, int]:
    if o.ndim == 0:
        raise ShapeError(f"{where}(o)", "shape (..., classes)", "a single number")
    return math.prod(o.shape[:-1]), o.shape[-1]


def mse(o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0) -> float:
    """Sum ``(o - t)**2``; gradient ``2 (o - t)``."""
    return _elementwise(_kernels.mse, "mse", o, t, each, grad, scale)


def mae(o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0) -> float:
    """Sum ``|o - t|``; the gradient is the sign of ``o - t``, 0 where they are equal."""
    return _elementwise(_kernels.mae, "mae", o, t, each, grad, scale)


def huber(
    o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0, delta: float = 1.0
) -> float:
    """Sum ``d**2 / 2`` where ``|d| <= delta``, else ``delta (|d| - delta / 2)``, with ``d = o - t``.

    The gradient is ``d`` held inside [-delta, delta].
    """
    return _elementwise(_kernels.huber, "huber", o, t, each, grad, scale, delta)


def smooth_l1(
    o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0, beta: float = 1.0
) -> float:
    """Sum ``huber`` of ``delta = beta``, divided by ``beta``: the slope is 1 beyond."""
    total = _elementwise(_kernels.huber, "smooth_l1", o, t, each, grad, scale / beta, beta)
    if each is not None:
        each /= beta
    return total / beta


def hinge(o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0) -> float:
    """Sum ``max(0, 1 - t o)``; gradient ``-t`` where that is above 0."""
    return _elementwise(_kernels.hinge, "hinge", o, t, each, grad, scale)


def wasserstein(o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0) -> float:
    """Sum ``-o t``; gradient ``-t``."""
    return _elementwise(_kernels.wasserstein, "wasserstein", o, t, each, grad, scale)


def focal(
    o: np.ndarray,
    t: np.ndarray,
    each: Out = None,
    grad: Out = None,
    scale: float = 1.0,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> float:
    """Sum ``-(1 - pt)**gamma (alpha t log c + (1 - alpha) (1 - t) log(1 - c))`` with ``pt = c t + (1 - c) (1 - t)``.

    ``c`` is ``o`` clipped to [1e-12, 1 - 1e-12] (Lin et al. 2017, eq. 5). The gradient is 0 where the clip is
    active; for float32 the upper end is as for ``binary_cross_entropy``.
    """
    return _elementwise(_kernels.focal, "focal", o, t, each, grad, scale, alpha, gamma)


def focal_at_sigmoid(
    o: np.ndarray,
    t: np.ndarray,
    each: Out = None,
    grad: Out = None,
    scale: float = 1.0,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> float:
    """``focal`` of ``o = sigmoid(z)`` with the gradient at ``z``, without the clip in the factor ``o (1 - o)``."""
    return _elementwise(_kernels.focal_at_sigmoid, "focal_at_sigmoid", o, t, each, grad, scale, alpha, gamma)


def binary_cross_entropy(o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0) -> float:
    """Sum ``-(t log c + (1 - t) log(1 - c))`` with ``c = o`` clipped to [1e-12, 1 - 1e-12].

    For float32 the upper end is ``1 - 2**-23``, because ``1 - 1e-12`` rounds to 1. The gradient
    ``(c - t) / (c (1 - c))`` is 0 where the clip is active.
    """
    return _elementwise(_kernels.binary_cross_entropy, "binary_cross_entropy", o, t, each, grad, scale)


def binary_cross_entropy_at_sigmoid(
    o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0
) -> float:
    """``binary_cross_entropy`` of ``o = sigmoid(z)`` with the gradient at ``z``: ``o - t``, without the clip."""
    where = "binary_cross_entropy_at_sigmoid"
    return _elementwise(_kernels.binary_cross_entropy_at_sigmoid, where, o, t, each, grad, scale)


def bce_logits(o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0) -> float:
    """Sum ``max(o, 0) - o t + log(1 + exp(-|o|))``; gradient ``sigmoid(o) - t``."""
    return _elementwise(_kernels.bce_logits, "bce_logits", o, t, each, grad, scale)


def cross_entropy(o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0) -> float:
    """Sum ``-t log c`` with ``c = o`` clipped to [1e-12, 1]; gradient ``-t / c``, 0 where the clip is active."""
    return _elementwise(_kernels.cross_entropy, "cross_entropy", o, t, each, grad, scale)


def cross_entropy_at_softmax(
    o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0
) -> float:
    """``cross_entropy`` of ``o = softmax(z)`` over the last axis with the gradient at ``z``, without the clip.

    The gradient is ``o sum(t) - t`` with the sum over the last axis.
    """
    where = "cross_entropy_at_softmax"
    try:  # what nearly every call brings; what the gate of the kernel refuses is looked at again for a better message
        if each is None and o.ndim == 2:
            return _kernels.cross_entropy_at_softmax(o, t, None, grad, scale)
    except (AttributeError, TypeError, ValueError):
        pass
    o, t = _arguments(where, o, t)
    rows = _row_shape(where, o)
    each = _asked(where, each, o, o.shape, rows)
    grad = _asked(where, grad, o, o.shape, rows)
    return _kernels.cross_entropy_at_softmax(o.reshape(rows), t.reshape(rows), each, grad, scale)


def softmax_cross_entropy(
    o: np.ndarray, t: np.ndarray, each: Out = None, grad: Out = None, scale: float = 1.0
) -> float:
    """Sum ``-t log softmax(o)`` over the last axis of the logits ``o``; gradient ``softmax(o) sum(t) - t``.

    A logit of -infinity switches its class off: where its target is 0, it adds nothing to the loss or the gradient.
    """
    where = "softmax_cross_entropy"
    try:  # what nearly every call brings; what the gate of the kernel refuses is looked at again for a better message
        if each is None and o.ndim == 2:
            return _kernels.softmax_cross_entropy(o, t, None, grad, scale)
    except (AttributeError, TypeError, ValueError):
        pass
    o, t = _arguments(where, o, t)
    rows = _row_shape(where, o)
    each = _asked(where, each, o, o.shape[:-1], rows[:1])
    grad = _asked(where, grad, o, o.shape, rows)
    return _kernels.softmax_cross_entropy(o.reshape(rows), t.reshape(rows), each, grad, scale)
