"""Programs against the layers they stand for: the same bits, the same caches, nothing overwritten."""

import copy
import pickle
import threading

import numpy as np
import pytest

import enilnets
from enilnets import NeuralNet
from enilnets._ext import memory
from enilnets.layers import Activation, BatchNorm, Dense, Dropout, Mode, Sequential
from enilnets.ops.activation import ACTIVATIONS
from tests.layers_alone import layers_alone

CHAINS = {
    **{name: lambda dtype, name=name: [Dense(5, 7, name, dtype=dtype, rng=0), Dense(7, 3, name, dtype=dtype, rng=1)]
       for name in ACTIVATIONS},
    "one": lambda dtype: [Dense(5, 3, "linear", dtype=dtype, rng=0)],
    "no bias": lambda dtype: [Dense(5, 7, "tanh", use_bias=False, dtype=dtype, rng=0), Dense(7, 3, dtype=dtype, rng=1)],
    "norm": lambda dtype: [
        Dense(5, 7, "linear", dtype=dtype, rng=0),
        BatchNorm(7, dtype=dtype),
        Activation("swish", dtype=dtype),
        Dense(7, 6, "relu", dtype=dtype, rng=1),
        BatchNorm(6, dtype=dtype),
    ],
    "activations": lambda dtype: [
        Dense(5, 7, "tanh", dtype=dtype, rng=0),
        Activation("gelu", dtype=dtype),
        Activation("linear", dtype=dtype),
        Activation("softmax", dtype=dtype),
    ],
    "dropout": lambda dtype: [
        Dropout(0.5, dtype=dtype),
        Dense(5, 7, "mish", dtype=dtype, rng=0),
        Dropout(0.5, dtype=dtype),
        Dropout(0.0, dtype=dtype),
        Dense(7, 4, "linear", dtype=dtype, rng=1),
        Dropout(0.3, dtype=dtype),
    ],
    "wide": lambda dtype: [Dense(300, 500, "relu", dtype=dtype, rng=0), Dense(500, 400, "tanh", dtype=dtype, rng=1)],
}  # fmt: skip


def run(layers, x, dy, mode, twice=False, **how):
    """Output, input gradient, saved values, deltas and parameter gradients of one pass (or of two in a row)."""
    chain = Sequential(copy.deepcopy(layers), dtype=x.dtype)
    for _ in range(2 if twice else 1):
        y, passed = chain.forward(x, mode._replace(rng=np.random.default_rng(3)))
        dx = chain.propagate(dy(y), passed, **how)
    arrays = [y, dx, *passed.outputs, *passed.deltas]
    for layer, saved in zip(chain.layers, passed.saved, strict=True):
        arrays += [layer.pre_activation(saved), *(layer.norm_cache(saved) or ())[:5]]
    for layer in chain.layers:
        arrays += [p.grad for p in layer.parameters.values() if p.fresh]
        arrays += list(layer.buffers.values())
    arrays.append(chain.infer(x))
    return [None if a is None else np.array(a) for a in arrays]


@pytest.mark.parametrize("mode", [Mode(), Mode(True), Mode(True, keep_z=True), Mode(keep_z=True)], ids=str)
@pytest.mark.parametrize("name", CHAINS)
def test_programs_have_the_bits_of_their_layers(name, mode, dtype, isa, rng, monkeypatch):
    layers = CHAINS[name](dtype)
    n_in = next(layer.n_in for layer in layers if isinstance(layer, Dense))
    for rows in (1, 2, 33):
        x = rng.normal(size=(rows, n_in)).astype(dtype)
        weights = rng.normal(size=(rows, 1000)).astype(dtype)
        for how in (
            dict(inputs=True),
            dict(inputs=False, twice=True),
            dict(inputs=True, at_pre_activation=True),
            dict(params=False, inputs=True),
            dict(all_deltas=True),
        ):
            arguments = layers, x, lambda y, w=weights: np.ascontiguousarray(w[:, : y.shape[1]]), mode
            together = run(*arguments, **how)
            with layers_alone(monkeypatch):
                alone = run(*arguments, **how)
            assert len(together) == len(alone)
            for a, b in zip(together, alone, strict=True):
                if mode.keep_z or (a is not None and b is not None):  # else, one of the ways may keep more
                    np.testing.assert_array_equal(a, b, strict=a is not None)


def test_programs_are_as_long_as_they_can_be(dtype):
    chain = Sequential(CHAINS["dropout"](dtype), dtype=dtype)
    assert [stage[:2] for stage in chain._plan(Mode())[2]] == [(0, 1), (1, 6)]
    assert [stage[:2] for stage in chain._plan(Mode(True))[2]] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)]
    assert [stage[:2] for stage in chain._plan(Mode(True, dropout_rate=0.2))[2]][-1] == (5, 6)


