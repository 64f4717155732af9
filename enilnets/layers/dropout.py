"""Dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..errors import StateError
from ..ops.dropout import dropout, dropout_backward
from ..parameters import CHANGES
from .base import INFERENCE, Layer, Mode, Node

__all__ = ["Dropout"]


class Dropout(Layer):
    """Inverted dropout: in training, zero a random fraction of the input and scale the rest by 1 / (1 - rate).

    Parameters
    ----------
    rate : float in [0, 1), default 0.5
        Fraction that is dropped (Srivastava et al. 2014).

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Dropout, Mode
    >>> y, saved = Dropout(0.5).forward(np.ones((1, 1000)), Mode(training=True, rng=np.random.default_rng(0)))
    >>> sorted(set(y[0].tolist()))
    [0.0, 2.0]
    """

    type = "dropout"
    settings = ("rate",)
    adjustable = ("rate",)
    caches = True
    decodes = True

    def __init__(self, rate: float = 0.5, *, dtype: Any = "float64", rng: Any = None) -> None:
        super().__init__(dtype=dtype)
        self.rate = rate

    @property
    def rate(self) -> float:
        """Fraction that is dropped."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._rate = checks.fraction("Dropout", "rate", rate, one=False)
        CHANGES.count += 1

    def node(self, mode: Mode) -> Node | None:
        """See Layer; a pass that drops something needs the generator."""
        rate = self.rate if mode.dropout_rate is None else mode.dropout_rate
        return Node("identity") if not mode.training or rate == 0 else None

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, tuple[np.ndarray, float] | None]:
        """See Layer; the mask is drawn from ``mode.rng``."""
        rate = self.rate if mode.dropout_rate is None else mode.dropout_rate
        if not mode.training or rate == 0:
            return x, None
        if mode.rng is None:
            raise StateError("Dropout.forward(mode)", "a random generator for training", "none", "pass Mode(True, rng)")
        key = int(mode.rng.integers(2**64, dtype=np.uint64))
        y, mask = dropout(x, rate, key)
        return y, (mask, rate)

    def backward_delta(
        self, dz: np.ndarray, saved: tuple[np.ndarray, float] | None, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        if not inputs:
            return None
        return dz if saved is None else dropout_backward(dz, *saved)

    def documented_cache(self, saved: tuple[np.ndarray, float] | None) -> dict[str, Any]:
        """See Layer."""
        return {"mask": None if saved is None else saved[0]}
