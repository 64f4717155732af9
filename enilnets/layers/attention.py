"""Multi-head attention: every token takes what it needs from the others, or from the tokens of a second sequence."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import checks
from ..errors import ConfigError, ShapeError, StateError
from ..init import INITIALIZERS, init_weights
from ..ops.affine import affine, affine_backward
from ..ops.array import empty, real
from ..ops.attention import AttentionSaved, attention, attention_backward, joint_attention_backward
from ..ops.positions import alibi_slopes, rotary, rotary_backward
from ..parameters import Parameter
from .base import INFERENCE, Layer, Mode, Shape
from .past import KeyValueCache

__all__ = ["MultiHeadAttention"]


class Attended(NamedTuple):
    """What ``backward`` needs: inputs as rows, what the heads saved, and the heads' outputs joined."""

    x: np.ndarray
    memory: np.ndarray | None
    heads: AttentionSaved | None
    joined: np.ndarray
    shape: Shape


class MultiHeadAttention(Layer):
    """Multi-head attention of a sequence to itself, or to a second one.

    Parameters
    ----------
    d_model : int >= 1
        Width of input and output.
    num_heads : int >= 1
        A divisor of ``d_model``; the width of a head is ``d_model / num_heads``.
    num_kv_heads : int >= 1, optional
        Heads of keys and values, a divisor of ``num_heads``: neighbouring heads share them. Default: ``num_heads``.
    causal : bool, default False
        A token sees itself and those before it.
    rotary : bool, default False
        Rotate queries and keys by their places; the width of a head must be even.
    alibi : bool, default False
        Lower the scores of distant tokens, by a slope of its own for each head.
    window : int >= 1, optional
        A token sees those that are fewer places away than this.
    dropout : float in [0, 1), default 0.0
        Share of the weights that training drops.
    use_bias : bool, default True
    init_method : str, default "xavier_uniform"
        A key of ``init.INITIALIZERS``, for each of the four projections.

    Notes
    -----
    Input and output (batch, tokens, d_model). ``q = x Wqᵀ + bq``, ``k`` and ``v`` alike, all rows of
    ``layer["weights"]`` and ``layer["bias"]`` in this order; ``y = concat(softmax(q kᵀ / sqrt(d)) v) Woᵀ + bo`` over
    the heads (Vaswani et al. 2017, section 3.2.2; shared keys: Ainslie et al. 2023), with Wo and bo in
    ``layer["out_weights"]`` and ``layer["out_bias"]``. Memory grows with the tokens, not with their square.

    ``forward(x, mode, memory=m)`` takes keys and values from ``m`` (batch, tokens of m, d_model) instead; ``backward``
    then returns ``(dx, dm)``. ``mask`` and ``memory_lengths`` are the ``mask`` and ``lengths`` of ``ops.attention``;
    without memory, ``mode.lengths`` says how many tokens of each sequence are seen. Outputs of the padding behind them
    are numbers without meaning, so their gradient should be zero. With ``mode.past`` (see ``Past``), x continues the
    sequences of the calls before.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import MultiHeadAttention
    >>> layer = MultiHeadAttention(8, 2, rng=0)
    >>> y, saved = layer.forward(np.ones((3, 5, 8)))
    >>> dx = layer.backward(np.ones_like(y), saved)
    >>> y, saved = layer.forward(np.ones((3, 5, 8)), memory=np.ones((3, 7, 8)))
    >>> [gradient.shape for gradient in layer.backward(np.ones_like(y), saved)]
    [(3, 5, 8), (3, 7, 8)]
    """

    type = "multihead_attention"
    settings = (
        *("d_model", "num_heads", "num_kv_heads", "causal", "rotary", "alibi", "window", "dropout"),
        *("use_bias", "init_method"),
    )
    adjustable = ("dropout",)
    takes_images = False

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        causal: bool = False,
        rotary: bool = False,
        alibi: bool = False,
        window: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        init_method: str = "xavier_uniform",
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        where = "MultiHeadAttention"
        self.d_model, self.num_heads = (
            checks.size(where, "d_model", d_model),
            checks.size(where, "num_heads", num_heads),
        )
        self.num_kv_heads = self.num_heads
        if num_kv_heads is not None:
            self.num_kv_heads = checks.size(where, "num_kv_heads", num_kv_heads)
        self.causal, self.rotary = checks.flag(where, "causal", causal), checks.flag(where, "rotary", rotary)
        self.alibi, self.use_bias = checks.flag(where, "alibi", alibi), checks.flag(where, "use_bias", use_bias)
        self.window = None if window is None else checks.size(where, "window", window)
        self.dropout = dropout
        self.init_method = checks.choice(where, "init_method", init_method, INITIALIZERS)
        self._check_heads(where)
        self._draw(rng)

    def _check_heads(self, where: str) -> None:
        """Refuse numbers of heads that do not divide what they share."""
        if self.d_model % self.num_heads:
            expected = f"a divisor of d_model, {self.d_model}"
            raise ConfigError(f"{where}(num_heads)", expected, repr(self.num_heads))
        if self.num_heads % self.num_kv_heads:
            expected = f"a divisor of num_heads, {self.num_heads}"
            raise ConfigError(f"{where}(num_kv_heads)", expected, repr(self.num_kv_heads))
        if self.rotary and self.width % 2:
            got = f"d_model / num_heads = {self.width}"
            raise ConfigError(f"{where}(rotary)", "heads of an even width, whose features it pairs", got)

    def _draw(self, rng: Any) -> None:
        """Make the parameters; every projection is drawn by itself."""
        random = checks.generator("MultiHeadAttention", rng)
        shared = self.num_kv_heads * self.width
        drawn = [
            init_weights(self.d_model, rows, self.init_method, dtype=self.dtype, rng=random)
            for rows in (self.d_model, shared, shared, self.d_model)
        ]
        weights, biases = zip(*drawn, strict=True)
        self.parameters["weights"] = Parameter(np.concatenate(weights[:3]), penalised=True)
        self.parameters["out_weights"] = Parameter(weights[3], penalised=True)
        if self.use_bias:
            self.parameters["bias"] = Parameter(np.concatenate(biases[:3]))
            self.parameters["out_bias"] = Parameter(biases[3])

    @property
    def width(self) -> int:
        """Features of a head."""
        return self.d_model // self.num_heads

    @property
    def dropout(self) -> float:
        """Share of the weights that training drops."""
        return self._dropout

    @dropout.setter
    def dropout(self, dropout: float) -> None:
        self._dropout = checks.fraction("MultiHeadAttention", "dropout", dropout, one=False)

    @property
    def decodes(self) -> bool:  # type: ignore[override]
        """See Layer."""
        return self.causal

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        d, heads = config["d_model"], checks.size(cls.__name__, "num_heads", config["num_heads"])
        rows = d + 2 * (config["num_kv_heads"] or heads) * (d // heads)
        biases = {"bias": (rows,), "out_bias": (d,)} if config["use_bias"] else {}
        return {"weights": (rows, d), "out_weights": (d, d), **biases}

    @property
    def name(self) -> str:
        """See Layer."""
        return f"MultiHeadAttention({self.d_model}, {self.num_heads} heads)"

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 2 or shape[1] != self.d_model or shape[0] == 0:
            raise self.shape_error(f"(batch, tokens >= 1, {self.d_model})", shape)
        return shape

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.d_model

    def _values(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray | None]:
        """The weights and biases of both steps."""
        found = [self.parameters.get(name) for name in ("weights", "bias", "out_weights", "out_bias")]
        weights, bias, out_weights, out_bias = (None if p is None else p.value for p in found)
        assert weights is not None and out_weights is not None
        return weights, bias, out_weights, out_bias

    def _split(self, rows: np.ndarray, shape: Shape) -> np.ndarray:
        """Return rows of projections of an input of ``shape`` as heads, (batch, heads, tokens, width)."""
        return rows.reshape(*shape[:2], rows.shape[1] // self.width, self.width).transpose(0, 2, 1, 3)

    def forward(
        self,
        x: np.ndarray,
        mode: Mode = INFERENCE,
        *,
        memory: np.ndarray | None = None,
        memory_lengths: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Attended]:
        """See Layer, and the notes of the class."""
        self.output_shape(x.shape[1:])
        weights, bias, out_weights, out_bias = self._values()
        rows, q_rows = x.reshape(-1, self.d_model), self.d_model
        lengths = mode.lengths
        if memory is None:
            if memory_lengths is not None:
                raise StateError(f"{self.name}.forward(memory_lengths)", "a memory that they belong to", "none")
            heads = self._split(affine(rows, weights, bias), x.shape)
            q, k, v = np.split(heads, [self.num_heads, self.num_heads + self.num_kv_heads], axis=1)
            q, k, v = self._placed(heads, q, k, v, mode)
        else:
            memory = real(f"{self.name}.forward", "memory", memory)
            self._check_memory(x, memory, mode)
            shape, lengths = memory.shape, memory_lengths
            memory = memory.reshape(-1, self.d_model)
            q = self._split(affine(rows, weights[:q_rows], None if bias is None else bias[:q_rows]), x.shape)
            pair = self._split(affine(memory, weights[q_rows:], None if bias is None else bias[q_rows:]), shape)
            k, v = np.split(pair, 2, axis=1)
        y, saved = attention(
            *(q, k, v),
            causal=self.causal,
            mask=mask,
            lengths=lengths,
            window=self.window,
            alibi=alibi_slopes(self.num_heads) if self.alibi else None,
            keep=mode.backward and mode.past is None,
            **self._dropped(mode),
        )
        joined = y.transpose(0, 2, 1, 3).reshape(-1, self.d_model)
        output = affine(joined, out_weights, out_bias).reshape(x.shape)
        return output, Attended(rows, memory, saved, joined, x.shape)

    def _placed(
        self, heads: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray, mode: Mode
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Put queries and keys in their places, behind the tokens before if there are any."""
        if mode.past is None:
            if self.rotary:
                turned = heads[:, : self.num_heads + self.num_kv_heads]
                rotary(turned, out=turned)
            return q, k, v
        if not self.causal:
            raise ConfigError(f"{self.name}.forward(mode)", "a causal layer for mode.past", "one that sees all tokens")
        if mode.lengths is not None:
            raise StateError(f"{self.name}.forward(mode)", "mode.past or mode.lengths", "both")
        cache = mode.past.of(self, lambda: KeyValueCache(self.num_kv_heads, self.width))
        if self.rotary:
            turned = heads[:, : self.num_heads + self.num_kv_heads]
            rotary(turned, start=cache.tokens, out=turned)
        return (q, *cache.append(k, v))

    def _check_memory(self, x: np.ndarray, memory: np.ndarray, mode: Mode) -> None:
        """Refuse a second sequence of another shape, or for a layer that compares places."""
        if memory.ndim != 3 or memory.shape[0] != len(x) or memory.shape[2] != self.d_model or not memory.shape[1]:
            expected = f"shape ({len(x)}, tokens >= 1, {self.d_model})"
            raise ShapeError(f"{self.name}.forward(memory)", expected, f"shape {memory.shape}")
        if self.causal or self.rotary or self.alibi or self.window is not None:
            way_out = "make the layer without causal, rotary, alibi and window"
            raise ConfigError(f"{self.name}.forward(memory)", "a layer that compares no places", "another", way_out)
        if mode.past is not None:
            raise StateError(f"{self.name}.forward(memory)", "no memory beside mode.past", "both")

    def _dropped(self, mode: Mode) -> dict[str, Any]:
        """What ``ops.attention`` takes for dropout in this mode."""
        rate = self.dropout if mode.dropout_rate is None or not self.dropout else mode.dropout_rate
        if not mode.training or not rate:
            return {}
        if mode.rng is None:
            raise StateError(f"{self.name}.forward(mode)", "a random generator for training", "none")
        return {"dropout": rate, "key": int(mode.rng.integers(2**64, dtype=np.uint64))}

    def backward_delta(self, dz: np.ndarray, saved: Attended, *, params: bool = True, inputs: bool = True) -> Any:
        """See Layer; with a memory, the pair of the input's and the memory's gradients."""
        params = params and not self.frozen
        x, memory, heads, joined, shape = saved
        if heads is None:
            raise StateError(f"{self.name}.backward", "a pass that saved what backward needs", "one with mode.past")
        weights, _, out_weights, _ = self._values()
        dz, room = dz.reshape(-1, self.d_model), self.room
        dy, d_out, d_out_bias = affine_backward(
            dz, joined, out_weights, params=params, dw=room("out_weights"), db=room("out_bias")
        )
        assert dy is not None
        self.accumulate(out_weights=d_out, out_bias=d_out_bias)
        if memory is not None:
            return self._backward_to_memory(self._split(dy, shape), saved, params, inputs)
        joint = joint_attention_backward(self._split(dy, shape), heads)
        if self.rotary:
            turned = joint[:, :, : self.num_heads + self.num_kv_heads].transpose(0, 2, 1, 3)
            rotary_backward(turned, out=turned)
        rows = joint.reshape(len(x), len(weights))
        dx, dw, db = affine_backward(
            rows, x, weights, params=params, inputs=inputs, dw=room("weights"), db=room("bias")
        )
        self.accumulate(weights=dw, bias=db)
        return None if dx is None else dx.reshape(shape)

    def _backward_to_memory(self, dy: np.ndarray, saved: Attended, params: bool, inputs: bool) -> Any:
        """The rest of the way back where keys and values come from another sequence."""
        x, memory, heads, _, shape = saved
        assert heads is not None and memory is not None
        weights, cut = self._values()[0], self.d_model
        dq, dk, dv = attention_backward(dy, heads)
        dkv = np.concatenate([dk, dv], axis=1).transpose(0, 2, 1, 3).reshape(len(memory), len(weights) - cut)
        dq = dq.transpose(0, 2, 1, 3).reshape(len(x), cut)
        dw, db = empty(weights.shape, weights.dtype), empty(len(weights), weights.dtype)
        dx, *_ = affine_backward(dq, x, weights[:cut], params=params, inputs=inputs, dw=dw[:cut], db=db[:cut])
        dm, *_ = affine_backward(dkv, memory, weights[cut:], params=params, inputs=inputs, dw=dw[cut:], db=db[cut:])
        if params:
            self.accumulate(weights=dw, bias=db)
        if dx is None or dm is None:
            return None
        return dx.reshape(shape), dm.reshape(shape[0], heads.k.shape[2], self.d_model)

    def describe(self) -> str:
        """See Layer."""
        return f"Width: {self.d_model:6d} Heads: {self.num_heads:4d} Params: {self.n_parameters}"
