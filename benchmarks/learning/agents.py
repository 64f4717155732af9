"""Training loops around the verbs of NeuralNet, as a user would write them."""

from __future__ import annotations

import numpy as np

from enilnets import NeuralNet, gae

from .environments import CartPole, ContextualBandit


def choose(policy: NeuralNet, states: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw an action for every state; return actions and their log-probabilities."""
    p = policy.predict(states)
    actions = np.minimum((rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1), p.shape[1] - 1)
    return actions, np.log(p[np.arange(len(p)), actions])


def solve_bandit(seed: int, verb: str, steps: int = 300, batch: int = 64) -> float:
    """Train by ``verb`` on a contextual bandit and return the share of right arms among 2000 new states."""
    rng = np.random.default_rng(seed)
    bandit = ContextualBandit(rng)
    policy = NeuralNet(0.02, l2_lambda=0.0, rng=rng).add_dense(4, 16, "tanh").add_dense(16, 3, "softmax")
    for _ in range(steps):
        states = bandit.draw(batch)
        actions, log_probs = choose(policy, states, rng)
        rewards = bandit.reward(states, actions)
        if verb == "Reinforce":
            policy.Reinforce(states, actions, rewards)
        elif verb == "ActorCritic":
            policy.ActorCritic(states, actions, rewards, np.full(batch, rewards.mean()))
        else:
            policy.PPO(states, actions, log_probs, rewards - rewards.mean())
    states = bandit.draw(2000)
    return float(bandit.reward(states, policy.predict(states).argmax(axis=1)).mean())


def solve_cartpole(seed: int, iterations: int = 60, n: int = 16, steps: int = 128, passes: int = 4) -> float:
    """Train by PPO on CartPole and return the mean length of 32 new episodes, 500 at most.

    An iteration is ``steps`` steps in ``n`` environments, then ``passes`` over them in batches of a quarter.
    """
    rng = np.random.default_rng(seed)
    environment = CartPole(n, rng)
    policy = NeuralNet(3e-3, l2_lambda=0.0, dtype="float32", rng=rng)
    policy.add_dense(4, 64, "tanh").add_dense(64, 2, "softmax")
    critic = NeuralNet(3e-3, l2_lambda=0.0, dtype="float32", rng=rng)
    critic.add_dense(4, 64, "tanh").add_dense(64, 1, "linear")
    for _ in range(iterations):
        states, reached = np.empty((2, steps, n, 4), np.float32)
        actions, log_probs = np.empty((steps, n), int), np.empty((steps, n), np.float32)
        terminated, truncated = np.empty((2, steps, n), bool)
        for t in range(steps):
            states[t] = environment.states
            actions[t], log_probs[t] = choose(policy, states[t], rng)
            reached[t], terminated[t], truncated[t] = environment.step(actions[t])
        values, next_values = (critic.predict(s.reshape(-1, 4)).reshape(steps, n) for s in (states, reached))
        ends = {"terminated": terminated, "truncated": truncated, "next_values": next_values}
        advantages, targets = gae(np.ones((steps, n), np.float32), values, 0.99, 0.95, **ends)
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        rows = [array.reshape(steps * n, *array.shape[2:]) for array in (states, actions, log_probs, advantages)]
        for _ in range(passes):
            for batch in np.array_split(rng.permutation(steps * n), 4):
                taken = [array[batch] for array in rows]
                policy.PPO(*taken, value_targets=targets.reshape(-1)[batch], value_network=critic)
    return mean_length(policy, rng)


def mean_length(policy: NeuralNet, rng: np.random.Generator, episodes: int = 32) -> float:
    """Mean number of steps that ``policy``, drawing its actions, keeps poles standing."""
    environment = CartPole(episodes, rng)
    lengths = np.full(episodes, environment.limit)
    for t in range(1, environment.limit):
        _, terminated, _ = environment.step(choose(policy, environment.states, rng)[0])
        lengths[terminated] = np.minimum(lengths[terminated], t)
    return float(lengths.mean())
