"""Optimizer steps in place over flat vectors, and the norm and finite check that go with them."""

from __future__ import annotations

from .._ext.optim import (
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    amsgrad,
    find_non_finite,
    lamb,
    lion,
    nadam,
    nesterov,
    radam,
    rmsprop,
    sgd,
    squared_norm,
)

__all__ = [
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "find_non_finite",
    "lamb",
    "lion",
    "nadam",
    "nesterov",
    "radam",
    "rmsprop",
    "sgd",
    "squared_norm",
]
