"""Products of matrices and tensors; every one goes through ``ops.matmul``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ConfigError, DTypeError, ShapeError
from ..ops import matmul as products
from ..ops.array import REAL_DTYPES
from .indexing import getitem
from .nodes import Op
from .operands import apply_binary, is_operand, shape_of
from .reductions import sum
from .shapes import broadcast_to, expand_dims, reshape, squeeze, transpose

__all__ = ["einsum", "matmul"]


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    real = a.dtype in REAL_DTYPES and a.dtype == b.dtype
    return products.matmul(a, b) if real else np.matmul(a, b)


MATMUL = Op(
    "matmul",
    _product,
    [lambda g, node, a, b: _matrices(g, b.swapaxes(-1, -2)), lambda g, node, a, b: _matrices(a.swapaxes(-1, -2), g)],
    (0, 1),
)


def _matrices(a: Any, b: Any) -> Any:
    """Return the product of stacks of matrices that go together."""
    return apply_binary(MATMUL, a, b) if is_operand(a) or is_operand(b) else _product(a, b)


def matmul(a: Any, b: Any) -> Any:
    """Return ``a @ b``.

    Parameters
    ----------
    a : Tensor (..., m, k) or (k,)
    b : Tensor (..., k, n) or (k,)
        Leading axes are broadcast; a vector is a single row on the left, a single column on the right.

    Raises
    ------
    ShapeError
        If the shapes do not go together.
    """
    left, right = shape_of(a), shape_of(b)
    if not left or not right or left[-1] != right[-2 if len(right) > 1 else 0]:
        raise ShapeError("matmul", "shapes (..., m, k) and (..., k, n)", f"{left} and {right}")
    if len(left) == 1:
        return squeeze(matmul(expand_dims(a, 0), b), -2 if len(right) > 1 else 0)
    if len(right) == 1:
        return squeeze(matmul(a, expand_dims(b, 1)), -1)
    if len(right) == 2 and len(left) > 2:  # one product of all rows instead of one per matrix
        rows = reshape(a, (math.prod(left[:-1]), left[-1]))
        return reshape(matmul(rows, b), (*left[:-1], right[-1]))
    return apply_binary(MATMUL, a, b)


def einsum(subscripts: str, *operands: Any) -> Any:
    """Return a sum of products over indices that letters name, as ``numpy.einsum`` does.

    Parameters
    ----------
    subscripts : str
        Such as ``"bij,bjk->bik"``; without an arrow the result has the letters that occur once, in alphabetical order.
        An ellipsis stands for leading axes that are broadcast.
    *operands : Tensor or array_like
        From left to right, each is multiplied with the product of those before, by ``matmul``.

    Raises
    ------
    ConfigError, ShapeError
        If the subscripts cannot be read, or do not fit the operands.
    """
    if not isinstance(subscripts, str):
        raise DTypeError("einsum(subscripts)", "a string such as 'ij,jk->ik'", type(subscripts).__name__)
    inputs, output = _letters(subscripts, [shape_of(x) for x in operands])
    terms = [_diagonal(x, letters) for x, letters in zip(operands, inputs, strict=True)]
    (result, letters), *rest = terms
    for i, (x, others) in enumerate(rest):
        later = output + "".join(t[1] for t in rest[i + 1 :])
        result, letters = _pair(result, letters, x, others, later)
    result, letters = _summed(result, letters, output)
    return transpose(result, [letters.index(letter) for letter in output])


def _letters(subscripts: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """Return a letter per axis for every operand, and those of the result; an ellipsis gets letters of its own."""
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes) or any(c != "." and not c.isalpha() for c in "".join(inputs) + output):
        raise ConfigError(
            "einsum(subscripts)", f"letters for {len(shapes)} operands, such as 'ij,jk->ik'", repr(subscripts)
        )
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in text]
    widths = [len(shape) - len(term.replace("...", "")) for term, shape in zip(inputs, shapes, strict=True)]
    if any(w < 0 or (w and "..." not in term) for w, term in zip(widths, inputs, strict=True)):
        raise ShapeError("einsum(operands)", f"as many axes as letters in {subscripts!r}", f"shapes {shapes}")
    widest = "".join(spare[: np.max(widths, initial=0)])
    inputs = [term.replace("...", widest[len(widest) - w :]) for term, w in zip(inputs, widths, strict=True)]
    joined = "".join(inputs)
    if not arrow:
        output = widest + "".join(c for c in sorted(set(joined) - set(widest)) if joined.count(c) == 1)
    output = output.replace("...", widest)
    if "." in joined + output or len(set(output)) < len(output) or not set(output) <= set(joined):
        raise ConfigError("einsum(subscripts)", "every letter of the result once, and in an operand", repr(subscripts))
    _check_sizes(subscripts, inputs, shapes)
    return inputs, output


def _check_sizes(subscripts: str, inputs: list[str], shapes: list[tuple[int, ...]]) -> None:
    sizes: dict[str, int] = {}
    for term, shape in zip(inputs, shapes, strict=True):
        for letter, n in zip(term, shape, strict=True):
            if sizes.setdefault(letter, n) != n and 1 not in (n, sizes[letter]):
                raise ShapeError("einsum(operands)", f"one size per letter of {subscripts!r}", f"shapes {shapes}")
            sizes[letter] = n if sizes[letter] == 1 else sizes[letter]


def _diagonal(x: Any, letters: str) -> tuple[Any, str]:
    """Take the diagonal of axes that have the same letter."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            n = shape_of(x)[first]
            order = [first, second, *(i for i in range(len(letters)) if i not in (first, second))]
            x = getitem(transpose(x, order), (np.arange(n), np.arange(n)))
            letters = letter + letters[:first] + letters[first + 1 : second] + letters[second + 1 :]
    return x, letters


