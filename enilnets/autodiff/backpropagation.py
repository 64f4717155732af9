"""The way back through a graph: one reversed loop over its nodes, without recursion."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import numpy as np

from ..errors import StateError
from .indexing import Part
from .nodes import OUTPUT, STATE, Leaf, Node, Use, made
from .reductions import sum_to

__all__ = ["backpropagate", "gradients_of"]

_number = attrgetter("number")


class Backward:
    """One pass back.

    Parameters
    ----------
    kind : type
        The Tensor class.
    targets : set of (Node, Leaf or Parameter) or None
        Whose gradients are wanted; None for all leaves.
    params : bool
        Whether Parameters get their gradients into the arena.
    recorded : bool
        Whether the pass is recorded, so that its results have gradients.
    free : bool
        Whether nodes let go of what they kept.
    """

    def __init__(
        self, kind: type[Any], targets: set[Any] | None, params: bool, recorded: bool = False, free: bool = False
    ) -> None:
        self.kind, self.targets, self.params, self.recorded, self.free = kind, targets, params, recorded, free
        self.grads: dict[Any, Any] = {}
        self.own: set[Any] = set()  # sources whose entry in grads is an array of this pass's making
        self.needed: set[Any] = set()
        self.seen: set[Node] = set()
        self.order: list[Node] = []

    # Which nodes there are, and which of them matter

    def add_roots(self, roots: Iterable[Any]) -> None:
        """Put all nodes that ``roots`` came from in their place, after a look whether they can still go back."""
        new: list[Node] = []
        stack = [root for root in roots if type(root) is Node and root not in self.seen]
        while stack:
            node = stack.pop()
            if node in self.seen:
                continue
            self.seen.add(node)
            new.append(node)
            if node.op is None:
                way_out = "pass retain_graph=True to the first backward(), or add the losses up and go back once"
                raise StateError("backward", "a graph that has not been gone through", "one that was freed", way_out)
            for parent in node.parents:
                if type(parent) is Node:
                    if parent not in self.seen:
                        stack.append(parent)
                elif type(parent) is Use:
                    parent.check()
        new.sort(key=_number)
        self.find_needed(new)
        in_order = not self.order or not new or new[0].number > self.order[-1].number
        self.order.extend(new)
        if not in_order:
            self.order.sort(key=_number)

    def is_target(self, source: Any) -> bool:
        """Whether the gradient of ``source`` is a result of this pass."""
        if type(source) is Use:
            return self.params or (self.targets is not None and source.parameter in self.targets)
        return type(source) is Leaf if self.targets is None else source in self.targets

    def find_needed(self, nodes: list[Node]) -> None:
        """Find the nodes through which the targets are reached; with everything wanted, all are."""
        if self.targets is None and self.params:
            return
        needed = self.needed
        for node in nodes:
            for parent in node.parents:
                if parent is not None and (parent in needed or self.is_target(parent)):
                    needed.add(node)
                    break
            else:
                if node.op is not None and node.op.expands == "always":  # what is inside shows when it is expanded
                    needed.add(node)

    # The loop

    def run(self, roots: list[tuple[Any, Any]]) -> None:
        """Go back from ``roots``, pairs of a source and the gradient there."""
        self.add_roots([source for source, _ in roots])
        for source, g in roots:
            self.deliver(source, g)
        everything = self.targets is None and self.params
        grads, order, own = self.grads, self.order, self.own
        while order:
            node = order.pop()
            g = grads.get(node)
            if g is None:
                continue
            if self.targets is None or node not in self.targets:
                del grads[node]
                own.discard(node)
            if not everything and node not in self.needed:
                continue
            op: Any = node.op
            if op.expands and (self.recorded or op.expands == "always"):
                self.expand(node, g)
            else:
                self.step(op, node, g, everything)
            if self.free:
                node.free()

    def step(self, op: Any, node: Node, g: Any, everything: bool) -> None:
        """Pass the gradient ``g`` on from ``node`` to its inputs."""
        parents = node.parents
        wants: Any = parents
        if not everything:
            wants = [p if p is not None and (p in self.needed or self.is_target(p)) else None for p in parents]
        saved = self.wrapped(node) if self.recorded else node.saved
        parts = op.backward(g, node, saved, wants, self.params)
        grads = self.grads
        for want, part, shape in zip(wants, parts, node.shapes, strict=False):
            if part is None or want is None:
                continue
            if type(part) is not Part:
                if part.shape != shape:
                    part = sum_to(part, shape)
                if type(want) is Node and want not in grads:
                    grads[want] = part
                    continue
            self.deliver(want, part, shape)

    def wrapped(self, node: Node) -> list[Any]:
        """What the node saved, as Tensors that know where they come from."""
        places = node.op.saves  # type: ignore[union-attr]
        sources = [node if place == OUTPUT else node.parents[place] for place in places]
        return [made(self.kind, array, source) for array, source in zip(node.saved, sources, strict=True)]

    def expand(self, node: Node, g: Any) -> None:
        """Put the graph that does the same in the place of ``node``, and go on from its output."""
        enabled = STATE.swap("enabled", True)
        try:
            inputs = [made(self.kind, array, source) for array, source in zip(node.saved, node.parents, strict=False)]
            output = node.op.expand(node, inputs)  # type: ignore[union-attr]
        finally:
            STATE.swap("enabled", enabled)
        self.add_roots([output.source])
        if output.source is not None:
            self.deliver(output.source, g)

    def deliver(self, source: Any, part: Any, shape: tuple[int, ...] | None = None) -> None:
        """Add ``part`` to the gradient of ``source``."""
        if type(source) is Use:
            parameter = source.parameter
            if self.params:
                parameter.accumulate(_whole(part, parameter.value.shape))
                return
            source = parameter
        old = self.grads.get(source)
        if type(part) is Part:
            if old is None or source not in self.own:
                self.grads[source] = old = np.zeros(shape or (), part.g.dtype) if old is None else np.array(old)
                self.own.add(source)
            part.add_to(old)
        elif old is None:
            self.grads[source] = part
        elif source in self.own:
            old += part
        else:
            self.grads[source] = old + part
            if not self.recorded and part.shape:
                self.own.add(source)


def _whole(part: Any, shape: tuple[int, ...]) -> np.ndarray:
    if type(part) is Part:
        whole = np.zeros(shape, part.g.dtype)
        part.add_to(whole)
        return whole
    return np.asarray(part)


def backpropagate(
    kind: type[Any],
    roots: list[tuple[Any, np.ndarray]],
    *,
    leaves: set[Any] | None = None,
    params: bool = True,
    free: bool = False,
) -> dict[Any, np.ndarray]:
    """Go back from ``roots`` and add gradients to leaves and Parameters.

    Parameters
    ----------
    kind : type
        The Tensor class.
    roots : list of (source, ndarray)
    leaves : set of Leaf or None
        Those that are wanted; None for all.
    params : bool
        Whether Parameters are wanted.
    free : bool
        Whether the graph is freed on the way.

    Returns
    -------
    dict of Leaf to ndarray
        The gradients of the leaves, for the caller to add.
    """
    way = Backward(kind, leaves, params, free=free)
    with _Recorded(False):
        way.run(roots)
    return {source: np.asarray(g) for source, g in way.grads.items() if type(source) is Leaf}


def gradients_of(
    kind: type[Any], root: Any, g: Any, sources: Iterable[Any], *, create_graph: bool = False
) -> dict[Any, Any]:
    """Return the gradients of ``sources`` (Node, Leaf or Parameter) that ``root`` depends on; nothing is accumulated.

    They are arrays, or Tensors with gradients of their own under ``create_graph``.
    """
    targets = set(sources)
    way = Backward(kind, targets, False, recorded=create_graph)
    with _Recorded(create_graph):
        way.run([(root, g)])
    return {source: way.grads[source] for source in targets if source in way.grads}


class _Recorded:
    """Switches recording on or off in a block."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __enter__(self) -> None:
        self.before = STATE.swap("enabled", self.enabled)

    def __exit__(self, *_: object) -> None:
        STATE.swap("enabled", self.before)
