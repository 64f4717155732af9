"""Every loss of ``losses.LOSSES`` as one node."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import losses as table
from ..errors import DTypeError, StateError
from ..losses import Loss
from .activations import log_softmax, softplus
from .elementwise import square
from .nodes import STATE, Node, Op, made, record
from .operands import kind_of, opened, value_of
from .recording import enable_grad, no_grad
from .reductions import mean, sum

__all__ = ["FunctionLoss", "check_loss", "loss"]


def _cross_entropy(output: Any, target: np.ndarray) -> Any:
    return -sum(log_softmax(output) * target) / math.prod(target.shape[:-1])


#: Losses whose gradients have gradients: ``losses.evaluate`` of output and target, made of operations.
FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "mse": lambda output, target: mean(square(output - target)),
    "bce_logits": lambda output, target: mean(softplus(output) - output * target),
    "softmax_cross_entropy": _cross_entropy,
    "wasserstein": lambda output, target: -mean(output * target),
}


class LossOp(Op):
    """A mean loss, whose gradient was computed with its value."""

    __slots__ = ()
    expands = "recorded"

    def backward(self, g: Any, node: Node, saved: Any, wants: Any, direct: bool) -> tuple[Any, ...]:
        """See Op."""
        gradient = node.settings[0]
        return (gradient * np.asarray(g, gradient.dtype),)

    def expand(self, node: Node, inputs: Any) -> Any:
        """See Op."""
        _, name, target, options = node.settings
        if name not in FORMULAS or options:
            expected = f"one of {', '.join(FORMULAS)}, without options and weights"
            got = f"{name} with {', '.join(options)}" if options else name
            way_out = "write the loss with Tensor operations, or do without create_graph=True"
            raise StateError("create_graph through loss(...)", expected, got, way_out)
        return FORMULAS[name](inputs[0], target)


LOSS = LossOp("loss", lambda x: x)


def loss(
    name: str,
    output: Any,
    target: Any,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    **options: Any,
) -> Any:
    """Return the mean loss ``name`` of outputs against targets.

    Parameters
    ----------
    name : str
        A key of ``losses.LOSSES``.
    output : Tensor (batch, ...)
        Probabilities for "cross_entropy", "binary_cross_entropy" and "focal", logits for "softmax_cross_entropy" and
        "bce_logits".
    target : array_like
        A constant: numbers in the shape of ``output``, or integer class labels where the loss takes them.
    sample_weight, class_weight, **options
        See ``losses.evaluate``.

    Returns
    -------
    Tensor ()

    Raises
    ------
    ConfigError, ShapeError, DTypeError, DataError, LabelError
        As ``losses.evaluate`` does; StateError for targets that have a gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.autodiff import Tensor, loss
    >>> logits = Tensor([[2.0, 0.0]], requires_grad=True)
    >>> loss("softmax_cross_entropy", logits, np.array([0])).backward()
    >>> logits.grad.round(4)
    array([[-0.1192,  0.1192]])
    """
    for key, value in {"target": target, **options}.items():
        if getattr(value, "source", None) is not None:
            way_out = "use detach(), or write the loss with Tensor operations"
            raise StateError(f"loss({key})", "a constant", "a Tensor that has a gradient", way_out)
    kind = kind_of("loss", output)
    data, source = opened(output)
    options = {key: value_of(value) for key, value in options.items()}
    rule, data, target, options = table.prepared(
        "loss", name, data, value_of(target), options, sample_weight, class_weight
    )
    if kind is None or source is None or not STATE.enabled:
        value = np.asarray(rule.value(data, target, "mean", **options), data.dtype)
        return value if kind is None else made(kind, value, None)
    value, gradient = rule.value_and_gradient(data, target, **options)
    y = np.asarray(value, data.dtype)
    saved = (data,) if name in FORMULAS else ()
    return made(kind, y, record(LOSS, y, (source,), saved, (gradient, name, target, options), (data.shape,)))


def check_loss(where: str, value: Any, kind: type[Any]) -> None:
    """Raise DTypeError if what a loss function returned is no Tensor."""
    if not isinstance(value, kind):
        way_out = "return the Tensor itself, not its value"
        raise DTypeError(where, "a function that returns a Tensor", f"one that returns {type(value).__name__}", way_out)


class FunctionLoss(Loss):
    """A loss that a function of Tensors computes, for the training loop.

    Parameters
    ----------
    function : callable
        ``function(output, target)`` returns a Tensor with the mean loss of a batch.
    kind : type
        The Tensor class.
    """

    takes_any_target = True

    def __init__(self, function: Callable[[Any, Any], Any], kind: type[Any]) -> None:
        self.function, self.kind = function, kind

    def __str__(self) -> str:
        return getattr(self.function, "__name__", "the loss function")

    def value(self, output: np.ndarray, target: np.ndarray, reduction: str = "mean", **options: Any) -> float:
        """See ``losses.Loss``."""
        with no_grad():
            return float(self.function(self.kind(output), target))

    def value_and_gradient(self, output: np.ndarray, target: np.ndarray, **options: Any) -> tuple[float, np.ndarray]:
        """See ``losses.Loss``."""
        leaf = self.kind(output, requires_grad=True)
        with enable_grad():
            value = self.function(leaf, target)
        check_loss(str(self), value, self.kind)
        value.backward()
        return float(value), np.zeros_like(output) if leaf.grad is None else leaf.grad
