"""A layer as one node of a graph.

The node calls the layer's own ``forward`` and ``backward``; the gradients of its parameters go into the Parameters,
as they do in every network. Where the way back is recorded itself, a layer is expressed by operations, see
``EXPRESSIONS``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import StateError
from ..layers import Activation, Dense, Flatten, Layer, Mode, Residual, Sequential
from ..ops.array import REAL_DTYPES
from ..parameters import Parameter
from .activations import activate
from .elementwise import add
from .linear_algebra import matmul
from .nodes import STATE, Node, Op, Traced, Use, made, record
from .operands import astype
from .shapes import reshape, swapaxes

__all__ = ["EXPRESSIONS", "through"]


def _dense(layer: Any, x: Any, saved: Any) -> Any:
    z = matmul(x, swapaxes(_leaf(x, layer.parameters["weights"]), 0, 1))
    if "bias" in layer.parameters:
        z = add(z, _leaf(x, layer.parameters["bias"]))
    return activate(layer.function, z)


def _leaf(like: Any, parameter: Parameter) -> Any:
    return made(type(like), parameter.value, None if parameter.frozen else Use(parameter))


def _chain(layers: Sequence[Layer], x: Any) -> Any:
    for layer in layers:
        x = expression(layer)(layer, x, None)
    return x


def _residual(layer: Any, x: Any, saved: Any) -> Any:
    beside = x if layer.shortcut is None else expression(layer.shortcut)(layer.shortcut, x, None)
    return add(_chain(layer.layers, x), beside)


#: Layers whose output can be made of operations on Tensors, and how: ``(layer, x, saved) -> Tensor``.
EXPRESSIONS: dict[type[Layer], Callable[[Any, Any, Any], Any]] = {
    Dense: _dense,
    Activation: lambda layer, x, saved: activate(layer.function, x),
    Flatten: lambda layer, x, saved: reshape(x, (x.shape[0], int(np.prod(x.shape[1:], dtype=np.int64)))),
    Sequential: lambda layer, x, saved: _chain(layer.layers, x),
    Residual: _residual,
}


def expression(layer: Layer) -> Callable[[Any, Any, Any], Any]:
    """Return how ``layer`` is made of operations; StateError if it is not."""
    found = EXPRESSIONS.get(type(layer))
    if found is None:
        known = ", ".join(kind.__name__ for kind in EXPRESSIONS)
        way_out = "write this part with Tensor operations, or do without create_graph=True"
        raise StateError(f"create_graph through {layer.name}", f"one of {known}", type(layer).__name__, way_out)
    return found


class LayerOp(Op):
    """Any layer of one array, or of several where some of its options are Tensors."""

    __slots__ = ()
    expands = "recorded"

    def backward(self, g: Any, node: Node, saved: Any, wants: Sequence[Any], direct: bool) -> tuple[Any, ...]:
        """See Op; parameters get their gradients from the layer, unless only some of them are asked for."""
        layer, kept, arrays = node.settings
        inputs, params = any(wants[:arrays]), any(wants[arrays:])
        apart = params and not direct
        back = layer.backward
        if arrays > 1 and hasattr(layer, "backward_with_state"):
            back = functools.partial(_back_to_state, layer)
        found, gradients = (_apart if apart else _together)(layer, back, np.asarray(g), kept, params, inputs)
        parts = found if isinstance(found, tuple) else (found,)
        if inputs and len(parts) < arrays:
            expected = "options without gradients, which this layer has none for"
            raise StateError(f"backward through {layer.name}", expected, "Tensors among them", "detach() them")
        return (*(parts[:arrays] if inputs else (None,) * arrays), *gradients)  # of arrays among the options: nobody's

    def title(self, node: Node) -> str:
        """See Op."""
        return node.settings[0].name

    def expand(self, node: Node, inputs: Sequence[Any]) -> Any:
        """See Op."""
        layer, kept, _ = node.settings
        return expression(layer)(layer, inputs[0] if inputs else None, kept)


def _back_to_state(layer: Any, g: np.ndarray, kept: Any, *, params: bool, inputs: bool) -> tuple[Any, ...]:
    """Return the gradients of the input and of the arrays of the first state."""
    dx, dstate = layer.backward_with_state(g, kept, params=params, inputs=inputs)
    return (dx, *dstate) if isinstance(dstate, tuple) else (dx, dstate)


#: A way back through a layer: ``Layer.backward``, or one that has gradients of options too.
Back = Callable[..., Any]


def _together(
    layer: Layer, back: Back, g: np.ndarray, kept: Any, params: bool, inputs: bool
) -> tuple[Any, list[np.ndarray]]:
    """Return the gradients of the inputs; those of parameters go into the Parameters."""
    return back(g, kept, params=params, inputs=inputs), []


def _apart(
    layer: Layer, back: Back, g: np.ndarray, kept: Any, params: bool, inputs: bool
) -> tuple[Any, list[np.ndarray]]:
    """Return gradients of inputs and parameters; what the Parameters have gathered stays as it is."""
    parameters = list(layer.parameters.values())
    before = [(p.fresh, p.grad.copy(), getattr(p, "rows", None)) for p in parameters]
    for p in parameters:
        p.clear()
        p.fresh = False
    dx = back(g, kept, params=params, inputs=inputs)
    gradients = [p.grad.copy() if p.fresh else np.zeros_like(p.grad) for p in parameters]
    for p, (fresh, grad, rows) in zip(parameters, before, strict=True):
        p.clear()
        p.grad[...] = grad
        p.fresh = fresh
        if rows is not None:
            p.rows = rows  # type: ignore[attr-defined]
    return dx, gradients


LAYER = LayerOp("layer", lambda x: x)


def through(layer: Layer, x: Any, mode: Mode | None = None, **options: Any) -> Any:
    """Return what ``layer`` makes of the Tensor ``x``, as one node; see ``autodiff.apply``."""
    mode = STATE.mode if mode is None else mode
    if not layer.takes_ids:
        x = _cast(layer, x)
    layer.output_shape(x.data.shape[1:])
    inputs = [x]
    options = {key: _opened(layer, value, inputs) for key, value in options.items()}
    sources = [each.source for each in inputs]
    uses = [None if p.frozen else Use(p) for p in layer.parameters.values()] if STATE.enabled else []
    recorded = STATE.enabled and (any(sources) or any(uses))
    if mode.backward and not recorded and not mode.training:
        mode = mode._replace(backward=False)
    kept = {name: buffer.copy() for name, buffer in layer.buffers.items()} if STATE.replaying else {}
    y, saved = layer.forward(x.data, mode, **options)
    for name, buffer in kept.items():
        if layer.buffers[name].flags.writeable:
            layer.buffers[name][...] = buffer
    if not recorded:
        return made(type(x), y, None)
    needed = (x.data,) if type(layer) in EXPRESSIONS else ()
    shapes = (*[each.data.shape for each in inputs], *[p.value.shape for p in layer.parameters.values()])
    settings = (layer, saved, len(inputs))
    return made(type(x), y, record(LAYER, y, (*sources, *uses), needed, settings, shapes))


def _opened(layer: Layer, option: Any, inputs: list[Any]) -> Any:
    """Return an option as arrays; its Tensors, which a pair such as an LSTM's state may hold too, become inputs."""
    pair = isinstance(option, (tuple, list)) and any(isinstance(part, Traced) for part in option)
    if not pair and not isinstance(option, Traced):
        return option
    kind = type(inputs[0])
    parts = [_cast(layer, p if isinstance(p, Traced) else made(kind, p, None)) for p in (option if pair else [option])]
    inputs += parts
    return tuple(part.data for part in parts) if pair else parts[0].data


def _cast(layer: Layer, x: Any) -> Any:
    """Return a Tensor of the layer's dtype."""
    if x.data.dtype == layer.dtype:
        return x
    return astype(x, layer.dtype) if x.data.dtype in REAL_DTYPES else made(type(x), x.data.astype(layer.dtype), None)
