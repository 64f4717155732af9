"""Attention, positions and transformer blocks beside PyTorch's, with copied weights: outputs and all gradients."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from enilnets.layers import Mode, MultiHeadAttention, PositionalEncoding, TransformerBlock
from enilnets.ops.attention import attention, attention_backward
from tests.parity.counterparts import assert_close, tensor

#: 80 roundings of float32 are 1e-5 of the largest number.
ULPS = 80


def compare(ours, theirs, inputs, rng, ulps=ULPS):
    """``ours(*arrays) -> (y, backward)`` beside ``theirs(*tensors)``: output and gradients of all inputs."""
    tensors = [tensor(x) for x in inputs]
    y, backward = ours(*inputs)
    theirs_y = theirs(*tensors)
    assert_close(y, theirs_y, ulps, "output")
    dy = rng.normal(size=y.shape).astype(y.dtype)
    theirs_y.backward(tensor(dy, learn=False))
    for gradient, there in zip(backward(dy), tensors, strict=True):
        assert_close(gradient, there.grad, ulps, "gradient")


def ours(**rule):
    def run(q, k, v):
        y, saved = attention(q, k, v, **rule)
        return y, lambda dy: attention_backward(dy, saved)

    return run


#: batch, heads, heads of the keys, tokens, keys, width
SHAPES = [(2, 3, 3, 5, 5, 8), (1, 4, 2, 70, 70, 16), (3, 6, 1, 9, 140, 5), (2, 2, 2, 130, 64, 33)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rule", ["none", "causal", "boolean", "additive", "scale", "lengths"])
def test_scaled_dot_product_attention(shape, rule, dtype, isa, rng):
    batch, heads, kv_heads, tokens, keys, d = shape
    q = rng.normal(size=(batch, heads, tokens, d)).astype(dtype)
    k, v = rng.normal(size=(2, batch, kv_heads, keys, d)).astype(dtype)
    boolean = rng.random((batch, 1, tokens, keys)) < 0.7
    boolean[..., 0] = True  # PyTorch gives NaN where nothing is seen
    additive, lengths = rng.normal(size=(heads, tokens, keys)).astype(dtype), rng.integers(1, keys + 1, batch)
    padding = (np.arange(keys) < lengths[:, None])[:, None, None]
    if rule == "causal" and tokens != keys:  # theirs aligns the first query with the first key, ours the last ones
        corner = np.tril(np.ones((tokens, keys), bool), keys - tokens)
        if not corner.any(axis=1).all():
            pytest.skip("PyTorch gives NaN where nothing is seen")
        mine, theirs = {"causal": True}, {"attn_mask": torch.tensor(corner)}
    else:
        mine, theirs = {
            "none": ({}, {}),
            "causal": ({"causal": True}, {"is_causal": True}),
            "boolean": ({"mask": boolean}, {"attn_mask": torch.tensor(boolean)}),
            "additive": ({"mask": additive}, {"attn_mask": torch.tensor(additive)[None]}),
            "scale": ({"scale": 0.3}, {"scale": 0.3}),
            "lengths": ({"lengths": lengths}, {"attn_mask": torch.tensor(padding)}),
        }[rule]
    function = partial(F.scaled_dot_product_attention, enable_gqa=True, **theirs)
    compare(ours(**mine), function, (q, k, v), rng)


def projections(layer, module):
    """Copy the layer's weights into an nn.MultiheadAttention."""
    module.load_state_dict(
        {
            "in_proj_weight": torch.tensor(layer["weights"]),
            "in_proj_bias": torch.tensor(layer["bias"]),
            "out_proj.weight": torch.tensor(layer["out_weights"]),
            "out_proj.bias": torch.tensor(layer["out_bias"]),
        }
    )
    return module


