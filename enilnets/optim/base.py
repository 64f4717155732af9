"""What every optimizer is: settings, state vectors beside the arena, and one fused step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import checks
from ..errors import ConfigError, NonFiniteError, StateError
from ..parameters import Arena

__all__ = ["SMALLEST_EPSILON", "Optimizer"]

#: Below it, float32 would round an epsilon to 0, and a parameter without gradient would become 0 / 0.
SMALLEST_EPSILON = 1e-30

#: What float32 can hold in any case; larger learning rates are looked at more closely.
LARGEST_SETTING = 1e38


class Optimizer:
    """Base of the optimizers: subclasses name their state and call their kernel in ``update``.

    Parameters
    ----------
    clip_norm : float > 0, optional
        Clip the gradient of all trainable parameters together to this Euclidean norm before each step
        (Pascanu et al. 2013, algorithm 1).
    clip_value : float > 0, optional
        Clip every number of the gradient to [-clip_value, clip_value] before each step, instead of the norm.

    Attributes
    ----------
    t : int
        Number of steps taken.
    state : dict of str to ndarray
        One vector per name in ``slots``, laid out like the arena; empty before the first step.
    """

    name: ClassVar[str]
    slots: ClassVar[tuple[str, ...]]
    settings: ClassVar[tuple[str, ...]] = ("clip_norm", "clip_value")

    def __init__(self, clip_norm: float | None = None, clip_value: float | None = None) -> None:
        name = type(self).__name__
        self.clip_norm = None if clip_norm is None else checks.number(name, "clip_norm", clip_norm, 0.0, above=True)
        self.clip_value = None if clip_value is None else checks.number(name, "clip_value", clip_value, 0.0, above=True)
        if clip_norm is not None and clip_value is not None:
            raise ConfigError(f"{name}(clip_norm, clip_value)", "one of the two", "both")
        self.t = 0
        self.state: dict[str, np.ndarray] = {}
        self._arena: Arena | None = None
        self._length = 0

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel on the arena's spans; return the index of a bad gradient or -1."""
        raise NotImplementedError(f"{type(self).__name__} must define update()")

    def run(self, kernel: Callable[..., int], arena: Arena, *settings: float) -> int:
        """Call ``kernel`` with values, state in the order of ``slots``, gradients, spans and ``settings``."""
        state = [self.state[slot] for slot in self.slots]
        return kernel(arena.values, *state, arena.gradients, arena.spans, *settings)

    def step(self, arena: Arena, learning_rate: float, l2_lambda: float = 0.0) -> None:
        """Change the arena's values by one step along its gradients.

        Parameters
        ----------
        arena : Arena
        learning_rate : float
        l2_lambda : float >= 0
            ``l2_lambda * w`` is added to the gradient of every penalised parameter.

        Raises
        ------
        NonFiniteError
            If a gradient is NaN or infinite. No such gradient is ever applied; with ``clip_norm`` or ``clip_value``
            nothing changes at all, without them any other parameter may have taken the step.
        """
        if max(learning_rate, l2_lambda) > LARGEST_SETTING:
            self._check_settings(arena, learning_rate=learning_rate, l2_lambda=l2_lambda)
        self.allocate(arena)
        scale = 1.0
        gradients = arena.gradients
        if self.clip_norm is not None:
            norm = arena.gradient_norm()
            scale = self.clip_norm / norm if norm > self.clip_norm else 1.0
        elif self.clip_value is not None:
            arena.gradient_norm()  # refuses what is not finite, which clipping would hide
            arena.clip_gradients(self.clip_value)
        self.t += 1
        arena.version += 1
        bad = self.update(arena, learning_rate, l2_lambda, scale)
        if bad >= 0:
            self.t -= 1
            raise NonFiniteError(
                f"{type(self).__name__}.step()",
                "gradients whose squares are finite",
                f"{gradients[bad]} for a parameter of shape {arena.owner(bad).value.shape}",
                "lower the learning rate, clip gradients with clip_norm=, or look at the data",
            )

    def _check_settings(self, arena: Arena, **settings: float) -> None:
        for name, value in settings.items():
            if value > float(np.finfo(arena.dtype).max):
                raise ConfigError(
                    f"{type(self).__name__}.step({name})", f"a number that {arena.dtype} can hold", str(value)
                )

    def allocate(self, arena: Arena) -> None:
        """Give every slot a vector as long as the arena; elements that are new are zero."""
        if self._arena is arena and len(self.state) == len(self.slots) and self._length == len(arena):
            return
        if self._arena is not None and self._arena is not arena and self.state:
            raise StateError(
                f"{type(self).__name__}.step(arena)",
                "the arena its state belongs to",
                "another one",
                "give every network an optimizer of its own",
            )
        self._arena, self._length = arena, len(arena)
        for slot in self.slots:
            old = self.state.get(slot)
            if old is None or len(old) != len(arena):
                self.state[slot] = np.zeros(len(arena), arena.dtype)
                if old is not None:
                    self.state[slot][: len(old)] = old

    def reset(self) -> None:
        """Forget all state and set ``t`` to 0."""
        self.t = 0
        self.state = {}

    def config(self) -> dict[str, Any]:
        """The settings that build this optimizer again: ``OPTIMIZERS[name](**config)``."""
        return {name: getattr(self, name) for name in self.settings}
