"""Positional encoding: what tells attention where a token stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..errors import ConfigError, ShapeError
from ..ops.affine import column_sums
from ..ops.array import empty
from ..ops.positions import sinusoidal_table
from ..parameters import Parameter
from .base import INFERENCE, Layer, Mode, Shape

__all__ = ["PositionalEncoding"]

KINDS = ("sinusoidal", "learned")


class Place:
    """How many tokens came before, in a pass that goes token by token."""

    def __init__(self) -> None:
        self.tokens = 0


class PositionalEncoding(Layer):
    """Add a vector to every token that says where it stands.

    Parameters
    ----------
    d_model : int >= 1
        Width of a token.
    kind : {"sinusoidal", "learned"}, default "sinusoidal"
        Sines and cosines of the place, for sequences of any length; or a table that is trained.
    max_tokens : int >= 1, optional
        Rows of the learned table, for which it is needed: the length of the longest sequence.

    Notes
    -----
    ``y[b, t] = x[b, t] + table[t]`` (Vaswani et al. 2017, section 3.5). The learned table starts from N(0, 0.02²). With
    ``mode.past``, places go on behind the tokens of the calls before.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import PositionalEncoding
    >>> PositionalEncoding(2).forward(np.zeros((1, 2, 2)))[0].round(3).tolist()
    [[[0.0, 1.0], [0.841, 0.54]]]
    """

    type = "positional_encoding"
    settings = ("d_model", "kind", "max_tokens")
    takes_images = False
    decodes = True

    def __init__(
        self,
        d_model: int,
        kind: str = "sinusoidal",
        max_tokens: int | None = None,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        where = "PositionalEncoding"
        self.d_model, self.kind = checks.size(where, "d_model", d_model), checks.choice(where, "kind", kind, KINDS)
        self.max_tokens = None if max_tokens is None else checks.size(where, "max_tokens", max_tokens)
        if kind == "learned":
            if self.max_tokens is None:
                raise ConfigError(f"{where}(max_tokens)", "the longest length for kind='learned'", "None")
            drawn = checks.generator(where, rng).normal(0.0, 0.02, (self.max_tokens, self.d_model))
            self.parameters["weights"] = Parameter(drawn.astype(self.dtype))

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        return {"weights": (config["max_tokens"], config["d_model"])} if config["kind"] == "learned" else {}

    @property
    def name(self) -> str:
        """See Layer."""
        return f"PositionalEncoding({self.d_model}, {self.kind})"

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 2 or shape[1] != self.d_model:
            raise self.shape_error(f"(batch, tokens, {self.d_model})", shape)
        self._check_length(shape[0])
        return shape

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.d_model

    def _check_length(self, tokens: int) -> None:
        if self.max_tokens is not None and tokens > self.max_tokens:
            way_out = "make the layer with a larger max_tokens"
            got = f"(batch, {tokens}, {self.d_model})"
            raise ShapeError(self.name, f"input of at most {self.max_tokens} tokens", got, way_out)

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, int]:
        """See Layer."""
        place = Place() if mode.past is None else mode.past.of(self, Place)
        start, stop = place.tokens, place.tokens + x.shape[1]
        self._check_length(stop)
        if self.kind == "learned":
            table = self.parameters["weights"].value[start:stop]
        else:
            table = sinusoidal_table(x.shape[1], self.d_model, start=start).astype(x.dtype)
        place.tokens = stop
        return np.add(x, table, out=empty(x.shape, x.dtype)), x.shape[1]

    def backward_delta(
        self, dz: np.ndarray, saved: int, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        if self.kind == "learned" and params and not self.frozen:
            table = np.zeros_like(self.parameters["weights"].value)
            table[:saved] = column_sums(dz.reshape(len(dz), saved * self.d_model)).reshape(saved, self.d_model)
            self.accumulate(weights=table)
        return dz if inputs else None

    def describe(self) -> str:
        """See Layer."""
        return f"{self.kind} Params: {self.n_parameters}"
