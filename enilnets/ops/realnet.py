"""RealNet's dynamics over all steps in one call, forward and back, and with sparse weights.

``h_t = gain_t LayerNorm(gelu(h_{t-1} W + b + I_t))``; the arrays of steps are (steps, batch, neurons).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._ext import realnet as _kernels
from ..errors import ShapeError
from .array import empty, real, same_dtype, same_shape
from .sparse import CSR

__all__ = ["Saved", "realnet", "realnet_backward", "realnet_sparse"]


class Saved(NamedTuple):
    """What ``realnet_backward`` needs of a pass."""

    states: np.ndarray
    g: np.ndarray
    slope: np.ndarray
    statistics: np.ndarray
    state: np.ndarray | None
    gain: np.ndarray | None


def _check_input(where: str, x: np.ndarray, neurons: int) -> tuple[np.ndarray, int]:
    """Return the input and how many steps it lasts if it is a sequence, else 0."""
    x = real(where, "x", x)
    if x.ndim not in (2, 3) or x.shape[-1] != neurons or (x.ndim == 3 and x.shape[1] == 0):
        expected = f"shape (batch, {neurons}) or (batch, sequence, {neurons})"
        raise ShapeError(f"{where}(x)", expected, f"shape {x.shape}")
    return x, x.shape[1] if x.ndim == 3 else 0


def _check_parameters(where: str, x: np.ndarray | None, weights: np.ndarray, **vectors: np.ndarray) -> None:
    neurons = weights.shape[0] if weights.ndim else 0
    same_shape(where, "weights", weights, (neurons, neurons))
    for name, vector in vectors.items():
        same_shape(where, name, vector, (neurons,))
        same_dtype(where, name, vector, weights.dtype)
    if x is not None:
        same_dtype(where, "x", x, weights.dtype)


def _duration(x: np.ndarray | None, length: int, steps: int, stream: bool) -> int:
    """Number of steps that receive an input."""
    if x is None:
        return 0
    return min(length, steps) if length else steps if stream else 1


def _batch(where: str, x: np.ndarray | None, state: np.ndarray | None, neurons: int, dtype: np.dtype) -> int:
    """Number of samples, which input and state have to agree on."""
    if state is not None:
        state = real(where, "state", state, ndim=2)
        same_dtype(where, "state", state, dtype)
        same_shape(where, "state", state, (len(state) if x is None else len(x), neurons))
        return len(state)
    if x is None:
        raise ShapeError(f"{where}(x, state)", "an input or a state, which says how many samples there are", "neither")
    return len(x)


def realnet(
    x: np.ndarray | None,
    steps: int,
    weights: np.ndarray,
    bias: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    *,
    state: np.ndarray | None = None,
    stream: bool = False,
    gain: np.ndarray | None = None,
    eps: float = 1e-5,
    keep: bool = True,
) -> tuple[np.ndarray, Saved | None]:
    """Run a RealNet for ``steps`` steps.

    Parameters
    ----------
    x : ndarray (batch, neurons) or (batch, sequence, neurons), optional
        What is added to the neurons: at the first step, or at every step with ``stream``; of a sequence step by step.
    steps : int >= 1
    weights : ndarray (neurons, neurons)
        From row to column.
    bias, gamma, beta : ndarray (neurons,)
    state : ndarray (batch, neurons), optional
        Before the first step; default zero.
    gain : ndarray (steps, batch, neurons), optional
        Factors of the states, such as those of dropout.
    eps : float
    keep : bool
        Whether there will be a way back.

    Returns
    -------
    states : ndarray (steps, batch, neurons)
    saved : Saved or None

    Notes
    -----
    ``z_t = h_{t-1} W + b + I_t``; ``h_t = gain_t LayerNorm(gelu(z_t); gamma, beta, eps)`` with ``gelu(z) = z Phi(z)``.

    Examples
    --------
    >>> states, saved = realnet(np.array([[1.0, 0.0]]), 3, np.eye(2), *np.zeros((2, 2)), np.zeros(2))
    >>> states.shape
    (3, 1, 2)
    """
    where, length = "realnet", 0
    neurons, dtype = weights.shape[0], weights.dtype
    if x is not None:
        x, length = _check_input(where, x, neurons)
    _check_parameters(where, x, weights, bias=bias, gamma=gamma, beta=beta)
    batch = _batch(where, x, state, neurons, dtype)
    state = None if state is None else real(where, "state", state)
    shape, kept = (steps, batch, neurons), steps if keep else 1
    states, g, slope = empty(shape, dtype), empty((kept, *shape[1:]), dtype), empty((kept, *shape[1:]), dtype)
    statistics = empty((3, kept, batch), dtype)
    lasts = _duration(x, length, steps, stream)
    _kernels.forward(states, g, slope, statistics, x, lasts, state, weights, bias, gamma, beta, gain, eps)
    return states, Saved(states, g, slope, statistics, state, gain) if keep else None


def realnet_backward(
    dstates: np.ndarray,
    saved: Saved,
    weights: np.ndarray,
    gamma: np.ndarray,
    *,
    dweights: np.ndarray | None = None,
    add: bool = False,
    params: bool = True,
    state: bool = False,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Gradients of ``realnet``.

    Parameters
    ----------
    dstates : ndarray (batch, neurons) or (steps, batch, neurons)
        Gradient of the last state, or of all states.
    saved : Saved
    weights, gamma : ndarray
        As in the pass forward.
    dweights : ndarray (neurons, neurons), optional
        Where to write the gradient of the weights, or to ``add`` it.
    params, state : bool
        Whether the gradients of the parameters, and of the state before the first step, are wanted.

    Returns
    -------
    dz : ndarray (steps, batch, neurons)
        Gradient of the input of every step.
    dweights : ndarray (neurons, neurons) or None
    dvectors : ndarray (3, neurons) or None
        Gradients of bias, gamma and beta.
    dstate : ndarray (batch, neurons) or None
    """
    shape, dtype = saved.states.shape, saved.states.dtype
    same_dtype("realnet_backward", "dstates", dstates, dtype)
    sequence = dstates.ndim == 3
    same_shape("realnet_backward", "dstates", dstates, shape if sequence else shape[1:])
    dn, dz = empty(shape, dtype), empty(shape, dtype)
    if sequence:
        dn[...] = dstates
    else:
        dn[-1] = dstates
    neurons = shape[2]
    if params and dweights is None:
        dweights, add = empty((neurons, neurons), dtype), False
    dvectors = empty((3, neurons), dtype) if params else None
    dstate = empty(shape[1:], dtype) if state else None
    _kernels.backward(
        dz,
        dn,
        dweights if params else None,
        dvectors,
        dstate,
        sequence,
        add,
        *saved[:4],
        saved.state,
        weights,
        gamma,
        saved.gain,
    )
    return dz, dweights if params else None, dvectors, dstate


