"""The documented interface of NeuralNet: attributes, layers, Forward and Backward, as promised."""

import inspect
from collections.abc import Mapping

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.ops.conv import im2col


def small(head="softmax", **settings):
    return NeuralNet(**{"rng": 0, **settings}).add_dense(4, 6, activation="tanh").add_dense(6, 3, activation=head)


@pytest.fixture
def data(rng):
    return rng.normal(size=(10, 4)), np.eye(3)[rng.integers(0, 3, 10)]


class TestNetwork:
    @pytest.mark.contract("N1", "N2")
    def test_constructor_and_attributes(self):
        assert list(inspect.signature(NeuralNet).parameters)[:4] == [
            "learning_rate",
            "optimizer",
            "l2_lambda",
            "momentum",
        ]
        net = NeuralNet()
        assert (net.learning_rate, net.optimizer_type, net.l2_lambda, net.momentum) == (0.001, "adam", 0.01, 0.9)
        net = NeuralNet(0.5, "RMSprop", 0.25, 0.75)
        assert (net.learning_rate, net.optimizer_type, net.l2_lambda, net.momentum) == (0.5, "rmsprop", 0.25, 0.75)
        for name in (
            "layers",
            "outputs",
            "pre_activations",
            "batchnorm_cache",
            "layernorm_cache",
            "deltas",
            "opt_state",
        ):
            assert getattr(net, name) == []
        assert net.t == 0 and net.training is True
        assert all(isinstance(layer, Mapping) for layer in small().layers) and isinstance(small().layers, list)

    @pytest.mark.contract("N3")
    def test_outputs_and_pre_activations(self, data):
        net = small().add_dropout(0.5)
        x = data[0]
        y = net.Forward(x)
        assert len(net.outputs) == len(net.pre_activations) == 4
        assert np.array_equal(net.outputs[0], x) and net.outputs[-1] is y
        assert net.pre_activations[0] is None and net.pre_activations[3] is None
        for i in (0, 1):
            layer = net.layers[i]
            np.testing.assert_allclose(net.pre_activations[i + 1], net.outputs[i] @ layer["weights"].T + layer["bias"])
        np.testing.assert_allclose(net.outputs[1], np.tanh(net.pre_activations[1]))

    @pytest.mark.contract("N5")
    def test_deltas_state_and_counter(self, data):
        net = small()
        net.Forward(data[0], training=True)
        net.Backward(data[1])
        assert [delta.shape for delta in net.deltas] == [(10, 6), (10, 3)]
        assert net.opt_state == [] and net.t == 0
        for t in (1, 2):
            net.update()
            assert net.t == t and len(net.opt_state) == 2

    @pytest.mark.contract("N8")
    def test_predict_is_forward_and_the_rate_can_be_set(self, data):
        assert inspect.signature(NeuralNet.predict) == inspect.signature(NeuralNet.Forward)
        net = small().add_dropout(0.5)
        assert np.array_equal(net.predict(data[0]), net.Forward(data[0]))
        assert (net.predict(data[0], True) == 0).any() and (net.predict(data[0], True, 0.9) == 0).mean() > 0.6
        net.set_lr(0.25)
        assert net.get_lr() == net.learning_rate == 0.25

    @pytest.mark.contract("N9")
    def test_clip_gradients(self, data):
        net = small()
        net.Forward(data[0], training=True)
        net.Backward(data[1])
        before = net.arena.gradients.copy()
        for nothing in (0, -1.0, 1e9):
            net.clip_gradients(nothing)
            assert np.array_equal(net.arena.gradients, before)
        net.clip_gradients(1e-3)
        np.testing.assert_allclose(net.arena.gradients, before * 1e-3 / np.linalg.norm(before))

    @pytest.mark.contract("N10")
    def test_freezing_one_layer_and_all(self, data):
        net = small()
        net.freeze(0)
        assert [layer["_frozen"] for layer in net.layers] == [True, False]
        first, second = (layer["weights"].copy() for layer in net.layers)
        net.TrainBatch(*data)
        assert np.array_equal(net.layers[0]["weights"], first) and not np.array_equal(net.layers[1]["weights"], second)
        net.freeze()
        assert all(layer["_frozen"] for layer in net.layers)
        net.unfreeze(1)
        assert [layer["_frozen"] for layer in net.layers] == [True, False]
        net.unfreeze()
        assert not any(layer["_frozen"] for layer in net.layers)

    @pytest.mark.contract("N11")
    @pytest.mark.defect("O7")
    def test_weights_out_and_in(self, rng):
        x = rng.normal(size=(8, 4))
        net = NeuralNet(rng=0).add_dense(4, 3).add_batchnorm(3).add_dropout(0.5)
        net.Forward(x, training=True)
        net.Forward(x)  # after which the original failed on the mask of the dropout layer
        weights, expected = net.get_weights(), net.predict(x)
        assert [sorted(entry) for entry in weights] == [
            ["bias", "weights"],
            ["beta", "gamma", "running_mean", "running_var"],
            [],
        ]
        net.TrainBatch(10 * x + 5, np.zeros((8, 3)))
        assert not np.array_equal(net.predict(x), expected)
        net.set_weights(weights)
        assert np.array_equal(net.predict(x), expected)
        weights[0]["weights"][...] = 7
        assert not (net.layers[0]["weights"] == 7).any()
        with pytest.raises(ValueError, match=r"\(3, 4\)"):
            net.set_weights([{"weights": np.zeros((7, 7))}, {}, {}])

    @pytest.mark.contract("N15", "N16")
    def test_lines_of_the_summary(self, capsys):
        net = (
            NeuralNet(0.01, "sgd", 0.0, rng=0).add_conv2d(1, 32, 3).add_batchnorm(32).add_maxpool2d(2).add_avgpool2d(2)
        )
        net.add_conv2d(32, 64, (3, 5)).add_depthwise_conv2d(64, 3).add_conv_transpose2d(64, 8, 2).add_flatten()
        net.add_dense(784, 256).add_dropout()
        assert net.summary() is None
        rule = "=" * 70
        assert capsys.readouterr().out.splitlines() == [
            "Model Summary",
            rule,
            "Optimizer: SGD | LR: 0.01 | L2: 0.0",
            rule,
            "Layer 0: CONV2D       In_ch:   1 Out_ch:  32 Kernel: 3x3 Params: 320",
            "Layer 1: BATCHNORM    Features:     32 Params: 64",
            "Layer 2: MAXPOOL2D    ",
            "Layer 3: AVGPOOL2D    ",
            "Layer 4: CONV2D       In_ch:  32 Out_ch:  64 Kernel: 3x5 Params: 30784",
            "Layer 5: DEPTHWISECONV2D In_ch:  64 Out_ch:  64 Kernel: 3x3 Params: 640",
            "Layer 6: CONVTRANSPOSE2D In_ch:  64 Out_ch:   8 Kernel: 2x2 Params: 2056",
            "Layer 7: FLATTEN      ",
            "Layer 8: DENSE        Input:    784 Output:    256 Params: 200960",
            "Layer 9: DROPOUT      ",
            "Total Parameters: 234824",
            rule,
        ]


