"""A chain of layers, itself a layer. Runs of layers that can describe themselves as nodes become programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..errors import ShapeError, StateError
from ..ops.array import real
from ..ops.chain import Pass, Program
from ..parameters import CHANGES
from .base import INFERENCE, Activated, Layer, Mode, Node, Shape
from .container import Container

__all__ = ["Passed", "Sequential"]

#: For inference after which nobody goes backward.
INFERENCE_ALONE = Mode(backward=False)


class Stage(NamedTuple):
    """Layers ``first`` to ``stop`` of a chain: those of a program, one that runs by itself, or one with the Activation
    layer behind it."""

    first: int
    stop: int
    program: Program | None
    flat: bool = False  # the program takes (batch, features) alone

    def taking(self, x: np.ndarray) -> tuple[Stage, ...]:
        """This stage, or its layers one by one where its program would take the features of ``x`` for channels."""
        if x.ndim == 2 or not self.flat:
            return (self,)
        return tuple(Stage(i, i + 1, None) for i in range(self.first, self.stop))


class LayerPass:
    """One run of a layer by itself: input, output, what the layer saved, and its delta after the way back.

    Of a layer that ran together with the Activation behind it, ``y`` is the output of both.
    """

    __slots__ = ("delta", "saved", "x", "y")

    def __init__(self, x: np.ndarray, y: np.ndarray, saved: Any) -> None:
        self.x, self.y, self.saved = x, y, saved
        self.delta: np.ndarray | None = None


class Passed:
    """What one forward pass through a chain leaves behind, layer by layer as lists that are made when they are read.

    Without ``keep_z``, entries are None that would lie between two layers that ran as one.

    Attributes
    ----------
    input, output : ndarray
    """

    __slots__ = ("_deltas", "changes", "input", "layers", "output", "runs", "stages")

    def __init__(self, layers: list[Layer], stages: list[Stage], changes: int, x: np.ndarray) -> None:
        self.layers, self.stages, self.changes = layers, stages, changes
        self.input = self.output = x
        self.runs: list[Pass | LayerPass] = []
        self._deltas: dict[int, np.ndarray | None] = {}

    def _kept(self, name: str) -> list[np.ndarray | None]:
        """What every layer kept under ``name``: "y" or "delta"."""
        found: list[np.ndarray | None] = []
        for stage, run in zip(self.stages, self.runs, strict=True):
            if isinstance(run, LayerPass):
                found += [None] * (stage.stop - stage.first - 1) + [getattr(run, name)]
            else:
                found += [run.kept(i)[name] for i in range(stage.stop - stage.first)]
        return found

    @property
    def outputs(self) -> list[np.ndarray | None]:
        """The input, then the output of every layer."""
        return [self.input, *self._kept("y")]

    @property
    def saved(self) -> list[Any]:
        """What every layer saved, or would have saved."""
        return [self.saved_by(layer) for layer in range(self.stages[-1].stop if self.stages else 0)]

    @property
    def last(self) -> Any:
        """What the last layer saved, or would have saved."""
        return self.saved_by(len(self.layers) - 1)

    def saved_by(self, layer: int) -> Any:
        """What layer number ``layer`` saved, or would have saved."""
        stage, run = next((s, r) for s, r in zip(self.stages, self.runs, strict=True) if layer < s.stop)
        if isinstance(run, LayerPass):
            if stage.stop - stage.first == 1:
                return run.saved
            return self.layers[stage.first].divide(run.saved)[layer - stage.first]
        return self.layers[layer].unpack(run.kept(layer - stage.first))

    @property
    def deltas(self) -> list[np.ndarray | None]:
        """After the way back: the gradient before each layer's activation, None for layers that were not visited."""
        return [self._deltas.get(i, delta) for i, delta in enumerate(self._kept("delta"))]

    def ends_in_relu(self, stage: int) -> bool:
        """Whether a stage, of one layer alone, ended in a ReLU."""
        if stage < 0 or self.stages[stage].stop - self.stages[stage].first > 1:
            return False
        saved = getattr(self.runs[stage], "saved", None)
        return isinstance(saved, Activated) and saved.name == "relu"

    def put_delta(self, layer: int, delta: np.ndarray) -> None:
        """Note the delta of a layer whose program did not go back."""
        self._deltas[layer] = delta

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy keeps the arrays, not the programs that filled them.
        outputs, deltas = self.outputs, self.deltas
        parts: list[tuple[int, int, Any]] = []
        for stage, run in zip(self.stages, self.runs, strict=True):
            if isinstance(run, LayerPass):
                parts.append((stage.first, stage.stop, run.saved))
            else:
                parts += [(i, i + 1, self.saved_by(i)) for i in range(stage.first, stage.stop)]
        return _restored, (list(self.layers), parts, outputs, deltas)


