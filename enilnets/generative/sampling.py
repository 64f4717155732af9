"""Sampling: from distributions, from logits, along the gradient of an energy.

Every function takes ``rng=`` (None, an int, a SeedSequence or a Generator; None draws from fresh entropy) and keeps
float32 where all its arrays are float32; anything else becomes float64. Logits may be of any size and may be -infinity,
which switches a class off; leading axes are free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import checks
from ..errors import ConfigError, DataError, NonFiniteError, ShapeError
from ..ops.array import as_numbers, as_reals
from ..returns import compute_returns, gae

__all__ = [
    "compute_returns",
    "gae",
    "gaussian_sample",
    "gumbel_softmax_sample",
    "langevin_dynamics",
    "random_mask",
    "reparameterize",
    "top_p_sampling",
    "uniform_sample",
]


def reparameterize(mu: Any, logvar: Any, *, rng: Any = None) -> np.ndarray:
    """Draw from N(mu, exp(logvar)) so that gradients pass through: ``mu + exp(logvar / 2) eps``, eps ~ N(0, 1).

    Parameters
    ----------
    mu, logvar : array_like (...)
        Same shape.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    z : ndarray like mu

    Raises
    ------
    ShapeError
        If the shapes differ; nothing is broadcast.
    DataError
        For NaN or infinity, and where ``exp(logvar / 2)`` overflows.

    Notes
    -----
    ``dz/dmu = 1`` and ``dz/dlogvar = (z - mu) / 2``.

    References
    ----------
    Kingma & Welling 2014, "Auto-encoding variational Bayes", section 2.4.

    Examples
    --------
    >>> reparameterize([1.0, 2.0], [-1e4, -1e4], rng=0)
    array([1., 2.])
    """
    where = "reparameterize"
    mean, log_variance = as_reals(where, mu=mu, logvar=logvar)
    if mean.shape != log_variance.shape:
        raise ShapeError(f"{where}(logvar)", f"shape {mean.shape} like mu", f"shape {log_variance.shape}")
    with np.errstate(over="ignore"):
        std = np.exp(log_variance / 2)
    if not np.isfinite(std).all():
        raise DataError(f"{where}(logvar)", f"a variance that {mean.dtype} holds", f"{log_variance.max()}", "clip it")
    return np.asarray(mean + std * _normal(checks.generator(where, rng), mean.shape, mean.dtype))


def langevin_dynamics(
    energy_fn: Callable[[np.ndarray], tuple[Any, Any]],
    x_init: Any,
    n_steps: int = 20,
    step_size: float = 0.1,
    noise_scale: float = 0.005,
    *,
    rng: Any = None,
) -> np.ndarray:
    """Walk down the gradient of an energy with noise: ``x <- x - step_size grad + noise_scale N(0, 1)``.

    Parameters
    ----------
    energy_fn : callable
        Maps ``x`` to ``(energy, gradient)``, the gradient of the shape of ``x``.
    x_init : array_like (...)
        Where the walk begins; not modified.
    n_steps : int >= 0, default 20
    step_size, noise_scale : float >= 0
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    x : ndarray like x_init

    Raises
    ------
    ShapeError
        If a gradient has another shape.
    NonFiniteError
        If a gradient is NaN or infinite.

    Notes
    -----
    With ``noise_scale = sqrt(2 step_size)`` and small steps, samples of ``exp(-energy)``; with less noise, of a colder
    distribution.

    References
    ----------
    Welling & Teh 2011, "Bayesian learning via stochastic gradient Langevin dynamics", equation 3.

    Examples
    --------
    >>> x = langevin_dynamics(lambda x: ((x**2).sum() / 2, x), [8.0], n_steps=3, step_size=0.5, noise_scale=0.0)
    >>> x
    array([1.])
    """
    where = "langevin_dynamics"
    n_steps = checks.integer(where, "n_steps", n_steps, 0)
    step_size = checks.number(where, "step_size", step_size, 0.0)
    noise_scale = checks.number(where, "noise_scale", noise_scale, 0.0)
    if not callable(energy_fn):
        raise ConfigError(f"{where}(energy_fn)", "a function that returns (energy, gradient)", repr(energy_fn))
    random = checks.generator(where, rng)
    (x,) = as_reals(where, x_init=x_init)
    x = x.copy()
    for step in range(n_steps):
        result = energy_fn(x)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise ConfigError(f"{where}(energy_fn)", "a result (energy, gradient)", type(result).__name__)
        gradient = as_numbers(where, "gradient of energy_fn", result[1])
        if gradient.shape != x.shape:
            raise ShapeError(f"{where}(energy_fn)", f"a gradient of shape {x.shape}", f"shape {gradient.shape}")
        if not np.isfinite(gradient).all():
            raise NonFiniteError(f"{where}(energy_fn)", "a finite gradient", f"another in step {step}")
        x = x - x.dtype.type(step_size) * gradient.astype(x.dtype)
        x = x + x.dtype.type(noise_scale) * _normal(random, x.shape, x.dtype)
    return x


def gaussian_sample(mean: Any, std: Any, shape: Any = None, *, rng: Any = None) -> np.ndarray:
    """Draw from N(mean, std²).

    Parameters
    ----------
    mean, std : float or array_like
        ``std`` >= 0; their shapes broadcast to ``shape``.
    shape : int or tuple of int, optional
        Default: the common shape of ``mean`` and ``std``, which is () for two numbers.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    ndarray of ``shape``

    Raises
    ------
    DataError
        For a negative ``std``, NaN or infinity.
    ShapeError
        If the shapes do not broadcast to ``shape``.

    Examples
    --------
    >>> gaussian_sample(0.0, 1.0).shape, gaussian_sample([0.0, 10.0], 1.0, (5, 2), rng=0).shape
    ((), (5, 2))
    """
    where = "gaussian_sample"
    centre, spread = as_reals(where, mean=mean, std=std)
    if (spread < 0).any():
        raise DataError(f"{where}(std)", "numbers >= 0", str(spread.min()))
    sizes = _shape(where, shape, centre, spread)
    return np.asarray(centre + spread * _normal(checks.generator(where, rng), sizes, centre.dtype))


def uniform_sample(low: Any, high: Any, shape: Any = None, *, rng: Any = None) -> np.ndarray:
    """Draw from the uniform distribution on [low, high).

    Parameters
    ----------
    low, high : float or array_like
        ``low`` <= ``high``; their shapes broadcast to ``shape``.
    shape : int or tuple of int, optional
        Default: the common shape of ``low`` and ``high``.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    ndarray of ``shape``

    Raises
    ------
    DataError
        Where ``low`` > ``high``, for NaN or infinity.
    ShapeError
        If the shapes do not broadcast to ``shape``.

    Examples
    --------
    >>> x = uniform_sample(-1, 1, (100, 3), rng=0)
    >>> x.shape, bool((abs(x) <= 1).all())
    ((100, 3), True)
    """
    where = "uniform_sample"
    bottom, top = as_reals(where, low=low, high=high)
    sizes = _shape(where, shape, bottom, top)
    with np.errstate(over="ignore"):
        width = top - bottom
    if not ((width >= 0) & (width < np.inf)).all():
        raise DataError(where, "low <= high, a finite width apart", f"low {low!r}, high {high!r}")
    shares = np.asarray(checks.generator(where, rng).random(sizes, bottom.dtype.type), bottom.dtype)
    return np.asarray(np.minimum(bottom + width * shares, np.nextafter(top, bottom)))  # a sum may round up to the end


def gumbel_softmax_sample(logits: Any, temperature: float = 1.0, hard: bool = False, *, rng: Any = None) -> np.ndarray:
    """Draw relaxed one-hot samples: ``softmax((logits + g) / temperature)`` over the last axis, g ~ Gumbel(0, 1).

    Parameters
    ----------
    logits : array_like (..., classes)
    temperature : float > 0, default 1.0
        The lower, the closer to one-hot.
    hard : bool, default False
        Return the one-hot of the largest entry. A straight-through gradient then takes that of the soft sample, which
        the same ``rng`` seed gives without ``hard``.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    ndarray like logits

    Raises
    ------
    ConfigError, DataError, ShapeError
        For a temperature that is not positive, logits that are NaN or +infinity, a row without any possible class.

    References
    ----------
    Jang, Gu & Poole 2017, "Categorical reparameterization with Gumbel-softmax", equation 2.

    Examples
    --------
    >>> gumbel_softmax_sample([[1e4, 0.0, -1e4]], temperature=0.5, rng=0)
    array([[1., 0., 0.]])
    """
    where = "gumbel_softmax_sample"
    z = _logits(where, logits)
    temperature = checks.number(where, "temperature", temperature, 0.0, above=True)
    hard = checks.flag(where, "hard", hard)
    uniform = checks.generator(where, rng).standard_exponential(z.shape, z.dtype.type)
    noisy = z - np.log(np.maximum(uniform, np.finfo(z.dtype).tiny))
    if hard:
        return _one_hot(noisy.argmax(axis=-1), z)
    return _softmax(noisy, temperature)


def random_mask(shape: Any, ratio: float, *, rng: Any = None) -> np.ndarray:
    """Draw a mask of ones with probability ``ratio`` and zeros.

    Parameters
    ----------
    shape : int or tuple of int
    ratio : float in [0, 1]
        Share to keep.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> random_mask((2, 3), 1.0)
    array([[1., 1., 1.],
           [1., 1., 1.]])
    """
    ratio = checks.fraction("random_mask", "ratio", ratio)
    return (checks.generator("random_mask", rng).random(_shape("random_mask", shape)) < ratio).astype(np.float64)


def top_p_sampling(
    logits: Any, p: float = 0.9, temperature: float = 1.0, *, top_k: int | None = None, rng: Any = None
) -> np.ndarray:
    """Draw one token per row from its nucleus: the smallest set of likeliest tokens whose probability exceeds ``p``.

    Parameters
    ----------
    logits : array_like (..., tokens)
    p : float in [0, 1], default 0.9
        1 keeps all tokens, 0 the likeliest alone, which is kept always.
    temperature : float > 0, default 1.0
        Divides the logits.
    top_k : int >= 1, optional
        Keep at most so many tokens.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    ndarray like logits
        One-hot rows.

    Raises
    ------
    ConfigError, DataError, ShapeError
        For settings outside their range, logits that are NaN or +infinity, a row without any possible token.

    Notes
    -----
    The token with which the cumulative probability crosses ``p`` is kept.

    References
    ----------
    Holtzman, Buys, Du, Forbes & Choi 2020, "The curious case of neural text degeneration", section 3.1.

    Examples
    --------
    >>> top_p_sampling([[1.0, 5.0, 2.0]], p=0.5)
    array([[0., 1., 0.]])
    """
    where = "top_p_sampling"
    z = _logits(where, logits)
    p = checks.fraction(where, "p", p)
    temperature = checks.number(where, "temperature", temperature, 0.0, above=True)
    k = z.shape[-1] if top_k is None else checks.integer(where, "top_k", top_k, 1)
    order = np.argsort(-z, axis=-1, kind="stable")[..., :k]
    probs = _softmax(z.astype(np.float64), temperature)
    probs = np.take_along_axis(probs, order, axis=-1)
    probs /= probs.sum(axis=-1, keepdims=True)
    before = np.cumsum(probs, axis=-1) - probs
    kept = (probs > 0) & (before <= p if p < 1 else True)
    kept[..., 0] = True
    total = np.cumsum(np.where(kept, probs, 0), axis=-1)
    level = checks.generator(where, rng).random((*z.shape[:-1], 1)) * total[..., -1:]
    drawn = np.minimum((total <= level).sum(axis=-1), kept.sum(axis=-1) - 1)
    return _one_hot(np.take_along_axis(order, drawn[..., None], axis=-1)[..., 0], z)


def _normal(random: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.asarray(random.standard_normal(shape, dtype.type), dtype)


def _shape(where: str, shape: Any, *arrays: np.ndarray) -> tuple[int, ...]:
    """Return ``shape`` as a tuple that the arrays broadcast to; None stands for their common shape."""
    sizes: tuple[int, ...] | None = None
    if shape is not None or not arrays:
        entries = shape if isinstance(shape, (tuple, list)) else (shape,)
        sizes = tuple(checks.size(where, "shape", size, 0) for size in entries)
    try:
        common = np.broadcast_shapes(*(array.shape for array in arrays))
        if sizes is None or np.broadcast_shapes(common, sizes) == sizes:
            return common if sizes is None else sizes
    except ValueError:
        pass
    shapes = " and ".join(str(array.shape) for array in arrays)
    raise ShapeError(f"{where}(shape)", f"a shape that {shapes} broadcast to", str(sizes))


def _logits(where: str, logits: Any) -> np.ndarray:
    """Cast logits to float32 or float64 rows that each have a possible class; -infinity is allowed."""
    if np.ma.is_masked(logits):
        raise DataError(f"{where}(logits)", "numbers without gaps", "a masked array", "put -inf there")
    z = as_numbers(where, "logits", logits)
    z = np.asarray(z, np.float32 if z.dtype == np.float32 else np.float64, order="C")
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ShapeError(f"{where}(logits)", "shape (..., classes) with at least one class", f"shape {z.shape}")
    if np.isnan(z).any() or (z == np.inf).any():
        raise DataError(f"{where}(logits)", "finite numbers or -infinity", "NaN or +infinity")
    if (z.max(axis=-1) == -np.inf).any():
        raise DataError(f"{where}(logits)", "a possible class in every row", "a row of -infinity alone")
    return z


def _softmax(z: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(z / temperature) over the last axis; the largest entry is taken off first, so that nothing overflows."""
    with np.errstate(over="ignore", divide="ignore"):
        e = np.exp(((z - z.max(axis=-1, keepdims=True)).astype(np.float64) / temperature).astype(z.dtype))
    return e / e.sum(axis=-1, keepdims=True)


def _one_hot(classes: np.ndarray, like: np.ndarray) -> np.ndarray:
    rows = np.zeros_like(like)
    np.put_along_axis(rows, classes[..., None], 1, axis=-1)
    return rows
