"""Gated recurrent unit."""

from __future__ import annotations

from .recurrent import Recurrent

__all__ = ["GRU"]


class GRU(Recurrent):
    """Gated recurrent unit.

    Parameters
    ----------
    n_in, hidden_size, num_layers, bidirectional, return_sequences, dropout, recurrent_dropout, init_method
        See ``layers.recurrent.Recurrent``.
    dtype, rng
        See NeuralNet.

    Notes
    -----
    ``r, z = sigmoid(W x + U h + b)``, ``n = tanh(W x + b_n + r (U h + b_q))``, ``h' = (1 - z) n + z h`` (Cho et al.
    2014, in the form of cuDNN and PyTorch). The rows of ``weights`` and ``recurrent_weights`` are those of r, z, n; the
    numbers of ``bias`` are those of r, z, n and q. Input (batch, time, n_in).

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import GRU
    >>> layer = GRU(3, 8, num_layers=2, bidirectional=True, rng=0)
    >>> y, saved = layer.forward(np.ones((2, 5, 3)))
    >>> y.shape, layer.final_state(saved).shape
    ((2, 16), (4, 2, 8))
    """

    type = "gru"
    cell = "gru"
