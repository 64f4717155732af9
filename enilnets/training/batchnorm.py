"""Statistics of batch normalisation for parameters that were not trained with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..errors import DataError
from ..ops.array import as_data
from .batches import slices
from .protocol import Model
from .snapshot import Snapshot, layers_of

__all__ = ["reestimate_batchnorm"]


def reestimate_batchnorm(model: Model, x: Any, batch_size: int = 256) -> None:
    """Replace all running means and variances by their means over batches of ``x``.

    Parameters
    ----------
    model : Model
        Its parameters, random state and mode stay as they are; frozen layers keep their statistics.
    x : array_like (samples, ...)
        Inputs as in training.
    batch_size : int >= 2, default 256
        As large as memory allows: variances are those within batches.

    Notes
    -----
    Izmailov et al. 2018, algorithm 1, last line.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets import NeuralNet
    >>> from enilnets.training import reestimate_batchnorm
    >>> net = NeuralNet(rng=0).add_batchnorm(1).add_dense(1, 1)
    >>> reestimate_batchnorm(net, [[1.0], [3.0]])
    >>> float(net.layers[0]["running_mean"][0]), float(net.layers[0]["running_var"][0])
    (2.0, 1.0)
    """
    batch_size = checks.size("reestimate_batchnorm", "batch_size", batch_size, 2)
    inputs = np.asarray(x)
    if not inputs.ndim or len(inputs) < 2:
        got = f"{len(inputs)}" if inputs.ndim else type(x).__name__
        raise DataError("reestimate_batchnorm(x)", "an array of at least two samples", got)
    if inputs.dtype.kind == "f":
        inputs = as_data("reestimate_batchnorm", "x", inputs, model.arena.dtype)
    normalisations = [layer for layer in layers_of(model) if layer.type == "batchnorm"]
    momenta = [layer.momentum for layer in normalisations]
    training, random = getattr(model, "training", True), model.rng.bit_generator.state
    kept, seen = Snapshot(model), 0
    try:
        model.training = True  # type: ignore[attr-defined]
        for part in slices(len(inputs), batch_size):
            seen += part.stop - part.start
            for layer in normalisations:
                layer.momentum = (part.stop - part.start) / seen
            model.forward(inputs[part], train=True)
    except Exception:
        kept.restore()
        raise
    finally:
        model.training = training  # type: ignore[attr-defined]
        model.rng.bit_generator.state = random
        for layer, momentum in zip(normalisations, momenta, strict=True):
            layer.momentum = momentum
