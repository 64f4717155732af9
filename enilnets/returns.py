"""Returns and advantages from rewards: what policy gradients are weighted with."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import checks
from .errors import DataError, DTypeError, ShapeError
from .ops import scan
from .ops.array import as_numbers, as_reals

__all__ = ["compute_returns", "gae"]


def compute_returns(rewards: Any, gamma: float = 0.99, dones: Any = None) -> np.ndarray:
    """Return the discounted sum of the rewards from every step on.

    Parameters
    ----------
    rewards : array_like (steps,) or (steps, ...)
        Time is the first axis; further axes are environments side by side.
    gamma : float in [0, 1], default 0.99
        Discount factor.
    dones : array_like of bool, shape of rewards, optional
        True where a step was the last of its episode. Default: one episode.

    Returns
    -------
    ndarray, shape of rewards
        float32 for float32 rewards, else float64.

    Raises
    ------
    ConfigError, DataError, DTypeError, ShapeError
        For ``gamma`` outside [0, 1], rewards that are NaN or no numbers, ``dones`` of another shape or no booleans.

    Notes
    -----
    ``G_t = r_t + gamma G_{t+1}``, without the second term where ``dones[t]`` (Sutton & Barto 2018, "Reinforcement
    learning", equation 3.9). What would have followed a truncated episode is not in the rewards: see ``gae``.

    Examples
    --------
    >>> compute_returns([1.0, 2.0, 4.0], gamma=0.5)
    array([3., 4., 4.])
    >>> compute_returns([1.0, 2.0, 4.0], gamma=0.5, dones=[False, True, False])
    array([2., 2., 4.])
    """
    where = "compute_returns"
    gamma = checks.fraction(where, "gamma", gamma)
    (r,) = as_reals(where, rewards=rewards)
    if r.ndim == 0:
        raise ShapeError(f"{where}(rewards)", "shape (steps, ...)", "a single number")
    return scan.discounted_returns(r, gamma, _mask(where, "dones", dones, r.shape))


def gae(
    rewards: Any,
    values: Any,
    gamma: float = 0.99,
    lambda_: float = 0.95,
    *,
    terminated: Any = None,
    truncated: Any = None,
    next_values: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate advantages by generalised advantage estimation, and the returns that go with them.

    Parameters
    ----------
    rewards : array_like (T,) or (T, ...)
        Time is the first axis; further axes are environments side by side.
    values : array_like (T + 1, ...)
        Values of the states; the last row is that of the state behind the last step. (T, ...) with ``next_values``.
    gamma : float in [0, 1], default 0.99
        Discount factor.
    lambda_ : float in [0, 1], default 0.95
        0: one-step differences, little variance; 1: whole returns, little bias.
    terminated, truncated : array_like of bool, shape of rewards, optional
        Where a step ended its episode: ``terminated`` by reaching an end, behind which the value is 0; ``truncated`` by
        being cut short, behind which the next value still counts. Default: nowhere.
    next_values : array_like, shape of rewards, optional
        Value of the state that each step led to. Needed where an environment was reset behind a truncated step and the
        next row of ``values`` is that of the new episode's first state. Default: ``values[1:]``.

    Returns
    -------
    advantages, returns : ndarray, shape of rewards
        ``returns = advantages + values[:T]``. float32 where all arrays are, else float64.

    Raises
    ------
    ConfigError, DataError, DTypeError, ShapeError
        For settings outside [0, 1], NaN, and shapes that do not belong together; nothing is broadcast.

    Notes
    -----
    ``delta_t = r_t + gamma V_{t+1} - V_t`` and ``A_t = delta_t + gamma lambda A_{t+1}``, without ``V_{t+1}`` where
    terminated and without ``A_{t+1}`` where terminated or truncated.

    References
    ----------
    Schulman, Moritz, Levine, Jordan & Abbeel 2016, "High-dimensional continuous control using generalized advantage
    estimation", equations 11 and 16; Pardo et al. 2018, "Time limits in reinforcement learning".

    Examples
    --------
    >>> advantages, returns = gae([1.0, 1.0], [0.0, 2.0, 4.0], gamma=0.5, lambda_=0.5)
    >>> advantages, returns
    (array([2.25, 1.  ]), array([2.25, 3.  ]))
    """
    gamma = checks.fraction("gae", "gamma", gamma)
    lambda_ = checks.fraction("gae", "lambda_", lambda_)
    given = {} if next_values is None else {"next_values": next_values}
    r, v, *following = as_reals("gae", rewards=rewards, values=values, **given)
    masks = [_mask("gae", name, m, r.shape) for name, m in (("terminated", terminated), ("truncated", truncated))]
    return scan.gae(r, v, gamma, lambda_, *masks, *following)


def _mask(where: str, name: str, mask: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Cast to booleans of exactly ``shape``; numbers are refused, which could be steps or returns."""
    if mask is None:
        return None
    if np.ma.is_masked(mask):
        raise DataError(f"{where}({name})", "booleans without gaps", "a masked array", "fill the masked entries first")
    array = as_numbers(where, name, mask)
    if array.shape != shape:
        raise ShapeError(f"{where}({name})", f"shape {shape} like rewards", f"shape {array.shape}")
    if array.dtype != bool and array.size:
        way_out = "convert it with np.asarray(..., bool)"
        raise DTypeError(f"{where}({name})", "booleans", f"dtype {array.dtype}", way_out)
    return array.astype(bool, copy=False)
