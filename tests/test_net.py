"""NeuralNet: the documented verbs and what they refuse. Gradients and kernels are tested where they live."""

import copy
import pickle
import threading

import numpy as np
import pytest

from enilnets import NeuralNet, optim
from enilnets.errors import (
    ConfigError,
    DataError,
    DTypeError,
    EnilnetsError,
    LabelError,
    NonFiniteError,
    ShapeError,
    StateError,
)
from enilnets.init import INITIALIZERS
from enilnets.layers import Conv2D, Dense, Layer, Sequential
from tests.gradients import check_direction


def mlp(head="softmax", **settings):
    settings = {"l2_lambda": 0.0, "rng": 0, **settings}
    return NeuralNet(**settings).add_dense(4, 6, activation="tanh").add_dense(6, 3, activation=head)


def cnn(**settings):
    net = NeuralNet(**{"l2_lambda": 0.01, "rng": 0, **settings})
    net.add_conv2d(1, 3, 3, activation="linear", padding="same").add_batchnorm(3).add_activation("relu").add_maxpool2d(
        2
    )
    net.add_conv2d(3, 4, 2, activation="gelu", stride=2).add_avgpool2d(1).add_flatten().add_dropout(0.3)
    return net.add_dense(16, 3, activation="softmax")


@pytest.fixture
def data(rng):
    return rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


@pytest.fixture
def images(rng):
    return rng.normal(size=(30, 1, 8, 8)), rng.integers(0, 3, 30)


def snapshot(net):
    return [
        net.arena.values.copy(),
        *(buffer.copy() for layer in net.layers for buffer in layer.buffers.values()),
        *(vector.copy() for vector in net.optimizer.state.values()),
        np.array([net.t, net.learning_rate]),
        str(net.rng.bit_generator.state),
    ]


def same(first, second):
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


class Noted(NeuralNet):
    """A subclass whose constructor asks for more."""

    def __init__(self, note):
        super().__init__(rng=0)
        self.note = note


class TestDocumentedAttributes:
    def test_defaults(self):
        net = NeuralNet()
        assert (net.learning_rate, net.optimizer_type, net.l2_lambda, net.momentum) == (0.001, "adam", 0.01, 0.9)
        assert net.layers == [] and net.outputs == [] and net.pre_activations == [] and net.deltas == []
        assert net.batchnorm_cache == [] and net.layernorm_cache == [] and net.opt_state == [] and net.t == 0
        assert net.training is True and net.dtype == np.float64

    def test_caches_follow_the_passes(self, data):
        net, (x, y) = mlp(), data
        out = net.Forward(x, training=True)
        assert len(net.outputs) == len(net.pre_activations) == 3
        assert np.array_equal(net.outputs[0], x) and net.outputs[-1] is out
        assert net.pre_activations[0] is None
        np.testing.assert_allclose(np.tanh(net.pre_activations[1]), net.outputs[1])
        np.testing.assert_allclose(net.pre_activations[1], x @ net.layers[0]["weights"].T + net.layers[0]["bias"])
        net.Backward(y)
        np.testing.assert_allclose(net.deltas[1], (out - np.eye(3)[y]) / 20)
        expected = (net.deltas[1] @ net.layers[1]["weights"]) * (1 - net.outputs[1] ** 2)
        np.testing.assert_allclose(net.deltas[0], expected)
        net.update()
        assert (
            net.t == 1
            and [sorted(entry) for entry in net.opt_state] == [["m_bias", "m_weights", "v_bias", "v_weights"]] * 2
        )
        assert net.opt_state[0]["m_weights"].shape == (6, 4)

    def test_batchnorm_cache(self, images):
        net = cnn()
        net.Forward(images[0], training=True)
        x, x_norm, mean, var, gamma, epsilon, axes = net.batchnorm_cache[1]
        np.testing.assert_allclose(mean, x.mean((0, 2, 3), keepdims=True))
        np.testing.assert_allclose(var, x.var((0, 2, 3), keepdims=True))
        np.testing.assert_allclose(x_norm, (x - mean) / np.sqrt(var + epsilon))
        assert axes == (0, 2, 3) and gamma.shape == (1, 3, 1, 1) and len(net.batchnorm_cache) == len(net.layers)
        net.Forward(images[0])
        assert net.batchnorm_cache == [None] * len(net.layers)

    def test_dropout_mask_is_shown(self, images):
        net = cnn()
        net.Forward(images[0], training=True)
        assert set(np.unique(net.layers[7]["mask"])) == {0, 1}
        net.Forward(images[0])
        assert net.layers[7]["mask"] is None

    def test_weights_are_views(self, data):
        net = mlp()
        net.layers[0]["weights"][...] = 0
        net.layers[0]["bias"] = np.ones(6)
        np.testing.assert_allclose(net.Forward(data[0]) * 0 + net.outputs[1][0, 0], np.tanh(1.0))

    def test_layers_write_to_the_arena_after_it_has_grown(self):
        net = NeuralNet(rng=0).add_dense(2, 2)
        net.add_dense(2, 500)
        net.layers[0]["weights"] = np.full((2, 2), 3.0)
        assert (net.arena.values[:4] == 3).all()


