"""Normalisation of every sample by itself: layer, group and instance normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..errors import ConfigError
from ..ops.layernorm import LayerNormSaved, groupnorm, layernorm, layernorm_backward
from ..parameters import Parameter
from .base import INFERENCE, Layer, Mode, Shape

__all__ = ["GroupNorm", "InstanceNorm", "LayerNorm"]


class SampleNorm(Layer):
    """Base of the layers that normalise every sample by itself: no running statistics, the same in every mode."""

    adjustable = ("epsilon",)

    def _make(self, shape: Shape, epsilon: float) -> None:
        """Make the scale and the offset."""
        self.epsilon = epsilon
        self.parameters["gamma"] = Parameter(np.ones(shape, self.dtype))
        self.parameters["beta"] = Parameter(np.zeros(shape, self.dtype))

    @property
    def epsilon(self) -> float:
        """Added to the variance."""
        return self._epsilon

    @epsilon.setter
    def epsilon(self, epsilon: float) -> None:
        self._epsilon = checks.number(type(self).__name__, "epsilon", epsilon, 1e-30)

    def _groups(self, x: np.ndarray) -> int | None:
        """Groups of channels that ``x`` is normalised in, or None for the last axes."""
        raise NotImplementedError(f"{type(self).__name__} must define _groups()")

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, LayerNormSaved]:
        """See Layer."""
        gamma, beta = self.parameters["gamma"].value, self.parameters["beta"].value
        groups = self._groups(x)
        if groups is None:
            y, saved = layernorm(x, gamma, beta, self.epsilon)
        else:
            y, saved = groupnorm(x, gamma, beta, groups, self.epsilon)
        return y, saved._replace(training=mode.training)

    def backward_delta(
        self, dz: np.ndarray, saved: LayerNormSaved, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        dx, dgamma, dbeta = layernorm_backward(
            dz,
            saved,
            params=params and not self.frozen,
            inputs=inputs,
            dgamma=self.room("gamma"),
            dbeta=self.room("beta"),
        )
        self.accumulate(gamma=dgamma, beta=dbeta)
        return dx


class LayerNorm(SampleNorm):
    """Layer normalisation: every sample, or step of a sequence, gets mean 0 and variance 1 before scale and offset.

    Parameters
    ----------
    normalized_shape : int >= 1 or tuple of int
        A tuple names the last axes, which are normalised together and have a scale for every element: (C, H, W) for
        images, (S, E) for whole sequences. An int is the size of the last axis of (batch, features) or
        (batch, sequence, features); before images it is the number of channels, which are normalised together over all
        pixels and have one scale each.
    epsilon : float >= 1e-30, default 1e-5
        Added to the variance.

    Notes
    -----
    ``y = gamma (x - mean) / sqrt(var + epsilon) + beta`` (Ba, Kiros & Hinton 2016, eq. 4) with mean and biased variance
    of the sample, in training and in inference alike.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import LayerNorm
    >>> LayerNorm(2).forward(np.array([[1.0, 3.0], [10.0, 30.0]]))[0].round(3).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    type = "layernorm"
    settings = ("normalized_shape", "epsilon")

    def __init__(
        self, normalized_shape: int | Shape, epsilon: float = 1e-5, *, dtype: Any = "float64", rng: Any = None
    ) -> None:
        super().__init__(dtype=dtype)
        self.normalized_shape: int | Shape
        if isinstance(normalized_shape, (tuple, list)) and normalized_shape:
            shape = tuple(checks.size("LayerNorm", "normalized_shape", size) for size in normalized_shape)
            self.normalized_shape = shape
        else:
            self.normalized_shape = checks.size("LayerNorm", "normalized_shape", normalized_shape)
            shape = (self.normalized_shape,)
        self._make(shape, epsilon)

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        shape = config["normalized_shape"]
        return dict.fromkeys(("gamma", "beta"), (shape,) if isinstance(shape, int) else tuple(shape))

    @property
    def name(self) -> str:
        """See Layer."""
        return f"LayerNorm({self.normalized_shape})"

    @property
    def takes_images(self) -> bool:  # type: ignore[override]
        """See Layer; three axes to normalise are those of an image."""
        return isinstance(self.normalized_shape, tuple) and len(self.normalized_shape) == 3

    @property
    def decodes(self) -> bool:  # type: ignore[override]
        """See Layer; steps are normalised by themselves, whole sequences are not."""
        return isinstance(self.normalized_shape, int) or len(self.normalized_shape) == 1

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        shape = self.normalized_shape
        return shape if isinstance(shape, int) else shape[0 if len(shape) == 3 else -1]

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        wanted = self.normalized_shape
        if isinstance(wanted, int):
            right = len(shape) in (1, 2, 3) and shape[0 if len(shape) == 3 else -1] == wanted
            expected = f"(batch, {wanted}), (batch, sequence, {wanted}) or (batch, {wanted}, height, width)"
        else:
            right = len(shape) >= len(wanted) and shape[len(shape) - len(wanted) :] == wanted
            expected = f"(batch, ..., {', '.join(map(str, wanted))})"
        if not right:
            raise self.shape_error(expected, shape)
        return shape

    def _groups(self, x: np.ndarray) -> int | None:
        """See SampleNorm."""
        return 1 if isinstance(self.normalized_shape, int) and x.ndim == 4 else None

    @property
    def needs_training_pass(self) -> bool:
        """See Layer; so it is documented, although the gradient would be the same."""
        return not self.frozen

    def norm_cache(self, saved: LayerNormSaved) -> tuple | None:
        """See Layer; None unless the pass was one of training."""
        if not saved.training:
            return None
        x = saved.x
        axes = (1, 2, 3) if self._groups(x) else tuple(range(x.ndim - saved.gamma.ndim, x.ndim))
        mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
        return x, (x - mean) / np.sqrt(var + self.epsilon), mean, var, saved.gamma, self.epsilon, axes

    def describe(self) -> str:
        """See Layer."""
        return f"Shape: {self.normalized_shape} Params: {self.n_parameters}"


