"""Every optimizer beside PyTorch's, 20 steps along the same gradients."""

import numpy as np
import pytest
import torch

from enilnets.optim import OPTIMIZERS
from enilnets.parameters import Arena, Parameter
from tests.parity.counterparts import tensor

STEPS = 20

#: Ours, with settings -> PyTorch's with the same. Our SGD keeps the learning rate inside the velocity and PyTorch's
#: outside, which is the same as long as the rate does not change (with dampening 0, PyTorch's default).
RULES = [
    ("sgd", {}, torch.optim.SGD, {"momentum": 0.9}),
    ("sgd", {"momentum": 0.0}, torch.optim.SGD, {}),
    ("sgd", {"momentum": 0.5}, torch.optim.SGD, {"momentum": 0.5}),
    ("rmsprop", {}, torch.optim.RMSprop, {"alpha": 0.999, "eps": 1e-8}),
    ("rmsprop", {"rho": 0.9, "epsilon": 1e-3}, torch.optim.RMSprop, {"alpha": 0.9, "eps": 1e-3}),
    ("adagrad", {}, torch.optim.Adagrad, {"eps": 1e-8}),
    ("adagrad", {"epsilon": 1e-3}, torch.optim.Adagrad, {"eps": 1e-3}),
    ("adam", {}, torch.optim.Adam, {"eps": 1e-8}),
    ("sgd", {"momentum": 0.5, "nesterov": True}, torch.optim.SGD, {"momentum": 0.5, "nesterov": True}),
    ("adamw", {}, torch.optim.AdamW, {"eps": 1e-8}),
    ("adamw", {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}, torch.optim.AdamW, {"betas": (0.5, 0.9), "eps": 1e-3}),
    ("amsgrad", {}, torch.optim.Adam, {"amsgrad": True}),
    ("amsgrad", {"beta2": 0.9, "epsilon": 1e-3}, torch.optim.Adam, {"betas": (0.9, 0.9), "eps": 1e-3, "amsgrad": True}),
    # The paper has no epsilon: PyTorch adds its own to the gradient, we ours to the maximum, about 1e-8 apart.
    ("adamax", {"epsilon": 1e-30}, torch.optim.Adamax, {"eps": 1e-30}),
    (
        "adamax",
        {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-30},
        torch.optim.Adamax,
        {"betas": (0.5, 0.9), "eps": 1e-30},
    ),
    ("nadam", {}, torch.optim.NAdam, {"eps": 1e-8}),
    ("nadam", {"beta1": 0.5, "momentum_decay": 0.1}, torch.optim.NAdam, {"betas": (0.5, 0.999), "momentum_decay": 0.1}),
    ("radam", {}, torch.optim.RAdam, {"eps": 1e-8}),
    ("radam", {"beta2": 0.9, "epsilon": 1e-3}, torch.optim.RAdam, {"betas": (0.9, 0.9), "eps": 1e-3}),
    ("radam", {"beta2": 0.5}, torch.optim.RAdam, {"betas": (0.9, 0.5)}),
    ("adadelta", {}, torch.optim.Adadelta, {"eps": 1e-6}),
    ("adadelta", {"rho": 0.8, "epsilon": 1e-3}, torch.optim.Adadelta, {"rho": 0.8, "eps": 1e-3}),
    ("adam", {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}, torch.optim.Adam, {"betas": (0.5, 0.9), "eps": 1e-3}),
]


@pytest.fixture(params=RULES, ids=lambda rule: f"{rule[0]}-{rule[1]}")
def rule(request):
    return request.param


def test_every_optimizer_has_a_counterpart():
    missing = {"lion", "lamb"}  # in PyTorch
    assert {name for name, *_ in RULES} == set(OPTIMIZERS) - missing