class TestForward:
    def test_one_sample(self, data):
        net = mlp()
        assert net.Forward(data[0][0]).shape == (1, 3)
        assert cnn().Forward(np.zeros((1, 8, 8))).shape == (1, 3)
        assert mlp("linear").Forward(np.zeros((2, 5, 4))).shape == (2, 5, 3)

    def test_images_straight_into_a_flatten_layer_are_a_batch(self):
        net = NeuralNet(rng=0).add_flatten().add_dense(16, 2, activation="softmax")
        x = np.zeros((5, 4, 4))
        net.Train(x, np.zeros(5, int), epochs=1, verbose=0)
        assert net.predict(x).shape == net.Forward(x).shape == (5, 2)

    @pytest.mark.contract("N6", "N7")
    def test_modes(self, images):
        net, x = cnn(), images[0]
        assert np.array_equal(net.Forward(x), net.Forward(x)) and np.array_equal(net.Forward(x), net.predict(x))
        assert not np.array_equal(net.Forward(x, training=True), net.Forward(x, training=True))
        assert net.eval() is net and net.training is False
        assert np.array_equal(net.Forward(x, training=True), net.Forward(x))
        assert net.train() is net and net.training is True
        assert not np.array_equal(net.Forward(x, training=True), net.Forward(x))

    def test_dropout_rate_overrides_the_layers(self):
        net = NeuralNet(rng=0).add_dropout(0.1)
        x = np.ones((1, 20000))
        assert (net.Forward(x, training=True) == 0).mean() == pytest.approx(0.1, abs=0.02)
        assert (net.Forward(x, training=True, dropout_rate=0.9) == 0).mean() == pytest.approx(0.9, abs=0.02)
        assert np.array_equal(net.Forward(x, dropout_rate=0.9), x)

    def test_awkward_inputs_work(self, data):
        net, x = mlp(), np.round(data[0] * 8)
        expected = net.Forward(x)
        for awkward in (
            x.tolist(),
            x.astype(np.float32),
            x.astype(int),
            x.astype(">f8"),
            x.astype(np.float16),
            np.asfortranarray(x),
            x[::-1].copy()[::-1],
            np.repeat(x, 2, 0)[::2],
            np.ma.masked_array(x),
            x.astype(np.int8),
        ):
            assert np.array_equal(net.Forward(awkward), expected)
        assert np.array_equal(net.Forward(np.ones((2, 4), bool)), net.Forward(np.ones((2, 4))))

    def test_outputs_are_never_overwritten_later(self, images):
        net, (x, y) = cnn(), images
        kept = [net.Forward(x, training=True), net.predict(x), *net.outputs]
        copies = [array.copy() for array in kept]
        net.TrainBatch(x, y)
        net.Train(x, y, epochs=2, verbose=0)
        net.predict(x[::-1])
        assert all(np.array_equal(a, b) for a, b in zip(kept, copies, strict=True))

    def test_predict_never_returns_the_callers_memory(self, data):
        x = data[0]
        for net in (NeuralNet().add_dropout(0.5), NeuralNet().add_flatten(), NeuralNet().add_activation("linear")):
            y = net.predict(x)
            assert np.array_equal(x, y) and not np.shares_memory(x, y)

    def test_predict_from_many_threads(self, images):
        net, x = cnn(), images[0]
        expected, results = net.predict(x), []

        def work():
            results.extend(np.array_equal(net.predict(x), expected) for _ in range(50))

        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(results) == 200 and all(results)


class TestBackward:
    @pytest.mark.parametrize("loss", ["cross_entropy", "mse", "binary_cross_entropy"])
    def test_exact_gradient_of_the_named_loss(self, data, rng, loss):
        net, (x, y) = mlp(), data
        targets = np.eye(3)[y]
        net.Forward(x, training=True)
        net.Backward(targets, loss_function=loss)

        def f(values):
            twin = net.copy()
            twin.arena.values[...] = values
            return twin.ComputeLoss(twin.Forward(x), targets, loss)

        check_direction(f, net.arena.values.copy(), net.arena.gradients.copy(), rng)

    def test_documented_rule_without_a_loss(self, data):
        net, (x, _) = mlp("sigmoid"), data
        out = net.Forward(x, training=True)
        net.Backward(np.zeros((20, 3)))
        np.testing.assert_allclose(net.deltas[-1], out * out * (1 - out) / 20)

    def test_output_delta_and_output_gradient(self, data, rng):
        net, (x, _) = mlp("sigmoid"), data
        out = net.Forward(x, training=True)
        g = rng.normal(size=out.shape)
        net.Backward(output_gradient=g)
        by_gradient = net.arena.gradients.copy()
        net.Backward(None, output_delta=g * out * (1 - out))
        np.testing.assert_allclose(net.arena.gradients, by_gradient)
        net.Backward(None, output_delta=np.ones(60))
        assert net.deltas[-1].shape == (20, 3)

    def test_refusals(self, data):
        net, (x, y) = mlp(), data
        with pytest.raises(StateError, match="Forward"):
            net.Backward(y)
        with pytest.raises(StateError, match="Backward"):
            net.update()
        net.Forward(x, training=True)
        for arguments in ({}, {"targets": y, "output_delta": np.ones((20, 3))}):
            with pytest.raises(StateError, match="one of targets, output_delta and output_gradient"):
                net.Backward(**arguments)
        for idle in (
            {"targets": y, "bogus": 1},
            {"output_gradient": np.ones((20, 3)), "loss_function": "mse"},
            {"output_delta": np.ones((20, 3)), "bogus": 1},
        ):
            with pytest.raises(ConfigError, match=r"bogus|loss_function"):
                net.Backward(**idle)
        with pytest.raises(ShapeError):
            net.Backward(None, output_delta=np.ones((20, 4)))
        with pytest.raises(DataError):
            net.Backward(None, output_delta=np.full((20, 3), np.nan))

    def test_batchnorm_needs_a_training_pass(self, images):
        net, (x, y) = cnn(), images
        net.Forward(x)
        with pytest.raises(
            ValueError, match=r"BatchNorm cache is None\. Ensure Forward\(training=True\) was called before Backward\."
        ):
            net.Backward(y)

    def test_activation_changed_in_between_does_not_matter(self, data):
        net, (x, y) = mlp("linear"), data
        net.Forward(x, training=True)
        net.Backward(np.eye(3)[y])
        expected = net.arena.gradients.copy()
        net.Forward(x, training=True)
        net.layers[0]["activation"] = "gelu"
        net.Backward(np.eye(3)[y])
        assert np.array_equal(net.arena.gradients, expected)

    @pytest.mark.contract("N9")
    def test_clip_gradients_uses_the_norm_of_the_parameters(self, data):
        net, (x, y) = mlp(), data
        net.Forward(100 * x, training=True)
        net.Backward(y)
        norm = np.linalg.norm(net.arena.gradients)
        assert net.clip_gradients(1e9) == pytest.approx(norm) and net.clip_gradients(0) == pytest.approx(norm)
        assert np.linalg.norm(net.arena.gradients) == pytest.approx(norm)
        assert net.clip_gradients(float("inf")) == pytest.approx(norm)
        net.clip_gradients(norm / 2)
        assert np.linalg.norm(net.arena.gradients) == pytest.approx(norm / 2)


