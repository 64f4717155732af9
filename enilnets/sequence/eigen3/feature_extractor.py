"""FeatureExtractor: what happened in every column of a market over a window of days."""

from __future__ import annotations

from typing import Any

from ...autodiff import Model
from .columns import ColumnEncoder

__all__ = ["FeatureExtractor"]


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
    whatever the chunks, and moves its running statistics by 1 % of them.

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