class TestLayers:
    @pytest.mark.contract("L1")
    def test_dense(self, data):
        net = NeuralNet(0.1, rng=0).add_dense(4, 3, "sigmoid").add_dense(3, 3, use_bias=False)
        first, second = net.layers
        assert first["type"] == "dense" and first["activation"] == "sigmoid" and first["use_bias"] is True
        assert first["weights"].shape == (3, 4) and first["bias"].shape == (3,) and second["use_bias"] is False
        net.Forward(data[0])
        np.testing.assert_allclose(net.outputs[1], 1 / (1 + np.exp(-(data[0] @ first["weights"].T + first["bias"]))))
        np.testing.assert_allclose(net.outputs[2], np.maximum(net.outputs[1] @ second["weights"].T, 0))
        net.Train(*data, epochs=2, verbose=False)
        assert first["bias"].any() and not second["bias"].any()

    @pytest.mark.contract("L3")
    def test_conv2d(self, rng):
        net = NeuralNet(rng=0).add_conv2d(2, 3, 4, activation="linear")
        layer, x = net.layers[0], rng.normal(size=(5, 2, 9, 7))
        assert layer["weights"].shape == (3, 2, 4, 4) and layer["bias"].shape == (3,) and layer["type"] == "conv2d"
        assert [layer[key] for key in ("in_ch", "out_ch", "k", "activation", "stride")] == [2, 3, 4, "linear", 1]
        layer["bias"] = rng.normal(size=3)
        y = net.Forward(x)
        assert y.shape == (5, 3, 6, 4)
        expected = np.sum(x[1, :, 2:6, 3:7] * layer["weights"][2]) + layer["bias"][2]
        np.testing.assert_allclose(y[1, 2, 2, 3], expected)

    @pytest.mark.contract("L4")
    def test_convolutions_take_their_stride_and_padding(self, rng):
        x = rng.normal(size=(2, 1, 9, 9))
        whole = NeuralNet(rng=0).add_conv2d(1, 2, 3)
        strided = NeuralNet(rng=0).add_conv2d(1, 2, 3, stride=2)
        y = strided.Forward(x)
        assert whole.Forward(x).shape == (2, 2, 7, 7)  # k - 1 less in total, not on each side
        assert y.shape == (2, 2, 4, 4)
        np.testing.assert_allclose(y, whole.Forward(x)[:, :, ::2, ::2], atol=1e-14)
        assert NeuralNet(rng=0).add_conv2d(1, 2, 3, padding=1).Forward(x).shape == (2, 2, 9, 9)

    @pytest.mark.contract("L5")
    def test_flatten(self, rng):
        net = NeuralNet().add_flatten()
        x = rng.normal(size=(2, 3, 4, 5))
        assert np.array_equal(net.Forward(x), x.reshape(2, 60)) and dict(net.layers[0]) == {"type": "flatten"}

    @pytest.mark.contract("L6")
    def test_maxpool2d(self, rng):
        net = NeuralNet().add_maxpool2d(2)
        x = rng.normal(size=(2, 3, 5, 7))
        y = net.Forward(x, training=True)
        assert dict(net.layers[0]) == {"type": "maxpool2d", "p": 2} and y.shape == (2, 3, 2, 3)
        assert y[1, 2, 1, 0] == x[1, 2, 2:4, 0:2].max()
        dx = net.backward(net._passed, np.ones_like(y), inputs=True)
        assert (
            set(np.unique(dx)) == {0, 1}
            and dx.sum() == y.size
            and np.array_equal(np.sort(x[dx == 1]), np.sort(y, None))
        )

    @pytest.mark.contract("L7")
    def test_avgpool2d(self, rng):
        net = NeuralNet().add_avgpool2d()
        x = rng.normal(size=(2, 3, 5, 6))
        y = net.Forward(x, training=True)
        assert dict(net.layers[0]) == {"type": "avgpool2d", "p": 2}
        np.testing.assert_allclose(y, x[:, :, :4].reshape(2, 3, 2, 2, 3, 2).mean((3, 5)))
        dx = net.backward(net._passed, np.ones_like(y), inputs=True)
        assert (dx[:, :, :4] == 0.25).all() and not dx[:, :, 4].any()

    @pytest.mark.contract("L10")
    @pytest.mark.parametrize("shape", [(8, 3), (4, 3, 5, 2)])
    def test_batchnorm(self, shape, rng):
        net = NeuralNet(rng=0).add_batchnorm(3, epsilon=1e-3, momentum=0.25)
        layer, x = net.layers[0], rng.normal(2.0, 3.0, size=shape)
        assert [layer[key] for key in ("num_features", "epsilon", "momentum")] == [3, 1e-3, 0.25]
        for key, start in (("running_mean", 0), ("running_var", 1), ("gamma", 1), ("beta", 0)):
            assert layer[key].shape == (3,) and (layer[key] == start).all()
        axes = (0, 2, 3)[: len(shape) - 1]
        mean, var = x.mean(axes), x.var(axes)  # the biased variance
        wide = (1, 3, 1, 1)[: len(shape)]
        y = net.Forward(x, training=True)
        np.testing.assert_allclose(y, (x - mean.reshape(wide)) / np.sqrt(var.reshape(wide) + 1e-3))
        np.testing.assert_allclose(layer["running_mean"], 0.25 * mean)
        np.testing.assert_allclose(layer["running_var"], 0.75 + 0.25 * var)
        net.Backward(output_gradient=rng.normal(size=shape))
        assert layer["d_gamma"].shape == layer["d_beta"].shape == (3,) and layer["d_gamma"].any()
        y = net.Forward(x)
        expected = (x - layer["running_mean"].reshape(wide)) / np.sqrt(layer["running_var"].reshape(wide) + 1e-3)
        np.testing.assert_allclose(y, expected)
        assert net.batchnorm_cache == [None]

    @pytest.mark.contract("L12")
    def test_dropout(self, rng):
        net = NeuralNet(rng=0).add_dropout(0.25)
        x = np.ones((50, 40))
        assert net.layers[0]["rate"] == 0.25 and np.array_equal(net.Forward(x), x)
        y = net.Forward(x, training=True)
        mask = net.layers[0]["mask"]
        np.testing.assert_allclose(y, mask / 0.75)
        assert 0.2 < (mask == 0).mean() < 0.3
        net.Backward(output_gradient=3 * x)
        dx = net.backward(net._passed, 3 * x, inputs=True)
        np.testing.assert_allclose(dx, 3 * mask / 0.75)

    @pytest.mark.contract("L14")
    def test_an_unknown_layer_is_a_value_error(self, data):
        net = small()
        net.layers.append({"type": "mystery"})
        with pytest.raises(ValueError, match="layers"):
            net.Forward(data[0])


