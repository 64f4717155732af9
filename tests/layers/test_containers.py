"""Layers made of layers: gradients through stacks of them, and what a network does with what is inside."""

import copy
import pickle

import numpy as np
import pytest

import enilnets
from enilnets import NeuralNet
from enilnets.errors import ConfigError, DTypeError, ShapeError, StateError
from enilnets.layers import (
    Activation,
    BatchNorm,
    Concat,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Mode,
    Residual,
    Sequential,
    Sparse,
)
from tests.gradients import check_direction
from tests.layers_alone import layers_alone


def dense(n_in, n_out, activation="tanh", seed=0, dtype="float64"):
    return Dense(n_in, n_out, activation, dtype=dtype, rng=seed)


def block(seed, dtype="float64"):
    return Residual(dense(4, 6, seed=seed, dtype=dtype), dense(6, 4, "linear", seed + 1, dtype))


def image_block(seed):
    conv = Conv2D(3, 3, 3, "linear", padding="same", rng=seed)
    return Residual(conv, BatchNorm(3), Activation("tanh"), Conv2D(3, 3, 3, "linear", padding="same", rng=seed + 1))


STACKS = {
    "two blocks back to back": lambda: [dense(4, 4), block(1), block(3), dense(4, 3, "linear", 9)],
    "three blocks": lambda: [block(1), block(3), block(5)],
    "nested": lambda: [dense(4, 4), Residual(block(1), block(3)), Residual(Residual(block(5)), dense(4, 4, seed=7))],
    "branches": lambda: [Concat(block(1), None, [dense(4, 2), dense(2, 3)]), dense(11, 4), block(3), block(5)],
    "chains in chains": lambda: [Sequential([dense(4, 5), Sequential([dense(5, 4), block(1)])]), block(3)],
    "shortcut": lambda: [Residual(dense(4, 6), shortcut=dense(4, 6, "linear", 1)), dense(6, 3, "softmax", 2)],
}


def stacked(name, **settings):
    net = NeuralNet(**{"l2_lambda": 0.0, "rng": 0, **settings})
    for layer in STACKS[name]():
        net.add(layer)
    return net


@pytest.mark.parametrize("name", STACKS)
def test_gradients_through_stacks(name, rng):
    net, x = stacked(name), rng.normal(size=(6, 4))
    y, passed = net.forward(x, train=True)
    dy = rng.normal(size=y.shape)
    dx = net.backward(passed, dy, inputs=True)

    def loss(values, x=x):
        twin = net.copy()
        twin.arena.values[...] = values
        return float(np.sum(twin.forward(x, train=True)[0] * dy))

    check_direction(loss, net.arena.values.copy(), net.arena.gradients.copy(), rng, rtol=1e-5)
    check_direction(lambda x: loss(net.arena.values, x), x, dx, rng, rtol=1e-5)
    assert all(parameter.grad.any() for parameter in net.arena.parameters)


def test_two_residual_blocks_of_images_back_to_back(rng):
    net = NeuralNet(l2_lambda=0.0, rng=0).add_conv2d(2, 3, 3, activation="tanh")
    net.add(image_block(1)).add(image_block(3)).add_flatten().add_dense(48, 2, activation="softmax")
    x, y = rng.normal(size=(5, 2, 6, 6)), rng.integers(0, 2, 5)
    net.Forward(x, training=True)
    net.Backward(y, loss_function="cross_entropy")

    def loss(values):
        twin = net.copy()
        twin.arena.values[...] = values
        return twin.ComputeLoss(twin.Forward(x, training=True), np.eye(2)[y], "cross_entropy")

    check_direction(loss, net.arena.values.copy(), net.arena.gradients.copy(), rng, rtol=1e-5)


