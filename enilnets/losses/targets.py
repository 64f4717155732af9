"""Targets: what users pass becomes what the losses compute with."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..errors import DataError, LabelError, ShapeError
from ..ops.array import as_data
from .base import Loss
from .table import loss_of

__all__ = ["as_target", "one_hot"]

#: How far a target may lie outside its range by rounding.
SLACK = 1e-6


def as_target(
    where: str,
    output_shape: tuple[int, ...],
    target: Any,
    dtype: np.dtype,
    loss: str | Loss,
    name: str = "target",
    *,
    ranged: bool = True,
) -> np.ndarray:
    """Turn what a user passes as targets into what ``loss`` computes with.

    Parameters
    ----------
    where, name : str
        The public function and its argument, for messages.
    output_shape : tuple of int
        Shape of the outputs that the targets belong to.
    target : array_like
        Numbers of exactly ``output_shape``; or, where the loss takes classes and there are at least two of them,
        integer (or boolean) labels of shape ``output_shape[:-1]``.
    dtype : np.dtype
        float32 or float64, the model's.
    loss : str or Loss
        A key of ``LOSSES``.
    ranged : bool, default True
        Refuse targets outside the range that means something to the loss: [0, 1] for the cross entropies and focal.

    Returns
    -------
    ndarray of output_shape and dtype, C-contiguous

    Raises
    ------
    LabelError
        If a label is negative or not below ``output_shape[-1]``.
    ShapeError
        For any other shape: nothing is broadcast.
    DTypeError, DataError
        For values that are no real numbers, not finite, or out of the loss's range.
    """
    entry = loss_of(where, loss)
    if entry.takes_any_target:
        return np.asarray(target)
    takes_classes = entry.takes_classes and len(output_shape) > 1 and output_shape[-1] > 1
    if np.ma.is_masked(target):
        raise DataError(f"{where}({name})", "targets without gaps", "a masked array", "leave such samples out")
    labels = target if isinstance(target, np.ndarray) else _as_array(target)
    if takes_classes and labels is not None and labels.dtype.kind in "biu" and labels.shape == output_shape[:-1]:
        return _one_hot(where, labels, output_shape[-1], dtype, name)
    target = as_data(where, name, target, np.dtype(dtype))
    if target.shape != output_shape:
        raise ShapeError(
            f"{where}({name})",
            f"shape {output_shape} like the output",
            f"shape {target.shape}",
            _way_out(str(loss), takes_classes, output_shape, target.shape),
        )
    if ranged:
        _check_range(where, str(loss), entry.target_range, target, name)
    return target


def _check_range(where: str, loss: str, limits: tuple[float, float] | None, target: np.ndarray, name: str) -> None:
    if limits is None or not target.size:
        return
    low, high = float(target.min()), float(target.max())
    if low < limits[0] - SLACK or high > limits[1] + SLACK:
        expected = f"targets in [{limits[0]}, {limits[1]}] for {loss}"
        raise DataError(f"{where}({name})", expected, f"numbers from {low:g} to {high:g}", "or take another loss")


def _as_array(target: Any) -> np.ndarray | None:
    """``target`` as an array, or None if it is ragged; then as_data has the right words."""
    try:
        return np.asarray(target)
    except ValueError:
        return None


def _way_out(loss: str, takes_classes: bool, output_shape: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """What a target of ``shape`` probably wanted to be."""
    if takes_classes and shape in (output_shape[:-1], (*output_shape[:-1], 1)):
        return f"pass class labels as integers of shape {output_shape[:-1]}"
    if np.prod(shape, dtype=object) == np.prod(output_shape, dtype=object):
        return f"reshape it: target.reshape{output_shape}"
    if shape == output_shape[:-1]:
        return f"{loss!r} takes no class labels: use one_hot(target, {output_shape[-1]}) or another loss"
    return "targets are not broadcast"


def one_hot(labels: Any, classes: int, dtype: Any = np.float64) -> np.ndarray:
    """Return rows with a 1 at the label and 0 elsewhere.

    Parameters
    ----------
    labels : array_like of int or bool (...)
        Each in [0, classes).
    classes : int >= 1
    dtype : dtype, default float64

    Returns
    -------
    ndarray (..., classes)

    Raises
    ------
    LabelError
        If the labels are not integers or one lies outside [0, classes).
    ConfigError
        If ``classes`` is not a positive integer.

    Examples
    --------
    >>> one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    classes = checks.integer("one_hot", "classes", classes, 1)
    array = _as_array(labels)
    if array is None or (array.dtype.kind not in "biu" and array.size > 0):
        got = "a ragged list" if array is None else f"dtype {array.dtype}"
        raise LabelError("one_hot(labels)", "integers", got, "convert them with labels.astype(int)")
    return _one_hot("one_hot", array, classes, np.dtype(dtype), "labels")


def _one_hot(where: str, labels: np.ndarray, classes: int, dtype: np.dtype, name: str) -> np.ndarray:
    bad = (labels < 0) | (labels >= classes) if labels.dtype.kind != "b" else labels & (classes < 2)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise LabelError(f"{where}({name})", f"class labels in [0, {classes})", f"{labels[place]} at index {place}")
    rows = np.zeros((labels.size, classes), dtype)
    rows[np.arange(labels.size), labels.reshape(-1).astype(np.intp)] = 1
    return rows.reshape(*labels.shape, classes)
