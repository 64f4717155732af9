"""Measures of how good predictions are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DataError, DTypeError, LabelError, ShapeError
from ..losses import Loss, loss_of

__all__ = ["accuracy", "classification_report", "confusion_matrix", "measure_for", "precision_recall_f1"]

Measure = Callable[[np.ndarray, np.ndarray], float]


def _array(where: str, name: str, values: Any) -> np.ndarray:
    try:
        values = np.asarray(values)
    except ValueError as error:
        raise ShapeError(f"{where}({name})", "a rectangular array", str(error)) from None
    if values.dtype.kind not in "biuf" and values.size:
        raise DTypeError(f"{where}({name})", "real numbers", f"dtype {values.dtype}")
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
        Same shape as the predictions (one-hot or probabilities), or integer class labels without the last axis (0 and
        1 for a single score).

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
    predicted, wanted = _predicted_and_wanted("accuracy", predictions, targets)
    return float(np.mean(predicted == wanted))


def _predicted_and_wanted(where: str, predictions: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    """Classes of scores and of their targets, by the rule of ``accuracy``."""
    predictions, targets = _array(where, "predictions", predictions), _array(where, "targets", targets)
    if predictions.size == 0:
        raise DataError(f"{where}(predictions)", "at least one prediction", f"shape {predictions.shape}")
    for name, values in (("predictions", predictions), ("targets", targets)):
        if not np.isfinite(values).all():
            raise DataError(f"{where}({name})", "finite numbers", "NaN or infinity", "see check_nan_inf()")
    multiclass = predictions.ndim > 1 and predictions.shape[-1] > 1
    predicted = _classes(predictions, multiclass)
    if predictions.ndim > 1 and targets.shape == predictions.shape[:-1] and targets.dtype.kind in "biu":
        classes = max(predictions.shape[-1], 2)
        if targets.min() < 0 or targets.max() >= classes:
            got = f"labels from {targets.min()} to {targets.max()}"
            raise LabelError(f"{where}(targets)", f"class labels in [0, {classes})", got)
        return predicted.reshape(targets.shape), targets.astype(np.int64)
    if targets.shape != predictions.shape:
        raise ShapeError(
            f"{where}(targets)",
            f"shape {predictions.shape}, or integer labels without the last axis",
            f"shape {targets.shape}",
        )
    return predicted, _classes(targets, multiclass)


#: Added to divisors that may be zero, as documented.
GUARD = 1e-12


def precision_recall_f1(predictions: Any, targets: Any) -> dict[str, float]:
    """Precision, recall and F1 of class 1, the positive one.

    Parameters
    ----------
    predictions, targets : array_like
        As for ``accuracy``: two classes or a single yes/no score. Of several classes, class 1 is the positive one and
        all others are negative; ``classification_report`` has every class.

    Returns
    -------
    dict
        ``precision``, ``recall`` and ``f1`` as floats in [0, 1]; 0 where there is nothing to divide.

    Raises
    ------
    ShapeError, DataError, LabelError
        As ``accuracy`` does.

    Notes
    -----
    With TP, FP and FN the true and false positives and the false negatives: ``precision = TP / (TP + FP + 1e-12)``,
    ``recall = TP / (TP + FN + 1e-12)``, ``f1 = 2 precision recall / (precision + recall + 1e-12)``.

    Examples
    --------
    >>> from enilnets.training.metrics import precision_recall_f1
    >>> scores = precision_recall_f1([[0.9], [0.8], [0.2]], [[1], [0], [0]])
    >>> {name: round(value, 3) for name, value in scores.items()}
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.667}
    """
    predicted, wanted = _predicted_and_wanted("precision_recall_f1", predictions, targets)
    hits = int(np.sum((predicted == 1) & (wanted == 1)))
    return _scores(hits, int(np.sum(predicted == 1)), int(np.sum(wanted == 1)))


def _scores(hits: int, predicted: int, wanted: int) -> dict[str, float]:
    """Scores of a class from the numbers of right predictions, of predictions, and of samples that are of it."""
    precision, recall = hits / (predicted + GUARD), hits / (wanted + GUARD)
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall + GUARD)}


def classification_report(predictions: Any, targets: Any) -> dict[int | str, dict[str, float]]:
    """Precision, recall, F1 and number of samples of every class, and their means.

    Parameters
    ----------
    predictions, targets : array_like
        As for ``accuracy``.

    Returns
    -------
    dict of dicts
        For every class (an int) ``precision``, ``recall``, ``f1`` and ``support``, the number of samples of the class;
        under ``"macro"`` their means over the classes, under ``"weighted"`` their means over the samples.

    Raises
    ------
    ShapeError, DataError, LabelError
        As ``accuracy`` does.

    Examples
    --------
    >>> from enilnets.training.metrics import classification_report
    >>> report = classification_report([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], [0, 1, 0])
    >>> round(report[1]["precision"], 2), report[0]["support"], round(report["macro"]["recall"], 2)
    (0.5, 2.0, 0.75)
    """
    predicted, wanted = _predicted_and_wanted("classification_report", predictions, targets)
    shape = np.shape(predictions)
    classes = max(shape[-1], 2) if len(shape) > 1 else 2
    matrix = confusion_matrix(predicted.reshape(-1), wanted.reshape(-1), classes)
    rows = []
    for label in range(classes):
        support = int(matrix[label].sum())
        scores = _scores(int(matrix[label, label]), int(matrix[:, label].sum()), support)
        rows.append({**scores, "support": float(support)})
    supports = np.array([row["support"] for row in rows])
    report: dict[int | str, dict[str, float]] = dict(enumerate(rows))
    for name, weights in (("macro", np.full(classes, 1 / classes)), ("weighted", supports / supports.sum())):
        means = {key: float(np.sum(weights * [row[key] for row in rows])) for key in ("precision", "recall", "f1")}
        report[name] = {**means, "support": float(supports.sum())}
    return report


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


def measure_for(loss: str | Loss, targets: np.ndarray) -> Measure:
    """Return the accuracy that goes with ``loss``, as a function of outputs and targets of the same shape.

    Classes are compared by the largest score, independent yes/no outputs one by one at the loss's threshold. Where the
    targets are no classes at all, as in a regression, the measure is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> measure_for("bce_logits", np.array([[1.0], [0.0]]))(np.array([[0.2], [-3.0]]), np.array([[1.0], [0.0]]))
    1.0
    """
    rule = loss_of("training", loss)
    threshold = rule.threshold
    if threshold is not None:
        return lambda outputs, wanted: float(np.mean((outputs > threshold) == (wanted > 0.5)))
    if rule.takes_any_target:
        return lambda outputs, wanted: float("nan")
    if rule.takes_classes or ((targets == 0) | (targets == 1)).all():
        return accuracy
    return lambda outputs, wanted: float("nan")
