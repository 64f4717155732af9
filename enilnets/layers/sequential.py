"""A chain of layers, itself a layer."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..errors import ShapeError
from .base import INFERENCE, Layer, Mode, Shape

__all__ = ["Passed", "Sequential"]


class Passed(NamedTuple):
    """What one forward pass through a chain leaves behind.

    Attributes
    ----------
    outputs : list of ndarray
        The input, then the output of every layer.
    saved : list
        What every layer saved.
    """

    outputs: list[np.ndarray]
    saved: list[Any]


#: For inference after which nobody goes backward.
INFERENCE_ALONE = Mode(backward=False)


class Sequential(Layer):
    """Layers one after the other.

    Parameters
    ----------
    layers : iterable of Layer

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Dense, Sequential
    >>> chain = Sequential([Dense(4, 8, rng=0), Dense(8, 2, "linear", rng=1)])
    >>> y, passed = chain.forward(np.ones((3, 4)))
    >>> chain.backward(np.ones_like(y), passed).shape
    (3, 4)
    """

    type = "sequential"

    def __init__(self, layers: Iterable[Layer] = (), *, dtype: Any = "float64", rng: Any = None) -> None:
        super().__init__(dtype=dtype)
        self.layers = list(layers)
        for index, layer in enumerate(self.layers):
            self._adopt(index, layer)

    def __deepcopy__(self, memo: dict[int, Any]) -> Sequential:
        return Sequential([copy.deepcopy(layer) for layer in self.layers], dtype=self.dtype)

    def append(self, layer: Layer) -> None:
        """Add ``layer`` at the end."""
        self._adopt(len(self.layers), layer)
        self.layers.append(layer)

    def _adopt(self, index: int, layer: Layer) -> None:
        self.parameters.update({f"{index}.{name}": parameter for name, parameter in layer.parameters.items()})

    @property
    def name(self) -> str:
        """See Layer."""
        return f"Sequential({len(self.layers)} layers)"

    @property
    def takes_images(self) -> bool | None:  # type: ignore[override]
        """See Layer; the first layer that cares decides."""
        return next((layer.takes_images for layer in self.layers if layer.takes_images is not None), None)

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def infer(self, x: np.ndarray) -> np.ndarray:
        """Return the output in inference mode and keep nothing."""
        for layer in self.layers:
            x = layer.forward(x, INFERENCE_ALONE)[0]
        return x

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Passed]:
        """See Layer."""
        passed = Passed([x], [])
        for layer in self.layers:
            x, saved = layer.forward(x, mode)
            passed.outputs.append(x)
            passed.saved.append(saved)
        return x, passed

    def backward_delta(
        self, dz: np.ndarray, saved: Passed, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        return self.backward_deltas(dz, saved, params=params, inputs=inputs)[0]

    def backward_deltas(
        self,
        dy: np.ndarray,
        passed: Passed,
        *,
        params: bool = True,
        inputs: bool = False,
        at_pre_activation: bool = False,
        all_deltas: bool = False,
    ) -> tuple[np.ndarray | None, list[np.ndarray | None]]:
        """Run backward and also return every layer's delta.

        Parameters
        ----------
        dy : ndarray
            Gradient of the output; of the last pre-activation with ``at_pre_activation``.
        passed : Passed
            From ``forward``.
        params, inputs : bool
            Which gradients are wanted. Layers below the lowest one that has any to compute are not visited.
        at_pre_activation : bool
        all_deltas : bool
            Visit every layer, so that no delta is None.

        Returns
        -------
        dx : ndarray or None
        deltas : list of ndarray or None
            The gradient before each layer's activation.
        """
        deltas: list[np.ndarray | None] = [None] * len(self.layers)
        lowest = 0 if inputs or all_deltas else self._lowest_trainable()
        output = passed.outputs[-1]
        if len(passed.saved) != len(self.layers) or dy.shape != output.shape or dy.dtype != output.dtype:
            raise ShapeError(f"{self.name}.backward(dy)", f"{output.dtype} {output.shape}", f"{dy.dtype} {dy.shape}")
        last = len(self.layers) - 1
        gradient: Any = dy
        for i in range(last, lowest - 1, -1):
            layer, saved = self.layers[i], passed.saved[i]
            deltas[i] = dz = gradient if at_pre_activation and i == last else layer.delta(gradient, saved)
            gradient = layer.backward_delta(dz, saved, params=params, inputs=inputs or i > lowest)
        return (gradient if inputs else None), deltas

    def _lowest_trainable(self) -> int:
        trainable = (i for i, layer in enumerate(self.layers) if layer.parameters and not layer.frozen)
        return next(trainable, len(self.layers))
