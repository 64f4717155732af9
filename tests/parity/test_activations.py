"""Every activation, forward and backward, beside PyTorch's."""

import numpy as np
import pytest
import torch

from enilnets.ops.activation import ACTIVATIONS, activation, activation_backward, derivative
from tests.parity import counterparts
from tests.parity.counterparts import tensor

POINTWISE = [name for name in ACTIVATIONS if name != "softmax"]

#: Far out, where exponentials over- and underflow in float32, then in float64; around zero; and the kink itself.
HARD = [0.0, -0.0, 1e-30, 1e-8, 1e-4, 17.0, 21.0, 40.0, 88.0, 89.0, 104.0, 710.0, 746.0, 1e4]


def inputs(dtype, rng):
    x = np.concatenate([HARD, np.negative(HARD), np.linspace(-12, 12, 4001), 3 * rng.normal(size=2000)])
    return x.astype(dtype)


#: What PyTorch's formulas lose on the way, in roundings of 1: its gelu cancels in 1 + tanh(u), and its derivative has
#: a factor of about x^3 before that.
LOSS = {"gelu": (8, 64)}
BACKWARD = 16


def assert_close(ours, theirs, x, *, relative, absolute):
    """Within so many roundings of the result itself, plus so many of 1 (or of what is about to underflow)."""
    theirs = theirs.detach().numpy()
    assert ours.dtype == theirs.dtype and np.isfinite(theirs).all()
    of = np.finfo(ours.dtype)
    bad = np.abs(ours - theirs) > of.eps * (relative * np.abs(theirs) + absolute) + 1e3 * of.tiny
    assert not bad.any(), f"x {x[bad][:5]}: {ours[bad][:5]}, PyTorch {theirs[bad][:5]}"


def test_every_activation_has_a_counterpart():
    assert set(counterparts.ACTIVATIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise(name, dtype, isa, rng):
    x = inputs(dtype, rng)
    dy = rng.normal(size=x.shape).astype(dtype)
    z = tensor(x)
    theirs = counterparts.ACTIVATIONS[name](z)
    theirs.backward(tensor(dy, learn=False))
    y, saved = activation(name, x)
    forward, backward = LOSS.get(name, (0, BACKWARD))
    assert_close(y, theirs, x, relative=8, absolute=forward)
    assert_close(activation_backward(name, dy, saved), z.grad, x, relative=8, absolute=backward)


@pytest.mark.parametrize("name", POINTWISE)
def test_derivative(name, dtype):
    x = np.array([*HARD, *np.negative(HARD), -2.5, 1.75], dtype)
    z = tensor(x)
    counterparts.ACTIVATIONS[name](z).sum().backward()
    assert_close(derivative(name, x), z.grad, x, relative=8, absolute=BACKWARD)


@pytest.mark.parametrize("shape", [(1, 1), (5, 2), (3, 7), (4, 10), (2, 33), (1, 100), (2, 3, 5), (11,)])
@pytest.mark.parametrize("spread", [1.0, 30.0, 1e4])
def test_softmax(shape, spread, dtype, isa, rng):
    x = (spread * rng.normal(size=shape)).astype(dtype)
    dy = rng.normal(size=shape).astype(dtype)
    z = tensor(x)
    theirs = torch.softmax(z, -1)
    theirs.backward(tensor(dy, learn=False))
    y, saved = activation("softmax", x)
    assert_close(y, theirs, x, relative=16, absolute=0)
    assert_close(activation_backward("softmax", dy, saved), z.grad, x, relative=0, absolute=BACKWARD)
    assert_close(derivative("softmax", x), theirs * (1 - theirs), x, relative=8, absolute=BACKWARD)
