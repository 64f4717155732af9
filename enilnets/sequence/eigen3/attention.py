"""Attention over columns: one learned query that looks at all of them, or all that look at each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import checks
from ...autodiff import Parameter, Tensor, broadcast_to, reshape, transpose
from ...autodiff.nodes import STATE
from ...errors import ConfigError, ShapeError
from ...layers import Dense, Dropout, LayerNorm
from ...ops.array import check_finite
from ...ops.attention import attention_weights
from .attending import Attending, attend, random_mask

__all__ = ["AttentionModule", "CrossAttentionModule", "SelfAttentionModule"]


class AttentionModule(Attending):
    """Multi-head attention over the columns of a market.

    Cross-attention: a learned query gathers the columns into one vector, ``LayerNorm(attended)``. Self-attention: every
    column looks at all of them, ``LayerNorm(x + attended)``.

    Parameters
    ----------
    embed_dim : int >= 1, default 256
        Features per column.
    num_heads : int >= 1, default 8
        A divisor of ``embed_dim``.
    use_cross_attention : bool, default False
    dropout_rate : float in [0, 1), default 0.1
        Of what was attended, before the sum and the normalisation; in training.
    attention_dropout : float in [0, 1), default 0.1
        Share of the weights that are dropped in training; those left are renormalised to a sum of 1. A query that loses
        all its columns keeps them all.
    dtype : {"float32", "float64"}, default "float32"
    rng : None, int, SeedSequence or Generator
    **training
        As for FeatureExtractor.

    Notes
    -----
    A call, ``module(x, train=False, return_attention_weights=False)``, returns the output, (batch, 1, embed_dim) or
    (batch, columns, embed_dim), and None or the weights: an array, the mean over heads of what the values were really
    weighted with, dropout included. It is (batch, 1, columns) for cross-attention; for self-attention, whose queries it
    averages as well, (batch, columns). Both sum to 1 over the columns.

    Queries, keys, values and output each have a projection with a bias. That of the keys moves all scores of a query by
    the same amount, so nothing depends on it and its gradient is zero; it is there because the original has it.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import AttentionModule
    >>> module = AttentionModule(16, num_heads=4, use_cross_attention=True, rng=0)
    >>> out, weights = module(np.ones((2, 5, 16)), return_attention_weights=True)
    >>> out.shape, weights.shape, bool(np.allclose(weights, 0.2))
    ((2, 1, 16), (2, 1, 5), True)
    """

    def __init__(
        self,
        embed_dim: int = 256,
        num_heads: int = 8,
        use_cross_attention: bool = False,
        dropout_rate: float = 0.1,
        attention_dropout: float = 0.1,
        *,
        dtype: Any = "float32",
        rng: Any = None,
        **training: Any,
    ) -> None:
        super().__init__(**{"l2_lambda": 0.0, **training}, dtype=dtype, rng=rng)
        self.embed_dim = checks.size(self._name, "embed_dim", embed_dim)
        self.num_heads = checks.size(self._name, "num_heads", num_heads)
        if self.embed_dim % self.num_heads:
            raise ConfigError(f"{self._name}(num_heads)", f"a divisor of embed_dim {embed_dim}", str(num_heads))
        self.use_cross_attention = checks.flag(self._name, "use_cross_attention", use_cross_attention)
        self.attention_dropout = checks.fraction(self._name, "attention_dropout", attention_dropout, one=False)
        if self.use_cross_attention:
            token = self.rng.normal(0.0, 0.02, (1, 1, self.embed_dim))
            self.token = Parameter(token.astype(self.dtype), penalised=True)
        self.query, self.key, self.value, self.output = (
            Dense(embed_dim, embed_dim, "linear", "lecun_normal", dtype=self.dtype, rng=self.rng) for _ in range(4)
        )
        self.dropout = Dropout(dropout_rate, dtype=self.dtype)
        self.norm = LayerNorm(self.embed_dim, 1e-6, dtype=self.dtype)

    def call(self, x: Tensor, return_attention_weights: bool = False) -> tuple[Tensor, np.ndarray | None]:
        """See Model."""
        if x.ndim != 3 or x.shape[2] != self.embed_dim or not x.size:
            expected = f"features of shape (batch, columns, {self.embed_dim}), none of them 0"
            raise ShapeError(f"{self._name}(x)", expected, f"shape {x.shape}")
        check_finite(self._name, "x", np.ascontiguousarray(x.data, self.dtype))
        batch, columns, _ = x.shape
        if self.use_cross_attention:
            q = broadcast_to(self.query(Tensor(self.token)), (batch, 1, self.embed_dim))
        else:
            q = self.query(x)
        q, k, v = self._split(q), self._split(self.key(x)), self._split(self.value(x))
        mask = None
        mode = STATE.mode
        if mode.training and mode.rng is not None and self.attention_dropout > 0:
            mask = random_mask((*q.shape[:3], columns), self.attention_dropout, mode.rng)
        heads = transpose(attend(q, k, v, mask), (0, 2, 1, 3))
        out = self.dropout(self.output(reshape(heads, (batch, -1, self.embed_dim))))
        out = self.norm(out if self.use_cross_attention else x + out)
        return out, self._weights(q, k, mask) if return_attention_weights else None

    def _split(self, x: Tensor) -> Tensor:
        """(batch, tokens, embed_dim) to (batch, heads, tokens, embed_dim / heads)."""
        return transpose(reshape(x, (*x.shape[:2], self.num_heads, -1)), (0, 2, 1, 3))

    def _weights(self, q: Tensor, k: Tensor, mask: np.ndarray | None) -> np.ndarray:
        weights = attention_weights(q.data, k.data, mask=mask).mean(axis=1)
        return weights if self.use_cross_attention else weights.mean(axis=1)


class CrossAttentionModule(AttentionModule):
    """AttentionModule with one learned query, for the actor; takes its arguments but ``use_cross_attention``."""

    def __init__(
        self,
        embed_dim: int = 256,
        num_heads: int = 8,
        dropout_rate: float = 0.1,
        attention_dropout: float = 0.1,
        **settings: Any,
    ) -> None:
        super().__init__(embed_dim, num_heads, True, dropout_rate, attention_dropout, **settings)


class SelfAttentionModule(AttentionModule):
    """AttentionModule among columns, for the critic; takes its arguments but ``use_cross_attention``."""

    def __init__(
        self,
        embed_dim: int = 256,
        num_heads: int = 8,
        dropout_rate: float = 0.1,
        attention_dropout: float = 0.1,
        **settings: Any,
    ) -> None:
        super().__init__(embed_dim, num_heads, False, dropout_rate, attention_dropout, **settings)
