"""Scans backwards over time: discounted returns and generalised advantage estimation."""

from __future__ import annotations

import math

import numpy as np

from .._ext import scan as _kernels
from ..errors import DTypeError, ShapeError
from .array import empty, real, same_dtype, same_shape

__all__ = ["discounted_returns", "gae"]


def _steps_and_columns(where: str, rewards: np.ndarray) -> tuple[int, int]:
    if rewards.ndim == 0:
        raise ShapeError(f"{where}(rewards)", "shape (steps, ...)", "a single number")
    return rewards.shape[0], math.prod(rewards.shape[1:])


def _mask(where: str, name: str, mask: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    if mask is None:
        return np.zeros(shape, bool)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        got = f"dtype {mask.dtype}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise DTypeError(f"{where}({name})", "a boolean array", got, "convert it with np.asarray(..., bool)")
    same_shape(where, name, mask, shape)
    return np.ascontiguousarray(mask)


def discounted_returns(rewards: np.ndarray, gamma: float, dones: np.ndarray | None = None) -> np.ndarray:
    """Return ``G_t = r_t + gamma G_{t+1}``, without the second term where ``dones[t]``.

    Parameters
    ----------
    rewards : ndarray (steps, ...), float32 or float64
    gamma : float
    dones : ndarray of bool like rewards, optional
        Where a step was the last of its episode.

    Returns
    -------
    ndarray like rewards

    Examples
    --------
    >>> discounted_returns(np.array([1.0, 2.0, 4.0]), 0.5)
    array([3., 4., 4.])
    """
    where = "discounted_returns"
    rewards = real(where, "rewards", rewards)
    columns = _steps_and_columns(where, rewards)
    returns = empty(rewards.shape, rewards.dtype)
    ends = _mask(where, "dones", dones, rewards.shape)
    _kernels.discounted_returns(returns.reshape(columns), rewards.reshape(columns), ends.reshape(columns), gamma)
    return returns


def gae(
    rewards: np.ndarray,
    values: np.ndarray,
    gamma: float,
    decay: float,
    terminated: np.ndarray | None = None,
    truncated: np.ndarray | None = None,
    next_values: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return advantages and returns by generalised advantage estimation; see ``enilnets.returns.gae``.

    Parameters
    ----------
    rewards : ndarray (steps, ...), float32 or float64
    values : ndarray (steps + 1, ...), or like rewards if ``next_values`` is given
    gamma, decay : float
        Discount and lambda.
    terminated, truncated : ndarray of bool like rewards, optional
    next_values : ndarray like rewards, optional
        Default: ``values[1:]``.

    Returns
    -------
    advantages, returns : ndarray like rewards

    Examples
    --------
    >>> advantages, returns = gae(np.array([1.0, 1.0]), np.array([0.0, 2.0, 4.0]), 0.5, 0.5)
    >>> advantages, returns
    (array([2.25, 1.  ]), array([2.25, 3.  ]))
    """
    rewards = real("gae", "rewards", rewards)
    steps, n = columns = _steps_and_columns("gae", rewards)
    values = real("gae", "values", values)
    same_dtype("gae", "values", values, rewards.dtype)
    rows = steps + (next_values is None)
    same_shape("gae", "values", values, (rows, *rewards.shape[1:]))
    if next_values is not None:
        next_values = real("gae", "next_values", next_values)
        same_dtype("gae", "next_values", next_values, rewards.dtype)
        same_shape("gae", "next_values", next_values, rewards.shape)
        next_values = next_values.reshape(columns)
    ends = _mask("gae", "terminated", terminated, rewards.shape).reshape(columns)
    cuts = _mask("gae", "truncated", truncated, rewards.shape).reshape(columns)
    advantages, returns = (empty(rewards.shape, rewards.dtype) for _ in range(2))
    a, r = advantages.reshape(columns), returns.reshape(columns)
    _kernels.gae(a, r, rewards.reshape(columns), values.reshape(rows, n), next_values, ends, cuts, gamma, decay)
    return advantages, returns
