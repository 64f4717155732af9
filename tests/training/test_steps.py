"""Accumulated gradients, rates and momenta per step, the learning-rate finder, and what Train takes."""

import math
import subprocess
import sys

import numpy as np
import pytest

from enilnets import LRScheduler, NeuralNet, optim
from enilnets.errors import ConfigError, DataError
from enilnets.training import Callback, find_learning_rate

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.random.default_rng(1).integers(0, 3, 40)


def net(**settings):
    made = NeuralNet(rng=0, **{"learning_rate": 0.01, **settings})
    return made.add_dense(3, 8, "tanh").add_dense(8, 3, "softmax")


@pytest.mark.parametrize("samples", [40, 37])
def test_accumulated_gradients_make_the_step_of_the_large_batch(samples):
    x, y = X[:samples], Y[:samples]
    large, small = net(), net()
    large.Train(x, y, epochs=3, batch_size=16, verbose=0)
    small.Train(x, y, epochs=3, batch_size=4, accumulation_steps=4, verbose=0)
    assert large.t == small.t == 9
    np.testing.assert_allclose(small.arena.values, large.arena.values, rtol=1e-9, atol=1e-12)


def test_backward_may_add_to_the_gradients_before(dtype):
    whole, parts = net(dtype=dtype), net(dtype=dtype)
    whole.Forward(X, training=True)
    whole.Backward(Y)
    for i, part in enumerate((slice(0, 20), slice(20, 40))):
        parts.Forward(X[part], training=True)
        parts.Backward(Y[part], accumulate=i > 0)
    np.testing.assert_allclose(parts.arena.gradients / 2, whole.arena.gradients, atol=1e-6 if dtype == "f4" else 1e-15)
    parts.Backward(Y[20:])
    assert np.abs(parts.arena.gradients / 2 - whole.arena.gradients).max() > 1e-3
    with pytest.raises(ConfigError, match="accumulate"):
        parts.Backward(Y[20:], accumulate=1)


def test_gradients_from_before_training_are_forgotten():
    left, plain = net(), net()
    left.Forward(X, training=True)
    left.Backward(Y)
    for model in (left, plain):
        model.Train(X, Y, epochs=1, verbose=0)
    assert np.array_equal(left.arena.values, plain.arena.values)


@pytest.mark.parametrize("steps", [0, 1.5, True])
def test_bad_accumulation_steps(steps):
    with pytest.raises(ConfigError, match="accumulation_steps"):
        net().Train(X, Y, accumulation_steps=steps, verbose=0)


class Rates(Callback):
    def __init__(self):
        self.rates, self.momenta = [], []

    def on_batch_end(self, run):
        self.rates.append(run.model.learning_rate)
        self.momenta.append(run.model.momentum)


def test_a_rate_per_step():
    rates, scheduler = Rates(), LRScheduler(0.8, "exponential", decay=0.5, per="step")
    history = net().Train(X, Y, epochs=2, batch_size=16, verbose=0, scheduler=scheduler, callbacks=[rates])
    assert rates.rates == [0.8 * 0.5**step for step in range(6)]
    assert history["lr"] == [0.2, 0.025]
    rates = Rates()
    settings = {"scheduler": scheduler, "callbacks": [rates], "accumulation_steps": 2, "initial_epoch": 1}
    net().Train(X, Y, epochs=1, batch_size=10, verbose=0, **settings)
    assert rates.rates == [0.2, 0.2, 0.1, 0.1]  # the epoch before had two steps


def test_one_cycle_moves_the_momentum_of_optimizers_that_have_one():
    scheduler = LRScheduler(0.1, "one_cycle", max_epochs=6, per="step")
    for rule, expected in (("sgd", [scheduler.momentum(step) for step in range(6)]), ("adam", [0.9] * 6)):
        rates = Rates()
        net(optimizer=rule).Train(X, Y, epochs=2, batch_size=16, verbose=0, scheduler=scheduler, callbacks=[rates])
        assert rates.momenta == expected
    assert len({scheduler.momentum(step) for step in range(6)}) > 2


