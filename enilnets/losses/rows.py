"""Losses of whole rows, such as distances of embeddings: small arithmetic per step, in NumPy over ``ops.matmul``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import checks
from ..errors import DataError, ShapeError
from ..ops.losses import softmax_cross_entropy
from ..ops.matmul import matmul
from .base import Check, Loss, above_zero, not_negative, of_mean_one, reduced

__all__ = ["CosineSimilarity", "KLDivergence", "NTXent", "RowLoss", "Triplet"]

#: Turns the gradient of the rows' losses into that of the output.
Pullback = Callable[[np.ndarray], np.ndarray]


class RowLoss(Loss):
    """A loss with one number per row, a vector along the last axis; the mean is taken over the rows.

    Subclasses define ``rows``.
    """

    def rows(self, output: np.ndarray, target: np.ndarray, **options: Any) -> tuple[np.ndarray, Pullback]:
        """Return the loss of every row and the way back."""
        raise NotImplementedError(f"{type(self).__name__} must define rows()")

    def _rows(self, output: np.ndarray, target: np.ndarray, **options: Any) -> tuple[np.ndarray, Pullback]:
        name = type(self).__name__
        if output.ndim < 2:
            raise ShapeError(
                f"{name}(output)", "shape (batch, ..., features)", output.shape, "add the batch axis: output[None]"
            )
        return self.rows(output, target, **options)

    def _count(self, each: np.ndarray) -> int:
        if each.size == 0:
            raise DataError(type(self).__name__, "at least one sample to average over", f"losses of shape {each.shape}")
        return each.size

    def value(
        self,
        output: np.ndarray,
        target: np.ndarray,
        reduction: str = "mean",
        weights: np.ndarray | None = None,
        **options: Any,
    ) -> float | np.ndarray:
        """See ``Loss.value``."""
        each = self._rows(output, target, **options)[0]
        return reduced(each, reduction, self._count(each) if reduction == "mean" else 1, weights)

    def value_and_gradient(
        self, output: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None, **options: Any
    ) -> tuple[float, np.ndarray]:
        """See ``Loss.value_and_gradient``."""
        each, pullback = self._rows(output, target, **options)
        count = self._count(each)
        slope = np.full(each.shape, 1 / count, output.dtype)
        if weights is not None:
            slope *= of_mean_one(weights).reshape(weights.shape + (1,) * (slope.ndim - weights.ndim))
        return float(reduced(each, "mean", count, weights)), pullback(slope)


def unit_rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of length 1 in the directions of ``x``, and the lengths (..., 1) of ``x``; a zero row stays zero.

    Rows are scaled by their largest entry first, so that no square overflows.
    """
    largest = np.abs(x).max(axis=-1, keepdims=True, initial=0)
    scaled = x / np.where(largest == 0, 1, largest)
    length = np.sqrt((scaled * scaled).sum(axis=-1, keepdims=True))
    return scaled / np.where(length == 0, 1, length), length * largest


