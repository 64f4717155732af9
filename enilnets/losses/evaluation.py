"""Losses called by name: their value, and their gradient where training wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..ops.array import as_data, real
from .base import REDUCTIONS, Loss
from .table import as_options, check_options
from .targets import as_target
from .weights import as_weights

__all__ = ["at_head", "evaluate", "prepared", "value_and_gradient"]


def evaluate(
    name: str | Loss,
    output: np.ndarray,
    target: np.ndarray,
    reduction: str = "mean",
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    **options: Any,
) -> float | np.ndarray:
    """Return the loss of outputs against targets.

    Parameters
    ----------
    name : str or Loss
        A key of ``LOSSES``, or a loss of one's own.
    output : array_like (batch, ...)
        What the network said: probabilities for "cross_entropy", "binary_cross_entropy" and "focal", logits for
        "softmax_cross_entropy" and "bce_logits".
    target : array_like
        Shape of ``output``, or integer class labels of shape ``output.shape[:-1]`` for the losses that take classes;
        see ``as_target``. An array of the dtype and shape of ``output`` is used as it is: a NaN in it gives NaN.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is taken over all elements; for the cross entropies over classes and for the losses of rows, it is
        taken over the rows (all axes but the last).
    sample_weight : array_like (batch,), optional
        A number >= 0 per sample, or per row; see ``as_weights``.
    class_weight : dict, array_like (classes,) or "balanced", optional
        A number >= 0 per class; see ``as_weights``.
    **options
        What the loss takes besides, below in parentheses with the default.

    Returns
    -------
    float, or ndarray for "none"
        For "none" the losses of the elements, for "softmax_cross_entropy" and the losses of rows of the rows.

    Raises
    ------
    ConfigError
        For an unknown loss, reduction or option, and for a missing one.
    ShapeError, DTypeError, DataError, LabelError
        If the arrays do not fit, hold no real numbers, hold labels that are no class, or there is nothing to average.

    Notes
    -----
    With o the output and t the target, the loss of an element is

    - mse: ``(o - t)**2``
    - mae: ``|o - t|``
    - huber (delta=1): ``d**2 / 2`` if ``d <= delta`` else ``delta (d - delta / 2)``, ``d = |o - t|``
    - smooth_l1 (beta=1): huber of ``delta = beta``, divided by beta
    - binary_cross_entropy: ``-(t log o + (1 - t) log(1 - o))``, o clipped to [1e-12, 1 - 1e-12]
      (for float32 [1e-12, 1 - 2**-23])
    - focal (alpha=0.25, gamma=2): ``-(1 - pt)**gamma (alpha t log o + (1 - alpha) (1 - t) log(1 - o))`` with
      ``pt = o t + (1 - o) (1 - t)``, o clipped as before (Lin et al. 2017). The documentation of Enilnets 2.1 has
      ``pt**gamma`` for negatives, which weighs easy ones up instead of down.
    - cross_entropy, categorical_cross_entropy, sparse_cross_entropy (one loss): ``-t log o``, o clipped to [1e-12, 1]
    - bce_logits: ``max(o, 0) - o t + log(1 + exp(-|o|))``
    - hinge: ``max(0, 1 - t o)``, for targets -1 and 1
    - wasserstein: ``-o t``

    and that of a row, a vector along the last axis,

    - softmax_cross_entropy: ``Σ -t log softmax(o)``
    - cosine_similarity: ``1 - cos(o, t)``; cos is 0 for a zero row
    - triplet (margin=1, negative): ``max(0, |o - t|**2 - |o - negative|**2 + margin)``
    - ntxent (temperature=0.5, symmetric=False): see ``rows.NTXent``
    - kl_divergence (mu, logvar): see ``rows.KLDivergence``

    The cross entropies take ``label_smoothing`` in [0, 1] (default 0): targets become ``(1 - s) t + s / K`` with K
    classes, 2 for binary_cross_entropy and bce_logits.

    A weighted mean is ``Σ w l / Σ w`` over the elements or rows that the mean is taken over, as in scikit-learn and in
    PyTorch's class weights: a sample of weight 2 counts as two, and weights that are all equal change nothing. (Keras
    divides by the number of samples instead.) "sum" is ``Σ w l``, "none" ``w l``. Class weights go by the targets
    before label smoothing.

    Examples
    --------
    >>> round(evaluate("cross_entropy", np.array([[0.25, 0.75]]), np.array([1])), 4)
    0.2877
    """
    loss, output, target, options = prepared("evaluate", name, output, target, options, sample_weight, class_weight)
    if reduction not in REDUCTIONS:
        raise ConfigError("evaluate(reduction)", f"one of {', '.join(REDUCTIONS)}", repr(reduction))
    return loss.value(output, target, reduction, **options)


def value_and_gradient(
    name: str | Loss,
    output: np.ndarray,
    target: np.ndarray,
    head: str = "linear",
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    **options: Any,
) -> tuple[float, np.ndarray, bool]:
    """Return the mean loss and its gradient, at the pre-activation of ``head`` where that is the better place.

    Parameters
    ----------
    name, output, target, sample_weight, class_weight, **options
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
        cross entropy and focal), so the head's own derivative must not be applied; False if it is with respect to
        ``output``.

    Raises
    ------
    ConfigError, ShapeError, DTypeError, DataError, LabelError
        As for ``evaluate``.

    Notes
    -----
    Away from a fused head, the gradient is that of the clipped loss: 0 for probabilities that the clip holds. The
    fused gradients leave the clip out, so a hopelessly wrong sample keeps its full gradient; see
    ``KernelLoss.fused_delta``. Under weights it is the gradient of the weighted mean.
    """
    where = "value_and_gradient"
    loss, output, target, options = prepared(where, name, output, target, options, sample_weight, class_weight)
    return at_head(loss, output, target, head, **options)


def at_head(
    loss: Loss, output: np.ndarray, target: np.ndarray, head: str, **options: Any
) -> tuple[float, np.ndarray, bool]:
    """``value_and_gradient`` of a loss whose arguments have been checked."""
    fused = loss.fused_delta(head, output, target, **options)
    if fused is not None:
        return *fused, True
    return *loss.value_and_gradient(output, target, **options), False


def prepared(
    where: str,
    name: str | Loss,
    output: np.ndarray,
    target: Any,
    options: Mapping[str, Any],
    sample_weight: Any = None,
    class_weight: Any = None,
) -> tuple[Loss, np.ndarray, np.ndarray, dict[str, Any]]:
    """Check names, arrays and weights; return the loss, both arrays in one dtype, and what the loss takes besides."""
    loss = check_options(where, name, options)
    if not isinstance(output, np.ndarray) or output.dtype.newbyteorder("=") not in (np.float32, np.float64):
        output = as_data(where, "output", output, np.dtype(np.float64))
    output = real(where, "output", output)
    options = as_options(where, name, options, output.shape, output.dtype) if options else {}
    if target is None and loss.ignores_target(options):
        target = output
    if not (isinstance(target, np.ndarray) and target.dtype == output.dtype and target.shape == output.shape):
        target = as_target(where, output.shape, target, output.dtype, name)
    weights = as_weights(where, name, target, sample_weight, class_weight)
    if weights is not None:
        options["weights"] = weights
    return loss, output, target, options
