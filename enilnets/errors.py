"""The errors that enilnets raises on purpose.

Every one says four things: where it happened, what was expected, what came, and the way out. All of them are
``EnilnetsError``; each is also the built-in exception that a caller would expect (``ValueError``, ``TypeError``, ...).

>>> raise ShapeError("Dense(784 -> 256)", "shape (batch, 784)", (32, 28, 28), "add a Flatten layer first")
Traceback (most recent call last):
    ...
enilnets.errors.ShapeError: Dense(784 -> 256): expected shape (batch, 784), got (32, 28, 28); add a Flatten layer first
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DTypeError",
    "DataError",
    "EnilnetsError",
    "GradientError",
    "LabelError",
    "ModelFormatError",
    "NonFiniteError",
    "ShapeError",
    "StateError",
]


class EnilnetsError(Exception):
    """Base of all errors of this library.

    Parameters
    ----------
    where : str
        The function, layer or file that refused, with the argument's name where there is one.
    expected : str
        What would have been right.
    got : object
        What came instead.
    way_out : str, optional
        What the reader can do about it.
    """

    def __init__(self, where: str, expected: str, got: object, way_out: str = "") -> None:
        super().__init__(where, expected, got, way_out)

    def __str__(self) -> str:
        where, expected, got, way_out = self.args
        return f"{where}: expected {expected}, got {got}" + (f"; {way_out}" if way_out else "")


class ShapeError(EnilnetsError, ValueError):
    """An array has the wrong number of axes or the wrong size along one."""


class DTypeError(EnilnetsError, TypeError):
    """An array or argument has a type that cannot be used, such as object, complex or str."""


class DataError(EnilnetsError, ValueError):
    """Data that cannot be learned from: empty, NaN or infinite, or X and Y of different lengths."""


class LabelError(DataError, IndexError):
    """A class label, token or action lies outside the range of the outputs, or is not an integer."""


class NonFiniteError(DataError, ArithmeticError):
    """Training produced a loss or gradient that is NaN or infinite."""


class GradientError(EnilnetsError, AssertionError):
    """A gradient is not the one that differences of the function show."""


class ConfigError(EnilnetsError, ValueError):
    """A name is unknown or a setting lies outside its range."""


class StateError(EnilnetsError, ValueError):
    """A call came at the wrong moment, such as a backward pass without a forward pass."""


class ModelFormatError(EnilnetsError, ValueError):
    """A model file is truncated, corrupt, of an unknown version or not a model file."""
