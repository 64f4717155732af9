"""Policy gradients: what a policy minimises, with the exact gradient at its network's outputs.

A policy (``Categorical``, ``Gaussian``) turns the outputs of a network into log-probabilities of actions and back; an
objective (``reinforce``, ``clipped_surrogate``) weighs them. All arrays are checked before, by ``as_actions`` and
``as_column``, and of one dtype.

>>> policy = Categorical(np.zeros((2, 4)))
>>> reinforce(policy, np.array([0, 3]), np.array([1.0, -1.0])).gradient
array([[-0.375,  0.125,  0.125,  0.125],
       [-0.125, -0.125, -0.125,  0.375]])
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from .errors import LabelError, NonFiniteError, ShapeError
from .ops.array import as_data, as_numbers

__all__ = [
    "POLICIES",
    "Categorical",
    "Gaussian",
    "Objective",
    "Policy",
    "as_actions",
    "as_column",
    "clipped_surrogate",
    "reinforce",
]


class Policy(Protocol):
    """A distribution of actions for each of n states."""

    def log_prob(self, actions: np.ndarray) -> np.ndarray:
        """Return the log-probability (or log-density) of every action, (n,)."""

    def entropy(self) -> np.ndarray:
        """Return the entropy of every state's distribution, (n,)."""

    def backward(self, actions: np.ndarray, d_log_prob: np.ndarray, d_entropy: np.ndarray) -> np.ndarray:
        """Return the gradient at the outputs, given those of ``log_prob(actions)`` and ``entropy()``, both (n,)."""


class Categorical:
    """Action i with probability ``softmax(logits)_i``.

    Parameters
    ----------
    logits : ndarray (n, actions)
        The pre-activations of a softmax, or linear outputs; of any size, since probabilities are never divided by.
        An action of logit -infinity cannot happen.

    Notes
    -----
    With ``p = softmax(z)`` and ``H = -sum p log p``: ``d log p_a / dz_i = [i = a] - p_i`` and
    ``dH / dz_i = -p_i (log p_i + H)``.
    """

    def __init__(self, logits: np.ndarray) -> None:
        shifted = logits - logits.max(axis=-1, keepdims=True)
        self.log_probs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        self.probs = np.exp(self.log_probs)

    def log_prob(self, actions: np.ndarray) -> np.ndarray:
        """See Policy; ``actions`` are integers (n,)."""
        return self.log_probs[np.arange(len(actions)), actions]

    def _information(self) -> np.ndarray:
        """``log p``, and 0 where p is 0."""
        return np.where(self.probs > 0, self.log_probs, 0)

    def entropy(self) -> np.ndarray:
        """See Policy."""
        return -(self.probs * self._information()).sum(axis=-1)

    def backward(self, actions: np.ndarray, d_log_prob: np.ndarray, d_entropy: np.ndarray) -> np.ndarray:
        """See Policy."""
        dz = -d_log_prob[:, None] * self.probs
        dz[np.arange(len(actions)), actions] += d_log_prob
        return dz - d_entropy[:, None] * self.probs * (self._information() + self.entropy()[:, None])


class Gaussian:
    """Independent normal distributions around the outputs, of fixed standard deviation.

    Parameters
    ----------
    mean : ndarray (n, d)
    std : float > 0

    Notes
    -----
    ``log p(a) = -|a - mean|^2 / (2 std^2) - d log std - d/2 log(2 pi)``, so ``d log p / d mean = (a - mean) / std^2``.
    The entropy ``d/2 log(2 pi e) + d log std`` does not depend on the outputs.
    """

    def __init__(self, mean: np.ndarray, std: float) -> None:
        self.mean, self.std = mean, mean.dtype.type(std)

    def _deviations(self, actions: np.ndarray) -> np.ndarray:
        return (actions - self.mean) / self.std

    def log_prob(self, actions: np.ndarray) -> np.ndarray:
        """See Policy; ``actions`` are real numbers (n, d)."""
        constant = np.log(self.std) + self.std.dtype.type(0.5 * math.log(2 * math.pi))
        return (-0.5 * self._deviations(actions) ** 2 - constant).sum(axis=-1)

    def entropy(self) -> np.ndarray:
        """See Policy."""
        each = np.log(self.std) + self.std.dtype.type(0.5 * math.log(2 * math.pi * math.e))
        return np.full(len(self.mean), self.mean.shape[1] * each)

    def backward(self, actions: np.ndarray, d_log_prob: np.ndarray, d_entropy: np.ndarray) -> np.ndarray:
        """See Policy."""
        return d_log_prob[:, None] * self._deviations(actions) / self.std


#: Which policy chooses actions of which kind.
POLICIES: dict[str, type[Categorical] | type[Gaussian]] = {"discrete": Categorical, "continuous": Gaussian}


class Objective(NamedTuple):
    """What is minimised, a mean over the samples."""

    value: float
    """The policy's part, without the entropy bonus."""
    statistics: dict[str, float]
    """Numbers to watch, such as the mean entropy."""
    gradient: np.ndarray
    """Gradient of the whole at the outputs that the policy was made from."""


def _objective(where: str, value: float, statistics: dict[str, float], gradient: np.ndarray) -> Objective:
    if not (math.isfinite(value) and np.isfinite(gradient).all()):
        way_out = "check std and the old log-probabilities, or lower the learning rate"
        raise NonFiniteError(where, "a finite objective and gradient", f"an objective of {value}", way_out)
    return Objective(value, statistics, gradient)


