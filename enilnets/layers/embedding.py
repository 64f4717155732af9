"""Embedding: a table of vectors that integers look up."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..init import EMBEDDING_INITIALIZERS, init_embedding_weights
from ..ops.gather import embedding
from ..parameters import Table
from .base import INFERENCE, Layer, Mode, Shape

__all__ = ["Embedding"]


class Embedding(Layer):
    """Look up a vector for every integer: (batch, sequence) becomes (batch, sequence, embed_dim).

    Parameters
    ----------
    vocab_size : int >= 1
        Rows of the table; ids run from 0 to ``vocab_size - 1``.
    embed_dim : int >= 1
        Width of a row.
    init_method : str, default "normal"
        A key of ``init.EMBEDDING_INITIALIZERS``.

    Raises
    ------
    LabelError
        By ``forward``, for ids that are negative, not whole, or no row of the table.

    Notes
    -----
    ``y[b, s] = weights[ids[b, s]]``; ids (batch,) count as (batch, 1). A row's gradient is the sum of ``dy`` over its
    places. The update touches the rows of the batch only, with every optimizer: rows that were not seen keep their
    values and their state, so momentum does not move them and the L2 penalty does not shrink them. A training step
    costs what the batch costs, whatever the size of the table.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Embedding
    >>> layer = Embedding(1000, 8, rng=0)
    >>> y, saved = layer.forward(np.array([[3, 1, 4], [1, 5, 9]]))
    >>> y.shape, bool((y[0, 1] == y[1, 0]).all())
    ((2, 3, 8), True)
    """

    type = "embedding"
    settings = ("vocab_size", "embed_dim", "init_method")
    caches = True
    takes_images = False
    takes_ids = True
    decodes = True

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        init_method: str = "normal",
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        self.vocab_size = checks.size("Embedding", "vocab_size", vocab_size)
        self.embed_dim = checks.size("Embedding", "embed_dim", embed_dim)
        self.init_method = checks.choice("Embedding", "init_method", init_method, EMBEDDING_INITIALIZERS)
        weights = init_embedding_weights(self.vocab_size, self.embed_dim, init_method, dtype=self.dtype, rng=rng)
        self.parameters["weights"] = Table(weights, penalised=True)

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        return {"weights": (config["vocab_size"], config["embed_dim"])}

    @property
    def name(self) -> str:
        """See Layer."""
        return f"Embedding({self.vocab_size} x {self.embed_dim})"

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) > 1:
            raise self.shape_error("(batch,) or (batch, sequence)", shape)
        return (*(shape or (1,)), self.embed_dim)

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.embed_dim

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, tuple[np.ndarray, Shape]]:
        """See Layer; ``x`` holds ids, as integers or as floats that are whole."""
        ids = x.reshape(-1, 1) if x.ndim == 1 else x
        y, ids = embedding(ids, self.parameters["weights"].value, where=self.name)
        return y, (ids, x.shape)

    def backward_delta(
        self, dz: np.ndarray, saved: tuple[np.ndarray, Shape], *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer; the gradient of ids is zero."""
        ids, shape = saved
        table: Any = self.parameters["weights"]
        if params and not self.frozen:
            table.accumulate_rows(dz.reshape(ids.size, self.embed_dim), ids.reshape(-1))
        return np.zeros(shape, dz.dtype) if inputs else None

    def documented_cache(self, saved: tuple[np.ndarray, Shape]) -> dict[str, Any]:
        """See Layer."""
        return {"_last_input": saved[0]}

    def describe(self) -> str:
        """See Layer."""
        return f"Vocab: {self.vocab_size:6d} Dim: {self.embed_dim:4d} Params: {self.n_parameters}"
