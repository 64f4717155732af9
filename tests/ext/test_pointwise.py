"""enilnets._ext.pointwise called directly: accuracy over the whole range, work in place, extremes, and what it refuses.

Results on ordinary numbers are in tests/reference/pointwise.py.
"""

import sys

import numpy as np
import pytest

from enilnets._ext import pointwise
from enilnets.ops.threads import num_threads
from tests.ext.spoil import read_only, unaligned
from tests.reference.pointwise import DERIVATIVES, FUNCTIONS, SAVES_INPUT, wider

ACCURACY_IN_ULP = {
    "exponential": (np.exp, 1.5),
    "logarithm": (np.log, 1.5),
    "tanh": (np.tanh, 1.5),
    "exponential_minus_one": (np.expm1, 3),
    "logarithm_of_one_plus": (np.log1p, 3),
    "sigmoid": (lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x))), 3),
}
BACKWARD = list(DERIVATIVES)


def whole_range(rng, dtype):
    """Bit patterns from the whole range, and dense grids where the functions bend."""
    bits = np.dtype(f"u{dtype.itemsize}")
    if dtype == np.float32:
        patterns = np.arange(0, 2**32, 997, dtype=np.uint64).astype(bits)
    else:
        patterns = rng.integers(0, 2**64, 300_000, dtype=bits)
    info = np.finfo(dtype)
    edges = np.array([0, info.smallest_subnormal, info.tiny, info.eps, 0.9, 1, info.max, np.inf], dtype)
    grids = [np.linspace(-half, half, 40_001).astype(dtype) for half in (0.4, 1, 2.5, 20, 110, 800)]
    return np.concatenate([patterns.view(dtype), edges, -edges, np.array([np.nan], dtype), *grids])


def ulp_error(y, exact, dtype):
    """Distance in units of the last place of ``dtype`` at ``exact``."""
    info = np.finfo(dtype)
    exponent = np.maximum(np.frexp(exact)[1] - 1, info.minexp)
    return np.abs(y.astype(exact.dtype) - exact) / np.ldexp(exact.dtype.type(1), exponent - info.nmant)


@pytest.mark.parametrize("name", ACCURACY_IN_ULP)
def test_accuracy_over_the_whole_range(name, dtype, isa, rng):
    function, bound = ACCURACY_IN_ULP[name]
    if np.finfo(wider(dtype)).eps == np.finfo(dtype).eps:  # long double is double here: the reference errs as well
        bound += 1
    x = whole_range(rng, dtype)
    y = np.empty_like(x)
    pointwise.forward(name, y, x)
    with np.errstate(all="ignore"):
        exact = function(x.astype(wider(dtype)))
        rounded = exact.astype(dtype)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(rounded))
    finite = np.isfinite(rounded)
    assert ulp_error(y[finite], exact[finite], dtype).max() < bound
    np.testing.assert_array_equal(y[np.isinf(rounded)], rounded[np.isinf(rounded)])
    number = ~np.isnan(rounded)
    np.testing.assert_array_equal(np.signbit(y[number]), np.signbit(rounded[number]))


