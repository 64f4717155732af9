"""Parameter: a trainable array for expressions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError
from ..ops.array import REAL_DTYPES, as_numbers
from ..parameters import Parameter as StoredParameter
from .operators import Operators
from .tensor import Tensor

__all__ = ["Parameter"]


class Parameter(Operators, StoredParameter):
    """A trainable array that expressions can begin with, such as ``x @ self.weights`` in a Model.

    Parameters
    ----------
    value : array_like of float32 or float64
        Initial values, which are copied. A Model casts them to its dtype.
    penalised : bool, default False
        Whether the L2 penalty applies (weights: yes; biases and scales: no).

    Attributes
    ----------
    value, grad : ndarray
        Values and gradients; views into the Model's arena once there is one.

    Examples
    --------
    >>> from enilnets.autodiff import Parameter
    >>> scale = Parameter([2.0, 3.0])
    >>> (scale * scale).sum().backward()
    >>> scale.grad
    array([4., 6.])
    """

    __slots__ = ()

    #: What expressions of Parameters alone are made of.
    kind = Tensor

    def __init__(self, value: Any, penalised: bool = False) -> None:
        array = as_numbers("Parameter", "value", value)
        if array.dtype not in REAL_DTYPES:
            array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise DataError("Parameter(value)", "finite numbers", "NaN or infinity")
        super().__init__(array, penalised)

    def __repr__(self) -> str:
        return f"Parameter({np.array2string(self.value, separator=', ', prefix='Parameter(', threshold=50)})"