def _summed(x: Any, letters: str, keep: str) -> tuple[Any, str]:
    """Sum over the letters that nobody needs any more."""
    away = tuple(i for i, letter in enumerate(letters) if letter not in keep)
    return (sum(x, away) if away else x), "".join(letter for letter in letters if letter in keep)


def _pair(a: Any, first: str, b: Any, second: str, later: str) -> tuple[Any, str]:
    """Contract two operands over the letters that they share and nobody needs later."""
    a, first = _summed(a, first, second + later)
    b, second = _summed(b, second, first + later)
    a, b = _stretched(a, first, b, second), _stretched(b, second, a, first)
    sizes = {**dict(zip(first, shape_of(a), strict=True)), **dict(zip(second, shape_of(b), strict=True))}
    batch = [c for c in first if c in second and c in later]
    inner = [c for c in first if c in second and c not in later]
    rows, columns = [c for c in first if c not in second], [c for c in second if c not in first]

    def size(letters: list[str]) -> int:
        return int(np.prod([sizes[c] for c in letters], dtype=np.int64))

    left = transpose(a, [first.index(c) for c in (*batch, *rows, *inner)])
    right = transpose(b, [second.index(c) for c in (*batch, *inner, *columns)])
    leading = tuple(sizes[c] for c in batch)
    product = matmul(
        reshape(left, (*leading, size(rows), size(inner))), reshape(right, (*leading, size(inner), size(columns)))
    )
    result = [*batch, *rows, *columns]
    return reshape(product, tuple(sizes[c] for c in result)), "".join(result)


def _stretched(a: Any, first: str, b: Any, second: str) -> Any:
    """Return ``a`` without axes of size 1 where ``b`` is longer, which an ellipsis may bring."""
    sizes = dict(zip(second, shape_of(b), strict=True))
    shape = shape_of(a)
    wanted = tuple(sizes.get(c, n) if n == 1 else n for c, n in zip(first, shape, strict=True))
    return a if wanted == shape else broadcast_to(a, wanted)