def reinforce(policy: Policy, actions: np.ndarray, weights: np.ndarray) -> Objective:
    """REINFORCE: ``-mean(weights log p(actions))``.

    Parameters
    ----------
    policy : Policy
    actions : ndarray
        What the policy takes.
    weights : ndarray (n,)
        Returns or advantages; they are constants.

    Raises
    ------
    NonFiniteError
        If the objective or its gradient overflows.

    References
    ----------
    Williams 1992, "Simple statistical gradient-following algorithms", equation 6.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(-np.mean(weights * policy.log_prob(actions)))
        gradient = policy.backward(actions, -weights / weights.dtype.type(len(weights)), np.zeros_like(weights))
    return _objective("reinforce", value, {"entropy": float(policy.entropy().mean())}, gradient)


def clipped_surrogate(
    policy: Policy,
    actions: np.ndarray,
    old_log_probs: np.ndarray,
    advantages: np.ndarray,
    epsilon: float,
    entropy_coeff: float,
) -> Objective:
    """PPO: ``mean(-min(r A, clip(r, 1 - epsilon, 1 + epsilon) A)) - entropy_coeff mean(H)``.

    Parameters
    ----------
    policy : Policy
    actions : ndarray
        What the policy takes.
    old_log_probs : ndarray (n,)
        Log-probabilities of the actions under the policy that chose them.
    advantages : ndarray (n,)
        A.
    epsilon, entropy_coeff : float >= 0

    Returns
    -------
    Objective
        Statistics: ``entropy``; ``clip_fraction``, the share of samples whose gradient the clip has cut off;
        ``approx_kl``, the mean of ``old_log_probs - log p(actions)``.

    Raises
    ------
    NonFiniteError
        If a ratio overflows that is not clipped, which takes an action that the old policy would never choose.

    Notes
    -----
    ``r = p(actions) / exp(old_log_probs)``. The clip is active where ``A > 0`` and ``r > 1 + epsilon``, and where
    ``A < 0`` and ``r < 1 - epsilon``: there the objective is constant. Elsewhere its derivative by ``log p`` is
    ``-r A / n``. Ratios are compared as logarithms and raised only where they count, so no clipped one overflows.

    References
    ----------
    Schulman, Wolski, Dhariwal, Radford & Klimov 2017, "Proximal policy optimization algorithms", equations 7 and 9.
    """
    n = advantages.dtype.type(len(advantages))
    lowest = math.log1p(-epsilon) if epsilon < 1 else -math.inf
    with np.errstate(over="ignore", invalid="ignore"):
        log_ratio = policy.log_prob(actions) - old_log_probs
        above, below = log_ratio > math.log1p(epsilon), log_ratio < lowest
        clipped = (above & (advantages > 0)) | (below & (advantages < 0))
        ratio = np.exp(np.where(clipped | (advantages == 0), 0, log_ratio))
        bound = np.where(above, 1 + epsilon, 1 - epsilon).astype(ratio.dtype)
        value = float(-np.mean(np.where(clipped, bound, ratio) * advantages))
        d_log_prob = np.where(clipped, 0, -ratio * advantages / n)
        gradient = policy.backward(actions, d_log_prob, np.full_like(advantages, -entropy_coeff / n))
        statistics = {
            "entropy": float(policy.entropy().mean()),
            "clip_fraction": float(clipped.mean()),
            "approx_kl": float(-log_ratio.mean()),
        }
    return _objective("clipped_surrogate", value, statistics, gradient)


def as_actions(where: str, action_type: str, actions: Any, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    """Check actions for a network with outputs of ``shape`` (n, width).

    Parameters
    ----------
    where : str
        The public function, for messages.
    action_type : {"discrete", "continuous"}
    actions : array_like
        Discrete: integers (n,) in [0, width). Continuous: finite numbers (n, width).

    Raises
    ------
    LabelError
        For discrete actions that are no integers or lie outside the range.
    ShapeError, DTypeError, DataError
        For other shapes, which would only broadcast by accident, and for what are no finite numbers.
    """
    name = f"{where}(actions)"
    if action_type == "continuous":
        reals = as_data(where, "actions", actions, dtype)
        if reals.shape != shape:
            raise ShapeError(name, f"shape {shape}, one number per output", f"shape {reals.shape}")
        return reals
    ids = as_numbers(where, "actions", actions)
    if ids.shape != shape[:1]:
        raise ShapeError(name, f"shape {shape[:1]}, one integer per state", f"shape {ids.shape}")
    if ids.dtype.kind not in "iu":
        raise LabelError(name, "integers", f"dtype {ids.dtype}", "convert them with actions.astype(int)")
    bad = np.flatnonzero((ids < 0) | (ids >= shape[1]))
    if bad.size:
        raise LabelError(name, f"actions in [0, {shape[1]})", f"{ids[bad[0]]} at index {bad[0]}")
    return ids.astype(np.intp)


def as_column(where: str, name: str, x: Any, n: int, dtype: np.dtype) -> np.ndarray:
    """Return one finite number per sample as (n,); (n,) and (n, 1) are taken, nothing is broadcast."""
    column = as_data(where, name, x, dtype)
    if column.shape not in ((n,), (n, 1)):
        raise ShapeError(f"{where}({name})", f"shape ({n},) or ({n}, 1), one number per state", f"shape {column.shape}")
    return column.reshape(n)
