"""HalfPrecision: what is rounded, what is not, and that it trains."""

import numpy as np
import pytest

from enilnets import layers
from enilnets.errors import DTypeError, NonFiniteError
from enilnets.sequence import LSTM, HalfPrecision, evaluate, tasks, train_model


def test_what_is_rounded(rng):
    """C1.14: parameters, inputs, outputs and gradients, but not the parameters that are kept."""
    model, X, y = LSTM(3, 4, 2, rng=0), rng.normal(size=(5, 6, 3)), rng.integers(0, 2, 5)
    seen = model.clone()
    seen.set_params({name: value.astype(np.float16) for name, value in model.get_params().items()})
    exact = seen.gradients(X.astype(np.float16).astype(float), y)
    half, before = HalfPrecision(model, loss_scale=8.0), model.get_params()
    loss, outputs, gradients = half.gradients(X, y)
    assert loss == exact[0]
    np.testing.assert_array_equal(outputs, exact[1].astype(np.float16))
    np.testing.assert_array_equal(half.forward(X), outputs)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, (exact[2][name] * 8).astype(np.float16).astype(float) / 8)
        np.testing.assert_array_equal(half.get_params()[name], before[name])


def test_the_scale_keeps_small_gradients(rng):
    """C1.14: float16 has nothing between 0 and 6e-8; nor anything above 65504."""
    model, X = LSTM(3, 4, 1, rng=0), rng.integers(-3, 3, (2, 3, 3)).astype(float)
    model.set_params({name: value.astype(np.float16) for name, value in model.get_params().items()})
    y = model.forward(X) - 1e-8  # the gradient of b_out is 2e-8
    for scale, kept in ((1.0, False), (1e4, True)):
        assert (HalfPrecision(model, scale).gradients(X, y, "regression")[2]["b_out"][0, 0] > 0) == kept
    with pytest.raises(NonFiniteError, match="loss_scale"):
        HalfPrecision(model, 1e9).gradients(X, y + 1, "regression")


@pytest.mark.parametrize("model", [None, layers.LSTM(3, 4)])
def test_only_models_of_this_package(model):
    with pytest.raises(DTypeError, match=r"HalfPrecision\(model\)"):
        HalfPrecision(model)


def test_it_trains():
    """C1.14"""
    X, y = tasks.largest_of_last_step(300, length=4, features=4, rng=0)
    model = HalfPrecision(LSTM(4, 8, 3, rng=0))
    train_model(model, (X[:240], y[:240]), epochs=15, learning_rate=0.02, optimizer="adam", verbose=False, rng=0)
    assert evaluate(model, X[240:], y[240:])[1] > 0.75