class TestForward:
    @pytest.mark.contract("F1", "F2")
    def test_inputs_of_every_rank(self, rng):
        given = inspect.signature(NeuralNet.Forward).parameters.values()
        positional = [p.name for p in given if p.kind is not p.KEYWORD_ONLY]
        assert positional == ["self", "inputs", "training", "dropout_rate"]
        images = NeuralNet(rng=0).add_conv2d(2, 3, 3)
        for x, net, shape in (
            (np.arange(4), small(), (1, 4)),
            (rng.normal(size=(5, 4)).astype(np.float32), small(), (5, 4)),
            (rng.normal(size=(2, 5, 6)), images, (1, 2, 5, 6)),
            (rng.normal(size=(3, 2, 5, 6)), images, (3, 2, 5, 6)),
        ):
            y = net.Forward(x)
            assert y is net.outputs[-1] and net.outputs[0].shape == shape
            assert y.dtype == net.outputs[0].dtype == np.float64 and np.array_equal(net.outputs[0], x.reshape(shape))

    @pytest.mark.contract("F3")
    def test_what_a_pass_leaves_behind(self, rng):
        net, x = NeuralNet(rng=0).add_dense(4, 3).add_batchnorm(3).add_dropout(0.1), rng.normal(size=(200, 4))
        net.Forward(x, training=True, dropout_rate=0.8)
        assert len(net.outputs) == len(net.pre_activations) == 4
        assert len(net.batchnorm_cache) == len(net.layernorm_cache) == 3
        assert [entry is None for entry in net.batchnorm_cache] == [True, False, True]
        assert 0.7 < (net.outputs[-1] == 0).mean() < 0.9
        net.Forward(x, dropout_rate=0.8)
        assert net.batchnorm_cache == net.layernorm_cache == [None] * 3 and (net.outputs[-1] != 0).all()

    @pytest.mark.contract("F4")
    def test_im2col(self, rng):
        assert [(p.name, p.default) for p in inspect.signature(im2col).parameters.values()][:5] == [
            ("input_data", inspect.Parameter.empty),
            ("filter_h", inspect.Parameter.empty),
            ("filter_w", inspect.Parameter.empty),
            ("stride", 1),
            ("pad", 0),
        ]
        x = rng.normal(size=(2, 3, 5, 6))
        columns = im2col(x, 2, 3, stride=2, pad=1)
        assert columns.shape == (2 * 3 * 3, 3 * 2 * 3)
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        assert np.array_equal(columns[9 + 3 + 2], padded[1, :, 2:4, 4:7].ravel())