def _restored(
    layers: list[Layer], parts: list[tuple[int, int, Any]], outputs: list[Any], deltas: list[np.ndarray | None]
) -> Passed:
    """Build a ``Passed`` without programs."""
    passed = Passed(layers, [Stage(first, stop, None) for first, stop, _ in parts], -1, outputs[0])
    for first, stop, saved in parts:
        passed.runs.append(LayerPass(outputs[first], outputs[stop], saved))
    passed.output, passed._deltas = outputs[-1], dict(enumerate(deltas))
    return passed


class Sequential(Container):
    """Layers one after the other.

    Parameters
    ----------
    layers : iterable of Layer
        Without any, the output is the input.
    dtype : {"float64", "float32"}, optional
        Default: that of the layers.

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
    settings = ("layers",)
    nested = ("layers",)

    def __init__(self, layers: Iterable[Layer] = (), *, dtype: Any = None, rng: Any = None) -> None:
        self.layers = list(layers)
        #: By mode, what the layers make up: (changes, layers, stages).
        self._plans: dict[Any, tuple[int, list[Layer], list[Stage]]] = {}
        super().__init__({str(i): layer for i, layer in enumerate(self.layers)}, dtype)

    def append(self, layer: Layer) -> None:
        """Add ``layer`` at the end. A chain inside of a network is fixed."""
        mine, its = (next(iter(part.parameters.values()), None) for part in (self, layer))
        if mine is not None and its is not None and mine.arena is not its.arena:
            way_out = "append before the chain is added, or add(layer) to the network"
            raise StateError("Sequential.append(layer)", "a chain of its own", "one in a network", way_out)
        self._adopt(str(len(self.layers)), layer)
        self.layers.append(layer)

    @property
    def name(self) -> str:
        """See Layer."""
        return f"Sequential({len(self.layers)} layers)"

    @property
    def head(self) -> str:
        """See Layer; that of the last layer."""
        return self.layers[-1].head if self.layers else "linear"

    def through(self, shape: Shape) -> Shape:
        """See Container."""
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def output_width(self, width: int | None) -> int | None:
        """See Layer."""
        for layer in self.layers:
            width = layer.output_width(width)
        return width

    def _plan(self, mode: Mode) -> tuple[int, list[Layer], list[Stage]]:
        """The count of changes, the layers, and what they make up in this mode, planned again after every change."""
        key = mode.training if mode.dropout_rate is None else mode.dropout_rate, mode.keep_z
        known = self._plans.get(key)
        if known is None or known[0] != CHANGES.count or known[1] != self.layers:
            if self.layers != list(self.children.values()):
                raise StateError("Sequential.layers", "the layers that were added", "others", "use append(layer)")
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

    def infer(self, x: np.ndarray, mode: Mode = INFERENCE_ALONE) -> np.ndarray:
        """Return the output in an inference ``mode`` and keep nothing."""
        for planned in self._plan(mode)[2]:
            for stage in planned.taking(x):
                if stage.program is not None:
                    x = stage.program.infer(real("infer", "x", x))
                else:
                    x = self._run(stage, x, mode)[0]
        return x

    def _run(self, stage: Stage, x: np.ndarray, mode: Mode) -> tuple[np.ndarray, Any]:
        """Run the layer of a stage that is no program, with the Activation behind it if that belongs to the stage."""
        layer: Any = self.layers[stage.first]
        if stage.stop - stage.first == 1:
            return layer.forward(x, mode)
        return layer.forward_with_activation(x, self.layers[stage.first + 1].head, mode)

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Passed]:
        """See Layer."""
        if not mode.backward:
            return self.infer(x, mode._replace(training=False, keep_z=False)), Passed([], [], -1, x)
        changes, layers, stages = self._plan(mode)
        passed = Passed(layers, [], changes, x)
        for planned in stages:
            for stage in planned.taking(x):
                run: Pass | LayerPass
                if stage.program is not None:
                    run = stage.program.forward(real("forward", "x", x), mode.training, mode.keep_z)
                else:
                    run = LayerPass(x, *self._run(stage, x, mode))
                passed.stages.append(stage)
                passed.runs.append(run)
                x = run.y
        passed.output = x
        return x, passed

    def saved_of(self, name: str, saved: Passed) -> Any:
        """See Container."""
        return saved.saved_by(int(name))

    def pre_activation(self, saved: Passed) -> np.ndarray | None:
        """See Layer; that of the last layer."""
        return saved.layers[-1].pre_activation(saved.last) if saved.layers else None

    def delta(self, dy: np.ndarray, saved: Passed) -> np.ndarray:
        """See Layer; that of the last layer."""
        return saved.layers[-1].delta(dy, saved.last) if saved.layers else dy

    def backward_delta(
        self, dz: np.ndarray, saved: Passed, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        return self.propagate(dz, saved, params=params, inputs=inputs, at_pre_activation=True)

    def backward(self, dy: np.ndarray, saved: Passed, *, params: bool = True, inputs: bool = True) -> np.ndarray | None:
        """See Layer; in one go, with the last activation in its program."""
        return self.propagate(dy, saved, params=params, inputs=inputs)

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
        gradient: Any = dy
        for number, (stage, run) in reversed(list(enumerate(zip(passed.stages, passed.runs, strict=True)))):
            if stage.stop <= lowest:
                break
            first = max(stage.first, lowest)
            wanted = inputs or first > lowest
            if isinstance(run, LayerPass):
                layer: Any = self.layers[stage.first]
                saved, together = run.saved, stage.stop - stage.first > 1
                if at_pre_activation and together:
                    saved = layer.divide(saved)[0]
                dz = gradient if at_pre_activation else layer.delta(gradient, saved)
                run.delta = None if together else dz  # of two layers, neither's delta came to exist
                if wanted and layer.undoes_relu and passed.ends_in_relu(number - 1):
                    gradient = layer.backward_delta(dz, saved, params=params, relu=True)
                    at_pre_activation = True
                    continue
                gradient = layer.backward_delta(dz, saved, params=params, inputs=wanted)
            elif passed.changes == CHANGES.count:
                gradient = run.backward(
                    real("backward", "dy", gradient), at_pre_activation, params, wanted, first - stage.first
                )
            else:  # what the program would do may no longer be what the layers say
                for i in range(stage.stop - 1, first - 1, -1):
                    layer, saved = self.layers[i], passed.saved_by(i)
                    dz = gradient if at_pre_activation else layer.delta(gradient, saved)
                    gradient = layer.backward_delta(dz, saved, params=params, inputs=inputs or i > lowest)
                    passed.put_delta(i, dz)
                    at_pre_activation = False
            at_pre_activation = False
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
            flat = any(node.kind == "batchnorm" for node in run)
            stages.append(Stage(stop - len(run), stop, Program(run, dtype), flat))
            run.clear()

    for i, layer in enumerate(layers):
        node = layer.node(mode)
        if node is not None and run and node.n_in in (None, run[-1].n_out):
            run.append(node._replace(n_in=run[-1].n_out, n_out=node.n_out or run[-1].n_out))
            continue
        close(i)
        if node is not None and node.kind == "dense":
            run.append(node)
        elif stages and joins(layers[i - 1], layer, stages[-1], mode):
            stages[-1] = Stage(i - 1, i + 1, None)
        else:
            stages.append(Stage(i, i + 1, None))
    close(len(layers))
    return stages


def joins(before: Layer, layer: Layer, stage: Stage, mode: Mode) -> bool:
    """Whether ``before``, the only layer of ``stage``, does the work of ``layer`` on the way in this mode."""
    alone = stage.program is None and stage.stop - stage.first == 1
    return (
        alone
        and before.takes_activation
        and layer.node(mode) is not None  # not under parameters of its own
        and layer.type == "activation"
        and layer.head != "softmax"
        and not mode.keep_z
    )