class TestModelProtocol:
    def test_several_contexts_and_accumulation(self, data, rng):
        net, (x, _) = mlp(), data
        _, ctx1 = net.forward(x[:10], train=True)
        _, ctx2 = net.forward(x[10:], train=True)
        g = rng.normal(size=(20, 3))
        net.backward(ctx1, g[:10])
        net.backward(ctx2, g[10:])
        halves = net.arena.gradients.copy()
        net.arena.zero_grad()
        _, ctx = net.forward(x, train=True)
        dx = net.backward(ctx, g, inputs=True)
        np.testing.assert_allclose(net.arena.gradients, halves, atol=1e-14)
        assert dx.shape == x.shape
        net.step()
        assert not net.arena.gradients.any() and net.t == 1

    def test_wrong_gradients_are_refused(self, data):
        net, other = mlp(), NeuralNet().add_dense(4, 3)
        _, ctx = net.forward(data[0], train=True)
        for dy in (np.ones((3, 20)), np.ones(60), np.ones((10, 3)), np.ones((1, 3))):
            with pytest.raises(ShapeError, match="dy"):
                net.backward(ctx, dy)
        with pytest.raises(ShapeError):
            other.backward(ctx, np.ones((20, 3)))
        assert not net.arena.gradients.any()

    def test_other_dtypes_are_cast_once(self, data):
        net = mlp(dtype="float32")
        y, ctx = net.forward(data[0], train=True)
        dx = net.backward(ctx, np.ones((20, 3)), inputs=True)
        assert y.dtype == dx.dtype == net.infer(data[0]).dtype == np.float32

    def test_gradient_of_the_input_alone(self, data, rng):
        net, (x, _) = mlp("linear"), data
        _, ctx = net.forward(x)
        g = rng.normal(size=(20, 3))
        dx = net.backward(ctx, g, params=False, inputs=True)
        assert not net.arena.gradients.any()
        check_direction(lambda x: float(np.sum(net.infer(x) * g)), x, dx, rng)

    def test_clone_trains_alike_and_apart(self, images):
        net, (x, y) = cnn(), images
        net.TrainBatch(x, y)
        twin = net.clone()
        for _ in range(3):
            assert net.TrainBatch(x, y)[0] == twin.TrainBatch(x, y)[0]
        twin.TrainBatch(x, y)
        assert not np.array_equal(net.arena.values, twin.arena.values)


