"""enilnets.ops.isa: which instruction sets there are, and how one is chosen."""

import numpy as np
import pytest

from enilnets.errors import ConfigError
from enilnets.ops import isa
from enilnets.ops.losses import mse


def test_the_baseline_comes_first_and_the_one_in_use_is_available():
    assert isa.available()[0] == "baseline"
    assert isa.current() in isa.available()


def test_using_restores_what_was_before_even_after_an_error():
    before = isa.current()
    for name in isa.available():
        with pytest.raises(KeyError), isa.using(name):
            assert isa.current() == name
            assert mse(np.ones(5), np.zeros(5)) == 5
            raise KeyError
        assert isa.current() == before


@pytest.mark.parametrize("name", ["", "AVX2", "sse2", None, 1, ["avx2"]])
def test_unknown_instruction_sets_are_refused_and_nothing_changes(name):
    before = isa.current()
    with pytest.raises(ConfigError, match="one of baseline"):
        isa.select(name)
    with pytest.raises(ConfigError), isa.using(name):
        pass
    assert isa.current() == before


def test_variants_name_every_kernel_once_per_dtype_and_instruction_set():
    variants = isa.variants()
    assert len(set(variants)) == len(variants)
    kernels = sum(len(module.kernels()) for module in isa.CONCERNS.values())
    assert len(variants) == kernels * 2 * len(isa.available())
    assert ("losses", "mse", "float32", "baseline") in variants
