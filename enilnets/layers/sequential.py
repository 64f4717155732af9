"""A chain of layers, itself a layer. Runs of layers that can describe themselves as nodes become programs."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..errors import ShapeError
from ..ops.array import real
from ..ops.chain import Pass, Program
from ..parameters import CHANGES
from .base import INFERENCE, Layer, Mode, Node, Shape

__all__ = ["Passed", "Sequential"]

#: For inference after which nobody goes backward.
INFERENCE_ALONE = Mode(backward=False)


class Stage(NamedTuple):
    """Layers ``first`` to ``stop`` of a chain: those of a program, or one that runs by itself."""

    first: int
    stop: int
    program: Program | None


class LayerPass:
    """One run of a layer by itself: input, output, what the layer saved, and its delta after the way back."""

    __slots__ = ("delta", "saved", "x", "y")

    def __init__(self, x: np.ndarray, y: np.ndarray, saved: Any) -> None:
        self.x, self.y, self.saved = x, y, saved
        self.delta: np.ndarray | None = None


class Passed:
    """What one forward pass through a chain leaves behind, layer by layer as lists that are made when they are read.

    Attributes
    ----------
    input, output : ndarray
    """

    __slots__ = ("_deltas", "changes", "input", "layers", "output", "runs", "stages")

    def __init__(self, layers: list[Layer], stages: list[Stage], changes: int, x: np.ndarray) -> None:
        self.layers, self.stages, self.changes = layers, stages, changes
        self.input = self.output = x
        self.runs: list[Pass | LayerPass] = []
        self._deltas: list[np.ndarray | None] | None = None

    def _kept(self, name: str) -> list[np.ndarray | None]:
        """What every layer kept under ``name``: "y" or "delta"."""
        found: list[np.ndarray | None] = []
        for stage, run in zip(self.stages, self.runs, strict=True):
            if isinstance(run, LayerPass):
                found.append(getattr(run, name))
            else:
                found += [run.kept(i)[name] for i in range(stage.stop - stage.first)]
        return found

    @property
    def outputs(self) -> list[np.ndarray]:
        """The input, then the output of every layer."""
        return [self.input, *self._kept("y")]  # type: ignore[list-item]

    @property
    def saved(self) -> list[Any]:
        """What every layer saved, or would have saved."""
        return [self.saved_by(layer) for layer in range(self.stages[-1].stop if self.stages else 0)]

    def saved_by(self, layer: int) -> Any:
        """What layer number ``layer`` saved, or would have saved."""
        stage, run = next((s, r) for s, r in zip(self.stages, self.runs, strict=True) if layer < s.stop)
        if isinstance(run, LayerPass):
            return run.saved
        return self.layers[layer].unpack(run.kept(layer - stage.first))

    @property
    def deltas(self) -> list[np.ndarray | None]:
        """After the way back: the gradient before each layer's activation, None for layers that were not visited."""
        return self._kept("delta") if self._deltas is None else self._deltas

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy keeps the arrays, not the programs that filled them.
        return _restored, (self.outputs, self.saved, self.deltas)


def _restored(outputs: list[np.ndarray], saved: list[Any], deltas: list[np.ndarray | None]) -> Passed:
    """Build a ``Passed`` whose layers all ran by themselves."""
    passed = Passed([], [Stage(i, i + 1, None) for i in range(len(saved))], -1, outputs[0])
    for x, y, kept in zip(outputs, outputs[1:], saved, strict=False):
        passed.runs.append(LayerPass(x, y, kept))
    passed.output, passed._deltas = outputs[-1], deltas
    return passed