def test_a_residual_block_by_hand():
    # y = 2 x + 1 + x, so dy/dx = 3, dw = sum x = 4, db = 2
    layer = Residual(Dense(1, 1, "linear"))
    layer["0.weights"], layer["0.bias"] = [[2.0]], [1.0]
    y, saved = layer.forward(np.array([[1.0], [3.0]]))
    assert y.tolist() == [[4.0], [10.0]]
    assert layer.backward(np.ones((2, 1)), saved).tolist() == [[3.0], [3.0]]
    assert layer["d_0.weights"].tolist() == [[4.0]] and layer["d_0.bias"].tolist() == [2.0]


def test_branches_by_hand():
    layer = Concat(Dense(1, 1, "linear"), None)
    layer["0.weights"] = [[2.0]]
    y, saved = layer.forward(np.array([[1.0], [3.0]]))
    assert y.tolist() == [[2.0, 1.0], [6.0, 3.0]]
    assert layer.backward(np.array([[1.0, 10.0], [1.0, 20.0]]), saved).tolist() == [[12.0], [22.0]]
    assert layer["d_0.weights"].tolist() == [[4.0]]


@pytest.mark.parametrize("name", STACKS)
def test_a_network_knows_what_is_inside(name, rng, capsys):
    net = stacked(name)
    x = rng.normal(size=(6, 4))
    assert sum(p.size for p in net.arena.parameters) == sum(layer.n_parameters for layer in net.layers)
    assert all(np.shares_memory(p.value, net.arena.values) for p in net.arena.parameters)
    before = net.arena.values.copy()
    out = net.Forward(x, training=True)
    net.Backward(output_gradient=np.ones_like(out))
    net.update()
    assert (net.arena.values != before).any()
    assert len(net.outputs) == len(net.pre_activations) == len(net.layers) + 1
    assert len(net.deltas) == len(net.opt_state) == len(net.get_weights()) == len(net.layers)
    assert all(output.shape[1:] == shape for output, shape in zip(net.outputs[1:], shapes_of(net, (4,)), strict=True))
    for layer, delta, weights, state in zip(net.layers, net.deltas, net.get_weights(), net.opt_state, strict=True):
        assert delta.shape[1:] and set(weights) == set(layer.arrays())
        assert set(state) == {f"{slot}_{key}" for slot in "mv" for key in layer.parameters}
    assert net.check_nan_inf() == [] and net.summary() is None
    for i, line in enumerate(capsys.readouterr().out.splitlines()[4:-2]):
        assert line.startswith(f"Layer {i}: {net.layers[i].type.upper():12s} ") and "Params:" in line


def shapes_of(net, shape):
    for layer in net.layers:
        shape = layer.output_shape(shape)
        yield shape


def test_names_of_what_is_inside(capsys):
    net = NeuralNet(rng=0).add(Residual(dense(4, 4), Dropout(0.5), shortcut=Sequential([dense(4, 4)])))
    assert list(net.get_weights()[0]) == ["0.weights", "0.bias", "shortcut.0.weights", "shortcut.0.bias"]
    net.layers[0]["shortcut.0.weights"][0, 0] = np.nan
    assert net.check_nan_inf() == ["Layer 0 shortcut.0.weights has NaN/Inf"]
    net.Forward(np.ones((2, 4)) * 0, training=True)
    assert net.layers[0]["1.mask"].shape == (2, 4)
    net.summary()
    expected = "Layer 0: RESIDUAL     Dense(4 -> 4), Dropout, Sequential(1 layers) Params: 40"
    assert expected in capsys.readouterr().out.splitlines()
    with pytest.raises(ShapeError, match="weights"):
        net.set_weights([{"0.weights": np.zeros((7, 7))}])


