"""What the recurrent layers have in common: layers on top of each other, two directions, states, dropout."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import checks
from ..errors import DTypeError, ShapeError, StateError
from ..init import INITIALIZERS, init_weights
from ..ops.array import empty, same_shape
from ..ops.dropout import dropout, dropout_backward
from ..ops.recurrent import ROWS, RecurrentSaved, State, as_lengths, as_reset, recurrent, recurrent_backward
from ..parameters import Parameter
from .base import INFERENCE, Layer, Mode, Shape

__all__ = ["Recurrent"]

#: More layers than anyone stacks; a forged file cannot ask for more.
MOST_LAYERS = 1000


class Saved(NamedTuple):
    """What a pass saves.

    Attributes
    ----------
    passes : list of RecurrentSaved or None
        Of layer 0 forward, layer 0 backward, layer 1 forward, ...
    states : list of states
        Final ones, in the same order.
    masks : list of ((ndarray, float) or None)
        What the dropout before each layer kept, and its rate.
    shape : tuple
        Of the input.
    """

    passes: list[RecurrentSaved | None]
    states: list[State]
    masks: list[tuple[np.ndarray, float] | None]
    shape: Shape


class Recurrent(Layer):
    """What the recurrent layers have in common.

    A subclass gives ``cell``, a key of ``ops.recurrent.ROWS``.

    Parameters
    ----------
    n_in : int >= 1
        Features of the input.
    hidden_size : int >= 1
        Width of the state.
    num_layers : int >= 1, default 1
        Layers on top of each other, each of which reads the outputs of the one below.
    bidirectional : bool, default False
        Run a second layer from the end of each sequence to its beginning, and join the two along the features.
    return_sequences : bool, default False
        Return the output of every step, (batch, time, features), instead of that of the last, (batch, features). The
        last step of the second direction is the first of the sequence.
    dropout : float in [0, 1), default 0.0
        Share of the outputs between layers that is dropped in training, for every step anew.
    recurrent_dropout : float in [0, 1), default 0.0
        Share of the state that is dropped in training where it is multiplied with the recurrent weights: the same units
        at every step of a sequence. The state itself, what it remembers, is not touched.
    init_method : str, default "xavier_uniform"
        A key of ``init.INITIALIZERS``, for the weights of the input, gate by gate. The recurrent weights of every gate
        begin orthogonal (Saxe et al. 2014), or as zeros with "zeros".
    dtype, rng
        See NeuralNet.
    """

    settings: ClassVar[tuple[str, ...]] = (
        "n_in",
        "hidden_size",
        "num_layers",
        "bidirectional",
        "return_sequences",
        "dropout",
        "recurrent_dropout",
        "init_method",
    )
    adjustable = ("dropout", "recurrent_dropout")
    takes_images = False
    carries_state = True
    cell: str

    def __init__(
        self,
        n_in: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        return_sequences: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        init_method: str = "xavier_uniform",
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        where = type(self).__name__
        self.n_in = checks.size(where, "n_in", n_in)
        self.hidden_size = checks.size(where, "hidden_size", hidden_size)
        self.num_layers = checks.integer(where, "num_layers", num_layers, 1, MOST_LAYERS)
        self.bidirectional = checks.flag(where, "bidirectional", bidirectional)
        self.return_sequences = checks.flag(where, "return_sequences", return_sequences)
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.init_method = checks.choice(where, "init_method", init_method, INITIALIZERS)
        rng = checks.generator(where, rng)
        for name, shape in self.shapes(self.config()).items():
            self.parameters[name] = Parameter(self.first_values(name, shape, rng), penalised=len(shape) == 2)

    def first_values(self, name: str, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Draw the parameter ``name`` gate by gate."""
        values = np.zeros(shape, self.dtype)
        if len(shape) == 2:
            zeros = self.init_method == "zeros"
            method = self.init_method if not name.startswith("recurrent") or zeros else "orthogonal"
            n = self.hidden_size
            for gate in values.reshape(-1, n, shape[1]):
                gate[...] = init_weights(shape[1], n, method, dtype=self.dtype, rng=rng)[0]
        return values

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer. Layers after the first have their number in the names, second directions "_reverse"."""
        n, directions = config["hidden_size"], 1 + config["bidirectional"]
        layers = checks.integer(cls.__name__, "num_layers", config["num_layers"], 1, MOST_LAYERS)
        rows, numbers = ROWS[cls.cell_of(config)]
        shapes: dict[str, Shape] = {}
        for layer in range(layers):
            width = directions * n if layer else config["n_in"]
            for suffix in ("", "_reverse")[:directions]:
                end = f"{f'_{layer}' if layer else ''}{suffix}"
                shapes[f"weights{end}"] = (rows * n, width)
                shapes[f"recurrent_weights{end}"] = (rows * n, n)
                shapes[f"bias{end}"] = (numbers * n,)
        return shapes

    @classmethod
    def cell_of(cls, config: dict[str, Any]) -> str:
        """The cell that a layer with these settings has."""
        return cls.cell

    @property
    def dropout(self) -> float:
        """Share of the outputs between layers that is dropped."""
        return self._dropout

    @dropout.setter
    def dropout(self, rate: float) -> None:
        self._dropout = checks.fraction(type(self).__name__, "dropout", rate, one=False)

    @property
    def recurrent_dropout(self) -> float:
        """Share of the state that is dropped where the recurrent weights read it."""
        return self._recurrent_dropout

    @recurrent_dropout.setter
    def recurrent_dropout(self, rate: float) -> None:
        self._recurrent_dropout = checks.fraction(type(self).__name__, "recurrent_dropout", rate, one=False)

    @property
    def directions(self) -> int:
        """1, or 2 if the layer runs both ways."""
        return 1 + self.bidirectional

    @property
    def name(self) -> str:
        """See Layer."""
        return f"{type(self).__name__}({self.n_in} -> {self.hidden_size})"

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 2 or shape[1] != self.n_in or shape[0] < 1:
            way_out = "return_sequences=True keeps the steps of a recurrent layer before" if len(shape) == 1 else ""
            raise self.shape_error(f"(batch, time, {self.n_in}) with at least one step", shape, way_out)
        width = self.directions * self.hidden_size
        return (shape[0], width) if self.return_sequences else (width,)

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.directions * self.hidden_size

    def describe(self) -> str:
        """See Layer."""
        kind = f"{self.num_layers} x {'both ways' if self.bidirectional else 'forward'}"
        return f"Input: {self.n_in:6d} Hidden: {self.hidden_size:6d} ({kind}) Params: {self.n_parameters}"

    # One direction of one layer after the other

    def _runs(self) -> list[tuple[int, bool, str]]:
        """Layer, direction and the end of the parameters' names, in the order of the states."""
        return [
            (layer, backwards, f"{f'_{layer}' if layer else ''}{'_reverse' if backwards else ''}")
            for layer in range(self.num_layers)
            for backwards in (False, True)[: self.directions]
        ]

    def _key(self, mode: Mode) -> int:
        if mode.rng is None:
            way_out = "pass Mode(True, rng)"
            raise StateError(f"{self.name}.forward(mode)", "a random generator for dropout", "none", way_out)
        return int(mode.rng.integers(2**64, dtype=np.uint64))

    def forward(
        self, x: np.ndarray, mode: Mode = INFERENCE, *, state: State = None, lengths: Any = None, reset: Any = None
    ) -> tuple[np.ndarray, Saved]:
        """Return the outputs and what ``backward`` needs.

        Parameters
        ----------
        x : ndarray (batch, time, n_in)
        mode : Mode
            ``lengths``, ``reset`` and ``states`` in it count where the arguments below are not given.
        state : ndarray (num_layers * directions, batch, hidden_size), or a pair of them for an LSTM, optional
            The state to begin with, as ``final_state`` gives it; default: zeros.
        lengths : array_like of int (batch,), optional
            Steps of each sequence. What comes after is padding: its outputs are zero, it has no gradient, the final
            state is the one at the end, and the second direction begins there.
        reset : array_like of bool (batch, time), optional
            True where an episode begins: no state, and no gradient, crosses the border before that step.

        Returns
        -------
        y : ndarray (batch, time, directions * hidden_size), or (batch, directions * hidden_size)
        saved : Saved
        """
        self.output_shape(x.shape[1:])
        batch, time, _ = x.shape
        lengths = as_lengths(self.name, mode.lengths if lengths is None else lengths, batch, time)
        reset = as_reset(self.name, mode.reset if reset is None else reset, batch, time)
        first = self._split(mode.states.get(self) if state is None and mode.states else state, "state", batch)
        saved = Saved([], [], [], x.shape)
        outputs: list[Any] = []
        for number, (layer, backwards, end) in enumerate(self._runs()):
            if not backwards:
                x = self._below(x, outputs, mode, saved)
                outputs = []
            mask = None
            if mode.training and self.recurrent_dropout:
                ones = np.ones((batch, self.hidden_size), self.dtype)
                mask = dropout(ones, self.recurrent_dropout, self._key(mode))[0]
            w, u, b = (self.parameters[name + end].value for name in ("weights", "recurrent_weights", "bias"))
            y, final, kept = recurrent(
                self.cell,
                x,
                w,
                u,
                b,
                first[number],
                lengths=lengths,
                reset=reset,
                reverse=backwards,
                mask=mask,
                sequences=self.return_sequences or layer < self.num_layers - 1,
                keep=mode.backward,
                where=self.name,
            )
            saved.passes.append(kept)
            saved.states.append(final)
            outputs.append((final[0] if self.cell == "lstm" else final) if y is None else y)
        return joined(outputs), saved

    def _below(self, x: np.ndarray, outputs: list[np.ndarray], mode: Mode, saved: Saved) -> np.ndarray:
        """What the next layer reads: the input, or the outputs of the layer below after dropout."""
        if not outputs:
            saved.masks.append(None)
            return x
        x = joined(outputs)
        if not (mode.training and self.dropout):
            saved.masks.append(None)
            return x
        x, mask = dropout(x, self.dropout, self._key(mode))
        saved.masks.append((mask, self.dropout))
        return x

    def backward_delta(
        self, dz: np.ndarray, saved: Saved, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        return self.backward_with_state(dz, saved, params=params, inputs=inputs)[0]

    def backward_with_state(
        self, dy: np.ndarray | None, saved: Saved, dstate: State = None, *, params: bool = True, inputs: bool = True
    ) -> tuple[np.ndarray | None, State]:
        """Go back through time, also from the final state and to the first.

        Parameters
        ----------
        dy : ndarray or None
            Gradient of the output, if it has one.
        saved : Saved
        dstate : like ``final_state``, optional
            Gradient of the final state.
        params, inputs : bool

        Returns
        -------
        dx : ndarray or None
        dstate : like ``final_state``
            Gradient of the first state.
        """
        n, batch = self.hidden_size, saved.shape[0]
        ends, starts = self._split(dstate, "dstate", batch), [None] * len(saved.passes)
        params = params and not self.frozen
        if dy is not None:
            same_shape(f"{self.name}.backward", "dy", dy, (batch, *self.output_shape(saved.shape[1:])))
        gradient: Any = dy
        below: list[Any] = []
        for number, (layer, backwards, end) in reversed(list(enumerate(self._runs()))):
            kept = saved.passes[number]
            if kept is None:
                got = "a pass of inference alone, which kept nothing"
                raise StateError(f"{self.name}.backward(saved)", "a pass to go back through", got, "use mode.backward")
            column = n if backwards else 0
            part = None if gradient is None else gradient[..., column : column + n]
            last = ends[number]
            if part is not None and part.ndim == 2:  # of the last step alone: that is of its state
                last, part = with_output_gradient(last, part, self.cell == "lstm"), None
            names = [name + end for name in ("weights", "recurrent_weights", "bias")]
            rooms = dict(zip(("dw", "du", "db"), map(self.room, names), strict=True)) if params else {}
            dx, *gradients, start = recurrent_backward(
                part, kept, last, params, inputs or layer > 0, **rooms, where=self.name
            )
            self.accumulate(**dict(zip(names, gradients, strict=True)))
            starts[number] = start
            below.append(dx)
            if not backwards:
                gradient = below[0] if len(below) == 1 or below[0] is None else below[0] + below[1]
                mask, below = saved.masks[layer], []
                if mask is not None:
                    gradient = dropout_backward(gradient, *mask)
        return gradient, self._join(starts)

    # The state: one array (layers * directions, batch, hidden), or two

    def final_state(self, saved: Saved) -> State:
        """Return the state after the last step of a pass, from what its ``forward`` saved.

        Returns
        -------
        ndarray (num_layers * directions, batch, hidden_size), or (h, c), a pair of them, for an LSTM
            Layer 0 forward, layer 0 backward, layer 1 forward, ... An array of its own. To go on where these sequences
            ended pass it as ``state=``: gradients stop there, which is truncated backpropagation through time.
        """
        return self._join(saved.states)

    def _join(self, states: list[Any]) -> State:
        if self.cell == "lstm":
            return np.stack([h for h, _ in states]), np.stack([c for _, c in states])
        return np.stack(states)

    def _split(self, state: State, name: str, batch: int) -> list[Any]:
        """The states of all runs from what ``final_state`` returns, or None for each."""
        count = self.num_layers * self.directions
        if state is None:
            return [None] * count
        where, shape, pair = f"{self.name}({name})", (count, batch, self.hidden_size), self.cell == "lstm"
        if pair and (not isinstance(state, (tuple, list)) or len(state) != 2):
            raise ShapeError(where, f"a pair (h, c) of shape {shape} each", type(state).__name__)
        arrays = list(state) if pair else [state]
        for i, array in enumerate(arrays):
            array = arrays[i] = np.asarray(array)
            if array.shape != shape:
                raise ShapeError(where, f"shape {shape}", f"shape {array.shape}", "pass what final_state returned")
            if array.dtype != self.dtype:
                raise DTypeError(where, f"dtype {self.dtype}", f"dtype {array.dtype}", f"use .astype({self.dtype})")
        return list(zip(*arrays, strict=True)) if pair else list(arrays[0])


def joined(outputs: list[np.ndarray]) -> np.ndarray:
    """The outputs of all directions next to each other."""
    if len(outputs) == 1:
        return outputs[0]
    shape = (*outputs[0].shape[:-1], sum(y.shape[-1] for y in outputs))
    return np.concatenate(outputs, axis=-1, out=empty(shape, outputs[0].dtype))


def with_output_gradient(dstate: State, dy: np.ndarray, pair: bool) -> State:
    """Gradient of the final state with that of the output, which is its h."""
    dh, dc = dstate if pair and dstate is not None else (dstate, None)
    dh = dy if dh is None else dh + dy
    return (dh, dc) if pair else dh
