"""Handwritten digits: train a small convolutional network on real data, prove it, save it and draw it.

The data are the 1,797 scans of 8 x 8 pixels from the UCI repository that scikit-learn bundles (Alpaydin & Kaynak 1998).
A fifth is kept for the test and selects nothing; a tenth of the rest is shown as the validation curve.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..net import NeuralNet
from ..optim import LRScheduler
from ..training import History, confusion_matrix

__all__ = ["build", "load_digits", "run"]


class Split(NamedTuple):
    """Images (samples, 1, 8, 8) in [0, 1] and labels in 0..9 of one part of the data."""

    x: np.ndarray
    y: np.ndarray


def load_digits(seed: int) -> tuple[Split, Split, Split]:
    """Return training, validation and test data, split at random by ``seed``, every digit in equal parts."""
    try:
        from sklearn.datasets import load_digits as bundled
    except ImportError:
        raise ImportError("the digits demo needs scikit-learn for its data: pip install enilnets[demo]") from None
    digits = bundled()
    x, y = digits.images[:, None] / 16.0, digits.target
    rng = np.random.default_rng(seed)
    test, validation, training = [], [], []
    for digit in range(10):
        members = rng.permutation(np.flatnonzero(y == digit))
        first, second = len(members) // 5, len(members) // 5 + len(members) * 8 // 100
        test.append(members[:first])
        validation.append(members[first:second])
        training.append(members[second:])
    parts = (rng.permutation(np.concatenate(part)) for part in (training, validation, test))
    return tuple(Split(x[part], y[part]) for part in parts)  # type: ignore[return-value]


def build(dtype: str, seed: int) -> NeuralNet:
    """Return the untrained network: three convolutions with batch norm, two poolings, one dense layer."""
    net = NeuralNet(learning_rate=2e-3, optimizer="adam", l2_lambda=1e-4, dtype=dtype, rng=seed)
    for in_ch, out_ch in ((1, 32), (32, 32)):
        net.add_conv2d(in_ch, out_ch, 3, activation="linear", padding="same").add_batchnorm(out_ch).add_activation(
            "relu"
        )
    net.add_maxpool2d(2)
    net.add_conv2d(32, 64, 3, activation="linear", padding="same").add_batchnorm(64).add_activation("relu")
    net.add_maxpool2d(2).add_flatten().add_dropout(0.4)
    return net.add_dense(64 * 2 * 2, 10, activation="softmax")


def run(epochs: int = 30, batch_size: int = 32, dtype: str = "float32", seed: int = 0, out: str = "runs/digits") -> int:
    """Run the demo; returns the exit status, 130 after Ctrl-C.

    Parameters
    ----------
    epochs, batch_size : int >= 1
    dtype : {"float32", "float64"}
    seed : int >= 0
        Of the split, the weights and the shuffling: the same seed gives the same bits.
    out : str
        Folder for ``digits.safetensors`` and ``digits.png``.
    """
    try:
        import matplotlib.figure  # noqa: F401  rather now than after the training
    except ImportError:
        raise ImportError("the digits demo needs matplotlib for its picture: pip install enilnets[demo]") from None
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, picture = folder / "digits.safetensors", folder / "digits.png"

    training, validation, test = load_digits(seed)
    net = build(dtype, seed)
    print(f"UCI handwritten digits: {len(training.x)} to train on, {len(validation.x)} to watch, {len(test.x)} to test")
    net.summary()
    start = time.perf_counter()
    history = net.Train(
        *training,
        epochs=epochs,
        batch_size=batch_size,
        X_val=validation.x,
        Y_val=validation.y,
        scheduler=LRScheduler(net.learning_rate, mode="cosine", max_epochs=epochs),
    )
    seconds = time.perf_counter() - start
    net.Save(checkpoint)
    if history.stopped:
        print(
            f"Stopped by Ctrl-C after {len(history['loss'])} of {epochs} epochs; the network so far is in {checkpoint}"
        )
        return 130
    print(f"Trained for {seconds:.1f} s")

    probabilities = net.predict(test.x)
    predicted = probabilities.argmax(-1)
    matrix = confusion_matrix(predicted, test.y, 10)
    print(f"Test accuracy: {np.mean(predicted == test.y):.4f} ({np.sum(predicted != test.y)} of {len(test.y)} wrong)")
    print(table(matrix))
    if not np.array_equal(NeuralNet().Load(checkpoint).predict(test.x), probabilities):
        print(f"The network reloaded from {checkpoint} predicts differently: please report this")
        return 1
    print(f"Saved to {checkpoint}; reloaded, it predicts all {len(test.x)} test digits bit for bit the same")
    draw(history, matrix, test, predicted, picture)
    print(f"Picture: {picture}")
    return 0


def table(matrix: np.ndarray) -> str:
    """Return the confusion matrix as text; zeros are dots."""
    lines = ["Confusion matrix (rows: the digit, columns: what it was taken for)"]
    lines.append("     " + "".join(f"{digit:4d}" for digit in range(10)))
    for digit, row in enumerate(matrix.tolist()):
        lines.append(f"{digit:4d} " + "".join(f"{count or '.':>4}" for count in row))
    return "\n".join(lines)


def draw(history: History, matrix: np.ndarray, test: Split, predicted: np.ndarray, path: Path) -> None:
    """Save one picture: learning curves, confusion matrix and the misclassified digits."""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(11, 8.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    loss, accuracy = top.subplots(1, 2)
    history.draw(loss, "loss")
    loss.set_yscale("log")
    history.draw(accuracy, "accuracy")
    left, right = bottom.subfigures(1, 2)
    draw_confusion(left.subplots(), matrix)
    draw_mistakes(right, test, predicted)
    figure.suptitle(f"UCI handwritten digits: test accuracy {np.mean(predicted == test.y):.4f}")
    figure.savefig(path, dpi=120)


def draw_confusion(axes: Any, matrix: np.ndarray) -> None:
    """Draw the confusion matrix; mistakes in red, since a handful must be seen beside hundreds of hits."""
    mistakes = matrix * (1 - np.eye(10, dtype=int))
    axes.imshow(np.where(np.eye(10, dtype=bool), matrix, 0), cmap="Blues", vmax=matrix.max() * 1.5)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "crimson" if mistakes[row, column] else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    axes.set(xticks=range(10), yticks=range(10), xlabel="predicted", ylabel="digit", title="Confusion matrix")


def draw_mistakes(figure: Any, test: Split, predicted: np.ndarray, most: int = 20) -> None:
    """Draw the test digits that were taken for another."""
    wrong = np.flatnonzero(predicted != test.y)
    shown = wrong[:most]
    figure.suptitle(f"Misclassified: {len(wrong)} of {len(test.y)}" + (f", {most} shown" if len(wrong) > most else ""))
    columns = 5 if len(shown) > 6 else 3
    rows = max(2, -(-len(shown) // columns))
    for axes in figure.subplots(rows, columns).flat:
        axes.axis("off")
    for axes, index in zip(figure.axes, shown, strict=False):
        axes.imshow(test.x[index, 0], cmap="gray_r")
        axes.set_title(f"{test.y[index]} taken for {predicted[index]}", fontsize=9)