class Sequential(Layer):
    """Layers one after the other.

    Parameters
    ----------
    layers : iterable of Layer

    Notes
    -----
    Neighbouring layers that describe themselves as nodes (``Layer.node``) run as one program, with the same kernels in
    the same order as if each ran by itself: the results are the same bits.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Dense, Sequential
    >>> chain = Sequential([Dense(4, 8, rng=0), Dense(8, 2, "linear", rng=1)])
    >>> y, passed = chain.forward(np.ones((3, 4)))
    >>> chain.backward(np.ones_like(y), passed).shape
    (3, 4)
    """

    type = "sequential"

    def __init__(self, layers: Iterable[Layer] = (), *, dtype: Any = "float64", rng: Any = None) -> None:
        super().__init__(dtype=dtype)
        self.layers = list(layers)
        #: By mode, what the layers make up: (changes, layers, stages).
        self._plans: dict[Any, tuple[int, list[Layer], list[Stage]]] = {}
        for index, layer in enumerate(self.layers):
            self._adopt(index, layer)

    def __deepcopy__(self, memo: dict[int, Any]) -> Sequential:
        return Sequential([copy.deepcopy(layer) for layer in self.layers], dtype=self.dtype)

    def append(self, layer: Layer) -> None:
        """Add ``layer`` at the end."""
        self._adopt(len(self.layers), layer)
        self.layers.append(layer)

    def _adopt(self, index: int, layer: Layer) -> None:
        self.parameters.update({f"{index}.{name}": parameter for name, parameter in layer.parameters.items()})

    @property
    def name(self) -> str:
        """See Layer."""
        return f"Sequential({len(self.layers)} layers)"

    @property
    def takes_images(self) -> bool | None:  # type: ignore[override]
        """See Layer; the first layer that cares decides."""
        return next((layer.takes_images for layer in self.layers if layer.takes_images is not None), None)

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def _plan(self, mode: Mode) -> tuple[int, list[Layer], list[Stage]]:
        """The count of changes, the layers, and what they make up in this mode, planned again after every change."""
        key = mode.training if mode.dropout_rate is None else mode.dropout_rate
        known = self._plans.get(key)
        if known is None or known[0] != CHANGES.count or known[1] != self.layers:
            known = CHANGES.count, list(self.layers), plan(self.layers, mode, self.dtype)
            # Replaced as a whole, for threads that read it meanwhile; small, whatever dropout rates are asked for.
            self._plans = {**(self._plans if len(self._plans) < 8 else {}), key: known}
        return known

    def act(self, x: Any) -> np.ndarray | None:
        """Return the output in inference mode if the layers are one program and ``x`` is what it takes, else None.

        That is a vector or matrix of finite numbers in the layers' dtype; everything is checked in the one call.
        """
        stages = self._plan(INFERENCE_ALONE)[2]
        if len(stages) == 1 and stages[0].program is not None:
            return stages[0].program.act(x)
        return None

    def infer(self, x: np.ndarray) -> np.ndarray:
        """Return the output in inference mode and keep nothing."""
        for stage in self._plan(INFERENCE_ALONE)[2]:
            if stage.program is not None:
                x = stage.program.infer(real("infer", "x", x))
            else:
                x = self.layers[stage.first].forward(x, INFERENCE_ALONE)[0]
        return x

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Passed]:
        """See Layer."""
        changes, layers, stages = self._plan(mode)
        passed = Passed(layers, stages, changes, x)
        for stage in stages:
            run: Pass | LayerPass
            if stage.program is not None:
                run = stage.program.forward(real("forward", "x", x), mode.training, mode.keep_z)
            else:
                run = LayerPass(x, *self.layers[stage.first].forward(x, mode))
            passed.runs.append(run)
            x = run.y
        passed.output = x
        return x, passed

    def backward_delta(
        self, dz: np.ndarray, saved: Passed, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        return self.propagate(dz, saved, params=params, inputs=inputs)

    def propagate(
        self,
        dy: np.ndarray,
        passed: Passed,
        *,
        params: bool = True,
        inputs: bool = False,
        at_pre_activation: bool = False,
        all_deltas: bool = False,
    ) -> np.ndarray | None:
        """Run backward; every layer's delta is then in ``passed.deltas``.

        Parameters
        ----------
        dy : ndarray
            Gradient of the output; of the last pre-activation with ``at_pre_activation``.
        passed : Passed
            From ``forward``.
        params, inputs : bool
            Which gradients are wanted. Layers below the lowest one that has any to compute are not visited.
        at_pre_activation : bool
        all_deltas : bool
            Visit every layer, so that no delta is None.

        Returns
        -------
        dx : ndarray or None
        """
        output = passed.output
        depth = passed.stages[-1].stop if passed.stages else 0
        if depth != len(self.layers) or dy.shape != output.shape or dy.dtype != output.dtype:
            raise ShapeError(f"{self.name}.backward(dy)", f"{output.dtype} {output.shape}", f"{dy.dtype} {dy.shape}")
        lowest = 0 if inputs or all_deltas else self._lowest_trainable()
        if passed.changes != CHANGES.count:  # what a program would do may no longer be what the layers say
            return self._layer_by_layer(dy, passed, params, inputs, at_pre_activation, lowest)
        gradient: Any = dy
        passed._deltas = None
        for stage, run in zip(reversed(passed.stages), reversed(passed.runs), strict=True):
            if stage.stop <= lowest:
                break
            first = max(stage.first, lowest)
            wanted = inputs or first > lowest
            if isinstance(run, LayerPass):
                layer = self.layers[first]
                run.delta = gradient if at_pre_activation else layer.delta(gradient, run.saved)
                gradient = layer.backward_delta(run.delta, run.saved, params=params, inputs=wanted)
            else:
                gradient = run.backward(
                    real("backward", "dy", gradient), at_pre_activation, params, wanted, first - stage.first
                )
            at_pre_activation = False
        return gradient if inputs else None

    def _layer_by_layer(
        self, dy: np.ndarray, passed: Passed, params: bool, inputs: bool, at_pre_activation: bool, lowest: int
    ) -> np.ndarray | None:
        """``propagate`` with every layer's own backward pass."""
        saved = passed.saved
        passed._deltas = [None] * len(self.layers)
        gradient: Any = dy
        for i in range(len(self.layers) - 1, lowest - 1, -1):
            dz = gradient if at_pre_activation else self.layers[i].delta(gradient, saved[i])
            passed._deltas[i], at_pre_activation = dz, False
            gradient = self.layers[i].backward_delta(dz, saved[i], params=params, inputs=inputs or i > lowest)
        return gradient if inputs else None

    def _lowest_trainable(self) -> int:
        trainable = (i for i, layer in enumerate(self.layers) if layer.parameters and not layer.frozen)
        return next(trainable, len(self.layers))


def plan(layers: list[Layer], mode: Mode, dtype: np.dtype) -> list[Stage]:
    """Cut ``layers`` into stages: programs as long as they can be, each from a node on that knows its width."""
    stages: list[Stage] = []
    run: list[Node] = []

    def close(stop: int) -> None:
        if run:
            stages.append(Stage(stop - len(run), stop, Program(run, dtype)))
            run.clear()

    for i, layer in enumerate(layers):
        node = layer.node(mode)
        if node is not None and run and node.n_in in (None, run[-1].n_out):
            run.append(node._replace(n_in=run[-1].n_out, n_out=node.n_out or run[-1].n_out))
            continue
        close(i)
        if node is not None and node.kind == "dense":
            run.append(node)
        else:
            stages.append(Stage(i, i + 1, None))
    close(len(layers))
    return stages
