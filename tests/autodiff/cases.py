"""Every differentiable function, with inputs away from its kinks. A new function enters the table."""

import numpy as np

from enilnets import autodiff as ad
from enilnets.ops.activation import ACTIVATIONS

MASK = np.array([[True, False, True], [False, False, True]])
ROWS = np.array([1, 0, 1, 1])


def normal(*shape):
    """Numbers of fixed seed, none of which is closer to 0 or to another than 1e-3."""
    rng = np.random.default_rng(sum(shape) + 7 * len(shape))
    return rng.permutation(np.linspace(-2.03, 1.97, int(np.prod(shape)))).reshape(shape)


def positive(*shape):
    return np.abs(normal(*shape)) + 0.5


#: name: (function, input shapes or arrays)
SMOOTH = {
    "add": (ad.add, normal(2, 3), normal(3)),
    "subtract": (ad.subtract, normal(2, 1), normal(3)),
    "multiply": (ad.multiply, normal(2, 3), normal(2, 1)),
    "divide": (ad.divide, normal(2, 3), positive(3)),
    "power": (ad.power, positive(2, 3), normal(3)),
    "power of a number": (lambda x: x**3, normal(2, 3)),
    "power 0": (lambda x: x**0 + x**1 + x**2, normal(2, 3)),
    "number to a power": (lambda x: 2.0**x, normal(2, 3)),
    "numbers on the left": (lambda x: 1 - 2 / (3 * x + 9) + (4 + x), normal(2, 3)),
    "negative": (ad.negative, normal(2, 3)),
    "exp": (ad.exp, normal(2, 3)),
    "expm1": (ad.expm1, normal(2, 3)),
    "log": (ad.log, positive(2, 3)),
    "log1p": (ad.log1p, positive(2, 3)),
    "sqrt": (ad.sqrt, positive(2, 3)),
    "square": (ad.square, normal(2, 3)),
    "reciprocal": (ad.reciprocal, positive(2, 3)),
    "sin": (ad.sin, normal(2, 3)),
    "cos": (ad.cos, normal(2, 3)),
    "tan": (lambda x: ad.tan(x / 2), normal(2, 3)),
    "arctan": (ad.arctan, normal(2, 3)),
    "sinh": (ad.sinh, normal(2, 3)),
    "cosh": (ad.cosh, normal(2, 3)),
    "tanh": (ad.tanh, normal(2, 3)),
    "sigmoid": (ad.sigmoid, normal(2, 3)),
    "softplus": (ad.softplus, normal(2, 3)),
    "where": (lambda a, b: ad.where(MASK, a * b, b), normal(2, 3), normal(3)),
    "clip": (lambda x: ad.clip(x, -1.0, 1.2) * x, normal(2, 5)),
    "clip from below": (lambda x: x.clip(0.1, None) * x, normal(2, 5)),
    "sum": (lambda x: x.sum() * x, normal(2, 3)),
    "sum along an axis": (lambda x: ad.square(x).sum(1), normal(2, 3, 2)),
    "sum along axes": (lambda x: ad.sum(x * x, (0, -1), keepdims=True), normal(2, 3, 2)),
    "mean": (lambda x: x.mean(0) * x, normal(2, 3)),
    "var": (lambda x: x.var((0, 2)), normal(2, 3, 2)),
    "std": (lambda x: ad.std(x, 1, keepdims=True, ddof=1), normal(2, 3)),
    "prod": (lambda x: ad.prod(x), normal(2, 3)),
    "prod along axes": (lambda x: ad.prod(x, (0, 2), keepdims=True), normal(2, 2, 3)),
    "prod with zeros": (lambda x: ad.prod(x, 1), normal(2, 3) * MASK),
    "logsumexp": (lambda x: ad.logsumexp(x, 0), normal(2, 3)),
    "logsumexp keepdims": (lambda x: ad.logsumexp(x * x, (0, 1), keepdims=True), normal(2, 3)),
    "cumsum": (lambda x: ad.cumsum(x, -2) * x, normal(2, 3, 2)),
    "cumsum flat": (lambda x: ad.square(x.cumsum()), normal(2, 3)),
    "getitem": (lambda x: x[0] * x[1, ::-1], normal(2, 3)),
    "getitem with a range": (lambda x: ad.square(x[range(2)]) * x[range(1), (0,)], normal(2, 3)),
    "getitem with new axes": (lambda x: x[..., None, 1:] * x[:, :2], normal(2, 3)),
    "getitem with repeated rows": (lambda x: ad.square(x[ROWS]), normal(2, 3)),
    "getitem with pairs": (lambda x: ad.square(x[ROWS, [0, 2, 0, 0]]), normal(2, 3)),
    "getitem with tuples": (lambda x: ad.square(x[(0, 1, 1), (2, 0, 0)]) * x[(0, 1, 1),].sum(), normal(2, 3)),
    "getitem with a mask": (lambda x: ad.square(x[MASK]), normal(2, 3)),
    "iteration": (lambda x: sum(row * i for i, row in enumerate(x, 1)) * x, normal(3, 2)),
    "reshape": (lambda x: ad.square(x.reshape(3, -1)), normal(2, 3)),
    "ravel": (lambda x: ad.square(x.ravel()), normal(2, 3)),
    "transpose": (lambda x: x.T * ad.transpose(x), normal(2, 3)),
    "transpose axes": (lambda x: ad.square(x.transpose(2, 0, 1)), normal(2, 3, 2)),
    "swapaxes": (lambda x: ad.square(x.swapaxes(0, -1)), normal(2, 3, 2)),
    "moveaxis": (lambda x: ad.square(ad.moveaxis(x, 0, -1)), normal(2, 3, 2)),
    "expand_dims": (lambda x: ad.square(ad.expand_dims(x, (0, -1))), normal(2, 3)),
    "squeeze": (lambda x: ad.square(x.squeeze()), normal(2, 1, 3)),
    "broadcast_to": (lambda x: ad.square(ad.broadcast_to(x, (4, 2, 3))), normal(2, 1)),
    "flip": (lambda x: ad.flip(x, 1) * x, normal(2, 3)),
    "concatenate": (lambda a, b: ad.square(ad.concatenate([a, b, a], -1)), normal(2, 3), normal(2, 1)),
    "stack": (lambda a, b: ad.square(ad.stack([a, b, a], 1)), normal(2, 3), normal(2, 3)),
    "split": (lambda x: ad.split(x, 3, 1)[1] * ad.split(x, [2], 1)[1].sum(), normal(2, 3)),
    "pad": (lambda x: ad.square(ad.pad(x, ((1, 0), (0, 2)), 3.0)), normal(2, 3)),
    "matmul": (ad.matmul, normal(2, 3), normal(3, 4)),
    "matmul of a stack": (ad.matmul, normal(5, 2, 3), normal(3, 4)),
    "matmul of stacks": (ad.matmul, normal(5, 1, 2, 3), normal(4, 3, 2)),
    "matmul of vectors": (ad.matmul, normal(3), normal(3)),
    "matrix and vector": (lambda a, b: a @ b, normal(4, 2, 3), normal(3)),
    "vector and matrix": (lambda a, b: a @ b, normal(3), normal(2, 3, 2)),
    "einsum product": (lambda a, b: ad.einsum("ij,kj->ik", a, b), normal(2, 3), normal(4, 3)),
    "einsum batch": (lambda a, b: ad.einsum("bthd,bshd->bhts", a, b), normal(2, 3, 2, 4), normal(2, 5, 2, 4)),
    "einsum outer": (lambda a, b: ad.einsum("i,j", a, b), normal(2), normal(3)),
    "einsum trace": (lambda a: ad.einsum("ii", a), normal(3, 3)),
    "einsum diagonal": (lambda a: ad.einsum("iji->ji", a) ** 2, normal(3, 2, 3)),
    "einsum three": (
        lambda a, b, c: ad.einsum("ij,jk,kl->il", a, b, c),
        normal(2, 3),
        normal(3, 2),
        normal(2, 4),
    ),
    "einsum lonely letters": (lambda a, b: ad.einsum("ij,jk->k", a, b), normal(2, 3), normal(3, 4)),
    "einsum ellipsis": (lambda a, b: ad.einsum("...ij,jk", a, b), normal(2, 2, 3), normal(3, 4)),
    "softmax": (ad.softmax, normal(2, 3)),
    "softmax along an axis": (lambda x: ad.softmax(x, 0), normal(2, 3)),
    "log_softmax": (lambda x: ad.log_softmax(x, 1), normal(2, 3, 2)),
    "a variable used often": (lambda x: x * x * x + x / 2 - x.sum() * x, normal(2, 3)),
    **{f"activation {name}": (lambda x, name=name: ad.activate(name, x), normal(3, 4)) for name in ACTIVATIONS},
    "activation with alpha": (lambda x: ad.activate("elu", x, alpha=0.4), normal(3, 4)),
    "activation with slope": (lambda x: ad.activate("leakyrelu", x, alpha=0.4), normal(3, 4)),
    "activation with beta": (lambda x: ad.activate("swish", x, beta=1.7), normal(3, 4)),
}

#: Right but for their kinks, where second derivatives say nothing.
KINKED = {
    "absolute": (ad.absolute, normal(2, 3)),
    "maximum": (ad.maximum, normal(2, 3), normal(3) + 0.3),
    "minimum": (ad.minimum, normal(2, 3), normal(3) + 0.3),
    "max": (ad.max, normal(2, 3)),
    "max along an axis": (lambda x: ad.max(x * x, 1), normal(2, 3)),
    "min along axes": (lambda x: x.min((0, 2), keepdims=True) * x, normal(2, 3, 2)),
}

CASES = {**SMOOTH, **KINKED}
