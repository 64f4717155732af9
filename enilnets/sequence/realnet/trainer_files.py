"""A trainer as settings and arrays: its model, its optimizer, and the gradients that wait for a step."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import checks
from ...errors import ModelFormatError
from . import files
from .files import Arrays, Config

if TYPE_CHECKING:
    from .trainer import LossFunction, RealNetTrainer

__all__ = ["parts", "read", "rebuilt", "write"]


def parts(trainer: RealNetTrainer) -> tuple[Config, Arrays]:
    """Take a trainer apart; a loss that is a function is left out."""
    model, model_arrays = files.network_parts(trainer.model)
    optimizer, vectors = files.optimizer_parts(trainer.optimizer)
    config = {
        "model": model,
        "optimizer": optimizer,
        "loss": trainer.loss_fn if isinstance(trainer.loss_fn, str) else None,
        "gradient_decay": trainer.gradient_decay,
        "learning_rate": trainer.learning_rate,
        "clip_norm": trainer.clip_norm,
        "skipped": trainer.skipped,
        "waiting": trainer.waiting,
        "deaths_seen": trainer._deaths,
    }
    arrays = {f"model.{name}": array for name, array in model_arrays.items()}
    arrays.update({f"optimizer.{slot}": vector for slot, vector in vectors.items()})
    for name, parameter in trainer.model.parameters.items():
        if parameter.fresh:
            arrays[f"gradient.{name}"] = parameter.grad.copy()
    return config, arrays


def build(config: Config, arrays: Arrays, where: str, loss_fn: str | LossFunction | None) -> RealNetTrainer:
    """Put a trainer together; ModelFormatError if arrays are missing or do not fit."""
    from .trainer import RealNetTrainer

    groups: dict[str, Arrays] = {"model": {}, "optimizer": {}, "gradient": {}}
    for name, array in arrays.items():
        group, _, rest = name.partition(".")
        groups[group][rest] = array
    model = files.network_of(config["model"], groups["model"], where)
    loss = config["loss"] if config["loss"] is not None else loss_fn
    if loss is None:
        raise ModelFormatError(where, "a trainer with a loss by name", "a function", "pass loss_fn= once more")
    trainer = RealNetTrainer(
        model,
        files.optimizer_of(config["optimizer"], groups["optimizer"], model, where),
        loss,
        "cpu",
        config["gradient_decay"],
        learning_rate=config["learning_rate"],
        clip_norm=config["clip_norm"],
    )
    trainer.skipped = checks.integer(where, "skipped", config["skipped"], 0)
    trainer.waiting = checks.integer(where, "waiting", config["waiting"], 0)
    trainer._deaths = checks.integer(where, "deaths_seen", config["deaths_seen"], 0)
    for name, gradient in groups["gradient"].items():
        model.parameters[name].accumulate(np.asarray(gradient, model.dtype))
    return trainer


def write(path: str | PathLike[str], trainer: RealNetTrainer) -> None:
    """Write a trainer to ``path``: completely, or not at all."""
    files.write(path, "realnet trainer", *parts(trainer))


def read(path: str | PathLike[str], loss_fn: Any = None) -> RealNetTrainer:
    """Return the trainer of a file."""
    return files.read(path, "realnet trainer", lambda config, arrays, where: build(config, arrays, where, loss_fn))


def rebuilt(config: Config, arrays: Arrays, loss_fn: Any) -> RealNetTrainer:
    """Put a copy together; see ``parts``."""
    return build(config, arrays, "RealNetTrainer", loss_fn)