@pytest.mark.parametrize("frozen", [[0], [1], [0, 1], [0, 1, 2]])
def test_frozen_layers_get_no_gradients(frozen, dtype, rng):
    layers = [Dense(4, 5, dtype=dtype, rng=0), BatchNorm(5, dtype=dtype), Dense(5, 3, dtype=dtype, rng=1)]
    chain = Sequential(layers, dtype=dtype)
    before = {name: buffer.copy() for name, buffer in layers[1].buffers.items()}
    for i in frozen:
        layers[i].frozen = True
    y, passed = chain.forward(rng.normal(size=(6, 4)).astype(dtype), Mode(True, rng))
    chain.propagate(np.ones_like(y), passed)
    for i, layer in enumerate(layers):
        assert all(p.fresh != (i in frozen) for p in layer.parameters.values())
    same = all((layers[1].buffers[name] == before[name]).all() for name in before)
    assert same == (1 in frozen)


def test_a_layer_that_changes_between_the_passes_goes_back_as_it_went(dtype, rng):
    x = rng.normal(size=(6, 4)).astype(dtype)

    def gradients(change):
        layers = [Dense(4, 5, "tanh", dtype=dtype, rng=0), Dense(5, 3, "tanh", dtype=dtype, rng=1)]
        chain = Sequential(layers, dtype=dtype)
        y, passed = chain.forward(x, Mode(True))
        change(layers)
        chain.propagate(np.ones_like(y), passed)
        return [p.grad.copy() for layer in layers for p in layer.parameters.values()]

    def change(layers):
        layers[0]["activation"] = "relu"

    for a, b in zip(gradients(lambda layers: None), gradients(change), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_arena_that_moves_between_the_passes_gets_the_gradients(rng):
    x = rng.normal(size=(6, 4))
    nets = [NeuralNet(rng=0).add_dense(4, 5, "tanh"), NeuralNet(rng=0).add_dense(4, 5, "tanh")]
    contexts = [net.forward(x, train=True) for net in nets]
    nets[1].arena._grow(1000)
    for net, (y, ctx) in zip(nets, contexts, strict=True):
        net.backward(ctx, np.ones_like(y))
    np.testing.assert_array_equal(nets[0].arena.gradients, nets[1].arena.gradients)


def test_sequences_of_features(dtype, rng, monkeypatch):
    layers = [Dense(4, 5, "tanh", dtype=dtype, rng=0), Dense(5, 3, "softmax", dtype=dtype, rng=1)]
    x = rng.normal(size=(2, 7, 4)).astype(dtype)
    together = run(layers, x, np.ones_like, Mode(True), inputs=True)
    with layers_alone(monkeypatch):
        alone = run(layers, x, np.ones_like, Mode(True), inputs=True)
    for a, b in zip(together, alone, strict=True):
        if a is not None:
            np.testing.assert_array_equal(a, b)


def test_nothing_handed_out_is_overwritten(rng):
    """Outputs, views of caches and gradients of inputs stay what they were, however much memory is used again."""
    x, y = rng.normal(size=(200, 60)), np.eye(70)[rng.integers(0, 70, 200)]
    net = NeuralNet(rng=0).add_dense(60, 300, "swish").add_batchnorm(300).add_dense(300, 70, activation="softmax")
    held = []

    def hold(*arrays):
        held.extend((array, array.copy()) for array in arrays)

    for _ in range(6):
        hold(net.predict(x), net.Forward(x, training=True))
        hold(*net.outputs, *[z for z in net.pre_activations if z is not None])
        net.Backward(y)
        hold(*net.deltas)
        hold(net.TrainBatch(x, y)[1], net.outputs[1], net.deltas[0])
        output, ctx = net.forward(x, train=True)
        hold(output, net.backward(ctx, np.ones_like(output), inputs=True))
        images = NeuralNet(rng=0).add_conv2d(1, 8, 3).add_maxpool2d(2).add_flatten().add_dense(8 * 14 * 14, 3)
        picture = rng.normal(size=(20, 1, 30, 30))
        hold(images.predict(picture), images.Forward(picture, training=True), *images.outputs[1:])
        images.Backward(np.zeros((20, 3)))
        hold(*images.deltas)
    for array, before in held:
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("name", [a for a in ACTIVATIONS if a != "softmax"])
@pytest.mark.parametrize("training", [False, True])
def test_normalisation_and_activation_in_one_pass_have_the_bits_of_both(name, training, dtype, isa, rng):
    x, dy = rng.normal(size=(2, 5, 3, 6, 6)).astype(dtype)
    results = []
    for keep_z in (False, True):
        layers = [BatchNorm(3, dtype=dtype), Activation(name, dtype=dtype)]
        chain = Sequential(layers, dtype=dtype)
        mode = Mode(training, rng, keep_z)
        assert len(chain._plan(mode)[2]) == (2 if keep_z else 1)
        for at_pre_activation in (False, True):
            y, passed = chain.forward(x, mode)
            dx = chain.propagate(dy, passed, inputs=True, at_pre_activation=at_pre_activation)
            twin = pickle.loads(pickle.dumps(passed))
            again = chain.propagate(dy, twin, inputs=True, at_pre_activation=at_pre_activation)
            np.testing.assert_array_equal(again, dx)
            results.append([y, dx, layers[0]["d_gamma"].copy(), passed.outputs[-1], chain.infer(x)])
            layers[0].parameters["gamma"].fresh = layers[0].parameters["beta"].fresh = False
    half = len(results) // 2
    for together, alone in zip(results[:half], results[half:], strict=True):
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_array_equal(a, b)


def test_several_contexts_are_alive_at_once(dtype, rng):
    net = NeuralNet(dtype=dtype, rng=0).add_dense(3, 40, "tanh").add_dense(40, 2)
    xs = [rng.normal(size=(5, 3)).astype(dtype) for _ in range(4)]
    contexts = [net.forward(x, train=True) for x in xs]
    for x, (y, ctx) in reversed(list(zip(xs, contexts, strict=True))):
        dx = net.backward(ctx, np.ones_like(y), inputs=True)
        fresh_y, fresh = net.forward(x, train=True)
        np.testing.assert_array_equal(y, fresh_y)
        np.testing.assert_array_equal(dx, net.backward(fresh, np.ones_like(y), inputs=True))


@pytest.mark.skipif(not memory.KEEPS_MEMORY, reason="this build gives memory back at once")
def test_memory_is_used_again(rng):
    x, y = rng.normal(size=(256, 300)), rng.normal(size=(256, 300))
    net = NeuralNet(rng=0).add_dense(300, 300, "tanh").add_dense(300, 300, "linear")
    for _ in range(5):
        net.TrainBatch(x, y)
    settled = memory.in_use() + memory.kept()
    for _ in range(50):
        net.TrainBatch(x, y)
    assert memory.in_use() + memory.kept() == settled


def test_copies_and_pickles_keep_the_last_pass(rng):
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    net = NeuralNet(rng=0).add_dense(4, 5, "gelu").add_batchnorm(5).add_dense(5, 2, "linear")
    net.Forward(x, training=True)
    for twin in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        for a, b in zip(twin.outputs, net.outputs, strict=True):
            np.testing.assert_array_equal(a, b)
        twin.Backward(y)
        net.Backward(y)
        np.testing.assert_array_equal(twin.arena.gradients, net.arena.gradients)
        assert not np.shares_memory(twin.outputs[1], net.outputs[1])


def test_predict_with_one_call_is_predict(rng, dtype):
    net = NeuralNet(dtype=dtype, rng=0).add_dense(4, 64, "tanh").add_dropout(0.5).add_dense(64, 2, "softmax")
    x = rng.normal(size=(9, 4)).astype(dtype)
    expected = net.Forward(x)
    np.testing.assert_array_equal(net.predict(x), expected)
    np.testing.assert_array_equal(net.predict(x.astype(np.float16).astype(dtype)), net.Forward(x.astype(np.float16)))
    for odd in (
        x.tolist(),
        np.asfortranarray(x),
        x[::-1][::-1],
        x.astype(np.longdouble),
        x.astype(x.dtype.newbyteorder()),
    ):
        np.testing.assert_array_equal(net.predict(odd), expected)
    np.testing.assert_array_equal(net.predict(x[0]), net.Forward(x[0]))
    assert net.predict(x[:0]).shape == (0, 2)


def test_threads_predict_with_one_network(rng):
    net = NeuralNet(rng=0).add_dense(40, 200, "tanh").add_dense(200, 30, "softmax")
    x = rng.normal(size=(300, 40))
    expected, wrong = net.predict(x), []

    def work():
        for n in range(1, 60):
            if not np.array_equal(net.predict(x[: 5 * n]), expected[: 5 * n]):
                wrong.append(n)

    crowd = [threading.Thread(target=work) for _ in range(6)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert not wrong


def test_training_has_the_same_bits_for_any_number_of_threads(dtype, rng):
    x, y = rng.normal(size=(128, 400)), np.eye(10)[rng.integers(0, 10, 128)]
    seen = set()
    for threads in (1, 2, 3, 4, 8):
        net = (
            NeuralNet(dtype=dtype, rng=0).add_dense(400, 300, "swish").add_batchnorm(300).add_dense(300, 10, "softmax")
        )
        with enilnets.num_threads(threads):
            for _ in range(3):
                net.TrainBatch(x, y)
        seen.add(net.arena.values.tobytes())
    assert len(seen) == 1
