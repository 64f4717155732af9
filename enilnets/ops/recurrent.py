"""Recurrent layers over (batch, time, features): LSTM, GRU and the plain RNN, with backpropagation through time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import checks
from .._ext import recurrent as _kernels
from ..errors import DataError, DTypeError, ShapeError
from .array import empty, output, real, same_dtype, same_shape

__all__ = [
    "RecurrentSaved",
    "as_lengths",
    "as_reset",
    "gru",
    "gru_backward",
    "lstm",
    "lstm_backward",
    "recurrent",
    "recurrent_backward",
    "rnn",
    "rnn_backward",
]

#: State of a cell: one array (batch, hidden), or two for an LSTM.
State = Any

#: Rows of the weights and numbers in the bias, in multiples of the hidden size.
ROWS = {"lstm": (4, 4), "gru": (3, 4), "tanh": (1, 1), "relu": (1, 1)}


class RecurrentSaved(NamedTuple):
    """What a pass keeps; its arrays have time as their first axis, in the order in which the steps were made.

    Attributes
    ----------
    cell : {"lstm", "gru", "tanh", "relu"}
    xh : ndarray (time, batch, n_in + 1 + hidden)
        The input, a one, and the state times the mask.
    gates : ndarray (time, batch, width)
    hs, cs : ndarray (time + 1, batch, hidden)
        The state before every step, zeroed where it was reset, and after the last; ``cs`` of an LSTM only.
    w, u, mask, lengths, reset, reverse
        As given.
    """

    cell: str
    xh: np.ndarray
    gates: np.ndarray
    hs: np.ndarray
    cs: np.ndarray | None
    w: np.ndarray
    u: np.ndarray
    mask: np.ndarray | None
    lengths: np.ndarray | None
    reset: np.ndarray | None
    reverse: bool

    @property
    def state(self) -> State:
        """The final state, as the forward pass returned it."""
        return self.hs[-1].copy() if self.cs is None else (self.hs[-1].copy(), self.cs[-1].copy())


def as_lengths(where: str, lengths: Any, batch: int, time: int) -> np.ndarray | None:
    """Return the lengths of a batch of sequences as int64, or None if all are ``time``.

    Raises
    ------
    DTypeError
        If they are no integers.
    ShapeError
        If there is not one per sequence.
    DataError
        If one is below 1 or above ``time``.
    """
    if lengths is None:
        return None
    array = np.asarray(lengths)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{where}(lengths)", "integers", f"dtype {array.dtype}")
    same_shape(f"{where}", "lengths", array, (batch,))
    wrong = np.flatnonzero((array < 1) | (array > time))
    if wrong.size:
        i = int(wrong[0])
        way_out = "leave empty sequences out" if array[i] < 1 else "pad the sequences to the longest"
        raise DataError(f"{where}(lengths)", f"1 to {time}, the steps there are", f"{array[i]} at index {i}", way_out)
    return None if (array == time).all() else np.ascontiguousarray(array, np.int64)


def as_reset(where: str, reset: Any, batch: int, time: int) -> np.ndarray | None:
    """Return the mask of the steps before which an episode begins, or None if there is none.

    Raises
    ------
    DTypeError
        If it is not boolean.
    ShapeError
        If it is not (batch, time).
    """
    if reset is None:
        return None
    array = np.asarray(reset)
    if array.dtype != bool:
        raise DTypeError(f"{where}(reset)", "booleans", f"dtype {array.dtype}", "convert it with np.asarray(..., bool)")
    same_shape(where, "reset", array, (batch, time))
    return np.ascontiguousarray(array) if array.any() else None


def _states(
    where: str, name: str, state: State, cell: str, shape: tuple[int, int], dtype: np.dtype
) -> list[np.ndarray]:
    """Return copies of the arrays of a state, zeros for None."""
    count = 2 if cell == "lstm" else 1
    if state is None:
        return [np.zeros(shape, dtype) for _ in range(count)]
    arrays = state if cell == "lstm" else (state,)
    if not isinstance(arrays, (tuple, list)) or len(arrays) != count:
        got = f"{len(arrays)} entries" if isinstance(arrays, (tuple, list)) else type(arrays).__name__
        raise ShapeError(f"{where}({name})", "the pair (h, c)", got)
    made = []
    for part, array in zip(("h", "c"), arrays, strict=False):
        if array is None:
            made.append(np.zeros(shape, dtype))
            continue
        array = real(where, f"{name} {part}", array)
        if array.shape != shape:
            way_out = "the state of another batch, or of a layer of another size, does not fit"
            raise ShapeError(f"{where}({name} {part})", f"shape {shape}", f"shape {array.shape}", way_out)
        same_dtype(where, f"{name} {part}", array, dtype)
        made.append(array.copy())
    return made


def recurrent(
    cell: str,
    x: np.ndarray,
    w: np.ndarray,
    u: np.ndarray,
    b: np.ndarray,
    state: State = None,
    *,
    lengths: Any = None,
    reset: Any = None,
    reverse: bool = False,
    mask: np.ndarray | None = None,
    sequences: bool = True,
    keep: bool = True,
    where: str = "recurrent",
) -> tuple[np.ndarray | None, State, RecurrentSaved | None]:
    """Run one of the cells by its name; see ``lstm``, ``gru`` and ``rnn``, which say what the arrays are.

    Parameters
    ----------
    cell : {"lstm", "gru", "tanh", "relu"}
    where : str
        Who asks, for messages.
    """
    rows, numbers = ROWS[checks.choice(where, "cell", cell, ROWS)]
    x, w, u, b = real(where, "x", x, 3), real(where, "w", w, 2), real(where, "u", u, 2), real(where, "b", b, 1)
    (batch, time, n_in), dtype, hidden = x.shape, x.dtype, u.shape[1]
    if time == 0:
        raise DataError(
            f"{where}(x)", "sequences of at least one step", f"shape {x.shape}", "leave empty sequences out"
        )
    if n_in != w.shape[1]:
        raise ShapeError(f"{where}(x)", f"shape (batch, time, {w.shape[1]})", f"shape {x.shape}")
    shapes = {"w": (rows * hidden, n_in), "u": (rows * hidden, hidden), "b": (numbers * hidden,)}
    arrays = {"w": w, "u": u, "b": b}
    if mask is not None:
        shapes["mask"], arrays["mask"] = (batch, hidden), real(where, "mask", mask, 2)
    for name, array in arrays.items():
        same_shape(where, name, array, shapes[name])
        same_dtype(where, name, array, dtype)
    lengths, reset = as_lengths(where, lengths, batch, time), as_reset(where, reset, batch, time)
    first = _states(where, "state", state, cell, (batch, hidden), dtype)
    hs, cs = empty((time + 1, batch, hidden), dtype), None
    hs[0] = first[0]
    if cell == "lstm":
        cs = empty(hs.shape, dtype)
        cs[0] = first[1]
    gates, xh = empty((time, batch, numbers * hidden), dtype), empty((time, batch, n_in + 1 + hidden), dtype)
    y = empty((batch, time, hidden), dtype) if sequences else None
    _kernels.forward(cell, y, gates, hs, cs, xh, x, w, u, b, arrays.get("mask"), lengths, reset, reverse)
    saved = RecurrentSaved(cell, xh, gates, hs, cs, w, u, arrays.get("mask"), lengths, reset, reverse)
    return y, saved.state, saved if keep else None


def recurrent_backward(
    dh: np.ndarray | None,
    saved: RecurrentSaved,
    dstate: State = None,
    params: bool = True,
    inputs: bool = True,
    *,
    dw: np.ndarray | None = None,
    du: np.ndarray | None = None,
    db: np.ndarray | None = None,
    where: str = "recurrent_backward",
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None, np.ndarray | None, State]:
    """Gradients of ``recurrent``; see ``lstm_backward``."""
    cell, xh, gates, hs, cs, w, u, mask, lengths, reset, reverse = saved
    (time, batch, _), n_in, shape, dtype = gates.shape, w.shape[1], hs.shape[1:], hs.dtype
    if dh is not None:
        dh = real(where, "dh", dh, 3)
        same_shape(where, "dh", dh, (batch, time, shape[1]))
        same_dtype(where, "dh", dh, dtype)
    first = _states(where, "dstate", dstate, cell, shape, dtype)
    dc = first[1] if cell == "lstm" else None
    dgates = empty(gates.shape, dtype)
    _kernels.backward(cell, dgates, first[0], dc, dh, gates, hs, cs, u, mask, lengths, reset, reverse)
    if params:
        dw, du = output(where, dw, w.shape, dtype), output(where, du, u.shape, dtype)
        db = output(where, db, (ROWS[cell][1] * shape[1],), dtype)
    else:
        dw = du = db = None
    dx = empty((batch, time, n_in), dtype) if inputs else None
    if params or inputs:
        _kernels.gradients(cell, dw, du, db, dx, dgates, hs, xh, w, lengths, reverse)
    return dx, dw, du, db, (first[0], dc) if cell == "lstm" else first[0]


def lstm(
    x: np.ndarray,
    w: np.ndarray,
    u: np.ndarray,
    b: np.ndarray,
    state: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    lengths: Any = None,
    reset: Any = None,
    reverse: bool = False,
    mask: np.ndarray | None = None,
    sequences: bool = True,
    keep: bool = True,
) -> tuple[np.ndarray | None, tuple[np.ndarray, np.ndarray], RecurrentSaved | None]:
    """Run a long short-term memory over sequences.

    Parameters
    ----------
    x : ndarray (batch, time, n_in), float32 or float64
    w : ndarray (4 hidden, n_in)
        Weights of the input for the gates i, f, g, o, one after the other.
    u : ndarray (4 hidden, hidden)
        Weights of the state before.
    b : ndarray (4 hidden,)
    state : (h0, c0), optional
        Each (batch, hidden); default: zeros.
    lengths : array_like of int (batch,), optional
        Steps of each sequence, 1 to ``time``. Behind them ``h`` is zero and nothing has a gradient.
    reset : array_like of bool (batch, time), optional
        True where an episode begins: no state crosses the border between the step before and this one, whichever way
        the steps are made. At the first step of a forward run that is the given state.
    reverse : bool, default False
        Make the steps from the end of each sequence to its beginning.
    mask : ndarray (batch, hidden), optional
        Variational dropout: what ``u`` is multiplied with is the state times this, the same at every step.
    sequences : bool, default True
        Whether ``h`` is wanted; otherwise it is None.
    keep : bool, default True
        Whether ``lstm_backward`` may follow; otherwise ``saved`` is None.

    Returns
    -------
    h : ndarray (batch, time, hidden) or None
        At every position of the input, also with ``reverse``.
    state : (h_n, c_n)
        After the last step that each sequence makes.
    saved : RecurrentSaved or None

    Raises
    ------
    ShapeError, DTypeError
        For arrays that do not fit each other.
    DataError
        For sequences without steps, or lengths that the sequences do not have.

    Notes
    -----
    ``i, f, o = sigmoid(W x + U h + b)``, ``g = tanh(W x + U h + b)``, ``c' = f c + i g``, ``h' = o tanh(c')``
    (Hochreiter & Schmidhuber 1997; Gers et al. 2000). The mask is that of Gal & Ghahramani 2016, equation 7.
    """
    options: dict[str, Any] = {
        "lengths": lengths,
        "reset": reset,
        "reverse": reverse,
        "mask": mask,
        "sequences": sequences,
    }
    return recurrent("lstm", x, w, u, b, state, **options, keep=keep, where="lstm")


def lstm_backward(
    dh: np.ndarray | None,
    saved: RecurrentSaved,
    dstate: tuple[np.ndarray, np.ndarray] | None = None,
    params: bool = True,
    inputs: bool = True,
    *,
    dw: np.ndarray | None = None,
    du: np.ndarray | None = None,
    db: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None, np.ndarray | None, tuple[np.ndarray, np.ndarray]]:
    """Gradients of ``lstm``, back through all of time.

    Parameters
    ----------
    dh : ndarray (batch, time, hidden) or None
        Gradient of ``h``; None where there is none.
    saved : RecurrentSaved
    dstate : (dh_n, dc_n), optional
        Gradient of the final state; either may be None.
    params, inputs : bool
        Which gradients are wanted.
    dw, du, db : ndarray, optional
        Where to write them.

    Returns
    -------
    dx, dw, du, db : ndarray or None
    dstate : (dh0, dc0)
        Gradient of the initial state.
    """
    return recurrent_backward(dh, saved, dstate, params, inputs, dw=dw, du=du, db=db, where="lstm_backward")


def gru(
    x: np.ndarray,
    w: np.ndarray,
    u: np.ndarray,
    b: np.ndarray,
    state: np.ndarray | None = None,
    *,
    lengths: Any = None,
    reset: Any = None,
    reverse: bool = False,
    mask: np.ndarray | None = None,
    sequences: bool = True,
    keep: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, RecurrentSaved | None]:
    """Run a gated recurrent unit over sequences; see ``lstm`` for what is not said here.

    Parameters
    ----------
    x : ndarray (batch, time, n_in)
    w : ndarray (3 hidden, n_in)
        For r, z, n.
    u : ndarray (3 hidden, hidden)
    b : ndarray (4 hidden,)
        Of r, z, n, and of the recurrent part of n.
    state : ndarray (batch, hidden), optional
    lengths, reset, reverse, mask, sequences, keep
        See ``lstm``. The mask is for the products with ``u`` alone.

    Returns
    -------
    h : ndarray (batch, time, hidden) or None
    state : ndarray (batch, hidden)
    saved : RecurrentSaved or None

    Notes
    -----
    ``r, z = sigmoid(W x + U h + b)``, ``n = tanh(W x + b_n + r (U h + b_q))``, ``h' = (1 - z) n + z h`` (Cho et al.
    2014, in the form of cuDNN and PyTorch).
    """
    options: dict[str, Any] = {
        "lengths": lengths,
        "reset": reset,
        "reverse": reverse,
        "mask": mask,
        "sequences": sequences,
    }
    return recurrent("gru", x, w, u, b, state, **options, keep=keep, where="gru")


def gru_backward(
    dh: np.ndarray | None,
    saved: RecurrentSaved,
    dstate: np.ndarray | None = None,
    params: bool = True,
    inputs: bool = True,
    *,
    dw: np.ndarray | None = None,
    du: np.ndarray | None = None,
    db: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None, np.ndarray | None, np.ndarray]:
    """Gradients of ``gru``; see ``lstm_backward``. ``dstate`` is one array."""
    return recurrent_backward(dh, saved, dstate, params, inputs, dw=dw, du=du, db=db, where="gru_backward")


def rnn(
    x: np.ndarray,
    w: np.ndarray,
    u: np.ndarray,
    b: np.ndarray,
    state: np.ndarray | None = None,
    *,
    activation: str = "tanh",
    lengths: Any = None,
    reset: Any = None,
    reverse: bool = False,
    mask: np.ndarray | None = None,
    sequences: bool = True,
    keep: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, RecurrentSaved | None]:
    """Run a plain recurrent network over sequences; see ``lstm`` for what is not said here.

    Parameters
    ----------
    x : ndarray (batch, time, n_in)
    w : ndarray (hidden, n_in)
    u : ndarray (hidden, hidden)
    b : ndarray (hidden,)
    state : ndarray (batch, hidden), optional
    activation : {"tanh", "relu"}
    lengths, reset, reverse, mask, sequences, keep
        See ``lstm``.

    Returns
    -------
    h : ndarray (batch, time, hidden) or None
    state : ndarray (batch, hidden)
    saved : RecurrentSaved or None

    Notes
    -----
    ``h' = tanh(W x + U h + b)``, or with ``max(·, 0)`` in place of tanh (Elman 1990).

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> h, state, _ = rnn(np.ones((1, 3, 1)), one, one, np.zeros(1), activation="relu", keep=False)
    >>> h.tolist(), state.tolist()
    ([[[1.0], [2.0], [3.0]]], [[3.0]])
    """
    checks.choice("rnn", "activation", activation, ("tanh", "relu"))
    options: dict[str, Any] = {
        "lengths": lengths,
        "reset": reset,
        "reverse": reverse,
        "mask": mask,
        "sequences": sequences,
    }
    return recurrent(activation, x, w, u, b, state, **options, keep=keep, where="rnn")


def rnn_backward(
    dh: np.ndarray | None,
    saved: RecurrentSaved,
    dstate: np.ndarray | None = None,
    params: bool = True,
    inputs: bool = True,
    *,
    dw: np.ndarray | None = None,
    du: np.ndarray | None = None,
    db: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None, np.ndarray | None, np.ndarray]:
    """Gradients of ``rnn``; see ``lstm_backward``. ``dstate`` is one array."""
    return recurrent_backward(dh, saved, dstate, params, inputs, dw=dw, du=du, db=db, where="rnn_backward")
