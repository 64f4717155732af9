"""Fixtures for every test: a fixed generator, and each instruction set this CPU has."""

import numpy as np
import pytest

from enilnets.ops import isa as instruction_sets


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)


@pytest.fixture(params=instruction_sets.available())
def isa(request):
    """Runs the test once per instruction set of this CPU."""
    with instruction_sets.using(request.param):
        yield request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)
