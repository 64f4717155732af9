"""Long short-term memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from .base import Shape
from .recurrent import Recurrent

__all__ = ["LSTM"]


class LSTM(Recurrent):
    """Long short-term memory.

    Parameters
    ----------
    n_in, hidden_size, num_layers, bidirectional, return_sequences, dropout, recurrent_dropout, init_method
        See ``layers.recurrent.Recurrent``.
    forget_bias : float, default 1.0
        What the bias of the forget gate begins with, so that memory lasts from the first step of training on
        (Jozefowicz et al. 2015).
    dtype, rng
        See NeuralNet.

    Notes
    -----
    ``i, f, o = sigmoid(W x + U h + b)``, ``g = tanh(W x + U h + b)``, ``c' = f c + i g``, ``h' = o tanh(c')``
    (Hochreiter & Schmidhuber 1997; Gers et al. 2000); the rows of ``weights``, ``recurrent_weights`` and ``bias`` are
    those of i, f, g, o. Input (batch, time, n_in).

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import LSTM
    >>> layer = LSTM(3, 8, rng=0)
    >>> x = np.ones((2, 10, 3))
    >>> whole, _ = layer.forward(x)
    >>> _, saved = layer.forward(x[:, :4])
    >>> rest, _ = layer.forward(x[:, 4:], state=layer.final_state(saved))
    >>> bool(np.allclose(whole, rest))
    True
    """

    type = "lstm"
    cell = "lstm"
    settings = (*Recurrent.settings, "forget_bias")

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
        forget_bias: float = 1.0,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        self.forget_bias = checks.number("LSTM", "forget_bias", forget_bias)
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

    def first_values(self, name: str, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """See Recurrent; the forget gate has a bias."""
        values = super().first_values(name, shape, rng)
        if name.startswith("bias"):
            values[self.hidden_size : 2 * self.hidden_size] = self.forget_bias
        return values
