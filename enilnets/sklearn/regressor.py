"""Regression: one output per target."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from ..errors import DataError
from ..net import NeuralNet
from .estimator import NetworkEstimator

__all__ = ["Regression"]

Estimator = TypeVar("Estimator", bound="Regression")


class Regression(RegressorMixin, NetworkEstimator):
    """The task of the regressors: one number per sample, or several."""

    def fit(self: Estimator, X: Any, y: Any, sample_weight: Any = None) -> Estimator:
        """Train on all data until the loss or, with ``early_stopping``, the validation score stops improving.

        Parameters
        ----------
        X : array_like (samples, features)
        y : array_like (samples,) or (samples, targets)
        sample_weight : array_like (samples,), optional
            A number >= 0 per sample, whose loss and validation score count so much; one of weight 2 is like two, one
            of weight 0 like none.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For settings out of range, or data that cannot be learned from.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self: Estimator, X: Any, y: Any, sample_weight: Any = None) -> Estimator:
        """Train for one epoch on the data given, going on from where training is.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        self
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """Return what the network makes of each sample.

        Parameters
        ----------
        X : array_like (samples, features)

        Returns
        -------
        ndarray (samples,) or (samples, targets), as ``y`` was
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self._one_column else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    # What NetworkEstimator asks of a task

    def _head(self) -> str:
        return "linear"

    def _loss_of(self, net: NeuralNet) -> str:
        return "mse"

    def _encode(self, y: Any, first: bool, classes: Any = None) -> np.ndarray:
        y = np.asarray(y, np.float64)
        if first:
            self._one_column = y.ndim == 1
        y = y.reshape(len(y), -1)
        if not first and y.shape[1] != self.n_outputs_:
            raise DataError(f"{type(self).__name__}.fit(y)", f"{self.n_outputs_} targets per sample", str(y.shape[1]))
        return y

    def _score_outputs(self, outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> float:
        return float(r2_score(targets, outputs, sample_weight=weights))
