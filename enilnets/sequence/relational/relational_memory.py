"""Relational memory core with a read-out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ... import checks, layers
from ...errors import ConfigError
from ...layers import Dense, Layer
from .model import SequenceModel

__all__ = ["RelationalMemory", "head_of"]


class RelationalMemory(SequenceModel):
    """Relational memory core: slots that attend to one another and to the input, with an MLP that reads them.

    Parameters
    ----------
    input_size : int >= 1
    output_size : int >= 1, optional
        Left out, the output is the memory itself, (mem_slots * slot size), and there is no read-out.
    mem_slots : int >= 1, default 8
    head_size : int >= 1, default 16
        A slot is ``num_heads * head_size`` wide.
    num_heads : int >= 1, default 4
    num_blocks, forget_bias, input_bias, gate_style, attention_mlp_layers, key_size
        See ``layers.RelationalMemory``.
    readout : sequence of int, default ()
        Widths of the hidden layers, with ReLU, between the memory and the output.
    num_slots, slot_size, use_gate, use_input_attention : optional
        Other names: for ``mem_slots``; for ``num_heads * head_size``; ``use_gate=False`` for ``gate_style=None``; and
        ``use_input_attention=False`` lets the input act through the gates only.
    dtype : {"float64", "float32"}, default "float64"
    rng : None, int, SeedSequence or Generator

    Notes
    -----
    The equations are in ``ops.relational_memory`` (Santoro et al. 2018). At the start the memory is the identity, so
    that no two slots are alike.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import RelationalMemory
    >>> model = RelationalMemory(10, 3, mem_slots=4, head_size=16, num_heads=2, readout=(64, 64), rng=0)
    >>> model.forward(np.ones((5, 7, 10))).shape, model.n_parameters
    ((5, 3), 22787)
    """

    def __init__(
        self,
        input_size: int,
        output_size: int | None = None,
        mem_slots: int = 8,
        head_size: int = 16,
        num_heads: int = 4,
        num_blocks: int = 1,
        forget_bias: float = 1.0,
        input_bias: float = 0.0,
        gate_style: str | None = "unit",
        attention_mlp_layers: int = 2,
        key_size: int | None = None,
        *,
        readout: Sequence[int] = (),
        num_slots: int | None = None,
        slot_size: int | None = None,
        use_gate: bool = True,
        use_input_attention: bool = True,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        where = "RelationalMemory"
        self.output_size = None if output_size is None else checks.size(where, "output_size", output_size)
        if not isinstance(readout, (tuple, list)):
            raise ConfigError(f"{where}(readout)", "a list of widths", repr(readout))
        if self.output_size is None and readout:
            raise ConfigError(f"{where}(readout)", "an output_size with it", "none")
        heads, rng = checks.size(where, "num_heads", num_heads), checks.generator(where, rng)
        memory = layers.RelationalMemory(
            checks.size(where, "input_size", input_size),
            mem_slots if num_slots is None else checks.size(where, "num_slots", num_slots),
            head_size if slot_size is None else head_of(where, slot_size, heads),
            heads,
            num_blocks,
            forget_bias,
            input_bias,
            gate_style if checks.flag(where, "use_gate", use_gate) else None,
            attention_mlp_layers,
            key_size,
            use_input_attention,
            return_sequences=True,
            dtype=dtype,
            rng=rng,
        )
        widths = [memory.mem_slots * memory.width, *(checks.size(where, "readout", width) for width in readout)]
        head: list[Layer] = [Dense(*pair, "relu", "he_uniform", dtype=dtype, rng=rng) for pair in pairwise(widths)]
        if self.output_size is not None:
            head.append(Dense(widths[-1], self.output_size, "linear", dtype=dtype, rng=rng))
        super().__init__([memory], head, memory.n_in, rng)

    @property
    def parts(self) -> dict[str, Layer]:
        """See SequenceModel."""
        body, head = (layer.children for layer in self.network.layers)  # type: ignore[attr-defined]
        names = [f"readout_{i}" for i in range(len(head) - 1)] + ["output"] * (len(head) > 0)
        return {"memory": body["0"], **dict(zip(names, head.values(), strict=True))}


def head_of(where: str, slot_size: Any, num_heads: int) -> int:
    """Width of a head in slots of ``slot_size``; ConfigError if the heads do not divide it."""
    slot_size = checks.size(where, "slot_size", slot_size)
    if slot_size % num_heads:
        raise ConfigError(f"{where}(slot_size)", f"a multiple of num_heads, {num_heads}", repr(slot_size))
    return slot_size // num_heads
