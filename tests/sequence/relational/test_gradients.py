"""Numerical gradients of models of the three methods, and clipping."""

import numpy as np
import pytest

from enilnets.errors import ConfigError, DTypeError, NonFiniteError
from enilnets.sequence import (
    LSTM,
    clip_gradients,
    compute_numerical_gradient,
    compute_numerical_gradient_fast,
    cross_entropy_loss,
    mse_loss,
)

NUMERICAL = [compute_numerical_gradient, compute_numerical_gradient_fast]


class Linear:
    """The smallest model of the three methods, written as the documentation shows it."""

    def __init__(self):
        self.W, self.b = np.array([[1.0, -2.0]]), np.array([0.5])

    def forward(self, X, return_sequences=False):
        return (X if return_sequences else X[:, -1]) @ self.W.T + self.b

    def get_params(self):
        return {"W": self.W, "b": self.b}

    def set_params(self, params):
        self.W, self.b = params["W"], params["b"]


X, Y = np.array([[[3.0, 4.0], [1.0, 2.0]], [[5.0, 6.0], [0.0, 1.0]]]), np.array([[0.5], [-0.5]])
#: Outputs at the last steps are -2.5 and -1.5, the errors -3 and -1, and d mse = 2 / 2 (-3 x1 - 1 x2).
BY_HAND = {"W": np.array([[-3.0, -7.0]]), "b": np.array([-4.0])}


def test_central_differences():
    """C1.3: the gradient of a quadratic is exact but for rounding; the parameters are the same bits afterwards."""
    model = Linear()
    before = {name: value.copy() for name, value in model.get_params().items()}
    gradients = compute_numerical_gradient(model, X, Y, mse_loss)
    for name, expected in BY_HAND.items():
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-9)
        np.testing.assert_array_equal(model.get_params()[name], before[name])


@pytest.mark.parametrize("gradient", NUMERICAL)
def test_parameters_come_back_even_if_the_loss_raises(gradient):
    """C1.3"""
    model, calls = Linear(), []
    before = model.W.copy()

    def failing(outputs, targets):
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("no loss")
        return 0.0

    with pytest.raises(RuntimeError, match="no loss"):
        gradient(model, X, Y, failing)
    np.testing.assert_array_equal(model.W, before)


def test_random_directions_are_unbiased():
    """C-5, C3.2: the mean of 2,000 has a cosine above 0.95 with the gradient, and its length within 10 %."""
    rng = np.random.default_rng(0)
    model, x, labels = LSTM(3, 4, 2, rng=0), rng.normal(size=(6, 4, 3)), rng.integers(0, 2, 6)
    exact = model.gradients(x, labels)[2]
    rough = compute_numerical_gradient_fast(model, x, labels, cross_entropy_loss, n_samples=2000, rng=1)
    a, b = (np.concatenate([grads[name].ravel() for name in exact]) for grads in (exact, rough))
    assert a.size <= 300 and a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.95
    assert abs(a @ b / (a @ a) - 1) < 0.1


def test_random_directions_by_hand():
    """C1.4: of a quadratic, one sample is (g . z) z for z of signs; the same rng draws the same."""
    gradients = compute_numerical_gradient_fast(Linear(), X, Y, mse_loss, n_samples=1, rng=3)
    again = compute_numerical_gradient_fast(Linear(), X, Y, mse_loss, n_samples=1, rng=3)
    flat = np.concatenate([gradients["W"].ravel(), gradients["b"]])
    assert len(np.unique(np.abs(flat).round(6))) == 1
    z = np.sign(flat)  # or its negative, which gives the same
    np.testing.assert_allclose(flat, np.array([-3.0, -7.0, -4.0]) @ z * z, rtol=1e-8)
    for name, value in again.items():
        np.testing.assert_array_equal(value, gradients[name])


@pytest.mark.parametrize("gradient", NUMERICAL)
def test_what_is_refused(gradient):
    with pytest.raises(ConfigError, match="epsilon"):
        gradient(Linear(), X, Y, mse_loss, epsilon=0)
    with pytest.raises(ConfigError, match="without get_params, set_params"):
        gradient(type("Half", (), {"forward": lambda self, X: X})(), X, Y, mse_loss)
    model = Linear()
    model.W = np.array([[1, 2]])
    with pytest.raises(DTypeError, match="W of dtype int64"):
        gradient(model, X, Y, mse_loss)


def test_clipping():
    """C1.5: unchanged below the limit, scaled to it above; the norm is that before."""
    gradients = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    same, norm = clip_gradients(gradients, max_norm=5.0)
    assert norm == 5.0
    for name, value in gradients.items():
        np.testing.assert_array_equal(same[name], value)
    clipped, norm = clip_gradients(gradients, max_norm=2.5)
    assert norm == 5.0
    np.testing.assert_allclose(clipped["a"], [1.5, 0.0])
    np.testing.assert_allclose(clipped["b"], [[2.0]])
    assert gradients["b"][0, 0] == 4.0
    assert clip_gradients({"a": np.full(4, 10.0)})[1] == 20.0
    with pytest.raises(NonFiniteError):
        clip_gradients({"a": np.array([1e200])})
    with pytest.raises(ConfigError, match="max_norm"):
        clip_gradients(gradients, max_norm=0)
    with pytest.raises(DTypeError, match=r"clip_gradients\(gradients\)"):
        clip_gradients([1.0, 2.0])
