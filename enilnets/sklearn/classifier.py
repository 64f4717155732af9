"""Classification: labels become one output per class, or one yes/no output per label, and come back."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ..errors import ConfigError, DataError, LabelError
from ..losses import one_hot
from ..net import NeuralNet
from ..ops.activation import activate
from .estimator import NetworkEstimator

__all__ = ["Classification"]

Estimator = TypeVar("Estimator", bound="Classification")

#: Loss by the network's last activation; what ends linear speaks in logits.
CLASSES = {"softmax": "cross_entropy", "linear": "softmax_cross_entropy"}
LABELS = {"sigmoid": "binary_cross_entropy", "linear": "bce_logits"}


class Classification(ClassifierMixin, NetworkEstimator):
    """The task of the classifiers: one class per sample, or a 0/1 column per label (multilabel)."""

    _multilabel: bool

    def fit(self: Estimator, X: Any, y: Any, sample_weight: Any = None) -> Estimator:
        """Train on all data until the loss or, with ``early_stopping``, the validation score stops improving.

        Parameters
        ----------
        X : array_like (samples, features)
        y : array_like (samples,) or (samples, labels)
            Classes of any kind that sorts, numbers or strings; or 0 and 1 per label, for several labels per sample.
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

    def partial_fit(self: Estimator, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Estimator:
        """Train for one epoch on the data given, going on from where training is.

        Parameters
        ----------
        X, y
            As for ``fit``; ``y`` need not hold all classes.
        sample_weight : array_like (samples,), optional
            As for ``fit``.
        classes : array_like (classes,), optional
            All classes that will ever come; needed in the first call, unless ``y`` holds several labels per sample.

        Returns
        -------
        self
        """
        if classes is None and not hasattr(self, "net_") and type_of_target(y) != "multilabel-indicator":
            raise ConfigError(f"{type(self).__name__}.partial_fit(classes)", "all classes in the first call", "None")
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each sample, or 0 and 1 per label.

        Parameters
        ----------
        X : array_like (samples, features)

        Returns
        -------
        ndarray (samples,) of classes, or (samples, labels) of int
        """
        outputs = self._outputs(X)
        return self._yes(outputs).astype(np.int64) if self._multilabel else self.classes_[outputs.argmax(1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, in the order of ``classes_``, or of each label.

        Parameters
        ----------
        X : array_like (samples, features)

        Returns
        -------
        ndarray (samples, classes) or (samples, labels)
        """
        outputs = self._outputs(X)
        return activate(self._head(), outputs) if self.net_.head == "linear" else outputs

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of ``predict_proba``."""
        with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf
            return np.log(self.predict_proba(X))

    # What NetworkEstimator asks of a task

    def _head(self) -> str:
        return "sigmoid" if self._multilabel else "softmax"

    def _loss_of(self, net: NeuralNet) -> str:
        losses = LABELS if self._multilabel else CLASSES
        if net.head not in losses:
            targets = "several labels per sample" if self._multilabel else "classes"
            expected = f"a network that ends in {' or '.join(losses)} for {targets}"
            raise ConfigError(f"{type(self).__name__}.fit", expected, net.head)
        return losses[net.head]

    def _encode(self, y: Any, first: bool, classes: Any = None) -> np.ndarray:
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        multilabel = kind == "multilabel-indicator"
        if kind == "multiclass-multioutput" or (not first and multilabel != self._multilabel):
            expected = "one class per sample, or 0 and 1 per label" if first else "targets like those of the first fit"
            raise DataError(f"{type(self).__name__}.fit(y)", expected, kind)
        self._multilabel = multilabel
        return self._encode_labels(y, first) if multilabel else self._encode_classes(y, first, classes)

    def _encode_labels(self, y: Any, first: bool) -> np.ndarray:
        y = y.toarray() if hasattr(y, "toarray") else y
        if first:
            self.classes_ = np.arange(y.shape[1])
        elif y.shape[1] != len(self.classes_):
            raise DataError(f"{type(self).__name__}.fit(y)", f"{len(self.classes_)} labels", str(y.shape[1]))
        return np.asarray(y != 0, np.float64)

    def _encode_classes(self, y: np.ndarray, first: bool, classes: Any) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        if first:
            self._encoder = LabelEncoder().fit(y if classes is None else classes)
            self.classes_ = self._encoder.classes_
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise LabelError(
                f"{type(self).__name__}.partial_fit(classes)",
                f"the classes of the first call, {self.classes_}",
                classes,
            )
        return one_hot(self._encoder.transform(y), len(self.classes_))

    def _yes(self, outputs: np.ndarray) -> np.ndarray:
        return outputs > (0 if self.net_.head == "linear" else 0.5)

    def _score_outputs(self, outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> float:
        if self._multilabel:
            right = (self._yes(outputs) == (targets > 0.5)).all(1)
        else:
            right = outputs.argmax(1) == targets.argmax(1)
        return float(np.average(right, weights=weights))

    def _strata(self, targets: np.ndarray) -> np.ndarray | None:
        return None if self._multilabel else targets.argmax(1)
