"""The table of losses, and the checks of names and options that go by it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .. import checks
from ..errors import ConfigError
from ..ops import losses as ops
from ..ops.array import as_data
from .base import Loss, above_zero, not_negative
from .kernels import KernelLoss
from .rows import CosineSimilarity, KLDivergence, NTXent, Triplet

__all__ = ["LOSSES", "as_options", "check_loss", "check_options", "loss_of", "per_sample", "warn_of_doubts"]

_SMOOTHING = {"label_smoothing": checks.fraction}
_FOCUS = {"alpha": checks.fraction, "gamma": not_negative}

_cross_entropy = KernelLoss(
    ops.cross_entropy,
    by_rows=True,
    takes_classes=True,
    target_range=(0, 1),
    takes="probabilities",
    options=_SMOOTHING,
    heads={"softmax": ops.cross_entropy_at_softmax},
)

#: Every loss by the names that users may write.
LOSSES: dict[str, Loss] = {
    "mse": KernelLoss(ops.mse),
    "binary_cross_entropy": KernelLoss(
        ops.binary_cross_entropy,
        threshold=0.5,
        no_and_yes=(0, 1),
        target_range=(0, 1),
        takes="probabilities",
        options=_SMOOTHING,
        heads={"sigmoid": ops.binary_cross_entropy_at_sigmoid},
    ),
    "cross_entropy": _cross_entropy,
    "categorical_cross_entropy": _cross_entropy,
    "sparse_cross_entropy": _cross_entropy,
    "bce_logits": KernelLoss(
        ops.bce_logits,
        threshold=0.0,
        no_and_yes=(0, 1),
        target_range=(0, 1),
        takes="logits",
        options=_SMOOTHING,
    ),
    "softmax_cross_entropy": KernelLoss(
        ops.softmax_cross_entropy,
        by_rows=True,
        each_row=True,
        takes_classes=True,
        target_range=(0, 1),
        takes="logits",
        options=_SMOOTHING,
    ),
    "focal": KernelLoss(
        ops.focal,
        threshold=0.5,
        no_and_yes=(0, 1),
        target_range=(0, 1),
        takes="probabilities",
        options=_FOCUS,
        heads={"sigmoid": ops.focal_at_sigmoid},
    ),
    "mae": KernelLoss(ops.mae),
    "huber": KernelLoss(ops.huber, options={"delta": above_zero}),
    "smooth_l1": KernelLoss(ops.smooth_l1, options={"beta": above_zero}),
    "hinge": KernelLoss(ops.hinge, threshold=0.0, no_and_yes=(-1, 1)),
    "wasserstein": KernelLoss(ops.wasserstein),
    "cosine_similarity": CosineSimilarity(),
    "triplet": Triplet(),
    "ntxent": NTXent(),
    "kl_divergence": KLDivergence(),
}


def check_loss(where: str, name: str) -> str:
    """Return ``name`` if ``LOSSES`` has it.

    Raises
    ------
    ConfigError
        For any other name, listing the known ones.
    """
    return checks.choice(where, "loss", name, LOSSES)


def loss_of(where: str, loss: str | Loss) -> Loss:
    """Return the loss of that name, or ``loss`` itself if it is one already; ConfigError for an unknown name."""
    return loss if isinstance(loss, Loss) else LOSSES[check_loss(where, loss)]


def check_options(where: str, name: str | Loss, options: Iterable[str], *, training: bool = False) -> Loss:
    """Return the loss ``name`` if it takes arguments of the names in ``options``, and needs no others.

    Raises
    ------
    ConfigError
        For an unknown loss or argument, listing the known ones; for an argument that is missing.
    """
    loss, given = loss_of(where, name), list(options)
    known = [*loss.options, *loss.arrays]
    unknown = [option for option in given if option not in known]
    if unknown:
        names = ", ".join(known) or "no further arguments"
        raise ConfigError(f"{where}: the loss {name}", names, ", ".join(unknown), "remove or rename them")
    for needed in (*loss.required, *(loss.required_in_training if training else ())):
        if needed not in given:
            way_out = f"pass {needed}=, an array with a row per sample"
            raise ConfigError(f"{where}: the loss {name}", f"the array {needed}", "none", way_out)
    return loss


def as_options(
    where: str, name: str | Loss, options: Mapping[str, Any], output_shape: tuple[int, ...], dtype: np.dtype
) -> dict[str, Any]:
    """Return what a user passes to the loss ``name`` by keyword as the loss computes with it.

    Raises
    ------
    ConfigError
        For unknown or missing names and for values out of range.
    ShapeError, DTypeError, DataError
        For arrays that do not fit the output or hold no finite real numbers.
    """
    loss = check_options(where, name, options)
    arrays = {key: as_data(where, key, value, dtype) for key, value in options.items() if key in loss.arrays}
    if arrays:
        loss.check_arrays(where, output_shape, arrays)
    return {key: arrays[key] if key in arrays else loss.options[key](where, key, options[key]) for key in options}


def per_sample(name: str | Loss, options: Mapping[str, Any]) -> list[str]:
    """Names of the options that have a row per sample and are shuffled and cut with the data."""
    return [key for key in options if key == "weights" or key in loss_of("per_sample", name).arrays]


def warn_of_doubts(where: str, name: str, head: str, options: Mapping[str, Any]) -> None:
    """Warn if training a network that ends in the activation ``head`` by this loss can hardly be meant.

    It is a warning and no error because the gradients are those of the loss all the same.
    """
    doubt = LOSSES[name].doubt(head, options)
    if doubt:
        warnings.warn(f"{where}: the loss {name} {doubt}", UserWarning, stacklevel=4)
