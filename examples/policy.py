"""Proximal policy optimisation of a policy that has to find out which of two actions a state rewards."""

import numpy as np

from enilnets import NeuralNet

rng = np.random.default_rng(0)
policy = NeuralNet(learning_rate=3e-3, optimizer="adam", l2_lambda=0.0, rng=0)
policy.add_dense(4, 64, activation="tanh")
policy.add_dense(64, 2, activation="softmax")

for iteration in range(30):
    states = rng.normal(size=(128, 4))
    probabilities = policy.predict(states)
    actions = (rng.random(128) > probabilities[:, 0]).astype(int)
    rewards = (actions == (states[:, 0] + states[:, 1] > 0)).astype(float)
    old_log_probs = np.log(probabilities[np.arange(128), actions])
    advantages = rewards - rewards.mean()
    for _ in range(4):
        policy.PPO(states, actions, old_log_probs, advantages, action_type="discrete")
    if iteration % 10 == 9:
        print(f"iteration {iteration + 1}: mean reward {rewards.mean():.2f}")
assert rewards.mean() > 0.8
