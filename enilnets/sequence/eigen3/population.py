"""Parameter sets as vectors: target networks that follow, populations that are a matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ... import checks
from ...autodiff import Model
from ...errors import ConfigError
from ...ops.array import as_data
from ...ops.norm import blend

__all__ = ["over_population", "soft_update"]

T = TypeVar("T")


def soft_update(target: Model, online: Model, tau: float) -> None:
    """Move all parameters and running statistics of ``target`` towards those of ``online``.

    Parameters
    ----------
    target, online : Model
        Of the same kind and size.
    tau : float in [0, 1]
        ``target = (1 - tau) target + tau online``; 1 copies.

    Raises
    ------
    ConfigError
        If the two do not have the same parts.

    Examples
    --------
    >>> from enilnets.sequence import CrossAttentionModule, soft_update
    >>> online, target = CrossAttentionModule(8, 2, rng=0), CrossAttentionModule(8, 2, rng=1)
    >>> soft_update(target, online, 1.0)
    >>> bool((target.arena.values == online.arena.values).all())
    True
    """
    tau = checks.fraction("soft_update", "tau", tau)
    theirs, ours = _layout(online), _layout(target)
    if theirs != ours:
        odd = next(name for name in reversed({**theirs, **ours}) if theirs.get(name) != ours.get(name))
        expected, way_out = (
            f"the parts of online, such as {theirs.get(odd)} at {odd}",
            "make both with the same settings",
        )
        raise ConfigError("soft_update(target)", expected, str(ours.get(odd)), way_out)
    blend(target.arena.values, online.arena.values, tau)
    target.arena.version += 1
    buffers = dict(online.named_buffers())
    for name, buffer in target.named_buffers():
        if buffer.flags.writeable:
            blend(buffer, buffers[name], tau)


def _layout(model: Model) -> dict[str, Any]:
    """Names and shapes of everything that a model holds."""
    held: dict[str, Any] = {"dtype": model.dtype.name, "numbers": len(model.arena)}
    held.update((name, parameter.value.shape) for name, parameter in model.named_parameters())
    held.update((name, buffer.shape) for name, buffer in model.named_buffers())
    return held


def over_population(model: Model, members: np.ndarray, function: Callable[[Any], T]) -> list[T]:
    """Call ``function(model)`` once with every parameter set of a population.

    Parameters
    ----------
    model : Model
        Has its own parameters and gradients back afterwards. Running statistics are the model's, for all members.
    members : ndarray (n, len(model.arena))
        A row per member, in the layout of ``model.arena.values``. To draw them:
        ``np.stack([Actor(rng=seed).arena.values for seed in range(n)])``.
    function : callable
        What to do with one member: act, or go back and return a copy of ``model.arena.gradients``.

    Returns
    -------
    list
        What ``function`` returned, member by member.

    Notes
    -----
    In place of ``vmap``. Members run one after the other, since each of them fills the cores; crossing and mutating
    them is arithmetic on rows.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import CrossAttentionModule, over_population
    >>> members = np.stack([CrossAttentionModule(8, 2, rng=seed).arena.values for seed in range(3)])
    >>> model, x = CrossAttentionModule(8, 2, rng=0), np.ones((4, 5, 8))
    >>> np.stack(over_population(model, members, lambda model: model.infer(x))).shape
    (3, 4, 1, 8)
    """
    arena = model.arena
    members = as_data("over_population", "members", members, arena.dtype)
    members = checks.numbers("over_population(members)", members, (*members.shape[:1], len(arena)))
    values, gradients = arena.values.copy(), arena.gradients.copy()
    fresh = [parameter.fresh for parameter in arena.parameters]
    results = []
    try:
        for member in members:
            _assign(arena, member)
            arena.zero_grad()
            results.append(function(model))
    finally:
        _assign(arena, values)
        arena.gradients[...] = gradients
        for parameter, was in zip(arena.parameters, fresh, strict=True):
            parameter.fresh = was
    return results


def _assign(arena: Any, values: np.ndarray) -> None:
    arena.values[...] = values
    arena.version += 1
