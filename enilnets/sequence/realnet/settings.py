"""What the classes of this package check alike: neurons, devices, steps, and features on their way to neurons."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ... import checks
from ...errors import ConfigError, DataError, ShapeError
from ...ops.array import as_data

__all__ = [
    "Places",
    "checked_input",
    "checked_state",
    "cpu",
    "features_of",
    "neuron_ids",
    "places",
    "scatter",
    "step_range",
    "steps_of",
    "threshold_of",
]

_log = logging.getLogger("enilnets")

#: Ids of neurons as an index of the last axis: a slice where they follow each other, which NumPy takes for a view.
Places = slice | np.ndarray


def cpu(where: str, device: Any) -> str:
    """Return "cpu"; "cuda" is taken for it with a note in the log, anything else refused."""
    name = device.split(":")[0] if isinstance(device, str) else device
    if checks.choice(where, "device", name, ("cpu", "cuda")) == "cuda":
        _log.info("%s: device=%r runs on the CPU, the only device there is", where, device)
    return "cpu"


def neuron_ids(where: str, name: str, ids: Any, neurons: int) -> list[int]:
    """Return ``ids`` as a list of different neurons of the network."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise ConfigError(f"{where}({name})", "a list of neuron numbers", repr(ids))
    whole = [checks.integer(where, name, i, 0) for i in ids]
    outside = [i for i in whole if i >= neurons]
    if outside:
        raise ConfigError(f"{where}({name})", f"neurons 0 to {neurons - 1}", str(outside[0]))
    if not whole:
        raise ConfigError(f"{where}({name})", "at least one neuron", "none")
    if len(set(whole)) < len(whole):
        raise ConfigError(f"{where}({name})", "every neuron once", repr(whole))
    return whole


def places(ids: list[int]) -> Places:
    """Return ``ids`` as an index."""
    follow = ids == list(range(ids[0], ids[0] + len(ids)))
    return slice(ids[0], ids[0] + len(ids)) if follow else np.array(ids)


def steps_of(where: str, name: str, steps: Any) -> int:
    """Return a number of steps >= 1."""
    return checks.size(where, name, steps)


def step_range(where: str, steps: Any) -> tuple[int, int]:
    """Return the lowest and highest number of thinking steps: of an int, or of a pair (low, high)."""
    if isinstance(steps, (tuple, list)):
        if len(steps) != 2:
            raise ConfigError(f"{where}(thinking_steps)", "an integer >= 1 or a pair (low, high)", repr(steps))
        low, high = (steps_of(where, "thinking_steps", bound) for bound in steps)
        if low > high:
            raise ConfigError(f"{where}(thinking_steps)", "a pair (low, high) with low <= high", repr(steps))
        return low, high
    steps = steps_of(where, "thinking_steps", steps)
    return steps, steps


def threshold_of(where: str, name: str, threshold: Any) -> float:
    """Return a pruning threshold >= 0."""
    return checks.number(where, name, threshold, 0.0)


class Wired(Protocol):
    """A network with neurons that receive input."""

    num_neurons: int
    input_ids: list[int]
    dtype: np.dtype
    input_places: Places


def features_of(where: str, features: Any, network: Wired) -> np.ndarray:
    """Return what a user passes as features: (batch, f) or (batch, sequence, f), or a vector, which is a column.

    As documented, features without an input neuron are left out; that is worth a warning.
    """
    x = as_data(where, "input_features", features, network.dtype)
    if x.ndim == 1:
        x = x[:, None]
    count = len(network.input_ids)
    if x.ndim not in (2, 3) or x.shape[-1] == 0 or (x.ndim == 3 and x.shape[1] == 0):
        expected = "shape (batch, features) or (batch, sequence, features)"
        raise ShapeError(f"{where}(input_features)", expected, f"shape {x.shape}")
    if len(x) == 0:
        raise DataError(f"{where}(input_features)", "at least one sample", "none")
    if x.shape[-1] > count:
        message = f"{where}(input_features): of {x.shape[-1]} features, only the first {count} have an input neuron"
        warnings.warn(message, UserWarning, stacklevel=3)
        x = x[..., :count]
    return x


def scatter(x: np.ndarray, network: Wired) -> np.ndarray:
    """Return features as inputs of all neurons; fewer features than input neurons go to the first of these."""
    wide = np.zeros((*x.shape[:-1], network.num_neurons), x.dtype)
    to, count = network.input_places, x.shape[-1]
    wide[..., slice(to.start, to.start + count) if isinstance(to, slice) else to[:count]] = x
    return wide


def checked_input(where: str, x: Any, neurons: int, dtype: np.dtype) -> np.ndarray:
    """Return ``x`` as a finite input of all neurons."""
    x = as_data(where, "x_input", x, dtype)
    if x.ndim not in (2, 3) or x.shape[-1] != neurons or 0 in x.shape[:-1]:
        raise ShapeError(
            f"{where}(x_input)",
            f"shape (batch, {neurons}) or (batch, sequence, {neurons})",
            f"shape {x.shape}",
            "prepare_input(features) makes it",
        )
    return x


def checked_state(where: str, x: np.ndarray | None, state: Any, neurons: int, dtype: np.dtype) -> np.ndarray | None:
    """Return ``state`` as a finite array with a row per sample."""
    if state is None:
        return None
    state = as_data(where, "current_state", state, dtype)
    batch = "batch" if x is None else len(x)
    if state.ndim != 2 or state.shape[1] != neurons or (x is not None and len(state) != len(x)):
        raise ShapeError(f"{where}(current_state)", f"shape ({batch}, {neurons})", f"shape {state.shape}")
    if len(state) == 0:
        raise DataError(f"{where}(current_state)", "at least one sample", "none")
    return state
