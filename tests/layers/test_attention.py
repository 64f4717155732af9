"""Multi-head attention, positions and transformer blocks: what the conformance suite cannot know of them."""

import copy
import json

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import (
    ConfigError,
    DTypeError,
    EnilnetsError,
    LabelError,
    ModelFormatError,
    ShapeError,
    StateError,
)
from enilnets.layers import Mode, MultiHeadAttention, Past, PositionalEncoding, TransformerBlock
from enilnets.ops.attention import attention_weights
from enilnets.ops.threads import num_threads
from tests.gradients import check_direction


def by_hand(layer, x, memory=None, **rule):
    """The layer's formula, head by head."""
    memory = x if memory is None else memory
    d, shared, group = layer.width, layer.num_kv_heads * layer.width, layer.num_heads // layer.num_kv_heads
    w, b = layer["weights"], layer["bias"]
    q = x @ w[: layer.d_model].T + b[: layer.d_model]
    k = memory @ w[layer.d_model : -shared].T + b[layer.d_model : -shared]
    v = memory @ w[-shared:].T + b[-shared:]
    heads = []
    for h in range(layer.num_heads):
        mine, theirs = slice(h * d, (h + 1) * d), slice(h // group * d, (h // group + 1) * d)
        weights = attention_weights(q[:, None, :, mine], k[:, None, :, theirs], **rule)[:, 0]
        heads.append(weights @ v[..., theirs])
    return np.concatenate(heads, axis=-1) @ layer["out_weights"].T + layer["out_bias"]


def random_biases(layer, rng):
    for name in ("bias", "out_bias"):
        layer[name] = rng.normal(size=layer[name].shape)
    return layer


@pytest.mark.parametrize("num_kv_heads", [4, 2, 1])
def test_formula(num_kv_heads, rng):
    layer = random_biases(MultiHeadAttention(12, 4, num_kv_heads, rng=0), rng)
    x, memory = rng.normal(size=(3, 5, 12)), rng.normal(size=(3, 7, 12))
    np.testing.assert_allclose(layer.forward(x)[0], by_hand(layer, x))
    np.testing.assert_allclose(layer.forward(x, memory=memory)[0], by_hand(layer, x, memory))
    mask = rng.random((5, 7)) < 0.6
    y = layer.forward(x, memory=memory, mask=mask, memory_lengths=[7, 2, 5])[0]
    np.testing.assert_allclose(y, by_hand(layer, x, memory, mask=mask, lengths=[7, 2, 5]))


def test_gradients_through_a_memory(rng):
    layer = random_biases(MultiHeadAttention(8, 4, 2, rng=0), rng)
    x, memory = rng.normal(size=(3, 5, 8)), rng.normal(size=(3, 4, 8))
    lengths = np.array([4, 1, 3])
    y, saved = layer.forward(x, memory=memory, memory_lengths=lengths)
    dy = rng.normal(size=y.shape)
    dx, dm = layer.backward(dy, saved)
    assert not dm[1, 1:].any() and not dm[2, 3].any()
    total = lambda layer, x, m: float(np.sum(layer.forward(x, memory=m, memory_lengths=lengths)[0] * dy))  # noqa: E731
    check_direction(lambda x: total(layer, x, memory), x, dx, rng)
    check_direction(lambda m: total(layer, x, m), memory, dm, rng)
    for name, parameter in layer.parameters.items():

        def of_parameter(value, name=name):
            twin = copy.deepcopy(layer)
            twin[name] = value
            return total(twin, x, memory)

        check_direction(of_parameter, parameter.value.copy(), parameter.grad, rng)
    assert layer.backward(dy, saved, inputs=False) is None


@pytest.mark.parametrize("options", [{}, {"causal": True, "rotary": True}, {"alibi": True}], ids=str)
def test_padding_does_not_reach_what_is_before_it(options, rng):
    """Sequences in a padded batch give what each gives alone, forward and backward."""
    lengths = np.array([6, 1, 4])
    block = TransformerBlock(8, 2, rng=0, **options)
    x = rng.normal(size=(3, 6, 8))
    y, saved = block.forward(x, Mode(lengths=lengths))
    dy = rng.normal(size=y.shape) * (np.arange(6) < lengths[:, None])[..., None]
    dx = block.backward(dy, saved)
    assert np.isfinite(y).all()
    for i, n in enumerate(lengths):
        alone, saved = block.forward(x[i : i + 1, :n])
        np.testing.assert_allclose(y[i, :n], alone[0])
        np.testing.assert_allclose(dx[i, :n], block.backward(dy[i : i + 1, :n], saved)[0])
        assert not dx[i, n:].any()


def test_a_block_is_its_formula(rng):
    block = TransformerBlock(8, 2, 12, rng=0)
    x = rng.normal(size=(2, 5, 8))
    h = x + block["attention"].forward(block["norm1"].forward(x)[0])[0]
    up, _, down, _ = block["mlp"].layers
    want = h + down.forward(up.forward(block["norm2"].forward(h)[0])[0])[0]
    np.testing.assert_allclose(block.forward(x)[0], want)
    causal = TransformerBlock(8, 2, causal=True, rng=0)
    seen = np.tril(np.ones((5, 5), bool))
    open_block = TransformerBlock(8, 2, rng=0)
    np.testing.assert_array_equal(causal.forward(x)[0], open_block.forward(x, mask=seen)[0])


def test_dropout_in_training_alone(rng):
    block = TransformerBlock(8, 2, dropout=0.5, rng=0)
    x = rng.normal(size=(2, 5, 8))
    plain = block.forward(x)[0]
    first = block.forward(x, Mode(True, np.random.default_rng(1)))[0]
    assert np.array_equal(first, block.forward(x, Mode(True, np.random.default_rng(1)))[0])
    assert not np.array_equal(first, plain)
    assert np.array_equal(plain, TransformerBlock(8, 2, rng=0).forward(x)[0])
    attention = MultiHeadAttention(8, 2, dropout=0.5, rng=0)
    with pytest.raises(StateError, match="generator"):
        attention.forward(x, Mode(True))
    attention["dropout"] = 0.0
    assert attention.forward(x, Mode(True))[0].shape == x.shape


def test_parts_of_a_block_freeze_alone_and_stay_so_in_files(rng, tmp_path):
    net = NeuralNet(rng=0).add_transformer_block(8, 2, 12, causal=True, input_shape=(5, 8))
    net.layers[0]["attention"].frozen = True
    net.Save(tmp_path / "block.safetensors")
    twin = NeuralNet().Load(tmp_path / "block.safetensors")
    assert twin.layers[0]["attention"].frozen and not twin.layers[0].frozen
    x, before = rng.normal(size=(3, 5, 8)), twin.layers[0]["attention.weights"].copy()
    twin.TrainBatch(x, x)
    assert np.array_equal(twin.layers[0]["attention.weights"], before)
    assert not np.array_equal(twin.layers[0]["mlp.0.weights"], net.layers[0]["mlp.0.weights"])


@pytest.mark.parametrize(
    "edit, words",
    [
        (lambda block: block["attention"]["settings"].update(num_heads=0), "num_heads"),
        (lambda block: block.update(attention=block["dropout"]), r"attention\): expected a MultiHeadAttention"),
        (lambda block: block.update(norm2=block["dropout"]), r"norm2\): expected a LayerNorm"),
    ],
)
def test_edited_files_of_a_block_are_refused(edit, words, tmp_path):
    net = NeuralNet(rng=0).add_transformer_block(8, 2, 12)
    file = tmp_path / "block.json"
    net.Save(file)
    document = json.loads(file.read_text())
    edit(document["layers"][0])
    file.write_text(json.dumps(document))
    with pytest.raises(ModelFormatError, match=words):
        NeuralNet().Load(file)


def test_training_is_the_same_for_any_number_of_threads(rng):
    x, y = rng.normal(size=(8, 40, 16)), rng.normal(size=(8, 40, 16))
    results = []
    for n in (1, 2, 5):
        with num_threads(n):
            net = NeuralNet(dtype="float32", rng=0).add_transformer_block(16, 4, dropout=0.1, input_shape=(40, 16))
            results.append([net.TrainBatch(x, y)[0] for _ in range(3)])
    assert results[0] == results[1] == results[2]


def test_a_block_learns_to_look_back(rng):
    """The target is the token before: no network per token could learn it."""
    net = NeuralNet(0.01, l2_lambda=0.0, rng=0).add_embedding(6, 16, input_shape=(10,)).add_positional_encoding()
    net.add_transformer_block(num_heads=2, causal=True).add_dense(n_out=6, activation="softmax")
    for _ in range(150):
        ids = rng.integers(0, 6, (16, 10))
        net.TrainBatch(ids, np.eye(6)[np.roll(ids, 1, axis=1)] * (np.arange(10) > 0)[:, None])
    ids = rng.integers(0, 6, (20, 10))
    assert (net.predict(ids)[:, 1:].argmax(-1) == ids[:, :-1]).mean() > 0.95


def test_learned_positions_beyond_the_table():
    layer = PositionalEncoding(4, "learned", 3, rng=0)
    assert layer.forward(np.zeros((2, 2, 4)))[0][0].tolist() == layer["weights"][:2].tolist()
    for call in (lambda: layer.forward(np.zeros((1, 4, 4))), lambda: layer.output_shape((4, 4))):
        with pytest.raises(ShapeError, match="at most 3 tokens"):
            call()


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: MultiHeadAttention(10, 3), "num_heads.*divisor of d_model"),
        (lambda: MultiHeadAttention(12, 4, 3), "num_kv_heads.*divisor of num_heads"),
        (lambda: MultiHeadAttention(6, 2, rotary=True), "rotary.*even width"),
        (lambda: MultiHeadAttention(6, 0), "num_heads"),
        (lambda: MultiHeadAttention(6, 2, causal=1), "causal"),
        (lambda: MultiHeadAttention(6, 2, window=0), "window"),
        (lambda: MultiHeadAttention(6, 2, dropout=1.0), "dropout"),
        (lambda: MultiHeadAttention(6, 2, init_method="best"), "init_method.*xavier_uniform"),
        (lambda: TransformerBlock(6, 4), "num_heads"),
        (lambda: TransformerBlock(6, 2, d_ff=0), "d_ff"),
        (lambda: TransformerBlock(6, 2, activation="soft"), "activation.*gelu"),
        (lambda: PositionalEncoding(6, "learnt"), "kind.*sinusoidal"),
        (lambda: PositionalEncoding(6, "learned"), "max_tokens"),
        (lambda: NeuralNet().add_multihead_attention(6), "num_heads"),
        (lambda: NeuralNet().add_transformer_block(num_heads=2), "d_model"),
    ],
)
def test_bad_settings_are_named(make, name):
    with pytest.raises(ConfigError, match=name):
        make()


