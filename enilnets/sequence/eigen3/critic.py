"""Critic and DoubleCritic: what an action in a state is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import checks
from ...autodiff import Model, Tensor, concatenate, log1p, reshape
from ...errors import DataError, ShapeError
from ...layers import Dense, Dropout, Sequential
from ...ops.array import check_finite
from .attention import SelfAttentionModule
from .feature_extractor import check_features, extractor_with, two_widths

__all__ = ["Critic", "DoubleCritic"]


class Critic(Model):
    """Estimate the value of actions in states.

    The mean over the features of all columns and the flattened action go through three dense layers.

    Parameters
    ----------
    num_columns, num_features : int >= 1, default 669 and 5
        Of the state.
    num_stocks : int >= 1, default 108
        Rows of an action.
    use_attention : bool, default False
        Let the columns look at each other before the mean; see SelfAttentionModule.
    dropout_rate : float in [0, 1), default 0.2
        Behind the first two dense layers, in training.
    use_remat : bool, default True
        See FeatureExtractor.
    scale_actions : bool, default False
        Read log(1 + coefficient) and (sale target - 30) / 20, numbers near those of the features, where the original
        reads the actions as they are, 10 to 50 beside features in [-1, 1].
    extractor : dict, optional
        Further arguments of FeatureExtractor.
    num_heads : int, default 8
        Of the attention.
    hidden_sizes : (int, int), default (256, 128)
    dtype : {"float32", "float64"}, default "float32"
    rng : None, int, SeedSequence or Generator
    **training
        As for FeatureExtractor.

    Notes
    -----
    A call, ``critic(state, action, train=False)``, returns values (batch, 1). The features do not depend on the action,
    so they can be made once for several actions: ``critic.from_features(critic.features(state), action)`` is the same.
    Within ``no_grad`` they cost no memory, and the gradient of the actions, which an actor learns from, needs no more::

        with no_grad():
            features = critic.features(state)
        action = Tensor(action, requires_grad=True)
        grad(critic.from_features(features, action).sum(), [action])

    ``forward`` and ``infer`` of the model protocol take the pair ``(state, action)``; ``backward(..., inputs=True)``
    returns the gradients of both.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import Critic
    >>> critic = Critic(num_columns=6, num_stocks=3, extractor={"lstm_hidden_size": 8}, rng=0)
    >>> rng = np.random.default_rng(0)
    >>> critic(rng.normal(size=(2, 20, 6, 5)), rng.normal(size=(2, 3, 2)), train=False).shape
    (2, 1)
    """

    def __init__(
        self,
        num_columns: int = 669,
        num_features: int = 5,
        num_stocks: int = 108,
        use_attention: bool = False,
        dropout_rate: float = 0.2,
        use_remat: bool = True,
        scale_actions: bool = False,
        *,
        extractor: Mapping[str, Any] | None = None,
        num_heads: int = 8,
        hidden_sizes: tuple[int, int] = (256, 128),
        dtype: Any = "float32",
        rng: Any = None,
        **training: Any,
    ) -> None:
        super().__init__(**{"l2_lambda": 0.0, **training}, dtype=dtype, rng=rng)
        settings: Any = {"dtype": self.dtype, "rng": self.rng}
        self.num_stocks = checks.size(self._name, "num_stocks", num_stocks)
        self.use_attention = checks.flag(self._name, "use_attention", use_attention)
        self.scale_actions = checks.flag(self._name, "scale_actions", scale_actions)
        self.extractor = extractor_with(
            self._name,
            extractor,
            num_columns=num_columns,
            num_features=num_features,
            use_remat=use_remat,
            **settings,
        )
        if self.use_attention:
            self.attention = SelfAttentionModule(self.extractor.width, num_heads, **settings)
        wide, narrow = two_widths(self._name, hidden_sizes)
        self.mlp = Sequential(
            [
                Dense(self.extractor.width + 2 * self.num_stocks, wide, "relu", "lecun_normal", **settings),
                Dropout(dropout_rate, dtype=self.dtype),
                Dense(wide, narrow, "relu", "lecun_normal", **settings),
                Dropout(dropout_rate, dtype=self.dtype),
                Dense(narrow, 1, "linear", "lecun_normal", **settings),
            ],
            dtype=self.dtype,
        )

    def call(self, given: Tensor, action: Tensor, encoded: bool = False) -> Tensor:
        """See Model."""
        expected = (given.shape[0] if given.ndim else 0, self.num_stocks, 2)
        if action.shape != expected:
            raise ShapeError(f"{self._name}(action)", f"shape {expected}", f"shape {action.shape}")
        check_finite(self._name, "action", np.ascontiguousarray(action.data, self.dtype))
        if self.scale_actions and (action.data[..., 0] <= -1).any():
            way_out = "keep what exploration adds above"
            raise DataError(f"{self._name}(action)", "coefficients > -1", f"{action.data[..., 0].min():g}", way_out)
        features = given if encoded else self.extractor(given)
        check_features(self._name, features, self.extractor)
        if self.use_attention:
            features, _ = self.attention(features)
        if self.scale_actions:
            action = concatenate((log1p(action[..., :1]), (action[..., 1:] - 30.0) / 20.0), axis=2)
        return self.mlp(concatenate((features.mean(axis=1), reshape(action, (len(action.data), -1))), axis=1))

    def features(self, state: Any, train: bool | None = None) -> Tensor:
        """Return the features of all columns, (batch, columns, width), which ``from_features`` takes."""
        return self.extractor(state, train=train)

    def from_features(self, features: Any, action: Any, train: bool | None = None) -> Tensor:
        """Return the values (batch, 1) of actions.

        Parameters
        ----------
        features : Tensor or array_like (batch, columns, width)
            From ``features``.
        action : Tensor or array_like (batch, stocks, 2)
        train : bool, optional
            As in a call.
        """
        return self(features, action, train=train, encoded=True)


class DoubleCritic(Model):
    """Two critics that share nothing, for methods that trust the lower of two estimates (TD3).

    Parameters
    ----------
    *arguments, **settings
        As for Critic.
    learning_rate, optimizer, l2_lambda, momentum
        See autodiff.Model.
    dtype : {"float32", "float64"}, default "float32"
    rng : None, int, SeedSequence or Generator

    Attributes
    ----------
    first, second : Critic

    Notes
    -----
    A call, ``critics(state, action, train=False)``, returns values (batch, 2). ``features(state)`` returns a pair, one
    of each critic, that ``from_features(features, action)`` takes.

    References
    ----------
    Fujimoto, van Hoof & Meger 2018, "Addressing function approximation error in actor-critic methods", section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import DoubleCritic
    >>> critics = DoubleCritic(num_columns=6, num_stocks=3, extractor={"lstm_hidden_size": 8}, rng=0)
    >>> rng = np.random.default_rng(0)
    >>> q = critics(rng.normal(size=(2, 20, 6, 5)), rng.normal(size=(2, 3, 2)), train=False)
    >>> q.shape, q.min(axis=-1, keepdims=True).shape
    ((2, 2), (2, 1))
    """

    def __init__(
        self,
        *arguments: Any,
        learning_rate: float = 0.001,
        optimizer: Any = "adam",
        l2_lambda: float = 0.0,
        momentum: float = 0.9,
        dtype: Any = "float32",
        rng: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, optimizer, l2_lambda, momentum, dtype=dtype, rng=rng)
        self.first, self.second = (Critic(*arguments, **settings, dtype=self.dtype, rng=self.rng) for _ in range(2))

    def call(self, state: Tensor, action: Tensor) -> Tensor:
        """See Model."""
        return concatenate((self.first(state, action), self.second(state, action)), axis=1)

    def features(self, state: Any, train: bool | None = None) -> tuple[Tensor, Tensor]:
        """Return what ``from_features`` takes in place of the state: the features of each critic."""
        return self.first.features(state, train), self.second.features(state, train)

    def from_features(self, features: tuple[Any, Any], action: Any, train: bool | None = None) -> Tensor:
        """Return the values (batch, 2) of actions; see Critic."""
        first, second = features
        values = self.first.from_features(first, action, train), self.second.from_features(second, action, train)
        return concatenate(values, axis=1)
