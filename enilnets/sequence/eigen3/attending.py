"""Attention on the tape, with weights that can be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autodiff import Model, Tensor, enable_grad, matmul, no_grad, softmax, swapaxes, where
from ...autodiff.nodes import Node, Op
from ...autodiff.operands import apply
from ...ops.attention import attention, attention_backward

__all__ = ["Attending", "attend", "random_mask"]


class AttentionOp(Op):
    """Softmax attention under a mask."""

    __slots__ = ()
    expands = "recorded"

    def backward(self, g: Any, node: Node, saved: Any, wants: Sequence[Any], direct: bool) -> Sequence[Any]:
        """See Op."""
        _, kept = node.settings
        return attention_backward(np.asarray(g), kept[0])

    def expand(self, node: Node, inputs: Sequence[Any]) -> Any:
        """See Op."""
        q, k, v = inputs
        mask, _ = node.settings
        scores = matmul(q, swapaxes(k, -1, -2)) / float(np.sqrt(q.shape[-1]))
        scores = scores if mask is None else where(mask, scores, float(np.finfo(scores.dtype).min))
        return matmul(softmax(scores), v)


def _forward(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None, kept: list[Any]) -> np.ndarray:
    y, saved = attention(q, k, v, mask=mask)
    kept.append(saved)
    return y


ATTENTION = AttentionOp("attention", _forward, saves=(0, 1, 2))


def attend(q: Tensor, k: Tensor, v: Tensor, mask: np.ndarray | None = None) -> Tensor:
    """Return ``softmax(q kᵀ / sqrt(d)) v`` for Tensors (batch, heads, tokens, d), over the keys that ``mask`` keeps."""
    return apply(ATTENTION, (q, k, v), (mask, []))


def random_mask(shape: tuple[int, ...], rate: float, rng: np.random.Generator) -> np.ndarray:
    """Draw which keys (last axis) each query may see: each with probability 1 - ``rate``, all of them if none is left.

    The softmax over what is left is that over everything, dropped and renormalised to a sum of 1.
    """
    kept = rng.random(shape, dtype=np.float32) >= rate
    return kept | ~kept.any(axis=-1, keepdims=True)


class Attending(Model):
    """A model whose call gives its output and, if asked for, attention weights; the model protocol sees the output."""

    def forward(self, x: Any, train: bool = False, **options: Any) -> tuple[np.ndarray, Any]:
        """Return the output, without weights, and a context for ``backward``; see Model."""
        inputs = [self._leaf(x)]
        with enable_grad():
            output, _ = self(*inputs, train=train, **options)
        return output.data, (inputs, output, False)

    def infer(self, x: Any, **options: Any) -> np.ndarray:
        """Return the output in inference mode as an array, without weights; keeps nothing."""
        with no_grad():
            return self(x, train=False, **options)[0].data
