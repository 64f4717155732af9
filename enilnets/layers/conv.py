"""2-D convolution: y = activation(x * w + b), channels first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import checks
from ..init import INITIALIZERS, init_conv_weights
from ..ops.activation import ACTIVATIONS
from ..ops.conv import conv2d, conv2d_backward, conv2d_shape
from ..parameters import Parameter
from .base import INFERENCE, Activated, ActivatedLayer, Mode, Shape

__all__ = ["Conv2D"]


class Conv2D(ActivatedLayer):
    """2-D convolution (cross-correlation) with square kernels.

    Parameters
    ----------
    in_ch, out_ch : int >= 1
        Channels of the input and of the output.
    k : int >= 1
        Side of the kernel.
    activation : str, default "relu"
        A key of ``ops.activation.ACTIVATIONS``.
    init_method : str, default "he_normal"
        A key of ``init.INITIALIZERS``.
    stride : int >= 1, default 1
    padding : int >= 0 or "same", default 0
        Zeros on each side; ``"same"`` makes the output ``ceil(size / stride)``.
    activation_params : dict, optional
        Parameters of the activation, such as ``{"alpha": 0.2}`` of leakyrelu; see ``ops.activation``.
    dtype, rng
        See NeuralNet.

    Notes
    -----
    Input (batch, in_ch, H, W), output (batch, out_ch, H', W') with ``H' = (H + 2 padding - k) // stride + 1``.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Conv2D
    >>> layer = Conv2D(1, 4, 3, padding="same", rng=0)
    >>> layer.forward(np.ones((2, 1, 8, 8)))[0].shape
    (2, 4, 8, 8)
    """

    type = "conv2d"
    settings = ("in_ch", "out_ch", "k", "activation", "init_method", "stride", "padding", "activation_params")
    takes_images = True
    activations = tuple(name for name in ACTIVATIONS if name != "softmax")  # which works on the last axis

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        k: int,
        activation: str = "relu",
        init_method: str = "he_normal",
        stride: int = 1,
        padding: int | str = 0,
        activation_params: Mapping[str, float] | None = None,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        self.in_ch = checks.size("Conv2D", "in_ch", in_ch)
        self.out_ch = checks.size("Conv2D", "out_ch", out_ch)
        self.k = checks.size("Conv2D", "k", k)
        self.activation = activation
        self.activation_params = activation_params
        self.init_method = checks.choice("Conv2D", "init_method", init_method, INITIALIZERS)
        self.stride = checks.size("Conv2D", "stride", stride)
        self.padding = padding if padding == "same" else checks.size("Conv2D", 'padding (or "same")', padding, 0)
        weights, bias = init_conv_weights(self.in_ch, self.out_ch, self.k, init_method, dtype=self.dtype, rng=rng)
        self.parameters["weights"] = Parameter(weights, penalised=True)
        self.parameters["bias"] = Parameter(bias)

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        k = config["k"]
        return {"weights": (config["out_ch"], config["in_ch"], k, k), "bias": (config["out_ch"],)}

    @property
    def name(self) -> str:
        """See Layer."""
        return f"Conv2D({self.in_ch} -> {self.out_ch}, {self.k}x{self.k})"

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 3 or shape[0] != self.in_ch:
            way_out = "reshape X to (batch, channels, height, width)" if len(shape) != 3 else ""
            raise self.shape_error(f"(batch, {self.in_ch}, height, width)", shape, way_out)
        weights = self.parameters["weights"].value.shape
        return conv2d_shape(self.name, (1, *shape), weights, self.stride, self.padding)[1:]

    def linear(self, x: np.ndarray, relu: bool = False) -> tuple[np.ndarray, Any]:
        """See ActivatedLayer; followed by ReLU if ``relu``."""
        weights, bias = self.parameters["weights"].value, self.parameters["bias"].value
        return conv2d(x, weights, bias, stride=self.stride, padding=self.padding, relu=relu)

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Activated]:
        """See ActivatedLayer; ReLU, whose input nobody needs, is part of the convolution."""
        if self.activation != "relu" or mode.keep_z:
            return super().forward(x, mode)
        y, linear = self.linear(x, relu=True)
        return y, Activated(linear, None, "relu", y)

    def linear_backward(self, dz: np.ndarray, saved: Any, *, params: bool, inputs: bool) -> np.ndarray | None:
        """See ActivatedLayer."""
        dx, dw, db = conv2d_backward(
            dz,
            saved,
            self.parameters["weights"].value,
            params=params,
            inputs=inputs,
            dw=self.room("weights"),
            db=self.room("bias"),
        )
        self.accumulate(weights=dw, bias=db)
        return dx

    def describe(self) -> str:
        """See Layer."""
        return f"In_ch: {self.in_ch:3d} Out_ch: {self.out_ch:3d} Kernel: {self.k}x{self.k} Params: {self.n_parameters}"
