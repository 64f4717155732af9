"""Optimizer steps in place over flat vectors, and the norm and finite check that go with them."""

from __future__ import annotations

from .._ext.optim import adagrad, adam, find_non_finite, rmsprop, sgd, squared_norm

__all__ = ["adagrad", "adam", "find_non_finite", "rmsprop", "sgd", "squared_norm"]
