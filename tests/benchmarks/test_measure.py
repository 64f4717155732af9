"""The parts that measure, without looking at how long anything took."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import limits, peak
from benchmarks.contestants import CONTESTANTS
from benchmarks.data import make_data
from benchmarks.measure import absentees, disagreement
from benchmarks.memory import Growth
from benchmarks.workloads import WORKLOADS

BY_NAME = {workload.name: workload for workload in WORKLOADS}


@pytest.fixture
def built():
    """The compiled loop."""
    if peak.compiler() is None:
        pytest.skip("no C compiler")
    peak.build.cache_clear()
    yield peak.build()
    peak.build.cache_clear()


def test_the_loop_counts_its_operations(built):
    for isa in range(built.peak_isa_count()):
        if built.peak_isa_supported(isa):
            for is_double in (0, 1):
                per_step = built.peak_run(is_double, isa, 1)
                assert per_step >= 2 * 12 * (2 if is_double else 4)
                assert built.peak_run(is_double, isa, 1000) == 1000 * per_step
                assert built.peak_run(0, isa, 1) == 2 * built.peak_run(1, isa, 1)


def test_rates_come_for_every_dtype_and_instruction_set(built):
    rates = peak.peak_rates(threads=2, seconds=0.0)
    assert set(rates) == {"float32", "float64"}
    assert all("baseline" in by_isa and min(by_isa.values()) > 0 for by_isa in rates.values())


def test_without_a_compiler_a_product_stands_in(monkeypatch):
    monkeypatch.setattr(limits, "peak_rates", lambda threads: None)
    monkeypatch.setattr(
        limits, "in_child", lambda call, variables: 7.0 if "band" in call else dict.fromkeys(peak.DTYPES, 5.0)
    )
    found = limits.machine_limits(1)
    assert found["peak float32"] == found["peak float64"] == 5.0
    assert "np.matmul" in found["peak measured by"]


def test_growth_sees_a_peak_that_is_gone_again():
    growth = Growth()
    if growth.before is None:
        pytest.skip("the system does not tell")
    np.ones(4_000_000)  # 32 MB, freed at once
    assert 30 < growth.peak() < 200
    assert Growth().peak() < 30


def test_who_is_missing_or_left_out_is_named(monkeypatch):
    monkeypatch.setitem(CONTESTANTS, "PyTorch", CONTESTANTS["PyTorch"]._replace(packages=("no_such_package",)))
    notes = absentees({"NumPy"})
    assert notes["PyTorch"] == "missing: no_such_package"
    assert notes["NumPy"] == "left out"
    assert "enilnets" not in notes


@pytest.mark.parametrize(
    ("first", "others"),
    [
        ({}, []),
        ({"a": [1.0, 1.0, 1.0], "b": [1.0, 1.0, 1.0], "c": [1.0, 1.0, 1.5]}, ["c"]),
        ({"a": [1.0, 1.0, 1.0], "b": [1.0, 1.0, 1.0], "c": [float("nan")] * 3}, ["c"]),
    ],
)
def test_disagreement_names_who_does_other_work(first, others):
    assert disagreement(BY_NAME["mlp_train_64_128_10_b32"], first) == others


@pytest.mark.parametrize("name", [name for name in BY_NAME if name.startswith("matmul")])
def test_ours_and_plain_numpy_multiply_the_same(name):
    workload = BY_NAME[name]
    data = make_data(workload)
    ours, plain = (CONTESTANTS[who].load(1)["matmul"](workload, data)() for who in ("enilnets", "NumPy"))
    assert ours.shape == (workload.product.m, workload.product.n)
    np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-3)


def test_the_parent_process_stays_free_of_numpy():
    """The numbers of threads are decided in the environment of the children, before anything is imported."""
    import subprocess

    code = "import sys, benchmarks.__main__, benchmarks.scaling, benchmarks.neighbour; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