class GroupNorm(SampleNorm):
    """Group normalisation: channels are normalised in groups of neighbours, every sample by itself.

    Parameters
    ----------
    num_groups : int >= 1
        A divisor of ``num_channels``.
    num_channels : int >= 1
        Channels of the input (batch, channels, ...).
    epsilon : float >= 1e-30, default 1e-5
        Added to the variance.

    Notes
    -----
    ``y = gamma (x - mean) / sqrt(var + epsilon) + beta`` (Wu & He 2018, eq. 1 to 4) with the statistics of the group's
    channels over all positions, and a scale and an offset per channel.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import GroupNorm
    >>> y, saved = GroupNorm(2, 4).forward(np.random.default_rng(0).normal(size=(3, 4, 5, 5)))
    >>> bool(np.allclose(y.reshape(3, 2, 50).mean(axis=2), 0))
    True
    """

    type = "groupnorm"
    settings = ("num_groups", "num_channels", "epsilon")

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        epsilon: float = 1e-5,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        self.num_groups = checks.size("GroupNorm", "num_groups", num_groups)
        self.num_channels = checks.size("GroupNorm", "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            expected = f"a divisor of num_channels, {num_channels}"
            raise ConfigError("GroupNorm(num_groups)", expected, repr(num_groups))
        self._make((self.num_channels,), epsilon)

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        return dict.fromkeys(("gamma", "beta"), (config["num_channels"],))

    @property
    def name(self) -> str:
        """See Layer."""
        return f"GroupNorm({self.num_groups}, {self.num_channels})"

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.num_channels

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if not shape or shape[0] != self.num_channels:
            raise self.shape_error(f"(batch, {self.num_channels}, ...)", shape)
        return shape

    def _groups(self, x: np.ndarray) -> int:
        """See SampleNorm."""
        return self.num_groups

    def describe(self) -> str:
        """See Layer."""
        return f"Groups: {self.num_groups:6d} Features: {self.num_channels:6d} Params: {self.n_parameters}"


class InstanceNorm(SampleNorm):
    """Instance normalisation: every channel of every sample is normalised by itself.

    Parameters
    ----------
    num_features : int >= 1
        Channels of the input (batch, channels, length) or (batch, channels, height, width).
    epsilon : float >= 1e-30, default 1e-5
        Added to the variance.

    Notes
    -----
    ``y = gamma (x - mean) / sqrt(var + epsilon) + beta`` (Ulyanov, Vedaldi & Lempitsky 2016) with the statistics of one
    channel over its positions: group normalisation in which every channel is a group.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import InstanceNorm
    >>> InstanceNorm(1).forward(np.array([[[1.0, 3.0]], [[10.0, 30.0]]]))[0].round(3).tolist()
    [[[-1.0, 1.0]], [[-1.0, 1.0]]]
    """

    type = "instancenorm"
    settings = ("num_features", "epsilon")

    def __init__(self, num_features: int, epsilon: float = 1e-5, *, dtype: Any = "float64", rng: Any = None) -> None:
        super().__init__(dtype=dtype)
        self.num_features = checks.size("InstanceNorm", "num_features", num_features)
        self._make((self.num_features,), epsilon)

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        return dict.fromkeys(("gamma", "beta"), (config["num_features"],))

    @property
    def name(self) -> str:
        """See Layer."""
        return f"InstanceNorm({self.num_features})"

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.num_features

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) not in (2, 3) or shape[0] != self.num_features:
            n = self.num_features
            raise self.shape_error(f"(batch, {n}, length) or (batch, {n}, height, width)", shape)
        return shape

    def _groups(self, x: np.ndarray) -> int:
        """See SampleNorm."""
        return self.num_features

    def describe(self) -> str:
        """See Layer."""
        return f"Features: {self.num_features:6d} Params: {self.n_parameters}"
