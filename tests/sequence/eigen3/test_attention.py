"""The attention modules: B1.7 to B1.10, defect 7 of B3, B-3."""

import numpy as np
import pytest

from benchmarks.learning.eigen3 import find_needle
from enilnets.autodiff import Tensor, grad
from enilnets.errors import ConfigError, DataError, ShapeError
from enilnets.sequence import AttentionModule, CrossAttentionModule, SelfAttentionModule
from enilnets.sequence.eigen3.attending import attend, random_mask
from tests.gradients import check_direction

KINDS = [CrossAttentionModule, SelfAttentionModule]


def small(kind=CrossAttentionModule, rate=0.0, attention_dropout=0.0, **settings):
    return kind(8, 2, rate, attention_dropout, **{"dtype": "float64", "rng": 0, **settings})


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def by_hand(module, x):
    """Output and weights (batch, heads, queries, columns) in plain NumPy."""
    tokens = np.broadcast_to(module.token.value, (len(x), 1, 8)) if module.use_cross_attention else x

    def split(layer, x):
        return (x @ layer["weights"].T + layer["bias"]).reshape(*x.shape[:2], 2, 4).swapaxes(1, 2)

    q, k, v = split(module.query, tokens), split(module.key, x), split(module.value, x)
    weights = softmax(q @ k.swapaxes(-1, -2) / 2)
    heads = (weights @ v).swapaxes(1, 2).reshape(len(x), -1, 8)
    out = heads @ module.output["weights"].T + module.output["bias"]
    out = out if module.use_cross_attention else x + out
    centred = out - out.mean(-1, keepdims=True)
    normal = centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-6)
    return normal * module.norm["gamma"] + module.norm["beta"], weights


def test_documented_defaults():
    """B1.7, B1.8, B2: parameters 263,936 with a learned query, 263,680 without."""
    module = AttentionModule(rng=0)
    assert (module.embed_dim, module.num_heads, module.use_cross_attention) == (256, 8, False)
    assert (module.dropout.rate, module.attention_dropout, module.dtype) == (0.1, 0.1, np.float32)
    counts = [sum(p.size for _, p in kind(rng=0).named_parameters()) for kind in KINDS]
    assert counts == [263_936, 263_680]
    cross = CrossAttentionModule(rng=0)
    assert cross.use_cross_attention and not SelfAttentionModule(rng=0).use_cross_attention
    assert cross.token.value.shape == (1, 1, 256) and cross.token.value.std() == pytest.approx(0.02, rel=0.15)
    assert cross.norm.epsilon == 1e-6 and cross.query["weights"].std() == pytest.approx(1 / 16, rel=0.02)
    positional = AttentionModule(8, 2, True, 0.3, 0.4, rng=0)
    assert (positional.dropout.rate, positional.attention_dropout) == (0.3, 0.4)


@pytest.mark.parametrize("kind", KINDS)
def test_by_hand(rng, kind):
    """B1.8, B3.7, B-3: the output, and that the weights are the softmax of the projected queries and keys."""
    module, x = small(kind), rng.normal(size=(3, 5, 8))
    for _, parameter in module.named_parameters():
        parameter.value[...] += 0.3 * rng.normal(size=parameter.value.shape)
    out, weights = module(x, train=False, return_attention_weights=True)
    expected, every = by_hand(module, x)
    np.testing.assert_allclose(out.data, expected, rtol=0, atol=1e-12)
    mean = every.mean(axis=1) if module.use_cross_attention else every.mean(axis=(1, 2))
    assert weights.shape == ((3, 1, 5) if module.use_cross_attention else (3, 5))
    np.testing.assert_allclose(weights, mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-12)
    assert module(x)[1] is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients(rng, kind, dropout):
    """Input and every parameter, under a fixed mask; that of the keys' bias is zero."""
    module, x = small(kind, dropout, dropout), rng.normal(size=(2, 4, 8))
    dy = rng.normal(size=(2, 1 if kind is CrossAttentionModule else 4, 8))

    def forward(x):
        module.rng = 7
        return module.forward(x, train=True)

    _, ctx = forward(x)
    dx = module.backward(ctx, dy, inputs=True)
    check_direction(lambda x: float((forward(x)[0] * dy).sum()), x, dx, rng)
    for name, parameter in module.named_parameters():
        if name == "key.bias":
            np.testing.assert_allclose(parameter.grad, 0, atol=1e-12)
            continue

        def at(value, parameter=parameter):
            before = parameter.value.copy()
            parameter.value[...] = value
            result = float((forward(x)[0] * dy).sum())
            parameter.value[...] = before
            return result

        check_direction(at, parameter.value.copy(), parameter.grad.copy(), rng)


