"""Sparse layer: a dense layer most of whose connections may be missing for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import checks
from ..errors import ConfigError
from ..ops.array import empty
from .base import Mode, Node, Shape
from .dense import Dense

__all__ = ["Sparse"]


class Sparse(Dense):
    """Fully connected layer with a fixed random mask: y = activation(x @ (weights * mask).T + bias).

    Parameters
    ----------
    n_in, n_out : int >= 1
        Width of the input and of the output.
    connectivity : float in [0, 1], default 0.5
        Fraction of the weights that is kept, rounded to a whole number of them; which ones is drawn once.
    activation : str, default "relu"
        A key of ``ops.activation.ACTIVATIONS``.
    init_method : str, default "xavier_uniform"
        A key of ``init.INITIALIZERS``.
    activation_params : dict, optional
        Parameters of the activation, such as ``{"alpha": 0.2}`` of leakyrelu; see ``ops.activation``.

    Notes
    -----
    Masked weights are zero: assigning to ``layer["weights"]`` leaves them zero, and their gradient is zero, so no
    optimizer, momentum or penalty moves them. The mask is also applied in every forward pass, so that what is written
    into the arena from elsewhere has no effect there. ``layer["mask"]`` is a binary array that cannot be changed.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Sparse
    >>> layer = Sparse(4, 3, connectivity=0.25, rng=0)
    >>> int(layer["mask"].sum()), int(np.count_nonzero(layer["weights"]))
    (3, 3)
    """

    type = "sparse"
    settings = ("n_in", "n_out", "connectivity", "activation", "init_method", "activation_params")

    def __init__(
        self,
        n_in: int,
        n_out: int,
        connectivity: float = 0.5,
        activation: str = "relu",
        init_method: str = "xavier_uniform",
        activation_params: Mapping[str, float] | None = None,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        rng = checks.generator("Sparse", rng)
        self.connectivity = checks.fraction("Sparse", "connectivity", connectivity)
        super().__init__(
            n_in, n_out, activation, init_method, activation_params=activation_params, dtype=dtype, rng=rng
        )
        size = self.n_in * self.n_out
        kept = np.arange(size) < round(self.connectivity * size)
        self.buffers["mask"] = rng.permutation(kept).reshape(self.n_out, self.n_in).astype(self.dtype)
        self._fix_mask()

    @classmethod
    def blank(cls, settings: dict[str, Any], dtype: Any) -> Sparse:
        """See Layer; the first mask that is assigned stays."""
        layer: Any = super().blank({**settings, "connectivity": 1.0}, dtype)
        layer.connectivity = checks.fraction("Sparse", "connectivity", settings["connectivity"])
        layer.buffers["mask"].flags.writeable = True
        return layer

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        shapes = super().shapes(config)
        return {**shapes, "mask": shapes["weights"]}

    @property
    def name(self) -> str:
        """See Layer."""
        return f"Sparse({self.n_in} -> {self.n_out})"

    def _fix_mask(self) -> None:
        mask = self.buffers["mask"]
        mask.flags.writeable = False
        self.parameters["weights"].value[mask == 0] = 0  # assigned, since 0 * NaN is NaN

    def __setitem__(self, key: str, value: Any) -> None:
        mask = self.buffers["mask"]
        if key == "mask" and not mask.flags.writeable:
            where = f'{self.name}["mask"]'
            if not np.array_equal(mask, self.fitting(where, key, value)):
                way_out = "make a new layer, or use set_weights"
                raise ConfigError(where, "the mask the layer was made with", "another one", way_out)
        super().__setitem__(key, value)
        if key == "mask" or (key == "weights" and not self.buffers["mask"].flags.writeable):
            self._fix_mask()

    def restore(self, key: str, value: np.ndarray) -> None:
        """See Layer; the mask of other weights comes with them, before them."""
        if key == "mask":
            self.buffers["mask"].flags.writeable = True
        super().restore(key, value)

    def fitting(self, where: str, key: str, value: Any) -> np.ndarray:
        """See Layer."""
        if key != "mask":
            return super().fitting(where, key, value)
        mask = self.buffers["mask"]
        value = checks.numbers(where, value, mask.shape)
        if not ((value == 0) | (value == 1)).all():
            raise ConfigError(where, "a mask of zeros and ones", "other numbers")
        return value

    def node(self, mode: Mode) -> Node | None:
        """See Layer; programs know no masks."""
        return None

    def matrix(self) -> np.ndarray:
        """See Dense."""
        weights = self.parameters["weights"].value
        return np.multiply(weights, self.buffers["mask"], out=empty(weights.shape, weights.dtype))

    def linear_backward(self, dz: np.ndarray, x: np.ndarray, *, params: bool, inputs: bool) -> np.ndarray | None:
        """See ActivatedLayer."""
        dx = super().linear_backward(dz, x, params=params, inputs=inputs)
        if params:
            self.parameters["weights"].grad *= self.buffers["mask"]
        return dx
