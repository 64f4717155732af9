"""Any network behind scikit-learn's interface: the user's function builds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import checks, losses
from ..errors import ConfigError
from ..net import NeuralNet
from .classifier import Classification
from .estimator import NetworkEstimator
from .regressor import Regression

__all__ = ["NeuralNetClassifier", "NeuralNetRegressor"]

Build = Callable[[int, int, np.random.Generator], NeuralNet]


class Wrapper(NetworkEstimator):
    """The network of either task that a function builds; ``NeuralNetClassifier`` describes the parameters."""

    def __init__(
        self,
        build: Build,
        *,
        input_shape: tuple[int, ...] | None = None,
        loss: str | None = None,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
    ) -> None:
        self.build = build
        self.input_shape = input_shape
        self.loss = loss
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change

    # What NetworkEstimator asks of a kind of network

    def _check_settings(self) -> None:
        super()._check_settings()
        where = type(self).__name__
        if not callable(self.build):
            raise ConfigError(f"{where}(build)", "a function build(n_features, n_outputs, rng)", repr(self.build))
        if self.loss is not None:
            losses.check_loss(where, self.loss)
        for side in self.input_shape or ():
            checks.size(where, "input_shape", side)

    def _make_net(self, n_features: int, n_outputs: int, dtype: np.dtype, rng: np.random.Generator) -> NeuralNet:
        where = type(self).__name__
        if self.input_shape is not None and np.prod(self.input_shape, dtype=object) != n_features:
            raise ConfigError(f"{where}(input_shape)", f"a shape of {n_features} numbers", str(self.input_shape))
        net = self.build(n_features, n_outputs, rng)
        if not isinstance(net, NeuralNet):
            raise ConfigError(f"{where}(build)", "a function that returns a NeuralNet", type(net).__name__)
        return net

    def _shaped(self, x: np.ndarray) -> np.ndarray:
        return x if self.input_shape is None else x.reshape(-1, *self.input_shape)


class NeuralNetClassifier(Classification, Wrapper):
    """Classifier of any architecture: a function builds the network, with its optimizer and learning rate.

    Parameters
    ----------
    build : callable
        ``build(n_features, n_outputs, rng) -> NeuralNet`` returns a new network. ``n_outputs`` is the number of
        classes, also where there are two, or of labels. The network ends in "softmax" for classes, in "sigmoid" for
        several labels per sample, or in "linear" for either. Give ``rng`` to it, ``NeuralNet(rng=rng)``, and
        ``random_state`` fixes all randomness. To pickle the estimator, define the function in a module.
    input_shape : tuple of int, optional
        Shape of one sample as the network takes it, such as ``(1, 8, 8)``: the features of a row, in C order.
    loss : str, optional
        A key of ``losses.LOSSES``; by default the cross-entropy that fits the end of the network.
    batch_size, max_iter, random_state, tol, verbose, warm_start, early_stopping, validation_fraction, n_iter_no_change
        See MLPClassifier.

    Attributes
    ----------
    net_ : NeuralNet
        The network, in the dtype that ``build`` gave it.
    classes_, n_features_in_, feature_names_in_, n_outputs_, loss_, best_loss_, loss_curve_, n_iter_, t_
        See MLPClassifier.
    validation_scores_, best_validation_score_
        See MLPClassifier.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from enilnets import NeuralNet
    >>> from enilnets.sklearn import NeuralNetClassifier
    >>> def build(n_features, n_outputs, rng):
    ...     net = NeuralNet(learning_rate=0.005, l2_lambda=0.0, dtype="float32", rng=rng)
    ...     net.add_conv2d(1, 8, 3).add_maxpool2d(2).add_flatten()
    ...     return net.add_dense(8 * 3 * 3, n_outputs, activation="softmax")
    >>> X, y = load_digits(return_X_y=True)
    >>> model = NeuralNetClassifier(build, input_shape=(1, 8, 8), early_stopping=True, random_state=0)
    >>> model.fit(X / 16, y).score(X / 16, y) > 0.9
    True
    """


class NeuralNetRegressor(Regression, Wrapper):
    """Regressor of any architecture: a function builds the network, with its optimizer and learning rate.

    Parameters
    ----------
    build : callable
        ``build(n_features, n_outputs, rng) -> NeuralNet`` returns a new network with one output per target; see
        NeuralNetClassifier.
    input_shape : tuple of int, optional
        See NeuralNetClassifier.
    loss : str, optional
        A key of ``losses.LOSSES``, by default "mse".
    batch_size, max_iter, random_state, tol, verbose, warm_start, early_stopping, validation_fraction, n_iter_no_change
        See MLPClassifier.

    Attributes
    ----------
    net_, n_features_in_, feature_names_in_, n_outputs_, loss_, best_loss_, loss_curve_, n_iter_, t_
        See NeuralNetClassifier.
    validation_scores_, best_validation_score_
        With ``early_stopping``: R² of every epoch, and the best.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from enilnets import NeuralNet
    >>> from enilnets.sklearn import NeuralNetRegressor
    >>> def build(n_features, n_outputs, rng):
    ...     net = NeuralNet(learning_rate=0.05, l2_lambda=0.0, rng=rng)
    ...     return net.add_dense(n_features, 100).add_dense(100, n_outputs, activation="linear")
    >>> X, y = make_friedman1(300, random_state=0)
    >>> NeuralNetRegressor(build, max_iter=500, random_state=0).fit(X, y).score(X, y) > 0.8
    True
    """
