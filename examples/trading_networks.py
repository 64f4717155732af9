"""Actor and twin critics on an invented market: one step of TD3 after another, and where the actor looks."""

import numpy as np

from enilnets.autodiff import minimum, no_grad
from enilnets.sequence import Actor, DoubleCritic, soft_update

DAYS, COLUMNS, STOCKS = 20, 12, 8  # stocks are columns 2 to 9; the others are indices, which cannot be bought
MOST = np.array([3, 50], np.float32)  # coefficient and sale target; the actor's coefficients know no bound
SIZES = {"cnn_filters": 8, "lstm_hidden_size": 8, "column_chunk_size": 6}
rng = np.random.default_rng(0)


def market(windows):
    """Markets that go on as they went, with a few missing numbers; and the gain of every stock on the next day."""
    drift = rng.normal(0, 1, (windows, 1, 1, 1))
    state = (drift + rng.normal(0, 1, (windows, DAYS, COLUMNS, 5))).astype(np.float32)
    state[rng.random(state.shape) < 0.01] = np.nan
    return state, np.repeat(drift[:, 0, 0], STOCKS, axis=1)


actor = Actor(COLUMNS, investable=(2, 9), extractor=SIZES, num_heads=2, learning_rate=3e-3, rng=1)
critics = DoubleCritic(COLUMNS, num_stocks=STOCKS, scale_actions=True, extractor=SIZES, learning_rate=3e-3, rng=2)
# What follows slowly, for methods that look at the next day through it.
actor_target, critic_target = actor.clone(), critics.clone()


def reward(actions, gains):
    """The mean gain, weighted by how much of each stock was bought."""
    return (np.minimum(actions, MOST)[..., 0] * gains).mean(axis=1, keepdims=True)


test_state, test_gains = market(200)
before = reward(actor.infer(test_state), test_gains).mean()
for step in range(60):
    state, gains = market(32)
    actions = np.minimum(actor.infer(state), MOST)
    explored = rng.random((32, STOCKS)) < 0.3
    actions[..., 0] = np.where(explored, rng.uniform(0, 3, explored.shape), actions[..., 0])
    # The next day does not depend on what was bought, so here the value of an action is its reward.
    loss = critics.train_batch(lambda q, y: ((q - y) ** 2).mean(), state, actions, reward(actions, gains))
    if step < 25:  # what the critics say is not worth following yet
        continue
    with no_grad():
        features = critics.first.features(state)  # does not depend on the action: made once
    chosen, _ = actor(state, train=True)
    (-critics.first.from_features(features, minimum(chosen, MOST)).mean()).backward()
    actor.step()
    critics.arena.zero_grad()
    soft_update(actor_target, actor, 0.005)
    soft_update(critic_target, critics, 0.005)

actions, weights = actor(test_state, train=False, return_attention_weights=True)
after = reward(actions.data, test_gains).mean()
print(f"mean reward {before:.3f} before, {after:.3f} after; loss of the critics {loss:.3f}")
print(f"actions {actions.shape}, attention {weights.shape}, most watched column {weights.mean(axis=0).argmax()}")
