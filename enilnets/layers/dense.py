"""Dense (fully connected) layer: y = activation(x Wᵀ + b)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .. import checks
from ..init import INITIALIZERS, init_weights
from ..ops.affine import affine, affine_backward
from ..parameters import Parameter
from .base import ActivatedLayer, Mode, Node, Shape

__all__ = ["Dense"]


class Dense(ActivatedLayer):
    """Fully connected layer.

    Parameters
    ----------
    n_in, n_out : int >= 1
        Width of the input and of the output.
    activation : str, default "relu"
        A key of ``ops.activation.ACTIVATIONS``.
    init_method : str, default "xavier_uniform"
        A key of ``init.INITIALIZERS``.
    use_bias : bool, default True
        Without it ``layer["bias"]`` is a constant zero.
    activation_params : dict, optional
        Parameters of the activation, such as ``{"alpha": 0.2}`` of leakyrelu; see ``ops.activation``.
    dtype, rng
        See NeuralNet.

    Notes
    -----
    Input (batch, n_in) or (batch, sequence, n_in), output the same with n_out. With ``z = x Wᵀ + b``, ``y = f(z)``:
    ``dW = dzᵀ x``, ``db = Σ dz``, ``dx = dz W``.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Dense
    >>> layer = Dense(3, 2, activation="tanh", rng=0)
    >>> y, saved = layer.forward(np.ones((5, 3)))
    >>> y.shape, layer.backward(np.ones((5, 2)), saved).shape, layer["weights"].shape
    ((5, 2), (5, 3), (2, 3))
    """

    type = "dense"
    settings: ClassVar[tuple[str, ...]] = (
        "n_in",
        "n_out",
        "activation",
        "init_method",
        "use_bias",
        "activation_params",
    )
    older_files: ClassVar[dict[str, Any]] = {"activation_params": {}}
    takes_images = False
    decodes = True

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation: str = "relu",
        init_method: str = "xavier_uniform",
        use_bias: bool = True,
        activation_params: Mapping[str, float] | None = None,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        self.n_in = checks.size("Dense", "n_in", n_in)
        self.n_out = checks.size("Dense", "n_out", n_out)
        self.activation = activation
        self.activation_params = activation_params
        self.use_bias = checks.flag("Dense", "use_bias", use_bias)
        self.init_method = checks.choice("Dense", "init_method", init_method, INITIALIZERS)
        weights, bias = init_weights(self.n_in, self.n_out, init_method, dtype=self.dtype, rng=rng)
        self.parameters["weights"] = Parameter(weights, penalised=True)
        if use_bias:
            self.parameters["bias"] = Parameter(bias)
        else:
            bias.flags.writeable = False
            self.buffers["bias"] = bias

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        return {"weights": (config["n_out"], config["n_in"]), "bias": (config["n_out"],)}

    @property
    def name(self) -> str:
        """See Layer."""
        return f"Dense({self.n_in} -> {self.n_out})"

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) not in (1, 2) or shape[-1] != self.n_in:
            way_out = (
                "add a Flatten layer first"
                if len(shape) > 1
                else f"make the layer with n_in={shape[-1]}"
                if shape
                else ""
            )
            raise self.shape_error(f"(batch, {self.n_in})", shape, way_out)
        return (*shape[:-1], self.n_out)

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.n_out

    def node(self, mode: Mode) -> Node | None:
        """See Layer."""
        if self.function != self.activation:
            return None
        weights, bias = self.parameters["weights"], self.parameters.get("bias")
        arrays = (weights.value, None if bias is None else bias.value)
        gradients = (None, None) if self.frozen else (weights, bias)
        return Node("dense", self.n_in, self.n_out, self.activation, arrays, gradients)

    def matrix(self) -> np.ndarray:
        """The weights as they enter the product, (n_out, n_in)."""
        return self.parameters["weights"].value

    def linear(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See ActivatedLayer."""
        rows = x if x.ndim == 2 else x.reshape(-1, self.n_in)
        bias = self.parameters.get("bias")
        z = affine(rows, self.matrix(), None if bias is None else bias.value)
        return z if x.ndim == 2 else z.reshape(*x.shape[:-1], self.n_out), x

    def linear_backward(self, dz: np.ndarray, x: np.ndarray, *, params: bool, inputs: bool) -> np.ndarray | None:
        """See ActivatedLayer."""
        dx, dw, db = affine_backward(
            dz.reshape(-1, self.n_out),
            x.reshape(-1, self.n_in),
            self.matrix(),
            params=params,
            inputs=inputs,
            dw=self.room("weights"),
            db=self.room("bias"),
        )
        self.accumulate(weights=dw, bias=db)
        return None if dx is None else dx.reshape(x.shape)

    def describe(self) -> str:
        """See Layer."""
        return f"Input: {self.n_in:6d} Output: {self.n_out:6d} Params: {self.n_parameters}"
