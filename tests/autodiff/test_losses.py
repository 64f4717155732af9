"""Every loss of the table as a node: value and gradient are the table's; some have gradients of gradients."""

import numpy as np
import pytest

from enilnets import autodiff as ad
from enilnets import losses
from enilnets.autodiff import Tensor, grad, gradcheck
from enilnets.autodiff.losses import FORMULAS
from enilnets.errors import StateError
from enilnets.losses import LOSSES

RNG = np.random.default_rng(2)
OUTPUT = RNG.uniform(0.1, 0.9, (5, 3))
TARGET = RNG.uniform(0.1, 0.9, (5, 3))
FURTHER = {"triplet": {"negative": RNG.normal(size=(5, 3))}}


@pytest.mark.parametrize("weights", [{}, {"sample_weight": np.arange(5.0)}])
@pytest.mark.parametrize("name", LOSSES)
def test_is_the_loss_of_the_table(name, weights):
    options = {**FURTHER.get(name, {}), **weights}
    x = Tensor(OUTPUT, requires_grad=True)
    y = ad.loss(name, x, TARGET, **options)
    assert float(y) == losses.evaluate(name, OUTPUT, TARGET, **options) and y.shape == ()
    assert float(ad.loss(name, OUTPUT, TARGET, **options)) == float(y)
    (y * 3).backward()
    np.testing.assert_allclose(x.grad, 3 * losses.value_and_gradient(name, OUTPUT, TARGET, **options)[1])
    assert gradcheck(lambda x: ad.loss(name, x, TARGET, **options), OUTPUT)


@pytest.mark.parametrize("name", FORMULAS)
def test_second_order(name):
    x = Tensor(OUTPUT, requires_grad=True)
    first = grad(ad.loss(name, x, TARGET), x, create_graph=True)
    np.testing.assert_allclose(first.data, grad(ad.loss(name, x, TARGET), x).data, rtol=1e-12)
    assert gradcheck(lambda x: ad.loss(name, x * x, TARGET), OUTPUT, second_order=True)
    with pytest.raises(StateError, match="weights"):
        grad(ad.loss(name, x, TARGET, sample_weight=np.ones(5) * 2), x, create_graph=True)


def test_labels_and_float32():
    logits = Tensor(OUTPUT, dtype="float32", requires_grad=True)
    y = ad.loss("softmax_cross_entropy", logits, np.array([0, 1, 2, 1, 0]))
    y.backward()
    assert y.dtype == logits.grad.dtype == np.float32
    picked = ad.log_softmax(OUTPUT)[np.arange(5), [0, 1, 2, 1, 0]]
    np.testing.assert_allclose(float(y), -picked.mean(), rtol=1e-6)