def test_dropout_renormalises(rng):
    """B1.10: of a constant value, whatever is dropped leaves the same mean; weights that were dropped are zero."""
    module, x = small(attention_dropout=0.6), rng.normal(size=(40, 6, 8))
    _, weights = module(x, train=True, return_attention_weights=True)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-12)
    assert (weights == 0).any() and np.abs(weights - module(x, return_attention_weights=True)[1]).max() > 0.05
    q, k, v = (
        Tensor(rng.normal(size=(4, 2, 3, 4))),
        Tensor(rng.normal(size=(4, 2, 6, 4))),
        Tensor(np.ones((4, 2, 6, 4))),
    )
    for _ in range(20):
        np.testing.assert_allclose(attend(q, k, v, random_mask((4, 2, 3, 6), 0.6, rng)).data, 1, rtol=1e-12)


def test_dropout_is_bernoulli_then_renormalised(rng):
    """B1.10: the weights used are softmax times mask, divided by their sum; all of them where nothing is left."""
    mask = random_mask((200, 1, 1, 6), 0.7, rng)
    assert mask.any(axis=-1).all() and mask.all(axis=-1).any()
    assert mask.mean() == pytest.approx(0.3 + 0.7**6, abs=0.06)
    q, k = rng.normal(size=(200, 1, 1, 4)), rng.normal(size=(200, 1, 6, 4))
    weights = softmax(q @ k.swapaxes(-1, -2) / 2) * mask
    weights /= weights.sum(-1, keepdims=True)
    v = rng.normal(size=(200, 1, 6, 4))
    np.testing.assert_allclose(attend(Tensor(q), Tensor(k), Tensor(v), mask).data, weights @ v, rtol=0, atol=1e-12)


def test_dropout_in_training_only(rng):
    module, x = small(rate=0.5, attention_dropout=0.5), rng.normal(size=(3, 6, 8))
    np.testing.assert_array_equal(module(x, train=False)[0].data, module(x)[0].data)
    assert np.abs(module(x, train=True)[0].data - module(x, train=True)[0].data).max() > 0.01


def test_a_single_column_is_never_dropped(rng):
    module, x = small(attention_dropout=0.9), rng.normal(size=(50, 1, 8))
    _, weights = module(x, train=True, return_attention_weights=True)
    np.testing.assert_array_equal(weights, 1)


def test_second_order(rng):
    """A recorded way back goes through the softmax: the gradient of a gradient, beside differences."""
    q, v = rng.normal(size=(1, 1, 2, 3)), rng.normal(size=(1, 1, 4, 3))
    mask = np.array([True, True, True, False])

    def slope(k):
        k = Tensor(k, requires_grad=True)
        (dk,) = grad((attend(Tensor(q), k, Tensor(v), mask) ** 2).sum(), [k], create_graph=True)
        return k, (dk**2).sum()

    at = rng.normal(size=(1, 1, 4, 3))
    k, total = slope(at)
    (found,) = grad(total, [k])
    check_direction(lambda k: float(slope(k)[1]), at, np.asarray(found), rng)


def test_finds_a_needle():
    """B-3, small: after training the learned query looks at the column that matters."""
    mass, error, total = find_needle(0, steps=250)
    assert mass >= 0.8 and error < 1e-6 and total < 1e-5


def test_bad_arguments():
    with pytest.raises(ConfigError, match=r"num_heads\): expected a divisor of embed_dim 8, got 3"):
        AttentionModule(8, 3)
    with pytest.raises(ConfigError, match="attention_dropout"):
        AttentionModule(8, 2, attention_dropout=1.0)
    for shape in [(2, 8), (2, 5, 7), (2, 0, 8)]:
        with pytest.raises(
            ShapeError, match=r"CrossAttentionModule\(x\): expected features of shape \(batch, columns, 8"
        ):
            small()(np.zeros(shape))
    with pytest.raises(DataError, match=r"CrossAttentionModule\(x\): expected finite numbers"):
        small()(np.full((2, 5, 8), np.nan))
