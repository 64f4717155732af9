"""enilnets._ext.norm called directly: results are in tests/reference/norm.py, here what it must refuse."""

import sys

import numpy as np
import pytest

from enilnets._ext import norm
from enilnets.ops.threads import num_threads
from tests.ext.spoil import WRONG_KINDS, unaligned

SHAPE = (4, 3, 5)
TAKES = {
    "batchnorm": ("y", "mean", "var", "inv_std", "x", "gamma", "beta", "eps", "activation", "z"),
    "batchnorm_backward": (*("dx", "dgamma", "dbeta", "dy", "x", "mean", "inv_std", "gamma", "activation", "saved"),),
    "batchnorm_inference": ("y", "x", "mean", "var", "gamma", "beta", "eps", "activation", "z"),
    "batchnorm_inference_backward": (
        *("dx", "dgamma", "dbeta", "dy", "x", "mean", "var", "gamma", "eps", "activation", "saved"),
    ),
}
WRITTEN = {
    "batchnorm": ("y", "z", "mean", "var", "inv_std"),
    "batchnorm_backward": ("dx", "dgamma", "dbeta"),
    "batchnorm_inference": ("y", "z"),
    "batchnorm_inference_backward": ("dx", "dgamma", "dbeta"),
}
NO_ARRAYS = ("eps", "activation")
ARRAYS = [(kernel, name) for kernel, names in TAKES.items() for name in names if name not in NO_ARRAYS]


def arguments(dtype, shape=SHAPE):
    given = {name: np.ones(shape, dtype) for name in ("x", "y", "z", "dx", "dy", "saved")}
    channels = ("mean", "var", "inv_std", "gamma", "beta", "dgamma", "dbeta")
    return {**given, **{name: np.ones(shape[1], dtype) for name in channels}, "eps": 1e-5, "activation": "relu"}


def call(kernel, dtype, shape=SHAPE, **changed):
    given = {**arguments(dtype, shape), **changed}
    return getattr(norm, kernel)(*[given[name] for name in TAKES[kernel]])


@pytest.mark.parametrize("kernel, name", ARRAYS)
@pytest.mark.parametrize(
    "error, spoil",
    [
        *WRONG_KINDS,
        (TypeError, lambda a: a.astype("f4" if a.dtype == "f8" else "f8")),
        (ValueError, lambda a: a[:-1].copy()),
        (ValueError, lambda a: a[None]),
        (ValueError, lambda a: np.repeat(a, 2, axis=-1)[..., ::2]),
        (ValueError, lambda a: np.zeros(0, a.dtype)),
    ],
)
def test_bad_arrays_are_refused(kernel, name, error, spoil, dtype):
    with pytest.raises(error):
        call(kernel, dtype, **{name: spoil(arguments(dtype)[name])})


@pytest.mark.parametrize("kernel, name", ARRAYS)
def test_what_is_written_must_be_writable_and_its_own(kernel, name, dtype):
    given = arguments(dtype)
    given[name].flags.writeable = False
    if name in WRITTEN[kernel]:
        with pytest.raises(ValueError, match="writable"):
            call(kernel, dtype, **{name: given[name]})
        for other in TAKES[kernel]:
            if other not in (name, *NO_ARRAYS):
                memory = np.ones(np.prod(SHAPE), dtype)
                shared = {key: memory[: given[key].size].reshape(given[key].shape) for key in (name, other)}
                with pytest.raises(ValueError, match="overlaps"):
                    call(kernel, dtype, **shared)
    else:
        call(kernel, dtype, **{name: given[name]})


@pytest.mark.parametrize("kernel", ["batchnorm", "batchnorm_backward"])
@pytest.mark.parametrize("shape", [(0, 3, 5), (4, 3, 0), (0, 0, 0), (0, 3, 1), (0, 3, 100)])
def test_no_statistics_of_nothing(kernel, shape, dtype):
    with pytest.raises(ValueError, match="at least one element"):
        call(kernel, dtype, shape)


