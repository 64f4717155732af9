"""That RealNets learn what the documentation shows; larger tasks are in benchmarks/learning/realnet.py."""

import numpy as np

from enilnets.sequence import RealNet, RealNetTrainer

X = [[-1, -1], [-1, 1], [1, -1], [1, 1]]
Y = [[-1], [1], [1], [-1]]


def signs_are_right(trainer):
    return bool((np.sign(trainer.predict(X, thinking_steps=5)) == Y).all())


def test_the_documented_example_converges():
    """A1.21, A-2, A3.1: the literal call with all its defaults, at least 8 of 10 seeds."""
    right = 0
    for seed in range(200, 210):
        model = RealNet(3, [0, 1], [2], device="cuda", rng=seed)
        trainer = RealNetTrainer(model, gradient_decay=0.1)
        trainer.fit(X, Y, epochs=100, thinking_steps=5, verbose=False)
        right += signs_are_right(trainer)
    assert right >= 8


def test_xor_in_a_thousand_steps():
    """A-2: at least 9 of 10 seeds, with a median error below 0.01."""
    trainers = [RealNetTrainer(RealNet(3, [0, 1], [2], dropout_rate=0.0, rng=seed)) for seed in range(200, 210)]
    for trainer in trainers:
        trainer.fit(X, Y, epochs=1000, thinking_steps=5, verbose=False)
    assert sum(map(signs_are_right, trainers)) >= 9
    assert np.median([trainer.evaluate(X, Y, 5) for trainer in trainers]) < 0.01


def test_two_neurons_compute_a_sign_and_no_identity():
    """A-1, A3.2: exact at -1 and 1 after 50 steps, and the same for everything between."""
    trainer = RealNetTrainer(RealNet(2, [0], [1], dropout_rate=0.0, rng=200), learning_rate=0.02)
    x = np.random.default_rng(0).choice([-1.0, 1.0], (100, 1))
    trainer.fit(x, x, epochs=50, batch_size=64, thinking_steps=50, verbose=False)
    assert trainer.evaluate([[1], [-1]], [[1], [-1]], 50) < 1e-5
    np.testing.assert_allclose(trainer.predict([[0.5], [-0.3]], 50), [[1], [-1]], atol=0.01)


def test_a_miss_at_other_numbers_of_steps_unless_trained_for_them():
    """A3.3, small: products of signs at 3 to 7 steps, by networks trained with 5 and with (3, 7)."""
    worst = {}
    for steps in (5, (3, 7)):
        trainer = RealNetTrainer(RealNet(12, [0, 1], [11], dropout_rate=0.0, rng=200))
        trainer.fit(X * 8, Y * 8, epochs=300, thinking_steps=steps, verbose=False)
        worst[steps] = max(trainer.evaluate(X, Y, number) for number in range(3, 8))
    assert worst[(3, 7)] < 0.05 < 0.3 < worst[5]
