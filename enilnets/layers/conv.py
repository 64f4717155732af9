"""2-D convolution: y = activation(x * w + b), channels first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from .. import checks
from ..errors import ConfigError
from ..init import INITIALIZERS, init_conv_weights
from ..ops.activation import ACTIVATIONS
from ..ops.conv import conv2d, conv2d_backward, conv2d_shape, pair
from ..parameters import Parameter
from .base import INFERENCE, Activated, ActivatedLayer, Mode, Shape

__all__ = ["Conv2D", "DepthwiseConv2D", "Sides"]

#: A size along both axes, or one for each: (vertical, horizontal).
Sides = int | tuple[int, int]


def sides(where: str, name: str, value: Any, least: int = 1) -> Sides:
    """Return ``value``, an int or a pair of them, as an int if it is the same along both axes."""
    vertical, horizontal = (checks.size(where, name, side, least) for side in pair(where, name, value, least))
    return vertical if vertical == horizontal else (vertical, horizontal)


class Convolution(ActivatedLayer):
    """Base of the convolutions: checked channels, kernels of shape (out_ch, in_ch / groups, ...) and the passes.

    A subclass sets ``k`` and its other settings and then calls ``draw``.
    """

    #: The function of ``ops.conv`` and its backward.
    correlate: ClassVar[Callable[..., tuple[np.ndarray, Any]]]
    correlate_backward: ClassVar[Callable[..., tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]]]
    takes_images = True
    undoes_relu: ClassVar[bool] = True
    activations = tuple(name for name in ACTIVATIONS if name != "softmax")  # which works on the last axis
    k: Sides
    stride: Sides
    padding: Sides | str
    dilation: Sides

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        activation: str,
        activation_params: Mapping[str, float] | None,
        groups: int,
        *,
        dtype: Any,
    ) -> None:
        super().__init__(dtype=dtype)
        kind = type(self).__name__
        self.in_ch = checks.size(kind, "in_ch", in_ch)
        self.out_ch = checks.size(kind, "out_ch", out_ch)
        self.groups = checks.size(kind, "groups", groups)
        if self.in_ch % self.groups or self.out_ch % self.groups:
            expected = f"a divisor of in_ch, {self.in_ch}, and out_ch, {self.out_ch}"
            raise ConfigError(f"{kind}(groups)", expected, repr(groups))
        self.activation = activation
        self.activation_params = activation_params

    @staticmethod
    def kernel(k: Any) -> tuple[int, ...]:
        """Return the sizes of a kernel of the setting ``k``."""
        return (k, k) if isinstance(k, int) else tuple(k)

    def draw(self, init_method: str, rng: Any) -> None:
        """Make the parameters."""
        self.init_method = checks.choice(type(self).__name__, "init_method", init_method, INITIALIZERS)
        weights, bias = self.drawn(init_method, rng)
        self.parameters["weights"] = Parameter(weights, penalised=True)
        self.parameters["bias"] = Parameter(bias)

    def drawn(self, init_method: str, rng: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return new weights and a bias of zeros."""
        seen = self.in_ch // self.groups
        return init_conv_weights(seen, self.out_ch, self.kernel(self.k), init_method, dtype=self.dtype, rng=rng)

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        seen = config["in_ch"] // config["groups"]
        return {"weights": (config["out_ch"], seen, *cls.kernel(config["k"])), "bias": (config["out_ch"],)}

    def linear(self, x: np.ndarray, relu: bool = False) -> tuple[np.ndarray, Any]:
        """See ActivatedLayer; followed by ReLU if ``relu``."""
        steps = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        return self.correlate(x, self.parameters["weights"].value, self.parameters["bias"].value, **steps, relu=relu)

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Activated]:
        """See ActivatedLayer; ReLU, whose input nobody needs, is part of the convolution."""
        if self.activation != "relu" or mode.keep_z:
            return super().forward(x, mode)
        y, linear = self.linear(x, relu=True)
        return y, Activated(linear, None, "relu", y)

    def backward_delta(
        self, dz: np.ndarray, saved: Activated, *, params: bool = True, inputs: bool = True, relu: bool = False
    ) -> np.ndarray | None:
        """See ActivatedLayer."""
        return self.linear_backward(dz, saved.linear, params=params and not self.frozen, inputs=inputs, relu=relu)

    def linear_backward(
        self, dz: np.ndarray, saved: Any, *, params: bool, inputs: bool, relu: bool = False
    ) -> np.ndarray | None:
        """See ActivatedLayer; behind a ReLU if ``relu``."""
        room = {"dw": self.room("weights"), "db": self.room("bias")}
        weights = self.parameters["weights"].value
        dx, dw, db = self.correlate_backward(dz, saved, weights, params=params, inputs=inputs, relu=relu, **room)
        self.accumulate(weights=dw, bias=db)
        return dx

    def _kernel_name(self) -> str:
        return "x".join(str(side) for side in self.parameters["weights"].value.shape[2:])

    @property
    def name(self) -> str:
        """See Layer."""
        return f"{type(self).__name__}({self.in_ch} -> {self.out_ch}, {self._kernel_name()})"

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.out_ch

    def describe(self) -> str:
        """See Layer."""
        channels = f"In_ch: {self.in_ch:3d} Out_ch: {self.out_ch:3d}"
        return f"{channels} Kernel: {self._kernel_name()} Params: {self.n_parameters}"


