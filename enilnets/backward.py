"""The documented backward helpers of single layers: functions of a gradient and what the forward pass saw.

``Backward`` does not need them; they are for those who go back through a network by hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import ShapeError, StateError
from .ops import gather, layernorm, norm, pool, upsample
from .ops.array import real
from .ops.conv import col2im
from .ops.matmul import matmul

__all__ = [
    "avgpool2d_backward",
    "batchnorm_backward",
    "conv2d_backward_input",
    "embedding_backward",
    "globalavgpool2d_backward",
    "layernorm_backward",
    "maxpool2d_backward",
    "upsample2d_backward",
]


def conv2d_backward_input(delta: np.ndarray, weights: np.ndarray, input_shape: tuple[int, int, int, int]) -> np.ndarray:
    """Return the input's gradient of a convolution with stride 1 and no padding.

    Parameters
    ----------
    delta : ndarray (batch, out_channels, height - k + 1, width - k + 1), float32 or float64
    weights : ndarray (out_channels, channels, k, k), dtype of ``delta``
    input_shape : (batch, channels, height, width)

    Returns
    -------
    dx : ndarray of ``input_shape``

    Raises
    ------
    ShapeError, DTypeError
        If the arrays do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.backward import conv2d_backward_input
    >>> conv2d_backward_input(np.ones((1, 1, 1, 2)), np.array([[[[1.0, 2.0]]]]), (1, 1, 1, 3)).tolist()
    [[[[1.0, 3.0, 2.0]]]]
    """
    delta, weights = (
        real("conv2d_backward_input", "delta", delta, 4),
        real("conv2d_backward_input", "weights", weights, 4),
    )
    if len(input_shape) != 4 or input_shape[1] != weights.shape[1] or delta.shape[1] != weights.shape[0]:
        expected = (
            f"(batch, {weights.shape[1]}, height, width) before, (batch, {weights.shape[0]}, ...) behind the kernels"
        )
        raise ShapeError("conv2d_backward_input", expected, f"{tuple(input_shape)} and {delta.shape}")
    rows = delta.transpose(0, 2, 3, 1).reshape(-1, weights.shape[0])
    columns = matmul(rows, weights.reshape(len(weights), math.prod(weights.shape[1:])))
    return col2im(columns, input_shape, weights.shape[2], weights.shape[3])


def maxpool2d_backward(delta: np.ndarray, x: np.ndarray, p: int) -> np.ndarray:
    """Return the input's gradient of max pooling: each ``delta`` at the first maximum of its window, zero elsewhere.

    Parameters
    ----------
    delta : ndarray (batch, channels, height // p, width // p), float32 or float64
    x : ndarray (batch, channels, height, width)
        The input that was pooled.
    p : int >= 1
        Side of the window.

    Returns
    -------
    dx : ndarray of the shape of ``x``

    Raises
    ------
    ShapeError, DTypeError, ConfigError
        If the arrays or the window do not fit.
    """
    return pool.maxpool2d_backward(delta, pool.maxpool2d(x, p)[1])


def avgpool2d_backward(delta: np.ndarray, x: np.ndarray, p: int) -> np.ndarray:
    """Return the input's gradient of average pooling: each ``delta`` spread evenly over its window.

    Parameters
    ----------
    delta, x, p
        See ``maxpool2d_backward``; of ``x`` only the shape counts.

    Returns
    -------
    dx : ndarray of the shape of ``x``

    Raises
    ------
    ShapeError, DTypeError, ConfigError
        If the arrays or the window do not fit.
    """
    return pool.avgpool2d_backward(delta, pool.avgpool2d(x, p)[1])


def globalavgpool2d_backward(delta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the input's gradient of global average pooling: each ``delta`` spread evenly over its channel.

    Parameters
    ----------
    delta : ndarray (batch, channels, 1, 1), float32 or float64
    x : ndarray (batch, channels, height, width)
        The input that was pooled; only its shape counts.

    Returns
    -------
    dx : ndarray of the shape of ``x``

    Raises
    ------
    ShapeError, DTypeError
        If the arrays do not fit.
    """
    if delta.shape != (*x.shape[:2], 1, 1):
        raise ShapeError("globalavgpool2d_backward(delta)", f"shape {(*x.shape[:2], 1, 1)}", f"shape {delta.shape}")
    return pool.adaptive_avgpool2d_backward(delta, x.shape)


def upsample2d_backward(delta: np.ndarray, x: np.ndarray, scale: int) -> np.ndarray:
    """Return the input's gradient of nearest-neighbour upsampling: the sum of ``delta`` over every block.

    Parameters
    ----------
    delta : ndarray (batch, channels, height * scale, width * scale), float32 or float64
    x : ndarray (batch, channels, height, width)
        The input; only its shape counts.
    scale : int >= 1

    Returns
    -------
    dx : ndarray of the shape of ``x``

    Raises
    ------
    ShapeError, DTypeError, ConfigError
        If the arrays or the scale do not fit.
    """
    dx = upsample.upsample2d_backward(delta, scale)
    if dx.shape != x.shape:
        raise ShapeError("upsample2d_backward(delta)", f"{scale} times the image {x.shape}", f"shape {delta.shape}")
    return dx


def _entries(kind: str, cache: tuple | None) -> tuple:
    """The entries of a cache; StateError if there is none."""
    if cache is None:
        where, way_out = f"{kind.lower()}_backward(cache)", f"take it from {kind.lower()}_cache afterwards"
        got = f"None: {kind} cache is None. Ensure Forward(training=True) was called before Backward."
        raise StateError(where, "the cache of a training pass", got, way_out)
    return cache


def batchnorm_backward(dout: np.ndarray, cache: tuple | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of batch normalisation with the statistics of the batch.

    Parameters
    ----------
    dout : ndarray
        Gradient of the output.
    cache : tuple
        An entry of ``NeuralNet.batchnorm_cache``: ``(x, x_norm, mean, var, gamma, epsilon, axes)``.

    Returns
    -------
    dx : ndarray of the shape of ``x``
    dgamma, dbeta : ndarray (channels,)

    Raises
    ------
    StateError
        If ``cache`` is None, as it is after a pass that was not one of training.
    ShapeError, DTypeError
        If ``dout`` does not have the shape and dtype of ``x``.
    """
    x, _, mean, var, gamma, epsilon, _ = _entries("BatchNorm", cache)
    mean, var, gamma = mean.ravel(), var.ravel(), gamma.ravel()
    saved = norm.BatchNormSaved(x, mean, var, 1 / np.sqrt(var + epsilon), gamma, epsilon, True)
    dx, dgamma, dbeta = norm.batchnorm_backward(dout, saved)
    assert dx is not None and dgamma is not None and dbeta is not None  # all were asked for
    return dx, dgamma, dbeta


def layernorm_backward(dout: np.ndarray, cache: tuple | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of layer normalisation.

    Parameters
    ----------
    dout : ndarray
        Gradient of the output.
    cache : tuple
        An entry of ``NeuralNet.layernorm_cache``: ``(x, x_norm, mean, var, gamma, epsilon, axes)``.

    Returns
    -------
    dx : ndarray of the shape of ``x``
    dgamma, dbeta : ndarray of the shape of ``gamma``

    Raises
    ------
    StateError
        If ``cache`` is None, as it is after a pass that was not one of training.
    ShapeError, DTypeError
        If ``dout`` does not have the shape and dtype of ``x``.
    """
    x, _, mean, var, gamma, epsilon, axes = _entries("LayerNorm", cache)
    normalised = tuple(x.shape[axis] for axis in axes)
    per_channel = gamma.shape != normalised
    rows = (x.shape[0], x.shape[1], math.prod(x.shape[2:])) if per_channel else (mean.size, gamma.size, 1)
    statistics = np.stack([mean.ravel(), 1 / np.sqrt(var.ravel() + epsilon), np.zeros_like(mean.ravel())])
    dx, dgamma, dbeta = layernorm.layernorm_backward(dout, layernorm.LayerNormSaved(x, rows, statistics, gamma))
    assert dx is not None and dgamma is not None and dbeta is not None  # all were asked for
    return dx, dgamma, dbeta


def embedding_backward(dout: np.ndarray, layer: Mapping[str, Any]) -> np.ndarray:
    """Return the gradient of an embedding's weights as a dense array; rows that were not looked up are zero.

    Parameters
    ----------
    dout : ndarray (batch, sequence, embed_dim)
        Gradient of the output.
    layer : mapping
        With ``"weights"`` and the ids of the last ``Forward`` in ``"_last_input"``, as the layer of a network has them.

    Returns
    -------
    dweights : ndarray (vocab_size, embed_dim)

    Raises
    ------
    StateError
        If there was no forward pass.
    ShapeError, DTypeError, LabelError
        If ``dout`` or the ids do not fit.
    """
    ids = layer.get("_last_input")
    if ids is None:
        raise StateError("embedding_backward(layer)", "the ids of a forward pass", "none", "call Forward first")
    rows = len(layer["weights"])
    ids = gather.as_ids("embedding_backward", "_last_input", ids, rows)
    return gather.embedding_backward(dout, ids.reshape(-1, 1) if ids.ndim == 1 else ids, rows)