@pytest.mark.parametrize(
    "error, name, options, call",
    [
        (ShapeError, "tokens >= 1", {}, {"x": np.zeros((2, 0, 8))}),
        (ShapeError, "tokens >= 1", {}, {"x": np.zeros((2, 3, 7))}),
        (ShapeError, "mask", {}, {"mask": np.ones((4, 3), bool)}),
        (DTypeError, "mask", {}, {"mask": np.ones((3, 3), int)}),
        (LabelError, "0 to 3", {}, {"mode": Mode(lengths=np.array([3, 4]))}),
        (ShapeError, "memory", {}, {"memory": np.zeros((3, 4, 8))}),
        (ShapeError, "memory", {}, {"memory": np.zeros((2, 4, 7))}),
        (DTypeError, "memory.*list", {}, {"memory": [[1.0]]}),
        (StateError, "memory_lengths.*none", {}, {"memory_lengths": [3, 3]}),
        (ShapeError, "memory", {}, {"memory": np.zeros((2, 0, 8))}),
        (LabelError, "0 to 4", {}, {"memory": np.zeros((2, 4, 8)), "memory_lengths": [4, 5]}),
        (ConfigError, "compares no places", {"causal": True}, {"memory": np.zeros((2, 4, 8))}),
        (ConfigError, "causal", {}, {"mode": Mode(past=Past())}),
        (StateError, "lengths", {"causal": True}, {"mode": Mode(past=Past(), lengths=np.array([3, 3]))}),
        (StateError, "past", {}, {"mode": Mode(past=Past()), "memory": np.zeros((2, 4, 8))}),
    ],
)
def test_bad_calls_are_named(error, name, options, call):
    layer = MultiHeadAttention(8, 2, rng=0, **options)
    with pytest.raises(error, match=name):
        layer.forward(**{"x": np.zeros((2, 3, 8)), **call})


