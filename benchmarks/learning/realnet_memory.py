"""Tasks of RealNets that need memory: data, and the training of one network each."""

from __future__ import annotations

import math

import numpy as np

from enilnets.sequence import RealNet, RealNetTrainer

#: Steps of the delayed adder: when its two numbers come, and its length.
FIRST, SECOND, LENGTH = 2, 8, 15

#: The detective hears a bit every so many steps, and so many bits.
PERIOD, BITS = 4, 10

#: Delays of the stopwatch.
SHORTEST, LONGEST = 5, 25


def train(trainer: RealNetTrainer, batch, batches: int, rate: float, **settings) -> None:
    """Train on fresh batches with a learning rate that rises for 100 of them, then falls along a cosine."""
    for i in range(batches):
        trainer.learning_rate = rate * min(1, (i + 1) / 100) * (0.02 + 0.98 * (1 + math.cos(math.pi * i / batches)) / 2)
        x, y, *rest = batch()
        steps = y.shape[1] if y.ndim == 3 else LENGTH
        trainer.train_batch(x, y, steps, full_sequence=y.ndim == 3, mask=rest[0] if rest else None, **settings)


def new(neurons: int, seed: int, pulse_mode: bool = True) -> RealNetTrainer:
    return RealNetTrainer(RealNet(neurons, [0], [neurons - 1], pulse_mode, 0.0, rng=seed))


def additions(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.zeros((n, LENGTH, 1))
    x[:, FIRST], x[:, SECOND] = rng.uniform(-0.5, 0.5, (2, n, 1))
    return x, x.sum(axis=1)


def delayed_adder(seed: int, batches: int = 1200, neurons: int = 128) -> float:
    """Mean squared error of A + B, shown at steps 2 and 8 and asked for at 14."""
    rng = np.random.default_rng(seed + 1)
    trainer = new(neurons, seed)
    train(trainer, lambda: additions(rng, 128), batches, 1e-3)
    return trainer.evaluate(*additions(np.random.default_rng(10_000 + seed), 2000), LENGTH)


def switches(rng: np.random.Generator, n: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """A pulse somewhere, or in three of ten sequences none; the target is -1 before it and 1 from it on."""
    x = np.zeros((n, steps, 1))
    at = rng.integers(2, steps - 5, n)
    fired = rng.random(n) < 0.7
    x[np.flatnonzero(fired), at[fired]] = 1
    return x, np.where((np.arange(steps) >= at[:, None]) & fired[:, None], 1.0, -1.0)[..., None]


def latch(seed: int, batches: int = 1500, neurons: int = 64, until: int = 1000) -> tuple[float, float]:
    """Lowest output over ``until`` steps after a trigger, and highest over as many steps without one."""
    rng = np.random.default_rng(seed + 1)
    trainer = new(neurons, seed)

    def heard() -> tuple[np.ndarray, np.ndarray]:
        x, y = switches(rng, 64, int(rng.integers(20, 61)))
        return x + 0.1 * rng.standard_normal(x.shape), y  # under noise, both states become places to return to

    train(trainer, heard, batches, 1e-3)
    x = np.zeros((19, until + 20, 1))
    x[np.arange(18), np.arange(18) + 2] = 1
    y = trainer.predict(x, until + 20, full_sequence=True)[..., 0]
    settled = 3  # steps after a trigger until the output counts
    on = min(float(y[i, i + 2 + settled : i + 2 + until].min()) for i in range(18))
    return on, float(y[18, :until].max())


def bits(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bits as pulses (0 is silence) every fourth step; three steps later: were the last two both 1?"""
    drawn = rng.integers(0, 2, (n, BITS))
    x, y, mask = np.zeros((n, BITS * PERIOD, 1)), np.zeros((n, BITS * PERIOD, 1)), np.zeros((n, BITS * PERIOD))
    x[:, ::PERIOD, 0] = drawn
    both = drawn.copy()
    both[:, 1:] &= drawn[:, :-1]
    both[:, 0] = 0
    y[:, PERIOD - 1 :: PERIOD, 0] = 2 * both - 1
    mask[:, PERIOD - 1 :: PERIOD] = 1
    return x, y, mask


def detective(seed: int, batches: int = 1500, neurons: int = 128) -> float:
    """Share of bits whose question is answered right."""
    rng = np.random.default_rng(seed + 1)
    trainer = new(neurons, seed)
    train(trainer, lambda: bits(rng, 64), batches, 1e-3)
    x, y, mask = bits(np.random.default_rng(10_000 + seed), 1000)
    right = (trainer.predict(x, BITS * PERIOD, full_sequence=True) > 0) == (y > 0)
    return float(right[mask > 0].mean())


def delays(rng: np.random.Generator, n: int, steps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """A pulse of d / 20 at step 0, and a bump 0.5, 1, 0.5 around step d."""
    d = rng.integers(SHORTEST, LONGEST + 1, n)
    x, distance = np.zeros((n, steps, 1)), np.abs(np.arange(steps) - d[:, None])
    x[:, 0, 0] = d / 20
    return x, np.maximum(0, 1 - distance / 2)[..., None]


def stopwatch(seed: int, batches: int = 2500, neurons: int = 128) -> tuple[float, float]:
    """Share of delays whose peak comes within a step, and exactly."""
    rng = np.random.default_rng(seed + 1)
    trainer = new(neurons, seed)
    train(trainer, lambda: delays(rng, 64), batches, 1e-3)
    x, y = delays(np.random.default_rng(10_000 + seed), 1000)
    off = np.abs(trainer.predict(x, 30, full_sequence=True)[..., 0].argmax(axis=1) - y[..., 0].argmax(axis=1))
    return float((off <= 1).mean()), float((off == 0).mean())


def waves(rng: np.random.Generator, n: int, steps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    f = rng.uniform(0.1, 0.5, (n, 1))
    return f, np.sin(f * np.arange(steps))[..., None]


def oscillator(seed: int, batches: int = 3000, neurons: int = 128) -> float:
    """Mean squared error of sin(f t) over 30 steps, for a frequency f that is heard at every step."""
    rng = np.random.default_rng(seed + 1)
    trainer = new(neurons, seed, pulse_mode=False)
    train(trainer, lambda: waves(rng, 128), batches, 1e-3)
    return trainer.evaluate(*waves(np.random.default_rng(10_000 + seed), 1000), 30, full_sequence=True)
