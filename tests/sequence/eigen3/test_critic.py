"""The critics: B1.15 and B1.16, gradients of actions, features made once."""

import numpy as np
import pytest

from enilnets.autodiff import Tensor, grad, no_grad
from enilnets.errors import DataError, ShapeError
from enilnets.sequence import Critic, DoubleCritic
from tests.gradients import check_direction
from tests.sequence.eigen3.shake import shake

TINY = dict(extractor=dict(cnn_filters=4, lstm_hidden_size=4), hidden_sizes=(12, 8), num_heads=2)
KINDS = [Critic, DoubleCritic]


def small(kind=Critic, **settings):
    return kind(**{"num_columns": 6, "num_stocks": 3, "rng": 0, **TINY, **settings})


def batch(rng, n=2, time=7):
    action = np.stack((np.abs(rng.normal(size=(n, 3))), rng.uniform(10, 50, (n, 3))), axis=2)
    return rng.normal(size=(n, time, 6, 5)), action


def test_documented_sizes():
    """B1.15, B1.16, B2: 713,793 parameters, 1,427,586 for two; 256 + 216 = 472 numbers into the dense layers."""
    counts = [sum(parameter.size for _, parameter in kind(rng=0).named_parameters()) for kind in KINDS]
    assert counts == [713_793, 1_427_586]
    critic = Critic(rng=0)
    assert [layer["weights"].shape for layer in critic.mlp.layers[::2]] == [(256, 472), (128, 256), (1, 128)]
    assert [layer.rate for layer in critic.mlp.layers[1::2]] == [0.2, 0.2]
    rng = np.random.default_rng(0)
    state, action = rng.normal(size=(1, 3, 669, 5)), rng.normal(size=(1, 108, 2))
    assert critic.infer((state, action)).shape == (1, 1)
    assert DoubleCritic(rng=0).infer((state, action)).shape == (1, 2)


def test_pools_and_joins(rng):
    """B1.15: the mean over columns and the flat action, through the dense layers, in plain NumPy."""
    critic = small(dtype="float64")
    state, action = batch(rng)
    joined = np.concatenate((critic.extractor.infer(state).mean(axis=1), action.reshape(2, 6)), axis=1)
    for layer in critic.mlp.layers[::2]:
        joined = joined @ layer["weights"].T + layer["bias"]
        joined = np.maximum(joined, 0) if layer["weights"].shape[0] > 1 else joined
    np.testing.assert_allclose(critic(state, action, train=False).data, joined, rtol=1e-12)


def test_scaled_actions(rng):
    """B3.8: with scale_actions the critic reads log(1 + coefficient) and (sale target - 30) / 20."""
    plain, scaled = small(dtype="float64"), small(dtype="float64", scale_actions=True)
    state, action = batch(rng)
    read = np.stack((np.log1p(action[..., 0]), (action[..., 1] - 30) / 20), axis=2)
    assert np.abs(read).max() < 3
    np.testing.assert_allclose(scaled(state, action).data, plain(state, read).data, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{}, {"use_attention": True}, {"scale_actions": True}])