class TestTraining:
    def test_history(self, data):
        x, y = data
        history = mlp().Train(x, y, epochs=3, batch_size=7, X_val=x[:5], Y_val=y[:5], verbose=0)
        assert sorted(history) == ["accuracy", "loss", "lr", "val_accuracy", "val_loss"]
        assert all(len(entries) == 3 and all(type(e) is float for e in entries) for entries in history.values())
        assert history.stopped is None
        assert mlp().Train(x, y, epochs=1, verbose=0)["val_loss"] == []

    def test_labels_and_one_hot_are_the_same(self, data):
        x, y = data
        first, second = mlp(), mlp()
        assert first.Train(x, y, epochs=2, verbose=0) == second.Train(x, np.eye(3)[y], epochs=2, verbose=0)
        assert np.array_equal(first.arena.values, second.arena.values)

    def test_lists_are_accepted(self, data):
        x, y = data
        assert mlp().Train(x.tolist(), y.tolist(), epochs=1, verbose=0) == mlp().Train(x, y, epochs=1, verbose=0)

    def test_same_seed_same_bits_and_global_state_untouched(self, images):
        x, y = images
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        first, second, third = cnn(rng=1), cnn(rng=1), cnn(rng=2)
        histories = [net.Train(x, y, epochs=3, batch_size=8, verbose=0) for net in (first, second, third)]
        assert histories[0] == histories[1] != histories[2]
        assert np.array_equal(first.arena.values, second.arena.values)
        assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002

    @pytest.mark.parametrize("optimizer", optim.OPTIMIZERS)
    def test_learns(self, rng, dtype, optimizer):
        x = rng.normal(size=(300, 4))
        y = (x[:, 0] * x[:, 1] > 0).astype(int)
        rate = {"adadelta": 1.0, "lamb": 0.004}.get(optimizer, 0.02)  # they measure their steps by other means
        net = NeuralNet(rate, optimizer, l2_lambda=0.0, dtype=dtype, rng=0)
        net.add_dense(4, 32, activation="relu").add_dense(32, 2, activation="softmax")
        history = net.Train(x, y, epochs=60, batch_size=16, verbose=0)
        assert history["accuracy"][-1] > 0.93 and net.arena.dtype == dtype
        assert net.compute_accuracy(net.predict(x), y) > 0.93

    def test_regression(self, rng):
        x = rng.normal(size=(200, 3))
        y = x @ [[1.0], [-2.0], [0.5]] + 0.3
        net = NeuralNet(0.05, l2_lambda=0.0, rng=0).add_dense(3, 1, activation="linear")
        assert net.Train(x, y, epochs=60, verbose=0)["loss"][-1] < 1e-4
        np.testing.assert_allclose(net.layers[0]["weights"], [[1, -2, 0.5]], atol=0.02)

    def test_l2_acts_on_weights_alone(self, data):
        x, _ = data
        net = (
            NeuralNet(0.1, "sgd", l2_lambda=0.5, momentum=0.0, rng=0)
            .add_dense(4, 3, activation="linear")
            .add_batchnorm(3)
        )
        net.layers[0]["bias"] = np.ones(3)
        net.Forward(x, training=True)
        net.Backward(None, output_delta=np.zeros((20, 3)))
        weights = net.layers[0]["weights"].copy()
        net.update()
        np.testing.assert_allclose(net.layers[0]["weights"], weights * 0.95)
        assert (net.layers[0]["bias"] == 1).all() and (net.layers[1]["gamma"] == 1).all()

    def test_no_bias_never_gets_one(self, data):
        x, y = data
        net = NeuralNet(rng=0).add_dense(4, 3, activation="softmax", use_bias=False)
        net.Train(x, y, epochs=2, verbose=0)
        assert not net.layers[0]["bias"].any()
        with pytest.raises(ConfigError, match="use_bias"):
            net.layers[0]["bias"] = np.ones(3)

    def test_layers_may_be_added_after_training(self, data):
        x, y = data
        net = mlp("linear")
        net.TrainBatch(x, np.zeros((20, 3)))
        state = net.opt_state[0]["m_weights"].copy()
        net.add_dense(3, 3, activation="softmax")
        assert np.array_equal(net.opt_state[0]["m_weights"], state)
        net.TrainBatch(x, y)
        assert len(net.opt_state) == 3 and net.opt_state[2]["m_weights"].any()

    @pytest.mark.parametrize("shape", [(1, 4), (1, 1, 1, 4)])
    def test_a_single_value_per_channel_leaves_the_statistics(self, shape):
        net = NeuralNet(rng=0)
        if len(shape) == 4:
            net.add_conv2d(1, 3, (1), activation="linear").add_avgpool2d(1)
        else:
            net.add_dense(4, 3, activation="linear")
        net.add_batchnorm(3).add_flatten()
        net.add_dense(3 * (4 if len(shape) == 4 else 1), 2, activation="softmax")
        weights = net.layers[0]["weights"].copy()
        net.TrainBatch(np.ones(shape), [1])
        norm = next(layer for layer in net.layers if layer.type == "batchnorm")
        lonely = len(shape) == 2
        assert (norm["running_mean"] == 0).all() == lonely
        assert not np.array_equal(net.layers[0]["weights"], weights)

    def test_a_lone_last_sample_still_learns(self, rng):
        x, y = rng.normal(size=(33, 4)), rng.integers(0, 2, 33)
        net = NeuralNet(rng=0).add_dense(4, 3, "linear").add_batchnorm(3).add_dense(3, 2, "softmax")
        net.Train(x, y, epochs=1, batch_size=32, verbose=0)
        assert net.t == 2 and (net.layers[1]["running_var"] > 0.5).all()

    def test_training_in_eval_mode_keeps_the_statistics(self, images):
        net, (x, y) = cnn(), images
        net.eval()
        before = net.layers[1]["running_mean"].copy()
        net.TrainBatch(x, y)
        net.Train(x, y, epochs=1, verbose=0)
        assert np.array_equal(before, net.layers[1]["running_mean"]) and net.t == 2
        net.Forward(x, training=True)
        net.Backward(y)

    @pytest.mark.contract("N10")
    def test_freeze(self, images):
        net, (x, y) = cnn(), images
        net.freeze(0)
        net.freeze(1)
        frozen = {
            name: a.copy() for i in (0, 1) for name, a in ((f"{i}{k}", v) for k, v in net.layers[i].arrays().items())
        }
        last = net.layers[-1]["weights"].copy()
        net.Train(x, y, epochs=2, verbose=0)
        assert all(np.array_equal(net.layers[int(name[0])][name[1:]], a) for name, a in frozen.items())
        assert not np.array_equal(net.layers[-1]["weights"], last)
        net.freeze()
        before = snapshot(net)[0]
        net.Train(x, y, epochs=1, verbose=0)
        assert np.array_equal(before, net.arena.values)
        net.unfreeze()
        net.Train(x, y, epochs=1, verbose=0)
        assert not np.array_equal(before, net.arena.values)
        with pytest.raises(EnilnetsError, match="layer_idx"):
            net.freeze(99)

    def test_a_hopeless_learning_rate_is_an_error(self, data):
        x, y = data
        net = mlp("linear", learning_rate=1e200, optimizer="sgd")
        with pytest.raises(NonFiniteError, match="learning rate"):
            net.Train(x, np.eye(3)[y], epochs=50, verbose=0)
        assert np.isfinite(net.arena.values).all()


