"""Parameters and the arena: all trainable numbers of a model in one flat vector.

Every Parameter is a pair of views into its Arena, one on the values and one on the gradients. One optimizer step is
then one pass over one vector, and so are the gradient norm, copying, averaging and blending.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .errors import NonFiniteError, ShapeError
from .ops.gather import add_by_row
from .ops.optim import find_non_finite, squared_norm

__all__ = ["CHANGES", "Arena", "Parameter", "Table"]


class Changes:
    """Counts what makes programs stale: arrays that move, parameters that freeze, settings of layers that change.

    Such changes are rare, so one count serves all models: who derived something compares it and derives again.
    """

    count: int = 0


CHANGES = Changes()

#: Every parameter begins at a multiple of this many bytes, the width of a cache line and of the widest register.
ALIGNMENT = 64


def aligned_zeros(size: int, dtype: np.dtype) -> np.ndarray:
    """Return a zero vector that begins at a multiple of ALIGNMENT."""
    raw = np.zeros(size * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size * dtype.itemsize].view(dtype)


class Parameter:
    """One trainable array of a layer.

    Parameters
    ----------
    value : ndarray
        Initial values; the parameter keeps a copy until an arena takes it over.
    penalised : bool, default False
        Whether the L2 penalty applies (weights: yes; biases and normalisation: no).

    Attributes
    ----------
    value, grad : ndarray
        Values and gradients; views into the arena once there is one.
    fresh : bool
        Whether ``grad`` holds the gradient of the running step. A stale gradient counts as zero and is overwritten by
        the next backward pass, so it never has to be cleared.
    """

    __slots__ = ("_changes", "_frozen", "arena", "fresh", "grad", "penalised", "start", "value")

    def __init__(self, value: np.ndarray, penalised: bool = False) -> None:
        self.value = np.array(value, order="C")
        self.grad = np.zeros_like(self.value)
        self.penalised = penalised
        self.fresh = False
        self.arena: Arena | None = None
        self.start = 0
        self._frozen = False
        self._changes = 0

    @property
    def frozen(self) -> bool:
        """Whether optimizers leave this parameter alone."""
        return self._frozen

    @frozen.setter
    def frozen(self, frozen: bool) -> None:
        self._frozen = frozen
        CHANGES.count += 1
        if self.arena is not None:
            self.arena.forget_spans()

    @property
    def version(self) -> int:
        """Counts the changes of ``value`` by steps and assignments; writing to a view by hand goes unnoticed."""
        return self._changes if self.arena is None else self._changes + self.arena.version

    def changed(self) -> None:
        """Count a change of ``value``."""
        self._changes += 1

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.value.size

    def __reduce__(self) -> tuple[Any, ...]:
        # The views into an arena would bring the whole arena along; a copy stands on its own.
        return _rebuild_parameter, (type(self), self.value, self.penalised, self.frozen)

    def room(self) -> np.ndarray | None:
        """Where a backward pass may write this gradient directly: ``grad`` while it is stale, else None."""
        return None if self.fresh else self.grad

    def accumulate(self, gradient: np.ndarray) -> None:
        """Add ``gradient`` (same shape) to ``grad``; a stale ``grad`` is replaced."""
        if gradient is not self.grad:
            if gradient.shape != self.grad.shape:
                raise ShapeError(
                    "Parameter.accumulate(gradient)", f"shape {self.grad.shape}", f"shape {gradient.shape}"
                )
            if self.fresh:
                self.grad += gradient
            else:
                self.grad[...] = gradient
        self.fresh = True

    def adopt_gradient(self, other: Parameter) -> None:
        """Take over the gradient of ``other``, a parameter of the same kind and shape; nothing if it is stale."""
        if other.fresh:
            self.accumulate(other.grad)

    def clear(self) -> None:
        """Make the gradient zero, and fresh."""
        self.grad[...] = 0
        self.fresh = True

    def scale(self, factor: float) -> None:
        """Multiply the gradient by ``factor``."""
        self.grad *= self.grad.dtype.type(factor)

    def clip(self, limit: float) -> None:
        """Move every number of the gradient into [-limit, limit]."""
        np.clip(self.grad, -limit, limit, out=self.grad)


class Table(Parameter):
    """A parameter (rows, width) of which a step sees a few rows; the others do not move, whatever the optimizer.

    Attributes
    ----------
    rows : ndarray of int64
        The rows that the gradient of the running step belongs to, ascending. All other rows of ``grad`` are zero, so
        nothing ever has to pass over the whole table.
    """

    __slots__ = ("rows",)

    def __init__(self, value: np.ndarray, penalised: bool = False) -> None:
        super().__init__(value, penalised)
        self.rows = np.empty(0, np.int64)

    def room(self) -> np.ndarray | None:
        """See Parameter; what is written directly would not say to which rows."""
        return None

    def accumulate(self, gradient: np.ndarray) -> None:
        """See Parameter; the rows that are not all zero count as seen."""
        if gradient.shape != self.grad.shape:
            raise ShapeError("Table.accumulate(gradient)", f"shape {self.grad.shape}", f"shape {gradient.shape}")
        seen = np.flatnonzero(gradient.any(axis=1))
        self.accumulate_rows(gradient[seen], seen)

    def accumulate_rows(self, gradients: np.ndarray, ids: np.ndarray) -> None:
        """Add ``gradients`` (n, width) to the rows ``ids`` (n,) of ``grad``; a stale ``grad`` is replaced.

        Gradients of the same row are added in the order in which they come.
        """
        if not self.fresh:
            self.clear()
        rows = add_by_row(self.grad, gradients, ids, add=len(self.rows) > 0)
        self.rows = np.union1d(self.rows, rows) if len(self.rows) else rows

    def adopt_gradient(self, other: Parameter) -> None:
        """See Parameter."""
        if isinstance(other, Table) and other.fresh:
            self.clear()
            self.accumulate_rows(other.grad[other.rows], other.rows)

    def clear(self) -> None:
        """See Parameter."""
        self.grad[self.rows] = 0
        self.rows = np.empty(0, np.int64)
        self.fresh = True

    def scale(self, factor: float) -> None:
        """See Parameter."""
        self.grad[self.rows] *= self.grad.dtype.type(factor)

    def clip(self, limit: float) -> None:
        """See Parameter."""
        self.grad[self.rows] = np.clip(self.grad[self.rows], -limit, limit)

    def spans(self) -> np.ndarray:
        """Rows (start, stop, penalised) for ``Arena.spans``: one per run of adjacent rows."""
        breaks = np.flatnonzero(np.diff(self.rows) != 1)
        first, last = np.r_[self.rows[:1], self.rows[breaks + 1]], np.r_[self.rows[breaks], self.rows[-1:]]
        width = self.value.shape[1]
        penalised = np.full(len(first), self.penalised, np.int64)
        return np.column_stack((self.start + first * width, self.start + (last + 1) * width, penalised))


class Arena:
    """The flat vectors behind the parameters of one model.

    Parameters
    ----------
    dtype : np.dtype
        float32 or float64.
    parameters : iterable of Parameter, optional
        Parameters to take over, in this order.

    Notes
    -----
    ``values`` and ``_gradients`` have the same layout; gaps between parameters (for alignment) stay zero. Parameters
    are only ever appended, so what lies beside the arena (optimizer state) only has to grow.
    """

    def __init__(self, dtype: np.dtype, parameters: Iterable[Parameter] = ()) -> None:
        self.dtype = np.dtype(dtype)
        self.parameters: list[Parameter] = []
        self._size = 0
        self._values = aligned_zeros(0, self.dtype)
        self._gradients = aligned_zeros(0, self.dtype)
        self._spans: np.ndarray | None = None
        self._tables: list[Table] = []
        self._used: tuple[np.ndarray, np.ndarray] | None = None
        #: Counts the changes of all values together, such as steps of an optimizer.
        self.version = 0
        for parameter in parameters:
            self.add(parameter)

    def __len__(self) -> int:
        return self._size

    def __deepcopy__(self, memo: dict[int, object]) -> Arena:
        # Copied piece by piece, the parameters would lose their place in the vector.
        rebuild, parts = self.__reduce__()
        twin = memo[id(self)] = rebuild(*parts)
        memo.update((id(p), q) for p, q in zip(self.parameters, twin.parameters, strict=True))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (
            self.dtype,
            [(type(p), p.value, _gradient_of(p), p.penalised, p.frozen) for p in self.parameters],
        )

    @property
    def values(self) -> np.ndarray:
        """All values, shape (len(arena),); a view: writing to it changes the model."""
        return self._views()[0]

    @property
    def gradients(self) -> np.ndarray:
        """All gradients, shape (len(arena),); stale ones are zero."""
        for parameter in self.parameters:
            if not parameter.fresh:
                parameter.clear()
        return self._views()[1]

    def _views(self) -> tuple[np.ndarray, np.ndarray]:
        """The parts of both vectors that are in use, sliced once until the arena grows."""
        if self._used is None:
            self._used = self._values[: self._size], self._gradients[: self._size]
        return self._used

    @property
    def spans(self) -> np.ndarray:
        """What optimizers may change: int64 rows (start, stop, penalised), ascending.

        Frozen parameters are left out, and so are the rows of tables that the running step has not seen.
        """
        whole = self._whole_spans()
        if not self._tables:
            return whole
        spans = np.concatenate([whole, *(table.spans() for table in self._tables)])
        return spans[np.argsort(spans[:, 0])]

    def _whole_spans(self) -> np.ndarray:
        """The spans of parameters that move as a whole; the tables that move by rows are listed aside."""
        if self._spans is None:
            rows: list[list[int]] = []
            self._tables = []
            for p in self.parameters:
                if p.frozen or not p.size:
                    continue
                if isinstance(p, Table):
                    self._tables.append(p)
                    continue
                if rows and rows[-1][2] == p.penalised and p.start - rows[-1][1] < ALIGNMENT // self.dtype.itemsize:
                    rows[-1][1] = p.start + p.size
                else:
                    rows.append([p.start, p.start + p.size, int(p.penalised)])
            self._spans = np.array(rows, np.int64).reshape(-1, 3)
        return self._spans

    def forget_spans(self) -> None:
        """Recompute ``spans`` before the next step."""
        self._spans = None

    def add(self, parameter: Parameter) -> None:
        """Take ``parameter`` over: its values move to the end of the vector and it becomes a view of them."""
        unit = ALIGNMENT // self.dtype.itemsize
        parameter.start = -(-self._size // unit) * unit
        self._size = parameter.start + parameter.size
        self._used = None
        self.parameters.append(parameter)
        parameter.arena = self
        self.forget_spans()
        if self._size > len(self._values):
            self._grow(max(self._size, 2 * len(self._values)))
        else:
            self._point(parameter, parameter.value, parameter.grad)

    def _grow(self, capacity: int) -> None:
        # Doubling keeps the total cost of building a deep network linear in its size.
        self._values = aligned_zeros(capacity, self.dtype)
        self._gradients = aligned_zeros(capacity, self.dtype)
        self._used = None
        for parameter in self.parameters:
            self._point(parameter, parameter.value, parameter.grad)

    def _point(self, parameter: Parameter, value: np.ndarray, grad: np.ndarray) -> None:
        place = slice(parameter.start, parameter.start + parameter.size)
        CHANGES.count += 1
        parameter.value = self._values[place].reshape(value.shape)
        parameter.grad = self._gradients[place].reshape(value.shape)
        parameter.value[...] = value
        parameter.grad[...] = grad

    def zero_grad(self) -> None:
        """Make every gradient stale: the next backward pass starts from zero."""
        for parameter in self.parameters:
            parameter.fresh = False

    def gradient_norm(self) -> float:
        """Euclidean norm of the gradients of all parameters that are not frozen.

        Raises
        ------
        NonFiniteError
            If a gradient is NaN or infinite, or so large that the sum of squares is.
        """
        gradients = self.gradients
        whole = self._whole_spans()
        squares = sum(squared_norm(gradients[start:stop]) for start, stop, _ in whole.tolist())
        squares += sum(squared_norm(table.grad[table.rows].reshape(-1)) for table in self._tables)
        norm = float(np.sqrt(squares))
        if not np.isfinite(norm):
            index = find_non_finite(gradients)
            got = f"element {index} = {gradients[index]}" if index >= 0 else "numbers whose squares overflow"
            raise NonFiniteError("gradient norm", "finite gradients", got, "lower the learning rate or scale the data")
        return norm

    def scale_gradients(self, factor: float) -> None:
        """Multiply every gradient by ``factor``."""
        for parameter in self.parameters:
            if parameter.fresh:
                parameter.scale(factor)

    def clip_gradients(self, limit: float) -> None:
        """Move every number of the gradients into [-limit, limit]."""
        for parameter in self.parameters:
            if parameter.fresh:
                parameter.clip(limit)

    def owner(self, index: int) -> Parameter:
        """Return the parameter that holds element ``index`` of the vector."""
        return max((p for p in self.parameters if p.start <= index), key=lambda p: (p.start, p.size))


def _rebuild_parameter(kind: type[Parameter], value: np.ndarray, penalised: bool, frozen: bool) -> Parameter:
    """Build a parameter without an arena."""
    parameter = kind(value, penalised)
    parameter.frozen = frozen
    return parameter


def _gradient_of(parameter: Parameter) -> tuple[np.ndarray, np.ndarray | None] | None:
    """What of the gradient a copy needs: the whole, or the rows that were seen; None if it is stale."""
    if not parameter.fresh:
        return None
    if isinstance(parameter, Table):
        return parameter.grad[parameter.rows], parameter.rows
    return parameter.grad, None


def _rebuild(dtype: np.dtype, parts: list[tuple[type[Parameter], np.ndarray, Any, bool, bool]]) -> Arena:
    """Build an arena from kind, value, gradient, penalised and frozen of every parameter."""
    arena = Arena(dtype)
    for kind, value, gradient, penalised, frozen in parts:
        parameter = kind(value, penalised)
        if gradient is not None and isinstance(parameter, Table):
            parameter.accumulate_rows(*gradient)
        elif gradient is not None:
            parameter.accumulate(gradient[0])
        parameter.frozen = frozen
        arena.add(parameter)
    return arena