def realnet_sparse(
    x: np.ndarray | None,
    steps: int,
    weights: CSR,
    bias: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    *,
    state: np.ndarray | None = None,
    stream: bool = False,
    eps: float = 1e-5,
) -> np.ndarray:
    """Return the states of ``realnet`` (steps, batch, neurons) for sparse weights.

    Parameters
    ----------
    weights : CSR
        Of the transposed weights: row i holds what neuron i receives.
    x, steps, bias, gamma, beta, state, stream, eps
        See ``realnet``.

    Notes
    -----
    The samples of the batch lie side by side in memory, so the result is a transposed view.
    """
    where, length = "realnet_sparse", 0
    neurons, dtype = weights.shape[0], weights.values.dtype
    if x is not None:
        x, length = _check_input(where, x, neurons)
        same_dtype(where, "x", x, dtype)
    batch = _batch(where, x, state, neurons, dtype)
    lasts = _duration(x, length, steps, stream)
    if x is not None:
        x = np.ascontiguousarray(x.T if not length else x[:, :lasts].transpose(1, 2, 0))
    states = empty((steps, neurons, batch), dtype)
    side_by_side = None if state is None else np.ascontiguousarray(state.T)
    _kernels.sparse_forward(states, x, lasts, side_by_side, *weights[:3], bias, gamma, beta, eps)
    return states.transpose(0, 2, 1)
