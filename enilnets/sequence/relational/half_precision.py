"""What training in half precision would do to a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ... import checks
from ...errors import DTypeError, NonFiniteError
from .model import SequenceModel

__all__ = ["HalfPrecision"]


class HalfPrecision:
    """A model as seen through half precision, for ``train_model`` and its like: a simulation, which saves no time.

    Inputs and parameters are rounded to float16 before every pass, outputs and gradients behind it. What is trained
    are the exact parameters of ``model``, so that steps too small for float16 add up (mixed precision). Numbers in
    between, such as the states of an LSTM, are not rounded.

    Parameters
    ----------
    model : LSTM, RelationalMemory or RelationalRNN
    loss_scale : float > 0, default 1024
        Gradients are multiplied by it before they are rounded and divided by it afterwards, so that small ones do not
        become 0.

    References
    ----------
    Micikevicius et al. (2018), "Mixed precision training", sections 3.1 and 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import LSTM, HalfPrecision, train_step
    >>> model = HalfPrecision(LSTM(3, 8, 2, rng=0))
    >>> X, y = np.random.default_rng(0).normal(size=(4, 5, 3)), np.array([0, 1, 1, 0])
    >>> first, _, _ = train_step(model, X, y, learning_rate=0.1)
    >>> train_step(model, X, y, learning_rate=0.1)[0] < first
    True
    """

    def __init__(self, model: SequenceModel, loss_scale: float = 1024.0) -> None:
        if not isinstance(model, SequenceModel):
            known = "an LSTM, RelationalMemory or RelationalRNN of enilnets.sequence"
            raise DTypeError("HalfPrecision(model)", known, type(model).__name__)
        self.model = model
        self.loss_scale = checks.number("HalfPrecision", "loss_scale", loss_scale, 0.0, above=True)

    def forward(self, X: Any, return_sequences: bool = False) -> np.ndarray:
        """Return the outputs that the rounded model has."""
        with self._rounded():
            return half(self.model.forward(half(X), return_sequences))

    def gradients(
        self, X: Any, y: Any, task: str = "classification"
    ) -> tuple[float, np.ndarray, dict[str, np.ndarray]]:
        """Return loss, outputs and rounded gradients of the rounded model.

        Raises
        ------
        NonFiniteError
            If a gradient is too large for float16.
        """
        with self._rounded():
            loss, outputs, exact = self.model.gradients(half(X), y, task)
        gradients = {name: half(gradient * self.loss_scale) / self.loss_scale for name, gradient in exact.items()}
        too_large = [name for name, gradient in gradients.items() if not np.isfinite(gradient).all()]
        if too_large:
            got = f"larger ones of {', '.join(too_large)}"
            raise NonFiniteError("HalfPrecision.gradients", "gradients that fit float16", got, "lower loss_scale")
        return loss, half(outputs), gradients

    def get_params(self) -> dict[str, np.ndarray]:
        """Return the exact parameters."""
        return self.model.get_params()

    def set_params(self, params: dict[str, np.ndarray]) -> None:
        """Set the exact parameters."""
        self.model.set_params(params)

    @contextmanager
    def _rounded(self) -> Iterator[None]:
        """The model with rounded parameters; the exact ones come back."""
        values = self.model.arena.values
        exact = values.copy()
        values[...] = half(values)
        try:
            yield
        finally:
            values[...] = exact


def half(x: Any) -> np.ndarray:
    """The numbers of ``x`` that float16 can hold, in the dtype they had."""
    x = np.asarray(x)
    with np.errstate(over="ignore"):
        return x.astype(np.float16).astype(x.dtype) if x.dtype.kind == "f" else x
