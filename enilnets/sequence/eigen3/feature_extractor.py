"""FeatureExtractor: what happened in every column of a market over a window of days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import checks
from ...autodiff import Model, Tensor
from ...errors import ConfigError, ShapeError
from .columns import ColumnEncoder

__all__ = ["FeatureExtractor", "check_features", "extractor_with", "two_widths"]

#: What ``extractor=`` of a network may set; the rest are arguments of the network.
SETTINGS = ("cnn_filters", "lstm_hidden_size", "lstm_num_layers", "column_chunk_size", "dropout_rate")


class FeatureExtractor(Model):
    """Turn a window of market data into one vector per column.

    Every column (a stock, an index) goes by itself through a convolution over time (5 features to 32 filters, kernel 3,
    "same"), batch normalisation, ReLU and a bidirectional LSTM of two layers, whose outputs at the last three steps
    are averaged.

    Parameters
    ----------
    num_columns : int >= 1, default 669
    num_features : int >= 1, default 5
        Numbers per column and day.
    cnn_filters : int >= 1, default 32
    lstm_hidden_size : int >= 1, default 128
        Of each direction; the output has twice as many features.
    lstm_num_layers : int >= 1, default 2
    column_chunk_size : int >= 1, default 64
        Columns that are encoded together. Fewer take less memory and change neither outputs nor gradients; masks of
        dropout are drawn per chunk.
    dropout_rate : float in [0, 1), default 0.1
        Between layers of the LSTM, in training.
    use_remat : bool, default True
        Keep little between forward and backward pass and run all chunks but the last again on the way back: memory of
        one chunk instead of all, for one more forward pass.
    dtype : {"float32", "float64"}, default "float32"
    rng : None, int, SeedSequence or Generator
    **training
        ``learning_rate``, ``optimizer``, ``l2_lambda`` (default 0) and ``momentum``; see autodiff.Model.

    Notes
    -----
    State (batch, time >= 3, num_columns, num_features), features (batch, num_columns, 2 lstm_hidden_size); the same
    parameters serve any number of days. NaN counts as 0, before anything is normalised; an infinity is an error that
    names its place. In training, batch normalisation uses the statistics of the batch over all columns and days,
    whatever the chunks, and moves its running statistics by 1 % of them; a number whose square is too large for the
    dtype is then an error too.

    A call is recorded for gradients; ``infer`` keeps nothing and is what inference at full size wants.

    Weights are drawn from LeCun's normal distribution, recurrent ones orthogonal, biases are zero, that of the forget
    gate too.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import FeatureExtractor
    >>> extractor = FeatureExtractor(num_columns=6, lstm_hidden_size=8, rng=0)
    >>> state = np.random.default_rng(0).normal(size=(2, 20, 6, 5))
    >>> extractor(state, train=False).shape
    (2, 6, 16)
    """

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
        **training: Any,
    ) -> None:
        super().__init__(**{"l2_lambda": 0.0, **training}, dtype=dtype, rng=rng)
        self.columns = ColumnEncoder(
            num_columns,
            num_features,
            cnn_filters,
            lstm_hidden_size,
            lstm_num_layers,
            column_chunk_size,
            dropout_rate,
            use_remat,
            dtype=self.dtype,
            rng=self.rng,
        )

    @property
    def width(self) -> int:
        """Features per column."""
        return self.columns.width

    def call(self, state: Any) -> Any:
        """See Model."""
        return self.columns(state)


def extractor_with(where: str, extractor: Mapping[str, Any] | None, **settings: Any) -> FeatureExtractor:
    """Return the extractor of a network, with the further arguments that its ``extractor=`` holds."""
    further: Mapping[str, Any] = {} if extractor is None else extractor
    known = f"a dict with some of {', '.join(SETTINGS)}"
    if not isinstance(further, Mapping):
        raise ConfigError(f"{where}(extractor)", known, repr(extractor))
    unknown = [str(name) for name in further if name not in SETTINGS]
    if unknown:
        raise ConfigError(f"{where}(extractor)", known, ", ".join(unknown))
    return FeatureExtractor(**further, **settings)


def two_widths(where: str, hidden_sizes: Any) -> tuple[int, int]:
    """Return the widths of two dense layers."""
    if not isinstance(hidden_sizes, (tuple, list)) or len(hidden_sizes) != 2:
        raise ConfigError(f"{where}(hidden_sizes)", "two widths", repr(hidden_sizes))
    wide, narrow = (checks.size(where, "hidden_sizes", width) for width in hidden_sizes)
    return wide, narrow


def check_features(where: str, features: Tensor, extractor: FeatureExtractor) -> None:
    """Raise ShapeError unless ``features`` are such as ``extractor`` makes."""
    columns, width = extractor.columns.num_columns, extractor.width
    if features.ndim != 3 or features.shape[1:] != (columns, width):
        expected = f"shape (batch, {columns}, {width})"
        raise ShapeError(
            f"{where}(features)", expected, f"shape {features.shape}", "pass what features(state) returned"
        )
