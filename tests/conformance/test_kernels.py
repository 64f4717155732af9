"""Every kernel variant (concern, kernel, dtype, instruction set) against its NumPy oracle.

The list comes from the compiled modules, so a kernel without a case in tests/reference fails here.
"""

import importlib

import numpy as np
import pytest

from enilnets.ops import isa as instruction_sets


@pytest.mark.parametrize("concern, kernel, dtype, isa", instruction_sets.variants())
def test_variant_agrees_with_its_oracle(concern, kernel, dtype, isa, rng):
    cases = importlib.import_module(f"tests.reference.{concern}").CASES
    with instruction_sets.using(isa):
        cases[kernel](rng, np.dtype(dtype))


@pytest.mark.parametrize("concern", instruction_sets.CONCERNS)
def test_no_case_is_without_its_kernel(concern):
    cases = importlib.import_module(f"tests.reference.{concern}").CASES
    assert set(cases) == set(instruction_sets.CONCERNS[concern].kernels())
