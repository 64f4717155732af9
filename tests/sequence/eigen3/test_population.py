"""B1.18 and what goes on around the networks: populations, target networks, copies, files, optimizers."""

import copy

import numpy as np
import pytest

from enilnets.autodiff import no_grad
from enilnets.errors import ConfigError, DataError, ShapeError
from enilnets.sequence import (
    Actor,
    Critic,
    CrossAttentionModule,
    DoubleCritic,
    FeatureExtractor,
    SelfAttentionModule,
    over_population,
    soft_update,
)

SIZES = dict(cnn_filters=3, lstm_hidden_size=4, column_chunk_size=2)
HEADS = dict(extractor=SIZES, num_heads=2, hidden_sizes=(8, 6))
MAKE = {
    "extractor": lambda rng, **more: FeatureExtractor(5, **SIZES, rng=rng, **more),
    "cross": lambda rng, **more: CrossAttentionModule(8, 2, rng=rng, **more),
    "self": lambda rng, **more: SelfAttentionModule(8, 2, rng=rng, **more),
    "actor": lambda rng, **more: Actor(5, investable=(1, 3), head_size=4, **HEADS, rng=rng, **more),
    "critic": lambda rng, **more: Critic(5, num_stocks=3, **HEADS, rng=rng, **more),
    "attentive critic": lambda rng, **more: Critic(5, num_stocks=3, use_attention=True, **HEADS, rng=rng, **more),
    "double": lambda rng, **more: DoubleCritic(5, num_stocks=3, **HEADS, rng=rng, **more),
}


def data(kind, rng):
    state, action = rng.normal(size=(2, 6, 5, 5)), rng.normal(size=(2, 3, 2))
    if kind in ("cross", "self"):
        return rng.normal(size=(2, 5, 8))
    return state if kind in ("extractor", "actor") else (state, action)


def train(model, x, steps=3):
    """Losses of a few steps towards zero."""
    losses = []
    for _ in range(steps):
        y, ctx = model.forward(x, train=True)
        model.backward(ctx, 2 * y / y.size)
        model.step()
        losses.append(float(np.square(y).mean()))
    return losses


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lamb"])
def test_steps(rng, kind, optimizer):
    """One fused step over the arena, with any optimizer."""
    model, x = MAKE[kind](0, optimizer=optimizer, learning_rate=1e-3), data(kind, rng)
    before = model.arena.values.copy()
    train(model, x, 1)
    assert np.isfinite(model.arena.values).all() and (model.arena.values != before).any()


@pytest.mark.parametrize("kind", MAKE)
def test_copies_go_on_alike_and_apart(rng, kind):
    model, x = MAKE[kind](0), data(kind, rng)
    train(model, x)
    for twin in (model.clone(), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.infer(x), model.infer(x))
        state = model.clone()
        assert train(twin, x) == train(state, x)
        assert not np.array_equal(twin.arena.values, model.arena.values)


@pytest.mark.parametrize("kind", MAKE)
def test_files_resume_bit_for_bit(rng, kind, tmp_path):
    model, x = MAKE[kind](0), data(kind, rng)
    train(model, x)
    model.Save(tmp_path / "model.safetensors")
    again = MAKE[kind](1).Load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.infer(x), model.infer(x))
    assert train(again, x) == train(model, x)


@pytest.mark.parametrize("kind", MAKE)
def test_population(rng, kind):
    """B1.18, B3.11: every row gives what its member gives; the model is as it was afterwards."""
    members = [MAKE[kind](seed) for seed in range(3)]
    rows = np.stack([member.arena.values for member in members])
    model, x = MAKE[kind](9), data(kind, rng)
    y, ctx = model.forward(x)
    model.backward(ctx, y)
    before = model.arena.values.copy(), model.arena.gradients.copy()
    found = over_population(model, rows, lambda model: model.infer(x))
    for output, member in zip(found, members, strict=True):
        np.testing.assert_array_equal(output, member.infer(x))
    np.testing.assert_array_equal(model.arena.values, before[0])
    np.testing.assert_array_equal(model.arena.gradients, before[1])


