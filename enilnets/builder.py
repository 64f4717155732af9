"""Builder: a network that is put together by its documented ``add_`` verbs, one line each.

A new layer gets its verb here, with the documented order of arguments; what the layer does stands in layers/. A size
that follows from the layers before may be left out: a verb asks ``_size`` for it, and hands ``input_shape`` to ``add``.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from .errors import ConfigError
from .layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    AdaptiveAvgPool2D,
    AdaptiveMaxPool2D,
    AvgPool2D,
    BatchNorm,
    Concat,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GroupNorm,
    InstanceNorm,
    Layer,
    LayerNorm,
    MaxPool2D,
    Residual,
    Sequential,
    Sparse,
    Upsample2D,
)
from .layers.conv import Sides
from .layers.recurrent import Recurrent
from .network import Network

__all__ = ["Builder"]

Net = TypeVar("Net", bound="Builder")
Verb = TypeVar("Verb", bound=Callable[..., Any])

#: A shape of one sample, as the first layer may be given it.
InputShape = Sequence[int] | None

#: Parameters of an activation by name, see ``ops.activation``.
Params = Mapping[str, float] | None

#: What a recurrent layer is told about its layers, in this order.
LAYOUT = ("num_layers", "bidirectional", "return_sequences")

#: Adds layers to the builder that it is called with.
Build = Callable[["Builder"], Any]


def needed(where: str, name: str, value: Any) -> Any:
    """Return ``value``; ConfigError if it was left out."""
    if value is None:
        raise ConfigError(f"{where}({name})", "a value", "none", f"pass it by name: {where}({name}=...)")
    return value


def all_or_nothing(verb: Verb) -> Verb:
    """Return ``verb`` so that a refused layer leaves the random state as it was before its weights were drawn."""

    @functools.wraps(verb)
    def added(self: Builder, *args: Any, **settings: Any) -> Any:
        bits = self.rng.bit_generator
        before = bits.state
        try:
            return verb(self, *args, **settings)
        except Exception:
            bits.state = before
            raise

    return cast(Verb, added)


class Builder(Network):
    """A Network with an ``add_`` verb for every layer; each returns the network, so that they can be chained.

    The size of a layer's input may be left out where it follows from the layers before. The first layer may be given
    ``input_shape``, the shape of one sample; then it always follows, also behind a Flatten.

    Examples
    --------
    >>> from enilnets.builder import Builder
    >>> net = Builder(rng=0).add_conv2d(out_ch=8, k=3, input_shape=(1, 28, 28)).add_maxpool2d().add_flatten()
    >>> net = net.add_dense(n_out=64).add_dense(n_out=10, activation="softmax")
    >>> [layer.name for layer in net.layers if layer.n_parameters]
    ['Conv2D(1 -> 8, 3x3)', 'Dense(1352 -> 64)', 'Dense(64 -> 10)']
    """

    #: Features or channels of the input, where a builder stands for a chain inside of another one.
    _width: int | None = None

    def _size(self, where: str, name: str, given: int | None, axis: int, input_shape: InputShape) -> int:
        """Return the size of a layer's input: ``given``, or what the layers before lead to.

        Parameters
        ----------
        where, name : str
            The verb and its argument, for messages.
        given : int or None
        axis : {0, -1}
            The axis of a sample that counts: 0 for channels, -1 for features. Where no shapes are known, it is the
            width of the last layer that has one.
        input_shape : tuple of int, optional
            As the verb was given it.
        """
        if given is not None:
            return given
        shape = self._shape_before(input_shape)
        size = shape[axis] if shape else self.chain.output_width(self._width)
        if size is None:
            way_out = f"pass {name}=, or input_shape= to the first layer"
            raise ConfigError(
                f"{where}({name})", "the size of its input", "none, and no layer before tells it", way_out
            )
        return size

    @all_or_nothing
    def add_dense(
        self: Net,
        n_in: int | None = None,
        n_out: int | None = None,
        activation: str = "relu",
        init_method: str = "xavier_uniform",
        use_bias: bool = True,
        activation_params: Params = None,
        *,
        input_shape: InputShape = None,
    ) -> Net:
        """Append a Dense layer; see ``layers.Dense``."""
        n_out = needed("add_dense", "n_out", n_out)
        n_in = self._size("add_dense", "n_in", n_in, -1, input_shape)
        layer = Dense(n_in, n_out, activation, init_method, use_bias, activation_params, dtype=self.dtype, rng=self.rng)
        return self.add(layer, input_shape)

    @all_or_nothing
    def add_sparse(
        self: Net,
        n_in: int | None = None,
        n_out: int | None = None,
        connectivity: float = 0.5,
        activation: str = "relu",
        init_method: str = "xavier_uniform",
        activation_params: Params = None,
        *,
        input_shape: InputShape = None,
    ) -> Net:
        """Append a dense layer with a fixed random mask; see ``layers.Sparse``."""
        n_out = needed("add_sparse", "n_out", n_out)
        n_in = self._size("add_sparse", "n_in", n_in, -1, input_shape)
        settings = (n_in, n_out, connectivity, activation, init_method, activation_params)
        return self.add(Sparse(*settings, dtype=self.dtype, rng=self.rng), input_shape)

    @all_or_nothing
    def add_conv2d(
        self: Net,
        in_ch: int | None = None,
        out_ch: int | None = None,
        k: Sides | None = None,
        activation: str = "relu",
        init_method: str = "he_normal",
        stride: Sides = 1,
        padding: Sides | str = 0,
        dilation: Sides = 1,
        groups: int = 1,
        activation_params: Params = None,
        *,
        input_shape: InputShape = None,
    ) -> Net:
        """Append a 2-D convolution; see ``layers.Conv2D``."""
        out_ch, k = needed("add_conv2d", "out_ch", out_ch), needed("add_conv2d", "k", k)
        in_ch = self._size("add_conv2d", "in_ch", in_ch, 0, input_shape)
        steps = (stride, padding, dilation, groups, activation_params)
        layer = Conv2D(in_ch, out_ch, k, activation, init_method, *steps, dtype=self.dtype, rng=self.rng)
        return self.add(layer, input_shape)

    @all_or_nothing
    def add_conv1d(
        self: Net,
        in_ch: int | None = None,
        out_ch: int | None = None,
        k: int | None = None,
        activation: str = "relu",
        init_method: str = "he_normal",
        stride: int = 1,
        padding: int | str = 0,
        dilation: int = 1,
        groups: int = 1,
        activation_params: Params = None,
        *,
        input_shape: InputShape = None,
    ) -> Net:
        """Append a convolution over sequences (batch, channels, length); see ``layers.Conv1D``."""
        out_ch, k = needed("add_conv1d", "out_ch", out_ch), needed("add_conv1d", "k", k)
        in_ch = self._size("add_conv1d", "in_ch", in_ch, 0, input_shape)
        steps = (stride, padding, dilation, groups, activation_params)
        layer = Conv1D(in_ch, out_ch, k, activation, init_method, *steps, dtype=self.dtype, rng=self.rng)
        return self.add(layer, input_shape)

    @all_or_nothing
    def add_depthwise_conv2d(
        self: Net,
        in_ch: int | None = None,
        k: Sides | None = None,
        depth_multiplier: int = 1,
        activation: str = "relu",
        init_method: str = "he_normal",
        stride: Sides = 1,
        padding: Sides | str = 0,
        dilation: Sides = 1,
        activation_params: Params = None,
        *,
        input_shape: InputShape = None,
    ) -> Net:
        """Append a convolution with kernels of its own for every channel; see ``layers.DepthwiseConv2D``."""
        k = needed("add_depthwise_conv2d", "k", k)
        in_ch = self._size("add_depthwise_conv2d", "in_ch", in_ch, 0, input_shape)
        settings = (depth_multiplier, activation, init_method, stride, padding, dilation, activation_params)
        return self.add(DepthwiseConv2D(in_ch, k, *settings, dtype=self.dtype, rng=self.rng), input_shape)

    @all_or_nothing
    def add_conv_transpose2d(
        self: Net,
        in_ch: int | None = None,
        out_ch: int | None = None,
        k: Sides | None = None,
        activation: str = "relu",
        init_method: str = "he_normal",
        stride: Sides = 1,
        padding: Sides = 0,
        output_padding: Sides = 0,
        dilation: Sides = 1,
        groups: int = 1,
        activation_params: Params = None,
        *,
        input_shape: InputShape = None,
    ) -> Net:
        """Append a transposed convolution, which enlarges images; see ``layers.ConvTranspose2D``."""
        out_ch, k = needed("add_conv_transpose2d", "out_ch", out_ch), needed("add_conv_transpose2d", "k", k)
        in_ch = self._size("add_conv_transpose2d", "in_ch", in_ch, 0, input_shape)
        steps = (stride, padding, output_padding, dilation, groups, activation_params)
        layer = ConvTranspose2D(in_ch, out_ch, k, activation, init_method, *steps, dtype=self.dtype, rng=self.rng)
        return self.add(layer, input_shape)

    def add_flatten(self: Net, *, input_shape: InputShape = None) -> Net:
        """Append a layer that reshapes each sample to one axis."""
        return self.add(Flatten(dtype=self.dtype), input_shape)

    def add_maxpool2d(self: Net, pool_size: int = 2, *, input_shape: InputShape = None) -> Net:
        """Append max pooling; see ``layers.MaxPool2D``."""
        return self.add(MaxPool2D(pool_size, dtype=self.dtype), input_shape)

    def add_avgpool2d(self: Net, pool_size: int = 2, *, input_shape: InputShape = None) -> Net:
        """Append average pooling; see ``layers.AvgPool2D``."""
        return self.add(AvgPool2D(pool_size, dtype=self.dtype), input_shape)

    def add_global_avgpool2d(self: Net, *, input_shape: InputShape = None) -> Net:
        """Append the mean of every channel; see ``layers.GlobalAvgPool2D``."""
        return self.add(GlobalAvgPool2D(dtype=self.dtype), input_shape)

    def add_global_maxpool2d(self: Net, *, input_shape: InputShape = None) -> Net:
        """Append the maximum of every channel; see ``layers.GlobalMaxPool2D``."""
        return self.add(GlobalMaxPool2D(dtype=self.dtype), input_shape)

    def add_adaptive_avgpool2d(self: Net, output_size: Sides, *, input_shape: InputShape = None) -> Net:
        """Append average pooling to a given size; see ``layers.AdaptiveAvgPool2D``."""
        return self.add(AdaptiveAvgPool2D(output_size, dtype=self.dtype), input_shape)

    def add_adaptive_maxpool2d(self: Net, output_size: Sides, *, input_shape: InputShape = None) -> Net:
        """Append max pooling to a given size; see ``layers.AdaptiveMaxPool2D``."""
        return self.add(AdaptiveMaxPool2D(output_size, dtype=self.dtype), input_shape)

    def add_upsample2d(self: Net, scale_factor: int = 2, *, input_shape: InputShape = None) -> Net:
        """Append nearest-neighbour upsampling; see ``layers.Upsample2D``."""
        return self.add(Upsample2D(scale_factor, dtype=self.dtype), input_shape)

    def add_batchnorm(
        self: Net,
        num_features: int | None = None,
        epsilon: float = 1e-5,
        momentum: float = 0.1,
        *,
        input_shape: InputShape = None,
    ) -> Net:
        """Append batch normalisation; see ``layers.BatchNorm``."""
        num_features = self._size("add_batchnorm", "num_features", num_features, 0, input_shape)
        return self.add(BatchNorm(num_features, epsilon, momentum, dtype=self.dtype), input_shape)

    def add_layernorm(
        self: Net,
        normalized_shape: int | tuple[int, ...] | None = None,
        epsilon: float = 1e-5,
        *,
        input_shape: InputShape = None,
    ) -> Net:
        """Append layer normalisation; see ``layers.LayerNorm``. Left out, the shape is the features or channels."""
        if normalized_shape is None:
            shape = self._shape_before(input_shape)
            axis = 0 if shape is not None and len(shape) == 3 else -1
            normalized_shape = self._size("add_layernorm", "normalized_shape", None, axis, input_shape)
        return self.add(LayerNorm(normalized_shape, epsilon, dtype=self.dtype), input_shape)

    def add_groupnorm(
        self: Net,
        num_groups: int,
        num_channels: int | None = None,
        epsilon: float = 1e-5,
        *,
        input_shape: InputShape = None,
    ) -> Net:
        """Append group normalisation; see ``layers.GroupNorm``."""
        num_channels = self._size("add_groupnorm", "num_channels", num_channels, 0, input_shape)
        return self.add(GroupNorm(num_groups, num_channels, epsilon, dtype=self.dtype), input_shape)

    def add_instancenorm(
        self: Net, num_features: int | None = None, epsilon: float = 1e-5, *, input_shape: InputShape = None
    ) -> Net:
        """Append instance normalisation; see ``layers.InstanceNorm``."""
        num_features = self._size("add_instancenorm", "num_features", num_features, 0, input_shape)
        return self.add(InstanceNorm(num_features, epsilon, dtype=self.dtype), input_shape)

    @all_or_nothing
    def add_embedding(
        self: Net, vocab_size: int, embed_dim: int, init_method: str = "normal", *, input_shape: InputShape = None
    ) -> Net:
        """Append a table that integers look up; see ``layers.Embedding``."""
        layer = Embedding(vocab_size, embed_dim, init_method, dtype=self.dtype, rng=self.rng)
        return self.add(layer, input_shape)

    def add_rnn(
        self: Net,
        n_in: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 1,
        bidirectional: bool = False,
        return_sequences: bool = False,
        *,
        input_shape: InputShape = None,
        **settings: Any,
    ) -> Net:
        """Append a plain recurrent layer over (batch, time, features); see ``layers.RNN`` for ``settings``."""
        layout = (num_layers, bidirectional, return_sequences)
        return self._add_recurrent("add_rnn", RNN, n_in, hidden_size, layout, settings, input_shape)

    def add_bidirectional_rnn(
        self: Net,
        n_in: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 1,
        return_sequences: bool = False,
        *,
        input_shape: InputShape = None,
        **settings: Any,
    ) -> Net:
        """Append ``add_rnn`` with ``bidirectional=True``: twice as many features come out."""
        layout = (num_layers, True, return_sequences)
        return self._add_recurrent("add_bidirectional_rnn", RNN, n_in, hidden_size, layout, settings, input_shape)

    def add_lstm(
        self: Net,
        n_in: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 1,
        bidirectional: bool = False,
        return_sequences: bool = False,
        *,
        input_shape: InputShape = None,
        **settings: Any,
    ) -> Net:
        """Append a long short-term memory over (batch, time, features); see ``layers.LSTM`` for ``settings``."""
        layout = (num_layers, bidirectional, return_sequences)
        return self._add_recurrent("add_lstm", LSTM, n_in, hidden_size, layout, settings, input_shape)

    def add_bidirectional_lstm(
        self: Net,
        n_in: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 1,
        return_sequences: bool = False,
        *,
        input_shape: InputShape = None,
        **settings: Any,
    ) -> Net:
        """Append ``add_lstm`` with ``bidirectional=True``: twice as many features come out."""
        layout = (num_layers, True, return_sequences)
        return self._add_recurrent("add_bidirectional_lstm", LSTM, n_in, hidden_size, layout, settings, input_shape)

    def add_gru(
        self: Net,
        n_in: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 1,
        bidirectional: bool = False,
        return_sequences: bool = False,
        *,
        input_shape: InputShape = None,
        **settings: Any,
    ) -> Net:
        """Append a gated recurrent unit over (batch, time, features); see ``layers.GRU`` for ``settings``."""
        layout = (num_layers, bidirectional, return_sequences)
        return self._add_recurrent("add_gru", GRU, n_in, hidden_size, layout, settings, input_shape)

    def add_bidirectional_gru(
        self: Net,
        n_in: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 1,
        return_sequences: bool = False,
        *,
        input_shape: InputShape = None,
        **settings: Any,
    ) -> Net:
        """Append ``add_gru`` with ``bidirectional=True``: twice as many features come out."""
        layout = (num_layers, True, return_sequences)
        return self._add_recurrent("add_bidirectional_gru", GRU, n_in, hidden_size, layout, settings, input_shape)

    @all_or_nothing
    def _add_recurrent(
        self: Net,
        where: str,
        kind: type[Recurrent],
        n_in: int | None,
        hidden_size: int | None,
        layout: tuple[Any, ...],
        settings: dict[str, Any],
        input_shape: InputShape,
    ) -> Net:
        hidden_size = needed(where, "hidden_size", hidden_size)
        known = [name for name in kind.settings if name not in ("n_in", "hidden_size", *LAYOUT)]
        unknown = [name for name in settings if name not in known]
        if unknown:
            raise ConfigError(where, f"settings among {', '.join(known)}", ", ".join(unknown))
        n_in = self._size(where, "n_in", n_in, -1, input_shape)
        layer = kind(n_in, hidden_size, *layout, **settings, dtype=self.dtype, rng=self.rng)
        return self.add(layer, input_shape)

    def add_dropout(self: Net, rate: float = 0.5, *, input_shape: InputShape = None) -> Net:
        """Append dropout; see ``layers.Dropout``."""
        return self.add(Dropout(rate, dtype=self.dtype), input_shape)

    def add_activation(
        self: Net, activation: str = "relu", activation_params: Params = None, *, input_shape: InputShape = None
    ) -> Net:
        """Append an activation of its own, such as the ReLU after a batch normalisation."""
        return self.add(Activation(activation, activation_params, dtype=self.dtype), input_shape)

    @all_or_nothing
    def add_residual(self: Net, build: Build, shortcut: Build | None = None, *, input_shape: InputShape = None) -> Net:
        """Append what some layers make of their input, plus that input; see ``layers.Residual``.

        Parameters
        ----------
        build : callable
            Called with a Builder, to which it adds the layers; their sizes follow as they do here.
        shortcut : callable, optional
            The same for what the input passes through on its way to the sum.
        input_shape : tuple of int, optional
            See ``add``.

        Examples
        --------
        >>> from enilnets import NeuralNet
        >>> net = NeuralNet(rng=0).add_conv2d(out_ch=16, k=3, padding="same", input_shape=(3, 32, 32))
        >>> net = net.add_residual(lambda block: block.add_conv2d(out_ch=16, k=3, padding="same").add_batchnorm())
        >>> net.layers[1].name
        'Residual(2 layers)'
        """
        layers = self._inside("add_residual(build)", build, input_shape)
        beside = None
        if shortcut is not None:
            beside = Sequential(self._inside("add_residual(shortcut)", shortcut, input_shape), dtype=self.dtype)
        return self.add(Residual(*layers, shortcut=beside, dtype=self.dtype), input_shape)

    @all_or_nothing
    def add_concat(self: Net, *branches: Build | None, axis: int = 1, input_shape: InputShape = None) -> Net:
        """Append branches side by side, whose outputs are joined; see ``layers.Concat``.

        Parameters
        ----------
        *branches : callable or None
            Called with a Builder, to which it adds the layers of a branch; None passes the input on.
        axis : int, default 1
            The axis of the batch along which outputs are joined.
        input_shape : tuple of int, optional
            See ``add``.
        """
        where = "add_concat(branches)"
        made = [None if build is None else self._inside(where, build, input_shape) for build in branches]
        return self.add(Concat(*made, axis=axis, dtype=self.dtype), input_shape)

    def _inside(self, where: str, build: Build, input_shape: InputShape) -> list[Layer]:
        """Return the layers that ``build`` adds to a builder that stands where the next layer would."""
        if isinstance(build, Layer) or not callable(build):
            way_out = "add layers that are made already with add(layers.Residual(...))"
            raise ConfigError(where, "a function that adds layers to a builder", repr(build), way_out)
        inner = Builder(dtype=self.dtype, rng=self.rng)
        inner._sample_shape = self._shape_before(input_shape)
        inner._width = self.chain.output_width(self._width)
        build(inner)
        return [copy.deepcopy(layer) for layer in inner.layers]  # out of the arena of the builder