def randomised(layer, rng):
    for parameter in layer.parameters.values():
        parameter.value[...] += 0.2 * rng.normal(size=parameter.value.shape)
    return layer


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_multihead_attention(memory, masked, dtype, isa, rng):
    layer = randomised(MultiHeadAttention(12, 3, dtype=dtype, rng=rng), rng)
    module = projections(layer, nn.MultiheadAttention(12, 3, batch_first=True, dtype=getattr(torch, str(dtype))))
    inputs = [rng.normal(size=(4, tokens, 12)).astype(dtype) for tokens in ((5, 7) if memory else (5,))]
    lengths = np.array([inputs[-1].shape[1], 2, 4, 1]) if masked else None
    padding = None
    if masked:
        padding = torch.tensor(np.arange(inputs[-1].shape[1]) >= lengths[:, None])

    def mine(x, m=None):
        if m is None:
            y, saved = layer.forward(x, Mode(training=True, lengths=lengths))
            return y, lambda dy: [layer.backward(dy, saved)]
        y, saved = layer.forward(x, Mode(training=True), memory=m, memory_lengths=lengths)
        return y, lambda dy: layer.backward(dy, saved)

    def theirs(x, m=None):
        m = x if m is None else m
        return module(x, m, m, key_padding_mask=padding, need_weights=False)[0]

    compare(mine, theirs, inputs, rng)
    for name, there in (
        ("weights", module.in_proj_weight),
        ("bias", module.in_proj_bias),
        ("out_weights", module.out_proj.weight),
        ("out_bias", module.out_proj.bias),
    ):
        assert_close(layer["d_" + name], there.grad, ULPS, name)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("causal", [False, True])
def test_transformer_block(activation, causal, dtype, isa, rng):
    """nn.TransformerEncoderLayer with norm_first; its GELU is the exact one unless told, ours the tanh form."""
    block = randomised(TransformerBlock(16, 4, 24, activation, causal=causal, dtype=dtype, rng=rng), rng)
    function = partial(F.gelu, approximate="tanh") if activation == "gelu" else F.relu
    module = nn.TransformerEncoderLayer(
        *(16, 4, 24, 0.0, function), batch_first=True, norm_first=True, dtype=getattr(torch, str(dtype))
    )
    projections(block["attention"], module.self_attn)
    pairs = [
        *(("norm1.gamma", module.norm1.weight), ("norm1.beta", module.norm1.bias)),
        *(("norm2.gamma", module.norm2.weight), ("norm2.beta", module.norm2.bias)),
        *(("mlp.0.weights", module.linear1.weight), ("mlp.0.bias", module.linear1.bias)),
        *(("mlp.2.weights", module.linear2.weight), ("mlp.2.bias", module.linear2.bias)),
    ]
    with torch.no_grad():
        for name, there in pairs:
            there.copy_(torch.tensor(block[name]))
    mask = torch.triu(torch.ones(9, 9, dtype=torch.bool), 1) if causal else None

    def mine(x):
        y, saved = block.forward(x, Mode(training=True))
        return y, lambda dy: [block.backward(dy, saved)]

    compare(mine, lambda x: module(x, mask), [rng.normal(size=(3, 9, 16)).astype(dtype)], rng)
    pairs.append(("attention.weights", module.self_attn.in_proj_weight))
    pairs.append(("attention.out_bias", module.self_attn.out_proj.bias))
    for name, there in pairs:
        layer, _, key = name.rpartition(".")
        part = block
        for step in layer.split("."):
            part = part.children[step]
        assert_close(part["d_" + key], there.grad, ULPS, name)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_positional_encoding(kind, dtype, rng):
    layer = PositionalEncoding(6, kind, 9, dtype=dtype, rng=rng)
    x = rng.normal(size=(2, 5, 6)).astype(dtype)
    places, pairs = torch.arange(5, dtype=torch.float64)[:, None], torch.arange(0, 6, 2, dtype=torch.float64)
    angles = places / 10000 ** (pairs / 6)
    table = torch.stack([angles.sin(), angles.cos()], -1).reshape(5, 6).to(getattr(torch, str(dtype)))
    learned = tensor(layer["weights"]) if kind == "learned" else None

    def mine(x):
        y, saved = layer.forward(x)
        return y, lambda dy: [layer.backward(dy, saved)]

    compare(mine, lambda x: x + (table if learned is None else F.embedding(torch.arange(5), learned)), [x], rng)
    if learned is not None:
        assert_close(layer["d_weights"], learned.grad, ULPS)
