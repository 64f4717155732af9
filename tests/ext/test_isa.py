"""enilnets._ext.isa, and what every module of kernels offers: kernels() and select()."""

import pytest

from enilnets._ext import isa
from enilnets.ops.isa import CONCERNS, available, current

NAMES = ["baseline", "avx2", "avx512"]


def test_names_in_order_of_preference():
    assert isa.names() == NAMES


def test_the_baseline_runs_everywhere():
    supported = isa.supported()
    assert supported[0] == 0
    assert supported == sorted(set(supported))
    assert all(number < len(NAMES) for number in supported)


@pytest.mark.parametrize("function", [isa.names, isa.supported])
def test_arguments_are_refused(function):
    with pytest.raises(TypeError):
        function(1)


@pytest.mark.parametrize("concern", CONCERNS)
class TestModuleOfKernels:
    def test_kernels_have_names_of_their_own(self, concern):
        kernels = CONCERNS[concern].kernels()
        assert kernels and all(name.isidentifier() for name in kernels)
        assert len(set(kernels)) == len(kernels)
        with pytest.raises(TypeError):
            CONCERNS[concern].kernels(1)

    def test_select_takes_what_this_cpu_has(self, concern):
        try:
            for number in isa.supported():
                assert CONCERNS[concern].select(number) is None
        finally:
            CONCERNS[concern].select(NAMES.index(current()))

    @pytest.mark.parametrize("number", [-1, len(NAMES), 99, 2**31, 2**32, -(2**63)])
    def test_select_refuses_unknown_instruction_sets(self, concern, number):
        with pytest.raises(ValueError, match=f"got number {number}"):
            CONCERNS[concern].select(number)

    @pytest.mark.parametrize(
        "number, error", [(2**63, OverflowError), (None, TypeError), ("avx2", TypeError), (1.0, TypeError)]
    )
    def test_select_refuses_what_is_no_number(self, concern, number, error):
        with pytest.raises(error):
            CONCERNS[concern].select(number)


def test_instruction_sets_this_cpu_lacks_are_refused():
    for number in set(range(len(NAMES))) - set(isa.supported()):
        for module in CONCERNS.values():
            with pytest.raises(ValueError, match="that this CPU has"):
                module.select(number)
    assert current() in available()
