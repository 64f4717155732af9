"""NumPy oracle of csrc/kernels/attention.c, in float64, straight from Vaswani et al. 2017, equation 1: whole rows of
weights, and the gradient through the softmax's Jacobian."""

import numpy as np

from enilnets._ext import attention


def bias(tokens, keys, batch, heads, *, causal=False, window=None, lengths=None, mask=None, alibi=None):
    """What is added to the scores, (batch, heads, tokens, keys): -inf where a query may not see a key."""
    i, j = np.arange(keys - tokens, keys)[:, None], np.arange(keys)
    added = np.zeros((batch, heads, tokens, keys))
    if causal:
        added[..., j > i] = -np.inf
    if window is not None:
        added[..., abs(i - j) >= window] = -np.inf
    if lengths is not None:
        for sample, length in enumerate(lengths):
            added[sample, ..., length:] = -np.inf
    if alibi is not None:
        added -= np.asarray(alibi, np.float64)[:, None, None] * abs(i - j)
    if mask is not None:
        added = added + (np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask.astype(np.float64))
    return added


def weights(q, k, scale, added):
    """Softmax rows; zeros where a query sees nothing."""
    scores = scale * np.einsum("bhid,bhjd->bhij", q, k) + added
    e = np.exp(scores - np.where(np.isfinite(scores), scores, -1e300).max(axis=-1, keepdims=True, initial=-1e300))
    e[~np.isfinite(scores)] = 0
    total = e.sum(axis=-1, keepdims=True)
    return np.divide(e, total, out=np.zeros_like(e), where=total > 0)


def attention_and_gradients(q, k, v, dy, scale=None, **rule):
    """(y, dq, dk, dv) in float64; k and v may have fewer heads."""
    q, k, v, dy = (np.asarray(x, np.float64) for x in (q, k, v, dy))
    (batch, heads, tokens, d), (_, kv_heads, keys, _) = q.shape, k.shape
    group = heads // kv_heads
    scale = d**-0.5 if scale is None else scale
    k_all, v_all = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    p = weights(q, k_all, scale, bias(tokens, keys, batch, heads, **rule))
    dp = np.einsum("bhid,bhjd->bhij", dy, v_all)
    ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True)) * scale
    shared = (batch, kv_heads, group, keys, d)
    return (
        p @ v_all,
        ds @ k_all,
        np.einsum("bhij,bhid->bhjd", ds, q).reshape(shared).sum(axis=2),
        np.einsum("bhij,bhid->bhjd", p, dy).reshape(shared).sum(axis=2),
    )


#: batch, heads, kv_heads, tokens, keys, d: single tokens, part of a unit, whole tiles of queries (64) and of keys (128)
#: and one more, batch equal to tokens, widths that fill vectors and that do not.
SHAPES = [
    (1, 1, 1, 1, 1, 1),
    (2, 2, 2, 5, 5, 16),
    (5, 2, 1, 5, 5, 3),
    (1, 4, 2, 16, 17, 8),
    (1, 2, 1, 64, 128, 16),
    (1, 1, 1, 65, 129, 5),
    (1, 2, 2, 3, 260, 33),
    (1, 1, 1, 130, 40, 20),
]


def rules(rng, batch, heads, tokens, keys, dtype):
    """Every option, and some together."""
    shape = (batch, heads, tokens, keys)
    lengths = rng.integers(0, keys + 1, batch)
    return [
        {},
        {"causal": True},
        {"window": 1 + keys // 3},
        {"causal": True, "window": 2},
        {"lengths": lengths},
        {"alibi": rng.uniform(0, 1, heads).astype(dtype)},
        {"mask": rng.random(shape) < 0.6},
        {"mask": rng.random((batch, 1, 1, keys)) < 0.6, "causal": True},
        {"mask": rng.normal(size=(1, heads, tokens, keys)).astype(dtype), "lengths": lengths},
        {"scale": 0.3, "causal": True, "alibi": rng.uniform(0, 1, heads).astype(dtype), "lengths": lengths},
    ]


def problems(rng, dtype):
    """Yield (q, k, v, dy, rule) for all shapes and rules."""
    for batch, heads, kv_heads, tokens, keys, d in SHAPES:
        q, dy = rng.normal(size=(2, batch, heads, tokens, d)).astype(dtype)
        k, v = rng.normal(size=(2, batch, kv_heads, keys, d)).astype(dtype)
        for rule in rules(rng, batch, heads, tokens, keys, dtype):
            yield q, k, v, dy, rule


def arguments(q, rule):
    """A rule as the module takes it."""
    given = {"scale": q.shape[3] ** -0.5, "window": 0, **rule}
    if "alibi" in given:
        given["slopes"] = given.pop("alibi")
    return given


def forward(q, k, v, rule):
    y, lse = np.full(q.shape, 9, q.dtype), np.full(q.shape[:3], 9, q.dtype)
    attention.forward(y, lse, q, k, v, **arguments(q, rule))
    return y, lse


def close(got, want, dtype):
    bound = 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(got, want, rtol=bound, atol=bound * max(1, np.abs(want).max(initial=0)))


def case_forward(rng, dtype):
    for q, k, v, dy, rule in problems(rng, dtype):
        y, lse = forward(q, k, v, rule)
        close(y, attention_and_gradients(q, k, v, dy, **rule)[0], dtype)
        assert (np.isinf(lse) == ~y.any(axis=-1)).all() or q.shape[3] == 1


def case_backward(rng, dtype):
    for q, k, v, dy, rule in problems(rng, dtype):
        y, lse = forward(q, k, v, rule)
        (batch, heads, tokens, d), (_, kv_heads, keys, _) = q.shape, k.shape
        dq, dkv = np.full(q.shape, 9, dtype), np.full((batch, 2 * kv_heads, keys, d), 9, dtype)
        attention.backward(dq, dkv, dy, y, lse, q, k, v, **arguments(q, rule))
        want = attention_and_gradients(q, k, v, dy, **rule)[1:]
        for got, expected in zip((dq, dkv[:, :kv_heads], dkv[:, kv_heads:]), want, strict=True):
            close(got, expected, dtype)
        if tokens == keys:
            joint = np.full((batch, heads + 2 * kv_heads, tokens, d), 9, dtype)
            attention.backward(joint, None, dy, y, lse, q, k, v, **arguments(q, rule))
            np.testing.assert_array_equal(joint, np.concatenate([dq, dkv], axis=1))


#: The module runs its kernels together, so each case runs the pass that its kernel is part of.
CASES = {
    "attention_scores": case_forward,
    "attention_softmax": case_forward,
    "attention_rows": case_forward,
    "attention_delta": case_backward,
    "attention_gradient": case_backward,
}
