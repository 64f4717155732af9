"""What all estimators share: settings, validation of data, and the epochs of ``fit`` and ``partial_fit``."""

from __future__ import annotations

import math
import warnings
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import checks
from ..errors import DataError, ShapeError
from ..losses import as_sample_weights
from ..net import NeuralNet
from .samples import Samples

__all__ = ["NetworkEstimator", "Patience"]

#: Batch of ``batch_size="auto"``, unless there are fewer samples.
AUTO_BATCH = 200

Estimator = TypeVar("Estimator", bound="NetworkEstimator")


class Patience:
    """Counts the epochs in a row whose score was not better than the best one by ``tol``."""

    def __init__(self, tol: float, epochs: float) -> None:
        self.tol, self.epochs = tol, epochs
        self.best, self.waited = -math.inf, 0

    def lost(self, score: float) -> bool:
        """Take the score of an epoch (higher is better); True after more than ``epochs`` of them in vain."""
        self.waited = 0 if score >= self.best + self.tol else self.waited + 1
        self.best = max(self.best, score)
        return self.waited > self.epochs

    def renew(self) -> None:
        """Begin to count again."""
        self.waited = 0


class NetworkEstimator(BaseEstimator):
    """Base of the estimators.

    The kind of task (``classifier.py``, ``regressor.py``) says what targets, scores and predictions are; the kind of
    network (``mlp.py``, ``wrapper.py``) holds the constructor and makes the network. Neither knows the other.
    """

    #: Name of a loss, where the user may choose it; None for the one that goes with the network.
    loss: str | None = None

    # What a task defines

    def _encode(self, y: np.ndarray, first: bool, classes: Any = None) -> np.ndarray:
        """Return ``y`` as targets in the output's shape; ``first`` learns what targets look like."""
        raise NotImplementedError

    def _head(self) -> str:
        """Return the activation that makes predictions."""
        raise NotImplementedError

    def _loss_of(self, net: NeuralNet) -> str:
        """Return the name of the loss that goes with the network's last activation, or raise ConfigError."""
        raise NotImplementedError

    def _score_outputs(self, outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> float:
        """Return the score that early stopping watches, a mean weighted like scikit-learn's."""
        raise NotImplementedError

    def _strata(self, targets: np.ndarray) -> np.ndarray | None:
        """Return the groups that the validation part keeps the proportions of."""
        return None

    # What a kind of network defines

    def _make_net(self, n_features: int, n_outputs: int, dtype: np.dtype, rng: np.random.Generator) -> NeuralNet:
        """Return a new network."""
        raise NotImplementedError

    def _shaped(self, x: np.ndarray) -> np.ndarray:
        """Return the samples as the network takes them."""
        return x

    def _begin(self, batch_weight: float, restart: bool) -> None:
        """Set what the network needs to know of a call of ``fit`` (``restart``) or ``partial_fit``.

        ``batch_weight`` is what the weights of a batch add up to in the mean; without weights, its samples.
        """

    def _epoch_ended(self) -> None:
        """Do what follows every epoch."""

    def _slowed_down(self) -> bool:
        """Whether training goes on, differently, after it stopped improving."""
        return False

    # Fitting

    def _check_settings(self) -> None:
        where = type(self).__name__
        checks.integer(where, "max_iter", self.max_iter, 1)
        if self.batch_size != "auto":
            checks.integer(where, 'batch_size other than "auto"', self.batch_size, 1)
        checks.number(where, "tol", self.tol, 0.0)
        if self.n_iter_no_change != math.inf:
            checks.integer(where, "n_iter_no_change", self.n_iter_no_change, 1)
        checks.flag(where, "early_stopping", self.early_stopping)
        checks.fraction(where, "validation_fraction", self.validation_fraction, one=False)
        checks.flag(where, "warm_start", self.warm_start)

    def _validate(self, X: Any, y: Any, sample_weight: Any, first: bool, classes: Any = None) -> Samples:
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32), multi_output=True, reset=first)
        if sample_weight is None:
            return Samples(X, self._encode(y, first, classes))
        weights = as_sample_weights(f"{type(self).__name__}.fit", sample_weight, X)
        # A sample of weight 0 is no sample: not in a batch, its batch statistics, or the validation part.
        return Samples(X, self._encode(y, first, classes), weights).take(np.flatnonzero(weights))

    def _create(self, samples: Samples, seed: int) -> None:
        """Make the network and everything that describes an untrained one."""
        X, targets, _ = samples
        rng = np.random.default_rng(seed)
        net = self._make_net(X.shape[1], targets.shape[1], X.dtype, rng)
        shape = net.predict(self._shaped(X[:1])).shape[1:]
        if shape != targets.shape[1:]:
            raise ShapeError(
                f"{type(self).__name__}.fit", f"a network of {targets.shape[1]} outputs per sample", f"shape {shape}"
            )
        default = self._loss_of(net)
        self._loss = default if self.loss is None else self.loss
        self.net_ = net
        self.n_outputs_ = targets.shape[1]
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self.best_validation_score_: float | None = None
        self.best_loss_: float | None = None
        self.t_ = 0

    def _fit(self: Estimator, X: Any, y: Any, sample_weight: Any) -> Estimator:
        self._check_settings()
        seed, split = (int(n) for n in check_random_state(self.random_state).randint(2**31 - 1, size=2))
        first = not (self.warm_start and hasattr(self, "net_"))
        samples = self._validate(X, y, sample_weight, first)
        if first:
            self._create(samples, seed)
        samples, validation = self._cast(samples), None
        if self.early_stopping:
            n = len(samples.x)
            samples, validation = samples.split(self.validation_fraction, split, self._strata(samples.targets))
            if len(validation.x) < 2:
                where = f"{type(self).__name__}(validation_fraction)"
                raise DataError(where, "at least 2 samples to validate with", f"{len(validation.x)} of {n}")
        batch_size = self._batch_size(samples)
        self._begin(batch_size * samples.mean_weight, restart=True)
        self._run_epochs(samples, batch_size, validation)
        return self

    def _partial_fit(self: Estimator, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Estimator:
        self._check_settings()
        first = not hasattr(self, "net_")
        samples = self._validate(X, y, sample_weight, first, classes)
        if first:
            self._create(samples, int(check_random_state(self.random_state).randint(2**31 - 1)))
        batch_size = self._batch_size(samples)
        self._begin(batch_size * samples.mean_weight, restart=first)
        self.n_iter_ = 0
        if not self._run_epoch(self._cast(samples), batch_size):
            self._warn_of_interrupt()
        return self

    def _cast(self, samples: Samples) -> Samples:
        dtype = self.net_.dtype
        return Samples(self._shaped(np.asarray(samples.x, dtype)), np.asarray(samples.targets, dtype), samples.weights)

    def _batch_size(self, samples: Samples) -> int:
        return min(AUTO_BATCH if self.batch_size == "auto" else self.batch_size, len(samples.x))

    def _run_epoch(self, samples: Samples, batch_size: int) -> bool:
        """One pass over the data; False if Ctrl-C ended it."""
        x, targets, weights = samples
        history = self.net_.Train(x, targets, 1, batch_size, loss_function=self._loss, verbose=0, sample_weight=weights)
        if history.stopped:
            return False
        self.loss_ = history["loss"][-1]
        self.loss_curve_.append(self.loss_)
        self.best_loss_ = self.loss_ if self.best_loss_ is None else min(self.best_loss_, self.loss_)
        self.n_iter_ += 1
        self.t_ += len(x)
        self._epoch_ended()
        return True

    def _run_epochs(self, samples: Samples, batch_size: int, validation: Samples | None) -> None:
        patience = Patience(self.tol, self.n_iter_no_change)
        best_weights = None
        self.n_iter_ = 0
        while self.n_iter_ < self.max_iter:
            if not self._run_epoch(samples, batch_size):
                self._warn_of_interrupt()
                break
            score = -self.loss_
            if self.verbose:
                print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
            if validation is not None:
                score = self._validation_score(validation)
                if score > patience.best:
                    best_weights = self.net_.get_weights()
            if patience.lost(score):
                if not self._slowed_down():
                    break
                patience.renew()
        else:
            warnings.warn(
                f"{type(self).__name__}: max_iter={self.max_iter} epochs ended before the training converged",
                ConvergenceWarning,
                stacklevel=4,
            )
        if best_weights is not None:
            self.net_.set_weights(best_weights)
            self.best_validation_score_ = patience.best

    def _warn_of_interrupt(self) -> None:
        warnings.warn(f"{type(self).__name__}: the training was interrupted", stacklevel=5)

    def _validation_score(self, samples: Samples) -> float:
        score = self._score_outputs(self.net_.predict(samples.x), samples.targets, samples.weights)
        if self.validation_scores_ is None:  # a warm start that only now stops early
            self.validation_scores_ = []
        self.validation_scores_.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        return score

    # Predicting

    def _outputs(self, X: Any) -> np.ndarray:
        """Return what the network says of ``X``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return self.net_.predict(self._shaped(X))
