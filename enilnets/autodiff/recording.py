"""Switching the recording of graphs off and on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from .nodes import STATE

__all__ = ["enable_grad", "is_recording", "no_grad"]

F = TypeVar("F", bound=Callable[..., Any])


class Switch:
    """A context manager and decorator that switches recording in this thread."""

    enabled: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(STATE.swap("enabled", self.enabled))

    def __exit__(self, *_: object) -> None:
        STATE.swap("enabled", self._before.pop())

    def __call__(self, function: F) -> F:
        """Return ``function`` so that it runs inside of a block of its own."""
        kind = type(self)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with kind():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class no_grad(Switch):
    """Record nothing inside of the block: results are constants, and cost no memory beyond themselves.

    Each thread records for itself, so a block in one leaves the others alone. Blocks nest; as a decorator,
    ``@no_grad()`` puts a function into a block.

    Examples
    --------
    >>> from enilnets.autodiff import Tensor, no_grad
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    enabled = False


class enable_grad(Switch):
    """Record inside of the block, also within a ``no_grad`` block."""

    enabled = True


def is_recording() -> bool:
    """Return whether this thread records at present."""
    return STATE.enabled