class TestRefusals:
    """Bad input: an error that names the argument; the model is as it was."""

    CASES = (  # argument, error, change
        ("X_train", ShapeError, lambda x, y: dict(X_train=x[:, :3])),
        ("X_train", ShapeError, lambda x, y: dict(X_train=x[0], Y_train=y[:1])),
        ("X_train", DTypeError, lambda x, y: dict(X_train=x.astype(object))),
        ("X_train", DTypeError, lambda x, y: dict(X_train=x.astype(complex))),
        ("X_train", DTypeError, lambda x, y: dict(X_train=x.astype(str))),
        ("X_train", DTypeError, lambda x, y: dict(X_train=[[1, 2], [3]])),
        ("X_train", DTypeError, lambda x, y: dict(X_train=None)),
        ("X_train", DataError, lambda x, y: dict(X_train=np.where(x > 1, np.nan, x))),
        ("X_train", DataError, lambda x, y: dict(X_train=np.where(x > 1, np.inf, x))),
        ("X_train", DataError, lambda x, y: dict(X_train=x[:0], Y_train=y[:0])),
        ("Y_train", ShapeError, lambda x, y: dict(Y_train=y[:5])),
        ("Y_train", ShapeError, lambda x, y: dict(Y_train=np.eye(4)[y])),
        ("Y_train", ShapeError, lambda x, y: dict(Y_train=y.astype(float))),
        ("Y_train", ShapeError, lambda x, y: dict(Y_train=y[:, None])),
        ("Y_train", LabelError, lambda x, y: dict(Y_train=y + 1)),
        ("Y_train", LabelError, lambda x, y: dict(Y_train=y - 1)),
        ("Y_train", LabelError, lambda x, y: dict(Y_train=y.astype(np.uint64) + np.uint64(2**63))),
        ("Y_train", DataError, lambda x, y: dict(Y_train=np.full((20, 3), np.nan))),
        ("Y_train", EnilnetsError, lambda x, y: dict(Y_train=None)),
        ("Y_train", ShapeError, lambda x, y: dict(Y_train=np.array(3))),
        ("Y_train", DataError, lambda x, y: dict(Y_train=np.ma.masked_equal(y, 1))),
        ("X_train", DataError, lambda x, y: dict(X_train=np.zeros((20, 0, 4)), Y_train=np.zeros((20, 0), int))),
        ("reduction", ConfigError, lambda x, y: dict(reduction="sum")),
        ("head", ConfigError, lambda x, y: dict(head="linear")),
        ("name", ConfigError, lambda x, y: dict(name="mse")),
        ("Y_train", DTypeError, lambda x, y: dict(Y_train=np.array(["a"] * 20))),
        ("epochs", ConfigError, lambda x, y: dict(epochs=0)),
        ("epochs", ConfigError, lambda x, y: dict(epochs=2.5)),
        ("batch_size", ConfigError, lambda x, y: dict(batch_size=0)),
        ("batch_size", ConfigError, lambda x, y: dict(batch_size=-3)),
        ("batch_size", ConfigError, lambda x, y: dict(batch_size=True)),
        ("loss", ConfigError, lambda x, y: dict(loss_function="crossentropy")),
        ("bogus", ConfigError, lambda x, y: dict(bogus=1)),
        ("X_val", EnilnetsError, lambda x, y: dict(X_val=x)),
        ("Y_val", EnilnetsError, lambda x, y: dict(X_val=x, Y_val=y[:3])),
        ("X_val", DataError, lambda x, y: dict(X_val=x * np.nan, Y_val=y)),
        ("scheduler", ConfigError, lambda x, y: dict(scheduler=0.1)),
        ("scheduler", ConfigError, lambda x, y: dict(scheduler="cosine")),
    )

    @pytest.mark.parametrize("name, error, change", CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
    def test_train(self, data, name, error, change):
        net, (x, y) = mlp(), data
        net.TrainBatch(x, y)
        before = snapshot(net)
        with pytest.raises(error, match=name) as caught:
            net.Train(**{"X_train": x, "Y_train": y, "verbose": 0, **change(x, y)})
        assert (
            isinstance(caught.value, EnilnetsError) and "expected" in str(caught.value) and "got" in str(caught.value)
        )
        assert same(before, snapshot(net))

    @pytest.mark.parametrize("verb", ["TrainBatch", "Forward", "predict", "ComputeLoss"])
    def test_other_verbs(self, images, verb):
        net, (x, y) = cnn(), images
        before = snapshot(net)
        arguments = {
            "TrainBatch": [
                (x * np.nan, y),
                (x[:, 0], y),
                (x[:0], y[:0]),
                (x, y + 5),
                (x, y[:2]),
                (x.astype(object), y),
            ],
            "Forward": [(x * np.inf,), (x[:, :, :, :3],), (np.zeros(64),), ("images",), (x, True, 1.5)],
            "predict": [(x * np.inf,), (x[:, :, :, :3],), (np.zeros(64),), (None,)],
            "ComputeLoss": [(x, y), (x, x * np.nan), (x, x, "nope"), (x, x, "mse", "average"), (x, x[:, :, :1])],
        }[verb]
        for call in arguments:
            with pytest.raises(EnilnetsError):
                getattr(net, verb)(*call)
            assert same(before, snapshot(net))

    @pytest.mark.parametrize(
        "settings, name",
        [
            ({"learning_rate": float("nan")}, "learning_rate"),
            ({"learning_rate": -1}, "learning_rate"),
            ({"learning_rate": 10**400}, "learning_rate"),
            ({"learning_rate": "fast"}, "learning_rate"),
            ({"optimizer": "adamm"}, "optimizer"),
            ({"optimizer": 3}, "optimizer"),
            ({"l2_lambda": -0.1}, "l2_lambda"),
            ({"l2_lambda": float("inf")}, "l2_lambda"),
            ({"momentum": 1.5}, "momentum"),
            ({"dtype": "float16"}, "dtype"),
            ({"dtype": "banana"}, "dtype"),
            ({"dtype": None}, "dtype"),
            ({"rng": "seed"}, "rng"),
            ({"rng": -1}, "rng"),
        ],
    )
    def test_constructor(self, settings, name):
        with pytest.raises(EnilnetsError, match=name):
            NeuralNet(**settings)

    @pytest.mark.parametrize(
        "build, name",
        [
            (lambda net: net.add_dense(0, 3), "n_in"),
            (lambda net: net.add_dense(3, -1), "n_out"),
            (lambda net: net.add_dense(3, 3, activation="realu"), "activation"),
            (lambda net: net.add_dense(3, 3, init_method="he"), "method"),
            (lambda net: net.add_conv2d(1, 1, 0), "k"),
            (lambda net: net.add_conv2d(1, 1, 3, stride=0), "stride"),
            (lambda net: net.add_conv2d(1, 1, 3, padding=-1), "padding"),
            (lambda net: net.add_conv2d(1, 1, 3, padding="valid"), "padding"),
            (lambda net: net.add_conv2d(1, 1, 3, activation="softmax"), "activation"),
            (lambda net: net.add(Sequential([Dense(2, 2, dtype="float32")])), "dtype"),
            (lambda net: net.add(Sequential([NeuralNet().add_dense(2, 2).layers[0]])), "network"),
            (lambda net: net.add_maxpool2d(0), "pool_size"),
            (lambda net: net.add_batchnorm(3, epsilon=0), "epsilon"),
            (lambda net: net.add_batchnorm(3, momentum=2), "momentum"),
            (lambda net: net.add_dropout(1.0), "rate"),
            (lambda net: net.add_dropout(-0.1), "rate"),
            (lambda net: net.add(Dense(2, 2, dtype="float32")), "dtype"),
            (lambda net: net.add(Dense), "layer"),
            (lambda net: net.add(None), "layer"),
            (lambda net: net.add(NeuralNet().add_dense(2, 2).layers[0]), "network"),
        ],
    )
    def test_layers(self, build, name):
        net = NeuralNet()
        with pytest.raises(EnilnetsError, match=name):
            build(net)
        assert net.layers == [] and len(net.arena) == 0

    def test_layers_changed_by_hand_are_noticed(self, data):
        for change in (
            lambda net: net.layers.append(Dense(3, 3)),
            lambda net: net.layers.pop(),
            lambda net: net.layers.__setitem__(0, Dense(4, 6)),
        ):
            net = mlp()
            change(net)
            with pytest.raises(StateError, match=r"use add\(layer\)"):
                net.TrainBatch(*data)

    def test_one_optimizer_serves_one_network(self, data):
        shared = optim.Adam()
        first, second = mlp(optimizer=shared), mlp(optimizer=shared)
        first.TrainBatch(*data)
        before = snapshot(second)
        with pytest.raises(StateError, match="optimizer of its own"):
            second.TrainBatch(*data)
        assert same(before, snapshot(second))
        shared.reset()
        second.TrainBatch(*data)

    def test_attributes_take_what_the_constructor_takes(self, data):
        net = mlp()
        net.optimizer, net.rng = "sgd", 5
        net.TrainBatch(*data)
        assert net.optimizer_type == "sgd" and net.rng.bit_generator.state == net.rng.bit_generator.state
        for name in ("optimizer", "rng"):
            with pytest.raises(ConfigError, match=name):
                setattr(net, name, "nonsense")

    @pytest.mark.parametrize("training", ["no", 1, None])
    def test_training_is_a_bool(self, data, training):
        with pytest.raises(ConfigError, match="training"):
            mlp().Forward(data[0], training=training)

    def test_masked_entries_are_not_taken_for_numbers(self, data):
        with pytest.raises(DataError, match="masked"):
            mlp().predict(np.ma.masked_greater(data[0], 0))

    @pytest.mark.parametrize(
        "build", [lambda n: n.add_dense(10**30, 3), lambda n: n.add_conv2d(1, 1, 3, padding=10**12)]
    )
    def test_sizes_beyond_reason(self, build):
        with pytest.raises(ConfigError, match="<= 2147483647"):
            build(NeuralNet())

    def test_overflow_is_an_error_and_no_warning(self, data):
        net = NeuralNet(dtype="float32", rng=0).add_dense(4, 3, activation="linear")
        net.layers[0]["weights"] = np.full((3, 4), 3e38)
        for train in (net.TrainBatch, lambda x, y: net.Train(x, y, epochs=1, verbose=0)):
            with pytest.raises(NonFiniteError):
                train(data[0], np.zeros((20, 3)))

    def test_no_layers(self, data):
        with pytest.raises(StateError, match="add_dense"):
            NeuralNet().Forward(data[0])

    def test_attributes(self):
        net = mlp()
        for name, value in (
            ("learning_rate", np.nan),
            ("l2_lambda", -1),
            ("momentum", 2),
            ("optimizer_type", "x"),
            ("t", -1),
        ):
            before = getattr(net, name)
            with pytest.raises(ConfigError):
                setattr(net, name, value)
            assert getattr(net, name) == before

    def test_layer_chains_that_cannot_fit_name_the_layer(self):
        net = NeuralNet().add_conv2d(1, 4, 5).add_dense(10, 2)
        with pytest.raises(ShapeError, match=r"Dense\(10 -> 2\).*add a Flatten layer first"):
            net.Forward(np.zeros((1, 1, 8, 8)))
        with pytest.raises(ShapeError, match="padding"):
            net.Forward(np.zeros((1, 1, 3, 3)))


class TestUtilities:
    def test_learning_rate(self):
        net = mlp()
        net.set_lr(np.float32(0.5))
        assert net.get_lr() == 0.5 and type(net.learning_rate) is float

    @pytest.mark.contract("N11")
    def test_get_and_set_weights(self, images):
        net, (x, y) = cnn(), images
        net.Train(x, y, epochs=1, verbose=0)
        weights = net.get_weights()
        expected = net.predict(x)
        assert sorted(weights[1]) == ["beta", "gamma", "running_mean", "running_var"] and weights[3] == {}
        net.Train(x, y, epochs=1, verbose=0)
        assert not np.array_equal(net.predict(x), expected)
        net.set_weights(weights)
        assert np.array_equal(net.predict(x), expected)
        weights[0]["weights"][...] = 0
        assert net.layers[0]["weights"].any()

    def test_set_weights_is_all_or_nothing(self):
        net = mlp()
        before = snapshot(net)
        good = net.get_weights()
        for bad in (
            good[:1],
            [good[0], {"weights": np.zeros((7, 7))}],
            [{"weights": np.zeros((6, 4))}, {"gamma": np.zeros(3)}],
            [{"weights": np.zeros((6, 4))}, {"bias": np.array(["a", "b", "c"])}],
            [{"weights": np.zeros((6, 4))}, {"bias": np.ones(3, complex)}],
            [{"weights": np.zeros((6, 4))}, {"bias": [[1], [2, 3]]}],
            [{"weights": np.zeros((6, 4))}, None],
            None,
        ):
            with pytest.raises(EnilnetsError, match="set_weights"):
                net.set_weights(bad)
            assert same(before, snapshot(net))

    def test_set_weights_is_all_or_nothing_before_a_constant_bias(self):
        net = NeuralNet(rng=0).add_dense(2, 2).add_dense(2, 2, use_bias=False)
        before = snapshot(net)
        with pytest.raises(ConfigError, match="use_bias=True"):
            net.set_weights([{"weights": np.zeros((2, 2))}, {"bias": np.ones(2)}])
        assert same(before, snapshot(net))
        net.set_weights(net.get_weights())

    @pytest.mark.parametrize("value", [np.full((6, 4), "x"), np.ones((6, 4), complex), np.ones(4), [[1], [2, 3]], None])
    def test_entries_of_layers_take_numbers_of_their_shape(self, value):
        net = mlp()
        before = snapshot(net)
        with pytest.raises(EnilnetsError, match="weights"):
            net.layers[0]["weights"] = value
        assert same(before, snapshot(net))

    @pytest.mark.parametrize(
        "duplicate", [NeuralNet.copy, copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))]
    )
    @pytest.mark.contract("N12")
    def test_copies_are_equal_and_independent(self, images, duplicate):
        net, (x, y) = cnn(), images
        net.TrainBatch(x, y)
        net.eval()
        net.freeze(0)
        twin = duplicate(net)
        assert same(snapshot(net), snapshot(twin)) and twin.training is False and twin.layers[0].frozen
        assert np.shares_memory(twin.layers[0]["weights"], twin.arena.values)
        assert not np.shares_memory(twin.arena.values, net.arena.values)
        net.train(), twin.train()
        assert net.TrainBatch(x, y)[0] == twin.TrainBatch(x, y)[0]
        assert same(snapshot(net), snapshot(twin))
        before = snapshot(net)
        twin.TrainBatch(x, y)
        assert same(before, snapshot(net))

    def test_copy_keeps_caches_and_gradients(self, data):
        net, (x, y) = mlp(), data
        net.Forward(x, training=True)
        net.Backward(y)
        twin = net.copy()
        assert np.array_equal(twin.outputs[-1], net.outputs[-1]) and np.array_equal(twin.deltas[0], net.deltas[0])
        assert not np.shares_memory(twin.outputs[1], net.outputs[1])
        net.update()
        twin.update()
        assert same(snapshot(net), snapshot(twin))

    def test_copy_after_adding_a_layer_to_a_trained_network(self, data, tmp_path):
        net = mlp("linear")
        net.TrainBatch(data[0], np.zeros((20, 3)))
        net.add_dense(3, 2, activation="softmax")
        net.Save(tmp_path / "net.safetensors")
        for twin in (net.copy(), NeuralNet().Load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(net))):
            assert twin.TrainBatch(data[0], data[1] % 2)[0] == net.copy().TrainBatch(data[0], data[1] % 2)[0]

    def test_subclasses_and_attributes_are_copied_along(self, data):
        net = Noted("hello").add_dense(2, 2)
        net.extra = [1]
        for twin in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert type(twin) is Noted and twin.note == "hello" and twin.extra == [1] and twin.extra is not net.extra

    def test_copying_draws_no_weights(self, monkeypatch):
        net = NeuralNet(rng=0).add_dense(3, 3, init_method="orthogonal").add_conv2d(1, 2, 2)
        monkeypatch.setitem(INITIALIZERS, "orthogonal", None)
        monkeypatch.setitem(INITIALIZERS, "he_normal", None)
        twin = net.copy()
        assert twin.layers[0]["init_method"] == "orthogonal" and same(snapshot(net), snapshot(twin))

    def test_layers_and_arenas_pickle_by_themselves(self):
        net = NeuralNet(rng=0).add_dense(3, 4).add_dense(4, 1000)
        for twin in (pickle.loads(pickle.dumps(net.layers[0])), copy.copy(net.layers[0]), copy.deepcopy(net.layers[0])):
            assert np.array_equal(twin["weights"], net.layers[0]["weights"])
            assert not np.shares_memory(twin["weights"], net.layers[0]["weights"])
        assert len(pickle.dumps(net.layers[0])) < 3000
        arena = pickle.loads(pickle.dumps(net.arena))
        assert np.array_equal(arena.values, net.arena.values)
        assert all(np.shares_memory(p.value, arena.values) for p in arena.parameters)

    def test_what_could_not_be_loaded_is_not_saved(self, tmp_path):
        class Mine(Layer):
            type = "mine"

            def forward(self, x, mode=None):
                return x, None

        class MyAdam(optim.Adam):
            pass

        for net in (NeuralNet().add(Mine()), mlp(optimizer=MyAdam())):
            with pytest.raises(StateError, match="saving or copying"):
                net.Save(tmp_path / "net.safetensors")
            with pytest.raises(StateError):
                net.copy()
        assert list(tmp_path.iterdir()) == []

    def test_convolutions_never_get_a_softmax(self):
        layer = Conv2D(1, 2, 3)
        with pytest.raises(ConfigError, match="activation"):
            layer["activation"] = "softmax"
        layer["activation"] = "tanh"
        assert layer["activation"] == "tanh"

    def test_mapping_with_other_keys(self):
        layer = Dense(2, 2)
        assert 0 not in layer and None not in layer
        with pytest.raises(KeyError):
            layer[0]

    @pytest.mark.contract("N13")
    def test_reset_optimizer_state(self, data):
        net = mlp()
        net.TrainBatch(*data)
        net.reset_optimizer_state()
        assert net.t == 0 and net.opt_state == []
        net.TrainBatch(*data)
        net.opt_state = []
        assert net.opt_state == [] and net.t == 1

    @pytest.mark.contract("N14")
    def test_check_nan_inf(self, data):
        net, (x, y) = cnn(), (np.zeros((2, 1, 8, 8)), [0, 1])
        net.TrainBatch(x, y)
        assert net.check_nan_inf() == []
        net.layers[0]["weights"][0] = np.nan
        net.layers[1]["gamma"][0] = np.inf
        net.layers[1]["running_var"][1] = np.inf
        net.deltas[8][0, 0] = np.nan
        assert net.check_nan_inf() == [
            "Layer 0 weights has NaN/Inf",
            "Layer 1 gamma has NaN/Inf",
            "Layer 1 running_var has NaN/Inf",
            "Delta 8 has NaN/Inf",
        ]

    @pytest.mark.contract("N15", "N16")
    def test_summary(self, capsys):
        net = NeuralNet(0.001, "adam", 0.01).add_dense(784, 256).add_dropout(0.3).add_dense(256, 10, "softmax")
        assert net.summary() is None
        rule = "=" * 70
        assert capsys.readouterr().out.splitlines() == [
            "Model Summary",
            rule,
            "Optimizer: ADAM | LR: 0.001 | L2: 0.01",
            rule,
            "Layer 0: DENSE        Input:    784 Output:    256 Params: 200960",
            "Layer 1: DROPOUT      ",
            "Layer 2: DENSE        Input:    256 Output:     10 Params: 2570",
            "Total Parameters: 203530",
            rule,
        ]

    def test_summary_of_other_layers(self, capsys):
        cnn().summary()
        lines = capsys.readouterr().out.splitlines()
        assert lines[4] == "Layer 0: CONV2D       In_ch:   1 Out_ch:   3 Kernel: 3x3 Params: 30"
        assert lines[5] == "Layer 1: BATCHNORM    Features:      3 Params: 6"

    def test_momentum_belongs_to_sgd(self):
        net = NeuralNet(optimizer="SGD", momentum=0.5)
        assert net.optimizer_type == "sgd" and net.optimizer.momentum == net.momentum == 0.5
        net.momentum = 0.7
        assert net.optimizer.momentum == 0.7
        net.optimizer_type = "adam"
        net.optimizer_type = "sgd"
        assert net.optimizer.momentum == 0.7
        assert NeuralNet(optimizer=optim.SGD(momentum=0.3)).momentum == 0.3

    def test_repr_names_the_layers(self):
        assert "Dense(4 -> 6)" in repr(mlp())


