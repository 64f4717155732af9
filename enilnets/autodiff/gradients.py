"""Gradients as values: asked for by name, given back, accumulated nowhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError, StateError
from ..parameters import Parameter
from .backpropagation import gradients_of
from .nodes import Use, made
from .operands import value_of
from .tensor import Tensor

__all__ = ["grad"]


def grad(y: Tensor, xs: Any, gradient: Any = None, *, create_graph: bool = False) -> Any:
    """Return the gradients of ``y`` with respect to ``xs``; the graph stays, and no ``grad`` attribute changes.

    Parameters
    ----------
    y : Tensor
        A single number, unless ``gradient`` is given.
    xs : Tensor, Parameter, or sequence of them
        Inputs, results on the way to ``y``, or parameters, those of layers included.
    gradient : array_like or Tensor, optional
        Gradient of the result with respect to ``y``; in its shape.
    create_graph : bool, default False
        Record the way back, so that the gradients have gradients. Layers are then expressed by operations, which is
        possible for ``Dense``, ``Activation``, ``Flatten``, and for ``Sequential`` and ``Residual`` of such; of the
        losses by name, for those in ``autodiff.losses.FORMULAS``.

    Returns
    -------
    Tensor, or list of Tensor like ``xs``
        Zeros where ``y`` does not depend on it.

    Raises
    ------
    StateError
        If ``y`` or one of ``xs`` has no gradient, the graph has been freed, a Parameter was changed since the forward
        pass, or a layer cannot be expressed under ``create_graph``.
    ShapeError
        If ``y`` is no single number and ``gradient`` does not say more.

    Examples
    --------
    >>> from enilnets.autodiff import Tensor, grad
    >>> x = Tensor(3.0, requires_grad=True)
    >>> slope = grad(x**3, x, create_graph=True)
    >>> float(slope), float(grad(slope, x))
    (27.0, 18.0)
    """
    if not isinstance(y, Tensor):
        raise DTypeError("grad(y)", "a Tensor", type(y).__name__)
    several = isinstance(xs, (list, tuple))
    given = list(xs) if several else [xs]
    sources = [_source_of(x) for x in given]
    seed = y._seed(gradient)
    root: Any = seed
    if create_graph:
        root = gradient if isinstance(gradient, Tensor) else made(Tensor, seed, None)
    found = gradients_of(Tensor, y.source, root, sources, create_graph=create_graph)
    results = [_result(found.get(source), x) for source, x in zip(sources, given, strict=True)]
    return results if several else results[0]


def _source_of(x: Any) -> Any:
    if isinstance(x, Parameter):
        return x
    if not isinstance(x, Tensor):
        raise DTypeError("grad(xs)", "Tensors or Parameters", type(x).__name__)
    if x.source is None:
        way_out = "make it with requires_grad=True, before y is computed from it"
        raise StateError("grad(xs)", "Tensors that have a gradient", "a constant", way_out)
    return x.source.parameter if type(x.source) is Use else x.source


def _result(g: Any, x: Any) -> Tensor:
    if isinstance(g, Tensor):
        return g
    data = value_of(x)
    return made(Tensor, np.zeros(data.shape, data.dtype) if g is None else np.array(g, data.dtype), None)
