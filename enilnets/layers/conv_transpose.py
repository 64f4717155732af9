"""Transposed 2-D convolution, which enlarges images: the way back of a convolution, with weights to be learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..init import init_conv_weights
from ..ops.conv_transpose import (
    conv_transpose2d,
    conv_transpose2d_backward,
    conv_transpose2d_shape,
    output_padding_pair,
)
from .base import INFERENCE, Activated, ActivatedLayer, Mode, Shape
from .conv import Convolution, Sides, sides

__all__ = ["ConvTranspose2D"]


class ConvTranspose2D(Convolution):
    """Transposed 2-D convolution: every pixel stamps its kernels into the output.

    Parameters
    ----------
    in_ch, out_ch : int >= 1
        Channels of the input and of the output.
    k : int >= 1 or pair of them
        Side of the kernel, or its (height, width).
    activation : str, default "relu"
        A key of ``ops.activation.ACTIVATIONS``.
    init_method : str, default "he_normal"
        A key of ``init.INITIALIZERS``.
    stride : int >= 1 or pair of them, default 1
        Distance between stamps (vertical, horizontal).
    padding : int >= 0 or pair of them, default 0
        Rows and columns that are left off at each side of the output.
    output_padding : int >= 0 or pair of them, default 0
        Rows and columns that the output has more, below and to the right; less than the stride or the dilation.
    dilation : int >= 1 or pair of them, default 1
        Distance between the taps of a kernel.
    groups : int >= 1, default 1
        As in ``Conv2D``.
    activation_params : dict, optional
        Parameters of the activation, such as ``{"alpha": 0.2}`` of leakyrelu; see ``ops.activation``.
    dtype, rng
        See NeuralNet.

    Notes
    -----
    Input (batch, in_ch, H, W), output (batch, out_ch, H', W') with
    ``H' = (H - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1``: the shape that a ``Conv2D`` of these
    settings turns into H. The weights are (in_ch, out_ch / groups, k, k). See ``ops.conv_transpose``.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import ConvTranspose2D
    >>> layer = ConvTranspose2D(8, 4, 3, stride=2, padding=1, output_padding=1, rng=0)
    >>> layer.forward(np.ones((2, 8, 7, 7)))[0].shape
    (2, 4, 14, 14)
    """

    type = "convtranspose2d"
    undoes_relu = False
    settings = (
        "in_ch",
        "out_ch",
        "k",
        "activation",
        "init_method",
        "stride",
        "padding",
        "output_padding",
        "dilation",
        "groups",
        "activation_params",
    )
    padding: Sides

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        k: Sides,
        activation: str = "relu",
        init_method: str = "he_normal",
        stride: Sides = 1,
        padding: Sides = 0,
        output_padding: Sides = 0,
        dilation: Sides = 1,
        groups: int = 1,
        activation_params: Mapping[str, float] | None = None,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(in_ch, out_ch, activation, activation_params, groups, dtype=dtype)
        kind = "ConvTranspose2D"
        self.k = sides(kind, "k", k)
        self.stride = sides(kind, "stride", stride)
        self.padding = sides(kind, "padding", padding, 0)
        self.output_padding = sides(kind, "output_padding", output_padding, 0)
        self.dilation = sides(kind, "dilation", dilation)
        output_padding_pair(kind, self.output_padding, self.stride, self.dilation)
        self.draw(init_method, rng)

    def drawn(self, init_method: str, rng: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (in_ch, out_ch / groups, k, k), whose fan-in is that of ``Conv2D``, and a bias."""
        seen, stamped = self.in_ch // self.groups, self.out_ch // self.groups
        weights, bias = init_conv_weights(
            seen, self.out_ch, self.kernel(self.k), init_method, dtype=self.dtype, rng=rng
        )
        by_group = weights.reshape(self.groups, stamped, seen, *weights.shape[2:])
        return by_group.swapaxes(1, 2).reshape(self.in_ch, stamped, *weights.shape[2:]), bias

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        stamped = config["out_ch"] // config["groups"]
        return {"weights": (config["in_ch"], stamped, *cls.kernel(config["k"])), "bias": (config["out_ch"],)}

    def _steps(self) -> dict[str, Any]:
        names = ("stride", "padding", "output_padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 3 or shape[0] != self.in_ch:
            way_out = "reshape X to (batch, channels, height, width)" if len(shape) != 3 else ""
            raise self.shape_error(f"(batch, {self.in_ch}, height, width)", shape, way_out)
        weights = self.parameters["weights"].value.shape
        return conv_transpose2d_shape(self.name, (1, *shape), weights, **self._steps())[1:]

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Activated]:
        """See ActivatedLayer."""
        return ActivatedLayer.forward(self, x, mode)

    def linear(self, x: np.ndarray, relu: bool = False) -> tuple[np.ndarray, Any]:
        """See ActivatedLayer."""
        weights, bias = self.parameters["weights"].value, self.parameters["bias"].value
        return conv_transpose2d(x, weights, bias, **self._steps())

    def linear_backward(
        self, dz: np.ndarray, saved: Any, *, params: bool, inputs: bool, relu: bool = False
    ) -> np.ndarray | None:
        """See ActivatedLayer."""
        weights, room = self.parameters["weights"].value, self.room("weights")
        dx, dw, db = conv_transpose2d_backward(dz, saved, weights, params=params, inputs=inputs, dw=room)
        self.accumulate(weights=dw, bias=db)
        return dx
