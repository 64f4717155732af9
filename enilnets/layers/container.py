"""What all layers have in common that are made of layers."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import ConfigError, DTypeError, ShapeError
from .base import Layer, Shape

__all__ = ["Container", "inside", "parts_of"]


class Container(Layer):
    """Base of layers that are made of layers.

    The parameters and buffers of the layers inside are its own, named ``<layer>.<name>``: so they join a network's
    arena, its files and copies, and are found in the mapping, ``layer["0.weights"]``.

    A subclass gives ``settings``, those of them that hold layers as ``nested``, ``blank`` where its constructor takes
    them otherwise than by name, the passes, and ``saved_of``. In a ``nested`` setting there is a layer, None or a list
    of layers; the layers of a list are named by their number, a single one by its setting.

    Parameters
    ----------
    children : mapping of str to Layer
    dtype : {"float64", "float32"}, optional
        Default: that of the layers.
    """

    def __init__(self, children: Mapping[str, Layer], dtype: Any = None) -> None:
        if dtype is None:
            dtype = next((layer.dtype for layer in children.values() if isinstance(layer, Layer)), "float64")
        super().__init__(dtype=dtype)
        self.children: dict[str, Layer] = {}
        for name, layer in children.items():
            self._adopt(name, layer)

    def _adopt(self, name: str, layer: Layer) -> None:
        """Take ``layer`` in; its arrays are known here by longer names."""
        if not isinstance(layer, Layer):
            raise ConfigError(type(self).__name__, "layers, such as layers.Dense(4, 3)", type(layer).__name__)
        if layer.dtype != self.dtype:
            way_out = "make all layers with the same dtype="
            raise DTypeError(f"{type(self).__name__}(dtype)", f"{self.dtype} layers", f"{layer.dtype}", way_out)
        self.children[name] = layer
        self.parameters.update({f"{name}.{key}": parameter for key, parameter in layer.parameters.items()})
        self.buffers.update({f"{name}.{key}": buffer for key, buffer in layer.buffers.items()})

    def saved_of(self, name: str, saved: Any) -> Any:
        """What the layer ``name`` saved in the pass that saved ``saved``."""
        raise NotImplementedError(f"{type(self).__name__} must define saved_of()")

    def through(self, shape: Shape) -> Shape:
        """Shape of one output sample for an input sample of ``shape``; errors name the layer inside."""
        raise NotImplementedError(f"{type(self).__name__} must define through()")

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        try:
            return self.through(shape)
        except ShapeError as error:
            layer, *rest = error.args
            raise ShapeError(layer if layer == self.name else f"{self.name} at {layer}", *rest) from None

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        return {
            f"{name}.{key}": shape
            for setting in cls.nested
            for name, layer in inside(setting, config[setting])
            for key, shape in type(layer).shapes(layer.config()).items()
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> Layer:
        return type(self).blank({name: copy.deepcopy(value, memo) for name, value in self.config().items()}, self.dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).blank, (self.config(), self.dtype)

    # The mapping: a layer inside answers for what is its own, such as the mask of a Sparse layer

    def _inside(self, key: Any) -> tuple[Layer | None, str]:
        """Return the layer that the longer name ``key`` is about, and the name that it has there."""
        name, _, rest = key.partition(".") if isinstance(key, str) else ("", "", "")
        return (self.children.get(name) if rest else None), rest

    def __getitem__(self, key: str) -> Any:
        layer, rest = self._inside(key)
        return super().__getitem__(key) if layer is None or key in self.recent else layer[rest]

    def __setitem__(self, key: str, value: Any) -> None:
        layer, rest = self._inside(key)
        if layer is None:
            super().__setitem__(key, value)
        else:
            layer[rest] = value

    def restore(self, key: str, value: np.ndarray) -> None:
        """See Layer."""
        layer, rest = self._inside(key)
        if layer is None:
            super().restore(key, value)
        else:
            layer.restore(rest, value)

    def fitting(self, where: str, key: str, value: Any) -> np.ndarray:
        """See Layer."""
        layer, rest = self._inside(key)
        return super().fitting(where, key, value) if layer is None else layer.fitting(where, rest, value)

    @property
    def frozen(self) -> bool:
        """Whether all layers inside are frozen; setting it freezes or unfreezes them all."""
        return bool(self.children) and all(layer.frozen for layer in self.children.values())

    @frozen.setter
    def frozen(self, frozen: bool) -> None:
        for layer in self.children.values():
            layer.frozen = frozen

    @property
    def caches(self) -> bool:  # type: ignore[override]
        """See Layer."""
        return any(layer.caches for layer in self.children.values())

    def documented_cache(self, saved: Any) -> dict[str, Any]:
        """See Layer; those of the layers inside, named as their arrays are."""
        return {
            f"{name}.{key}": value
            for name, layer in self.children.items()
            if layer.caches
            for key, value in layer.documented_cache(self.saved_of(name, saved)).items()
        }

    @property
    def takes_images(self) -> bool | None:  # type: ignore[override]
        """See Layer; the first layer that cares decides."""
        cares = (layer.takes_images for layer in self.children.values())
        return next((takes for takes in cares if takes is not None), None)

    @property
    def takes_ids(self) -> bool:  # type: ignore[override]
        """See Layer; the first layer decides."""
        return bool(self.children) and next(iter(self.children.values())).takes_ids

    @property
    def decodes(self) -> bool:  # type: ignore[override]
        """See Layer; all layers inside must."""
        return all(layer.decodes for layer in self.children.values())

    @property
    def vocab_size(self) -> int:
        """Ids that the first layer takes, if it takes ids."""
        first: Any = next(iter(self.children.values()))
        return first.vocab_size

    @property
    def needs_training_pass(self) -> bool:
        """See Layer."""
        return any(layer.needs_training_pass for layer in self.children.values())

    def describe(self) -> str:
        """See Layer."""
        return f"{', '.join(layer.name for layer in self.children.values())} Params: {self.n_parameters}"


def inside(setting: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Yield name and layer of what a ``nested`` setting holds."""
    if isinstance(value, (list, tuple)):
        yield from ((str(i), layer) for i, layer in enumerate(value))
    elif value is not None:
        yield setting, value


def parts_of(layer: Layer) -> Iterator[Layer]:
    """Yield ``layer`` and all layers in it."""
    yield layer
    if isinstance(layer, Container):
        for inner in layer.children.values():
            yield from parts_of(inner)