@pytest.mark.contract("T1", "T2")
@pytest.mark.defect("O10")
def test_lists_are_taken_and_the_history_holds_plain_floats():
    history = net().Train(X.tolist(), Y.tolist(), 2, 16, X.tolist(), Y.tolist(), None, False, None)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "lr"}
    assert all(type(value) is float for values in history.values() for value in values)
    assert all(len(values) == 2 for values in history.values())
    history = net().Train(X, Y, epochs=1, verbose=0)
    assert history["val_loss"] == history["val_accuracy"] == []


@pytest.mark.contract("T2", "T5")
@pytest.mark.parametrize(
    "settings, target, loss, gradient",
    [
        ({}, 4.0, 9.0, -12.0),  # w x = 1; (1 - 4)^2; 2 (1 - 4) x
        ({"loss_function": "bce_logits"}, 1.0, math.log(1 + math.exp(-1)), -2 / (1 + math.e)),  # (sigmoid(1) - 1) x
    ],
)
def test_a_batch_by_hand(settings, target, loss, gradient):
    def made():
        model = NeuralNet(0.1, "sgd", l2_lambda=0.0, momentum=0.0).add_dense(1, 1, "linear")
        model.layers[0]["weights"] = [[0.5]]
        return model

    model = made()
    value, output = model.TrainBatch([[2.0]], [[target]], **settings)
    assert type(value) is float and value == pytest.approx(loss) and output == pytest.approx(1.0)
    assert model.layers[0]["weights"][0, 0] == pytest.approx(0.5 - 0.1 * gradient)
    trained = made()
    history = trained.Train([[2.0]], [[target]], epochs=1, verbose=False, **settings)
    assert history["loss"] == [pytest.approx(loss)]
    assert trained.layers[0]["weights"] == pytest.approx(model.layers[0]["weights"])


@pytest.mark.contract("T2")
def test_the_default_loss_follows_the_head():
    model = net()
    assert model.TrainBatch(X, Y)[0] == pytest.approx(net().ComputeLoss(net().predict(X), Y, "cross_entropy"))


@pytest.mark.contract("T3")
def test_epoch_means_weigh_batches_by_their_size():
    class Losses(Callback):
        def __init__(self):
            self.losses = []

        def on_batch_end(self, run):
            self.losses.append(run.loss)

    losses = Losses()
    history = net().Train(X, Y, epochs=1, batch_size=32, verbose=0, callbacks=[losses])
    assert history["loss"] == [pytest.approx((32 * losses.losses[0] + 8 * losses.losses[1]) / 40)]


@pytest.mark.defect("O11")
def test_a_numpy_learning_rate_can_be_saved(tmp_path):
    model = net()
    model.set_lr(np.float32(0.1))
    assert type(model.get_lr()) is float
    model.Save(tmp_path / "net.safetensors")
    assert NeuralNet().Load(tmp_path / "net.safetensors").get_lr() == float(np.float32(0.1))


@pytest.mark.defect("O3")
@pytest.mark.parametrize("rule", optim.OPTIMIZERS)
def test_a_layer_without_bias_never_gets_one(rule):
    model = NeuralNet(0.1, rule, rng=0).add_dense(3, 4, use_bias=False).add_dense(4, 3, "softmax", use_bias=False)
    model.Train(X, Y, epochs=2, verbose=0)
    assert not any(layer["bias"].any() for layer in model.layers)
    assert np.array_equal(model.predict(np.zeros((1, 3))), np.full((1, 3), 1 / 3))


@pytest.mark.defect("O1")
def test_clipping_bounds_the_norm_of_the_gradients_not_of_the_deltas():
    """Inputs times 100: the deltas' norm is below 1 and that of the gradients far above."""
    plain = NeuralNet(rng=0).add_dense(3, 4).add_dense(4, 3, "softmax")
    normalised = NeuralNet(rng=0).add_dense(3, 4).add_batchnorm(4).add_dense(4, 3, "softmax")

    def norm(model):
        keys = ("weights", "bias", "gamma", "beta")
        parts = [layer[f"d_{key}"] for layer in model.layers for key in keys if key in layer.parameters]
        return np.sqrt(sum(np.sum(part**2) for part in parts))

    for model in (plain, normalised):
        model.Forward(100 * X, training=True)
        model.Backward(Y)
        before = norm(model)
        if model is plain:
            assert np.sqrt(sum(np.sum(delta**2) for delta in model.deltas)) < 1 < before
        assert model.clip_gradients(1e-6) == pytest.approx(before)
        assert norm(model) == pytest.approx(1e-6)


