"""Actor: what to buy, and at which gain to sell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import checks
from ...autodiff import Tensor, broadcast_to, concatenate, exp, minimum, sigmoid, where
from ...errors import ConfigError
from ...layers import Dense, Dropout, Sequential
from .attending import Attending
from .attention import CrossAttentionModule
from .feature_extractor import check_features, extractor_with, two_widths

__all__ = ["LARGEST_RAW", "Actor", "coefficient", "sale_target"]

#: Raw outputs above this count as this: e^40 and its square are still float32 numbers.
LARGEST_RAW = 80.0


def coefficient(raw: Any) -> Any:
    """Return ``exp(raw / 2) + 0.5`` for raw > 0 and ``0.1 sigmoid(2 raw)`` elsewhere: above 1.5, or below 0.05.

    Parameters
    ----------
    raw : Tensor or ndarray
        Counts as 80 where it is larger, so that nothing overflows.

    Notes
    -----
    The function jumps from 0.05 to 1.5 at 0, and a raw output of 20 is 22027. Both are the original's.
    """
    bought = exp(minimum(raw, LARGEST_RAW) * 0.5) + 0.5
    return where(_values(raw) > 0, bought, sigmoid(raw * 2.0) * 0.1)


def sale_target(raw: Any) -> Any:
    """Return ``10 + 40 sigmoid(raw)``, a gain in percent from 10 to 50, for a Tensor or ndarray."""
    return sigmoid(raw) * 40.0 + 10.0


def _values(x: Any) -> np.ndarray:
    return x.data if isinstance(x, Tensor) else x


class Actor(Attending):
    """Choose for every stock that can be bought how much of it, and the gain at which to sell.

    Features of all columns are gathered into one context by cross-attention. Those of the investable columns and the
    context go through dense layers of their own, are joined, and two heads read coefficient and sale target.

    Parameters
    ----------
    num_columns, num_features : int >= 1, default 669 and 5
        Of the state.
    use_attention : bool, default True
        Without, the context is the mean over the columns.
    dropout_rate : float in [0, 1), default 0.2
        Behind the dense layers, in training.
    use_remat : bool, default True
        See FeatureExtractor.
    extractor : dict, optional
        Further arguments of FeatureExtractor.
    investable : (int, int), default (8, 115)
        First and last column that can be bought.
    num_heads : int, default 8
        Of the attention.
    hidden_sizes : (int, int), default (256, 128)
        Of the dense layers over a stock; the context goes through one of the second size.
    head_size : int, default 64
        Of the hidden layer of each head.
    dtype : {"float32", "float64"}, default "float32"
    rng : None, int, SeedSequence or Generator
    **training
        As for FeatureExtractor.

    Notes
    -----
    A call, ``actor(state, train=False, return_attention_weights=False)``, returns actions (batch, stocks, 2) and None
    or the attention weights (batch, columns). ``actions[..., 0]`` is the coefficient, see ``coefficient``;
    ``actions[..., 1]`` the sale target in percent, see ``sale_target``. ``forward`` and ``infer`` of the model protocol
    give the actions alone.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import Actor
    >>> actor = Actor(num_columns=12, extractor={"lstm_hidden_size": 8}, investable=(2, 9), rng=0)
    >>> state = np.random.default_rng(0).normal(size=(1, 20, 12, 5))
    >>> actions, weights = actor(state, train=False, return_attention_weights=True)
    >>> actions.shape, weights.shape, bool(np.isclose(weights.sum(), 1))
    ((1, 8, 2), (1, 12), True)
    """

    def __init__(
        self,
        num_columns: int = 669,
        num_features: int = 5,
        use_attention: bool = True,
        dropout_rate: float = 0.2,
        use_remat: bool = True,
        *,
        extractor: Mapping[str, Any] | None = None,
        investable: tuple[int, int] = (8, 115),
        num_heads: int = 8,
        hidden_sizes: tuple[int, int] = (256, 128),
        head_size: int = 64,
        dtype: Any = "float32",
        rng: Any = None,
        **training: Any,
    ) -> None:
        super().__init__(**{"l2_lambda": 0.0, **training}, dtype=dtype, rng=rng)
        settings: Any = {"dtype": self.dtype, "rng": self.rng}
        self.extractor = extractor_with(
            self._name,
            extractor,
            num_columns=num_columns,
            num_features=num_features,
            use_remat=use_remat,
            **settings,
        )
        self.investable = self._columns(investable, num_columns)
        self.use_attention = checks.flag(self._name, "use_attention", use_attention)
        width = self.extractor.width
        if self.use_attention:
            self.attention = CrossAttentionModule(width, num_heads, **settings)

        def dense(n_in: int, n_out: int, activation: str = "relu") -> Dense:
            return Dense(n_in, n_out, activation, "lecun_normal", **settings)

        wide, narrow = two_widths(self._name, hidden_sizes)
        drop = Dropout(dropout_rate, dtype=self.dtype)
        self.stock = Sequential([dense(width, wide), drop, dense(wide, narrow)], dtype=self.dtype)
        self.context = dense(width, narrow)
        self.coefficient, self.sale_target = (
            Sequential(
                [
                    dense(2 * narrow, head_size),
                    Dropout(dropout_rate, dtype=self.dtype),
                    dense(head_size, 1, "linear"),
                ],
                dtype=self.dtype,
            )
            for _ in range(2)
        )

    def _columns(self, investable: Any, num_columns: int) -> slice:
        """Return the columns that can be bought."""
        if not isinstance(investable, (tuple, list)) or len(investable) != 2:
            raise ConfigError(f"{self._name}(investable)", "first and last column", repr(investable))
        first = checks.integer(self._name, "investable", investable[0], 0, num_columns - 1)
        last = checks.integer(self._name, "investable", investable[1], first, num_columns - 1)
        return slice(first, last + 1)

    @property
    def num_stocks(self) -> int:
        """Stocks that can be bought."""
        return self.investable.stop - self.investable.start

    def call(
        self, given: Tensor, return_attention_weights: bool = False, encoded: bool = False
    ) -> tuple[Tensor, np.ndarray | None]:
        """See Model."""
        features, weights = given if encoded else self.extractor(given), None
        check_features(self._name, features, self.extractor)
        if self.use_attention:
            gathered, weights = self.attention(features, return_attention_weights=return_attention_weights)
        else:
            gathered = features.mean(axis=1, keepdims=True)
        stocks = self.stock(features[:, self.investable])
        joined = concatenate((stocks, broadcast_to(self.context(gathered), stocks.shape)), axis=2)
        actions = coefficient(self.coefficient(joined)), sale_target(self.sale_target(joined))
        return concatenate(actions, axis=2), None if weights is None else weights[:, 0]

    def features(self, state: Any, train: bool | None = None) -> Tensor:
        """Return the features of all columns, (batch, columns, width), which ``from_features`` takes."""
        return self.extractor(state, train=train)

    def from_features(self, features: Any, train: bool | None = None, return_attention_weights: bool = False) -> Any:
        """Return actions and weights, as a call does, for what ``features`` returned."""
        return self(features, train=train, return_attention_weights=return_attention_weights, encoded=True)
