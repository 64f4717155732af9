"""enilnets.policy_gradients: gradients against finite differences of formulas written out here, and extremes."""

import math

import numpy as np
import pytest

from enilnets.errors import DTypeError, LabelError, NonFiniteError, ShapeError
from enilnets.policy_gradients import Categorical, Gaussian, as_actions, as_column, clipped_surrogate, reinforce
from tests.gradients import check_direction


def log_probs(kind, outputs, actions, std):
    """Log-probabilities by the textbook, and entropies."""
    if kind is Categorical:
        p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
        return np.log(p[np.arange(len(p)), actions]), -(p * np.log(p)).sum(axis=1)
    density = np.exp(-((actions - outputs) ** 2) / (2 * std**2)) / np.sqrt(2 * math.pi * std**2)
    return np.log(density.prod(axis=1)), np.full(
        len(outputs), outputs.shape[1] * np.log(std * np.sqrt(2 * np.pi * np.e))
    )


def example(kind, rng, n=60):
    outputs = rng.normal(size=(n, 3))
    actions = rng.integers(3, size=n) if kind is Categorical else outputs + rng.normal(size=(n, 3))
    return outputs, actions


def policy(kind, outputs):
    return kind(outputs) if kind is Categorical else kind(outputs, 0.7)


KINDS = pytest.mark.parametrize("kind", [Categorical, Gaussian])


@KINDS
def test_log_probs_and_entropy_by_the_textbook(kind, rng):
    outputs, actions = example(kind, rng)
    expected, entropy = log_probs(kind, outputs, actions, 0.7)
    np.testing.assert_allclose(policy(kind, outputs).log_prob(actions), expected, rtol=1e-12)
    np.testing.assert_allclose(policy(kind, outputs).entropy(), entropy, rtol=1e-12)


@KINDS
def test_reinforce(kind, rng):
    outputs, actions = example(kind, rng)
    weights = rng.normal(size=len(outputs))

    def objective(z):
        return -np.mean(weights * log_probs(kind, z, actions, 0.7)[0])

    got = reinforce(policy(kind, outputs), actions, weights)
    assert got.value == pytest.approx(objective(outputs), rel=1e-12)
    check_direction(objective, outputs, got.gradient, rng, rtol=1e-7)


@KINDS
@pytest.mark.parametrize("entropy_coeff", [0.0, 0.3])
@pytest.mark.parametrize("epsilon", [0.0, 0.2, 1.5])
def test_clipped_surrogate(kind, epsilon, entropy_coeff, rng):
    outputs, actions = example(kind, rng)
    now, _ = log_probs(kind, outputs, actions, 0.7)
    advantages, shift = rng.normal(size=len(now)), rng.choice([-1.2, -0.1, 0.1, 1.2], size=len(now))
    old = now - shift
    for sign in (-1, 1):  # every branch of the minimum is among the samples
        assert len(set(shift[sign * advantages > 0])) == 4

    def objective(z):
        log_prob, entropy = log_probs(kind, z, actions, 0.7)
        r = np.exp(log_prob - old)
        surrogate = np.minimum(r * advantages, np.clip(r, 1 - epsilon, 1 + epsilon) * advantages)
        return -surrogate.mean() - entropy_coeff * entropy.mean()

    got = clipped_surrogate(policy(kind, outputs), actions, old, advantages, epsilon, entropy_coeff)
    entropy = log_probs(kind, outputs, actions, 0.7)[1].mean()
    assert got.value == pytest.approx(objective(outputs) + entropy_coeff * entropy, rel=1e-12)
    assert got.statistics["entropy"] == pytest.approx(entropy, rel=1e-12)
    assert got.statistics["approx_kl"] == pytest.approx(-shift.mean(), rel=1e-9)
    r = np.exp(shift)
    cut = ((r > 1 + epsilon) & (advantages > 0)) | ((r < 1 - epsilon) & (advantages < 0))
    assert got.statistics["clip_fraction"] == cut.mean()
    check_direction(objective, outputs, got.gradient, rng, rtol=1e-7)