class TestLearningRateFinder:
    def problems(self):
        rng = np.random.default_rng(0)
        centres, labels = 2 * rng.normal(size=(3, 4)), rng.integers(0, 3, 300)
        line, plane = rng.uniform(-1, 1, size=(256, 1)), rng.normal(size=(400, 2))
        yield (
            centres[labels] + rng.normal(size=(300, 4)),
            labels,
            lambda **k: NeuralNet(l2_lambda=0, rng=1, **k).add_dense(4, 16).add_dense(16, 3, "softmax"),
        )
        yield (
            line,
            line**2,
            lambda **k: NeuralNet(l2_lambda=0, rng=1, **k).add_dense(1, 32, "tanh").add_dense(32, 1, "linear"),
        )
        yield (
            plane,
            (plane[:, 0] * plane[:, 1] > 0).astype(int),
            lambda **k: (
                NeuralNet(l2_lambda=0, rng=1, **k).add_dense(2, 32).add_batchnorm(32).add_dense(32, 2, "softmax")
            ),
        )

    @pytest.mark.parametrize("rule", ["sgd", "adam", "lion"])
    def test_its_suggestion_trains_well(self, rule):
        for x, y, make in self.problems():
            model = make(optimizer=rule)
            before, random = model.arena.values.copy(), model.rng.bit_generator.state
            found = find_learning_rate(model, x, y)
            assert np.array_equal(model.arena.values, before) and model.rng.bit_generator.state == random
            assert model.t == 0 and model.learning_rate == 0.001 and not model.opt_state
            assert 1e-4 < found.suggestion < 0.5  # neither edge
            model.set_lr(found.suggestion)
            start = model.ComputeLoss(model.predict(x), np.eye(y.max() + 1)[y] if y.ndim == 1 else y)
            model.Train(x, y, epochs=30, verbose=0)
            end = model.ComputeLoss(model.predict(x), np.eye(y.max() + 1)[y] if y.ndim == 1 else y)
            assert end < 0.4 * start

    def test_the_curve(self, tmp_path):
        x, y, make = next(self.problems())
        found = find_learning_rate(make(), x, y, start_lr=1e-5, end_lr=1e-1, steps=50)
        assert found.lrs[0] == pytest.approx(1e-5) and found.lrs[-1] == pytest.approx(1e-1) and len(found.lrs) == 50
        assert found.losses.shape == found.smoothed.shape == (50,)
        assert found.smoothed[10] == pytest.approx(found.losses[9:12].mean())
        assert found.plot(tmp_path / "lr.png") and (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")

    def test_it_ends_where_training_diverges(self):
        x, y, make = list(self.problems())[1]
        found = find_learning_rate(make(optimizer="sgd"), x, y, end_lr=1e6, steps=200)
        assert len(found.lrs) < 200 and np.isfinite(found.losses).all()

    def test_refusals(self):
        x, y, make = next(self.problems())
        for settings, match in (
            ({"start_lr": 0}, "start_lr"),
            ({"end_lr": 1e-9}, "end_lr"),
            ({"steps": 3}, "steps"),
            ({"loss_function": "mss"}, "mss"),
            ({"bogus": 1}, "bogus"),
        ):
            with pytest.raises(ConfigError, match=match):
                find_learning_rate(make(), x, y, **settings)
        model = make()
        model.freeze()
        with pytest.raises(DataError, match="falls"):
            find_learning_rate(model, x, y)

    def test_matplotlib_is_needed_for_plots_alone(self):
        code = (
            "import sys; sys.modules['matplotlib'] = None\n"
            "import numpy as np\n"
            "from enilnets.training import LearningRateRange\n"
            "found = LearningRateRange(np.ones(3), np.ones(3), np.ones(3), 0.1)\n"
            "try:\n    found.plot()\nexcept ImportError as e:\n    print(e)"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "pip install enilnets[plot]" in result.stdout
