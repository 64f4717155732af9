"""Measures of how good predictions are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DataError, DTypeError, LabelError, ShapeError
from ..losses import LOSSES

__all__ = ["accuracy", "confusion_matrix", "measure_for"]

Measure = Callable[[np.ndarray, np.ndarray], float]


def _array(name: str, values: Any) -> np.ndarray:
    try:
        values = np.asarray(values)
    except ValueError as error:
        raise ShapeError(f"accuracy({name})", "a rectangular array", str(error)) from None
    if values.dtype.kind not in "biuf" and values.size:
        raise DTypeError(f"accuracy({name})", "real numbers", f"dtype {values.dtype}")
    return values


def _classes(values: np.ndarray, multiclass: bool) -> np.ndarray:
    return values.argmax(-1) if multiclass else (values > 0.5).astype(np.int64)


def accuracy(predictions: Any, targets: Any) -> float:
    """Fraction of right classes.

    Parameters
    ----------
    predictions : array_like (..., classes) or (..., 1) or (batch,)
        Scores: the largest one is the class; with a single score, the class is ``score > 0.5``.
    targets : array_like
        Same shape as the predictions (one-hot or probabilities), or integer class labels without the last axis.

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ShapeError, DataError
        If the shapes do not belong together, there is no prediction, or one is NaN or infinite.
    LabelError
        If a label is no class.

    Examples
    --------
    >>> from enilnets.training.metrics import accuracy
    >>> accuracy([[0.9, 0.1], [0.2, 0.8]], [0, 0])
    0.5
    """
    predictions, targets = _array("predictions", predictions), _array("targets", targets)
    if predictions.size == 0:
        raise DataError("accuracy(predictions)", "at least one prediction", f"shape {predictions.shape}")
    multiclass = predictions.ndim > 1 and predictions.shape[-1] > 1
    if not np.isfinite(predictions).all():
        raise DataError("accuracy(predictions)", "finite numbers", "NaN or infinity", "see check_nan_inf()")
    predicted = _classes(predictions, multiclass)
    if multiclass and targets.shape == predictions.shape[:-1] and targets.dtype.kind in "biu":
        wanted = targets
        if wanted.min() < 0 or wanted.max() >= predictions.shape[-1]:
            got = f"labels from {wanted.min()} to {wanted.max()}"
            raise LabelError("accuracy(targets)", f"class labels in [0, {predictions.shape[-1]})", got)
    elif targets.shape == predictions.shape:
        wanted = _classes(targets, multiclass)
    else:
        raise ShapeError(
            "accuracy(targets)",
            f"shape {predictions.shape}, or integer labels without the last axis",
            f"shape {targets.shape}",
        )
    return float(np.mean(predicted == wanted))


def confusion_matrix(predicted: Any, wanted: Any, classes: int) -> np.ndarray:
    """Count how often each class was taken for each other.

    Parameters
    ----------
    predicted, wanted : array_like of int (n,)
        Class labels in [0, classes).
    classes : int

    Returns
    -------
    ndarray (classes, classes) of int
        Entry ``[i, j]``: samples of class i that were predicted as j.

    Examples
    --------
    >>> from enilnets.training.metrics import confusion_matrix
    >>> confusion_matrix([0, 1, 1], [0, 0, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    predicted, wanted = np.asarray(predicted), np.asarray(wanted)
    if predicted.shape != wanted.shape or predicted.ndim != 1:
        raise ShapeError(
            "confusion_matrix", "two label vectors of one length", f"shapes {predicted.shape} and {wanted.shape}"
        )
    for name, labels in (("predicted", predicted), ("wanted", wanted)):
        if labels.dtype.kind not in "iu" or (labels.size and not 0 <= labels.min() <= labels.max() < classes):
            raise LabelError(
                f"confusion_matrix({name})", f"integers in [0, {classes})", f"{labels.dtype} labels outside"
            )
    return np.bincount(wanted * classes + predicted, minlength=classes**2).reshape(classes, classes)


def measure_for(loss: str, targets: np.ndarray) -> Measure:
    """Return the accuracy that goes with ``loss``, as a function of outputs and targets of the same shape.

    Classes are compared by the largest score, independent yes/no outputs one by one at the loss's threshold. Where the
    targets are no classes at all, as in a regression, the measure is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> measure_for("bce_logits", np.array([[1.0], [0.0]]))(np.array([[0.2], [-3.0]]), np.array([[1.0], [0.0]]))
    1.0
    """
    threshold = LOSSES[loss].threshold
    if threshold is not None:
        return lambda outputs, wanted: float(np.mean((outputs > threshold) == (wanted > 0.5)))
    if LOSSES[loss].takes_classes or ((targets == 0) | (targets == 1)).all():
        return accuracy
    return lambda outputs, wanted: float("nan")
