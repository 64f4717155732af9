"""Multi-layer perceptrons with the arguments that users of scikit-learn's own know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import checks
from ..net import NeuralNet
from ..ops.activation import ACTIVATIONS
from ..optim import OPTIMIZERS, SGD, Adam, Optimizer
from .classifier import Classification
from .estimator import NetworkEstimator
from .regressor import Regression

__all__ = ["MLPClassifier", "MLPRegressor"]

#: scikit-learn's names of activations that have another one here.
NAMES = {"identity": "linear", "logistic": "sigmoid"}

LEARNING_RATES = ("constant", "invscaling", "adaptive")

#: "adaptive" divides the learning rate by 5 until it is no larger than this.
SMALLEST_ADAPTIVE = 1e-6


class MLP(NetworkEstimator):
    """The multi-layer perceptron of either task; ``MLPClassifier`` describes the parameters."""

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weights (n_in, n_out) of every layer: views, so what is written to them counts."""
        return [layer["weights"].T for layer in self.net_.layers]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases (n_out,) of every layer: views."""
        return [layer["bias"] for layer in self.net_.layers]

    @property
    def n_layers_(self) -> int:
        """Number of layers, the input's counted too."""
        return len(self.net_.layers) + 1

    @property
    def out_activation_(self) -> str:
        """Activation of the output: "softmax", "logistic" (several labels per sample) or "identity"."""
        return {ours: theirs for theirs, ours in NAMES.items()}.get(self.net_.head, self.net_.head)

    # What NetworkEstimator asks of a kind of network

    def _check_settings(self) -> None:
        super()._check_settings()
        where = type(self).__name__
        checks.choice(where, "activation", self.activation, {**NAMES, **ACTIVATIONS})
        checks.choice(where, "solver", self.solver, OPTIMIZERS)
        checks.choice(where, "learning_rate", self.learning_rate, LEARNING_RATES)
        checks.number(where, "learning_rate_init", self.learning_rate_init, 0.0, above=True)
        for name in ("alpha", "power_t"):
            checks.number(where, name, getattr(self, name), 0.0)
        checks.fraction(where, "momentum", self.momentum)
        checks.flag(where, "nesterovs_momentum", self.nesterovs_momentum)
        for name in ("beta_1", "beta_2"):
            checks.fraction(where, name, getattr(self, name), one=False)
        checks.number(where, "epsilon", self.epsilon, 0.0, above=True)
        for width in self._hidden_layer_sizes():
            checks.size(where, "hidden_layer_sizes", width)

    def _hidden_layer_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        return list(sizes) if isinstance(sizes, Iterable) else [sizes]

    def _make_net(self, n_features: int, n_outputs: int, dtype: np.dtype, rng: np.random.Generator) -> NeuralNet:
        net = NeuralNet(self.learning_rate_init, self._optimizer(), l2_lambda=0.0, dtype=dtype, rng=rng)
        n_in, activation = n_features, NAMES.get(self.activation, self.activation)
        for width in self._hidden_layer_sizes():
            net.add_dense(n_in, width, activation)
            n_in = width
        return net.add_dense(n_in, n_outputs, self._head())

    def _optimizer(self) -> str | Optimizer:
        if self.solver == "adam":
            return Adam(self.beta_1, self.beta_2, self.epsilon)
        return SGD(self.momentum, self.nesterovs_momentum) if self.solver == "sgd" else self.solver

    def _begin(self, batch_weight: float, restart: bool) -> None:
        # scikit-learn divides the penalty, like the loss, by the samples of a batch, or by their weights.
        self.net_.l2_lambda = self.alpha / batch_weight
        if restart:
            self.net_.learning_rate = self.learning_rate_init

    def _epoch_ended(self) -> None:
        if self.solver == "sgd" and self.learning_rate == "invscaling":
            self.net_.learning_rate = self.learning_rate_init / (self.t_ + 1) ** self.power_t

    def _slowed_down(self) -> bool:
        adaptive = self.solver == "sgd" and self.learning_rate == "adaptive"
        if not adaptive or self.net_.learning_rate <= SMALLEST_ADAPTIVE:
            return False
        self.net_.learning_rate /= 5
        return True


