"""Relational memory core over a sequence: slots that attend to one another and to the input, behind gates.

With M the memory (slots, D), x_t the input of step t, and ``[M; e]`` rows stacked:

    e = W_in x_t + b_in                                    Z = [M; e], or M alone without input attention
    in every block:  q, k, v = LN(W_qkv Z + b_qkv)         per head
                     Z = LN(Z + softmax(q kᵀ / sqrt(key size)) v)
                     Z = LN(Z + MLP(Z))                    ReLU between its layers
    i = s(W_x e + W_m tanh(M) + input bias)                f = s(... + forget bias), s the logistic function
    M' = i tanh(Z) + f M                                   over the rows of the slots; without gates M' = Z

The weights of the gates are a row per unit, or one for a whole slot. Only the rows that are used are computed: those of
the slots in the last block. (Santoro et al. 2018, section 3; the authors' implementation shares the MLP among the
blocks, and so does this one.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .activation import activation, activation_backward
from .affine import affine
from .array import empty
from .relational_block import (
    WHOLE,
    Arrays,
    BlockSaved,
    Gradients,
    MemorySettings,
    affine_into,
    memory_block,
    memory_block_backward,
)

__all__ = ["MemorySaved", "MemorySettings", "relational_memory", "relational_memory_backward"]


class StepSaved(NamedTuple):
    """What ``_step_backward`` needs."""

    memory: np.ndarray
    blocks: list[BlockSaved]
    candidate: np.ndarray | None
    squashed: np.ndarray | None
    gates: np.ndarray | None


class MemorySaved(NamedTuple):
    """What ``relational_memory_backward`` needs."""

    x: np.ndarray
    embedded: np.ndarray
    steps: list[StepSaved]
    weights: Arrays
    settings: MemorySettings
    last: np.ndarray
    lengths: np.ndarray | None
    reset: tuple[np.ndarray, np.ndarray] | None


def relational_memory(
    x: np.ndarray,
    memory: np.ndarray,
    weights: Arrays,
    settings: MemorySettings,
    *,
    lengths: np.ndarray | None = None,
    reset: tuple[np.ndarray, np.ndarray] | None = None,
    keep: bool = True,
) -> tuple[np.ndarray, MemorySaved]:
    """Run the memory over a sequence.

    Parameters
    ----------
    x : ndarray (batch, time, n_in)
    memory : ndarray (batch, slots, D)
        At the beginning.
    weights : mapping of str to ndarray
        ``w_in`` (D, n_in); ``w_qkv`` (blocks, P, D) with P = heads (2 key size + D / heads); ``w_mlp`` (layers, D, D);
        with gates ``w_gate_x`` and ``w_gate_m`` (G, D) with G = 2 D, or 2 for one gate per slot: first the rows of the
        input gate, then those of the forget gate. To each its bias, ``b_in`` and so on. ``gamma_qkv`` and ``beta_qkv``
        (blocks, P); ``gamma_attention``, ``beta_attention``, ``gamma_mlp``, ``beta_mlp`` (blocks, D).
    settings : MemorySettings
    lengths : ndarray (batch,) of int, optional
        Steps of each sequence; behind them ``y`` is zero and the memory stays as it is.
    reset : (ndarray (batch, time) of bool, ndarray (slots, D)), optional
        Before which steps the memory becomes what it is at the start of an episode, and what that is.
    keep : bool
        Whether ``relational_memory_backward`` may follow.

    Returns
    -------
    y : ndarray (batch, time, slots, D)
        The memory after every step.
    saved : MemorySaved
        With the memory after the last step, ``saved.last``.

    Notes
    -----
    See the head of this file.

    References
    ----------
    Santoro et al. (2018), "Relational recurrent neural networks", section 3 and appendix A.
    """
    batch, time, n_in = x.shape
    embedded = affine(x.reshape(-1, n_in), weights["w_in"], weights["b_in"]).reshape(batch, time, memory.shape[2])
    from_input = _gates_from_input(embedded, weights, settings)
    y = empty((batch, time, *memory.shape[1:]), x.dtype)
    steps = []
    for t in range(time):
        gates = None if from_input is None else from_input[:, t, None]
        if reset is not None:
            memory = np.where(reset[0][:, t, None, None], reset[1], memory)
        new, step = _step(memory, embedded[:, t], gates, weights, settings)
        if lengths is None:
            y[:, t] = memory = new
        else:
            inside = _inside(lengths, t)
            np.multiply(new, inside, out=y[:, t])
            memory = np.where(inside, new, memory)
        if keep:
            steps.append(step)
    return y, MemorySaved(x, embedded, steps, weights, settings, memory, lengths, reset)


def _inside(lengths: np.ndarray, t: int) -> np.ndarray:
    """Whether step ``t`` belongs to each sequence, (batch, 1, 1)."""
    return (t < lengths)[:, None, None]


def relational_memory_backward(
    dy: np.ndarray | None,
    saved: MemorySaved,
    dmemory: np.ndarray | None = None,
    *,
    params: bool = True,
    inputs: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, Gradients]:
    """Gradients of ``relational_memory``.

    Parameters
    ----------
    dy : ndarray (batch, time, slots, D) or None
        Gradient of the memories after all steps.
    saved : MemorySaved
    dmemory : ndarray (batch, slots, D), optional
        Gradient of the last memory as a result of its own.
    params, inputs : bool
        Which gradients are wanted.

    Returns
    -------
    dx : ndarray (batch, time, n_in) or None
    dmemory : ndarray (batch, slots, D)
        Gradient of the first memory.
    gradients : dict of str to ndarray, or None
        By the names of the weights.
    """
    weights, settings, embedded = saved.weights, saved.settings, saved.embedded
    gradients = {name: np.zeros_like(array) for name, array in weights.items()} if params else None
    carried = np.zeros_like(saved.steps[0].memory) if dmemory is None else dmemory
    dembedded = np.zeros_like(embedded)
    dgates = empty((*embedded.shape[:2], len(weights["w_gate_x"])), embedded.dtype) if settings.gates else None
    for t in reversed(range(len(saved.steps))):
        dnew, held = carried if dy is None else carried + dy[:, t], None
        if saved.lengths is not None:
            inside = _inside(saved.lengths, t)
            dnew, held = dnew * inside, carried * ~inside
        place = None if dgates is None else dgates[:, t]
        carried = _step_backward(dnew, saved.steps[t], weights, settings, gradients, dembedded[:, t], place)
        if held is not None:
            carried += held
        if saved.reset is not None:
            carried *= ~saved.reset[0][:, t, None, None]
    rows = dembedded.reshape(-1, dembedded.shape[2])
    if dgates is not None:
        flat = dgates.reshape(len(rows), dgates.shape[2])
        rows += affine_into(gradients, "gate_x", WHOLE, flat, embedded.reshape(rows.shape), weights)
    dx = affine_into(gradients, "in", WHOLE, rows, saved.x.reshape(len(rows), saved.x.shape[2]), weights, inputs)
    return None if dx is None else dx.reshape(saved.x.shape), carried, gradients


def _gates_from_input(embedded: np.ndarray, weights: Arrays, settings: MemorySettings) -> np.ndarray | None:
    """What the inputs of all steps add to the gates, with the constants."""
    if not settings.gates:
        return None
    batch, time, width = embedded.shape
    gates = affine(embedded.reshape(-1, width), weights["w_gate_x"], weights["b_gate_x"])
    half = gates.shape[1] // 2
    gates[:, :half] += gates.dtype.type(settings.input_bias)
    gates[:, half:] += gates.dtype.type(settings.forget_bias)
    return gates.reshape(batch, time, 2 * half)


def _step(
    memory: np.ndarray, e: np.ndarray, from_input: np.ndarray | None, weights: Arrays, settings: MemorySettings
) -> tuple[np.ndarray, StepSaved]:
    batch, slots, width = memory.shape
    z = np.concatenate([memory, e[:, None]], axis=1) if settings.input_attention else memory
    blocks, last = [], len(weights["w_qkv"]) - 1
    for i in range(last + 1):
        z, block = memory_block(z, weights, settings, i, slots if i == last else z.shape[1])
        blocks.append(block)
    if from_input is None:
        return z, StepSaved(memory, blocks, None, None, None)
    candidate, squashed = activation("tanh", z)[0], activation("tanh", memory)[0]
    gates = affine(squashed.reshape(-1, width), weights["w_gate_m"], weights["b_gate_m"])
    gates = gates.reshape(batch, slots, gates.shape[1])
    gates += from_input
    gates = activation("sigmoid", gates, out=gates)[0]
    half = gates.shape[2] // 2
    new = gates[:, :, :half] * candidate
    new += gates[:, :, half:] * memory
    return new, StepSaved(memory, blocks, candidate, squashed, gates)


def _step_backward(
    dnew: np.ndarray,
    saved: StepSaved,
    weights: Arrays,
    settings: MemorySettings,
    gradients: Gradients,
    de: np.ndarray,
    dgates: np.ndarray | None,
) -> np.ndarray:
    """Gradient of the memory before the step; that of the input is added to ``de``, the gates' goes to ``dgates``."""
    memory, candidate, squashed, gates = saved.memory, saved.candidate, saved.squashed, saved.gates
    slots, width = memory.shape[1:]
    dmemory, dz = None, dnew
    if candidate is not None and squashed is not None and gates is not None and dgates is not None:
        half = gates.shape[2] // 2
        slope = empty(gates.shape, gates.dtype)
        for part, factor in ((slope[:, :, :half], candidate), (slope[:, :, half:], memory)):
            np.multiply(dnew, factor, out=part) if half > 1 else np.sum(dnew * factor, axis=2, keepdims=True, out=part)
        slope = activation_backward("sigmoid", slope, gates)
        np.sum(slope, axis=1, out=dgates)
        flat = squashed.reshape(-1, width)
        dflat = affine_into(gradients, "gate_m", WHOLE, slope.reshape(len(flat), gates.shape[2]), flat, weights)
        dmemory = activation_backward("tanh", dflat.reshape(memory.shape), squashed)
        dmemory += dnew * gates[:, :, half:]
        dz = activation_backward("tanh", dnew * gates[:, :, :half], candidate)
    for i in reversed(range(len(saved.blocks))):
        dz = memory_block_backward(dz, saved.blocks[i], weights, settings, gradients, i)
    if settings.input_attention:
        de += dz[:, slots]
        dz = dz[:, :slots]
    return dz if dmemory is None else dmemory + dz