def descend(rule, dtype, rng, *, lr=0.03, l2=0.0, clip_norm=None, size=1.0, frozen=()):
    """Step both along the same gradients, whose norm goes up and down; return our values, PyTorch's and the first."""
    name, settings, their_class, their_settings = rule
    lr *= 100 if name == "adadelta" else 1  # whose first steps are about as long as the root of epsilon
    ours = OPTIMIZERS[name](**settings, clip_norm=clip_norm)
    values = [rng.normal(size=shape).astype(dtype) for shape in ((3, 7), (3,), (5, 3, 2, 2), (131,))]
    arena = Arena(dtype, [Parameter(value, penalised=value.ndim > 1) for value in values])
    theirs_values = [tensor(value) for value in values]
    for i in frozen:
        arena.parameters[i].frozen = True
        theirs_values[i].requires_grad_(False)
    learning = [w for w in theirs_values if w.requires_grad]
    # PyTorch's weight decay is added to the gradient as ours is, but to that of every parameter of its group.
    groups = [
        {"params": [w for w in learning if w.ndim > 1], "weight_decay": l2},
        {"params": [w for w in learning if w.ndim == 1], "weight_decay": 0.0},
    ]
    theirs = their_class(groups, lr=lr, **their_settings)
    for step in range(STEPS):
        arena.zero_grad()
        for parameter, w in zip(arena.parameters, theirs_values, strict=True):
            g = (size * (0.01, 1.0, 10.0)[step % 3] * rng.normal(size=parameter.value.shape)).astype(dtype)
            parameter.accumulate(g)
            if w.requires_grad:
                w.grad = tensor(g, learn=False)
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(learning, clip_norm)
        ours.step(arena, lr, l2)
        theirs.step()
    return [p.value for p in arena.parameters], [w.detach().numpy() for w in theirs_values], values


def assert_equal_descent(rule, descent, dtype, rtol=1e-13):
    optimizer = OPTIMIZERS[rule[0]](**rule[1])
    eps = float(np.finfo(dtype).eps)
    if rule[0] == "nadam":
        rtol = max(rtol, 1e-6)  # PyTorch keeps the product of the momenta in float32
    # We subtract the decay, rounded to the dtype, from 1; PyTorch rounds after subtracting. For 0.999 in float32 the
    # two weights of the newest gradient differ by 1e-5 of them.
    decay = getattr(optimizer, "rho", getattr(optimizer, "beta2", 0.0))
    of_the_way = eps / 4 / (1 - decay)
    for ours, theirs, start in zip(*descent, strict=True):
        assert ours.dtype == theirs.dtype
        way = np.abs(theirs - start).max()
        assert way > 1e-3  # they did move
        atol = max(rtol, 16 * eps) * max(1.0, np.abs(theirs).max()) + of_the_way * way
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("lr", [0.01, 0.3])
def test_steps(rule, dtype, isa, rng, lr, l2):
    assert_equal_descent(rule, descend(rule, dtype, rng, lr=lr, l2=l2), dtype)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_clipping(rule, dtype, isa, rng, l2):
    # PyTorch adds 1e-6 to the norm before it divides by it: beside gradients of norm 1e5 that is 1e-11 of them.
    assert_equal_descent(rule, descend(rule, dtype, rng, l2=l2, clip_norm=3e4, size=1e4), dtype, rtol=1e-9)


@pytest.mark.parametrize("clip_norm", [None, 3e4])
def test_frozen_parameters(rule, dtype, rng, clip_norm):
    ours, theirs, start = descend(rule, dtype, rng, l2=0.1, clip_norm=clip_norm, size=1e4, frozen=(1, 2))
    moved, frozen = zip(ours[::3], theirs[::3], start[::3], strict=True), zip(ours[1:3], start[1:3], strict=True)
    assert_equal_descent(rule, zip(*moved, strict=True), dtype, rtol=1e-9)
    assert all(np.array_equal(value, before) for value, before in frozen)


@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
def test_gradient_norm(size, dtype, rng):
    arena = Arena(dtype, [Parameter(np.zeros(shape, dtype)) for shape in ((30, 7), (3,), (200,))])
    for p in arena.parameters:
        p.accumulate((size * rng.normal(size=p.value.shape)).astype(dtype))
    theirs = [torch.zeros(p.value.shape, dtype=tensor(p.grad).dtype, requires_grad=True) for p in arena.parameters]
    for w, p in zip(theirs, arena.parameters, strict=True):
        w.grad = tensor(p.grad, learn=False)
    norm = float(torch.nn.utils.clip_grad_norm_(theirs, 1.0))
    assert arena.gradient_norm() == pytest.approx(norm, rel=8 * float(np.finfo(dtype).eps))
