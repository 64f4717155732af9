"""scikit-learn's multi-layer perceptrons, where they can do the work: one batch per ``partial_fit``."""

from __future__ import annotations

from itertools import cycle

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.data import LEARNING_RATE, Data
from benchmarks.workloads import Dense, Workload

__all__ = ["BUILDERS"]


def settings(workload: Workload) -> dict:
    return {
        "hidden_layer_sizes": tuple(layer.n_out for layer in workload.layers[:-1]),
        "activation": workload.layers[0].activation,
        "learning_rate_init": LEARNING_RATE,
        "batch_size": workload.batch,
        "alpha": 0.0,
        "shuffle": False,
    }


def load(model, data: Data) -> None:
    """Set the initial parameters. Two classes are one logistic output here: the difference of the two logits."""
    for i, arrays in enumerate(data.parameters):
        weights, bias = arrays["weights"].T, arrays["bias"]
        if model.coefs_[i].shape != weights.shape:
            weights, bias = np.diff(weights, axis=1), np.diff(bias)
        model.coefs_[i][...], model.intercepts_[i][...] = weights, bias
    # The next partial_fit makes another, with moments that have not seen the call above.
    del model._optimizer


def only_dense(workload: Workload) -> bool:
    return all(isinstance(layer, Dense) for layer in workload.layers)


def train(workload: Workload, data: Data):
    if not only_dense(workload):
        return None
    model, labels = MLPClassifier(**settings(workload)), cycle(data.labels)
    model.partial_fit(data.x, data.labels[0], classes=np.arange(workload.classes))
    load(model, data)

    def step() -> float:
        model.partial_fit(data.x, next(labels))
        return model.loss_

    return step


def act(workload: Workload, data: Data):
    model = MLPRegressor(**settings(workload))
    model.partial_fit(data.x[None], np.zeros((1, workload.classes), workload.dtype))
    load(model, data)
    return lambda: model.predict(data.x[None])


BUILDERS = {"train": train, "act": act}
