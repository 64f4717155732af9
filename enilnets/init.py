"""Weight initialisers: how a layer's weights are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks

__all__ = ["EMBEDDING_INITIALIZERS", "INITIALIZERS", "init_conv_weights", "init_embedding_weights", "init_weights"]

if TYPE_CHECKING:  # np.random alone would be a fifth of the import time
    Draw = Callable[[np.random.Generator, tuple[int, ...], int, int], np.ndarray]


#: Standard deviation of a standard normal that is cut off at -2 and 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
TRUNCATED = 0.8796256610342398


def xavier_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """U(-a, a) with a = sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16)."""
    bound = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, shape)


def xavier_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """N(0, 2 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 12)."""
    return rng.normal(0.0, np.sqrt(2 / (fan_in + fan_out)), shape)


def he_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """U(-a, a) with a = sqrt(6 / fan_in)."""
    bound = np.sqrt(6 / fan_in)
    return rng.uniform(-bound, bound, shape)


def he_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """N(0, 2 / fan_in) (He et al. 2015, eq. 10)."""
    return rng.normal(0.0, np.sqrt(2 / fan_in), shape)


def lecun_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Variance 1 / fan_in (LeCun et al. 1998, section 4.6), from a normal cut off at two of its standard deviations."""
    draws = rng.standard_normal(shape)
    while (outside := np.abs(draws) > 2).any():
        draws[outside] = rng.standard_normal(int(outside.sum()))
    return draws * (np.sqrt(1 / fan_in) / TRUNCATED)


def normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """N(0, 0.1²)."""
    return rng.normal(0.0, 0.1, shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Orthonormal rows or columns, whichever are fewer, of the matrix (shape[0], rest) (Saxe et al. 2014)."""
    u, _, vt = np.linalg.svd(rng.normal(size=(shape[0], int(np.prod(shape[1:])))), full_matrices=False)
    return (u @ vt).reshape(shape)


def zeros(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """All zeros."""
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """All ones."""
    return np.ones(shape)


#: Every initialiser by name. Draws are made in float64 and cast, so a seed gives the same weights for every dtype.
INITIALIZERS: dict[str, Draw] = {
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_normal": lecun_normal,
    "normal": normal,
    "orthogonal": orthogonal,
    "zeros": zeros,
    "ones": ones,
}

#: Those for embeddings, whose rows are looked up and not multiplied: there is no fan-in to preserve a variance over.
EMBEDDING_INITIALIZERS: dict[str, Draw] = {
    name: INITIALIZERS[name] for name in ("normal", "xavier_uniform", "xavier_normal", "zeros")
}


def init_weights(
    n_in: int, n_out: int, method: str = "xavier_uniform", *, dtype: Any = "float64", rng: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the weights of a dense layer.

    Parameters
    ----------
    n_in, n_out : int >= 1
    method : str, default "xavier_uniform"
        A key of ``INITIALIZERS``.
    dtype : {"float64", "float32"}
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    weights : ndarray (n_out, n_in)
    bias : ndarray (n_out,)
        Zeros.

    Examples
    --------
    >>> from enilnets.init import init_weights
    >>> weights, bias = init_weights(3, 2, "he_normal", rng=0)
    >>> weights.shape, bias.tolist()
    ((2, 3), [0.0, 0.0])
    """
    where = "init_weights"
    n_in, n_out = checks.size(where, "n_in", n_in), checks.size(where, "n_out", n_out)
    draw = INITIALIZERS[checks.choice(where, "method", method, INITIALIZERS)]
    dtype = checks.real_dtype(where, dtype)
    return draw(checks.generator(where, rng), (n_out, n_in), n_in, n_out).astype(dtype), np.zeros(n_out, dtype)


def init_conv_weights(
    in_ch: int,
    out_ch: int,
    k: int | tuple[int, ...],
    method: str = "he_normal",
    *,
    dtype: Any = "float64",
    rng: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the weights of a convolution: fan-in ``in_ch * k * k``, fan-out ``out_ch``.

    Parameters
    ----------
    in_ch, out_ch : int >= 1
        Channels that a kernel sees, and number of kernels.
    k : int >= 1 or tuple of them
        Side of square kernels; or one size per axis, (height, width) or (length,).
    method : str, default "he_normal"
        A key of ``INITIALIZERS``.
    dtype : {"float64", "float32"}
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    weights : ndarray (out_ch, in_ch, k, k), or (out_ch, in_ch, *k)
    bias : ndarray (out_ch,)
        Zeros.

    Examples
    --------
    >>> from enilnets.init import init_conv_weights
    >>> init_conv_weights(3, 8, 5, rng=0)[0].shape
    (8, 3, 5, 5)
    """
    where = "init_conv_weights"
    in_ch, out_ch = checks.size(where, "in_ch", in_ch), checks.size(where, "out_ch", out_ch)
    kernel = tuple(checks.size(where, "k", side) for side in (k if isinstance(k, tuple) else (k, k)))
    draw = INITIALIZERS[checks.choice(where, "method", method, INITIALIZERS)]
    dtype = checks.real_dtype(where, dtype)
    weights = draw(checks.generator(where, rng), (out_ch, in_ch, *kernel), in_ch * math.prod(kernel), out_ch)
    return weights.astype(dtype), np.zeros(out_ch, dtype)


def init_embedding_weights(
    vocab_size: int, embed_dim: int, method: str = "normal", *, dtype: Any = "float64", rng: Any = None
) -> np.ndarray:
    """Draw the table of an embedding: fan-in ``vocab_size``, fan-out ``embed_dim``.

    Parameters
    ----------
    vocab_size, embed_dim : int >= 1
    method : str, default "normal"
        A key of ``EMBEDDING_INITIALIZERS``.
    dtype : {"float64", "float32"}
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    weights : ndarray (vocab_size, embed_dim)

    Examples
    --------
    >>> from enilnets.init import init_embedding_weights
    >>> init_embedding_weights(1000, 16, rng=0).shape
    (1000, 16)
    """
    where = "init_embedding_weights"
    shape = checks.size(where, "vocab_size", vocab_size), checks.size(where, "embed_dim", embed_dim)
    draw = EMBEDDING_INITIALIZERS[checks.choice(where, "method", method, EMBEDDING_INITIALIZERS)]
    dtype = checks.real_dtype(where, dtype)
    return draw(checks.generator(where, rng), shape, *shape).astype(dtype, copy=False)
