"""The actor: B1.11 to B1.14, defect 8 of B3."""

import numpy as np
import pytest

from enilnets.autodiff import Tensor, no_grad
from enilnets.errors import ConfigError, ShapeError
from enilnets.sequence import Actor
from enilnets.sequence.eigen3.actor import coefficient, sale_target
from tests.gradients import check_direction
from tests.sequence.eigen3.shake import shake

TINY = dict(extractor=dict(cnn_filters=4, lstm_hidden_size=4), hidden_sizes=(12, 8), head_size=6, num_heads=2)


def small(**settings):
    return Actor(**{"num_columns": 9, "investable": (2, 6), "rng": 0, **TINY, **settings})


def states(rng, batch=2, time=7, columns=9):
    return rng.normal(size=(batch, time, columns, 5))


def test_documented_sizes():
    """B1.11, B1.12, B2: 988,226 parameters; 108 stocks, columns 8 to 115; weights over 669 columns."""
    actor = Actor(rng=0)
    assert sum(parameter.size for _, parameter in actor.named_parameters()) == 988_226
    assert actor.investable == slice(8, 116) and actor.num_stocks == 108
    assert [actor.stock.layers[i].parameters["weights"].value.shape for i in (0, 2)] == [(256, 256), (128, 256)]
    assert actor.coefficient.layers[1].rate == actor.stock.layers[1].rate == 0.2
    with no_grad():
        actions, weights = actor(states(np.random.default_rng(0), 1, 3, 669), return_attention_weights=True)
    assert actions.shape == (1, 108, 2) and weights.shape == (1, 669)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)


def test_weights_on_request(rng):
    """B1.11: (actions, None) unless they are asked for, and without attention."""
    actor, x = small(), states(rng)
    actions, weights = actor(x, train=False)
    assert actions.shape == (2, 5, 2) and weights is None
    assert actor(x, return_attention_weights=True)[1].shape == (2, 9)
    without = small(use_attention=False)
    assert without(x, return_attention_weights=True)[1] is None
    assert not any("attention" in name for name, _ in without.named_parameters())


def test_investable_columns(rng):
    """B1.12: without attention to the others, an action moves with its own column and the mean alone."""
    actor = small(use_attention=False, dtype="float64")
    features = rng.normal(size=(1, 9, 8))
    moved = features.copy()
    moved[0, 4] += 1.0
    moved[0, 8] -= 1.0  # the mean stays, and column 8 cannot be bought
    change = np.abs(actor.from_features(moved)[0].data - actor.from_features(features)[0].data).max(axis=(0, 2))
    assert np.flatnonzero(change > 1e-9).tolist() == [2]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(-1e4, 0.0), (-1.0, 0.1 / (1 + np.e**2)), (0.0, 0.05), (1e-9, 1.5), (2.0, np.e + 0.5), (20.0, np.e**10 + 0.5)],
)
def test_coefficient(raw, expected):
    """B1.13, B3.8: by hand, the jump at 0 and what is not bounded included."""
    np.testing.assert_allclose(coefficient(Tensor([raw])).data, [expected], rtol=1e-7, atol=1e-12)


def test_coefficient_does_not_overflow(dtype):
    """B1.13: raw outputs above 80 count as 80; the gradient is finite everywhere."""
    raw = Tensor(np.array([-1e30, -100, 80, 81, 1e30], dtype), requires_grad=True)
    value = coefficient(raw)
    value.sum().backward()
    assert value.dtype == dtype and np.isfinite(value.data).all() and np.isfinite(raw.grad).all()
    assert (value.data >= 0).all() and value.data[2] == value.data[3] == value.data[4]
    assert np.isfinite(np.square(value.data)).all()


@pytest.mark.parametrize(("raw", "expected"), [(-1e4, 10.0), (0.0, 30.0), (np.log(3), 40.0), (1e4, 50.0)])
def test_sale_target(raw, expected):
    """B1.14."""
    np.testing.assert_allclose(sale_target(Tensor([raw])).data, [expected], rtol=1e-12)


