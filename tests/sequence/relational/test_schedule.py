"""The documented decay and early stopping."""

import math

import numpy as np
import pytest

from enilnets.errors import ConfigError, DTypeError, StateError
from enilnets.sequence import EarlyStopping, learning_rate_schedule


def test_learning_rate_schedule():
    """C1.6"""
    assert learning_rate_schedule(0) == learning_rate_schedule(9) == 0.001
    assert learning_rate_schedule(10) == pytest.approx(0.00095)
    assert learning_rate_schedule(7, initial_lr=1.0, decay=0.5, decay_every=2) == 0.125
    for name, arguments in {"epoch": (-1,), "decay": (0, 0.1, 1.5), "decay_every": (0, 0.1, 0.9, 0)}.items():
        with pytest.raises(ConfigError, match=name):
            learning_rate_schedule(*arguments)


def test_early_stopping():
    """C1.7: an improvement is a loss below the best less min_delta; the best parameters are copies."""
    stopping, params = EarlyStopping(patience=2, min_delta=0.1), {"w": np.array([1.0])}
    assert not stopping(1.0, params)
    params["w"][0] = 2.0
    assert not stopping(0.95, params)  # not by more than 0.1
    assert stopping(0.9, params) and stopping.best_loss == 1.0
    best = stopping.get_best_params()
    best["w"][0] = 7.0
    assert stopping.get_best_params()["w"][0] == 1.0
    assert not stopping(0.8, params) and stopping.get_best_params()["w"][0] == 2.0
    assert (EarlyStopping().patience, EarlyStopping().min_delta) == (10, 1e-4)


def test_early_stopping_without_a_finite_loss():
    stopping = EarlyStopping(patience=2)
    with pytest.raises(StateError, match="get_best_params"):
        stopping.get_best_params()
    assert not stopping(math.nan, {}) and stopping(math.nan, {})
    with pytest.raises(ConfigError, match="patience"):
        EarlyStopping(patience=0)
    for loss, params, match in (("a", {}, "val_loss"), (None, {}, "val_loss"), (0.5, None, "model_params")):
        with pytest.raises(DTypeError, match=match):
            stopping(loss, params)
    assert not EarlyStopping()(np.float32(0.5), {})
