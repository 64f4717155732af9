"""Softmax attention over several heads, computed tile by tile: what is as large as queries x keys never exists."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import checks
from .._ext import attention as _kernels
from ..errors import ConfigError, DataError, DTypeError, LabelError, ShapeError
from .array import REAL_DTYPES, empty, real, same_dtype, same_shape
from .matmul import matmul

__all__ = ["AttentionSaved", "attention", "attention_backward", "attention_weights", "joint_attention_backward"]


class Rule(NamedTuple):
    """Which pairs count, and how much: what the kernels take besides q, k and v."""

    scale: float
    causal: bool
    window: int
    lengths: np.ndarray | None
    mask: np.ndarray | None
    slopes: np.ndarray | None
    dropout: float = 0.0
    key: int = 0


class AttentionSaved(NamedTuple):
    """What ``attention_backward`` needs; ``lse`` is the log of every softmax's denominator."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    y: np.ndarray
    lse: np.ndarray
    rule: Rule


def attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    *,
    causal: bool = False,
    mask: np.ndarray | None = None,
    lengths: Any = None,
    window: int | None = None,
    alibi: np.ndarray | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    key: int = 0,
    keep: bool = True,
) -> tuple[np.ndarray, AttentionSaved | None]:
    """Let every query take the mean of the values, weighted by the softmax of its products with the keys.

    Parameters
    ----------
    q : ndarray (batch, heads, tokens, d), float32 or float64
        Of any strides, as k and v; a last axis that is contiguous costs no copy.
    k, v : ndarray (batch, kv_heads, keys, d)
        Where ``kv_heads`` divides ``heads``, neighbouring heads share keys and values (grouped queries).
    causal : bool, default False
        Query i sees keys up to i. The last query is the last key's: with more keys than queries, the queries come
        last, as in decoding.
    mask : ndarray of bool or of the dtype of q, optional
        Broadcast to (batch, heads, tokens, keys): True where a query may see a key, or what is added to the scores.
    lengths : array_like of int (batch,), optional
        Keys of each sample that count, from the first on; 0 to ``keys``.
    window : int >= 1, optional
        A query sees keys that are fewer places away than this.
    alibi : ndarray (heads,), optional
        Slopes: ``slope * |i - j|`` is taken off the scores; see ``alibi_slopes``.
    scale : float, optional
        Factor of the products; default ``1 / sqrt(d)``.
    dropout : float in [0, 1), default 0.0
        Share of the weights to drop; the others are divided by ``1 - dropout``.
    key : int in [0, 2**64)
        Selects the weights that are dropped, as for ``ops.dropout``.
    keep : bool, default True
        Whether ``attention_backward`` may follow.

    Returns
    -------
    y : ndarray (batch, heads, tokens, d)
        A view of (batch, tokens, heads, d), so that heads are joined without a copy. Zero for a query that sees no key.
    saved : AttentionSaved or None

    Raises
    ------
    ShapeError
        If the shapes do not go together, heads do not divide, or there are no tokens, keys or features.
    DTypeError, DataError
        If an array is of another dtype, or an additive mask holds NaN or +infinity.
    LabelError
        If a length is not within 0 to ``keys``.

    Notes
    -----
    ``y = softmax(scale q kᵀ + bias) v``. Scores exist for 128 keys and 64 queries at a time; of each query, the maximum
    and the denominator are carried from tile to tile, and the way back computes the tiles again. The bits do not depend
    on the number of threads.

    References
    ----------
    Vaswani et al. 2017, "Attention is all you need", equation 1; Dao, Fu, Ermon, Rudra & Ré 2022, "FlashAttention";
    Ainslie et al. 2023, "GQA"; Press, Smith & Lewis 2022, "Train short, test long" (ALiBi).

    Examples
    --------
    >>> q, k = np.zeros((1, 1, 2, 3)), np.zeros((1, 1, 2, 3))
    >>> v = np.array([[[[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]]])
    >>> attention(q, k, v, causal=True)[0][0, 0].tolist()
    [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]
    """
    q, k, v = (_heads("attention", name, x) for name, x in (("q", q), ("k", k), ("v", v)))
    _check_shapes("attention", q, k, v)
    rule = _rule("attention", q, k, causal, mask, lengths, window, alibi, scale)
    if dropout:
        dropout = checks.fraction("attention", "dropout", dropout, one=False)
        rule = rule._replace(dropout=dropout, key=checks.integer("attention", "key", key, 0, 2**64 - 1))
    batch, heads, tokens, d = q.shape
    y = empty((batch, tokens, heads, d), q.dtype).transpose(0, 2, 1, 3)
    lse = empty((batch, heads, tokens), q.dtype)
    _kernels.forward(y, lse, q, k, v, *rule)
    return y, AttentionSaved(q, k, v, y, lse, rule) if keep else None