@pytest.mark.parametrize("kernel", ["batchnorm_inference", "batchnorm_inference_backward"])
@pytest.mark.parametrize("shape", [(0, 3, 5), (4, 3, 0), (0, 0, 0), (0, 3, 1), (0, 3, 100), (0, 500, 0)])
def test_empty_inference(kernel, shape, isa, dtype):
    dgamma, dbeta = np.full((2, shape[1]), 9, dtype)
    call(kernel, dtype, shape, dgamma=dgamma, dbeta=dbeta)
    if kernel.endswith("backward"):
        assert not dgamma.any() and not dbeta.any()


def test_half_of_the_parameter_gradients_is_refused(dtype):
    for name in ("dgamma", "dbeta"):
        with pytest.raises(TypeError):
            call("batchnorm_inference_backward", dtype, **{name: None})
        with pytest.raises(TypeError):
            call("batchnorm_backward", dtype, **{name: None})
    call("batchnorm_inference_backward", dtype, dx=None, dgamma=None, dbeta=None)


@pytest.mark.parametrize("eps", [None, "1e-5", [1e-5]])
def test_eps_must_be_a_number(eps, dtype):
    with pytest.raises(TypeError):
        call("batchnorm", dtype, eps=eps)


@pytest.mark.parametrize("kernel", TAKES)
def test_nothing_is_written_beyond_the_output(kernel, isa, dtype):
    for shape in ((3, 130, 1), (2, 5, 7), (2, 3, 31), (2, 3, 45), (1, 1, 1), (2, 1, 129)):
        given = arguments(dtype, shape)
        memory = {name: np.full(given[name].size + 64, 7, dtype) for name in WRITTEN[kernel]}
        views = {name: memory[name][32:-32].reshape(given[name].shape) for name in WRITTEN[kernel]}
        call(kernel, dtype, shape, **views)
        for name in WRITTEN[kernel]:
            assert (memory[name][:32] == 7).all() and (memory[name][-32:] == 7).all()
            assert (views[name] != 7).all()


@pytest.mark.parametrize("kernel", TAKES)
def test_only_activations_that_there_are(kernel, dtype):
    for name in ("", "softmax", "linear", "relu_forward", 3, b"relu", ["relu"], np.ones(3)):
        with pytest.raises(ValueError, match="relu"):
            call(kernel, dtype, activation=name)
    with pytest.raises(TypeError):
        call(kernel, dtype, activation=None)
    if kernel.endswith("backward"):
        with pytest.raises(TypeError):
            call(kernel, dtype, saved=None)
        call(kernel, dtype, activation=None, saved=None)
    else:
        call(kernel, dtype, z=None)
        call(kernel, dtype, activation=None, z=None)


@pytest.mark.parametrize("shape", [(8, 37, 500), (900, 301, 1), (40, 500, 9), (3, 5, 10_000)])
@pytest.mark.parametrize("kernel", TAKES)
def test_bits_depend_on_no_number_of_threads(kernel, shape, isa, dtype, rng):
    given = arguments(dtype, shape)
    for name, array in given.items():
        if name not in NO_ARRAYS:
            array[...] = np.abs(rng.normal(size=array.shape))
    seen = set()
    for threads in (1, 2, 3, 4, 8):
        written = {name: np.full_like(given[name], 9) for name in WRITTEN[kernel]}
        with num_threads(threads):
            call(kernel, dtype, shape, **{**given, **written})
        seen.add(tuple(a.tobytes() for a in written.values()))
    assert len(seen) == 1


def test_blend_refuses_what_does_not_fit(dtype):
    x, y = np.ones(5, dtype), np.ones(5, dtype)
    for wrong in (
        y[:-1],
        x,
        np.ones(10, dtype)[::2],
        y.astype(int),
        y.tolist(),
        None,
        unaligned(y),
        y.astype(y.dtype.newbyteorder()),
    ):
        with pytest.raises((TypeError, ValueError)):
            norm.blend(x, wrong, 0.5)
        if wrong is not x:
            with pytest.raises((TypeError, ValueError)):
                norm.blend(wrong, x, 0.5)
    with pytest.raises(TypeError):
        norm.blend(x, y, None)
    y.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        norm.blend(y, x, 0.5)
    norm.blend(x, y, 0.5)


