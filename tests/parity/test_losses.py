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


def each_focal(o, t, alpha=0.25, gamma=2.0):
    pt = o * t + (1 - o) * (1 - t)
    return -((1 - pt) ** gamma) * (alpha * t * torch.log(o) + (1 - alpha) * (1 - t) * torch.log(1 - o))


#: Our loss -> the losses of the elements (for softmax_cross_entropy: of the rows).
EACH = {
    "mse": lambda o, t: F.mse_loss(o, t, reduction="none"),
    "binary_cross_entropy": lambda o, t: F.binary_cross_entropy(o, t, reduction="none"),
    "cross_entropy": lambda o, t: -t * torch.log(o),
    "categorical_cross_entropy": lambda o, t: -t * torch.log(o),
    "bce_logits": lambda o, t: F.binary_cross_entropy_with_logits(o, t, reduction="none"),
    "softmax_cross_entropy": each_softmax_cross_entropy,
    "sparse_cross_entropy": lambda o, t: -t * torch.log(o),
    "mae": lambda o, t: F.l1_loss(o, t, reduction="none"),
    "huber": lambda o, t: F.huber_loss(o, t, reduction="none"),
    "smooth_l1": lambda o, t: F.smooth_l1_loss(o, t, reduction="none"),
    "hinge": lambda o, t: torch.relu(1 - t * o),
    "wasserstein": lambda o, t: -o * t,
    "focal": each_focal,
    "cosine_similarity": lambda o, t: 1 - F.cosine_similarity(o, t, dim=-1),
    "kl_divergence": lambda o, t: -0.5 * (1 + t - o**2 - torch.exp(t)).sum(-1),
}

#: Losses with one number per row, whose mean is taken over the rows.
OVER_ROWS = {"cosine_similarity", "kl_divergence"}

#: Losses over classes, whose mean is the sum over the number of rows.
OVER_CLASSES = {"cross_entropy", "categorical_cross_entropy", "sparse_cross_entropy", "softmax_cross_entropy"}

SHAPES = [(1, 1), (5, 3), (7, 1), (2, 33), (3, 5, 7), (64, 10)]


def roughly(theirs, dtype):
    """``theirs`` to the roundings that are allowed to both."""
    eps = ULPS * float(np.finfo(dtype).eps)
    return pytest.approx(float(theirs.detach()), rel=eps, abs=eps)


def mean(name, each, rows):
    return each.sum() / rows if name in OVER_CLASSES else each.mean()


def sample(name, shape, dtype, rng):
    """Outputs that the loss takes, and soft targets that sum to 1 over the classes or lie in [0, 1]."""
    o, t = 3 * rng.normal(size=shape), rng.uniform(size=shape)
    if name in OVER_CLASSES:
        t /= t.sum(-1, keepdims=True)
    if name in OVER_CLASSES and name != "softmax_cross_entropy":
        o = np.exp(o) / np.exp(o).sum(-1, keepdims=True)
    elif name in ("binary_cross_entropy", "focal"):
        o = 1 / (1 + np.exp(-o))
    return o.astype(dtype), t.astype(dtype)


def test_every_loss_has_a_counterpart():
    assert {*EACH, "triplet", "ntxent"} == set(LOSSES)  # these two have tests of their own


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradient(name, shape, dtype, isa, rng):
    o, t = sample(name, shape, dtype, rng)
    z = tensor(o)
    each = EACH[name](z, tensor(t, learn=False))
    theirs = mean(name, each, np.prod(shape[:-1]))
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
    theirs = mean(loss, EACH[on_logits](z, tensor(t, learn=False)), np.prod(shape[:-1]))
    theirs.backward()
    output, _ = activation(head, logits)
    value, gradient, at_pre_activation = value_and_gradient(loss, output, t, head=head)
    assert at_pre_activation
    assert_close(gradient, z.grad, ULPS)
    if size == 1:  # larger logits are clipped in the value, whose log is taken of the probabilities
        assert value == roughly(theirs, dtype)


#: These take probabilities, so only a head that makes them can stand before.
OF_PROBABILITIES = {"binary_cross_entropy", "focal", *OVER_CLASSES} - {"softmax_cross_entropy"}
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


def beside(name, o, t, theirs, z, ulps=ULPS, **options):
    """Value and gradient of ``name`` beside those of ``theirs``, a mean of PyTorch's made from ``z``."""
    theirs.backward()
    value, gradient, _ = value_and_gradient(name, o, t, **options)
    assert value == roughly(theirs, o.dtype)
    assert_close(gradient, z.grad, ulps)


@pytest.mark.parametrize(
    "name, option, theirs", [("huber", "delta", F.huber_loss), ("smooth_l1", "beta", F.smooth_l1_loss)]
)
@pytest.mark.parametrize("size", [0.1, 0.7, 3.0])
def test_where_the_square_ends(name, option, theirs, size, dtype, rng):
    o, t = rng.normal(size=(2, 7, 5)).astype(dtype)
    z = tensor(o)
    beside(name, o, t, theirs(z, tensor(t, learn=False), **{option: size}), z, **{option: size})


@pytest.mark.parametrize("margin", [0.1, 1.0, 10.0])
def test_triplet(margin, rng):
    o, t, n = rng.normal(size=(3, 8, 4))
    z = tensor(o)

    def squared(a, b):
        return ((a - b) ** 2).sum(-1)

    apart = {"distance_function": squared, "margin": margin}
    theirs = F.triplet_margin_with_distance_loss(z, tensor(t, learn=False), tensor(n, learn=False), **apart)
    beside("triplet", o, t, theirs, z, margin=margin, negative=n)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0])
def test_ntxent(temperature, symmetric, rng):
    o, t = rng.normal(size=(2, 6, 4))
    z = tensor(o)
    u, v = F.normalize(z, dim=1), F.normalize(tensor(t, learn=False), dim=1)
    if symmetric:
        rows = torch.cat([u, v])
        logits = (rows @ rows.T / temperature).masked_fill(torch.eye(12, dtype=torch.bool), float("-inf"))
        theirs = F.cross_entropy(logits, torch.arange(12).roll(6))
    else:
        theirs = F.cross_entropy(u @ v.T / temperature, torch.arange(6))
    beside("ntxent", o, t, theirs, z, 256, temperature=temperature, symmetric=symmetric)


@pytest.mark.parametrize("smoothing", [0.1, 0.5, 1.0])
def test_label_smoothing_and_class_weights(smoothing, rng):
    o, labels, w = rng.normal(size=(9, 4)), rng.integers(0, 4, 9), rng.uniform(0.1, 3, size=4)
    z = tensor(o)
    theirs = F.cross_entropy(z, torch.tensor(labels), label_smoothing=smoothing)
    beside("softmax_cross_entropy", o, labels, theirs, z, label_smoothing=smoothing)
    z = tensor(o)
    theirs = F.cross_entropy(z, torch.tensor(labels), weight=torch.tensor(w))
    beside("softmax_cross_entropy", o, labels, theirs, z, class_weight=w)