def test_clipped_samples_have_no_gradient():
    # probabilities 1/2, old ones 1/4 (r = 2) and 1 (r = 1/2); advantages of both signs: the gradient is -r A / n of
    # log p where the minimum takes r A, so for r = 2 with A = -1 and for r = 1/2 with A = 1.
    logits, actions = np.zeros((4, 2)), np.array([0, 0, 0, 0])
    old, advantages = np.log([0.25, 0.25, 1.0, 1.0]), np.array([1.0, -1.0, 1.0, -1.0])
    got = clipped_surrogate(Categorical(logits), actions, old, advantages, 0.2, 0.0)
    expected = [[0, 0], [0.25, -0.25], [-0.0625, 0.0625], [0, 0]]
    np.testing.assert_allclose(got.gradient, expected, atol=1e-15)
    assert got.value == pytest.approx(-(1.2 - 2 + 0.5 - 0.8) / 4)
    assert got.statistics["clip_fraction"] == 0.5


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_logits_of_1e4(kind):
    logits = np.array([[1e4, 0, -1e4], [0, 1e4, 1e4], [-1e4, 0, -np.inf]], kind)
    actions, weights = np.array([2, 1, 0]), np.ones(3, kind)
    categorical = Categorical(logits)
    np.testing.assert_allclose(categorical.log_prob(actions), [-2e4, -math.log(2), -1e4], rtol=1e-6)
    np.testing.assert_allclose(categorical.entropy(), [0, math.log(2), 0], rtol=1e-6)
    gradient = reinforce(categorical, actions, weights).gradient
    assert gradient.dtype == kind
    np.testing.assert_allclose(3 * gradient, [[1, 0, -1], [0, -0.5, 0.5], [-1, 1, 0]], rtol=1e-6)
    for advantage in (-1, 0, 1):
        got = clipped_surrogate(categorical, actions, np.full(3, -1, kind), advantage * weights, 0.2, 0.01)
        assert math.isfinite(got.value) and np.isfinite(got.gradient).all() and got.gradient.dtype == kind


def test_ratios_overflow_only_where_they_count():
    policy, old = Categorical(np.zeros((2, 2))), np.full(2, -1e4)  # log ratio of nearly 1e4
    clipped = clipped_surrogate(policy, np.array([0, 1]), old, np.array([1.0, 0.0]), 0.2, 0.0)
    assert clipped.value == pytest.approx(-0.6) and not clipped.gradient.any()
    with pytest.raises(NonFiniteError, match="clipped_surrogate: expected a finite objective"):
        clipped_surrogate(policy, np.array([0, 1]), old, np.array([-1.0, 1.0]), 0.2, 0.0)
    with pytest.raises(NonFiniteError, match="reinforce"):
        reinforce(Gaussian(np.zeros((1, 1)), 1e-200), np.ones((1, 1)), np.ones(1))


def test_actions():
    assert as_actions("f", "discrete", np.array([0, 2], np.uint8), (2, 3), np.dtype(float)).tolist() == [0, 2]
    assert as_actions("f", "continuous", [[1, 2, 3]], (1, 3), np.dtype(float)).dtype == np.float64
    for bad, error, message in (
        ([0.0, 1.0], LabelError, "integers"),
        ([True, False], LabelError, "integers"),
        ([0, 3], LabelError, r"\[0, 3\), got 3 at index 1"),
        ([-1, 0], LabelError, "-1 at index 0"),
        ([[0], [1]], ShapeError, r"shape \(2,\)"),
        ([0], ShapeError, r"shape \(2,\)"),
        (["a", "b"], DTypeError, "real numbers"),
        (None, DTypeError, "real numbers"),
    ):
        with pytest.raises(error, match=message):
            as_actions("f", "discrete", bad, (2, 3), np.dtype(float))
    for bad in (np.zeros(2), np.zeros((1, 2)), np.zeros((2, 2)), 0.0):
        with pytest.raises(ShapeError, match=r"f\(actions\): expected shape \(2, 1\)"):
            as_actions("f", "continuous", bad, (2, 1), np.dtype(float))


def test_columns():
    for good in ([1, 2], [[1], [2]], np.ones((2, 1), np.float32)):
        assert as_column("f", "returns", good, 2, np.dtype(float)).shape == (2,)
    for bad in (1.0, [[1, 2]], [1], [[1, 1], [2, 2]], np.ones((2, 1, 1))):
        with pytest.raises(ShapeError, match=r"f\(returns\): expected shape \(2,\) or \(2, 1\)"):
            as_column("f", "returns", bad, 2, np.dtype(float))
