"""Every function of the table: value beside NumPy, gradients by differences, dtypes, empty and awkward arrays."""

import numpy as np
import pytest

from enilnets import autodiff as ad
from enilnets.autodiff import Tensor, gradcheck
from tests.autodiff.cases import CASES, SMOOTH


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    function, *inputs = CASES[name]
    assert gradcheck(function, *inputs)


@pytest.mark.parametrize("name", CASES)
def test_second_order(name):
    function, *inputs = CASES[name]
    assert gradcheck(function, *inputs, second_order=True)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32(name):
    function, *inputs = CASES[name]
    xs = [Tensor(x, dtype="float32", requires_grad=True) for x in inputs]
    y = function(*xs)
    assert y.dtype == np.float32
    exact = [Tensor(x, requires_grad=True) for x in inputs]
    function(*exact).sum().backward()
    y.sum().backward()
    for x, z in zip(xs, exact, strict=True):
        assert x.grad.dtype == np.float32
        np.testing.assert_allclose(x.grad, z.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SMOOTH)
def test_awkward_memory_gives_the_same(name):
    function, *inputs = CASES[name]
    expected = function(*[Tensor(x) for x in inputs]).data
    awkward = [np.asfortranarray(x) if x.ndim > 1 else np.repeat(x, 2)[::2] for x in inputs]
    for x in awkward:
        x.flags.writeable = False
    np.testing.assert_allclose(function(*[Tensor(x) for x in awkward]).data, expected, rtol=1e-12)


def test_every_public_function_is_in_the_table():
    exempt = {"grad", "gradcheck", "checkpoint", "apply", "as_tensor", "astype", "loss", "no_grad", "enable_grad"}
    exempt |= {"is_recording", "Model", "Parameter", "Tensor", "Tape", "activate", "relu"}
    tested = {name.split()[0] for name in CASES}
    assert set(ad.__all__) - exempt <= tested


def test_lists_beside_tensors():
    x = Tensor([3.0], requires_grad=True)
    y = ad.concatenate([[1, 2], x, [4.5]])
    assert y.tolist() == [1.0, 2.0, 3.0, 4.5]
    y.sum().backward()
    assert x.grad.tolist() == [1.0]