def test_gradients(rng, kind, settings):
    """State, action and every parameter, with dropout under a fixed seed, in float64."""
    critic = small(kind, dtype="float64", **settings)
    shake(critic, rng)
    state, action = batch(rng, time=4)
    action[..., 1] /= 25
    dy = rng.normal(size=(2, 1 if kind is Critic else 2))

    def forward(state, action):
        critic.rng = 3
        return critic.forward((state, action), train=True)

    def value(state=state, action=action):
        return float((forward(state, action)[0] * dy).sum())

    _, ctx = forward(state, action)
    d_state, d_action = critic.backward(ctx, dy, inputs=True)
    check_direction(lambda a: value(action=a), action, d_action, rng)
    check_direction(lambda s: value(state=s), state, d_state, rng)
    for name, parameter in critic.named_parameters():
        if name.endswith(("conv.bias", "key.bias")):
            np.testing.assert_allclose(parameter.grad, 0, atol=1e-10)
            continue

        def at(values, parameter=parameter):
            before = parameter.value.copy()
            parameter.value[...] = values
            result = value()
            parameter.value[...] = before
            return result

        check_direction(at, parameter.value.copy(), parameter.grad.copy(), rng, eps=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_features_made_once(rng, kind):
    """``from_features(features(state), action)`` is the call, and gives the same gradient of the action."""
    critic = small(kind)
    state, action = batch(rng)
    given = Tensor(action, requires_grad=True, dtype="float32")
    whole = critic(state, given, train=False)
    (expected,) = grad(whole.sum(), [given])
    with no_grad():
        features = critic.features(state)
    value = critic.from_features(features, given)
    np.testing.assert_array_equal(value.data, whole.data)
    (found,) = grad(value.sum(), [given])
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert np.asarray(found).any() and not any(parameter.fresh for _, parameter in critic.named_parameters())
    other = batch(rng)[1]
    np.testing.assert_array_equal(critic.from_features(features, other).data, critic(state, other).data)


def test_gradient_of_actions_in_the_protocol(rng):
    """What an actor learns from, without touching the critic's own gradients."""
    critic = small(DoubleCritic)
    state, action = batch(rng)
    q, ctx = critic.forward((state, action))
    _, d_action = critic.backward(ctx, np.ones_like(q), params=False, inputs=True)
    assert d_action.shape == action.shape and d_action.any()
    assert not any(parameter.fresh for _, parameter in critic.named_parameters())


def test_the_two_share_nothing(rng):
    """B1.16: other values from other parameters; the gradient of one leaves the other alone."""
    critics = small(DoubleCritic)
    state, action = batch(rng)
    q = critics(state, action, train=True)
    assert q.shape == (2, 2) and not np.array_equal(q.data[:, 0], q.data[:, 1])
    q[:, 0].sum().backward()
    assert critics.first.mlp.layers[0].parameters["weights"].fresh
    assert not any(parameter.grad.any() for _, parameter in critics.second.named_parameters())
    single = critics.first(state, action)
    np.testing.assert_array_equal(critics(state, action).data[:, :1], single.data)
    assert critics(state, action).min(axis=-1, keepdims=True).shape == (2, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(rng, kind):
    """B1.17; the convolution's bias is taken away by batch normalisation."""
    critic = small(kind, dtype="float64")
    (critic(*batch(rng, 16), train=True) ** 2).mean().backward()
    still = [name for name, parameter in critic.named_parameters() if np.abs(parameter.grad).max() < 1e-12]
    assert all(name.endswith("conv.bias") for name in still)


@pytest.mark.parametrize("kind", KINDS)
def test_training_and_inference(rng, kind):
    """B1.17."""
    critic = small(kind, dropout_rate=0.5)
    state, action = batch(rng)
    np.testing.assert_array_equal(critic(state, action, train=False).data, critic.infer((state, action)))
    assert np.abs(critic(state, action, train=True).data - critic(state, action, train=True).data).max() > 1e-3


def test_learns_a_value(rng):
    """Adam on both critics together: the value of an action is found."""
    critics = small(DoubleCritic, learning_rate=0.01, dropout_rate=0.0, scale_actions=True)
    state, action = batch(rng, 16)
    target = action[..., 0].sum(axis=1, keepdims=True).astype(np.float32)
    errors = [critics.train_batch(lambda q, y: ((q - y) ** 2).mean(), state, action, target) for _ in range(100)]
    assert errors[-1] < 0.1 * errors[0]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_actions(rng, kind):
    critic = small(kind)
    state, action = batch(rng)
    for wrong in (action[:, :2], action[..., :1], action[:1], action[0]):
        with pytest.raises(ShapeError, match=r"Critic\(action\): expected shape \(2, 3, 2\), got shape"):
            critic(state, wrong)
    action[1, 2, 0] = np.nan
    with pytest.raises(DataError, match=r"Critic\(action\): expected finite numbers, got nan at index \(1, 2, 0\)"):
        critic(state, action)


def test_scaled_coefficients_have_a_logarithm(rng):
    state, action = batch(rng)
    action[0, 1, 0] = -1.5
    assert np.isfinite(small()(state, action).data).all()
    with pytest.raises(DataError, match=r"Critic\(action\): expected coefficients > -1, got -1.5"):
        small(scale_actions=True)(state, action)


def test_features_of_other_columns_are_refused(rng):
    critic, (state, action) = small(), batch(rng)
    with pytest.raises(ShapeError, match=r"Critic\(features\)"):
        critic.from_features(critic.features(state).data[:, :-1], action)