def test_a_chain_in_a_chain_is_the_flat_chain(dtype, rng):
    """Outputs, deltas, pre-activations, gradients and the head: the same bits."""
    layers = lambda: [dense(4, 6, "tanh", 1, dtype), dense(6, 5, "gelu", 2, dtype), dense(5, 3, "softmax", 3, dtype)]  # noqa: E731
    flat, nested = NeuralNet(dtype=dtype, rng=0), NeuralNet(dtype=dtype, rng=0)
    for layer in layers():
        flat.add(layer)
    nested.add(Sequential(layers()))
    x, y = rng.normal(size=(7, 4)).astype(dtype), rng.integers(0, 3, 7)
    assert nested.head == flat.head == "softmax"
    for net in (flat, nested):
        net.Forward(x, training=True)
        net.Backward(y)
    for a, b in (
        (flat.outputs[-1], nested.outputs[-1]),
        (flat.deltas[-1], nested.deltas[-1]),
        (flat.pre_activations[-1], nested.pre_activations[-1]),
        (flat.arena.gradients, nested.arena.gradients),
    ):
        np.testing.assert_array_equal(a, b)
    for _ in range(3):
        assert flat.TrainBatch(x, y)[0] == nested.TrainBatch(x, y)[0]
    np.testing.assert_array_equal(flat.predict(x), nested.predict(x))
    np.testing.assert_array_equal(flat.arena.values, nested.arena.values)


@pytest.mark.parametrize("name", STACKS)
def test_programs_inside_and_around_have_the_bits_of_the_layers(name, rng, monkeypatch):
    x, dy = rng.normal(size=(5, 4)), rng.normal(size=(5, 100))

    def run(net):
        y, passed = net.forward(x, train=True)
        dx = net.backward(passed, np.ascontiguousarray(dy[:, : y.shape[1]]), inputs=True)
        return y, dx, net.arena.gradients.copy(), net.predict(x), net.infer(x)

    together = run(stacked(name))
    with layers_alone(monkeypatch):
        alone = run(stacked(name))
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a, b)


def test_chains_inside_are_programs():
    net = stacked("two blocks back to back")
    net.predict(np.zeros((2, 4)))
    body = net.layers[1].body
    (_, _, stages), *_ = body._plans.values()
    assert len(stages) == 1 and stages[0].program is not None and stages[0].stop == 2


def test_bits_do_not_depend_on_threads(rng):
    x, y = rng.normal(size=(64, 2, 12, 12)), rng.integers(0, 3, 64)
    seen = set()
    for threads in (1, 2, 3, 8):
        net = NeuralNet(rng=0).add_conv2d(2, 3, 3).add(image_block(1)).add(image_block(3))
        net.add(Concat(None, Conv2D(3, 4, 1, rng=5))).add_flatten().add_dense(700, 3, activation="softmax")
        with enilnets.num_threads(threads):
            for _ in range(3):
                net.TrainBatch(x, y)
        seen.add(net.arena.values.tobytes())
    assert len(seen) == 1


@pytest.mark.parametrize("name", STACKS)
def test_copies_files_and_the_last_pass(name, rng, tmp_path):
    net, x = stacked(name), rng.normal(size=(6, 4))
    net.Forward(x, training=True)
    net.Save(tmp_path / "net.safetensors")
    for twin in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.outputs[-1], net.outputs[-1])
        for either in (net, twin):
            either.Backward(output_gradient=np.ones_like(net.outputs[-1]))
        np.testing.assert_array_equal(twin.arena.gradients, net.arena.gradients)
        assert not np.shares_memory(twin.arena.values, net.arena.values)
        assert all(
            np.shares_memory(p.value, twin.arena.values) for layer in twin.layers for p in layer.parameters.values()
        )
    loaded = NeuralNet().Load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(loaded.predict(x), net.predict(x))
    targets = np.zeros_like(net.outputs[-1])
    assert loaded.TrainBatch(x, targets)[0] == net.TrainBatch(x, targets)[0]
    np.testing.assert_array_equal(loaded.arena.values, net.arena.values)


