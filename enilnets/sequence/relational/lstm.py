"""LSTM with a linear read-out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import checks, layers
from ...layers import Dense, Layer
from .model import SequenceModel

__all__ = ["LSTM"]

#: The gates in the order of the rows of the layer's matrices: input, forget, cell, output.
GATES = ("i", "f", "c", "o")


class LSTM(SequenceModel):
    """Long short-term memory with a linear read-out, trained by backpropagation through time.

    Parameters
    ----------
    input_size, hidden_size, output_size : int >= 1
    dtype : {"float64", "float32"}, default "float64"
    rng : None, int, SeedSequence or Generator

    Notes
    -----
    ``i, f, o = σ(W x + U h + b)``, ``g = tanh(W_c x + U_c h + b_c)``, ``c' = f c + i g``, ``h' = o tanh(c')``, output
    ``W_out h + b_out`` (Hochreiter & Schmidhuber 1997; Gers et al. 2000). Parameters: ``W_f``, ``W_i``, ``W_c``,
    ``W_o`` (hidden, input), drawn by Xavier's uniform rule; ``U_f``, ... (hidden, hidden), orthogonal; ``b_f``, ...
    (hidden, 1), the forget gate's 1 and the others 0; ``W_out`` (output, hidden) and ``b_out`` (output, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import LSTM
    >>> model = LSTM(input_size=10, hidden_size=32, output_size=3, rng=0)
    >>> X = np.ones((5, 20, 10))
    >>> model.forward(X).shape, model.forward(X, return_sequences=True).shape
    ((5, 3), (5, 20, 3))
    >>> model.get_params()["b_f"].shape, model.n_parameters
    ((32, 1), 5603)
    """

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, *, dtype: Any = "float64", rng: Any = None
    ) -> None:
        input_size = checks.size("LSTM", "input_size", input_size)
        hidden_size = checks.size("LSTM", "hidden_size", hidden_size)
        output_size = checks.size("LSTM", "output_size", output_size)
        rng = checks.generator("LSTM", rng)
        lstm = layers.LSTM(input_size, hidden_size, return_sequences=True, dtype=dtype, rng=rng)
        super().__init__([lstm], [Dense(hidden_size, output_size, "linear", dtype=dtype, rng=rng)], input_size, rng)
        self.hidden_size, self.output_size = hidden_size, output_size

    @property
    def parts(self) -> dict[str, Layer]:
        """See SequenceModel."""
        body, head = self.network.layers
        return {"lstm": body.children["0"], "output": head.children["0"]}  # type: ignore[attr-defined]

    def _arrays(self, kind: str) -> dict[str, np.ndarray]:
        """See SequenceModel."""
        arrays = super()._arrays(kind)
        named = {}
        for gate in ("f", "i", "c", "o"):
            rows = slice(self.hidden_size * GATES.index(gate), self.hidden_size * (GATES.index(gate) + 1))
            named[f"W_{gate}"] = arrays["lstm.weights"][rows]
            named[f"U_{gate}"] = arrays["lstm.recurrent_weights"][rows]
            named[f"b_{gate}"] = arrays["lstm.bias"][rows, None]
        return named | {"W_out": arrays["output.weights"], "b_out": arrays["output.bias"][:, None]}
