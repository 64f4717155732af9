"""enilnets._ext.attention called directly: results are in tests/reference/attention.py, here what it must refuse."""

import numpy as np
import pytest

from enilnets._ext import attention
from tests.ext.spoil import WRONG_KINDS

TAKES = {
    "forward": ("y", "lse", "q", "k", "v", "scale", "causal", "window", "lengths", "mask", "slopes", "dropout", "key"),
    "backward": (
        *("dq", "dkv", "dy", "y", "lse", "q", "k", "v", "scale", "causal", "window", "lengths", "mask", "slopes"),
        *("dropout", "key"),
    ),
}
WRITTEN = {"forward": ("y", "lse"), "backward": ("dq", "dkv")}
ARRAYS = [
    (kernel, name)
    for kernel, names in TAKES.items()
    for name in names
    if name in ("y", "lse", "q", "k", "v", "dq", "dkv", "dy", "slopes")
]


def arguments(dtype):
    batch, heads, kv, tokens, keys, d = 3, 4, 2, 5, 6, 7
    full, shared = np.ones((batch, heads, tokens, d), dtype), np.ones((batch, kv, keys, d), dtype)
    return {
        **{name: full.copy() for name in ("q", "y", "dy", "dq")},
        **{name: shared.copy() for name in ("k", "v")},
        "dkv": np.ones((batch, 2 * kv, keys, d), dtype),
        "lse": np.ones((batch, heads, tokens), dtype),
        "slopes": np.ones(heads, dtype),
        "mask": np.ones((batch, heads, tokens, keys), bool),
        "lengths": np.array([1, 0, 6]),
        "scale": 1.0,
        "causal": True,
        "window": 3,
        "dropout": 0.5,
        "key": 1,
    }


def call(kernel, dtype, **changed):
    given = {**arguments(dtype), **changed}
    return getattr(attention, kernel)(*[given[name] for name in TAKES[kernel]])


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


@pytest.mark.parametrize("kernel, name", [(kernel, name) for kernel, names in WRITTEN.items() for name in names])
def test_what_is_written_must_be_writable_and_its_own(kernel, name, dtype):
    given = arguments(dtype)
    given[name].flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        call(kernel, dtype, **{name: given[name]})
    for other in TAKES[kernel]:
        if other != name and isinstance(given[other], np.ndarray) and given[other].dtype == dtype:
            memory = np.ones(2000, dtype)
            shared = {key: memory[: given[key].size].reshape(given[key].shape) for key in (name, other)}
            with pytest.raises(ValueError, match="overlaps"):
                call(kernel, dtype, **shared)
    if name != "lse":
        broadcast = np.lib.stride_tricks.as_strided(given[name], strides=(0, *given[name].strides[1:]), writeable=True)
        folded = np.lib.stride_tricks.as_strided(given[name], strides=given[name].strides[:2] + (dtype.itemsize,) * 2)
        for shared in (broadcast, folded):
            with pytest.raises(ValueError, match=r"share memory|writable"):
                call(kernel, dtype, **{name: shared})


@pytest.mark.parametrize("kernel", TAKES)
@pytest.mark.parametrize(
    "error, name, value",
    [
        (ValueError, "lengths", np.array([1, 7, 2])),
        (ValueError, "lengths", np.array([1, -1, 2])),
        (ValueError, "lengths", np.array([1, 2])),
        (TypeError, "lengths", np.array([1, 2, 3], np.int32)),
        (TypeError, "lengths", np.array([1.0, 2.0, 3.0])),
        (ValueError, "mask", np.ones((3, 4, 5, 5), bool)),
        (ValueError, "mask", np.ones((5, 6), bool)),
        (ValueError, "mask", np.ones((3, 2, 5, 6), bool)),
        (TypeError, "mask", np.ones((3, 4, 5, 6), np.int64)),
        (TypeError, "mask", np.ones((3, 4, 5, 6), np.float16)),
        (TypeError, "mask", [[[[True]]]]),
        (ValueError, "window", -1),
        (ValueError, "dropout", 1.0),
        (ValueError, "dropout", -0.1),
        (ValueError, "dropout", float("nan")),
        (OverflowError, "key", -1),
        (OverflowError, "key", 2**64),
        (TypeError, "scale", "1"),
        (TypeError, "window", 1.5),
    ],
)
def test_bad_rules_are_refused(kernel, error, name, value, dtype):
    with pytest.raises(error):
        call(kernel, dtype, **{name: value})


