"""What layers remember of the tokens before, where a sequence goes through a network token by token."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError

if TYPE_CHECKING:
    from .base import Layer

__all__ = ["KeyValueCache", "Past"]


class Past:
    """The memory of one pass over sequences that come in parts; handed to every part as ``Mode.past``.

    Layers keep nothing between calls (see Layer), so each puts here what it needs of the tokens before.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Mode, MultiHeadAttention, Past
    >>> layer, x = MultiHeadAttention(4, 2, causal=True, rng=0), np.ones((1, 3, 4)) * [[[1.0], [2.0], [3.0]]]
    >>> past = Past()
    >>> parts = [layer.forward(part, Mode(past=past))[0] for part in np.split(x, 3, axis=1)]
    >>> bool(np.allclose(np.concatenate(parts, axis=1), layer.forward(x)[0]))
    True
    """

    def __init__(self) -> None:
        self._kept: dict[Layer, Any] = {}

    def of(self, layer: Layer, make: Callable[[], Any]) -> Any:
        """What ``layer`` keeps; at first, what ``make`` returns."""
        if layer not in self._kept:
            self._kept[layer] = make()
        return self._kept[layer]


class KeyValueCache:
    """Keys and values of one attention layer, which grow by the tokens of every part.

    Parameters
    ----------
    heads : int
        Heads of keys and values.
    width : int
        Features of a head.
    """

    def __init__(self, heads: int, width: int) -> None:
        self._pair: np.ndarray | None = None  # (2, batch, heads, room, width)
        self._heads, self._width = heads, width
        self.tokens = 0

    def append(self, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Add keys and values (batch, heads, tokens, width); return all so far.

        Raises
        ------
        ShapeError
            If they belong to another number of sequences, or to a layer of other heads or width.
        """
        batch, heads, tokens, width = k.shape
        stop = self.tokens + tokens
        if self._pair is None:
            self._pair = np.empty((2, batch, self._heads, max(stop, 16), self._width), k.dtype)
        sizes = (self._pair.shape[1], self._heads, self._width)
        if (batch, heads, width) != sizes:
            expected = f"{sizes[0]} sequences, {sizes[1]} heads of width {sizes[2]}, as the tokens before"
            got = f"{batch} sequences, {heads} heads of width {width}"
            raise ShapeError("KeyValueCache", expected, got, "begin other sequences with a new Past()")
        if stop > self._pair.shape[3]:  # doubling keeps the cost of a token the same, however many came before
            larger = np.empty((2, batch, heads, max(stop, 2 * self._pair.shape[3]), width), k.dtype)
            larger[:, :, :, : self.tokens] = self._pair[:, :, :, : self.tokens]
            self._pair = larger
        self._pair[0, :, :, self.tokens : stop], self._pair[1, :, :, self.tokens : stop] = k, v
        self.tokens = stop
        return self._pair[0, :, :, :stop], self._pair[1, :, :, :stop]
