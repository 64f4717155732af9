"""Small environments in NumPy, many copies side by side."""

from __future__ import annotations

import numpy as np


class ContextualBandit:
    """One state, one action, one reward: 1 for the arm that a hidden linear map ranks first, else 0."""

    def __init__(self, rng: np.random.Generator, features: int = 4, arms: int = 3) -> None:
        self.rng = rng
        self.hidden = rng.normal(size=(features, arms))

    def draw(self, n: int) -> np.ndarray:
        return self.rng.normal(size=(n, len(self.hidden)))

    def reward(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return (actions == (states @ self.hidden).argmax(axis=1)).astype(float)


class CartPole:
    """A pole on a cart that is pushed left or right; every step that it stands brings 1.

    Equations and constants of Barto, Sutton & Anderson 1983, "Neuronlike adaptive elements that can solve difficult
    learning control problems", appendix, without friction; Euler steps of 0.02 s. An episode terminates when the pole
    leans more than 12 degrees or the cart leaves +-2.4 m, and is truncated after ``limit`` steps.

    Attributes
    ----------
    states : ndarray (n, 4)
        Position and speed of the cart, angle and angular speed of the pole.
    """

    GRAVITY, CART, POLE, HALF_LENGTH, FORCE, STEP = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02

    def __init__(self, n: int, rng: np.random.Generator, limit: int = 500) -> None:
        self.rng, self.limit = rng, limit
        self.states = rng.uniform(-0.05, 0.05, (n, 4))
        self.lengths = np.zeros(n, int)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Push right where ``actions`` is 1; return the states that this led to, terminated and truncated.

        Afterwards, ``states`` of episodes that ended are those of new ones.
        """
        _, speed, angle, turn = self.states.T
        mass, force = self.CART + self.POLE, np.where(actions == 1, self.FORCE, -self.FORCE)
        sine, cosine = np.sin(angle), np.cos(angle)
        pull = (force + self.POLE * self.HALF_LENGTH * turn**2 * sine) / mass
        turning = (self.GRAVITY * sine - cosine * pull) / (self.HALF_LENGTH * (4 / 3 - self.POLE * cosine**2 / mass))
        pushing = pull - self.POLE * self.HALF_LENGTH * turning * cosine / mass
        reached = self.states + self.STEP * np.stack([speed, pushing, turn, turning], axis=1)
        self.lengths += 1
        terminated = (np.abs(reached[:, 0]) > 2.4) | (np.abs(reached[:, 2]) > np.radians(12))
        truncated = ~terminated & (self.lengths >= self.limit)
        ended = terminated | truncated
        fresh = self.rng.uniform(-0.05, 0.05, reached.shape)
        self.states = np.where(ended[:, None], fresh, reached)
        self.lengths[ended] = 0
        return reached, terminated, truncated
