"""Relational RNN: an LSTM whose states feed a relational memory, and an output that sees both."""

from __future__ import annotations

from typing import Any

from ... import checks, layers
from ...layers import Concat, Dense, Layer
from .model import SequenceModel
from .relational_memory import head_of

__all__ = ["RelationalRNN"]


class RelationalRNN(SequenceModel):
    """LSTM with a relational memory beside it.

    Parameters
    ----------
    input_size, hidden_size, output_size : int >= 1
    num_slots : int >= 1, default 4
    slot_size : int >= 1, default 64
        A multiple of ``num_heads``.
    num_heads : int >= 1, default 2
    dtype : {"float64", "float32"}, default "float64"
    rng : None, int, SeedSequence or Generator

    Notes
    -----
    With h the states of an LSTM over the input and m the slots, one after the other, of a relational memory core over
    h: output ``W_out tanh(W_c [h, m] + b_c) + b_out`` at each step. The memory is the core of Santoro et al. (2018),
    see ``ops.relational_memory``; it starts as the identity, so no two slots are alike at any step.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import RelationalRNN
    >>> model = RelationalRNN(input_size=10, hidden_size=32, output_size=3, rng=0)
    >>> model.forward(np.ones((5, 20, 10)), return_sequences=True).shape
    (5, 20, 3)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        num_slots: int = 4,
        slot_size: int = 64,
        num_heads: int = 2,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        where = "RelationalRNN"
        self.hidden_size = checks.size(where, "hidden_size", hidden_size)
        self.output_size = checks.size(where, "output_size", output_size)
        input_size = checks.size(where, "input_size", input_size)
        num_slots, num_heads = checks.size(where, "num_slots", num_slots), checks.size(where, "num_heads", num_heads)
        rng = checks.generator(where, rng)
        drawn = {"dtype": dtype, "rng": rng}
        lstm = layers.LSTM(input_size, self.hidden_size, return_sequences=True, **drawn)
        head_size = head_of(where, slot_size, num_heads)
        memory = layers.RelationalMemory(
            self.hidden_size, num_slots, head_size, num_heads, return_sequences=True, **drawn
        )
        combine = Dense(self.hidden_size + num_slots * slot_size, self.hidden_size, "tanh", **drawn)
        output = Dense(self.hidden_size, self.output_size, "linear", **drawn)
        super().__init__([lstm, Concat(None, memory, axis=-1)], [combine, output], input_size, rng)

    @property
    def parts(self) -> dict[str, Layer]:
        """See SequenceModel."""
        body, head = (layer.children for layer in self.network.layers)  # type: ignore[attr-defined]
        memory = body["1"].children["1"]
        return {"lstm": body["0"], "memory": memory, "combine": head["0"], "output": head["1"]}
