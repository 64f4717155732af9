"""enilnets._ext.losses called directly: results are in tests/reference/losses.py, here edges and refusals."""

import numpy as np
import pytest

from enilnets._ext import losses
from enilnets.ops import isa as instruction_sets
from enilnets.ops.threads import num_threads

BY_ROW = ["cross_entropy_at_softmax", "softmax_cross_entropy"]
ELEMENTWISE = [name for name in losses.kernels() if name not in BY_ROW]


@pytest.fixture(params=ELEMENTWISE + BY_ROW)
def name(request):
    return request.param


def shaped(name, n=10):
    return (n,) if name in ELEMENTWISE else (2, n // 2)


def run(name, o, t, **outputs):
    return getattr(losses, name)(o, t, **outputs)


def test_sum_is_accumulated_in_double(isa):
    n = 2**22 + 5  # a float32 sum of so many equal squares is 2 % too large
    o, t = np.full(n, 0.1, np.float32), np.zeros(n, np.float32)
    assert losses.mse(o, t) == pytest.approx(n * float(np.float32(0.1)) ** 2, rel=1e-9)


def test_float32_squares_do_not_overflow_the_sum(isa):
    o = np.array([1e30, -2e30, 0], np.float32)
    assert losses.mse(o, np.zeros(3, np.float32)) == pytest.approx(5e60, rel=1e-6)


def test_same_bits_again_and_next_to_other_data(name, dtype, isa, rng):
    o, t = rng.random((2, *shaped(name, 3000))).astype(dtype)
    totals = set()
    for offset in range(4):
        place = np.empty(3000 + offset, dtype)[offset:].reshape(o.shape)
        place[...] = o
        totals.add(run(name, place, t))
    assert len(totals) == 1


def test_instruction_sets_agree(name, dtype, rng):
    o, t = rng.random((2, *shaped(name, 3000))).astype(dtype)
    results = []
    for isa in instruction_sets.available():
        with instruction_sets.using(isa):
            grad = np.empty_like(o)
            results.append((run(name, o, t, grad=grad), grad))
    for total, grad in results:
        np.testing.assert_allclose(total, results[0][0], rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_allclose(grad, results[0][1], rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("index", [0, 3, 9])
def test_nan_comes_out_as_nan(name, dtype, isa, index):
    for where in (0, 1):
        arrays = np.full((2, 10), 0.5, dtype)
        arrays[where, index] = np.nan
        o, t = (a.reshape(shaped(name)) for a in arrays)
        grad = np.zeros_like(o)
        assert np.isnan(run(name, o, t, grad=grad))
        assert np.isnan(grad.reshape(-1)[index])


def test_logits_of_minus_infinity_switch_classes_off(dtype, isa):
    for classes in (4, 700):
        o, t, grad = np.full((1, classes), -np.inf, dtype), np.zeros((1, classes), dtype), np.empty((1, classes), dtype)
        o[0, 1], o[0, 3], t[0, 3] = 2, 2, 1
        assert losses.softmax_cross_entropy(o, t, grad=grad) == pytest.approx(np.log(2), rel=1e-6)
        expected = np.zeros(classes)
        expected[[1, 3]] = 0.5, -0.5
        np.testing.assert_allclose(grad[0], expected, atol=1e-7)


@pytest.mark.parametrize("classes", [2, 700])
def test_small_losses_keep_their_digits(dtype, isa, classes):
    o, t = np.full((1, classes), -40, dtype), np.zeros((1, classes), dtype)
    o[0, 1], t[0, 1] = 0, 1
    expected = (classes - 1) * np.exp(-40.0)
    if dtype == np.float64:  # 1 + expected rounds to 1 in double precision
        assert losses.softmax_cross_entropy(o, t) == pytest.approx(expected, abs=1e-15)
    else:
        o[0, 0] = -30
        expected += np.exp(-30.0) - np.exp(-40.0)
        assert losses.softmax_cross_entropy(o, t) == pytest.approx(expected, rel=0.01, abs=0)
        assert expected < np.finfo(np.float32).eps / 100


@pytest.mark.parametrize(
    "error, change",
    [
        (TypeError, lambda a: {"o": None}),
        (TypeError, lambda a: {"t": a.tolist()}),
        (TypeError, lambda a: {"o": a.astype(np.float16)}),
        (TypeError, lambda a: {"o": a.astype(int)}),
        (TypeError, lambda a: {"t": a.astype(a.dtype.newbyteorder())}),
        (TypeError, lambda a: {"t": a.astype(complex)}),
        (TypeError, lambda a: {"grad": a.astype(np.float32 if a.dtype == np.float64 else np.float64)}),
        (ValueError, lambda a: {"t": a[..., :-1].copy()}),
        (ValueError, lambda a: {"t": a[..., ::-1]}),
        (ValueError, lambda a: {"t": a[None]}),
        (ValueError, lambda a: {"o": a[None]}),
        (ValueError, lambda a: {"grad": np.empty(3, a.dtype)}),
        (ValueError, lambda a: {"grad": np.empty((*a.shape, 1), a.dtype)}),
        (ValueError, lambda a: {"each": np.empty(99, a.dtype)}),
        (ValueError, lambda a: {"o": a, "grad": a}),
        (ValueError, lambda a: {"t": a, "grad": a}),
        (TypeError, lambda a: {"scale": "1"}),
        (TypeError, lambda a: {"delta": "1"}),
        (TypeError, lambda a: {"scales": 1}),
    ],
)
def test_bad_arguments_are_refused_and_change_nothing(name, dtype, error, change):
    fresh = np.full(shaped(name), 0.25, dtype)
    grad = np.full_like(fresh, 7)
    with pytest.raises(error):
        run(name, **{"o": fresh.copy(), "t": fresh.copy(), "grad": grad, **change(fresh)})
    assert (grad == 7).all() and (fresh == 0.25).all()


def test_read_only_outputs_are_refused(name, dtype):
    o, t, grad = np.full((3, *shaped(name)), 0.25, dtype)
    grad.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        run(name, o, t, grad=grad)


def test_references_are_returned_after_errors(name, dtype):
    import sys

    o, t = np.full((2, *shaped(name)), 0.25, dtype)
    bad = np.empty(3, dtype)
    before = sys.getrefcount(o), sys.getrefcount(t), sys.getrefcount(bad)
    for _ in range(100):
        with pytest.raises(ValueError):
            run(name, o, t, grad=bad)
    assert (sys.getrefcount(o), sys.getrefcount(t), sys.getrefcount(bad)) == before


@pytest.mark.parametrize("shape", [(8001, 10), (60_001, 1), (33, 1000), (5, 20_001)])
def test_bits_depend_on_no_number_of_threads(shape, isa, dtype, rng):
    o, t = rng.uniform(0.1, 0.9, size=(2, *shape)).astype(dtype)
    seen = set()
    for threads in (1, 2, 3, 4, 8):
        results = []
        for name in losses.kernels():
            by_rows = name in ("cross_entropy_at_softmax", "softmax_cross_entropy")
            each = np.full(shape[0] if name == "softmax_cross_entropy" else shape, 9, dtype)
            arrays = [o, t, each, np.full(shape, 9, dtype)]
            with num_threads(threads):
                total = getattr(losses, name)(*(arrays if by_rows else [a.reshape(-1) for a in arrays]), 0.3)
            np.testing.assert_allclose(total, each.sum(dtype=np.float64), rtol=1e-4, atol=1e-3)
            results += [total, *(a.tobytes() for a in arrays[2:])]
        seen.add(tuple(results))
    assert len(seen) == 1
