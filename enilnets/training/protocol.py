"""What training asks of a model. Anything that offers this can be trained, evolved or distributed."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..parameters import Arena

__all__ = ["Model"]


class Model(Protocol):
    """The model protocol.

    Attributes
    ----------
    arena : Arena
        All parameters and gradients as flat vectors.
    head : str
        Name of the last activation, or "linear".
    learning_rate : float
    rng : Generator
        Source of all randomness: initial weights, shuffling, dropout.
    run_state : dict
        What a training run left to be resumed from; models that can be saved keep it in their files.
    """

    learning_rate: float
    rng: np.random.Generator
    run_state: dict[str, Any]

    @property
    def arena(self) -> Arena:
        """All parameters and gradients."""

    @property
    def head(self) -> str:
        """Name of the last activation."""

    def forward(self, x: np.ndarray, train: bool = False) -> tuple[np.ndarray, Any]:
        """Return the output and a context for ``backward``; several contexts may be alive at once.

        Where sequences are padded, and only there, an int64 array (batch,) comes as ``lengths=``; to ``infer`` too.
        """

    def backward(
        self, ctx: Any, dy: np.ndarray, params: bool = True, inputs: bool = False, at_pre_activation: bool = False
    ) -> np.ndarray | None:
        """Add parameter gradients to the arena's; return the input's gradient if ``inputs``."""

    def step(self) -> None:
        """One optimizer step along the arena's gradients, which are then zero."""

    def infer(self, x: np.ndarray) -> np.ndarray:
        """Return the output in inference mode, keeping nothing."""

    def clone(self) -> Model:
        """Return an independent copy, optimizer and random state included."""
