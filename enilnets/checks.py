"""Checks of single settings; each returns the value in its plain type or raises an error that names it."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from .errors import ConfigError, DTypeError, ShapeError

__all__ = ["choice", "flag", "fraction", "generator", "integer", "number", "numbers", "real_dtype", "size"]


#: No layer is wider, no kernel larger; products of two such sizes still fit 64 bits.
LARGEST = 2**31 - 1


def integer(where: str, name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """Return ``value`` as an int in [``minimum``, ``maximum``]; booleans and floats are refused."""
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, (bool, np.bool_)) or whole < minimum:
        raise ConfigError(f"{where}({name})", f"an integer >= {minimum}", repr(value))
    if maximum is not None and whole > maximum:
        raise ConfigError(f"{where}({name})", f"an integer <= {maximum}", repr(value))
    return whole


def size(where: str, name: str, value: Any, minimum: int = 1) -> int:
    """Return ``value`` as the int that a width, a kernel side or a padding may be."""
    return integer(where, name, value, minimum, LARGEST)


def number(where: str, name: str, value: Any, minimum: float = -math.inf, *, above: bool = False) -> float:
    """Return ``value`` as a finite float >= ``minimum`` (> ``minimum`` if ``above``)."""
    bound = f" {'>' if above else '>='} {minimum:g}" if minimum > -math.inf else ""
    try:
        real = float(value) if not isinstance(value, (str, bytes, bool, np.bool_)) else math.nan
    except (TypeError, ValueError, OverflowError):
        real = math.nan
    if not math.isfinite(real) or real < minimum or (above and real == minimum):
        raise ConfigError(f"{where}({name})", f"a finite number{bound}", repr(value))
    return real


def numbers(where: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return ``value`` as an array of real numbers of exactly ``shape``; nothing is broadcast."""
    if np.ma.is_masked(value):
        raise DTypeError(where, "numbers without gaps", "a masked array", "fill the masked entries first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(where, f"shape {shape}", f"{type(value).__name__} ({error})") from None
    if array.shape != shape:
        raise ShapeError(where, f"shape {shape}", f"shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise DTypeError(where, "real numbers", f"dtype {array.dtype}")
    return array


def fraction(where: str, name: str, value: Any, *, one: bool = True) -> float:
    """Return ``value`` as a float in [0, 1], or in [0, 1) without ``one``."""
    try:
        real = number(where, name, value, 0.0)
    except ConfigError:
        real = math.inf
    if real > 1 or (real == 1 and not one):
        raise ConfigError(f"{where}({name})", f"a number in [0, 1{']' if one else ')'}", repr(value))
    return real


def flag(where: str, name: str, value: Any) -> bool:
    """Return ``value`` as a bool; anything but True and False is refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise ConfigError(f"{where}({name})", "True or False", repr(value))
    return bool(value)


def choice(where: str, name: str, value: Any, known: Iterable[str]) -> str:
    """Return ``value`` if it is one of the ``known`` names; the error lists them."""
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise ConfigError(f"{where}({name})", f"one of {', '.join(names)}", repr(value))
    return value


def real_dtype(where: str, value: Any) -> np.dtype:
    """Return float32 or float64 as a native dtype."""
    try:
        dtype = np.dtype(value).newbyteorder("=")
    except TypeError:
        dtype = np.dtype(object)
    if value is None or dtype not in (np.dtype(np.float32), np.dtype(np.float64)):  # NumPy reads None as float64
        raise DTypeError(f"{where}(dtype)", '"float32" or "float64"', repr(value))
    return dtype


def generator(where: str, value: Any) -> np.random.Generator:
    """Return the Generator that ``value`` (None, an int, a SeedSequence or a Generator) stands for."""
    known = (int, np.integer, np.random.Generator, np.random.SeedSequence)
    if value is None or (isinstance(value, known) and not isinstance(value, bool)):
        try:
            return np.random.default_rng(value)
        except ValueError:  # a negative number
            pass
    raise ConfigError(f"{where}(rng)", "None, an int >= 0, a SeedSequence or a Generator", repr(value))
