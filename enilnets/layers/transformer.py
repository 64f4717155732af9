"""Transformer block: attention and a network per token, each on a normalised copy and added to what came in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import checks
from ..errors import ConfigError
from .attention import MultiHeadAttention
from .base import INFERENCE, Mode, Shape
from .container import Container
from .dense import Dense
from .dropout import Dropout
from .layernorm import LayerNorm
from .residual import added
from .sequential import Sequential

__all__ = ["TransformerBlock"]


#: What a block is made of.
PARTS: dict[str, type] = {
    "norm1": LayerNorm,
    "attention": MultiHeadAttention,
    "dropout": Dropout,
    "norm2": LayerNorm,
    "mlp": Sequential,
}


class BlockSaved(NamedTuple):
    """What the parts saved."""

    norm1: Any
    attention: Any
    dropout: Any
    norm2: Any
    mlp: Any


class TransformerBlock(Container):
    """Pre-norm transformer block: ``h = x + attention(norm1(x))``, ``y = h + mlp(norm2(h))``.

    Parameters
    ----------
    d_model, num_heads : int >= 1
    d_ff : int >= 1, optional
        Hidden width of the network per token; default ``4 d_model``.
    activation : str, default "gelu"
        A key of ``ops.activation.ACTIVATIONS``.
    dropout : float in [0, 1), default 0.0
        In training, of the weights of the attention, of the hidden layer, and of what both parts add.
    epsilon : float >= 1e-30, default 1e-5
        Of the normalisations.
    num_kv_heads, causal, rotary, alibi, window, use_bias, init_method
        See ``MultiHeadAttention``.

    Notes
    -----
    Xiong et al. 2020, "On layer normalization in the transformer architecture", figure 1 (b). The parts are
    ``layer["norm1"]``, ``layer["attention"]``, ``layer["norm2"]`` and ``layer["mlp"]``.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import TransformerBlock
    >>> block = TransformerBlock(8, 2, causal=True, rng=0)
    >>> y, saved = block.forward(np.ones((3, 5, 8)))
    >>> block.backward(np.ones_like(y), saved).shape, block["attention"]["weights"].shape
    ((3, 5, 8), (24, 8))
    """

    type = "transformer_block"
    settings = tuple(PARTS)
    nested = settings

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int | None = None,
        activation: str = "gelu",
        dropout: float = 0.0,
        epsilon: float = 1e-5,
        num_kv_heads: int | None = None,
        causal: bool = False,
        rotary: bool = False,
        alibi: bool = False,
        window: int | None = None,
        use_bias: bool = True,
        init_method: str = "xavier_uniform",
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        random = checks.generator("TransformerBlock", rng)
        options = (num_kv_heads, causal, rotary, alibi, window, dropout, use_bias, init_method)
        attention = MultiHeadAttention(d_model, num_heads, *options, dtype=dtype, rng=random)
        hidden = 4 * attention.d_model if d_ff is None else checks.size("TransformerBlock", "d_ff", d_ff)
        up = Dense(d_model, hidden, activation, init_method, use_bias, dtype=dtype, rng=random)
        down = Dense(hidden, d_model, "linear", init_method, use_bias, dtype=dtype, rng=random)
        drops = [Dropout(dropout, dtype=dtype) for _ in range(3)]
        norms = [LayerNorm(d_model, epsilon, dtype=dtype) for _ in range(2)]
        self._assemble(norms[0], attention, drops[0], norms[1], Sequential([up, drops[1], down, drops[2]]))

    def _assemble(
        self, norm1: LayerNorm, attention: MultiHeadAttention, dropout: Dropout, norm2: LayerNorm, mlp: Sequential
    ) -> None:
        """Take the parts in."""
        self.norm1, self.attention, self.dropout, self.norm2, self.mlp = norm1, attention, dropout, norm2, mlp
        super().__init__(
            {"norm1": norm1, "attention": attention, "dropout": dropout, "norm2": norm2, "mlp": mlp}, attention.dtype
        )

    @classmethod
    def blank(cls, settings: dict[str, Any], dtype: Any) -> TransformerBlock:
        """See Layer."""
        for name, kind in PARTS.items():
            if not isinstance(settings[name], kind):
                raise ConfigError(f"TransformerBlock({name})", f"a {kind.__name__}", type(settings[name]).__name__)
        block = cls.__new__(cls)
        block._assemble(**settings)
        return block

    @property
    def name(self) -> str:
        """See Layer."""
        return f"TransformerBlock({self.attention.d_model}, {self.attention.num_heads} heads)"

    def through(self, shape: Shape) -> Shape:
        """See Container."""
        return self.mlp.through(self.attention.output_shape(shape))

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.attention.d_model

    def saved_of(self, name: str, saved: BlockSaved) -> Any:
        """See Container."""
        return getattr(saved, name)

    def forward(
        self, x: np.ndarray, mode: Mode = INFERENCE, *, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, BlockSaved]:
        """See Layer; ``mask`` is that of ``ops.attention``."""
        normed, norm1 = self.norm1.forward(x, mode)
        seen, attention = self.attention.forward(normed, mode, mask=mask)
        seen, dropout = self.dropout.forward(seen, mode)
        h = added(x, seen)
        normed, norm2 = self.norm2.forward(h, mode)
        made, mlp = self.mlp.forward(normed, mode)
        return added(h, made), BlockSaved(norm1, attention, dropout, norm2, mlp)

    def backward_delta(
        self, dz: np.ndarray, saved: BlockSaved, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        d: Any = self.mlp.backward(dz, saved.mlp, params=params, inputs=True)
        d = self.norm2.backward(d, saved.norm2, params=params)
        dh = added(dz, d)
        d = self.dropout.backward(dh, saved.dropout)
        d = self.attention.backward(d, saved.attention, params=params)
        d = self.norm1.backward(d, saved.norm1, params=params, inputs=inputs)
        return added(dh, d) if inputs else None

    def describe(self) -> str:
        """See Layer."""
        width, heads = self.attention.d_model, self.attention.num_heads
        return f"Width: {width:6d} Heads: {heads:4d} Params: {self.n_parameters}"
