"""Policies and objectives beside PyTorch's distributions and its autograd."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical as TheirCategorical
from torch.distributions import Independent, Normal

from enilnets.policy_gradients import Categorical, Gaussian, clipped_surrogate, reinforce

STD = 0.6


def both(kind, outputs):
    z = torch.tensor(outputs, requires_grad=True)
    if kind == "discrete":
        return Categorical(outputs), TheirCategorical(logits=z), z
    return Gaussian(outputs, STD), Independent(Normal(z, STD), 1), z


def example(kind, rng, dtype, n=200):
    outputs = (3 * rng.normal(size=(n, 5))).astype(dtype)
    actions = rng.integers(5, size=n) if kind == "discrete" else (outputs + rng.normal(size=(n, 5))).astype(dtype)
    return outputs, actions


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
class TestObjectives:
    def tolerance(self, dtype):
        return dict(rtol=2e-4, atol=1e-6) if dtype == np.float32 else dict(rtol=1e-11, atol=1e-14)

    def test_policies(self, kind, dtype, rng):
        outputs, actions = example(kind, rng, dtype)
        ours, theirs, _ = both(kind, outputs)
        chosen = theirs.log_prob(torch.tensor(actions)).detach().numpy()
        np.testing.assert_allclose(ours.log_prob(actions), chosen, **self.tolerance(dtype))
        np.testing.assert_allclose(ours.entropy(), theirs.entropy().detach().numpy(), **self.tolerance(dtype))

    def test_reinforce(self, kind, dtype, rng):
        outputs, actions = example(kind, rng, dtype)
        weights = rng.normal(size=len(outputs)).astype(dtype)
        ours, theirs, z = both(kind, outputs)
        loss = -(torch.tensor(weights) * theirs.log_prob(torch.tensor(actions))).mean()
        loss.backward()
        got = reinforce(ours, actions, weights)
        assert got.value == pytest.approx(float(loss.detach()), rel=1e-4 if dtype == np.float32 else 1e-11)
        np.testing.assert_allclose(got.gradient, z.grad.numpy(), **self.tolerance(dtype))

    def test_clipped_surrogate(self, kind, dtype, rng):
        outputs, actions = example(kind, rng, dtype)
        advantages = rng.normal(size=len(outputs)).astype(dtype)
        ours, theirs, z = both(kind, outputs)
        now = theirs.log_prob(torch.tensor(actions))
        old = now.detach() - torch.tensor((0.4 * rng.normal(size=len(outputs))).astype(dtype))
        ratio, gains = torch.exp(now - old), torch.tensor(advantages)
        policy_loss = -torch.min(ratio * gains, torch.clamp(ratio, 0.8, 1.2) * gains).mean()
        (policy_loss - 0.05 * theirs.entropy().mean()).backward()
        got = clipped_surrogate(ours, actions, old.numpy(), advantages, 0.2, 0.05)
        assert got.value == pytest.approx(float(policy_loss.detach()), rel=1e-4 if dtype == np.float32 else 1e-11)
        np.testing.assert_allclose(got.gradient, z.grad.numpy(), **self.tolerance(dtype))
