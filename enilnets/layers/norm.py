"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..ops.norm import BatchNormSaved, batchnorm, batchnorm_backward, batchnorm_inference, blend
from ..parameters import CHANGES, Parameter
from .base import INFERENCE, Activated, Layer, Mode, Node, Shape

__all__ = ["BatchNorm"]


class BatchNorm(Layer):
    """Batch normalisation of (batch, features) or, per channel, of (batch, C, length) or (batch, C, H, W).

    Parameters
    ----------
    num_features : int >= 1
        Features or channels.
    epsilon : float >= 1e-30, default 1e-5
        Added to the variance.
    momentum : float in [0, 1], default 0.1
        ``running = (1 - momentum) * running + momentum * batch``; the batch variance is the biased one.

    Notes
    -----
    ``y = gamma (x - mean) / sqrt(var + epsilon) + beta`` (Ioffe & Szegedy 2015, algorithm 1), with the batch's
    statistics in training and the running ones otherwise. A frozen layer uses the running statistics also in training
    and leaves them as they are; so does a batch with a single value per channel, which has no spread to learn from.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import BatchNorm, Mode
    >>> layer = BatchNorm(2)
    >>> y, saved = layer.forward(np.array([[1.0, 10.0], [3.0, 30.0]]), Mode(training=True))
    >>> y.round(3).tolist(), layer["running_mean"].tolist()
    ([[-1.0, -1.0], [1.0, 1.0]], [0.2, 2.0])
    """

    type = "batchnorm"
    settings = ("num_features", "epsilon", "momentum")
    adjustable = ("epsilon", "momentum")
    takes_images = True
    takes_activation = True

    def __init__(
        self,
        num_features: int,
        epsilon: float = 1e-5,
        momentum: float = 0.1,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        n = self.num_features = checks.size("BatchNorm", "num_features", num_features)
        self.epsilon = epsilon
        self.momentum = momentum
        self.parameters["gamma"] = Parameter(np.ones(n, self.dtype))
        self.parameters["beta"] = Parameter(np.zeros(n, self.dtype))
        self.buffers["running_mean"] = np.zeros(n, self.dtype)
        self.buffers["running_var"] = np.ones(n, self.dtype)

    @property
    def epsilon(self) -> float:
        """Added to the variance."""
        return self._epsilon

    @epsilon.setter
    def epsilon(self, epsilon: float) -> None:
        self._epsilon = checks.number("BatchNorm", "epsilon", epsilon, 1e-30)
        CHANGES.count += 1

    @property
    def momentum(self) -> float:
        """Weight of the newest batch in the running statistics."""
        return self._momentum

    @momentum.setter
    def momentum(self, momentum: float) -> None:
        self._momentum = checks.fraction("BatchNorm", "momentum", momentum)
        CHANGES.count += 1

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        return dict.fromkeys(("gamma", "beta", "running_mean", "running_var"), (config["num_features"],))

    @property
    def name(self) -> str:
        """See Layer."""
        return f"BatchNorm({self.num_features})"

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) not in (1, 2, 3) or shape[0] != self.num_features:
            n = self.num_features
            raise self.shape_error(f"(batch, {n}), (batch, {n}, length) or (batch, {n}, height, width)", shape)
        return shape

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.num_features

    def node(self, mode: Mode) -> Node:
        """See Layer."""
        n, gamma, beta = self.num_features, self.parameters["gamma"], self.parameters["beta"]
        arrays = (gamma.value, beta.value, self.buffers["running_mean"], self.buffers["running_var"])
        gradients = (None, None) if self.frozen else (gamma, beta)
        return Node("batchnorm", n, n, "linear", arrays, gradients, not self.frozen, self.epsilon, self.momentum)

    def unpack(self, kept: dict[str, Any]) -> BatchNormSaved:
        """See Layer."""
        x, mean, var, inv_std = kept["x"], kept["mean"], kept["var"], kept["inv_std"]
        return BatchNormSaved(x, mean, var, inv_std, kept["gamma"], kept["eps"], inv_std is not None)

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, BatchNormSaved]:
        """See Layer."""
        return self.forward_with_activation(x, "linear", mode)

    def forward_with_activation(
        self, x: np.ndarray, activation: str, mode: Mode = INFERENCE
    ) -> tuple[np.ndarray, BatchNormSaved]:
        """Return what this layer and an ``Activation`` layer behind it make of ``x``, in one pass over memory.

        Parameters
        ----------
        x : ndarray
        activation : str
            A key of ``ops.activation.ACTIVATIONS`` but softmax.
        mode : Mode
            With ``keep_z`` this layer's own output is ``saved.z``.

        Returns
        -------
        y : ndarray
            Bit for bit what the two layers give.
        saved : BatchNormSaved
            For ``backward_delta``, which then takes the gradient of ``y`` and goes through both.
        """
        gamma, beta = self.parameters["gamma"].value, self.parameters["beta"].value
        mean, var = self.buffers["running_mean"], self.buffers["running_var"]
        keep_z = mode.keep_z and activation != "linear"
        if not mode.training or self.frozen or x.size == self.num_features:
            return batchnorm_inference(x, mean, var, gamma, beta, self.epsilon, activation=activation, keep_z=keep_z)
        y, saved = batchnorm(x, gamma, beta, self.epsilon, activation=activation, keep_z=keep_z)
        blend(mean, saved.mean, self.momentum)
        blend(var, saved.var, self.momentum)
        return y, saved

    def divide(self, saved: BatchNormSaved) -> tuple[BatchNormSaved, Activated]:
        """See Layer."""
        alone = saved._replace(activation="linear", activated=None)
        return alone, Activated(None, saved.z, saved.activation, saved.activated)

    def backward_delta(
        self, dz: np.ndarray, saved: BatchNormSaved, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        dx, dgamma, dbeta = batchnorm_backward(
            dz,
            saved,
            params=params and not self.frozen,
            inputs=inputs,
            dgamma=self.room("gamma"),
            dbeta=self.room("beta"),
        )
        self.accumulate(gamma=dgamma, beta=dbeta)
        return dx

    @property
    def needs_training_pass(self) -> bool:
        """See Layer."""
        return not self.frozen

    def norm_cache(self, saved: BatchNormSaved) -> tuple | None:
        """See Layer; None unless batch statistics were used."""
        if not saved.training:
            return None
        axes = (0, *range(2, saved.x.ndim))
        wide = (1, -1, *(1 for _ in axes[1:]))
        mean, var, gamma = (a.reshape(wide) for a in (saved.mean, saved.var, saved.gamma))
        x_norm = (saved.x - mean) / np.sqrt(var + saved.eps)
        return saved.x, x_norm, mean, var, gamma, saved.eps, axes

    def describe(self) -> str:
        """See Layer."""
        return f"Features: {self.num_features:6d} Params: {self.n_parameters}"
