"""Columns of a market, each encoded by itself: convolution over time, batch normalisation, bidirectional LSTM."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ... import checks
from ...errors import DataError, StateError
from ...init import INITIALIZERS, init_conv_weights, init_weights
from ...layers.base import INFERENCE, Layer, Mode, Shape
from ...ops.conv import conv1d, conv1d_backward
from ...ops.norm import BatchNormSaved, batchnorm_backward, batchnorm_inference, blend
from ...ops.optim import find_non_finite
from ...parameters import Parameter
from .recurrence import LAST_STEPS, Cell, last_steps, last_steps_backward
from .recurrence import Saved as RecurrenceSaved

__all__ = ["ColumnEncoder"]

#: Length of the kernels along time.
KERNEL = 3
#: Weight of the newest batch in the running statistics, and what is added to variances: Flax's defaults.
MOMENTUM, EPSILON = 0.01, 1e-5


class Statistics(NamedTuple):
    """Mean and variance of every filter, and the values they were taken over (0: they are constants)."""

    mean: np.ndarray
    var: np.ndarray
    values: int


class Kept(NamedTuple):
    """What the way back of one chunk needs."""

    norm: BatchNormSaved
    recurrence: RecurrenceSaved


class Saved(NamedTuple):
    """What ``backward`` needs: the input, and whatever makes running a chunk again give the same numbers."""

    x: np.ndarray
    statistics: Statistics
    rate: float
    """Of dropout."""
    keys: list[tuple[int, ...]]
    """Of the masks of dropout, per chunk."""
    chunks: list[slice]
    kept: list[Kept | None]
    """Per chunk; None where it is to be run again."""


class ColumnEncoder(Layer):
    """Encode every column of (batch, time, columns, features) into the features (batch, columns, 2 hidden).

    Parameters
    ----------
    num_columns, num_features, cnn_filters, lstm_hidden_size, lstm_num_layers : int
    column_chunk_size, dropout_rate, use_remat
        See FeatureExtractor, which offers this layer as a model.
    dtype, rng
        See NeuralNet.

    Notes
    -----
    The columns are independent but for the statistics of the batch normalisation, which training takes over all of
    them in a pass of its own, before the first chunk. The convolution that this pass needs is 0.1 % of the work, and
    chunks of every size then give the same loss and gradients. On the way back the gradient at the normalised values
    of every chunk is kept (``cnn_filters`` numbers per column and step) until its sums are complete.
    """

    type = "columnencoder"
    settings = (
        "num_columns",
        "num_features",
        "cnn_filters",
        "lstm_hidden_size",
        "lstm_num_layers",
        "column_chunk_size",
        "dropout_rate",
        "use_remat",
    )
    adjustable = ("column_chunk_size", "dropout_rate", "use_remat")

    def __init__(
        self,
        num_columns: int = 669,
        num_features: int = 5,
        cnn_filters: int = 32,
        lstm_hidden_size: int = 128,
        lstm_num_layers: int = 2,
        column_chunk_size: int = 64,
        dropout_rate: float = 0.1,
        use_remat: bool = True,
        *,
        dtype: Any = "float32",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        size = partial(checks.size, "FeatureExtractor")
        self.num_columns = size("num_columns", num_columns)
        self.num_features = size("num_features", num_features)
        self.cnn_filters = size("cnn_filters", cnn_filters)
        self.lstm_hidden_size = size("lstm_hidden_size", lstm_hidden_size)
        self.lstm_num_layers = size("lstm_num_layers", lstm_num_layers)
        self.column_chunk_size = column_chunk_size
        self.dropout_rate = dropout_rate
        self.use_remat = use_remat
        self._draw(checks.generator("FeatureExtractor", rng))

    @property
    def column_chunk_size(self) -> int:
        """Columns that are encoded together."""
        return self._column_chunk_size

    @column_chunk_size.setter
    def column_chunk_size(self, columns: int) -> None:
        self._column_chunk_size = checks.size("FeatureExtractor", "column_chunk_size", columns)

    @property
    def dropout_rate(self) -> float:
        """Share that is dropped between layers of the LSTM in training."""
        return self._dropout_rate

    @dropout_rate.setter
    def dropout_rate(self, rate: float) -> None:
        self._dropout_rate = checks.fraction("FeatureExtractor", "dropout_rate", rate, one=False)

    @property
    def use_remat(self) -> bool:
        """Whether the way back runs chunks again instead of finding everything kept."""
        return self._use_remat

    @use_remat.setter
    def use_remat(self, remat: bool) -> None:
        self._use_remat = checks.flag("FeatureExtractor", "use_remat", remat)

    def _draw(self, rng: np.random.Generator) -> None:
        """Draw all parameters: LeCun's normal, recurrent matrices orthogonal gate by gate, biases zero."""
        filters, hidden = self.cnn_filters, self.lstm_hidden_size
        weights, bias = init_conv_weights(
            self.num_features, filters, (KERNEL,), "lecun_normal", dtype=self.dtype, rng=rng
        )
        self.parameters["conv.weights"] = Parameter(weights, penalised=True)
        self.parameters["conv.bias"] = Parameter(bias)
        self.parameters["norm.gamma"] = Parameter(np.ones(filters, self.dtype))
        self.parameters["norm.beta"] = Parameter(np.zeros(filters, self.dtype))
        self.buffers["norm.running_mean"] = np.zeros(filters, self.dtype)
        self.buffers["norm.running_var"] = np.ones(filters, self.dtype)
        orthogonal = INITIALIZERS["orthogonal"]
        for number in range(self.lstm_num_layers):
            n_in = filters if number == 0 else 2 * hidden
            for direction in ("forward", "reverse"):
                w, b = init_weights(n_in, 4 * hidden, "lecun_normal", dtype=self.dtype, rng=rng)
                u = np.concatenate([orthogonal(rng, (hidden, hidden), hidden, hidden) for _ in range(4)])
                name = f"lstm.{number}.{direction}"
                self.parameters[f"{name}.w"] = Parameter(w, penalised=True)
                self.parameters[f"{name}.u"] = Parameter(u.astype(self.dtype), penalised=True)
                self.parameters[f"{name}.b"] = Parameter(b)

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        filters, hidden = config["cnn_filters"], config["lstm_hidden_size"]
        shapes: dict[str, Shape] = {
            "conv.weights": (filters, config["num_features"], KERNEL),
            "conv.bias": (filters,),
            **{f"norm.{name}": (filters,) for name in ("gamma", "beta", "running_mean", "running_var")},
        }
        for number in range(config["lstm_num_layers"]):
            for direction in ("forward", "reverse"):
                name = f"lstm.{number}.{direction}"
                shapes[f"{name}.w"] = (4 * hidden, filters if number == 0 else 2 * hidden)
                shapes[f"{name}.u"] = (4 * hidden, hidden)
                shapes[f"{name}.b"] = (4 * hidden,)
        return shapes

    @property
    def name(self) -> str:
        """See Layer."""
        return f"FeatureExtractor({self.num_columns} columns, {self.num_features} features)"

    @property
    def width(self) -> int:
        """Features of one column: both directions of the LSTM."""
        return 2 * self.lstm_hidden_size

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 3 or shape[1:] != (self.num_columns, self.num_features) or shape[0] < LAST_STEPS:
            way_out = f"the output is the mean of the last {LAST_STEPS} steps, so there must be that many"
            raise self.shape_error(
                f"(batch, time >= {LAST_STEPS}, {self.num_columns}, {self.num_features})",
                shape,
                way_out if len(shape) == 3 and shape[0] < LAST_STEPS else "",
            )
        return self.num_columns, self.width

    # Forward

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Saved | None]:
        """See Layer; ``x`` of any real dtype is cast chunk by chunk, NaN counts as 0, infinities are refused."""
        columns, width = self.output_shape(x.shape[1:])
        chunks = [slice(i, min(i + self.column_chunk_size, columns)) for i in range(0, columns, self.column_chunk_size)]
        learning = mode.training and not self.frozen
        statistics = self._of_batch(x, chunks) if learning else self._running()
        rate = self.dropout_rate if mode.dropout_rate is None else mode.dropout_rate
        keys = self._keys(mode, rate, len(chunks))
        y = np.empty((x.shape[0], columns, width), self.dtype)
        kept: list[Kept | None] = []
        for number, chunk in enumerate(chunks):
            # The way back begins with the last chunk, so keeping that one costs no memory at the peak.
            keep = mode.backward and (not self.use_remat or number == len(chunks) - 1)
            out, parts = self._encode(self._rows(x, chunk), statistics, rate, keys[number], keep)
            y[:, chunk] = out.reshape(x.shape[0], chunk.stop - chunk.start, width)
            kept.append(parts)
        if learning:
            blend(self.buffers["norm.running_mean"], statistics.mean, MOMENTUM)
            blend(self.buffers["norm.running_var"], statistics.var, MOMENTUM)
        return y, Saved(x, statistics, rate, keys, chunks, kept) if mode.backward else None

    def _rows(self, x: np.ndarray, chunk: slice) -> np.ndarray:
        """Return the columns of ``chunk`` as (batch * columns, features, time), NaN as 0."""
        with np.errstate(over="ignore"):  # what overflows is named below
            columns = np.array(x[:, :, chunk].transpose(0, 2, 3, 1), self.dtype, order="C")
        columns[np.isnan(columns)] = 0
        index = find_non_finite(columns.reshape(-1))
        if index >= 0:
            b, c, f, t = (int(i) for i in np.unravel_index(index, columns.shape))
            place = (b, t, chunk.start + c, f)
            way_out = "only NaN stands for a missing value; remove infinities and what overflows"
            raise DataError(f"{self.name}(state)", "finite numbers or NaN", f"{x[place]} at index {place}", way_out)
        return columns.reshape(-1, columns.shape[2], columns.shape[3])

    def _convolved(self, rows: np.ndarray) -> tuple[np.ndarray, tuple]:
        return conv1d(rows, self["conv.weights"], self["conv.bias"], padding="same")

    def _of_batch(self, x: np.ndarray, chunks: list[slice]) -> Statistics:
        """Statistics over the batch, all columns and all steps, merged chunk by chunk (Chan et al. 1979, eq. 2.1)."""
        mean, squares, count = np.zeros(self.cnn_filters), np.zeros(self.cnn_filters), 0
        for chunk in chunks:
            z, _ = self._convolved(self._rows(x, chunk))
            n = z.shape[0] * z.shape[2]
            if n == 0:
                raise DataError(f"{self.name}(state)", "at least one sample to take statistics over", "none")
            own = z.mean(axis=(0, 2), dtype=np.float64)
            away = own - mean
            squares += n * z.var(axis=(0, 2), dtype=np.float64) + away**2 * (count * n / (count + n))
            mean += away * (n / (count + n))
            count += n
        with np.errstate(over="ignore"):
            var = (squares / count).astype(self.dtype)
        if not np.isfinite(var).all():  # would stay in the running statistics for good
            expected, largest = f"numbers whose variance is one of {self.dtype}", np.nanmax(np.abs(x))
            raise DataError(f"{self.name}(state)", expected, f"up to {largest:.3g}", "remove or clip outliers")
        return Statistics(mean.astype(self.dtype), var, count)

    def _running(self) -> Statistics:
        # Copies: a training pass that comes before the way back of this one moves the buffers.
        return Statistics(self["norm.running_mean"].copy(), self["norm.running_var"].copy(), 0)

    def _keys(self, mode: Mode, rate: float, chunks: int) -> list[tuple[int, ...]]:
        """Draw what decides the masks of dropout: one key per chunk and gap between layers."""
        gaps = self.lstm_num_layers - 1
        if not mode.training or rate == 0 or gaps == 0:
            return [()] * chunks
        if mode.rng is None:
            raise StateError(f"{self.name}.forward(mode)", "a random generator for training", "none", "pass one")
        return [tuple(row) for row in mode.rng.integers(2**63, size=(chunks, gaps)).tolist()]

    def _cells(self) -> Iterator[tuple[Cell, Cell]]:
        for number in range(self.lstm_num_layers):
            along, against = (
                Cell(*(self[f"lstm.{number}.{direction}.{name}"] for name in Cell._fields))
                for direction in ("forward", "reverse")
            )
            yield along, against

    def _encode(
        self, rows: np.ndarray, statistics: Statistics, rate: float, keys: tuple[int, ...], keep: bool
    ) -> tuple[np.ndarray, Kept | None]:
        """Encode (rows, features, time) into (rows, 2 hidden)."""
        z, _ = self._convolved(rows)
        gamma, beta = self["norm.gamma"], self["norm.beta"]
        a, norm = batchnorm_inference(z, statistics.mean, statistics.var, gamma, beta, EPSILON, activation="relu")
        steps = np.ascontiguousarray(a.transpose(0, 2, 1))
        y, recurrence = last_steps(steps, list(self._cells()), rate, keys, keep=keep)
        return y, None if recurrence is None else Kept(norm, recurrence)

    # Backward

    def backward_delta(
        self, dz: np.ndarray, saved: Saved, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        params = params and not self.frozen
        if not (params or inputs):
            return None
        parts: list[np.ndarray] = []  # per chunk, from the last to the first
        sums = np.zeros((2, self.cnn_filters), self.dtype)  # of dgamma and dbeta
        for number in reversed(range(len(saved.chunks))):
            d_norm, *own = self._encode_backward(dz, saved, number, params)
            sums += own
            parts.append(d_norm)
        if params:
            self.accumulate(**{"norm.gamma": sums[0], "norm.beta": sums[1]})
        dx = np.zeros(saved.x.shape, self.dtype) if inputs else None
        for chunk in saved.chunks:
            self._convolve_backward(parts.pop(), saved, chunk, sums, params, dx)
        return dx

    def _encode_backward(
        self, dy: np.ndarray, saved: Saved, number: int, params: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Accumulate the LSTM's gradients of one chunk; return ``dy gamma f' / std`` before the norm and the sums."""
        chunk, kept = saved.chunks[number], saved.kept[number]
        if kept is None:
            _, kept = self._encode(self._rows(saved.x, chunk), saved.statistics, saved.rate, saved.keys[number], True)
        assert kept is not None
        if self.use_remat:
            saved.kept[number] = None  # or it would lie beside the next chunk; who goes back again runs it again
        rows = np.ascontiguousarray(dy[:, chunk]).reshape(-1, self.width)
        d_steps, gradients = last_steps_backward(rows, kept.recurrence, params=params)
        for layer, cells in enumerate(gradients):
            for direction, cell in zip(("forward", "reverse"), cells, strict=True):
                self.accumulate(**{f"lstm.{layer}.{direction}.{name}": d for name, d in cell._asdict().items()})
        assert d_steps is not None
        d_norm, dgamma, dbeta = batchnorm_backward(np.ascontiguousarray(d_steps.transpose(0, 2, 1)), kept.norm)
        assert d_norm is not None and dgamma is not None and dbeta is not None
        return d_norm, dgamma, dbeta

    def _convolve_backward(
        self,
        dz: np.ndarray,
        saved: Saved,
        chunk: slice,
        sums: np.ndarray,
        params: bool,
        dx: np.ndarray | None,
    ) -> None:
        """Finish the normalisation's gradient of one chunk and go back through the convolution."""
        rows = self._rows(saved.x, chunk)
        z, convolved = self._convolved(rows)
        mean, var, values = saved.statistics
        if values:  # the statistics are the batch's: dx = gamma / std (dy - sum dy / N - xhat sum(dy xhat) / N)
            inv_std = 1 / np.sqrt(var + self.dtype.type(EPSILON))
            slope = self["norm.gamma"] * inv_std**2 * sums[0] / values
            offset = self["norm.gamma"] * inv_std * sums[1] / values
            dz = dz - (slope[:, None] * (z - mean[:, None]) + offset[:, None])
        d_rows, dw, db = conv1d_backward(dz, convolved, self["conv.weights"], params=params, inputs=dx is not None)
        self.accumulate(**{"conv.weights": dw, "conv.bias": db})
        if dx is not None and d_rows is not None:
            batch, time, _, features = saved.x.shape
            own = d_rows.reshape(batch, -1, features, time).transpose(0, 3, 1, 2)
            np.copyto(dx[:, :, chunk], own, where=~np.isnan(saved.x[:, :, chunk]))

    def describe(self) -> str:
        """See Layer."""
        return f"Columns: {self.num_columns} Params: {self.n_parameters}"
