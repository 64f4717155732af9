"""What every loss offers, and how weights enter a mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import checks
from ..errors import ShapeError

__all__ = ["REDUCTIONS", "Loss", "along", "of_mean_one", "reduced"]

REDUCTIONS = ("mean", "sum", "none")

#: Checks the value of a setting: (where, name, value) -> the value in its plain type.
Check = Callable[[str, str, Any], Any]


def above_zero(where: str, name: str, value: Any) -> float:
    """Check a setting that is a number above 0."""
    return checks.number(where, name, value, 0.0, above=True)


def not_negative(where: str, name: str, value: Any) -> float:
    """Check a setting that is a number of at least 0."""
    return checks.number(where, name, value, 0.0)


class Loss:
    """What every loss offers.

    Outputs and targets arrive as float32 or float64 arrays of one dtype; ``evaluate``, ``value_and_gradient`` and
    ``as_target`` have checked names, options and shapes before. All three methods also take the keyword ``weights``,
    an array of the leading axes of the output with a weight per sample or row, or None; see ``as_weights``.
    """

    #: Whether integer class labels are turned into one-hot rows for this loss.
    takes_classes: bool = False
    #: Settings by name, such as ``delta``, with what checks their values.
    options: Mapping[str, Check] = {}
    #: Names of further arrays with a row per sample, such as ``negative``.
    arrays: tuple[str, ...] = ()
    #: Those of the arrays that have no default; and those that training cannot do without.
    required: tuple[str, ...] = ()
    required_in_training: tuple[str, ...] = ()
    #: Outputs above it say yes, for losses of independent yes/no outputs; None for all others.
    threshold: float | None = None
    #: The targets that say no and yes, for those losses.
    no_and_yes: tuple[float, float] | None = None
    #: Whether targets are whatever the loss makes of them, and reach it as they are.
    takes_any_target: bool = False
    #: The range outside which a target means nothing to this loss, or None.
    target_range: tuple[float, float] | None = None

    def value(self, output: np.ndarray, target: np.ndarray, reduction: str, **options: Any) -> float | np.ndarray:
        """Return the loss as a float (reduction "mean" or "sum") or as an array (reduction "none")."""
        raise NotImplementedError(f"{type(self).__name__} must define value()")

    def value_and_gradient(self, output: np.ndarray, target: np.ndarray, **options: Any) -> tuple[float, np.ndarray]:
        """Return the mean loss and its gradient with respect to ``output``."""
        raise NotImplementedError(f"{type(self).__name__} must define value_and_gradient()")

    def fused_delta(
        self, head: str, output: np.ndarray, target: np.ndarray, **options: Any
    ) -> tuple[float, np.ndarray] | None:
        """Return the mean loss and its gradient at the pre-activation of ``head``, or None without such a shortcut."""
        return None

    def check_arrays(self, where: str, output_shape: tuple[int, ...], arrays: Mapping[str, np.ndarray]) -> None:
        """Raise ShapeError unless the further arrays fit outputs of this shape: all are like the output."""
        for name, array in arrays.items():
            if array.shape != output_shape:
                raise ShapeError(f"{where}({name})", f"shape {output_shape} like the output", f"shape {array.shape}")

    def ignores_target(self, options: Mapping[str, Any]) -> bool:
        """Whether the target has no part in the loss under these options, so that it may be None."""
        return False

    def __str__(self) -> str:
        return type(self).__name__

    def doubt(self, head: str, options: Mapping[str, Any]) -> str:
        """Say why training a network that ends in the activation ``head`` cannot be meant, or return ""."""
        return ""


def of_mean_one(weights: np.ndarray) -> np.ndarray:
    """Divide weights by their mean, which makes a mean of weighted losses a weighted mean; all zero stay zero."""
    mean = weights.mean()
    return weights / mean if mean > 0 else weights


def along(weights: np.ndarray, array: np.ndarray) -> np.ndarray:
    """View of ``weights``, which belong to the leading axes of ``array``, that multiplies with it."""
    return weights.reshape(weights.shape + (1,) * (array.ndim - weights.ndim))


def reduced(each: np.ndarray, reduction: str, count: int, weights: np.ndarray | None) -> float | np.ndarray:
    """Return losses as ``reduction`` says; the mean divides by ``count`` losses, or by their weights."""
    if weights is not None:
        each = each * along(of_mean_one(weights) if reduction == "mean" else weights, each)
    if reduction == "none":
        return each
    total = float(each.sum(dtype=np.float64))
    return total / count if reduction == "mean" else total