def test_accuracy_against_mpmath(isa):
    import mpmath

    exact = {
        "exponential": mpmath.exp,
        "logarithm": lambda x: mpmath.log(x) if x > 0 else mpmath.mpf(1),
        "tanh": mpmath.tanh,
        "exponential_minus_one": mpmath.expm1,
        "logarithm_of_one_plus": lambda x: mpmath.log1p(x) if x > -1 else mpmath.mpf(1),
        "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    }
    with mpmath.workprec(200):
        for name, function in exact.items():
            x = np.concatenate([np.linspace(0.01, 3, 150), np.geomspace(1e-300, 700, 150)])
            x = x if name == "logarithm" else np.concatenate([x, -x[x < 1]])
            y = np.empty_like(x)
            pointwise.forward(name, y, x)
            for got, argument in zip(y, x, strict=True):
                want = function(mpmath.mpf(float(argument)))
                assert abs(mpmath.mpf(float(got)) - want) < ACCURACY_IN_ULP[name][1] * np.spacing(abs(float(want)))


def test_worked_by_hand(dtype, isa):
    y = np.empty(3, dtype)
    pointwise.forward("logarithm", y, np.array([0, 1, -1], dtype))
    assert y[0] == -np.inf and y[1] == 0 and np.isnan(y[2])
    pointwise.forward("leakyrelu", y, np.array([-100, 0, 2], dtype))
    np.testing.assert_allclose(y, [-1, 0, 2], rtol=1e-6)
    pointwise.backward("softplus", y, np.array([2, 2, 2], dtype), np.log(np.array([1, 2, 4], dtype)))
    np.testing.assert_allclose(y, [0, 1, 1.5], rtol=1e-6)
    rows = np.log(np.array([[1, 3, 4], [2, 2, 4]], dtype))
    out = np.empty_like(rows)
    pointwise.softmax(out, rows)
    np.testing.assert_allclose(out, [[1 / 8, 3 / 8, 1 / 2], [1 / 4, 1 / 4, 1 / 2]], rtol=1e-6)
    pointwise.softmax_backward(rows, np.array([[8, 0, 0], [0, 0, 4]], dtype), out.copy())
    np.testing.assert_allclose(rows, [[7 / 8, -3 / 8, -1 / 2], [-1 / 2, -1 / 2, 1]], rtol=1e-6)


LIMITS = {  # f(-inf), f(inf), f'(-inf), f'(inf)
    "relu": (0, np.inf, 0, 1),
    "leakyrelu": (-np.inf, np.inf, 0.01, 1),
    "elu": (-1, np.inf, 0, 1),
    "selu": (-1.7580993408473766, np.inf, 0, 1.0507009873554805),
    "sigmoid": (0, 1, 0, 0),
    "tanh": (-1, 1, 0, 0),
    "softplus": (0, np.inf, 0, 1),
    "gelu": (0, np.inf, 0, 1),
    "swish": (0, np.inf, 0, 1),
    "mish": (0, np.inf, 0, 1),
}


@pytest.mark.parametrize("name", LIMITS)
def test_extreme_arguments_give_the_limit(name, dtype, isa):
    low, high, slope_low, slope_high = LIMITS[name]
    largest = np.finfo(dtype).max
    x = np.array([-np.inf, -largest, -1e30, 1e30, largest, np.inf], dtype)
    y, dx = np.empty_like(x), np.empty_like(x)
    pointwise.forward(name, y, x)
    want = np.where(x < 0, low, high) if np.isfinite(low) else np.where(x < 0, 0.01 * x, x)
    if not np.isfinite(high):
        with np.errstate(over="ignore"):
            want = np.where(x > 0, x * x.dtype.type(slope_high), want)
    np.testing.assert_allclose(y, want, rtol=4 * np.finfo(dtype).eps)
    pointwise.backward(name, dx, np.ones_like(x), x if name in SAVES_INPUT else y)
    np.testing.assert_allclose(dx, np.where(x < 0, slope_low, slope_high), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays_nan_and_touches_nothing_else(name, dtype, isa):
    for n in (1, 5, 40):
        for place in (0, n - 1):
            x = np.ones(n, dtype)
            x[place] = np.nan
            y = np.empty_like(x)
            pointwise.forward(name, y, x)
            assert (np.isnan(y) == np.isnan(x)).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tiny_arguments_lose_nothing(name, dtype, isa):
    """f(x) = f(0) + f'(0) x to the last bit but one, down to the smallest denormal."""
    info = np.finfo(dtype)
    x = np.array([info.smallest_subnormal, 100 * info.smallest_subnormal, info.tiny, info.tiny**0.5], dtype)
    x = np.concatenate([x, -x])
    if name == "logarithm":
        x = np.abs(x)
    y = np.empty_like(x)
    pointwise.forward(name, y, x)
    with np.errstate(all="ignore"):
        want = FUNCTIONS[name](x.astype(wider(dtype)))
    assert (np.abs(y - want) <= 4 * info.eps * np.abs(want) + info.smallest_subnormal).all()


@pytest.mark.parametrize("shape", [(), (0,), (1,), (17,), (3, 5, 7), (0, 4)])
@pytest.mark.parametrize("name", BACKWARD)
def test_in_place_and_any_shape_give_the_same_bits(name, shape, dtype, isa, rng):
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    x, dy = np.asarray(x, order="C"), np.asarray(dy, order="C")
    y, dx = np.empty_like(x), np.empty_like(x)
    pointwise.forward(name, y, x)
    pointwise.backward(name, dx, dy, y)
    z, g = x.copy(), dy.copy()
    pointwise.forward(name, z, z)
    np.testing.assert_array_equal(z, y)
    pointwise.backward(name, g, g, y)
    np.testing.assert_array_equal(g, dx)
    if shape:
        pointwise.softmax(y, x)
        z = x.copy()
        pointwise.softmax(z, z)
        np.testing.assert_array_equal(z, y)
        pointwise.softmax_backward(dx, dy, y)
        g = dy.copy()
        pointwise.softmax_backward(g, g, y)
        np.testing.assert_array_equal(g, dx)


def test_nothing_is_written_beyond_the_end(dtype, isa):
    for n in range(40):
        memory, x = np.full(n + 32, 7, dtype), np.ones(n, dtype)
        pointwise.forward("relu", memory[16 : 16 + n], x)
        pointwise.backward("tanh", memory[16 : 16 + n], x, x)
        assert (memory[:16] == 7).all() and (memory[16 + n :] == 7).all() and (memory[16 : 16 + n] == 0).all()


def test_softmax_rows_do_not_mix(dtype, isa):
    x = np.zeros((5, 3), dtype)
    x[1, 0], x[2, 1], x[3] = np.nan, np.inf, -np.inf
    x[4] = -np.inf, 0, np.finfo(dtype).max
    y = np.empty_like(x)
    pointwise.softmax(y, x)
    np.testing.assert_allclose(y[0], 1 / 3, rtol=1e-6)
    assert np.isnan(y[1:4]).all()
    assert y[4].tolist() == [0, 0, 1]


def test_column_sums_keep_their_accuracy_and_infinities(dtype, isa):
    rows = 200_000
    x = np.full((rows, 3), 0.1, dtype)
    x[5, 1], x[7, 2] = np.inf, np.nan
    out = np.empty(3, dtype)
    pointwise.column_sums(out, x)
    np.testing.assert_allclose(out[0], rows * float(dtype.type(0.1)), rtol=16 * np.finfo(dtype).eps)
    assert out[1] == np.inf and np.isnan(out[2])


def swapped(x):
    return x.astype(x.dtype.newbyteorder())


BAD_INPUTS = [
    (TypeError, lambda x: None),
    (TypeError, lambda x: x.tolist()),
    (TypeError, lambda x: x.astype(np.float16)),
    (TypeError, lambda x: x.astype(np.int64)),
    (TypeError, lambda x: x.astype(object)),
    (TypeError, lambda x: x.astype(complex)),
    (TypeError, lambda x: x.astype("f4" if x.dtype == np.float64 else "f8")),
    (TypeError, swapped),
    (ValueError, unaligned),
    (ValueError, lambda x: x[:-1]),
    (ValueError, lambda x: np.ones(2 * len(x), x.dtype)[::2]),
    (ValueError, lambda x: np.ones(2 * len(x), x.dtype)),
]


@pytest.mark.parametrize("error, change", BAD_INPUTS)
def test_bad_arguments_are_refused_and_change_nothing(error, change, dtype):
    x, y = np.ones(10, dtype), np.full(10, 7, dtype)
    with pytest.raises(error):
        pointwise.forward("exponential", y, change(x))
    with pytest.raises(error):
        pointwise.softmax(y, change(x))
    for wrong in [(change(x), x), (x, change(x))]:
        with pytest.raises(error):
            pointwise.backward("gelu", y, *wrong)
        with pytest.raises(error):
            pointwise.softmax_backward(y, *wrong)
        with pytest.raises(error):
            pointwise.backward_sums("gelu", y, y.copy(), *wrong)
    assert (y == 7).all()


@pytest.mark.parametrize("error, change", [*BAD_INPUTS, (ValueError, read_only)])
def test_bad_outputs_are_refused(error, change, dtype):
    x = np.ones(10, dtype)
    calls = [
        lambda out: pointwise.forward("exponential", out, x),
        lambda out: pointwise.backward("gelu", out, x, x),
        lambda out: pointwise.softmax(out, x),
        lambda out: pointwise.softmax_backward(out, x, x),
        lambda out: pointwise.column_sums(out, x[None]),
        lambda out: pointwise.backward_sums("gelu", out, np.empty_like(x), x, x),
        lambda out: pointwise.backward_sums("gelu", np.empty_like(x)[None], out, x[None], x[None]),
    ]
    for call in calls:
        with pytest.raises(error):
            call(change(x))


def test_overlap_is_refused(dtype):
    x = np.ones(10, dtype)
    with pytest.raises(ValueError, match="overlaps"):
        pointwise.forward("relu", x[1:], x[:-1])
    with pytest.raises(ValueError, match="overlaps"):
        pointwise.backward("relu", x, np.ones(10, dtype), x)
    with pytest.raises(ValueError, match="overlaps"):
        pointwise.softmax(x[1:], x[:-1])
    for arrays in [(x[1:], np.ones(9, dtype), x[:-1], x[:-1].copy()), (x, x, x, x), (x, x.copy(), x.copy(), x)]:
        with pytest.raises(ValueError, match="overlaps"):
            pointwise.backward_sums("relu", *arrays)
    with pytest.raises(ValueError, match="overlaps"):
        pointwise.column_sums(x, x.reshape(1, 10))


def test_arrays_without_axes_have_no_rows(dtype):
    x = np.ones((), dtype)
    for call in (pointwise.softmax, pointwise.column_sums):
        with pytest.raises(ValueError, match="axis"):
            call(np.ones((), dtype), x)
    with pytest.raises(ValueError, match="axis"):
        pointwise.softmax_backward(np.ones((), dtype), x, x.copy())
    with pytest.raises(ValueError, match="axis"):
        pointwise.backward_sums("relu", np.ones((), dtype), x.copy(), x, x.copy())


@pytest.mark.parametrize("name", ["", "softmax", "linear", "relu_forward", "rélu", None, 3, ["relu"], b"relu"])
def test_unknown_names_are_refused(name):
    x, y = np.ones((2, 3))
    with pytest.raises(ValueError, match="relu"):
        pointwise.forward(name, y, x)
    with pytest.raises(ValueError, match="relu"):
        pointwise.backward(name, y, x, x)
    with pytest.raises(ValueError, match="relu"):
        pointwise.backward_sums(name, y, y.copy(), x, x)


def test_every_listed_kernel_has_its_name_in_the_table():
    for kernel in pointwise.kernels():
        x = np.ones(3)
        if kernel.endswith("_backward") and kernel != "softmax_backward":
            pointwise.backward(kernel.removesuffix("_backward"), np.empty(3), x, x)
        elif kernel not in ("softmax", "softmax_backward", "column_sums", "activation_backward_sums"):
            pointwise.forward(kernel.removesuffix("_forward"), np.empty(3), x)


def test_references_are_returned_after_errors(dtype):
    y, x = np.ones(10, dtype), np.ones(9, dtype)
    before = sys.getrefcount(y), sys.getrefcount(x)
    for _ in range(1000):
        for call in (pointwise.softmax, lambda y, x: pointwise.forward("relu", y, x)):
            with pytest.raises(ValueError):
                call(y, x)
        pointwise.forward("relu", y, y)
    assert (sys.getrefcount(y), sys.getrefcount(x)) == before


def bits_for_every_number_of_threads(call):
    """The different results of ``call()``, a tuple of arrays, for 1, 2, 3, 4 and 8 threads; there has to be one."""
    seen = set()
    for threads in (1, 2, 3, 4, 8):
        with num_threads(threads):
            seen.add(tuple(a.tobytes() for a in call()))
    return len(seen)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits_depend_on_no_number_of_threads(name, dtype, isa, rng):
    n = 600_011 if name in ("relu", "leakyrelu") else 200_011
    x, dy = np.abs(rng.normal(size=(2, n))).astype(dtype)

    def call():
        y, dx = np.full((2, n), np.nan, dtype)
        pointwise.forward(name, y, x)
        if name in DERIVATIVES:
            pointwise.backward(name, dx, dy, y)
        return y, dx

    assert bits_for_every_number_of_threads(call) == 1


@pytest.mark.parametrize("rows, cols", [(90_001, 10), (301, 1500), (3, 100_003), (40_001, 25), (700, 1111)])
def test_bits_of_rows_and_sums_depend_on_no_number_of_threads(rows, cols, dtype, isa, rng):
    x, dy = rng.normal(size=(2, rows, cols)).astype(dtype)

    def call():
        y, dx, dz = np.full((3, rows, cols), np.nan, dtype)
        sums, fused = np.full((2, cols), np.nan, dtype)
        pointwise.softmax(y, x)
        pointwise.softmax_backward(dx, dy, y)
        pointwise.column_sums(sums, x)
        pointwise.backward_sums("gelu", dz, fused, dy, x)
        return y, dx, dz, sums, fused

    assert bits_for_every_number_of_threads(call) == 1