def test_layers_inside_freeze_together_or_alone(rng, tmp_path):
    x, targets = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    net = NeuralNet(0.1, rng=0).add(Residual(dense(4, 4), BatchNorm(4), dense(4, 4, seed=1)))
    inner = net.layers[0].layers
    inner[0].frozen = True
    assert not net.layers[0].frozen
    net.Save(tmp_path / "net.safetensors")
    for twin in (net.copy(), copy.deepcopy(net), NeuralNet().Load(tmp_path / "net.safetensors")):
        assert [layer.frozen for layer in twin.layers[0].layers] == [True, False, False]
    before = net.get_weights()[0]
    net.TrainBatch(x, targets)
    changed = {name for name, array in net.get_weights()[0].items() if not np.array_equal(array, before[name])}
    assert changed == set(before) - {"0.weights", "0.bias"}
    net.freeze(0)
    assert net.layers[0].frozen and net.layers[0]["_frozen"] and all(layer.frozen for layer in inner)
    before = net.get_weights()[0]
    net.TrainBatch(x, targets)
    assert all(np.array_equal(array, before[name]) for name, array in net.get_weights()[0].items())
    net.unfreeze()
    assert not any(layer.frozen for layer in inner)


def test_batchnorm_inside_needs_a_training_pass(rng):
    net = NeuralNet(rng=0).add(Residual(dense(4, 4), BatchNorm(4)))
    net.Forward(rng.normal(size=(6, 4)))
    with pytest.raises(StateError, match="BatchNorm cache is None"):
        net.Backward(output_gradient=np.ones((6, 4)))


def test_dropout_inside_draws_from_the_network(rng):
    x = rng.normal(size=(6, 4))
    nets = [NeuralNet(rng=3).add(Residual(Dropout(0.5), dense(4, 4))) for _ in range(2)]
    first, second = (net.Forward(x, training=True) for net in nets)
    assert np.array_equal(first, second) and not np.array_equal(first, nets[0].Forward(x, training=True))


