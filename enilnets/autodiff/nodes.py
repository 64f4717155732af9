"""What graphs are made of: nodes that remember how an array came about, and the per-thread state of recording.

An array that belongs to a graph knows its ``source``: the ``Node`` that made it, a ``Leaf`` where gradients are asked
for, or the ``Use`` of a Parameter. Nodes refer to the sources of their inputs and to the arrays that their way back
needs, never to their output; so a graph lives as long as someone holds what came out of it, and no longer.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import StateError
from ..layers.base import INFERENCE, Mode
from ..parameters import Parameter

__all__ = ["NUMBERS", "OUTPUT", "STATE", "Leaf", "Node", "Op", "Source", "Traced", "Use", "made", "record"]

#: In ``Op.saves``: the output of the operation.
OUTPUT = -1

#: Nodes are numbered as they are recorded. A node's inputs were there before it, so the order is topological.
NUMBERS = itertools.count()


class Recording(threading.local):
    """Whether and how operations are recorded; every thread has its own.

    Attributes
    ----------
    enabled : bool
    mode : Mode
        Of the pass that runs: what layers are called with.
    replaying : bool
        Whether a pass runs a second time, to be recorded; running statistics stay as they are.
    nodes : list of Node or None
        Where a Tape collects what is recorded.
    """

    enabled: bool = True
    mode: Mode = INFERENCE
    replaying: bool = False
    nodes: list[Node] | None = None

    def swap(self, name: str, value: Any) -> Any:
        """Set one of the attributes and return what it was, to be set again."""
        before = getattr(self, name)
        setattr(self, name, value)
        return before


STATE = Recording()


class Leaf:
    """Where gradients are asked for: the source of a Tensor with ``requires_grad=True``.

    Attributes
    ----------
    grad : ndarray or None
        What the backward passes have added up.
    """

    __slots__ = ("dtype", "grad", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self.grad: np.ndarray | None = None


class Use:
    """A Parameter as it stood when an operation read it."""

    __slots__ = ("parameter", "version")

    def __init__(self, parameter: Parameter) -> None:
        self.parameter, self.version = parameter, parameter.version

    def check(self) -> None:
        """Raise StateError if the parameter has changed since."""
        if self.parameter.version != self.version:
            raise StateError(
                "backward",
                f"the parameter of shape {self.parameter.value.shape} as the forward pass saw it",
                "one that a step or an assignment has changed since",
                "go backward before the step, or run the forward pass again",
            )


class Op:
    """A kind of operation: its forward function, and one function per input for the way back.

    Parameters
    ----------
    name : str
    forward : callable
        ``forward(*arrays, *settings) -> ndarray``.
    gradients : sequence of callable, one per input, two at most
        ``gradient(g, node, *saved)`` returns the gradient of the input at its place, before broadcasting is undone. It
        is written so that it runs on arrays, and on Tensors where the way back is recorded itself.
    saves : tuple of int
        What ``saved`` holds: inputs by their place, or ``OUTPUT``.
    """

    __slots__ = ("forward", "gradients", "name", "saves")

    #: When ``expand`` takes the place of ``backward``: never, in passes that are "recorded", or "always".
    expands: str = ""

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        gradients: Sequence[Callable[..., Any]] = (),
        saves: tuple[int, ...] = (),
    ) -> None:
        self.name, self.forward, self.gradients, self.saves = name, forward, gradients, saves

    def backward(self, g: Any, node: Node, saved: Sequence[Any], wants: Sequence[Any], direct: bool) -> Sequence[Any]:
        """Return the gradients of the inputs, None where ``wants`` is None.

        Parameters
        ----------
        g : ndarray or Tensor
            Gradient of the output.
        node : Node
        saved : sequence
            ``node.saved``, as Tensors if ``g`` is one.
        wants : sequence
            Aligned with ``node.parents``.
        direct : bool
            Whether gradients of Parameters go into the Parameters; then those of inputs that are Uses may be None.
        """
        gradients = self.gradients
        if len(gradients) == 1:
            return (gradients[0](g, node, *saved),)
        left, right = gradients
        return (
            None if wants[0] is None else left(g, node, *saved),
            None if wants[1] is None else right(g, node, *saved),
        )

    def title(self, node: Node) -> str:
        """What ``node`` is called."""
        return self.name

    def expand(self, node: Node, inputs: Sequence[Any]) -> Any:
        """Return the output again, made of ``inputs`` (Tensors) by operations that are recorded."""
        raise NotImplementedError(f"{self.name} must define expand()")

    def __repr__(self) -> str:
        return self.name


class Node:
    """One recorded operation.

    Attributes
    ----------
    op : Op or None
        None when a backward pass has freed the node.
    parents : tuple of (Source or None)
        Sources of the inputs; None for constants.
    saved : tuple of ndarray
    settings : tuple
        Further arguments of the operation.
    shapes : tuple of tuple of int
        Shapes of the inputs.
    shape : tuple of int
        Of the output.
    number : int
    """

    __slots__ = ("number", "op", "parents", "saved", "settings", "shape", "shapes")

    op: Op | None
    parents: tuple[Any, ...]
    saved: tuple[Any, ...]
    settings: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    number: int

    @property
    def name(self) -> str:
        """Name of the operation."""
        return "freed" if self.op is None else self.op.title(self)

    def free(self) -> None:
        """Let go of everything the way back would need."""
        self.op = None
        self.parents = self.saved = self.settings = ()

    def __repr__(self) -> str:
        inputs = ", ".join(str(shape) for shape in self.shapes)
        return f"{self.number}: {self.name}: {inputs} -> {self.shape}"


Source = Node | Leaf | Use


class Traced:
    """An array and its source: what Tensor is to this module.

    Attributes
    ----------
    data : ndarray
    source : Source or None
        None for a constant.
    """

    __slots__ = ("data", "source")

    data: np.ndarray
    source: Any


def made(kind: type[Any], data: Any, source: Any) -> Any:
    """Return an object of the Tensor class ``kind``."""
    tensor: Any = object.__new__(kind)
    tensor.data = data if type(data) is np.ndarray else np.asarray(data)
    tensor.source = source
    return tensor


def record(
    op: Op,
    data: np.ndarray,
    parents: tuple[Any, ...],
    saved: tuple[Any, ...],
    settings: tuple[Any, ...],
    shapes: tuple[tuple[int, ...], ...],
) -> Node:
    """Return a new node."""
    node = Node()
    node.op, node.parents, node.saved, node.settings = op, parents, saved, settings
    node.shapes, node.shape = shapes, data.shape
    node.number = next(NUMBERS)
    nodes = STATE.nodes
    if nodes is not None:
        nodes.append(node)
    return node