def unit_rows_backward(du: np.ndarray, u: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Gradient of ``unit_rows``: ``dx = (du - u (u . du)) / |x|``, 0 for a zero row."""
    across = du - u * (u * du).sum(axis=-1, keepdims=True)
    tiny = np.finfo(u.dtype).tiny
    return np.where(length < tiny, 0, across / np.where(length < tiny, 1, length))


class CosineSimilarity(RowLoss):
    """``1 - cos(o, t)`` along the last axis; a zero row has cosine 0 and no gradient."""

    def rows(self, output: np.ndarray, target: np.ndarray, **options: Any) -> tuple[np.ndarray, Pullback]:
        """See ``RowLoss``."""
        (u, length), v = unit_rows(output), unit_rows(target)[0]
        each = 1 - (u * v).sum(axis=-1)
        return each, lambda slope: unit_rows_backward(-slope[..., None] * v, u, length)


class Triplet(RowLoss):
    """``max(0, |o - t|² - |o - n|² + margin)`` with the array ``negative`` n (Schroff et al. 2015, eq. 3).

    The gradient is ``2 (n - t)`` where that is above 0.
    """

    options: Mapping[str, Check] = {"margin": not_negative}
    arrays = required = ("negative",)

    def rows(
        self, output: np.ndarray, target: np.ndarray, *, margin: float = 1.0, **options: Any
    ) -> tuple[np.ndarray, Pullback]:
        """See ``RowLoss``."""
        negative = options["negative"]
        near, far = output - target, output - negative
        each = (near * near).sum(axis=-1) - (far * far).sum(axis=-1) + output.dtype.type(margin)
        active = each > 0
        # A NaN is not below 0, so it stays.
        return np.where(each < 0, 0, each), lambda slope: (2 * slope * active)[..., None] * (negative - target)


class NTXent(RowLoss):
    """Normalised temperature-scaled cross entropy: every row of the output has to find its own row of the target.

    With u, v the outputs and targets scaled to length 1 and τ the temperature, row i loses
    ``-log(exp(u_i . v_i / τ) / Σ_j exp(u_i . v_j / τ))``, j over the batch. With ``symmetric=True`` it is the loss of
    SimCLR (Chen et al. 2020, eq. 1): each of the 2N rows of u and v has to find its partner among the other 2N - 1;
    a sample's loss is then the mean of its two rows'.
    """

    options: Mapping[str, Check] = {"temperature": above_zero, "symmetric": checks.flag}

    def rows(
        self,
        output: np.ndarray,
        target: np.ndarray,
        *,
        temperature: float = 0.5,
        symmetric: bool = False,
        **options: Any,
    ) -> tuple[np.ndarray, Pullback]:
        """See ``RowLoss``."""
        if output.ndim != 2:
            raise ShapeError("NTXent(output)", "shape (batch, features)", output.shape)
        n, scale = len(output), output.dtype.type(1 / temperature)
        (u, length), v = unit_rows(output), unit_rows(target)[0]
        if not symmetric:
            each, dlogits = _find_partners(matmul(u, v.T) * scale, np.arange(n))
            return each, lambda slope: unit_rows_backward(matmul(slope[:, None] * dlogits, v) * scale, u, length)
        z = np.concatenate([u, v])
        logits = matmul(z, z.T) * scale
        np.fill_diagonal(logits, -math.inf)
        each, dlogits = _find_partners(logits, np.roll(np.arange(2 * n), n))

        def pullback(slope: np.ndarray) -> np.ndarray:
            rows = dlogits * np.tile(slope / 2, 2)[:, None]
            return unit_rows_backward(matmul(rows[:n] + rows.T[:n], z) * scale, u, length)

        return (each[:n] + each[n:]) / 2, pullback


def _find_partners(logits: np.ndarray, partner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cross entropy of every row with its partner as the class, and the gradients of the logits."""
    target = np.zeros_like(logits)
    target[np.arange(len(target)), partner] = 1
    each, gradient = np.empty(len(logits), logits.dtype), np.empty_like(logits)
    softmax_cross_entropy(logits, target, each, gradient)
    return each, gradient


class KLDivergence(RowLoss):
    """``-1/2 Σ (1 + logvar - mu² - exp(logvar))``, from N(mu, exp(logvar)) to N(0, 1) (Kingma & Welling 2014, app. B).

    ``mu`` is the output and ``logvar`` the target unless they are given, as arrays of one shape with a row per row of
    the output. What is given does not depend on the output: the gradient is ``mu`` where the output stands for it, and
    0 under ``mu=``. To train a network that makes both, hand their gradients, ``mu`` and ``(exp(logvar) - 1) / 2`` over
    the number of rows, to ``Backward(output_gradient=...)``.
    """

    arrays = ("mu", "logvar")
    required_in_training = ("mu",)

    def rows(
        self,
        output: np.ndarray,
        target: np.ndarray,
        *,
        mu: np.ndarray | None = None,
        logvar: np.ndarray | None = None,
        **options: Any,
    ) -> tuple[np.ndarray, Pullback]:
        """See ``RowLoss``."""
        mean, spread = output if mu is None else mu, target if logvar is None else logvar
        with np.errstate(over="ignore"):
            each = (mean * mean + np.expm1(spread) - spread).sum(axis=-1) / 2
        if mu is None:
            return each, lambda slope: slope[..., None] * output
        return each, lambda slope: np.zeros_like(output)

    def check_arrays(self, where: str, output_shape: tuple[int, ...], arrays: Mapping[str, np.ndarray]) -> None:
        """See ``Loss``; the two belong together, their last axis need not be the output's."""
        shape = arrays["mu"].shape if len(arrays) == 2 else output_shape
        if len(shape) < 2 or shape[:-1] != output_shape[:-1]:
            raise ShapeError(f"{where}(mu)", f"shape {(*output_shape[:-1], 'features')}", f"shape {shape}")
        for name, array in arrays.items():
            if array.shape != shape:
                raise ShapeError(f"{where}({name})", f"shape {shape}", f"shape {array.shape}")

    def ignores_target(self, options: Mapping[str, Any]) -> bool:
        """See ``Loss``."""
        return "logvar" in options

    def doubt(self, head: str, options: Mapping[str, Any]) -> str:
        """See ``Loss``."""
        return "does not depend on the output under mu=, so there is nothing to learn: see losses.rows.KLDivergence"
