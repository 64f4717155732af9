"""Memory for time: a part of a graph that is computed again on the way back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import DTypeError
from .nodes import NUMBERS, STATE, Node, Op, made, record
from .tensor import Tensor, as_tensor

__all__ = ["checkpoint"]


class CheckpointOp(Op):
    """A function whose graph was not kept."""

    __slots__ = ()
    expands = "always"

    def expand(self, node: Node, inputs: Sequence[Any]) -> Any:
        """Run the function again, recorded, under the same random numbers; running statistics stay as they are."""
        function, mode, random_state = node.settings
        if random_state is not None:
            mode = mode._replace(rng=copy.deepcopy(mode.rng))
            mode.rng.bit_generator.state = random_state
        before = STATE.swap("mode", mode), STATE.swap("replaying", True)
        try:
            return function(*inputs)
        finally:
            STATE.swap("mode", before[0])
            STATE.swap("replaying", before[1])


CHECKPOINT = CheckpointOp("checkpoint", lambda x: x)


def checkpoint(function: Callable[..., Any], *tensors: Any) -> Any:
    """Return ``function(*tensors)`` without keeping what its gradient needs; that is computed again on the way back.

    Parameters
    ----------
    function : callable
        From Tensors to one Tensor; may use layers and Parameters. It has to do the same both times; dropout of layers
        does, and running statistics are updated the first time only.
    *tensors : Tensor or array_like

    Returns
    -------
    Tensor

    Notes
    -----
    Of n layers in √n such parts, only about 2 √n outputs are kept at any time, for one more forward pass.

    References
    ----------
    Chen, Xu, Zhang & Guestrin 2016, Training Deep Nets with Sublinear Memory Cost, section 4.

    Examples
    --------
    >>> from enilnets.autodiff import Tensor, checkpoint, tanh
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda x: tanh(x * x), x).sum().backward()
    >>> x.grad.round(4)
    array([0.8399, 0.0054])
    """
    inputs = [as_tensor(x) for x in tensors]
    mode, first = STATE.mode, next(NUMBERS)
    random_state = None if mode.rng is None else mode.rng.bit_generator.state
    nodes = STATE.swap("nodes", None)
    try:
        y = function(*inputs)
    finally:
        STATE.swap("nodes", nodes)
    if not isinstance(y, Tensor):
        raise DTypeError("checkpoint(function)", "a function that returns one Tensor", type(y).__name__)
    if y.source is None:
        return y
    parents = (*(x.source for x in inputs), *reached(y.source, first))
    saved, shapes = tuple(x.data for x in inputs), tuple(x.shape for x in inputs)
    return made(Tensor, y.data, record(CHECKPOINT, y.data, parents, saved, (function, mode, random_state), shapes))


def reached(source: Any, first: int) -> list[Any]:
    """Return what a graph begins with: leaves, Parameters, and nodes that are older than number ``first``."""
    seen, found, stack = set(), [], [source]
    while stack:
        source = stack.pop()
        if source is None or source in seen:
            continue
        seen.add(source)
        if type(source) is Node and source.number > first:
            stack.extend(source.parents)
        else:
            found.append(source)
    return found
