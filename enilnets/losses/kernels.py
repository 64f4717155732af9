"""Losses whose sum and gradient one kernel makes in one pass: those of elements, and the cross entropies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..errors import DataError, ShapeError
from ..ops.array import empty
from .base import Check, Loss, along, of_mean_one, reduced

__all__ = ["KernelLoss", "smoothed"]

Kernel = Callable[..., float]

#: Activations whose outputs are probabilities.
PROBABILITIES = ("sigmoid", "softmax")


def smoothed(target: np.ndarray, label_smoothing: float, classes: int) -> np.ndarray:
    """Return ``(1 - s) t + s / classes``, the targets mixed with uniform ones (Szegedy et al. 2016, section 7)."""
    return (1 - label_smoothing) * target + label_smoothing / classes


@dataclass(frozen=True, eq=False)
class KernelLoss(Loss):
    """A loss whose sum and gradient one kernel makes in one pass.

    The mean is the sum over the number of elements or of rows (everything but the last axis).
    """

    kernel: Kernel
    """A function of ``ops.losses``, which takes the options of this loss but ``label_smoothing``."""
    by_rows: bool = False
    """The mean divides by the number of rows instead of elements."""
    each_row: bool = False
    """Reduction "none" gives one loss per row, not per element."""
    takes_classes: bool = False
    """Accept integer class labels."""
    threshold: float | None = None
    """See ``Loss``."""
    no_and_yes: tuple[float, float] | None = None
    """See ``Loss``."""
    target_range: tuple[float, float] | None = None
    """See ``Loss``."""
    takes: Literal["probabilities", "logits", "anything"] = "anything"
    """What the outputs have to be."""
    options: Mapping[str, Check] = field(default_factory=dict)
    """See ``Loss``; ``label_smoothing`` is done here, the others reach the kernel."""
    heads: Mapping[str, Kernel] = field(default_factory=dict)
    """Activation name -> kernel with the same value that puts the gradient at the pre-activation."""

    def _count(self, output: np.ndarray) -> int:
        """What the sum is divided by for the mean."""
        count = output.size
        if self.by_rows:  # of a vector, every element counts as a row
            count = math.prod(output.shape[:-1]) if output.ndim > 1 else output.shape[0]
        if count == 0:
            raise DataError(
                self.kernel.__name__, "at least one sample to average over", f"outputs of shape {output.shape}"
            )
        return count

    def _check_axes(self, output: np.ndarray) -> None:
        if output.ndim < self.by_rows + self.each_row:
            shape = "(batch, ..., classes)" if self.each_row else "(batch, ...)"
            raise ShapeError(
                f"{self.kernel.__name__}(output)", f"shape {shape}", output.shape, "add the batch axis: output[None]"
            )

    def _target(self, target: np.ndarray, label_smoothing: float) -> np.ndarray:
        if not label_smoothing:
            return target
        return smoothed(target, label_smoothing, target.shape[-1] if self.takes_classes else 2)

    def _empty_each(self, output: np.ndarray) -> np.ndarray:
        return np.empty(output.shape[:-1] if self.each_row else output.shape, output.dtype)

    def value(
        self,
        output: np.ndarray,
        target: np.ndarray,
        reduction: str = "mean",
        weights: np.ndarray | None = None,
        label_smoothing: float = 0.0,
        **options: Any,
    ) -> float | np.ndarray:
        """See ``Loss.value``."""
        self._check_axes(output)
        count = self._count(output) if reduction == "mean" else 1
        target = self._target(target, label_smoothing)
        if weights is None and reduction != "none":
            return self.kernel(output, target, **options) / count
        each = self._empty_each(output)
        self.kernel(output, target, each=each, **options)
        return reduced(each, reduction, count, weights)

    def value_and_gradient(self, output: np.ndarray, target: np.ndarray, **options: Any) -> tuple[float, np.ndarray]:
        """See ``Loss.value_and_gradient``."""
        return self._mean_and_gradient(self.kernel, output, target, **options)

    def fused_delta(
        self, head: str, output: np.ndarray, target: np.ndarray, **options: Any
    ) -> tuple[float, np.ndarray] | None:
        """See ``Loss.fused_delta``.

        For ``p = softmax(z)`` under cross entropy the gradient at ``z`` is ``(p sum(t) - t) / rows``, for
        ``o = sigmoid(z)`` under binary cross entropy ``(o - t) / size``. The product of the two separate gradients is
        the same in exact arithmetic, but it loses the clipped probabilities: a sample that the network gets hopelessly
        wrong (probability 0 for its class) would stop pulling. Here it keeps its full gradient.
        """
        return self._mean_and_gradient(self.heads[head], output, target, **options) if head in self.heads else None

    def _mean_and_gradient(
        self,
        kernel: Kernel,
        output: np.ndarray,
        target: np.ndarray,
        weights: np.ndarray | None = None,
        label_smoothing: float = 0.0,
        **options: Any,
    ) -> tuple[float, np.ndarray]:
        if output.ndim < 2 or output.size == 0:
            self._check_axes(output)
        count = self._count(output)
        target = self._target(target, label_smoothing)
        gradient = empty(output.shape, output.dtype)
        if weights is None:
            return kernel(output, target, grad=gradient, scale=1 / count, **options) / count, gradient
        each = self._empty_each(output)
        kernel(output, target, each=each, grad=gradient, scale=1 / count, **options)
        gradient *= along(of_mean_one(weights), gradient)
        return float(reduced(each, "mean", count, weights)), gradient

    def doubt(self, head: str, options: Mapping[str, Any]) -> str:
        """See ``Loss.doubt``."""
        if self.takes == "probabilities" and head not in PROBABILITIES:
            return f"takes probabilities, which outputs of {head!r} need not be: end in softmax or sigmoid, or take \
softmax_cross_entropy or bce_logits"
        if self.takes == "logits" and head in PROBABILITIES:
            return f"takes logits and applies the {head!r} itself: end in linear, or take cross_entropy or \
binary_cross_entropy"
        return ""