class MLPClassifier(Classification, MLP):
    """Multi-layer perceptron for classes, or for several labels per sample, behind scikit-learn's interface.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int >= 1, default (100,)
        Width of every hidden layer.
    activation : str, default "relu"
        Of the hidden layers: "identity", "logistic", or a key of ``ops.activation.ACTIVATIONS``.
    solver : str, default "adam"
        A key of ``optim.OPTIMIZERS``.
    alpha : float >= 0, default 0.0001
        L2 penalty on the network's weights, divided by the batch size times the mean weight of the samples.
    batch_size : int >= 1 or "auto", default "auto"
        "auto" is ``min(200, samples)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default "constant"
        For ``solver="sgd"``. With t samples seen, "invscaling" is ``learning_rate_init / (t + 1)**power_t`` after
        every epoch; "adaptive" divides the rate by 5 where training would have stopped, down to 1e-6.
    learning_rate_init : float > 0, default 0.001
    power_t : float >= 0, default 0.5
    max_iter : int >= 1, default 200
        Largest number of epochs; reaching it is a ConvergenceWarning.
    random_state : None, int or RandomState
        Source of all randomness: initial weights, order of the samples, the validation part.
    tol : float >= 0, default 1e-4
        An epoch improves if its loss, or its validation score, is better than the best one by this much.
    verbose : bool or int, default False
        Print the loss, and the validation score, of every epoch.
    warm_start : bool, default False
        ``fit`` goes on from where training is, instead of from new weights.
    momentum : float in [0, 1], default 0.9
        For ``solver="sgd"``.
    nesterovs_momentum : bool, default True
        For ``solver="sgd"``: Nesterov's momentum, see ``optim.SGD``, or else heavy-ball.
    early_stopping : bool, default False
        Set a part of the data aside, stop when the score on it stops improving, and keep the best weights.
    validation_fraction : float in (0, 1), default 0.1
        Size of that part, which holds all classes in their proportions.
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
        For ``solver="adam"``.
    epsilon : float > 0, default 1e-8
        For ``solver="adam"``.
    n_iter_no_change : int >= 1 or inf, default 10
        Training stops after more epochs than this in a row without improvement.

    Attributes
    ----------
    net_ : NeuralNet
        The network itself, in float32 if the first ``X`` was and in float64 otherwise.
    classes_ : ndarray (classes,)
        The classes in order; the numbers of the labels where a sample has several.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases of every layer.
    loss_, best_loss_ : float
    loss_curve_ : list of float
        Mean loss of every epoch on the batches as they were trained on, without the penalty.
    validation_scores_ : list of float or None
        With ``early_stopping``: accuracy of every epoch.
    best_validation_score_ : float or None
    n_iter_, t_ : int
        Epochs of the last fit; samples seen in all.
    n_layers_, n_outputs_ : int
    out_activation_ : str

    Notes
    -----
    Different from scikit-learn's: two classes are two softmax outputs, not one logistic output; weights are drawn by
    Glorot & Bengio 2010, eq. 16, for every activation, and biases begin at zero; ``X`` is dense. There is no
    ``solver="lbfgs"``, no ``shuffle`` (samples are) and no ``max_fun``.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from enilnets.sklearn import MLPClassifier
    >>> X, y = make_moons(noise=0.1, random_state=0)
    >>> model = MLPClassifier(learning_rate_init=0.02, n_iter_no_change=20, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95, model.predict_proba(X).shape
    (True, (100, 2))
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(Regression, MLP):
    """Multi-layer perceptron for one number per sample, or several, behind scikit-learn's interface.

    Parameters
    ----------
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter
        See MLPClassifier.
    random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction
        See MLPClassifier.
    beta_1, beta_2, epsilon, n_iter_no_change
        See MLPClassifier.

    Attributes
    ----------
    net_, n_features_in_, feature_names_in_, coefs_, intercepts_, loss_, best_loss_, loss_curve_, n_iter_, t_
        See MLPClassifier; the loss is the mean squared error.
    validation_scores_, best_validation_score_
        With ``early_stopping``: R² of every epoch, and the best.
    n_layers_, n_outputs_, out_activation_
        See MLPClassifier.

    Notes
    -----
    The loss is the mean squared error, twice scikit-learn's for one target. Adam does not notice; with
    ``solver="sgd"`` the same steps need half the ``learning_rate_init`` and twice the ``alpha``. There is no
    ``loss=``. What else differs, MLPClassifier says.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from enilnets.sklearn import MLPRegressor
    >>> X, y = make_friedman1(300, random_state=0)
    >>> model = MLPRegressor(learning_rate_init=0.05, max_iter=500, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.8
    True
    """
