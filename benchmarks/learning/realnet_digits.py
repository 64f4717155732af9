"""RealNets on the 8 x 8 digits of scikit-learn: 64 inputs, 10 outputs, no other neurons."""

from __future__ import annotations

from functools import cache

import numpy as np

from enilnets.sequence import RealNet, RealNetTrainer, SynapticPruner

STEPS = (4, 6, 8, 10, 16, 30, 50)


@cache
def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and classes, 1437 of them, and those to test with, 360."""
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(images))
    images = (images / 16).astype(np.float32)
    return images[order[:1437]], classes[order[:1437]], images[order[1437:]], classes[order[1437:]]


def targets(classes: np.ndarray) -> np.ndarray:
    return 2 * np.eye(10, dtype=np.float32)[classes] - 1


def new(seed: int, dropout_rate: float = 0.1) -> RealNetTrainer:
    model = RealNet(74, list(range(64)), list(range(64, 74)), dropout_rate=dropout_rate, rng=seed)
    return RealNetTrainer(model, learning_rate=1e-3)


def accuracy(trainer: RealNetTrainer, steps: int) -> float:
    _, _, x, classes = split()
    return float((trainer.predict(x, steps).argmax(axis=1) == classes).mean())


def fit(trainer: RealNetTrainer, epochs: int, steps, pruning_threshold: float = 0.0) -> None:
    x, classes, _, _ = split()
    trainer.fit(x, targets(classes), epochs, 64, steps, verbose=False, pruning_threshold=pruning_threshold)


def fixed_steps(seed: int, epochs: int = 60) -> tuple[float, float]:
    """Accuracy after 60 epochs of 5 steps, and that of logistic regression."""
    from sklearn.linear_model import LogisticRegression

    trainer = new(seed)
    fit(trainer, epochs, 5)
    x, classes, x_test, classes_test = split()
    linear = LogisticRegression(max_iter=5000).fit(x, classes)
    return accuracy(trainer, 5), float(linear.score(x_test, classes_test))


def any_steps(seed: int, epochs: int = 60) -> float:
    """Worst accuracy over many numbers of steps of a network that was trained with 4 to 16, without dropout."""
    trainer = new(seed, 0.0)
    fit(trainer, epochs * 2 // 3, (4, 16))
    trainer.learning_rate /= 5
    fit(trainer, epochs // 3, (4, 16))
    return min(accuracy(trainer, steps) for steps in STEPS)


def other_steps(seed: int, epochs: int = 60) -> float:
    """Accuracy at 20 steps of a network that was trained with 10."""
    trainer = new(seed)
    fit(trainer, epochs, 10)
    return accuracy(trainer, 20)


def dead_share(trainer: RealNetTrainer) -> float:
    return SynapticPruner.get_sparsity(trainer.model) / 100


def darwin(seed: int) -> tuple[float, ...]:
    """Share dead and accuracy, for a moderate and a hard pruning with training between; dead weights that moved."""
    trainer = new(seed)
    fit(trainer, 30, 5)
    results: list[float] = []
    for highest in (0.04, 0.10):
        for threshold in np.linspace(0.02, highest, 8):
            trainer.prune(float(threshold))
            fit(trainer, 3, 5, pruning_threshold=float(threshold))
        fit(trainer, 20, 5)
        results += [dead_share(trainer), accuracy(trainer, 5)]
    x, classes, _, _ = split()
    for i in range(100):
        trainer.train_batch(x[i : i + 64], targets(classes[i : i + 64]), 5)
    model = trainer.model
    return *results, float(np.count_nonzero(model.parameters["weights"].value[~model.mask]))


def untrained(seed: int) -> float:
    """Share of the synapses of a new network below 0.03."""
    model = RealNet(794, list(range(784)), list(range(784, 794)), rng=seed)
    pruned, _, synapses = model.prune_synapses(0.03)
    return pruned / synapses
