"""A policy learns by proximal policy optimization: which of three levers pays depends on what it sees."""

import numpy as np

from enilnets import NeuralNet

rng = np.random.default_rng(0)
payoff = rng.normal(size=(4, 3))  # hidden from the policy
policy = NeuralNet(learning_rate=0.01, optimizer="adam", l2_lambda=0.0, rng=0)
policy.add_dense(4, 64, activation="tanh").add_dense(64, 3, activation="softmax")

for _ in range(100):
    states = rng.normal(size=(128, 4))
    p = policy.predict(states)
    actions = (rng.random((128, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=2)
    old_log_probs = np.log(p[np.arange(128), actions])
    rewards = (actions == (states @ payoff).argmax(axis=1)).astype(float)
    advantages = rewards - rewards.mean()
    for _ in range(4):  # the clip keeps several steps on the same experience safe
        policy.PPO(states, actions, old_log_probs, advantages, action_type="discrete")

print(f"share of right levers: {rewards.mean():.2f}")
