"""Residual: y = F(x) + S(x), the identity or a shortcut beside a chain of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ConfigError, ShapeError
from ..ops.array import empty
from .base import INFERENCE, Layer, Mode, Shape
from .container import Container
from .sequential import Sequential

__all__ = ["Residual", "added"]


def added(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a + b, of the same shape and dtype, in an array of its own."""
    return np.add(a, b, out=empty(a.shape, a.dtype))


class Residual(Container):
    """Add what a chain of layers makes of the input to the input, or to what a shortcut makes of it.

    Parameters
    ----------
    *layers : Layer
        The chain F, from the input on.
    shortcut : Layer, optional
        S, such as a ``Conv2D`` with ``k=1`` where F changes the shape; default: the input itself.
    dtype : {"float64", "float32"}, optional
        Default: that of the layers.

    Notes
    -----
    ``y = F(x) + S(x)``, ``dx = dF + dS`` (He et al. 2016, Deep Residual Learning, eq. 1 and 2). An activation after the
    sum is an ``Activation`` layer behind this one.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Dense, Residual
    >>> block = Residual(Dense(3, 8, rng=0), Dense(8, 3, "linear", init_method="zeros"))
    >>> block.forward(np.ones((2, 3)))[0].tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    type = "residual"
    settings = ("layers", "shortcut")
    nested = ("layers", "shortcut")

    def __init__(self, *layers: Layer, shortcut: Layer | None = None, dtype: Any = None, rng: Any = None) -> None:
        if not layers:
            raise ConfigError("Residual(layers)", "at least one layer", "none")
        self.body = Sequential(layers, dtype=dtype)
        self.shortcut = shortcut
        super().__init__(self.body.children | ({} if shortcut is None else {"shortcut": shortcut}), self.body.dtype)

    @classmethod
    def blank(cls, settings: dict[str, Any], dtype: Any) -> Residual:
        """See Layer."""
        return cls(*settings["layers"], shortcut=settings["shortcut"], dtype=dtype)

    @property
    def layers(self) -> list[Layer]:
        """The chain F."""
        return self.body.layers

    @property
    def name(self) -> str:
        """See Layer."""
        return f"Residual({len(self.layers)} layers{'' if self.shortcut is None else ', shortcut'})"

    def through(self, shape: Shape) -> Shape:
        """See Container."""
        made, beside = self.body.through(shape), shape if self.shortcut is None else self.shortcut.output_shape(shape)
        self._check_sum(made, beside)
        return made

    def _check_sum(self, made: Shape, beside: Shape) -> None:
        if made != beside:
            expected = f"samples of shape {beside} from the layers, as the shortcut has"
            raise ShapeError(self.name, expected, f"{made}", "give a shortcut= that makes the same shape")

    def output_width(self, width: int | None) -> int | None:
        """See Layer."""
        return self.body.output_width(width)

    def saved_of(self, name: str, saved: Any) -> Any:
        """See Container."""
        passed, beside = saved
        return beside if name == "shortcut" else self.body.saved_of(name, passed)

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Any]:
        """See Layer."""
        made, passed = self.body.forward(x, mode)
        beside, saved = (x, None) if self.shortcut is None else self.shortcut.forward(x, mode)
        self._check_sum(made.shape[1:], beside.shape[1:])
        return added(made, beside), (passed, saved)

    def backward_delta(
        self, dz: np.ndarray, saved: Any, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        passed, beside = saved
        dx: Any = self.body.backward(dz, passed, params=params, inputs=inputs)
        ds: Any = dz
        if self.shortcut is not None:
            ds = self.shortcut.backward(dz, beside, params=params, inputs=inputs)
        return added(dx, ds) if inputs else None
