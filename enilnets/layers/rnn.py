"""Plain recurrent layer: h' = tanh(W x + U h + b)."""

from __future__ import annotations

from typing import Any

from .. import checks
from .recurrent import Recurrent

__all__ = ["RNN"]


class RNN(Recurrent):
    """Plain recurrent layer: h' = tanh(W x + U h + b), or with a ReLU.

    Parameters
    ----------
    n_in, hidden_size, num_layers, bidirectional, return_sequences, dropout, recurrent_dropout, init_method
        See ``layers.recurrent.Recurrent``.
    activation : {"tanh", "relu"}, default "tanh"
    dtype, rng
        See NeuralNet.

    Notes
    -----
    Elman 1990. Input (batch, time, n_in).

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import RNN
    >>> layer = RNN(3, 8, return_sequences=True, rng=0)
    >>> y, saved = layer.forward(np.ones((2, 5, 3)), lengths=[5, 3])
    >>> y.shape, layer.final_state(saved).shape, float(y[1, 3:].sum())
    ((2, 5, 8), (1, 2, 8), 0.0)
    """

    type = "rnn"
    settings = (*Recurrent.settings, "activation")

    def __init__(
        self,
        n_in: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        return_sequences: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        init_method: str = "xavier_uniform",
        activation: str = "tanh",
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        self.activation = checks.choice("RNN", "activation", activation, ("tanh", "relu"))
        super().__init__(
            n_in,
            hidden_size,
            num_layers,
            bidirectional,
            return_sequences,
            dropout,
            recurrent_dropout,
            init_method,
            dtype=dtype,
            rng=rng,
        )

    @classmethod
    def cell_of(cls, config: dict[str, Any]) -> str:
        """See Recurrent."""
        return config["activation"]

    @property
    def cell(self) -> str:  # type: ignore[override]
        """The activation, by which the cell goes."""
        return self.activation