def test_gradients_over_a_population(rng):
    x = data("cross", rng)
    members = [MAKE["cross"](seed) for seed in range(2)]

    def gradient(model):
        y, ctx = model.forward(x)
        model.backward(ctx, y)
        return model.arena.gradients.copy()

    found = over_population(MAKE["cross"](9), np.stack([member.arena.values for member in members]), gradient)
    for own, member in zip(found, members, strict=True):
        np.testing.assert_array_equal(own, gradient(member))


def test_a_population_that_fails_leaves_the_model_alone(rng):
    model = MAKE["cross"](0)
    before = model.arena.values.copy()
    with pytest.raises(ZeroDivisionError):
        over_population(model, np.zeros((2, len(model.arena))), lambda model: 1 / 0)
    np.testing.assert_array_equal(model.arena.values, before)
    for members in (np.zeros((2, 3)), np.zeros(3), 3.0):
        with pytest.raises(ShapeError, match=r"over_population\(members\)"):
            over_population(model, members, lambda model: None)
    with pytest.raises(DataError, match=r"over_population\(members\)"):
        over_population(model, np.full((2, len(model.arena)), np.nan), lambda model: None)


@pytest.mark.parametrize("kind", MAKE)
def test_target_networks(rng, kind):
    """B3.3: parameters and running statistics move together, by tau."""
    online, target, x = MAKE[kind](0), MAKE[kind](1), data(kind, rng)
    train(online, x)
    before = target.arena.values.copy(), [buffer.copy() for _, buffer in target.named_buffers()]
    soft_update(target, online, 0.25)
    np.testing.assert_allclose(target.arena.values, 0.75 * before[0] + 0.25 * online.arena.values, rtol=0, atol=1e-6)
    for (_, now), was, (_, theirs) in zip(target.named_buffers(), before[1], online.named_buffers(), strict=True):
        np.testing.assert_allclose(now, 0.75 * was + 0.25 * theirs, rtol=0, atol=1e-6)
    soft_update(target, online, 1)
    np.testing.assert_array_equal(target.infer(x), online.infer(x))


def test_target_of_another_kind():
    with pytest.raises(ConfigError, match=r"soft_update\(target\): expected the parts of online"):
        soft_update(CrossAttentionModule(8, 2), CrossAttentionModule(8, 2, dtype="float64"), 0.1)
    with pytest.raises(ConfigError, match="make both with the same settings"):
        soft_update(CrossAttentionModule(8, 2), SelfAttentionModule(8, 2), 0.1)
    with pytest.raises(ConfigError, match=r"soft_update\(tau\)"):
        soft_update(CrossAttentionModule(8, 2), CrossAttentionModule(8, 2), 1.5)


def test_one_td3_update(rng):
    """All of it: critics towards a target, the actor along dQ/da through features made once, targets behind."""
    actor, critics = MAKE["actor"](0, learning_rate=3e-3), MAKE["double"](1, learning_rate=3e-3)
    actor_target, critic_target = actor.clone(), critics.clone()
    state, action = data("double", rng)
    following, reward = data("actor", rng), rng.normal(size=(2, 1))
    with no_grad():
        q = critic_target(following, actor_target(following)[0]).min(axis=-1, keepdims=True).data
    losses = [
        critics.train_batch(lambda q, y: ((q - y) ** 2).mean(), state, action, reward + 0.9 * q) for _ in range(30)
    ]
    assert losses[-1] < losses[0]
    with no_grad():
        features = critics.first.features(state)
    values = []
    for _ in range(5):
        actions, _ = actor(state, train=True)
        value = critics.first.from_features(features, actions).mean()
        (-value).backward()
        actor.step()
        critics.arena.zero_grad()
        values.append(float(value))
    assert np.isfinite(values).all()
    soft_update(actor_target, actor, 0.005)
    soft_update(critic_target, critics, 0.005)
    assert np.isfinite(actor_target.infer(state)).all()