@pytest.mark.parametrize("kernel", TAKES)
def test_references_are_returned_after_errors(kernel, dtype):
    given = {**arguments(dtype), "gamma": np.ones(9, dtype)}
    before = {name: sys.getrefcount(a) for name, a in given.items() if name not in NO_ARRAYS}
    for _ in range(1000):
        with pytest.raises(ValueError):
            getattr(norm, kernel)(*[given[name] for name in TAKES[kernel]])
    assert {name: sys.getrefcount(a) for name, a in given.items() if name not in NO_ARRAYS} == before


ROWS = {
    "layernorm": (("y", "mean", "inv_std", "rest"), ("x", "gamma", "beta", "eps")),
    "layernorm_backward": (("dx",), ("dy", "x", "mean", "inv_std", "rest", "gamma")),
    "layernorm_sums": (("dgamma", "dbeta"), ("dy", "x", "mean", "inv_std", "rest")),
}
ROW_ARRAYS = [(kernel, name) for kernel, names in ROWS.items() for name in sum(names, ()) if name != "eps"]


def row_arguments(dtype):
    given = {name: np.ones((6, 2, 5), dtype) for name in ("x", "y", "dx", "dy")}
    given.update({name: np.ones(6, dtype) for name in ("mean", "inv_std", "rest", "gamma", "beta", "dgamma", "dbeta")})
    return {**given, "eps": 1e-5}


def row_call(kernel, dtype, **changed):
    given = {**row_arguments(dtype), **changed}
    return getattr(norm, kernel)(*[given[name] for name in sum(ROWS[kernel], ())])


@pytest.mark.parametrize("kernel, name", ROW_ARRAYS)
@pytest.mark.parametrize(
    "error, spoil",
    [
        *WRONG_KINDS,
        (TypeError, lambda a: a.astype("f4" if a.dtype == "f8" else "f8")),
        (ValueError, lambda a: a[:-1].copy()),
        (ValueError, lambda a: a[None]),
        (ValueError, lambda a: np.repeat(a, 2, axis=-1)[..., ::2]),
        (ValueError, lambda a: np.zeros(0, a.dtype)),
    ],
)
def test_bad_arrays_of_rows_are_refused(kernel, name, error, spoil, dtype):
    with pytest.raises(error):
        row_call(kernel, dtype, **{name: spoil(row_arguments(dtype)[name])})


@pytest.mark.parametrize("kernel, name", ROW_ARRAYS)
def test_rows_that_are_written_must_be_writable_and_their_own(kernel, name, dtype):
    given = row_arguments(dtype)
    given[name].flags.writeable = False
    if name in ROWS[kernel][0]:
        with pytest.raises(ValueError, match="writable"):
            row_call(kernel, dtype, **{name: given[name]})
        memory = np.ones(60, dtype)
        shared = {key: memory[: given[key].size].reshape(given[key].shape) for key in (name, "x")}
        with pytest.raises(ValueError, match="overlaps"):
            row_call(kernel, dtype, **shared)
    else:
        row_call(kernel, dtype, **{name: given[name]})


@pytest.mark.parametrize("shape", [(6, 0, 5), (6, 2, 0), (6, 4, 5), (6, 12, 1), (4, 2, 5)])
def test_rows_that_are_no_whole_groups_are_refused(shape, dtype):
    for kernel in ROWS:
        arrays = {name: np.ones(shape, dtype) for name in ("x", "y", "dx", "dy")}
        rows = {name: np.ones(shape[0], dtype) for name in ("mean", "inv_std", "rest")}
        with pytest.raises(ValueError, match=r"element per row|whole groups"):
            row_call(kernel, dtype, **arrays, **rows)
