"""Sequences of several lengths, episodes inside of them, and states that are carried on, as the verbs take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from .errors import ConfigError, DataError, ShapeError
from .layers import Container, Layer
from .ops.array import as_numbers
from .ops.recurrent import as_lengths, as_reset

__all__ = ["WHOLE", "Steps", "as_states", "named_layers", "states_after", "without_padding", "zero_behind"]


class Steps(NamedTuple):
    """What a pass over sequences is told besides its input; see ``layers.Mode``."""

    lengths: np.ndarray | None = None
    reset: np.ndarray | None = None
    states: Mapping[Layer, Any] | None = None


#: All of time, without episodes, from zero states.
WHOLE = Steps()


def zero_behind(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return a copy of ``values`` (batch, time, ...) with zeros behind the end of each sequence."""
    values = values.copy()
    values[np.arange(values.shape[1]) >= lengths[:, None]] = 0
    return values


def without_padding(where: str, name: str, inputs: Any, lengths: Any) -> tuple[Any, np.ndarray | None]:
    """Return ``inputs`` with zeros in place of the padding, whatever stood there, and the checked lengths.

    The lengths are None where no sequence is padded.
    """
    if lengths is None:
        return inputs, None
    x = as_numbers(where, name, inputs)
    if x.ndim < 2:
        raise ShapeError(f"{where}({name})", "sequences (batch, time, ...) with lengths=", f"shape {x.shape}")
    lengths = as_lengths(where, lengths, x.shape[0], x.shape[1])
    return (x, None) if lengths is None else (zero_behind(x, lengths), lengths)


def check_reset(where: str, reset: Any, x: np.ndarray) -> np.ndarray | None:
    """Return the mask of the steps before which an episode begins; see ``ops.recurrent.as_reset``."""
    return None if reset is None else as_reset(where, reset, len(x), x.shape[1])


def named_layers(layers: Iterable[Layer]) -> Iterator[tuple[str, Layer]]:
    """Yield all layers that go on from a state, also those inside of others, by name: "0", "2.1"."""
    for name, layer in _named((str(i), layer) for i, layer in enumerate(layers)):
        if layer.carries_state:
            yield name, layer


def _named(layers: Iterable[tuple[str, Layer]]) -> Iterator[tuple[str, Layer]]:
    for name, layer in layers:
        yield name, layer
        if isinstance(layer, Container):
            yield from _named((f"{name}.{inner}", part) for inner, part in layer.children.items())


def as_states(where: str, state: Any, layers: Iterable[Layer]) -> Mapping[Layer, Any] | None:
    """Return a state by names, as ``states_after`` gives it, by layers; None for None."""
    if state is None:
        return None
    known = dict(named_layers(layers))
    if not isinstance(state, Mapping) or not set(state) <= set(known):
        got = ", ".join(map(repr, state)) if isinstance(state, Mapping) else type(state).__name__
        expected = f"states by the names {', '.join(known) or 'of recurrent layers, of which there are none'}"
        raise ConfigError(f"{where}(state)", expected, got, "pass the attribute state, as it is after a pass")
    for name, value in state.items():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(part, np.ndarray) and part.dtype.kind == "f" and not np.isfinite(part).all():
                way_out = "begin again without a state"
                raise DataError(f"{where}(state)", "finite numbers", f"NaN or infinity in {name!r}", way_out)
    return {known[name]: value for name, value in state.items()}


def states_after(layers: Iterable[tuple[str, Layer, Any]]) -> dict[str, Any]:
    """Return by name the final states of layers, given with name and what they saved, and of those inside of them."""
    found: dict[str, Any] = {}
    for name, layer, saved in layers:
        if layer.carries_state:
            found[name] = layer.final_state(saved)
        if isinstance(layer, Container):
            found |= states_after(
                (f"{name}.{key}", inner, layer.saved_of(key, saved)) for key, inner in layer.children.items()
            )
    return found
