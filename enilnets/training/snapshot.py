"""All that inference depends on, kept aside: parameters and buffers of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import StateError
from .protocol import Model

__all__ = ["Snapshot", "layers_of"]


def top_layers(model: Model) -> list[Any]:
    """Return the layers of a model that has some, those inside containers with these only."""
    every = getattr(model, "all_layers", None)
    return list(getattr(model, "layers", []) if every is None else every())


def layers_of(model: Model) -> Iterator[Any]:
    """Yield all layers of a model that has some, those inside containers too."""
    waiting = top_layers(model)
    while waiting:
        layer = waiting.pop(0)
        yield layer
        waiting[:0] = getattr(layer, "children", {}).values()


class Snapshot:
    """Copies of a model's parameters and buffers (running statistics).

    Parameters
    ----------
    model : Model
        With its layers as they are; one that is added later is not noticed.
    """

    def __init__(self, model: Model) -> None:
        self._arrays = [parameter.value for parameter in model.arena.parameters]
        self._arrays += [array for layer in top_layers(model) for array in layer.buffers.values()]
        self._copies = [array.copy() for array in self._arrays]

    def restore(self) -> None:
        """Write everything back."""
        for array, kept in zip(self._arrays, self._copies, strict=True):
            if array.flags.writeable:
                array[...] = kept

    def state(self) -> list[np.ndarray]:
        """The copies, in the order of the layers."""
        return self._copies

    def load_state(self, state: list[np.ndarray]) -> None:
        """Take over the copies of a snapshot of a model with the same layers."""
        shapes = [array.shape for array in self._arrays]
        if [np.shape(array) for array in state] != shapes:
            raise StateError("resuming", f"arrays of shapes {shapes}", f"{[np.shape(array) for array in state]}")
        self._copies = [np.array(new, old.dtype) for new, old in zip(state, self._copies, strict=True)]
