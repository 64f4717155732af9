"""Builder: a network that is put together by its documented ``add_`` verbs, one line each.

A new layer gets its verb here, with the documented order of arguments; what the layer does stands in layers/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from .layers import (
    Activation,
    AdaptiveAvgPool2D,
    AdaptiveMaxPool2D,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    MaxPool2D,
    Sparse,
    Upsample2D,
)
from .network import Network

__all__ = ["Builder"]

Net = TypeVar("Net", bound="Builder")


class Builder(Network):
    """A Network with an ``add_`` verb for every layer; each returns the network, so that they can be chained.

    Examples
    --------
    >>> from enilnets.builder import Builder
    >>> net = Builder(rng=0).add_dense(4, 8).add_dense(8, 2, activation="softmax")
    >>> [layer.name for layer in net.layers]
    ['Dense(4 -> 8)', 'Dense(8 -> 2)']
    """

    def add_dense(
        self: Net,
        n_in: int,
        n_out: int,
        activation: str = "relu",
        init_method: str = "xavier_uniform",
        use_bias: bool = True,
        activation_params: Mapping[str, float] | None = None,
    ) -> Net:
        """Append a Dense layer; see ``layers.Dense``."""
        settings = (n_in, n_out, activation, init_method, use_bias, activation_params)
        return self.add(Dense(*settings, dtype=self.dtype, rng=self.rng))

    def add_sparse(
        self: Net,
        n_in: int,
        n_out: int,
        connectivity: float = 0.5,
        activation: str = "relu",
        init_method: str = "xavier_uniform",
        activation_params: Mapping[str, float] | None = None,
    ) -> Net:
        """Append a dense layer with a fixed random mask; see ``layers.Sparse``."""
        settings = (n_in, n_out, connectivity, activation, init_method, activation_params)
        return self.add(Sparse(*settings, dtype=self.dtype, rng=self.rng))

    def add_conv2d(
        self: Net,
        in_ch: int,
        out_ch: int,
        k: int,
        activation: str = "relu",
        init_method: str = "he_normal",
        stride: int = 1,
        padding: int | str = 0,
        activation_params: Mapping[str, float] | None = None,
    ) -> Net:
        """Append a 2-D convolution; see ``layers.Conv2D``."""
        settings = (in_ch, out_ch, k, activation, init_method, stride, padding, activation_params)
        return self.add(Conv2D(*settings, dtype=self.dtype, rng=self.rng))

    def add_flatten(self: Net) -> Net:
        """Append a layer that reshapes each sample to one axis."""
        return self.add(Flatten(dtype=self.dtype))

    def add_maxpool2d(self: Net, pool_size: int = 2) -> Net:
        """Append max pooling; see ``layers.MaxPool2D``."""
        return self.add(MaxPool2D(pool_size, dtype=self.dtype))

    def add_avgpool2d(self: Net, pool_size: int = 2) -> Net:
        """Append average pooling; see ``layers.AvgPool2D``."""
        return self.add(AvgPool2D(pool_size, dtype=self.dtype))

    def add_global_avgpool2d(self: Net) -> Net:
        """Append the mean of every channel; see ``layers.GlobalAvgPool2D``."""
        return self.add(GlobalAvgPool2D(dtype=self.dtype))

    def add_global_maxpool2d(self: Net) -> Net:
        """Append the maximum of every channel; see ``layers.GlobalMaxPool2D``."""
        return self.add(GlobalMaxPool2D(dtype=self.dtype))

    def add_adaptive_avgpool2d(self: Net, output_size: int | tuple[int, int]) -> Net:
        """Append average pooling to a given size; see ``layers.AdaptiveAvgPool2D``."""
        return self.add(AdaptiveAvgPool2D(output_size, dtype=self.dtype))

    def add_adaptive_maxpool2d(self: Net, output_size: int | tuple[int, int]) -> Net:
        """Append max pooling to a given size; see ``layers.AdaptiveMaxPool2D``."""
        return self.add(AdaptiveMaxPool2D(output_size, dtype=self.dtype))

    def add_upsample2d(self: Net, scale_factor: int = 2) -> Net:
        """Append nearest-neighbour upsampling; see ``layers.Upsample2D``."""
        return self.add(Upsample2D(scale_factor, dtype=self.dtype))

    def add_batchnorm(self: Net, num_features: int, epsilon: float = 1e-5, momentum: float = 0.1) -> Net:
        """Append batch normalisation; see ``layers.BatchNorm``."""
        return self.add(BatchNorm(num_features, epsilon, momentum, dtype=self.dtype))

    def add_layernorm(self: Net, normalized_shape: int | tuple[int, ...], epsilon: float = 1e-5) -> Net:
        """Append layer normalisation; see ``layers.LayerNorm``."""
        return self.add(LayerNorm(normalized_shape, epsilon, dtype=self.dtype))

    def add_groupnorm(self: Net, num_groups: int, num_channels: int, epsilon: float = 1e-5) -> Net:
        """Append group normalisation; see ``layers.GroupNorm``."""
        return self.add(GroupNorm(num_groups, num_channels, epsilon, dtype=self.dtype))

    def add_instancenorm(self: Net, num_features: int, epsilon: float = 1e-5) -> Net:
        """Append instance normalisation; see ``layers.InstanceNorm``."""
        return self.add(InstanceNorm(num_features, epsilon, dtype=self.dtype))

    def add_embedding(self: Net, vocab_size: int, embed_dim: int, init_method: str = "normal") -> Net:
        """Append a table that integers look up; see ``layers.Embedding``."""
        return self.add(Embedding(vocab_size, embed_dim, init_method, dtype=self.dtype, rng=self.rng))

    def add_dropout(self: Net, rate: float = 0.5) -> Net:
        """Append dropout; see ``layers.Dropout``."""
        return self.add(Dropout(rate, dtype=self.dtype))

    def add_activation(
        self: Net, activation: str = "relu", activation_params: Mapping[str, float] | None = None
    ) -> Net:
        """Append an activation of its own, such as the ReLU after a batch normalisation."""
        return self.add(Activation(activation, activation_params, dtype=self.dtype))
