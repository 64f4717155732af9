"""Tape: the operations of a block, in order, to look at and to go back through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import StateError
from .gradients import grad
from .nodes import STATE, Node
from .tensor import Tensor

__all__ = ["Tape"]


class Tape:
    """Collects what is recorded inside of a ``with`` block.

    Graphs do not need one: Tensors know where they come from. A tape shows what was recorded, also inside of a
    ``no_grad`` block, and keeps it from being freed with the results. Tapes nest; the innermost one collects.

    Attributes
    ----------
    nodes : list of Node
        In the order of recording, with ``name``, ``shapes`` of the inputs and ``shape`` of the output.

    Examples
    --------
    >>> from enilnets.autodiff import Tape, Tensor
    >>> x = Tensor([3.0, 4.0], requires_grad=True)
    >>> with Tape() as tape:
    ...     y = (x * x).sum()
    >>> [node.name for node in tape], tape.nodes[1].shapes, tape.nodes[1].shape
    (['multiply', 'sum'], ((2,),), ())
    >>> tape.gradient(y, x)
    Tensor([6., 8.])
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._outer: list[tuple[Any, bool]] = []

    def __enter__(self) -> Tape:
        self._outer.append((STATE.swap("nodes", self.nodes), STATE.swap("enabled", True)))
        return self

    def __exit__(self, *_: object) -> None:
        nodes, enabled = self._outer.pop()
        STATE.swap("nodes", nodes)
        STATE.swap("enabled", enabled)

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def gradient(self, y: Tensor, xs: Any, gradient: Any = None, *, create_graph: bool = False) -> Any:
        """Return the gradients of ``y``, which was recorded here, with respect to ``xs``; see ``autodiff.grad``.

        Raises
        ------
        StateError
            If ``y`` was not recorded here.
        """
        if not isinstance(getattr(y, "source", None), Node) or not self._has(y.source):
            got = "another" if isinstance(y, Tensor) else type(y).__name__
            raise StateError("Tape.gradient(y)", "a result that this tape has recorded", got, "compute it in the block")
        return grad(y, xs, gradient, create_graph=create_graph)

    def _has(self, node: Node) -> bool:
        """Whether ``node`` is here; the numbers ascend."""
        low, high = 0, len(self.nodes)
        while low < high:
            middle = (low + high) // 2
            if self.nodes[middle].number < node.number:
                low = middle + 1
            else:
                high = middle
        return low < len(self.nodes) and self.nodes[low] is node

    def __str__(self) -> str:
        return "\n".join(map(repr, self.nodes)) or "an empty tape"
