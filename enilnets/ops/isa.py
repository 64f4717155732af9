"""Chooses the instruction set for all compiled modules: the best this CPU has, or the one ENILNETS_ISA names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .._ext import (
    attention,
    chain,
    conv,
    dropout,
    gather,
    gemm,
    losses,
    norm,
    optim,
    pointwise,
    pool,
    recurrent,
    scan,
)
from .._ext import isa as _isa
from ..errors import ConfigError

__all__ = ["CONCERNS", "available", "current", "select", "using", "variants"]

#: The compiled modules that hold kernels, by name.
CONCERNS = {
    "attention": attention,
    "conv": conv,
    "dropout": dropout,
    "gather": gather,
    "gemm": gemm,
    "losses": losses,
    "norm": norm,
    "optim": optim,
    "pointwise": pointwise,
    "pool": pool,
    "recurrent": recurrent,
    "scan": scan,
}

_NAMES = tuple(_isa.names())
_SUPPORTED = tuple(_isa.supported())
_current = "baseline"


def available() -> tuple[str, ...]:
    """Names of the instruction sets this CPU can run, the most preferred last."""
    return tuple(_NAMES[i] for i in _SUPPORTED)


def current() -> str:
    """Name of the instruction set in use."""
    return _current


def select(name: str) -> None:
    """Run all kernels with instruction set ``name`` ("baseline", "avx2" or "avx512") from now on.

    Raises
    ------
    ConfigError
        If the name is unknown or the CPU lacks the instruction set.
    """
    global _current
    if name not in available():
        raise ConfigError(
            "ENILNETS_ISA",
            f"one of {', '.join(available())}, which this CPU can run",
            repr(name),
            "unset it for the best one",
        )
    for module in (*CONCERNS.values(), chain):  # which runs the kernels of the others
        module.select(_NAMES.index(name))
    _current = name


@contextmanager
def using(name: str) -> Iterator[None]:
    """Run the kernels of instruction set ``name`` inside the block (for tests and benchmarks; not thread-safe)."""
    before = _current
    select(name)
    try:
        yield
    finally:
        select(before)


def variants() -> list[tuple[str, str, str, str]]:
    """Every kernel variant that can run here, as (concern, kernel, dtype, instruction set)."""
    return [
        (concern, kernel, dtype, isa)
        for concern, module in CONCERNS.items()
        for kernel in module.kernels()
        for dtype in ("float32", "float64")
        for isa in available()
    ]


select(os.environ.get("ENILNETS_ISA") or available()[-1])
