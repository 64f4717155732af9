"""Token by token gives what the whole sequence gives, and draws what sampling says."""

from itertools import pairwise

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError, LabelError, ShapeError
from enilnets.generative.decoding import Decoder, generate
from enilnets.layers import Dense, Mode, MultiHeadAttention, Past, Residual

OPTIONS = [
    {},
    {"rotary": True},
    {"alibi": True},
    {"window": 3},
    {"num_kv_heads": 2},
    {"num_kv_heads": 1, "rotary": True, "window": 5},
]


def language_model(dtype="float64", positions=None, **options):
    net = NeuralNet(dtype=dtype, rng=0).add_embedding(11, 16)
    if positions:
        net.add_positional_encoding(16, positions, 40)
    for _ in range(2):
        net.add_transformer_block(16, 4, 20, causal=True, **options)
    return net.add_layernorm(16).add_dense(16, 11, "softmax")


@pytest.mark.parametrize("positions", [None, "sinusoidal", "learned"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_parts_give_what_the_whole_gives(positions, options, rng):
    net = language_model(positions=positions, **options)
    ids = rng.integers(0, 11, (3, 40))
    whole = net.predict(ids)
    decoder = Decoder(net)
    cuts = [0, 1, 2, 3, 9, 17, 18, 19, 36, 40]  # beyond the first sixteen tokens, for which there is room at once
    parts = [decoder(ids[:, first:stop]) for first, stop in pairwise(cuts)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_single_tokens_in_float32(options, rng):
    net = language_model("float32", "learned", **options)
    ids = rng.integers(0, 11, (2, 33))
    decoder = Decoder(net)
    steps = np.concatenate([decoder(ids[:, i : i + 1]) for i in range(33)], axis=1)
    np.testing.assert_allclose(steps, net.predict(ids), atol=1e-6)


def test_two_decoders_do_not_know_of_each_other(rng):
    net = language_model(rotary=True)
    first, second = rng.integers(0, 11, (2, 1, 8))
    a, b = Decoder(net), Decoder(net)
    outputs = [(a(first[:, i : i + 1]), b(second[:, i : i + 1])) for i in range(8)]
    np.testing.assert_allclose(outputs[-1][0][:, 0], net.predict(first)[:, -1])
    np.testing.assert_allclose(outputs[-1][1][:, 0], net.predict(second)[:, -1])


def test_inside_of_other_layers(rng):
    net = NeuralNet(rng=0)
    net.add(Residual(Dense(6, 8, rng=0), MultiHeadAttention(8, 2, causal=True, rng=0), Dense(8, 6, rng=1)))
    x, decoder = rng.normal(size=(2, 5, 6)), Decoder(net)
    parts = [decoder(x[:, i : i + 1]) for i in range(5)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), net.predict(x))


@pytest.mark.parametrize(
    "build, name",
    [
        (lambda net: net.add_transformer_block(4, 2), "TransformerBlock"),
        (lambda net: net.add_multihead_attention(4, 2), "MultiHeadAttention"),
        (lambda net: net.add_flatten(), "Flatten"),
        (lambda net: net.add_batchnorm(4), "BatchNorm"),
        (lambda net: net.add(Residual(MultiHeadAttention(4, 2))), "Residual"),
        (lambda net: net.add_layernorm((3, 4)), "LayerNorm"),
        (lambda net: net, "no layers"),
    ],
)
def test_layers_that_look_ahead_are_refused(build, name):
    with pytest.raises(ConfigError, match=name):
        Decoder(build(NeuralNet()))


def test_bad_parts_are_refused(rng):
    net = language_model(positions="learned")
    decoder = Decoder(net)
    decoder(rng.integers(0, 11, (2, 5)))
    with pytest.raises(ShapeError, match="2 sequences"):
        decoder(rng.integers(0, 11, (3, 1)))
    with pytest.raises(LabelError, match="from 0 to 10"):
        Decoder(net)([[11]])
    with pytest.raises(ShapeError, match="at least one token"):
        Decoder(net)(np.zeros((2, 0), int))
    with pytest.raises(ShapeError, match="at most 40 tokens"):
        Decoder(net)(np.zeros((1, 41), int))
    with pytest.raises(ConfigError, match="a network"):
        Decoder(net.layers[0])


def test_a_refused_part_changes_nothing(rng):
    net, ids = language_model(positions="sinusoidal"), rng.integers(0, 11, (3, 8))
    decoder = Decoder(net)
    parts = [decoder(ids[:, :4])]
    with pytest.raises(ShapeError, match=r"3 sequences, as before.*got 2; make a new Decoder"):
        decoder(ids[:2, 4:])
    np.testing.assert_allclose(np.concatenate([*parts, decoder(ids[:, 4:])], axis=1), net.predict(ids), atol=1e-12)


def test_a_past_of_another_shape_is_refused(rng):
    past = Past()
    layer = MultiHeadAttention(4, 2, causal=True, rng=0)
    layer.forward(rng.normal(size=(2, 3, 4)), Mode(past=past))
    with pytest.raises(ShapeError, match="new Past"):
        layer.forward(rng.normal(size=(1, 3, 4)), Mode(past=past))


def test_generated_tokens_are_those_of_whole_passes(rng):
    net = language_model(rotary=True)
    prompt = rng.integers(0, 11, (3, 4))
    drawn = np.stack(list(generate(net, prompt, 12, top_p=0)), axis=1)
    ids = prompt
    for _ in range(12):
        ids = np.concatenate([ids, net.predict(ids)[:, -1].argmax(-1)[:, None]], axis=1)
    assert np.array_equal(drawn, ids[:, 4:])


def test_what_is_drawn(rng):
    net = language_model()
    again = [[int(t) for t in generate(net, [1, 2], 20, temperature=2.0, top_k=5, top_p=0.95, rng=4)] for _ in "ab"]
    assert again[0] == again[1] and len(set(again[0])) > 1 and len(again[0]) == 20
    cold = [int(t) for t in generate(net, [1, 2], 8, temperature=1e-4, rng=0)]
    assert cold == [int(t) for t in generate(net, [1, 2], 8, top_k=1, rng=1)]
    with pytest.raises(ConfigError, match="temperature"):
        generate(net, [1], 3, temperature=0.0)  # at once, not when the first token is asked for
    with pytest.raises(ConfigError, match="n_tokens"):
        generate(net, [1], -1)
    with pytest.raises(ShapeError, match="prompt"):
        generate(net, [], 3)
    with pytest.raises(LabelError):
        generate(net, [99], 3)
    with pytest.raises(ConfigError, match="embedding"):
        generate(NeuralNet().add_dense(3, 3), [1], 3)


def test_logits_are_taken_as_they_are(rng):
    net = language_model()
    logits = net.copy()
    logits.layers[-1].activation = "linear"
    assert list(generate(net, [5], 15, rng=3)) == list(generate(logits, [5], 15, rng=3))