def test_masks_are_broadcast_and_of_the_dtype(dtype):
    for shape in ((1, 1, 1, 1), (3, 1, 1, 6), (1, 4, 5, 1)):
        call("forward", dtype, mask=np.ones(shape, bool))
        call("forward", dtype, mask=np.ones(shape, dtype))
    other = "f4" if dtype == "f8" else "f8"
    with pytest.raises(TypeError, match="mask"):
        call("forward", dtype, mask=np.ones((1, 1, 1, 1), other))


def test_one_array_for_all_gradients_needs_as_many_keys_as_queries(dtype):
    with pytest.raises(ValueError, match="as many keys"):
        call("backward", dtype, dkv=None)


@pytest.mark.parametrize("tokens, keys", [(1, 1), (17, 130), (65, 3)])
@pytest.mark.parametrize("d", [1, 5, 16, 33])
def test_nothing_is_written_beyond_the_output(tokens, keys, d, isa, dtype, rng):
    def array(*shape):
        return rng.normal(size=shape).astype(dtype)

    def framed(*shape):
        memory = np.full(int(np.prod(shape)) + 64, 7, dtype)
        return memory, memory[32:-32].reshape(shape)

    q, dy, k, v = array(2, 2, tokens, d), array(2, 2, tokens, d), array(2, 1, keys, d), array(2, 1, keys, d)
    frames = [framed(2, 2, tokens, d), framed(2, 2, tokens), framed(2, 2, tokens, d), framed(2, 2, keys, d)]
    (_, y), (_, lse), (_, dq), (_, dkv) = frames
    attention.forward(y, lse, q, k, v, 0.5)
    attention.backward(dq, dkv, dy, y, lse, q, k, v, 0.5)
    for memory, view in frames:
        assert (memory[:32] == 7).all() and (memory[-32:] == 7).all() and (view != 7).all()


def test_an_empty_batch(dtype):
    q, k = np.ones((0, 2, 3, 4), dtype), np.ones((0, 1, 3, 4), dtype)
    attention.forward(q.copy(), np.ones((0, 2, 3), dtype), q, k, k, 1.0)
    joint = np.ones((0, 4, 3, 4), dtype)
    attention.backward(joint, None, q.copy(), q, np.ones((0, 2, 3), dtype), q, k, k, 1.0)


@pytest.mark.parametrize("shape", [(2, 3, 0, 4), (2, 3, 5, 0), (2, 0, 5, 4)])
def test_no_tokens_features_or_heads(shape, dtype):
    q = np.ones(shape, dtype)
    with pytest.raises(ValueError, match="at least one"):
        attention.forward(q.copy(), np.ones(shape[:3], dtype), q, q, q, 1.0)


@pytest.mark.parametrize(
    "x, cosines, sines",
    [
        ((2, 3, 5, 7), (5, 3), (5, 3)),
        ((2, 3, 5, 6), (5, 2), (5, 3)),
        ((2, 3, 5, 6), (5, 3), (4, 3)),
        ((3, 5, 6), (5, 3), (5, 3)),
    ],
)
def test_rotations_that_do_not_fit(x, cosines, sines, dtype):
    with pytest.raises(ValueError):
        attention.rotate(np.ones(x, dtype), np.ones(cosines, dtype), np.ones(sines, dtype))


def test_rotations_are_of_one_dtype_and_of_memory_of_their_own(dtype):
    x, angles = np.ones((2, 3, 5, 6), dtype), np.ones((5, 3), dtype)
    with pytest.raises(TypeError):
        attention.rotate(x, angles.astype("f4" if dtype == "f8" else "f8"), angles)
    with pytest.raises(ValueError, match="share memory"):
        attention.rotate(np.lib.stride_tricks.as_strided(x, strides=(0, *x.strides[1:])), angles, angles)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        attention.rotate(x, angles, angles)
