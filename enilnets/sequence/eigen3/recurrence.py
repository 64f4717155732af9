"""Stacked bidirectional LSTM of which only the last steps are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...ops.dropout import dropout, dropout_backward
from ...ops.recurrent import lstm, lstm_backward

__all__ = ["LAST_STEPS", "Cell", "last_steps", "last_steps_backward"]

#: Steps whose outputs are averaged.
LAST_STEPS = 3


class Cell(NamedTuple):
    """Weights of one direction of one layer, gate order i, f, g, o; or the gradients of these."""

    w: np.ndarray
    """(4 hidden, n_in)"""
    u: np.ndarray
    """(4 hidden, hidden)"""
    b: np.ndarray
    """(4 hidden,)"""


#: Both directions of one layer: along time, and against it.
Layer = tuple[Cell, Cell]


class Saved(NamedTuple):
    """What ``last_steps_backward`` needs."""

    layers: list[tuple[Any, Any]]
    """What the LSTM saved, per layer and direction."""
    masks: list[np.ndarray | None]
    """What dropout kept behind every layer but the last."""
    rate: float
    shape: tuple[int, int, int]
    """(rows, time, 2 hidden)"""


def last_steps(
    x: np.ndarray, layers: Sequence[Layer], rate: float = 0.0, keys: Sequence[int] = (), *, keep: bool = True
) -> tuple[np.ndarray, Saved | None]:
    """Run a stacked bidirectional LSTM and return the mean of its last three outputs.

    Parameters
    ----------
    x : ndarray (rows, time, n_in), time >= 3
    layers : sequence of (Cell, Cell)
        Along time and against it; every layer but the first reads both directions of the one before.
    rate : float in [0, 1)
        Dropout between layers.
    keys : sequence of int
        One per gap between layers: the same keys drop the same elements. Without, nothing is dropped.
    keep : bool
        Whether a backward pass will follow.

    Returns
    -------
    y : ndarray (rows, 2 hidden)
    saved : Saved or None

    Notes
    -----
    Against time, the last three outputs of a layer depend on its last three inputs alone, so the last layer runs over
    no more than these in that direction. The result is exact; of two layers with 32 inputs and 128 hidden units it
    saves 35 % of all multiplications.
    """
    saved: list[tuple[Any, Any]] = []
    masks: list[np.ndarray | None] = []
    forth: Any
    back: Any
    for number, (along, against) in enumerate(layers):
        last = number == len(layers) - 1
        forth, _, saved_forth = lstm(x, *along, keep=keep)
        tail = np.ascontiguousarray(x[:, -LAST_STEPS:]) if last else x
        back, _, saved_back = lstm(tail, *against, reverse=True, keep=keep)
        saved.append((saved_forth, saved_back))
        if not last:
            x = np.concatenate((forth, back), axis=2)
            mask = None
            if keys:
                x, mask = dropout(x, rate, keys[number])
            masks.append(mask)
    y = np.concatenate((forth[:, -LAST_STEPS:].mean(axis=1), back.mean(axis=1)), axis=1)
    shape = (forth.shape[0], forth.shape[1], y.shape[1])
    return y, Saved(saved, masks, rate, shape) if keep else None


def last_steps_backward(
    dy: np.ndarray, saved: Saved, *, params: bool = True, inputs: bool = True
) -> tuple[np.ndarray | None, list[Layer]]:
    """Return the gradients of ``last_steps``.

    Parameters
    ----------
    dy : ndarray (rows, 2 hidden)
    saved : Saved
    params, inputs : bool
        Which gradients are wanted.

    Returns
    -------
    dx : ndarray (rows, time, n_in), or None
    gradients : list of (Cell, Cell)
        Like ``layers``; empty without ``params``.
    """
    rows, time, width = saved.shape
    hidden = width // 2
    d_forth = np.zeros((rows, time, hidden), dy.dtype)
    d_forth[:, -LAST_STEPS:] = (dy[:, :hidden] / LAST_STEPS)[:, None]
    d_back = np.repeat((dy[:, hidden:] / LAST_STEPS)[:, None], LAST_STEPS, axis=1)
    gradients: list[Layer] = []
    along: list[Any]
    against: list[Any]
    for number in reversed(range(len(saved.layers))):
        wanted = inputs or number > 0
        saved_forth, saved_back = saved.layers[number]
        dx, *along, _ = lstm_backward(d_forth, saved_forth, params=params, inputs=wanted)
        d_tail, *against, _ = lstm_backward(d_back, saved_back, params=params, inputs=wanted)
        if params:
            gradients.insert(0, (Cell(*along), Cell(*against)))
        if dx is not None and d_tail is not None:
            dx[:, -d_tail.shape[1] :] += d_tail
        if number > 0 and dx is not None:
            mask = saved.masks[number - 1]
            dx = dx if mask is None else dropout_backward(dx, mask, saved.rate)
            d_forth, d_back = np.ascontiguousarray(dx[..., :hidden]), np.ascontiguousarray(dx[..., hidden:])
    return dx, gradients