class Conv2D(Convolution):
    """2-D convolution (cross-correlation).

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
        Distance between windows (vertical, horizontal).
    padding : int >= 0, pair of them, or "same", default 0
        Zeros on each side; ``"same"`` makes the output ``ceil(size / stride)``.
    dilation : int >= 1 or pair of them, default 1
        Distance between the taps of a window.
    groups : int >= 1, default 1
        A divisor of both channel counts: channels and output channels are cut into as many groups, and an output
        channel sees its own group only.
    activation_params : dict, optional
        Parameters of the activation, such as ``{"alpha": 0.2}`` of leakyrelu; see ``ops.activation``.
    dtype, rng
        See NeuralNet.

    Notes
    -----
    Input (batch, in_ch, H, W), output (batch, out_ch, H', W') with
    ``H' = (H + 2 padding - dilation (k - 1) - 1) // stride + 1``. The weights are (out_ch, in_ch / groups, k, k).

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Conv2D
    >>> layer = Conv2D(1, 4, 3, padding="same", rng=0)
    >>> layer.forward(np.ones((2, 1, 8, 8)))[0].shape
    (2, 4, 8, 8)
    """

    type = "conv2d"
    settings: ClassVar[tuple[str, ...]] = (
        "in_ch",
        "out_ch",
        "k",
        "activation",
        "init_method",
        "stride",
        "padding",
        "dilation",
        "groups",
        "activation_params",
    )
    older_files: ClassVar[dict[str, Any]] = {"dilation": 1, "groups": 1, "activation_params": {}}
    correlate, correlate_backward = staticmethod(conv2d), staticmethod(conv2d_backward)

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        k: Sides,
        activation: str = "relu",
        init_method: str = "he_normal",
        stride: Sides = 1,
        padding: Sides | str = 0,
        dilation: Sides = 1,
        groups: int = 1,
        activation_params: Mapping[str, float] | None = None,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(in_ch, out_ch, activation, activation_params, groups, dtype=dtype)
        kind = type(self).__name__
        self.k = sides(kind, "k", k)
        self.stride = sides(kind, "stride", stride)
        same = isinstance(padding, str) and padding == "same"
        self.padding = padding if same else sides(kind, 'padding (or "same")', padding, 0)
        self.dilation = sides(kind, "dilation", dilation)
        self.draw(init_method, rng)

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 3 or shape[0] != self.in_ch:
            way_out = "reshape X to (batch, channels, height, width)" if len(shape) != 3 else ""
            raise self.shape_error(f"(batch, {self.in_ch}, height, width)", shape, way_out)
        weights = self.parameters["weights"].value.shape
        steps = (self.stride, self.padding, self.dilation, self.groups)
        return conv2d_shape(self.name, (1, *shape), weights, *steps)[1:]


class DepthwiseConv2D(Conv2D):
    """2-D convolution in which every channel has kernels of its own: ``Conv2D`` with as many groups as channels.

    Parameters
    ----------
    in_ch : int >= 1
        Channels of the input.
    k : int >= 1 or pair of them
        Side of the kernel, or its (height, width).
    depth_multiplier : int >= 1, default 1
        Kernels, hence output channels, per channel.
    activation, init_method, stride, padding, dilation, activation_params
        As in ``Conv2D``.
    dtype, rng
        See NeuralNet.

    Notes
    -----
    Output channel ``c depth_multiplier + m`` is channel c correlated with its kernel m (Chollet 2017, Xception). A
    ``Conv2D`` with ``k=1`` behind it makes a depthwise separable convolution.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import DepthwiseConv2D
    >>> layer = DepthwiseConv2D(4, 3, depth_multiplier=2, padding="same", rng=0)
    >>> layer.forward(np.ones((2, 4, 8, 8)))[0].shape, layer["weights"].shape
    ((2, 8, 8, 8), (8, 1, 3, 3))
    """

    type = "depthwiseconv2d"
    settings = (
        "in_ch",
        "k",
        "depth_multiplier",
        "activation",
        "init_method",
        "stride",
        "padding",
        "dilation",
        "activation_params",
    )
    older_files: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        in_ch: int,
        k: Sides,
        depth_multiplier: int = 1,
        activation: str = "relu",
        init_method: str = "he_normal",
        stride: Sides = 1,
        padding: Sides | str = 0,
        dilation: Sides = 1,
        activation_params: Mapping[str, float] | None = None,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        in_ch = checks.size("DepthwiseConv2D", "in_ch", in_ch)
        self.depth_multiplier = checks.size("DepthwiseConv2D", "depth_multiplier", depth_multiplier)
        out_ch = checks.size("DepthwiseConv2D", "in_ch * depth_multiplier", in_ch * self.depth_multiplier)
        steps = (stride, padding, dilation, in_ch)
        super().__init__(in_ch, out_ch, k, activation, init_method, *steps, activation_params, dtype=dtype, rng=rng)

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        out_ch = config["in_ch"] * config["depth_multiplier"]
        return {"weights": (out_ch, 1, *cls.kernel(config["k"])), "bias": (out_ch,)}
