"""One round of a relational memory: rows that attend to one another, then pass through an MLP, each by itself.

With rows Z (rows, D):

    q, k, v = LN(W_qkv Z + b_qkv)                          per head
    Z = LN(Z + softmax(q kᵀ / sqrt(key size)) v)
    Z = LN(Z + MLP(Z))                                     ReLU between its layers

The names of the weights and their shapes are in ``relational_memory``, where the rounds are put together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .activation import activation, activation_backward
from .affine import affine, column_sums
from .array import empty
from .layernorm import LayerNormSaved, layernorm, layernorm_backward
from .matmul import matmul

__all__ = [
    "WHOLE",
    "Arrays",
    "BlockSaved",
    "Gradients",
    "MemorySettings",
    "affine_into",
    "memory_block",
    "memory_block_backward",
]

Arrays = Mapping[str, np.ndarray]

#: Gradients by the names of the weights, which a backward pass adds to; None where they are not wanted.
Gradients = dict[str, np.ndarray] | None

#: Added to the variance in every layer normalisation.
EPSILON = 1e-5

#: Index of weights that belong to no block.
WHOLE: Any = ...


class MemorySettings(NamedTuple):
    """What the shapes of the weights do not tell."""

    num_heads: int
    key_size: int
    input_bias: float = 0.0
    forget_bias: float = 1.0
    gates: bool = True
    input_attention: bool = True


class AttentionSaved(NamedTuple):
    """What ``_attend_backward`` needs."""

    z: np.ndarray
    parts: tuple[np.ndarray, np.ndarray, np.ndarray]
    weights: np.ndarray
    norm: LayerNormSaved


class BlockSaved(NamedTuple):
    """What ``_block_backward`` needs."""

    attention: AttentionSaved
    norm: LayerNormSaved
    hidden: list[np.ndarray]
    mlp_norm: LayerNormSaved


def memory_block(
    z: np.ndarray, weights: Arrays, settings: MemorySettings, i: int, rows: int
) -> tuple[np.ndarray, BlockSaved]:
    """One round of attention and MLP with the weights of block ``i``.

    Parameters
    ----------
    z : ndarray (batch, all rows, D)
    weights, settings
        See ``relational_memory``.
    i : int
    rows : int
        Only the first so many rows are wanted.

    Returns
    -------
    z : ndarray (batch, rows, D)
    saved : BlockSaved
    """
    attended, attention = _attend(z, weights, settings, i, rows)
    attended += z[:, :rows]
    middle, norm = layernorm(attended, weights["gamma_attention"][i], weights["beta_attention"][i], EPSILON)
    hidden = [middle.reshape(-1, z.shape[2])]
    for layer, (w, b) in enumerate(zip(weights["w_mlp"], weights["b_mlp"], strict=True), start=1):
        relu = "relu" if layer < len(weights["w_mlp"]) else None
        hidden.append(matmul(hidden[-1], w.T, bias=b, activation=relu))
    total = hidden.pop().reshape(middle.shape)
    total += middle
    z, mlp_norm = layernorm(total, weights["gamma_mlp"][i], weights["beta_mlp"][i], EPSILON)
    return z, BlockSaved(attention, norm, hidden, mlp_norm)


def memory_block_backward(
    dz: np.ndarray, saved: BlockSaved, weights: Arrays, settings: MemorySettings, gradients: Gradients, i: int
) -> np.ndarray:
    """Gradient of ``z``; those of the weights of block ``i`` are added to ``gradients``."""
    dtotal = _norm_backward(dz, saved.mlp_norm, gradients, "mlp", i)
    dhidden = dtotal.reshape(-1, dz.shape[2])
    for layer in reversed(range(len(saved.hidden))):
        if layer < len(saved.hidden) - 1:
            dhidden = activation_backward("relu", dhidden, saved.hidden[layer + 1])
        dhidden = affine_into(gradients, "mlp", layer, dhidden, saved.hidden[layer], weights)
    dmiddle = dhidden.reshape(dz.shape)
    dmiddle += dtotal
    dattended = _norm_backward(dmiddle, saved.norm, gradients, "attention", i)
    dz = _attend_backward(dattended, saved.attention, weights, settings, gradients, i)
    dz[:, : dattended.shape[1]] += dattended
    return dz


def _parts(qkv: np.ndarray, settings: MemorySettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Views of the queries, keys and values in (batch, rows, P), as (batch, heads, rows, size)."""
    k, n = settings.key_size, settings.num_heads
    heads = qkv.reshape(*qkv.shape[:2], n, qkv.shape[2] // n).transpose(0, 2, 1, 3)
    return heads[..., :k], heads[..., k : 2 * k], heads[..., 2 * k :]


def _attend(
    z: np.ndarray, weights: Arrays, settings: MemorySettings, i: int, rows: int
) -> tuple[np.ndarray, AttentionSaved]:
    """Attention of the first ``rows`` rows to all rows of z."""
    batch, all_rows, width = z.shape
    flat = affine(z.reshape(-1, width), weights["w_qkv"][i], weights["b_qkv"][i])
    qkv, norm = layernorm(flat, weights["gamma_qkv"][i], weights["beta_qkv"][i], EPSILON)
    q, k, v = _parts(qkv.reshape(batch, all_rows, qkv.shape[1]), settings)
    scores = matmul(q[:, :, :rows], k.swapaxes(2, 3))
    scores *= scores.dtype.type(1 / math.sqrt(settings.key_size))
    attention = activation("softmax", scores, out=scores)[0]
    attended = matmul(attention, v).transpose(0, 2, 1, 3).reshape(batch, rows, width)
    return attended, AttentionSaved(z, (q, k, v), attention, norm)


def _attend_backward(
    dattended: np.ndarray,
    saved: AttentionSaved,
    weights: Arrays,
    settings: MemorySettings,
    gradients: Gradients,
    i: int,
) -> np.ndarray:
    (q, k, v), attention = saved.parts, saved.weights
    batch, rows, width = dattended.shape
    dheads = dattended.reshape(batch, rows, settings.num_heads, v.shape[3]).transpose(0, 2, 1, 3)
    dqkv = empty((*saved.z.shape[:2], weights["w_qkv"].shape[1]), dattended.dtype)
    dq, dk, dv = _parts(dqkv, settings)
    dv[...] = matmul(attention.swapaxes(2, 3), dheads)
    dscores = activation_backward("softmax", matmul(dheads, v.swapaxes(2, 3)), attention)
    dscores *= dscores.dtype.type(1 / math.sqrt(settings.key_size))
    dq[:, :, :rows] = matmul(dscores, k)
    dq[:, :, rows:] = 0
    dk[...] = matmul(dscores.swapaxes(2, 3), q[:, :, :rows])
    dflat = _norm_backward(dqkv.reshape(-1, dqkv.shape[2]), saved.norm, gradients, "qkv", i)
    flat = saved.z.reshape(-1, width)
    return affine_into(gradients, "qkv", i, dflat, flat, weights).reshape(saved.z.shape)


def _norm_backward(dy: np.ndarray, saved: LayerNormSaved, gradients: Gradients, name: str, i: int) -> Any:
    dx, dgamma, dbeta = layernorm_backward(dy, saved, params=gradients is not None)
    if gradients is not None:
        gradients[f"gamma_{name}"][i] += dgamma
        gradients[f"beta_{name}"][i] += dbeta
    return dx


def affine_into(
    gradients: Gradients, name: str, i: Any, dz: np.ndarray, x: np.ndarray, weights: Arrays, inputs: bool = True
) -> Any:
    """Return the gradient of ``x``; those of weights and bias ``name``, block or layer ``i``, join ``gradients``."""
    if gradients is not None:
        matmul(dz.T, x, out=gradients[f"w_{name}"][i], accumulate=True)
        gradients[f"b_{name}"][i] += column_sums(dz)
    return matmul(dz, weights[f"w_{name}"][i]) if inputs else None