def attention_backward(dy: np.ndarray, saved: AttentionSaved) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of ``attention``.

    Parameters
    ----------
    dy : ndarray (batch, heads, tokens, d)
    saved : AttentionSaved

    Returns
    -------
    dq, dk, dv : ndarray
        Of the shapes of q, k and v.

    Notes
    -----
    With ``p`` the weights and ``D = Σ dy y`` per query: ``dv = pᵀ dy``, ``ds = p (dy vᵀ - D)``, ``dq = scale ds k``,
    ``dk = scale dsᵀ q`` (Dao et al. 2022, appendix B.2).
    """
    q, k, v, y, lse, rule = saved
    dy = _heads("attention_backward", "dy", dy)
    same_shape("attention_backward", "dy", dy, y.shape)
    same_dtype("attention_backward", "dy", dy, y.dtype)
    (batch, heads, tokens, d), (_, kv_heads, keys, _) = q.shape, k.shape
    dq = empty((batch, tokens, heads, d), q.dtype).transpose(0, 2, 1, 3)
    dkv = empty((batch, keys, 2 * kv_heads, d), q.dtype).transpose(0, 2, 1, 3)
    _kernels.backward(dq, dkv, dy, y, lse, q, k, v, *rule)
    return dq, dkv[:, :kv_heads], dkv[:, kv_heads:]


def joint_attention_backward(dy: np.ndarray, saved: AttentionSaved) -> np.ndarray:
    """Gradients of ``attention`` in one array, as one projection to queries, keys and values needs them.

    Parameters
    ----------
    dy : ndarray (batch, heads, tokens, d)
    saved : AttentionSaved
        From a call with as many keys as queries.

    Returns
    -------
    ndarray (batch, tokens, heads + 2 kv_heads, d)
        The gradients of q, of k and of v, side by side.
    """
    q, k, v, y, lse, rule = saved
    dy = _heads("joint_attention_backward", "dy", dy)
    same_shape("joint_attention_backward", "dy", dy, y.shape)
    same_dtype("joint_attention_backward", "dy", dy, y.dtype)
    same_shape("joint_attention_backward", "saved.k", k, (len(q), k.shape[1], *q.shape[2:]))
    batch, heads, tokens, d = q.shape
    joint = empty((batch, tokens, heads + 2 * k.shape[1], d), q.dtype)
    _kernels.backward(joint.transpose(0, 2, 1, 3), None, dy, y, lse, q, k, v, *rule)
    return joint


def attention_weights(
    q: np.ndarray,
    k: np.ndarray,
    *,
    causal: bool = False,
    mask: np.ndarray | None = None,
    lengths: Any = None,
    window: int | None = None,
    alibi: np.ndarray | None = None,
    scale: float | None = None,
) -> np.ndarray:
    """Return the weights that ``attention`` gives to every key, for inspection.

    Parameters
    ----------
    q, k, causal, mask, lengths, window, alibi, scale
        As for ``attention``.

    Returns
    -------
    ndarray (batch, heads, tokens, keys)
        Rows that sum to 1; zero for a query that sees no key.

    Examples
    --------
    >>> q = np.zeros((1, 1, 2, 3))
    >>> attention_weights(q, q, causal=True)[0, 0].tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    q, k = _heads("attention_weights", "q", q), _heads("attention_weights", "k", k)
    _check_shapes("attention_weights", q, k, k)
    rule = _rule("attention_weights", q, k, causal, mask, lengths, window, alibi, scale)
    (batch, heads, tokens, _), (_, kv_heads, keys, _) = q.shape, k.shape
    scores = matmul(q, np.repeat(k, heads // kv_heads, axis=1).swapaxes(-1, -2)) * q.dtype.type(rule.scale)
    distance = np.arange(keys - tokens, keys)[:, None] - np.arange(keys)
    seen = np.ones((batch, 1, tokens, keys), bool)
    if rule.causal:
        seen &= distance >= 0
    if rule.window:
        seen &= np.abs(distance) < rule.window
    if rule.lengths is not None:
        seen &= (np.arange(keys) < rule.lengths[:, None])[:, None, None]
    if rule.slopes is not None:
        scores -= rule.slopes[:, None, None] * np.abs(distance)
    if rule.mask is not None and rule.mask.dtype == bool:
        seen = seen & rule.mask
    elif rule.mask is not None:
        scores += rule.mask
    scores = np.where(seen, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(top > -np.inf, top, 0))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total > 0, total, 1)


def _heads(where: str, name: str, x: np.ndarray) -> np.ndarray:
    """Return ``x`` as the kernels read it: four axes, of which the last is contiguous."""
    known = isinstance(x, np.ndarray) and x.ndim == 4 and x.dtype in REAL_DTYPES and x.dtype.isnative
    if known and x.flags.aligned and x.strides[3] == x.itemsize and not any(step % x.itemsize for step in x.strides):
        return x
    return real(where, name, x, 4)


def _check_shapes(where: str, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> None:
    """Refuse queries, keys and values that do not go together."""
    (batch, heads, tokens, d), kv_heads = q.shape, k.shape[1]
    for name, x in (("k", k), ("v", v)):
        same_dtype(where, name, x, q.dtype)
    if not tokens or not d or not k.shape[2]:
        got = f"q of shape {q.shape}, k of shape {k.shape}"
        raise ShapeError(where, "at least one token, key and feature", got, "leave empty sequences out")
    if k.shape[0] != batch or k.shape[3] != d:
        raise ShapeError(f"{where}(k)", f"shape ({batch}, kv_heads, keys, {d})", f"shape {k.shape}")
    same_shape(where, "v", v, k.shape)
    if not kv_heads or heads % kv_heads:
        raise ShapeError(f"{where}(k)", f"a number of heads that divides the {heads} of q", str(kv_heads))


def _rule(
    where: str, q: np.ndarray, k: np.ndarray, causal: bool, mask: Any, lengths: Any, window: Any, alibi: Any, scale: Any
) -> Rule:
    """Check what is asked for besides the arrays."""
    (batch, heads, tokens, d), keys = q.shape, k.shape[2]
    return Rule(
        1 / math.sqrt(d) if scale is None else checks.number(where, "scale", scale),
        checks.flag(where, "causal", causal),
        0 if window is None else checks.size(where, "window", window),
        None if lengths is None else _lengths(where, lengths, batch, keys),
        None if mask is None else _mask(where, mask, (batch, heads, tokens, keys), q.dtype),
        None if alibi is None else _slopes(where, alibi, heads, q.dtype),
    )


def _lengths(where: str, lengths: Any, batch: int, keys: int) -> np.ndarray:
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu":
        raise DTypeError(f"{where}(lengths)", "integers", f"dtype {lengths.dtype}")
    same_shape(where, "lengths", lengths, (batch,))
    bad = (lengths < 0) | (lengths > keys)
    if bad.any():
        i = int(bad.argmax())
        raise LabelError(f"{where}(lengths)", f"lengths from 0 to {keys}", f"{lengths[i]} at index {i}")
    return np.ascontiguousarray(lengths, np.int64)


def _mask(where: str, mask: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return ``mask`` with four axes of full size or 1."""
    if not isinstance(mask, np.ndarray) or (mask.dtype != bool and mask.dtype not in REAL_DTYPES):
        got = f"dtype {mask.dtype}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise DTypeError(f"{where}(mask)", "an array of booleans, True where a query may see a key, or of floats", got)
    four = mask.reshape((1,) * (4 - mask.ndim) + mask.shape) if mask.ndim < 4 else mask
    if four.ndim != 4 or any(size not in (1, full) for size, full in zip(four.shape, shape, strict=True)):
        expected = "a shape that broadcasts to (batch, heads, tokens, keys) = "
        raise ShapeError(f"{where}(mask)", f"{expected}{shape}", f"shape {mask.shape}")
    if mask.dtype == bool:
        return four
    if np.isnan(four).any() or (four == np.inf).any():
        raise DataError(f"{where}(mask)", "finite numbers or -infinity", "NaN or +infinity")
    with np.errstate(over="ignore"):  # float32 says -1e300 as -infinity, which is what was meant
        return np.asarray(four, dtype, order="C")


def _slopes(where: str, alibi: Any, heads: int, dtype: np.dtype) -> np.ndarray:
    slopes = checks.numbers(f"{where}(alibi)", alibi, (heads,))
    if not (np.abs(slopes) <= np.finfo(dtype).max).all():
        raise ConfigError(f"{where}(alibi)", f"slopes that are finite in {dtype}", "NaN, infinity or larger ones")
    return np.ascontiguousarray(slopes, dtype)