class TestBackward:
    @pytest.mark.contract("B1")
    def test_neither_target_nor_delta(self, data):
        assert list(inspect.signature(NeuralNet.Backward).parameters)[1:3] == ["targets", "output_delta"]
        net = small()
        net.Forward(data[0], training=True)
        with pytest.raises(ValueError, match="targets, output_delta"):
            net.Backward()

    @pytest.mark.contract("B2")
    @pytest.mark.parametrize("head", ["softmax", "tanh", "linear"])
    def test_delta_of_targets(self, data, head):
        net, (x, targets) = small(head), data
        out = net.Forward(x, training=True)
        net.Backward(targets)
        slope = 1 - out**2 if head == "tanh" else 1
        np.testing.assert_allclose(net.deltas[-1], (out - targets) * slope / 10)

    @pytest.mark.contract("B3")
    def test_output_delta_is_at_the_pre_activation(self, data, rng):
        net, d = small("sigmoid"), rng.normal(size=(10, 3))
        net.Forward(data[0], training=True)
        net.Backward(None, output_delta=d)
        assert np.array_equal(net.deltas[-1], d)
        np.testing.assert_allclose(net.layers[1]["d_weights"], d.T @ net.outputs[1])
        net.Forward(data[0][0], training=True)
        net.Backward(None, output_delta=d[0])
        assert net.deltas[-1].shape == (1, 3)

    @pytest.mark.contract("B4")
    def test_rules_by_the_next_layer(self, rng):
        net = NeuralNet(rng=0).add_conv2d(1, 2, 3, activation="tanh").add_maxpool2d(2).add_avgpool2d(2).add_flatten()
        net.add_dense(8, 5, activation="linear").add_batchnorm(5).add_dropout(0.5).add_dense(5, 3, activation="linear")
        net.Forward(rng.normal(size=(6, 1, 10, 10)), training=True)
        net.Backward(output_gradient=rng.normal(size=(6, 3)))
        conv, pool, average, flat, dense, norm, dropout, last = range(8)
        layers, delta, out = net.layers, net.deltas, net.outputs
        np.testing.assert_allclose(delta[dropout], delta[last] @ layers[last]["weights"])
        np.testing.assert_allclose(delta[norm], delta[dropout] * layers[dropout]["mask"] / 0.5)
        _, x_norm, _, var, gamma, epsilon, axes = net.batchnorm_cache[norm]
        g = delta[norm] * gamma
        expected = (g - g.mean(axes) - x_norm * (g * x_norm).mean(axes)) / np.sqrt(var + epsilon)
        np.testing.assert_allclose(delta[dense], expected, atol=1e-12)
        np.testing.assert_allclose(layers[norm]["d_gamma"], (delta[norm] * x_norm).sum(0))
        np.testing.assert_allclose(layers[norm]["d_beta"], delta[norm].sum(0))
        np.testing.assert_allclose(delta[flat], delta[dense] @ layers[dense]["weights"])
        assert np.array_equal(delta[average], delta[flat].reshape(6, 2, 2, 2))
        np.testing.assert_allclose(delta[pool], np.repeat(np.repeat(delta[average], 2, 2), 2, 3) / 4)
        place = out[conv + 1] == np.repeat(np.repeat(out[pool + 1], 2, 2), 2, 3)
        spread = np.where(place, np.repeat(np.repeat(delta[pool], 2, 2), 2, 3), 0)
        np.testing.assert_allclose(delta[conv], spread * (1 - out[conv + 1] ** 2))
        np.testing.assert_allclose(layers[conv]["d_bias"], delta[conv].sum((0, 2, 3)))

    @pytest.mark.contract("B5")
    def test_batchnorm_without_its_cache(self, rng):
        net = NeuralNet(rng=0).add_batchnorm(3).add_dense(3, 2)
        net.Forward(rng.normal(size=(5, 3)))
        message = r"BatchNorm cache is None\. Ensure Forward\(training=True\) was called before Backward\."
        with pytest.raises(ValueError, match=message):
            net.Backward(np.zeros((5, 2)))


