"""Attention in tiles: gradients, what a query that sees nothing gets, memory, threads, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest

from enilnets.errors import ConfigError, DataError, DTypeError, LabelError, ShapeError
from enilnets.ops.attention import attention, attention_backward, attention_weights, joint_attention_backward
from enilnets.ops.threads import num_threads
from tests.gradients import check_direction
from tests.reference.attention import attention_and_gradients, problems

#: tokens, keys: one token, less than a unit of columns, several tiles of queries and of keys, batch equal to tokens
SIZES = [(1, 1), (3, 3), (2, 7), (9, 4), (70, 70), (33, 140)]


def heads(rng, tokens, keys, batch=3, n=4, kv=2, d=6, dtype="float64"):
    q, dy = rng.normal(size=(2, batch, n, tokens, d)).astype(dtype)
    k, v = rng.normal(size=(2, batch, kv, keys, d)).astype(dtype)
    return q, k, v, dy


def options(rng, tokens, keys):
    return [
        {},
        {"causal": True},
        {"window": 3},
        {"causal": True, "window": 2},
        {"lengths": rng.integers(0, keys + 1, 3)},
        {"alibi": np.array([0.5, 0.1, 0.0, 2.0])},
        {"mask": rng.random((tokens, keys)) < 0.7},
        {"mask": rng.normal(size=(3, 1, 1, keys)), "scale": 0.7},
        {"mask": np.where(rng.random((4, tokens, keys)) < 0.3, -np.inf, 0.0), "causal": True},
        {"dropout": 0.3, "key": 7},
    ]


@pytest.mark.parametrize("tokens, keys", SIZES)
@pytest.mark.parametrize("which", range(10))
def test_gradients(tokens, keys, which, rng):
    q, k, v, dy = heads(rng, tokens, keys)
    rule = options(rng, tokens, keys)[which]
    gradients = attention_backward(dy, attention(q, k, v, **rule)[1])
    arrays = [q, k, v]
    for i, gradient in enumerate(gradients):
        if keys == 1 and i < 2:  # the only weight is 1, whatever the score
            assert np.abs(gradient).max() < 1e-12
            continue

        def loss(x, i=i):
            return float(np.sum(attention(*arrays[:i], x, *arrays[i + 1 :], **rule)[0] * dy))

        check_direction(loss, arrays[i], gradient, rng, directions=1)


def test_weights_are_those_that_are_used(rng):
    for q, k, v, _, rule in problems(rng, np.dtype("float64")):
        if "dropout" in rule:
            continue
        weights = attention_weights(q, k, **rule)
        shared = np.repeat(v, q.shape[1] // v.shape[1], axis=1)
        np.testing.assert_allclose(weights @ shared, attention(q, k, v, **rule)[0], rtol=1e-10, atol=1e-12)
        sums = weights.sum(axis=-1)
        assert (np.isclose(sums, 1) | (sums == 0)).all()


def test_grouped_heads_are_repeated_heads(rng):
    q, k, v, dy = heads(rng, 5, 7)
    y, saved = attention(q, k, v)
    dq, dk, dv = attention_backward(dy, saved)
    whole, saved = attention(q, np.repeat(k, 2, axis=1), np.repeat(v, 2, axis=1))
    np.testing.assert_array_equal(y, whole)
    dq_whole, dk_whole, dv_whole = attention_backward(dy, saved)
    np.testing.assert_array_equal(dq, dq_whole)
    np.testing.assert_allclose(dk, dk_whole.reshape(3, 2, 2, 7, 6).sum(axis=2))
    np.testing.assert_allclose(dv, dv_whole.reshape(3, 2, 2, 7, 6).sum(axis=2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_query_that_sees_nothing_gets_zeros(dtype, isa, rng):
    q, k, v, dy = heads(rng, 70, 150, dtype=dtype)
    seen = np.ones((70, 150), bool)
    seen[[0, 5, 69]] = False
    for rule in ({"mask": seen}, {"mask": np.where(seen, 0, -np.inf).astype(dtype)}):
        y, saved = attention(q, k, v, lengths=[150, 0, 1], **rule)
        gradients = attention_backward(dy, saved)
        assert not y[:, :, [0, 5, 69]].any() and not gradients[0][:, :, [0, 5, 69]].any()
        assert not y[1].any() and not any(gradient[1].any() for gradient in gradients)
        assert not gradients[1][2, :, 1:].any() and gradients[2][2, :, 0].all()
        assert all(np.isfinite(array).all() for array in (y, *gradients))
    y, _ = attention(
        q, k[:, :, :40], v[:, :, :40], causal=True
    )  # more queries than keys: the first are before them all
    assert not y[:, :, :30].any() and y[:, :, 30:].all()


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_large_scores_do_not_overflow(scale, dtype, rng):
    q, k, v, dy = heads(rng, 5, 200, dtype=dtype)
    y, saved = attention(q, k, v, scale=scale)
    assert np.isfinite(y).all() and all(np.isfinite(g).all() for g in attention_backward(dy, saved))
    best = (scale * q.astype(float) @ np.repeat(k, 2, axis=1).swapaxes(2, 3).astype(float)).argmax(-1)
    chosen = np.take_along_axis(np.repeat(v, 2, axis=1), best[..., None], axis=2)
    assert np.isclose(y, chosen, rtol=1e-4, atol=1e-4).mean() > 0.9  # the rest has two scores that are nearly the same


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["q", "k"])
def test_scores_that_are_no_numbers_are_not_hidden(name, bad, dtype, isa, rng):
    arrays = dict(zip("qkv", heads(rng, 70, 150, dtype=dtype)[:3], strict=True))
    arrays[name][1, 0, 3] = bad
    y, _ = attention(**arrays)
    assert np.isnan(y[1, 0, 3] if name == "q" else y[1, 0]).any()
    assert np.isfinite(y[[0, 2]]).all()


def test_rules_beyond_the_range_of_float32(rng):
    q, k, v, _ = heads(rng, 5, 9, dtype="float32")
    seen = rng.random((5, 9)) < 0.7
    y, _ = attention(q, k, v, mask=np.where(seen, 0, -1e300))
    np.testing.assert_array_equal(y, attention(q, k, v, mask=np.where(seen, 0, -np.inf))[0])
    with pytest.raises(ConfigError, match=r"alibi.*finite in float32"):
        attention(q, k, v, alibi=np.full(q.shape[1], 1e300))


@pytest.mark.parametrize("which", range(10))
def test_threads_do_not_change_a_bit(which, rng):
    q, k, v, dy = heads(rng, 150, 300, n=8, dtype="float32")
    rule = options(rng, 150, 300)[which]
    rule.pop("alibi", None)
    rule = {**rule, "mask": None} if np.ndim(rule.get("mask")) == 3 else rule
    results = []
    for n in (1, 2, 3, 7):
        with num_threads(n):
            y, saved = attention(q, k, v, **rule)
            results.append((y, *attention_backward(dy, saved)))
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_any_strides(rng):
    q, k, v, dy = heads(rng, 20, 20, kv=4)
    y, saved = attention(q, k, v, causal=True)
    want = (y, *attention_backward(dy, saved))
    joint = np.concatenate([q, k, v], axis=1).transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3)
    parts = joint[:, :4], joint[:, 4:8], joint[:, 8:]
    awkward = [np.asfortranarray(q), k[:, :, ::-1].copy()[:, :, ::-1], np.repeat(v, 2, axis=3)[..., ::2]]
    for arrays in (parts, awkward):
        y, saved = attention(*arrays, causal=True)
        got = (y, *attention_backward(np.asfortranarray(dy), saved))
        assert all(np.array_equal(a, b) for a, b in zip(got, want, strict=True))
    together = joint_attention_backward(dy, saved)
    np.testing.assert_array_equal(together.transpose(0, 2, 1, 3), np.concatenate(want[1:], axis=1))


def test_broadcast_batches(rng):
    q, k, v, dy = heads(rng, 6, 6)
    shared_k, shared_v = (np.broadcast_to(x[:1], x.shape) for x in (k, v))
    y, saved = attention(q, shared_k, shared_v)
    copied, _ = attention(q, shared_k.copy(), shared_v.copy())
    np.testing.assert_array_equal(y, copied)
    assert attention_backward(dy, saved)[1].shape == k.shape


def test_share_of_dropped_weights(rng):
    q, k, v, _ = heads(rng, 64, 64, d=2)
    ones, zeros = np.ones_like(v), np.zeros_like(q)
    y, _ = attention(zeros, k, ones, dropout=0.25, key=3)  # equal weights: y counts those that are left
    kept = y[..., 0] * 0.75
    assert abs(kept.mean() - 0.75) < 0.01 and kept.std() > 0.02
    again, _ = attention(zeros, k, ones, dropout=0.25, key=4)
    assert not np.array_equal(y, again)
    np.testing.assert_allclose(attention(zeros, k, ones, dropout=0.0, key=4)[0], 1)


MEMORY = """
import resource, numpy as np
from enilnets.ops.attention import attention, attention_backward
q, k, v, dy = np.random.default_rng(0).normal(size=(4, 1, 2, 8192, 8)).astype(np.float32)
attention_backward(dy[:, :, :64], attention(q[:, :, :64], k, v)[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
y, saved = attention(q, k, v, causal=True, window=4000)
attention_backward(dy, saved)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_memory_does_not_grow_with_the_square_of_the_tokens():
    """8192 tokens: weights of one head would be 268 MB; inputs, outputs and gradients together are 4 MB."""
    pytest.importorskip("resource")
    grown = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(grown.stdout) < 20e6


def test_nothing_of_the_size_of_the_scores_is_saved(rng):
    q, k, v, _ = heads(rng, 500, 500)
    _, saved = attention(q, k, v, causal=True)
    assert sum(a.nbytes for a in saved if isinstance(a, np.ndarray)) < 5 * q.nbytes
    assert attention(q, k, v, keep=False)[1] is None


def test_against_the_oracle_at_many_sizes(dtype, rng):
    for _ in range(30):
        tokens, keys, d = (int(n) for n in rng.integers(1, 150, 3))
        q, k, v, dy = heads(rng, tokens, keys, batch=1, d=d, dtype=dtype)
        y, saved = attention(q, k, v, causal=True)
        want = attention_and_gradients(q, k, v, dy, causal=True)
        for got, expected in zip((y, *attention_backward(dy, saved)), want, strict=True):
            np.testing.assert_allclose(
                got, expected, rtol=0, atol=1e3 * np.finfo(dtype).eps * (1 + abs(expected).max())
            )


@pytest.mark.parametrize(
    "error, name, change",
    [
        (ShapeError, "v", {"v": np.zeros((3, 2, 6, 6))}),
        (ShapeError, "k", {"k": np.zeros((3, 2, 7, 5))}),
        (ShapeError, "k", {"k": np.zeros((2, 2, 7, 6)), "v": np.zeros((2, 2, 7, 6))}),
        (ShapeError, "divides", {"k": np.zeros((3, 3, 7, 6)), "v": np.zeros((3, 3, 7, 6))}),
        (ShapeError, "empty", {"q": np.zeros((3, 4, 0, 6))}),
        (ShapeError, "empty", {"k": np.zeros((3, 2, 0, 6)), "v": np.zeros((3, 2, 0, 6))}),
        (ShapeError, "q", {"q": np.zeros((4, 5, 6))}),
        (DTypeError, "k", {"k": np.zeros((3, 2, 7, 6), np.float32)}),
        (DTypeError, "q", {"q": np.zeros((3, 4, 5, 6), int)}),
        (ShapeError, "mask", {"mask": np.ones((5, 6), bool)}),
        (ShapeError, "mask", {"mask": np.ones((3, 3, 5, 7), bool)}),
        (ShapeError, "mask", {"mask": np.ones((1, 1, 1, 5, 7), bool)}),
        (DTypeError, "mask", {"mask": np.ones((5, 7), int)}),
        (DTypeError, "mask", {"mask": [[True]]}),
        (DataError, "mask", {"mask": np.full((5, 7), np.nan)}),
        (DataError, "mask", {"mask": np.full((5, 7), np.inf)}),
        (LabelError, "0 to 7", {"lengths": [1, 8, 2]}),
        (LabelError, "0 to 7", {"lengths": [1, -1, 2]}),
        (ShapeError, "lengths", {"lengths": [1, 2]}),
        (DTypeError, "lengths", {"lengths": [1.0, 2.0, 3.0]}),
        (ConfigError, "window", {"window": 0}),
        (ConfigError, "causal", {"causal": 1}),
        (ConfigError, "scale", {"scale": np.nan}),
        (ShapeError, "alibi", {"alibi": np.ones(3)}),
        (ConfigError, "alibi", {"alibi": np.full(4, np.nan)}),
        (ConfigError, "dropout", {"dropout": 1.0}),
        (ConfigError, "key", {"dropout": 0.5, "key": -1}),
    ],
)
def test_refused(error, name, change, rng):
    q, k, v, _ = heads(rng, 5, 7)
    given = {"q": q, "k": k, "v": v, **change}
    with pytest.raises(error, match=name):
        attention(given.pop("q"), given.pop("k"), given.pop("v"), **given)


def test_gradients_of_another_shape_are_refused(rng):
    q, k, v, dy = heads(rng, 5, 7)
    saved = attention(q, k, v)[1]
    with pytest.raises(ShapeError, match="dy"):
        attention_backward(dy[:, :, :4], saved)
    with pytest.raises(DTypeError, match="dy"):
        attention_backward(dy.astype(np.float32), saved)
    with pytest.raises(ShapeError, match=r"saved\.k"):
        joint_attention_backward(dy, saved)
