"""Estimators for scikit-learn: networks that go into its pipelines, searches and cross-validation.

The only part of the library that imports scikit-learn (``pip install enilnets[sklearn]``); nothing else imports this.
"""

from __future__ import annotations

try:
    import sklearn  # noqa: F401
except ImportError:
    raise ImportError("enilnets.sklearn needs scikit-learn: pip install enilnets[sklearn]") from None

from .mlp import MLPClassifier, MLPRegressor
from .wrapper import NeuralNetClassifier, NeuralNetRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "NeuralNetClassifier", "NeuralNetRegressor"]