@pytest.mark.parametrize("value", [np.zeros(2), np.array([]), ["mse"], b"mse", 3])
def test_a_loss_that_is_no_name_is_refused(value):
    net = mlp()
    net.TrainBatch(np.zeros((2, 4)), [0, 1])  # from now on the loss is known
    with pytest.raises(ConfigError, match="loss"):
        net.TrainBatch(np.zeros((2, 4)), [0, 1], value)
    net.Forward(np.zeros((2, 4)), training=True)
    with pytest.raises(ConfigError, match="loss"):
        net.Backward([0, 1], loss_function=value)


@pytest.mark.parametrize("value", [np.zeros(2), None, "yes", -1, 1.5])
def test_verbose_is_checked_before_training(value):
    net = mlp()
    before = pickle.dumps((net.get_weights(), net.rng.bit_generator.state))
    with pytest.raises(ConfigError, match="verbose"):
        net.Train(np.zeros((2, 4)), [0, 1], epochs=1, verbose=value)
    assert pickle.dumps((net.get_weights(), net.rng.bit_generator.state)) == before and net.t == 0


@pytest.mark.parametrize("value", [np.zeros(2), "1", None])
def test_the_norm_to_clip_to_is_a_number(value):
    net = mlp()
    net.Forward(np.zeros((2, 4)), training=True)
    net.Backward([0, 1])
    with pytest.raises(ConfigError, match="max_norm"):
        net.clip_gradients(value)


@pytest.mark.parametrize("value", [True, [], [1, 2], np.zeros(3), 1.5, -1, "0", np.random])
def test_a_source_of_randomness_is_a_seed_or_a_generator(value):
    net = mlp()
    before = net.rng
    with pytest.raises(ConfigError, match="rng"):
        net.rng = value
    assert net.rng is before
    with pytest.raises(ConfigError, match="rng"):
        NeuralNet(rng=value)


def test_the_dtype_is_for_life():
    net = mlp()
    with pytest.raises(AttributeError):
        net.dtype = "float32"
    assert net.dtype == "float64" and net.copy().dtype == "float64"


@pytest.mark.parametrize("verb", ["add_conv2d", "add_conv1d", "add_depthwise_conv2d"])
@pytest.mark.parametrize("value", [np.zeros(2), np.array([]), "valid", None])
def test_a_padding_is_a_number_or_same(verb, value):
    sizes = {"in_ch": 2, "k": 3} if verb == "add_depthwise_conv2d" else {"in_ch": 2, "out_ch": 2, "k": 3}
    with pytest.raises(ConfigError, match="padding"):
        getattr(NeuralNet(rng=0), verb)(**sizes, padding=value)
