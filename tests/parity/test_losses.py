"""Every loss beside PyTorch's: values under all reductions, gradients, and the heads that are fused with a loss."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from enilnets.losses import LOSSES, evaluate, value_and_gradient
from enilnets.ops.activation import activation, activation_backward
from tests.parity import counterparts
from tests.parity.counterparts import assert_close, tensor

ULPS = 64


def each_softmax_cross_entropy(o, t):
    return F.cross_entropy(o.movedim(-1, 1), t.movedim(-1, 1), reduction="none")


#: Our loss -> the losses of the elements (for softmax_cross_entropy: of the rows).
EACH = {
    "mse": lambda o, t: F.mse_loss(o, t, reduction="none"),
    "binary_cross_entropy": lambda o, t: F.binary_cross_entropy(o, t, reduction="none"),
    "cross_entropy": lambda o, t: -t * torch.log(o),
    "categorical_cross_entropy": lambda o, t: -t * torch.log(o),
    "bce_logits": lambda o, t: F.binary_cross_entropy_with_logits(o, t, reduction="none"),
    "softmax_cross_entropy": each_softmax_cross_entropy,
}

#: Losses over classes, whose mean is the sum over the batch, axis 0.
OVER_CLASSES = {"cross_entropy", "categorical_cross_entropy", "softmax_cross_entropy"}

SHAPES = [(1, 1), (5, 3), (7, 1), (2, 33), (3, 5, 7), (64, 10)]


def roughly(theirs, dtype):
    """``theirs`` to the roundings that are allowed to both."""
    eps = ULPS * float(np.finfo(dtype).eps)
    return pytest.approx(float(theirs.detach()), rel=eps, abs=eps)


def mean(name, each, batch):
    return each.sum() / batch if name in OVER_CLASSES else each.mean()


def sample(name, shape, dtype, rng):
    """Outputs that the loss takes, and soft targets that sum to 1 over the classes or lie in [0, 1]."""
    o, t = 3 * rng.normal(size=shape), rng.uniform(size=shape)
    if name in OVER_CLASSES:
        t /= t.sum(-1, keepdims=True)
    if name in ("cross_entropy", "categorical_cross_entropy"):
        o = np.exp(o) / np.exp(o).sum(-1, keepdims=True)
    elif name == "binary_cross_entropy":
        o = 1 / (1 + np.exp(-o))
    return o.astype(dtype), t.astype(dtype)


def test_every_loss_has_a_counterpart():
    assert set(EACH) == set(LOSSES)


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradient(name, shape, dtype, isa, rng):
    o, t = sample(name, shape, dtype, rng)
    z = tensor(o)
    each = EACH[name](z, tensor(t, learn=False))
    theirs = mean(name, each, shape[0])
    theirs.backward()
    value, gradient, at_pre_activation = value_and_gradient(name, o, t)
    assert_close(evaluate(name, o, t, "none"), each, ULPS)
    assert evaluate(name, o, t, "sum") == roughly(each.sum(), dtype)
    assert evaluate(name, o, t, "mean") == value == roughly(theirs, dtype)
    assert_close(gradient, z.grad, ULPS)
    assert not at_pre_activation


@pytest.mark.parametrize("name", OVER_CLASSES)
def test_class_labels(name, dtype, rng):
    o, _ = sample(name, (9, 4), dtype, rng)
    labels = rng.integers(0, 4, 9)
    z = tensor(o)
    logits = z if name == "softmax_cross_entropy" else torch.log(z)
    theirs = F.nll_loss(logits if name != "softmax_cross_entropy" else F.log_softmax(z, -1), torch.tensor(labels))
    theirs.backward()
    value, gradient, _ = value_and_gradient(name, o, labels)
    assert value == roughly(theirs, dtype)
    assert_close(gradient, z.grad, ULPS)


@pytest.mark.parametrize("name", ["bce_logits", "softmax_cross_entropy"])
@pytest.mark.parametrize("size", [30.0, 100.0, 1e4])
def test_large_logits(name, size, dtype, isa, rng):
    o = (size * rng.normal(size=(8, 5))).astype(dtype)
    _, t = sample(name, (8, 5), dtype, rng)
    z = tensor(o)
    each = EACH[name](z, tensor(t, learn=False))
    mean(name, each, 8).backward()
    assert_close(evaluate(name, o, t, "none"), each, ULPS)
    assert_close(value_and_gradient(name, o, t)[1], z.grad, ULPS)


@pytest.mark.parametrize("size", [1.0, 5.0, 200.0])
@pytest.mark.parametrize("shape", [(1, 2), (6, 5), (64, 10), (2, 3, 7)], ids=str)
@pytest.mark.parametrize(
    "head, loss, on_logits",
    [
        ("softmax", "cross_entropy", "softmax_cross_entropy"),
        ("softmax", "categorical_cross_entropy", "softmax_cross_entropy"),
        ("sigmoid", "binary_cross_entropy", "bce_logits"),
    ],
)
def test_fused_heads_are_the_losses_on_logits(head, loss, on_logits, shape, size, dtype, isa, rng):
    logits = (size * rng.normal(size=shape)).astype(dtype)
    _, t = sample(loss, shape, dtype, rng)
    z = tensor(logits)
    theirs = mean(loss, EACH[on_logits](z, tensor(t, learn=False)), shape[0])
    theirs.backward()
    output, _ = activation(head, logits)
    value, gradient, at_pre_activation = value_and_gradient(loss, output, t, head=head)
    assert at_pre_activation
    assert_close(gradient, z.grad, ULPS)
    if size == 1:  # larger logits are clipped in the value, whose log is taken of the probabilities
        assert value == roughly(theirs, dtype)


#: These take probabilities, so only a head that makes them can stand before.
OF_PROBABILITIES = {"binary_cross_entropy", "cross_entropy", "categorical_cross_entropy"}
PAIRS = [
    (head, loss)
    for head in counterparts.ACTIVATIONS
    for loss in EACH
    if head in ("sigmoid", "softmax") or loss not in OF_PROBABILITIES
]


@pytest.mark.parametrize("head, loss", PAIRS)
def test_any_head_before_any_loss(head, loss, rng):
    logits = rng.normal(size=(6, 5))
    _, t = sample(loss, (6, 5), np.float64, rng)
    z = tensor(logits)
    theirs = mean(loss, EACH[loss](counterparts.ACTIVATIONS[head](z), tensor(t, learn=False)), 6)
    theirs.backward()
    output, saved = activation(head, logits)
    value, gradient, at_pre_activation = value_and_gradient(loss, output, t, head=head)
    delta = gradient if at_pre_activation else activation_backward(head, gradient, saved)
    assert value == roughly(theirs, np.float64)
    assert_close(delta, z.grad, ULPS)