class TestOrderOfCalls:
    @pytest.mark.defect("O5")
    def test_a_layer_after_an_update(self, data):
        net = small("linear")
        net.TrainBatch(*data)
        moments = net.opt_state[0]["m_weights"].copy()
        net.add_dense(3, 3)
        assert np.array_equal(net.opt_state[0]["m_weights"], moments)
        before = net.layers[2]["weights"].copy()
        net.TrainBatch(*data)
        assert net.t == 2 and not np.array_equal(net.layers[2]["weights"], before)

    @pytest.mark.defect("O5")
    def test_backward_and_update_before_forward(self, data):
        net = small()
        with pytest.raises(ValueError, match="Forward"):
            net.Backward(data[1])
        with pytest.raises(ValueError, match="Backward"):
            net.update()

    @pytest.mark.contract("N12")
    @pytest.mark.defect("O8")
    def test_copy_keeps_mode_and_caches(self, data):
        net = small()
        net.TrainBatch(*data)
        net.Forward(data[0], training=True)
        net.eval()
        twin = net.copy()
        assert twin.training is False and twin.t == 1
        for mine, theirs in zip(net.outputs, twin.outputs, strict=True):
            assert np.array_equal(mine, theirs)
        for mine, theirs in zip(net.opt_state, twin.opt_state, strict=True):
            assert all(np.array_equal(mine[key], theirs[key]) for key in mine)
        twin.layers[0]["weights"][...] = 0
        twin.opt_state[0]["m_weights"][...] = 0
        assert net.layers[0]["weights"].any() and net.opt_state[0]["m_weights"].any()
