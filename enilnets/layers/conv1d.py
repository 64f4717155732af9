"""1-D convolution over sequences: y = activation(x * w + b), channels first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import checks
from ..ops.conv import conv1d, conv1d_backward, conv2d_shape
from .base import Shape
from .conv import Convolution

__all__ = ["Conv1D"]


class Conv1D(Convolution):
    """1-D convolution (cross-correlation) over sequences.

    Parameters
    ----------
    in_ch, out_ch : int >= 1
        Channels of the input and of the output.
    k : int >= 1
        Length of the kernel.
    activation : str, default "relu"
        A key of ``ops.activation.ACTIVATIONS``.
    init_method : str, default "he_normal"
        A key of ``init.INITIALIZERS``.
    stride : int >= 1, default 1
        Distance between windows.
    padding : int >= 0 or "same", default 0
        Zeros on each side; ``"same"`` makes the output ``ceil(length / stride)``.
    dilation : int >= 1, default 1
        Distance between the taps of a window.
    groups : int >= 1, default 1
        As in ``Conv2D``.
    activation_params : dict, optional
        Parameters of the activation, such as ``{"alpha": 0.2}`` of leakyrelu; see ``ops.activation``.
    dtype, rng
        See NeuralNet.

    Notes
    -----
    Input (batch, in_ch, L), output (batch, out_ch, L') with
    ``L' = (L + 2 padding - dilation (k - 1) - 1) // stride + 1``. The weights are (out_ch, in_ch / groups, k).

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Conv1D
    >>> Conv1D(2, 4, 3, stride=2, rng=0).forward(np.ones((5, 2, 9)))[0].shape
    (5, 4, 4)
    """

    type = "conv1d"
    settings = (
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
    takes_images = False
    correlate, correlate_backward = staticmethod(conv1d), staticmethod(conv1d_backward)
    k: int
    stride: int
    padding: int | str
    dilation: int

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        k: int,
        activation: str = "relu",
        init_method: str = "he_normal",
        stride: int = 1,
        padding: int | str = 0,
        dilation: int = 1,
        groups: int = 1,
        activation_params: Mapping[str, float] | None = None,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(in_ch, out_ch, activation, activation_params, groups, dtype=dtype)
        self.k = checks.size("Conv1D", "k", k)
        self.stride = checks.size("Conv1D", "stride", stride)
        same = isinstance(padding, str) and padding == "same"
        self.padding = padding if same else checks.size("Conv1D", 'padding (or "same")', padding, 0)
        self.dilation = checks.size("Conv1D", "dilation", dilation)
        self.draw(init_method, rng)

    @staticmethod
    def kernel(k: Any) -> tuple[int, ...]:
        """See Convolution."""
        return (k,)

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 2 or shape[0] != self.in_ch:
            way_out = "reshape X to (batch, channels, length)" if len(shape) != 2 else ""
            raise self.shape_error(f"(batch, {self.in_ch}, length)", shape, way_out)
        out_ch, seen, k = self.parameters["weights"].value.shape
        padding = self.padding if isinstance(self.padding, str) else (0, self.padding)
        steps = ((1, self.stride), padding, (1, self.dilation), self.groups)
        _, channels, _, length = conv2d_shape(self.name, (1, shape[0], 1, shape[1]), (out_ch, seen, 1, k), *steps)
        return channels, length