def test_one_image_alone_is_recognised():
    net = NeuralNet(rng=0).add(Residual(Conv2D(3, 3, 3, padding="same"))).add(Sequential([Flatten(), dense(48, 2)]))
    assert net.Forward(np.zeros((3, 4, 4))).shape == (1, 2)


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: Residual(), ConfigError, "at least one layer"),
        (lambda: Concat(), ConfigError, "at least one branch"),
        (lambda: Residual(3), ConfigError, "layers, such as"),
        (lambda: Residual(dense(2, 2), shortcut="identity"), ConfigError, "layers, such as"),
        (lambda: Concat(dense(2, 2), "identity"), ConfigError, "layers, such as"),
        (lambda: Concat(dense(2, 2), axis=0), ConfigError, "axis"),
        (lambda: Concat(dense(2, 2), axis=1.5), ConfigError, "axis"),
        (lambda: Concat(dense(2, 2), axis=True), ConfigError, "axis"),
        (lambda: Sequential([dense(2, 2), dense(2, 2, dtype="float32")]), DTypeError, "same dtype"),
        (lambda: Residual(dense(2, 2), shortcut=dense(2, 2, dtype="float32")), DTypeError, "same dtype"),
        (lambda: Residual(dense(2, 3)).output_shape((2,)), ShapeError, "shortcut= that makes the same shape"),
        (lambda: Residual(dense(1, 3)).forward(np.ones((4, 1))), ShapeError, "shortcut="),
        (lambda: Concat(dense(2, 3), dense(2, 3), axis=2).output_shape((2,)), ShapeError, "choose another axis"),
        (lambda: Concat(Conv2D(1, 2, 3), None).output_shape((1, 5, 5)), ShapeError, "agree but for axis 1"),
        (lambda: Concat(Flatten(), None).output_shape((1, 5, 5)), ShapeError, "agree but for axis 1"),
        (lambda: Residual(dense(2, 2)).output_shape((3,)), ShapeError, r"Residual\(1 layers\) at Dense\(2 -> 2\)"),
    ],
)
def test_refusals(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_layer_belongs_to_one_place():
    shared = dense(2, 2)
    net = NeuralNet().add(Residual(shared))
    for other in (shared, Sequential([shared]), Sequential([dense(2, 2), Residual(shared)])):
        with pytest.raises(StateError, match="a layer of its own"):
            net.add(other)
    twice = dense(2, 2)
    with pytest.raises(StateError, match="holds a layer twice"):
        net.add(Sequential([twice, twice]))
    assert len(net.layers) == 1 and twice.parameters["weights"].arena is None


def test_what_is_inside_of_a_network_is_fixed():
    chain = Sequential([dense(2, 2)])
    chain.append(dense(2, 2))
    net = NeuralNet().add(chain)
    with pytest.raises(StateError, match="append before the chain is added"):
        chain.append(dense(2, 2))
    assert len(chain.layers) == 2
    chain.layers.append(dense(2, 2))
    with pytest.raises(StateError, match="the layers that were added"):
        net.Forward(np.ones((1, 2)))


def test_layers_of_float32_make_float32_containers(rng):
    layer = Concat(block(0, "float32"), None)
    assert layer.dtype == np.float32
    net = NeuralNet(dtype="float32").add(layer)
    assert net.Forward(rng.normal(size=(2, 4))).dtype == np.float32
    with pytest.raises(DTypeError, match="float32"):
        NeuralNet().add(block(0, "float32"))


def test_layers_inside_answer_for_what_is_their_own(rng, tmp_path):
    net = NeuralNet(rng=0).add(Residual(Sparse(6, 6, 0.5, rng=1), Dense(6, 6, use_bias=False, rng=2)))
    layer, x = net.layers[0], rng.normal(size=(4, 6))
    mask = layer["0.mask"]
    layer["0.weights"] = np.ones((6, 6))
    assert np.array_equal(layer["0.weights"], mask) and 0 < mask.sum() < 36
    for name, value in (("0.mask", 1 - mask), ("1.bias", np.ones(6))):
        with pytest.raises(ConfigError):
            layer[name] = value
    with pytest.raises(ConfigError):
        net.set_weights([{"1.bias": np.ones(6)}])
    net.set_weights([{"0.weights": np.full((6, 6), 2.0)}])
    assert np.array_equal(layer["0.weights"], 2 * mask)
    net.TrainBatch(x, np.zeros((4, 6)))
    assert not layer["0.weights"][mask == 0].any()
    net.Save(tmp_path / "net.safetensors")
    for twin in (net.copy(), pickle.loads(pickle.dumps(net)), NeuralNet().Load(tmp_path / "net.safetensors")):
        assert np.array_equal(twin.predict(x), net.predict(x)) and np.array_equal(twin.layers[0]["0.mask"], mask)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tokens_reach_an_embedding_inside(dtype, rng):
    def table(seed):
        return Embedding(40, 3, dtype=dtype, rng=seed)

    net = NeuralNet(dtype=dtype, rng=0).add(Sequential([Concat(table(1), table(2), axis=-1), Flatten(dtype=dtype)]))
    net.add_dense(30, 2, activation="softmax")
    ids = rng.integers(0, 40, (6, 5))
    before = net.layers[0]["0.0.weights"].copy()
    assert net.Forward(ids).dtype == net.predict(ids).dtype == net.dtype
    net.TrainBatch(ids, np.zeros(6, int))
    moved = (net.layers[0]["0.0.weights"] != before).any(1)
    assert set(np.flatnonzero(moved)) == set(np.unique(ids))
    with pytest.raises(ValueError, match="inputs"):
        net.Forward([[40, 0, 0, 0, 0]])


def test_inference_alone_keeps_nothing(rng):
    layer = Sequential([Residual(dense(4, 4), dense(4, 4, seed=1)), dense(4, 4)])
    x = rng.normal(size=(3, 4))
    y, passed = layer.forward(x, Mode(backward=False))
    assert passed.runs == [] and np.array_equal(y, layer.forward(x)[0])
