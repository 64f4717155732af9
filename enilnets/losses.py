"""Losses by name: their value under a reduction, their gradient, and the targets they take.

>>> evaluate("mse", np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))
2.5

To add a loss, write a class with the two methods of ``Loss`` (or, where one kernel makes sum and gradient, give that
kernel to ``KernelLoss``), enter an object of it in ``LOSSES``, and give it a formula in ``tests/test_losses.py``, whose
suite then runs over the table. Settings such as ``delta=`` and further arrays such as ``mu=`` or ``negative=`` are
keyword arguments of both methods; their names stand in ``options``, so that a misspelt one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import checks
from .errors import ConfigError, DataError, LabelError, ShapeError
from .ops import losses as ops
from .ops.array import as_data, empty, real

__all__ = [
    "LOSSES",
    "REDUCTIONS",
    "KernelLoss",
    "Loss",
    "as_target",
    "check_loss",
    "check_options",
    "evaluate",
    "one_hot",
    "value_and_gradient",
]

REDUCTIONS = ("mean", "sum", "none")


class Loss:
    """What every loss offers.

    Outputs and targets arrive as float32 or float64 arrays of one dtype; ``evaluate``, ``value_and_gradient`` and
    ``as_target`` have checked names, options and shapes before.
    """

    #: Whether integer class labels are turned into one-hot rows for this loss.
    takes_classes: bool = False
    #: Names of the keyword arguments that both methods take besides the arrays.
    options: tuple[str, ...] = ()
    #: Outputs above it say yes, for losses of independent yes/no outputs; None for all others.
    threshold: float | None = None

    def value(self, output: np.ndarray, target: np.ndarray, reduction: str, **options: Any) -> float | np.ndarray:
        """Return the loss as a float (reduction "mean" or "sum") or as an array (reduction "none")."""
        raise NotImplementedError

    def value_and_gradient(self, output: np.ndarray, target: np.ndarray, **options: Any) -> tuple[float, np.ndarray]:
        """Return the mean loss and its gradient with respect to ``output``."""
        raise NotImplementedError

    def fused_delta(
        self, head: str, output: np.ndarray, target: np.ndarray, **options: Any
    ) -> tuple[float, np.ndarray] | None:
        """Return the mean loss and its gradient at the pre-activation of ``head``, or None without such a shortcut."""
        return None


Kernel = Callable[..., float]


@dataclass(frozen=True, eq=False)
class KernelLoss(Loss):
    """A loss without options whose sum and gradient one kernel makes in one pass.

    The mean is the sum over the number of elements or over the batch, axis 0.
    """

    kernel: Kernel
    """A function of ``ops.losses``."""
    by_batch: bool = False
    """Divide the sum by the size of axis 0 instead of the number of elements."""
    by_row: bool = False
    """Reduction "none" gives one loss per row, not per element."""
    takes_classes: bool = False
    """Accept integer class labels."""
    threshold: float | None = None
    """See ``Loss``."""
    heads: Mapping[str, Kernel] = field(default_factory=dict)
    """Activation name -> kernel with the same value that puts the gradient at the pre-activation."""

    def _count(self, output: np.ndarray) -> int:
        """What the sum is divided by for the mean."""
        count = output.shape[0] if self.by_batch else output.size
        if count == 0:
            raise DataError(
                self.kernel.__name__, "at least one sample to average over", f"outputs of shape {output.shape}"
            )
        return count

    def _check_axes(self, output: np.ndarray) -> None:
        least = self.by_batch + self.by_row
        if output.ndim < least:
            shape = "(batch, ..., classes)" if self.by_row else "(batch, ...)"
            raise ShapeError(
                f"{self.kernel.__name__}(output)", f"shape {shape}", output.shape, "add the batch axis: output[None]"
            )

    def value(
        self, output: np.ndarray, target: np.ndarray, reduction: str = "mean", **options: Any
    ) -> float | np.ndarray:
        """See ``Loss.value``."""
        self._check_axes(output)
        if reduction == "none":
            each = np.empty(output.shape[:-1] if self.by_row else output.shape, output.dtype)
            self.kernel(output, target, each=each)
            return each
        count = self._count(output) if reduction == "mean" else 1
        return self.kernel(output, target) / count

    def value_and_gradient(self, output: np.ndarray, target: np.ndarray, **options: Any) -> tuple[float, np.ndarray]:
        """See ``Loss.value_and_gradient``."""
        return self._mean_and_gradient(self.kernel, output, target)

    def fused_delta(
        self, head: str, output: np.ndarray, target: np.ndarray, **options: Any
    ) -> tuple[float, np.ndarray] | None:
        """See ``Loss.fused_delta``.

        For ``p = softmax(z)`` under cross entropy the gradient at ``z`` is ``(p sum(t) - t) / batch``, for
        ``o = sigmoid(z)`` under binary cross entropy ``(o - t) / size``. The product of the two separate gradients is
        the same in exact arithmetic, but it loses the clipped probabilities: a sample that the network gets hopelessly
        wrong (probability 0 for its class) would stop pulling. Here it keeps its full gradient.
        """
        return self._mean_and_gradient(self.heads[head], output, target) if head in self.heads else None

    def _mean_and_gradient(self, kernel: Kernel, output: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        if output.ndim < 2 or output.size == 0:
            self._check_axes(output)
        count = self._count(output)
        gradient = empty(output.shape, output.dtype)
        return kernel(output, target, grad=gradient, scale=1 / count) / count, gradient


_cross_entropy = KernelLoss(
    ops.cross_entropy, by_batch=True, takes_classes=True, heads={"softmax": ops.cross_entropy_at_softmax}
)

#: Every loss by the names that users may write.
LOSSES: dict[str, Loss] = {
    "mse": KernelLoss(ops.mse),
    "binary_cross_entropy": KernelLoss(
        ops.binary_cross_entropy, threshold=0.5, heads={"sigmoid": ops.binary_cross_entropy_at_sigmoid}
    ),
    "cross_entropy": _cross_entropy,
    "categorical_cross_entropy": _cross_entropy,
    "bce_logits": KernelLoss(ops.bce_logits, threshold=0.0),
    "softmax_cross_entropy": KernelLoss(ops.softmax_cross_entropy, by_batch=True, by_row=True, takes_classes=True),
}


def check_loss(where: str, name: str) -> str:
    """Return ``name`` if ``LOSSES`` has it.

    Raises
    ------
    ConfigError
        For any other name, listing the known ones.
    """
    return checks.choice(where, "loss", name, LOSSES)


def check_options(where: str, name: str, options: Iterable[str]) -> Loss:
    """Return the loss ``name`` if it takes arguments of the names in ``options``.

    Raises
    ------
    ConfigError
        For an unknown loss or argument, listing the known ones.
    """
    loss = LOSSES[check_loss(where, name)]
    unknown = [option for option in options if option not in loss.options]
    if unknown:
        known = ", ".join(loss.options) or "no further arguments"
        raise ConfigError(f"{where}: the loss {name}", known, ", ".join(unknown), "remove or rename them")
    return loss


def evaluate(
    name: str, output: np.ndarray, target: np.ndarray, reduction: str = "mean", **options: Any
) -> float | np.ndarray:
    """Return the loss of outputs against targets.

    Parameters
    ----------
    name : str
        A key of ``LOSSES``.
    output : array_like (batch, ...)
        What the network said: probabilities for "cross_entropy" and "binary_cross_entropy", logits for
        "softmax_cross_entropy" and "bce_logits".
    target : array_like
        Shape of ``output``, or integer class labels of shape ``output.shape[:-1]`` for the losses that take classes;
        see ``as_target``. An array of the dtype and shape of ``output`` is used as it is: a NaN in it gives NaN.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is taken over all elements, for the losses over classes over the batch (axis 0) alone.
    **options
        What the loss takes besides.

    Returns
    -------
    float, or ndarray for "none"
        For "none" the losses of the elements, for "softmax_cross_entropy" of the rows.

    Raises
    ------
    ConfigError
        For an unknown loss, reduction or option.
    ShapeError, DTypeError, DataError, LabelError
        If the arrays do not fit, hold no real numbers, hold labels that are no class, or there is nothing to average.

    Notes
    -----
    With o the output and t the target, the loss of an element is

    - mse: ``(o - t)**2``
    - binary_cross_entropy: ``-(t log o + (1 - t) log(1 - o))``, o clipped to [1e-12, 1 - 1e-12]
      (for float32 [1e-12, 1 - 2**-23])
    - cross_entropy, categorical_cross_entropy: ``-t log o``, o clipped to [1e-12, 1]
    - bce_logits: ``max(o, 0) - o t + log(1 + exp(-|o|))``
    - softmax_cross_entropy: ``-t log softmax(o)``, summed over the last axis

    Examples
    --------
    >>> round(evaluate("cross_entropy", np.array([[0.25, 0.75]]), np.array([1])), 4)
    0.2877
    """
    loss, output, target = _prepare("evaluate", name, output, target, options)
    if reduction not in REDUCTIONS:
        raise ConfigError("evaluate(reduction)", f"one of {', '.join(REDUCTIONS)}", repr(reduction))
    return loss.value(output, target, reduction, **options)


def value_and_gradient(
    name: str, output: np.ndarray, target: np.ndarray, head: str = "linear", **options: Any
) -> tuple[float, np.ndarray, bool]:
    """Return the mean loss and its gradient, at the pre-activation of ``head`` where that is the better place.

    Parameters
    ----------
    name, output, target, **options
        As for ``evaluate``.
    head : str, default "linear"
        The activation that made ``output``.

    Returns
    -------
    value : float
        The mean loss.
    gradient : ndarray like output
    at_pre_activation : bool
        True if ``gradient`` is with respect to what went into ``head`` (softmax with cross entropy, sigmoid with binary
        cross entropy), so the head's own derivative must not be applied; False if it is with respect to ``output``.

    Raises
    ------
    ConfigError, ShapeError, DTypeError, DataError, LabelError
        As for ``evaluate``.

    Notes
    -----
    Away from a fused head, the gradient is that of the clipped loss: 0 for probabilities that the clip holds. The
    fused gradients leave the clip out, so a hopelessly wrong sample keeps its full gradient; see
    ``KernelLoss.fused_delta``.
    """
    loss, output, target = _prepare("value_and_gradient", name, output, target, options)
    return at_head(loss, output, target, head, **options)


def at_head(
    loss: Loss, output: np.ndarray, target: np.ndarray, head: str, **options: Any
) -> tuple[float, np.ndarray, bool]:
    """``value_and_gradient`` of a loss whose arguments have been checked."""
    fused = loss.fused_delta(head, output, target, **options)
    if fused is not None:
        return *fused, True
    return *loss.value_and_gradient(output, target, **options), False


def _prepare(
    where: str, name: str, output: np.ndarray, target: np.ndarray, options: Mapping[str, Any]
) -> tuple[Loss, np.ndarray, np.ndarray]:
    """Check names and arrays; return the loss and both arrays in one dtype."""
    loss = check_options(where, name, options)
    if not isinstance(output, np.ndarray) or output.dtype.newbyteorder("=") not in (np.float32, np.float64):
        output = as_data(where, "output", output, np.dtype(np.float64))
    output = real(where, "output", output)
    if not (isinstance(target, np.ndarray) and target.dtype == output.dtype and target.shape == output.shape):
        target = as_target(where, output.shape, target, output.dtype, name)
    return loss, output, target


def as_target(
    where: str, output_shape: tuple[int, ...], target: Any, dtype: np.dtype, loss: str, name: str = "target"
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
    loss : str
        A key of ``LOSSES``.

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
        For values that are no real numbers or not finite.
    """
    takes_classes = LOSSES[check_loss(where, loss)].takes_classes and len(output_shape) > 1 and output_shape[-1] > 1
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
            _way_out(loss, takes_classes, output_shape, target.shape),
        )
    return target


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