def test_ranges(rng):
    """B1.13, B1.14, B1.17: whatever the state and the parameters."""
    actor = small()
    for _, parameter in actor.named_parameters():
        parameter.value[...] *= 3
    actions = actor.infer(100 * states(rng, 8))
    assert ((actions[..., 0] >= 1.5) | ((actions[..., 0] >= 0) & (actions[..., 0] <= 0.1))).all()
    assert ((actions[..., 1] >= 10) & (actions[..., 1] <= 50)).all()


@pytest.mark.parametrize("use_attention", [True, False])
def test_gradients(rng, use_attention):
    """State and every parameter, with dropout under a fixed seed, in float64."""
    actor = small(dtype="float64", use_attention=use_attention)
    shake(actor, rng)
    x, dy = states(rng, time=4), rng.normal(size=(2, 5, 2))

    def forward(x):
        actor.rng = 3
        return actor.forward(x, train=True)

    _, ctx = forward(x)
    dx = actor.backward(ctx, dy, inputs=True)
    check_direction(lambda x: float((forward(x)[0] * dy).sum()), x, dx, rng)
    zero = {"extractor.columns.conv.bias", "attention.key.bias"}  # see AttentionModule, and batch normalisation
    for name, parameter in actor.named_parameters():
        if name in zero:
            np.testing.assert_allclose(parameter.grad, 0, atol=1e-10)
            continue

        def at(value, parameter=parameter):
            before = parameter.value.copy()
            parameter.value[...] = value
            result = float((forward(x)[0] * dy).sum())
            parameter.value[...] = before
            return result

        check_direction(at, parameter.value.copy(), parameter.grad.copy(), rng, eps=1e-4)


def test_every_parameter_learns(rng):
    """B1.17: gradients are non-zero but for the two biases that nothing depends on in training."""
    actor = small(dtype="float64")
    actions, _ = actor(states(rng, 8), train=True)
    (actions**2).mean().backward()
    still = [name for name, parameter in actor.named_parameters() if np.abs(parameter.grad).max() < 1e-12]
    assert set(still) <= {"extractor.columns.conv.bias", "attention.key.bias"}


def test_training_and_inference(rng):
    """B1.17."""
    actor, x = small(), states(rng)
    np.testing.assert_array_equal(actor(x, train=False)[0].data, actor.infer(x))
    assert np.abs(actor(x, train=True)[0].data - actor(x, train=True)[0].data).max() > 1e-3


def test_head_of_features(rng):
    actor, x = small(), states(rng)
    actions, weights = actor(x, return_attention_weights=True)
    again, same = actor.from_features(actor.features(x), return_attention_weights=True)
    np.testing.assert_array_equal(again.data, actions.data)
    np.testing.assert_array_equal(same, weights)


def test_learns_an_action(rng):
    """The model protocol: forward, backward and step bring the actions to where they should be."""
    actor = small(learning_rate=0.01, dropout_rate=0.0)
    x, target = states(rng, 4), np.array([3.0, 22.0])
    errors = []
    for _ in range(80):
        actions, ctx = actor.forward(x, train=True)
        actor.backward(ctx, 2 * (actions - target) / actions.size)
        actor.step()
        errors.append(float(np.square(actions - target).mean()))
    assert errors[-1] < 0.1 * errors[0]


def test_bad_arguments():
    for investable in [(3, 9), (-1, 3), (5, 4), 3, (1, 2, 3)]:
        with pytest.raises(ConfigError, match=r"Actor\(investable\)"):
            small(investable=investable)
    for extractor in ({"lstm_size": 3}, {"num_columns": 3}, 3):
        with pytest.raises(ConfigError, match=r"Actor\(extractor\)"):
            small(extractor=extractor)
    for hidden_sizes in ((3,), 3, (3, 0), "ab"):
        with pytest.raises(ConfigError, match=r"Actor\(hidden_sizes\)"):
            small(hidden_sizes=hidden_sizes)
    with pytest.raises(ShapeError, match="FeatureExtractor"):
        small()(np.zeros((1, 5, 8, 5)))


def test_features_of_other_columns_are_refused(rng):
    actor = small()
    right = actor.features(states(rng)).data
    for wrong in (right[:, :-1], right[..., :-1], right[0]):
        with pytest.raises(ShapeError, match=r"Actor\(features\)"):
            actor.from_features(wrong)