def test_no_way_back_through_parts():
    layer = MultiHeadAttention(4, 2, causal=True, rng=0)
    y, saved = layer.forward(np.ones((1, 2, 4)), Mode(past=Past()))
    with pytest.raises(StateError, match="past"):
        layer.backward(y, saved)


def test_layers_that_do_not_fit_are_refused_while_building():
    net = NeuralNet(rng=0).add_embedding(9, 8, input_shape=(5,))
    before = net.rng.bit_generator.state
    with pytest.raises(EnilnetsError, match="num_heads"):
        net.add_transformer_block(num_heads=3)
    assert net.rng.bit_generator.state == before and len(net.layers) == 1
    with pytest.raises(ShapeError, match="TransformerBlock"):
        NeuralNet().add_dense(4, 8, input_shape=(4,)).add_transformer_block(num_heads=2)
    assert net.add_positional_encoding(kind="learned").layers[1].max_tokens == 5


def test_weights_of_each_projection_are_drawn_by_themselves():
    layer = MultiHeadAttention(16, 4, 1, init_method="orthogonal", rng=0)
    for part in (layer["weights"][:16], layer["weights"][16:20], layer["weights"][20:], layer["out_weights"]):
        np.testing.assert_allclose(part @ part.T, np.eye(len(part)), atol=1e-12)
    assert layer["weights"].shape == (24, 16)
    assert "bias" not in MultiHeadAttention(4, 2, use_bias=False)
