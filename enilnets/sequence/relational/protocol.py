"""What the training functions ask of a model: three methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ...errors import ConfigError, DTypeError

__all__ = ["SequenceModelProtocol", "check_model", "params_of"]


class SequenceModelProtocol(Protocol):
    """A model as ``train_model`` and its like take it.

    A model that can also tell its gradients has ``gradients(X, y, task) -> (loss, outputs, gradients by name)``;
    without, they are found by finite differences.
    """

    def forward(self, X: np.ndarray, return_sequences: bool = False) -> np.ndarray:
        """Outputs (batch, output_size) for ``X`` (batch, time, input_size), or (batch, time, output_size)."""

    def get_params(self) -> dict[str, np.ndarray]:
        """All parameters by name."""

    def set_params(self, params: dict[str, np.ndarray]) -> None:
        """Take over what ``get_params`` of a model like this one returned."""


METHODS = ("forward", "get_params", "set_params")


def check_model(where: str, model: Any) -> None:
    """Raise ConfigError naming the methods of the protocol that ``model`` lacks."""
    missing = [name for name in METHODS if not callable(getattr(model, name, None))]
    if missing:
        got = f"{type(model).__name__} without {', '.join(missing)}"
        raise ConfigError(f"{where}(model)", f"a model with {', '.join(METHODS)}", got)


def params_of(where: str, model: Any) -> dict[str, np.ndarray]:
    """Return copies of the parameters of a model; named errors if it lacks a method or they are no real arrays."""
    check_model(where, model)
    params = model.get_params()
    if not isinstance(params, Mapping) or not params:
        raise ConfigError(f"{where}(model)", "get_params() to return a dict of arrays", repr(params)[:80])
    copies = {name: np.array(value) for name, value in params.items()}
    for name, value in copies.items():
        if value.dtype.kind != "f":
            raise DTypeError(f"{where}(model)", "parameters of real numbers", f"{name} of dtype {value.dtype}")
    return copies
