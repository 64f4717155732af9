"""RealNet beside the same equations in PyTorch, with copied weights: states, gradients, and steps of AdamW."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from enilnets import optim
from enilnets.sequence import RealNet, RealNetTrainer

N, OUTPUTS = 23, [20, 21, 22]


def ours(dtype, pulse_mode=True):
    model = RealNet(N, list(range(20)), OUTPUTS, pulse_mode, 0.0, dtype=dtype, rng=0)
    rng = np.random.default_rng(1)
    model.weights, model.bias = rng.normal(0, 0.3, (N, N)), rng.normal(0, 0.3, N)
    model.gamma, model.beta = rng.normal(1, 0.2, N), rng.normal(0, 0.2, N)
    return model


def theirs(model):
    return [torch.tensor(np.array(p.value), requires_grad=True) for p in model.parameters.values()]


def run(parameters, x, steps, stream):
    weights, bias, gamma, beta = parameters
    h, states = torch.zeros(len(x), N, dtype=weights.dtype), []
    for t in range(steps):
        heard = x[:, t] if x.ndim == 3 and t < x.shape[1] else x if x.ndim == 2 and (stream or t == 0) else 0
        h = F.layer_norm(F.gelu(h @ weights + bias + heard), (N,), gamma, beta)
        states.append(h)
    return torch.stack(states)


@pytest.mark.parametrize("kind", ["pulse", "stream", "sequence"])
def test_states_and_gradients(kind, dtype, rng):
    model = ours(dtype, kind != "stream")
    x = rng.normal(size=(6, 4, N) if kind == "sequence" else (6, N)).astype(dtype)
    parameters, given = theirs(model), torch.tensor(x, requires_grad=True)
    want = run(parameters, given, 7, kind == "stream")
    states, saved = model.run(x, 7, train=True, keep=True)
    weight = rng.normal(size=(7, 6, 3)).astype(dtype)
    (want[..., OUTPUTS] * torch.tensor(weight)).sum().backward()
    dz, _ = model.backward(saved, weight)
    bound = 1e-10 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(states, want.detach(), rtol=0, atol=bound)
    for (name, mine), other in zip(model.parameters.items(), parameters, strict=True):
        scale = float(other.grad.abs().max())
        np.testing.assert_allclose(mine.grad / scale, other.grad / scale, rtol=0, atol=bound, err_msg=name)
    dx = {"pulse": dz[0], "stream": dz.sum(axis=0), "sequence": dz[:4].transpose(1, 0, 2)}[kind]
    scale = float(given.grad.abs().max())
    np.testing.assert_allclose(dx / scale, given.grad / scale, rtol=0, atol=bound)


def test_training(rng):
    """Ten steps: mean squared error of the outputs, norm clipped to 1, AdamW, ghost gradients of 0.2."""
    model = ours("float64")
    parameters = theirs(model)
    optimizer = torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.0)
    trainer = RealNetTrainer(model, optim.AdamW(weight_decay=0.0), gradient_decay=0.2, learning_rate=0.01)
    for _ in range(10):
        x, y = rng.normal(size=(8, 20)), rng.normal(size=(8, 3))
        pulse = torch.tensor(np.pad(x, ((0, 0), (0, 3))))
        loss = F.mse_loss(run(parameters, pulse, 5, False)[-1][:, OUTPUTS], torch.tensor(y))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        for parameter in parameters:
            parameter.grad *= 0.2
        assert trainer.train_batch(x, y, 5) == pytest.approx(loss.item(), rel=1e-6)
    for mine, other in zip(model.parameters.values(), parameters, strict=True):
        np.testing.assert_allclose(mine.value, other.detach(), atol=1e-6)
