"""What every layer is: parameters, buffers and settings behind a mapping, and pure forward and backward passes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import checks
from ..errors import ConfigError, DTypeError, ShapeError
from ..init import INITIALIZERS
from ..ops import activation as functions
from ..ops.activation import ACTIVATIONS, activation, activation_backward, with_parameters
from ..parameters import CHANGES, Parameter

__all__ = ["INFERENCE", "Activated", "ActivatedLayer", "Layer", "Mode", "Node", "Shape"]

#: Shape of one sample, without the batch axis.
Shape = tuple[int, ...]


class Mode(NamedTuple):
    """How a forward pass runs.

    Attributes
    ----------
    training : bool
        Batch statistics and dropout on.
    rng : Generator or None
        Source of randomness; needed for training only.
    keep_z : bool
        Keep every pre-activation, also where backward can do without it.
    dropout_rate : float or None
        In training, takes the place of every dropout layer's own rate.
    backward : bool
        Whether a backward pass may follow; without, layers may save less.
    lengths : ndarray (batch,) of int64 or None
        Steps that each sequence of a batch (batch, time, ...) has, from 1 to its time axis; what comes after is
        padding, which layers that look at several steps leave out. None: all sequences fill the time axis.
    reset : ndarray (batch, time) of bool or None
        True where an episode begins: recurrent layers let no state cross the border before that step.
    states : mapping of Layer to state, or None
        What recurrent layers begin with; those that are not in it begin with zeros.
    """

    training: bool = False
    rng: np.random.Generator | None = None
    keep_z: bool = False
    dropout_rate: float | None = None
    backward: bool = True
    lengths: np.ndarray | None = None
    reset: np.ndarray | None = None
    states: Mapping[Layer, Any] | None = None


INFERENCE = Mode()


class Node(NamedTuple):
    """A layer as ``_ext.chain`` runs it: one step of a program on rows of features.

    Attributes
    ----------
    kind : {"dense", "activation", "batchnorm", "identity"}
    n_in, n_out : int or None
        Features of the input and of the output; None for those of the step before.
    activation : str
        A key of ``ops.activation.ACTIVATIONS``.
    arrays : tuple of (ndarray or None)
        What the kind computes with.
    gradients : tuple of (Parameter or None)
        The parameters that ``backward`` has gradients for, two at most; None where nothing is trained.
    batch : bool
        Whether training uses the statistics of the batch and learns the running ones.
    eps, momentum : float
        Of a normalisation.
    """

    kind: str
    n_in: int | None = None
    n_out: int | None = None
    activation: str = "linear"
    arrays: tuple[np.ndarray | None, ...] = ()
    gradients: tuple[Parameter | None, Parameter | None] = (None, None)
    batch: bool = False
    eps: float = 0.0
    momentum: float = 0.0


class Layer(MutableMapping):
    """Base of all layers.

    A layer is constructed with its settings, ``dtype`` and ``rng``; it draws its parameters at once. Between calls it
    remembers nothing but its parameters and declared buffers: what ``backward`` needs is returned by ``forward``.

    A subclass gives ``type``, ``settings`` (names of its constructor arguments, which are also its attributes),
    ``shapes`` and ``forward``, ``backward_delta`` and ``output_shape``; an entry in ``LAYERS`` then makes the
    conformance tests run over it.

    The mapping is the documented face: ``layer["weights"]`` is a view, ``layer["weights"] = a`` copies into it,
    ``layer["type"]`` names the layer, ``layer["d_weights"]`` is the gradient.
    """

    type: ClassVar[str]
    settings: ClassVar[tuple[str, ...]] = ()
    #: Settings that may be changed after construction.
    adjustable: ClassVar[tuple[str, ...]] = ()
    #: Settings that hold layers, in layers that are made of layers; see ``Container``.
    nested: ClassVar[tuple[str, ...]] = ()
    #: Settings that older files lack, with the value they meant.
    older_files: ClassVar[dict[str, Any]] = {}
    #: Whether ``documented_cache`` has anything to show.
    caches: ClassVar[bool] = False
    #: Whether it has ``forward_with_activation``, which does the work of an Activation layer behind it on the way.
    takes_activation: ClassVar[bool] = False
    #: Whether ``backward_delta`` takes ``relu=True``: the input came out of a ReLU, and the gradient is that before it.
    undoes_relu: ClassVar[bool] = False
    #: Whether its input is row numbers, which reach it as they are: no cast to the dtype of the network may round them.
    takes_ids: ClassVar[bool] = False
    #: Whether a pass can go on from the state that another one ended with; see ``final_state``.
    carries_state: ClassVar[bool] = False
    #: True if a 3-D input is one image, False if it is (batch, sequence, features), None if the next layer decides.
    takes_images: ClassVar[bool | None] = None

    def __init__(self, *, dtype: Any = "float64", rng: Any = None) -> None:
        self.dtype = checks.real_dtype(type(self).__name__, dtype)
        self.parameters: dict[str, Parameter] = {}
        self.buffers: dict[str, np.ndarray] = {}
        self.recent: dict[str, Any] = {}
        self._frozen = False

    @classmethod
    def blank(cls, settings: dict[str, Any], dtype: Any) -> Layer:
        """Return a layer whose parameters are about to be overwritten, without drawing them."""
        method = settings.get("init_method")
        if method is None:
            return cls(**settings, dtype=dtype)
        layer: Any = cls(**{**settings, "init_method": "zeros"}, dtype=dtype)
        layer.init_method = checks.choice(cls.__name__, "init_method", method, INITIALIZERS)
        return layer

    # What a subclass defines

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """Shapes of all parameters and buffers of a layer with these settings (used to check files before loading)."""
        return {}

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one output sample for an input sample of ``shape``; ShapeError if the layer cannot take it."""
        return shape

    def output_width(self, width: int | None) -> int | None:
        """Features or channels of the output for an input of ``width``; None if only its shape tells."""
        return width

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Any]:
        """Return the output for a batch ``x`` and what ``backward`` needs."""
        raise NotImplementedError(f"{type(self).__name__} must define forward()")

    def __call__(self, x: Any, mode: Mode | None = None, **options: Any) -> Any:
        """Return what the layer makes of ``x``, a Tensor of ``enilnets.autodiff``, as one node of its graph.

        Parameters
        ----------
        x : Tensor
        mode : Mode, optional
            By default that of the pass that runs: of the Model around, else inference.
        **options
            Further arguments of ``forward``; Tensors among them are inputs that get gradients too.
        """
        through = getattr(x, "through", None)
        if through is None:
            way_out = "use forward(x, mode), or enilnets.autodiff.apply(layer, x)"
            raise DTypeError(f"{self.name}(x)", "a Tensor of enilnets.autodiff", type(x).__name__, way_out)
        return through(self, mode, **options)

    def delta(self, dy: np.ndarray, saved: Any) -> np.ndarray:
        """Gradient before this layer's activation, given the gradient ``dy`` of its output."""
        return dy

    def backward_delta(
        self, dz: np.ndarray, saved: Any, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """Accumulate parameter gradients and return the input's gradient, given the gradient before the activation."""
        raise NotImplementedError(f"{type(self).__name__} must define backward_delta()")

    def divide(self, saved: Any) -> tuple[Any, Any]:
        """What this layer and the Activation behind it would have saved, from what ``forward_with_activation`` did."""
        raise NotImplementedError(f"{type(self).__name__} takes no activation")

    def backward(self, dy: np.ndarray, saved: Any, *, params: bool = True, inputs: bool = True) -> np.ndarray | None:
        """Accumulate parameter gradients (if ``params``) and return the input's gradient (if ``inputs``).

        Parameters
        ----------
        dy : ndarray
            Gradient of the output, same shape; never written to.
        saved : object
            Second result of the ``forward`` that made the output.
        """
        return self.backward_delta(self.delta(dy, saved), saved, params=params, inputs=inputs)

    def node(self, mode: Mode) -> Node | None:
        """Describe this layer as a step of a program, or return None if only ``forward`` can run it in this mode.

        The description holds until a setting changes; who changes one counts it in ``CHANGES``.
        """
        return None

    def unpack(self, kept: dict[str, Any]) -> Any:
        """Return what ``forward`` would have saved, from what a program kept of this layer; see ``_ext.chain``."""
        return None

    def pre_activation(self, saved: Any) -> np.ndarray | None:
        """Return the pre-activation in ``saved``, if the layer has an activation and it was kept."""
        return None

    def norm_cache(self, saved: Any) -> tuple | None:
        """Return the documented cache of a normalisation layer, ``(x, x_norm, mean, var, gamma, epsilon, axes)``."""
        return None

    def documented_cache(self, saved: Any) -> dict[str, Any]:
        """Entries that the documentation shows in the mapping after a forward pass, such as a dropout mask."""
        return {}

    def final_state(self, saved: Any) -> Any:
        """Return the state that a pass ended with, from what it saved, for ``Mode.states`` of the next."""
        raise NotImplementedError(f"{type(self).__name__} carries no state")

    def describe(self) -> str:
        """What ``summary()`` says about this layer after its type."""
        return ""

    # What a subclass uses

    @property
    def needs_training_pass(self) -> bool:
        """Whether the documented ``Backward`` makes sense after a training pass only."""
        return False

    @property
    def head(self) -> str:
        """Name of the activation that makes the output, or "linear"."""
        return "linear"

    @property
    def name(self) -> str:
        """The layer as messages name it, such as ``Dense(784 -> 256)``."""
        return type(self).__name__

    def room(self, name: str) -> np.ndarray | None:
        """Where a gradient may be written directly; see Parameter.room."""
        return self.parameters[name].room() if name in self.parameters else None

    def accumulate(self, **gradients: np.ndarray | None) -> None:
        """Add gradients to the parameters of those names; None and names without a parameter are passed over."""
        for name, gradient in gradients.items():
            if gradient is not None and name in self.parameters:
                self.parameters[name].accumulate(gradient)

    def shape_error(self, expected: str, shape: Shape, way_out: str = "") -> ShapeError:
        """Build the error for an input sample of ``shape``."""
        batch = ", ".join(["batch", *[str(size) for size in shape]])
        return ShapeError(self.name, f"input of shape {expected}", f"({batch})", way_out)

    # Configuration

    def config(self) -> dict[str, Any]:
        """Settings that construct this layer again."""
        return {name: getattr(self, name) for name in self.settings}

    @property
    def frozen(self) -> bool:
        """Whether training leaves this layer's parameters and buffers alone."""
        return self._frozen

    @frozen.setter
    def frozen(self, frozen: bool) -> None:
        self._frozen = bool(frozen)
        CHANGES.count += 1
        for parameter in self.parameters.values():
            parameter.frozen = self._frozen

    @property
    def n_parameters(self) -> int:
        """Number of trainable numbers, frozen or not."""
        return sum(parameter.size for parameter in self.parameters.values())

    def __deepcopy__(self, memo: dict[int, Any]) -> Layer:
        return _rebuild(type(self), self.config(), self.dtype, self.arrays(), self.frozen)

    def __copy__(self) -> Layer:
        return copy.deepcopy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # The parameters may be views into a model's arena; a copy stands on its own.
        return _rebuild, (type(self), self.config(), self.dtype, self.arrays(), self.frozen)

    def arrays(self) -> dict[str, np.ndarray]:
        """Views of all parameters and buffers by name."""
        return {**{name: p.value for name, p in self.parameters.items()}, **self.buffers}

    # The mapping

    def __getitem__(self, key: str) -> Any:
        if not isinstance(key, str):
            raise KeyError(key)
        if key in self.parameters:
            return self.parameters[key].value
        if key in self.buffers:
            return self.buffers[key]
        if key in self.settings:
            return getattr(self, key)
        if key == "type":
            return type(self).type
        if key == "_frozen":
            return self.frozen
        if key.startswith("d_") and key[2:] in self.parameters:
            return self.parameters[key[2:]].grad
        return self.recent[key]

    def __setitem__(self, key: str, value: Any) -> None:
        where = f'{self.name}["{key}"]'
        if key in self.parameters or key in self.buffers:
            value = self.fitting(where, key, value)
            array = self.arrays()[key]
            if array.flags.writeable:
                array[...] = value
            if key in self.parameters:
                self.parameters[key].changed()
        elif key == "_frozen":
            self.frozen = checks.flag(self.name, key, value)
        elif key in self.adjustable:
            setattr(self, key, value)
        else:
            changeable = [*self.parameters, *self.buffers, *self.adjustable, "_frozen"]
            raise ConfigError(
                where, f"one of {', '.join(changeable)}", repr(key), "other entries are fixed when the layer is made"
            )

    def restore(self, key: str, value: np.ndarray) -> None:
        """Assign an array of another layer like this one, also where an assignment by hand is refused."""
        self[key] = value

    def fitting(self, where: str, key: str, value: Any) -> np.ndarray:
        """Return ``value`` as an array that the parameter or buffer ``key`` can hold; nothing is assigned."""
        array = self.arrays()[key]
        value = checks.numbers(where, value, array.shape)
        if not array.flags.writeable and not np.array_equal(array, value):
            raise ConfigError(where, "the constant it holds", "other values", "make the layer with use_bias=True")
        return value

    def __delitem__(self, key: str) -> None:
        raise ConfigError(f'del {self.name}["{key}"]', "a layer that keeps its entries", "a deletion")

    def __iter__(self) -> Iterator[str]:
        return iter(["type", *self.arrays(), *self.settings, *self.recent])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


def _rebuild(
    kind: type[Layer], settings: dict[str, Any], dtype: np.dtype, arrays: dict[str, np.ndarray], frozen: bool
) -> Layer:
    """Build a layer that stands on its own from the parts of another."""
    layer = kind.blank(settings, dtype)
    for name, array in arrays.items():
        layer[name] = array
    layer.frozen = frozen
    return layer


class Activated(NamedTuple):
    """What a layer with an activation saves: its own part, z if it was kept, the activation and its part."""

    linear: Any
    z: np.ndarray | None
    name: str | functions.Activation
    activation: np.ndarray | None


class ActivatedLayer(Layer):
    """A layer that ends in a pointwise activation: y = f(z), z = linear part.

    Subclasses define ``linear(x) -> (z, saved)`` and ``linear_backward(dz, saved, params, inputs)``.
    """

    adjustable = ("activation", "activation_params")
    #: The activations it can have.
    activations: ClassVar[tuple[str, ...]] = tuple(ACTIVATIONS)

    @property
    def activation(self) -> str:
        """Name of the activation, a key of ``ops.activation.ACTIVATIONS``; setting it forgets its parameters."""
        return self._activation

    @activation.setter
    def activation(self, name: str) -> None:
        self._activation = checks.choice(type(self).__name__, "activation", name, self.activations)
        self.activation_params = None

    @property
    def activation_params(self) -> dict[str, float]:
        """Parameters of the activation that were set, such as ``{"alpha": 0.2}``; see ``ops.activation``."""
        return dict(self._activation_params)

    @activation_params.setter
    def activation_params(self, parameters: Mapping[str, float] | None) -> None:
        parameters = {} if parameters is None else parameters
        #: What the functions of ops.activation take: the name, or an object with the parameters.
        self.function = with_parameters(type(self).__name__, self._activation, parameters)
        self._activation_params = {key: float(value) for key, value in parameters.items()}
        CHANGES.count += 1

    @property
    def head(self) -> str:
        """See Layer."""
        return self._activation

    def linear(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return the pre-activation and what ``linear_backward`` needs."""
        raise NotImplementedError(f"{type(self).__name__} must define linear()")

    def linear_backward(self, dz: np.ndarray, saved: Any, *, params: bool, inputs: bool) -> np.ndarray | None:
        """Accumulate parameter gradients and return the input's gradient."""
        raise NotImplementedError(f"{type(self).__name__} must define linear_backward()")

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Activated]:
        """Return f(z) and what ``backward`` needs."""
        z, linear = self.linear(x)
        # Where backward needs the output only, the activation overwrites z: one large array less per layer.
        overwrite = ACTIVATIONS[self._activation].saves != "input" and not mode.keep_z
        y, saved = activation(self.function, z, out=z if overwrite else None)
        return y, Activated(linear, None if overwrite else z, self.function, saved)

    def delta(self, dy: np.ndarray, saved: Activated) -> np.ndarray:
        """Return dz = dy f'(z)."""
        return activation_backward(saved.name, dy, saved.activation)

    def backward_delta(
        self, dz: np.ndarray, saved: Activated, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """Backward pass of the linear part."""
        return self.linear_backward(dz, saved.linear, params=params and not self.frozen, inputs=inputs)

    def unpack(self, kept: dict[str, Any]) -> Activated:
        """See Layer."""
        name = kept["activation"]
        saves = {"output": kept["y"], "input": kept["z"], "nothing": None}[ACTIVATIONS[name].saves]
        return Activated(kept["x"], kept["z"], name, saves)

    def pre_activation(self, saved: Activated) -> np.ndarray | None:
        """Return z if it was kept."""
        return saved.z
