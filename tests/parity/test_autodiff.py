"""Graphs beside PyTorch's: values, gradients and gradients of gradients."""

import numpy as np
import pytest
import torch

from enilnets import autodiff as ad
from enilnets.autodiff import Tensor, grad
from enilnets.layers import Dense, Sequential

RNG = np.random.default_rng(0)
X, W, V = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 6)), RNG.normal(size=(6,))
IDS = np.array([0, 2, 2, 4])

#: name: (ours, PyTorch's, inputs)
GRAPHS = {
    "mlp": (
        lambda x, w, v: (ad.tanh(x @ w) @ v).sum(),
        lambda x, w, v: (torch.tanh(x @ w) @ v).sum(),
        (X, W, V),
    ),
    "attention": (
        lambda q, k: (ad.softmax(ad.einsum("ij,kj->ik", q, k) / 2, -1) @ ad.exp(k)).var(0).sum(),
        lambda q, k: (
            (torch.softmax(torch.einsum("ij,kj->ik", q, k) / 2, -1) @ torch.exp(k)).var(0, unbiased=False).sum()
        ),
        (X, RNG.normal(size=(3, 4))),
    ),
    "gathered rows": (
        lambda x: (ad.log_softmax(x[IDS], 1) * x[IDS, ::2].sum(1, keepdims=True)).mean(),
        lambda x: (torch.log_softmax(x[IDS], 1) * x[IDS][:, ::2].sum(1, keepdim=True)).mean(),
        (X,),
    ),
    "shapes": (
        lambda x, w: ad.concatenate([x.T, ad.pad(w, ((0, 0), (1, 0)))], 1).cumsum(0).reshape(2, -1).std(1).prod(),
        lambda x, w: (
            torch.cat([x.T, torch.nn.functional.pad(w, (1, 0))], 1)
            .cumsum(0)
            .reshape(2, -1)
            .std(1, unbiased=False)
            .prod()
        ),
        (X, W),
    ),
    "smooth functions": (
        lambda x, v: (ad.logsumexp(ad.softplus(x), 0) * ad.sin(x) / (1 + x * x)).sum() + (abs(v) ** 1.5).sum(),
        lambda x, v: (
            (torch.logsumexp(torch.nn.functional.softplus(x), 0) * torch.sin(x) / (1 + x * x)).sum()
            + (v.abs() ** 1.5).sum()
        ),
        (X, V),
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_value_gradient_and_second_order(name, dtype):
    ours, theirs, inputs = GRAPHS[name]
    tol = 1e-9 if dtype == "float64" else 1e-4
    xs = [Tensor(x, dtype=dtype, requires_grad=True) for x in inputs]
    ts = [torch.tensor(x.data, requires_grad=True) for x in xs]
    y, t = ours(*xs), theirs(*ts)
    np.testing.assert_allclose(y.data, t.detach(), rtol=tol)
    ours_first = grad(y, xs, create_graph=True)
    theirs_first = torch.autograd.grad(t, ts, create_graph=True)
    for a, b in zip(ours_first, theirs_first, strict=True):
        np.testing.assert_allclose(a.data, b.detach(), rtol=tol, atol=tol)
    ours_second = grad(sum((g * g).sum() for g in ours_first), xs)
    theirs_second = torch.autograd.grad(sum((g * g).sum() for g in theirs_first), ts)
    for a, b in zip(ours_second, theirs_second, strict=True):
        np.testing.assert_allclose(a.data, b, rtol=10 * tol, atol=10 * tol)


def test_gradient_penalty():
    """The parameter gradients of a WGAN-GP critic (Gulrajani et al. 2017, eq. 3), with copied weights."""
    critic = Sequential([Dense(4, 8, "swish", rng=0), Dense(8, 1, "linear", rng=1)])
    other = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 1)).double()
    for i, j in ((0, 0), (1, 2)):
        other[j].weight.data = torch.tensor(critic[f"{i}.weights"].copy())
        other[j].bias.data = torch.tensor(critic[f"{i}.bias"].copy())
    x = Tensor(X, requires_grad=True)
    slope = grad(critic(x).sum(), x, create_graph=True)
    (((slope**2).sum(1).sqrt() - 1) ** 2).mean().backward()
    t = torch.tensor(X, requires_grad=True)
    (theirs,) = torch.autograd.grad(other(t).sum(), t, create_graph=True)
    ((theirs.norm(dim=1) - 1) ** 2).mean().backward()
    for i, j in ((0, 0), (1, 2)):
        np.testing.assert_allclose(critic[f"d_{i}.weights"], other[j].weight.grad, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(critic["d_0.bias"], other[0].bias.grad, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(x.grad, t.grad, rtol=1e-9, atol=1e-12)
