"""Model: layers, parameters and expressions that train together."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from ..errors import ConfigError, DTypeError, ShapeError, StateError
from ..layers import Layer, Mode
from ..ops.array import REAL_DTYPES
from ..parameters import Parameter as StoredParameter
from ..training.trainable import Trainable
from .backpropagation import backpropagate
from .fitting import Fitting
from .nodes import STATE, Leaf
from .recording import enable_grad, no_grad
from .tensor import Tensor, as_tensor

__all__ = ["Model"]

M = TypeVar("M", bound="Model")


class Model(Fitting):
    """Base of models that are written as expressions.

    A subclass makes its layers and Parameters in ``__init__`` and says in ``call`` what becomes of the inputs. Whatever
    it sets as attributes belongs to the model: layers, Parameters, other Models, and lists, tuples and dicts of them.

    Parameters
    ----------
    learning_rate, optimizer, l2_lambda, momentum
        See NeuralNet.
    dtype : {"float64", "float32"}, default "float64"
        Of all parameters and arithmetic; make the layers with ``dtype=self.dtype``.
    rng : None, int, SeedSequence or Generator
        Source of all randomness; make the layers with ``rng=self.rng``.

    Attributes
    ----------
    arena : Arena
        All parameters and gradients as flat vectors, in the order in which the attributes were set. What is set twice
        is there once. Parameters belong to the model whose arena or step was used first, so train the parts of a model
        through that model.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.autodiff import Model, Parameter, loss
    >>> from enilnets.layers import Dense
    >>> class Gated(Model):
    ...     def __init__(self, **settings):
    ...         super().__init__(**settings)
    ...         self.hidden = Dense(2, 8, "tanh", rng=self.rng)
    ...         self.gate = Parameter(np.ones(8))
    ...         self.out = Dense(8, 1, "linear", rng=self.rng)
    ...
    ...     def call(self, x):
    ...         return self.out(self.hidden(x) * self.gate)
    >>> model = Gated(learning_rate=0.05, l2_lambda=0.0, rng=0)
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> y = x[:, :1] * x[:, 1:]
    >>> errors = [model.train_batch(lambda out, y: loss("mse", out, y), x, y) for _ in range(200)]
    >>> errors[-1] < 0.1 * errors[0]
    True
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if "run_state" not in vars(self) and isinstance(value, (Layer, StoredParameter, Model)):
            name = type(self).__name__
            raise StateError(f"{name}.__init__", "super().__init__(...) first", f"a {type(value).__name__} before it")
        if name not in vars(self) and callable(getattr(Model, name, None)):
            raise ConfigError(f"{self._name}.{name} = ...", "a name of its own", f"that of the method {name}()")
        if isinstance(value, Trainable) and not isinstance(value, Model):
            got, way_out = (
                f"a {type(value).__name__}",
                "set Sequential(copy.deepcopy(net.layers)), which trains with this model",
            )
            raise ConfigError(f"{self._name}.{name} = ...", "layers, Parameters or Models", got, way_out)
        super().__setattr__(name, value)

    def call(self, *inputs: Any, **options: Any) -> Any:
        """Return the output, a Tensor or a tuple of Tensors, for inputs that are Tensors; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, x)")

    # Passes

    def __call__(self, *inputs: Any, train: bool | None = None, **options: Any) -> Any:
        """Return the output for ``inputs``, recorded so that gradients can be asked for.

        Parameters
        ----------
        *inputs : Tensor or array_like
            Floats are cast to the model's dtype; integers stay, for embeddings.
        train : bool, optional
            Batch statistics and dropout on. Default: off, and inside another model's ``call`` as that has it.
        **options
            Handed to ``call`` as they are.

        Returns
        -------
        Tensor, or what ``call`` returns
        """
        self._check_parts()
        around = STATE.mode
        mode = around if train is None else Mode(bool(train), self.rng)
        STATE.swap("mode", mode if self.training else mode._replace(training=False))
        try:
            return self.call(*(self._input(x) for x in inputs), **options)
        finally:
            STATE.swap("mode", around)

    def _input(self, x: Any) -> Tensor:
        x = as_tensor(x)
        return x.astype(self.dtype) if x.dtype in REAL_DTYPES and x.dtype != self.dtype else x

    def forward(self, x: Any, train: bool = False, **options: Any) -> tuple[Any, Any]:
        """Return the output as an array and a context for ``backward``; several contexts may be alive at once.

        Parameters
        ----------
        x : array_like or Tensor, or tuple of them
            A tuple holds several inputs of ``call``.
        train : bool, default False
        **options
            Handed to ``call`` as they are, such as ``lengths=``.

        Returns
        -------
        output : ndarray, or tuple of ndarray
        ctx : object
        """
        inputs = [self._leaf(part) for part in (x if isinstance(x, tuple) else (x,))]
        with enable_grad():
            output = self(*inputs, train=train, **options)
        if isinstance(output, (tuple, list)):
            return tuple(part.data for part in output), (inputs, output, isinstance(x, tuple))
        if not isinstance(output, Tensor):
            raise DTypeError(f"{self._name}.call", "a Tensor or a tuple of Tensors", type(output).__name__)
        return output.data, (inputs, output, isinstance(x, tuple))

    def _leaf(self, x: Any) -> Tensor:
        x = self._input(x)
        return Tensor(x.data, x.dtype in REAL_DTYPES)

    def backward(
        self, ctx: Any, dy: Any, params: bool = True, inputs: bool = False, at_pre_activation: bool = False
    ) -> Any:
        """Add the parameter gradients of the pass ``ctx`` to the arena's, and return the inputs' if ``inputs``.

        Parameters
        ----------
        ctx : object
            From ``forward``; may be used again.
        dy : ndarray, or tuple of ndarray
            Gradients of the output, in its shape.
        params, inputs : bool
            Which gradients are wanted.
        at_pre_activation : bool
            Part of the protocol; a Model has no activation at its end to leave out.

        Raises
        ------
        ShapeError
            If ``dy`` has another shape.
        """
        if at_pre_activation:
            raise ConfigError(
                f"{self._name}.backward(at_pre_activation)", "False", "True", "pass the output's gradient"
            )
        leaves, output, several = ctx
        outputs = list(output) if isinstance(output, (tuple, list)) else [output]
        parts = list(dy) if isinstance(output, (tuple, list)) else [dy]
        if len(parts) != len(outputs):
            raise ShapeError(f"{self._name}.backward(dy)", f"{len(outputs)} gradients", str(len(parts)))
        roots = []
        for y, part in zip(outputs, parts, strict=True):
            part = np.asarray(part, y.dtype)
            if part.shape != y.shape:
                raise ShapeError(f"{self._name}.backward(dy)", f"shape {y.shape}", f"shape {part.shape}")
            if y.source is not None:
                roots.append((y.source, part))
        wanted: set[Leaf] = {leaf.source for leaf in leaves if leaf.source is not None} if inputs else set()
        found = backpropagate(Tensor, roots, leaves=wanted, params=params)
        if not inputs:
            return None
        gradients = tuple(
            np.array(found[leaf.source]) if leaf.source in found else np.zeros(leaf.shape, leaf.dtype)
            for leaf in leaves
        )
        return gradients if several else gradients[0]

    def infer(self, x: Any, **options: Any) -> Any:
        """Return the output in inference mode as an array; keeps nothing. ``options`` go to ``call``."""
        with no_grad():
            output = self(*(x if isinstance(x, tuple) else (x,)), train=False, **options)
        return tuple(part.data for part in output) if isinstance(output, (tuple, list)) else output.data
