"""Sample weights and class weights become one array that enters the losses' means."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import checks
from ..errors import ConfigError, DataError, LabelError, ShapeError
from ..ops.array import as_data
from .base import Loss, along
from .table import LOSSES, loss_of

__all__ = ["as_sample_weights", "as_weights"]


def as_weights(
    where: str,
    loss: str | Loss,
    target: np.ndarray,
    sample_weight: Any = None,
    class_weight: Any = None,
    lengths: np.ndarray | None = None,
) -> np.ndarray | None:
    """Turn what a user passes as weights into the ``weights`` of a loss.

    Parameters
    ----------
    where : str
        The public function, for messages.
    loss : str or Loss
        A key of ``LOSSES``.
    target : ndarray
        From ``as_target``, in the shape of the output.
    sample_weight : array_like (batch,), optional
        A number >= 0 per sample; or per row, in the shape of the targets without their last axis, where 0 leaves the
        padding of a sequence out.
    class_weight : dict, array_like (classes,) or "balanced", optional
        A number >= 0 per class, for losses of classes or of a single yes/no output; classes that a dict leaves out
        have weight 1. A row's weight is that of its class, ``Σ_c t_c w_c`` for soft targets. "balanced" is
        ``rows / (classes * count)`` with the classes and counts of ``target``.
    lengths : ndarray (batch,) of int, optional
        Steps of each sequence: of targets (batch, time, ...), the rows behind them weigh nothing and do not count.

    Returns
    -------
    ndarray of the dtype of ``target`` and the shape of its leading axes, or None
        The product of the two.

    Raises
    ------
    ShapeError, DTypeError, DataError, ConfigError, LabelError
        For weights that do not fit, are negative or all zero, or name no class; for class weights where the loss has
        no classes.
    """
    weights = None
    if sample_weight is not None:
        weights = as_sample_weights(where, sample_weight, target)
    if lengths is not None and target.ndim > 2:
        inside = _inside(target, lengths)
        weights = inside if weights is None else _product(weights, inside)
        _check_some(where, "sample_weight", weights)
    if class_weight is not None:
        of_classes = _class_weights(where, loss, class_weight, target, lengths)
        weights = of_classes if weights is None else _product(of_classes, weights)
        _check_some(where, "class_weight", weights)
    return weights


def _inside(target: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """1 for the steps that the sequences of ``target`` have, 0 for the padding; (batch, time)."""
    return (np.arange(target.shape[1]) < lengths[:, None]).astype(target.dtype)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of weights of leading axes, of which one may have fewer than the other."""
    return a * along(b, a) if a.ndim >= b.ndim else along(a, b) * b


def _rows(target: np.ndarray) -> tuple[int, ...]:
    return target.shape[:-1] if target.ndim > 1 else target.shape


def as_sample_weights(where: str, value: Any, target: np.ndarray) -> np.ndarray:
    """Turn what a user passes as ``sample_weight`` into weights of ``target``'s samples or rows; see ``as_weights``."""
    weights = as_data(where, "sample_weight", value, target.dtype)
    if weights.shape not in (target.shape[:1], _rows(target)) or weights.ndim == 0:
        expected = f"shape {target.shape[:1]}, one weight per sample"
        raise ShapeError(f"{where}(sample_weight)", expected, f"shape {weights.shape}")
    _check_signs(where, "sample_weight", weights)
    _check_some(where, "sample_weight", weights)
    return weights


def _check_signs(where: str, name: str, weights: np.ndarray) -> None:
    if weights.size and weights.min() < 0:
        raise DataError(f"{where}({name})", "numbers >= 0", str(weights.min()))


def _check_some(where: str, name: str, weights: np.ndarray) -> None:
    if len(weights) and not weights.any():
        raise DataError(f"{where}({name})", "at least one weight above 0", "only zeros")


def _class_weights(
    where: str, loss: str | Loss, value: Any, target: np.ndarray, lengths: np.ndarray | None = None
) -> np.ndarray:
    shares = _shares(where, loss, target)
    if lengths is not None and target.ndim > 2:
        shares = shares * along(_inside(target, lengths), shares)
    classes = shares.shape[-1]
    if isinstance(value, str):
        checks.choice(where, "class_weight", value, ["balanced"])
        counts = shares.reshape(-1, classes).sum(axis=0, dtype=np.float64)
        present = counts > 0
        by_class = np.divide(counts.sum(), counts * present.sum(), out=np.zeros(classes), where=present)
    elif isinstance(value, Mapping):
        by_class = _by_class(where, value, classes)
    else:
        by_class = as_data(where, "class_weight", value, np.dtype(np.float64))
        if by_class.shape != (classes,):
            raise ShapeError(f"{where}(class_weight)", f"a weight per class, shape ({classes},)", str(by_class.shape))
    _check_signs(where, "class_weight", by_class)
    return (shares * by_class.astype(target.dtype)).sum(axis=-1)


def _shares(where: str, loss: str | Loss, target: np.ndarray) -> np.ndarray:
    """How much of each row belongs to each class."""
    entry = loss_of(where, loss)
    if entry.takes_classes and target.ndim > 1 and target.shape[-1] > 1:
        return target
    if entry.no_and_yes is not None and (target.ndim == 1 or target.shape[-1] == 1):
        no, yes = entry.no_and_yes
        share = (target.reshape(_rows(target)) - no) / (yes - no)
        return np.stack([1 - share, share], axis=-1)
    able = ", ".join(name for name, kind in LOSSES.items() if kind.takes_classes or kind.no_and_yes)
    raise ConfigError(
        f"{where}(class_weight)",
        f"a loss of classes ({able}) with one class per row",
        f"{loss} of outputs {target.shape}",
        "use sample_weight",
    )


def _by_class(where: str, value: Mapping[Any, Any], classes: int) -> np.ndarray:
    by_class = np.ones(classes)
    for key, weight in value.items():
        try:
            label = -1 if isinstance(key, (bool, np.bool_)) else operator.index(key)
        except TypeError:
            label = -1
        if not 0 <= label < classes:
            raise LabelError(f"{where}(class_weight)", f"class labels in [0, {classes})", repr(key))
        by_class[label] = checks.number(where, f"class_weight[{label}]", weight, 0.0)
    return by_class
