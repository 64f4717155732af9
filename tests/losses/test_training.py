"""Every loss through the verbs of NeuralNet: what is reported is what is minimised, weighted and refused."""

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError, DataError, EnilnetsError, ShapeError
from enilnets.losses import LOSSES
from tests.gradients import check_direction

LAST = {"cross_entropy": "softmax", "categorical_cross_entropy": "softmax", "sparse_cross_entropy": "softmax"}
LAST |= {"binary_cross_entropy": "sigmoid", "focal": "sigmoid"}


def network(head="linear", n_out=3, **settings):
    settings = {"learning_rate": 0.1, "optimizer": "sgd", "momentum": 0.0, "l2_lambda": 0.0, "rng": 3, **settings}
    return NeuralNet(**settings).add_dense(4, 5, "tanh").add_dense(5, n_out, head)


def data(name, rng, n=6, n_out=3):
    """Inputs, targets, and what the loss needs besides."""
    x, t = rng.normal(size=(n, 4)), rng.dirichlet(np.ones(n_out), size=n)
    further = {
        "triplet": {"negative": rng.normal(size=(n, n_out)), "margin": 20.0},
        "kl_divergence": {"mu": rng.normal(size=(n, n_out)), "logvar": rng.normal(size=(n, n_out))},
        "huber": {"delta": 0.4},
    }
    return x, t, further.get(name, {})


def gradients(net, x, t, **arguments):
    net.Forward(x, training=True)
    net.Backward(t, **arguments)
    return net.arena.gradients.copy()


def check_network(net, x, t, rng, name, options):
    """The gradients of all parameters against differences of ComputeLoss."""
    analytic = gradients(net, x, t, loss_function=name, **options)
    start = net.arena.values.copy()

    def loss(values):
        net.arena.values[:] = values
        return net.ComputeLoss(net.Forward(x), t, name, **options)

    check_direction(loss, start, analytic, rng, rtol=2e-6)
    net.arena.values[:] = start


@pytest.mark.contract("B2")
@pytest.mark.defect("L2", "L3")
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "kl_divergence"])
def test_backward_propagates_the_gradient_of_the_loss(name, rng):
    x, t, options = data(name, rng)
    check_network(network(LAST.get(name, "linear")), x, t, rng, name, options)


@pytest.mark.defect("L2", "L6")
@pytest.mark.parametrize("head", ["linear", "relu", "softmax", "sigmoid", "tanh", "gelu", "swish", "mish", "softplus"])
@pytest.mark.parametrize("name", ["mse", "huber", "hinge", "wasserstein", "cosine_similarity", "triplet", "ntxent"])
def test_any_head_before_a_loss_of_any_numbers(name, head, rng):
    x, t, options = data(name, rng)
    check_network(network(head), x, t, rng, name, options)


@pytest.mark.defect("L6")
def test_softmax_within_and_before_dropout(rng):
    x, t, _ = data("mse", rng)
    within = NeuralNet(rng=1, l2_lambda=0.0).add_dense(4, 5, "softmax").add_dense(5, 3, "linear")
    check_network(within, x, t, rng, "mse", {})
    before = NeuralNet(rng=1, l2_lambda=0.0).add_dense(4, 5, "tanh").add_dense(5, 3, "softmax").add_dropout(0.3)
    check_network(before.eval(), x, t, rng, "mse", {})  # so that two passes drop the same: nothing


@pytest.mark.defect("L1")
def test_backward_alone_keeps_the_documented_rule_and_with_mse_is_exact(rng):
    """(o - t) / batch is n / 2 times the gradient of the mean over batch and outputs; Backward(t, "mse") has that."""
    net = network()
    x, t, _ = data("mse", rng)
    output = net.Forward(x, training=True)
    net.Backward(t)
    np.testing.assert_array_equal(net.deltas[-1], (output - t) / 6)
    net.Backward(t, loss_function="mse")
    np.testing.assert_allclose(net.deltas[-1], 2 * (output - t) / 18)
    check_network(net, x, t, rng, "mse", {})


@pytest.mark.contract("B2")
def test_backward_alone_takes_any_targets(rng):
    for head in ("linear", "softmax"):
        net = network(head)
        output = net.Forward(rng.normal(size=(2, 4)), training=True)
        net.Backward([[5, -3, 0], [0, 0, 0]])
        np.testing.assert_allclose(net.deltas[-1], (output - [[5, -3, 0], [0, 0, 0]]) / 2)


@pytest.mark.contract("T2", "T5")
@pytest.mark.defect("L2", "L3")
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "kl_divergence"])
def test_one_small_step_lowers_the_reported_loss(name, rng):
    x, t, options = data(name, rng)
    net = network(LAST.get(name, "linear"), learning_rate=1e-3)
    before = net.ComputeLoss(net.predict(x), t, name, **options)
    reported, output = net.TrainBatch(x, t, name, **options)
    assert reported == pytest.approx(before) and output.shape == t.shape
    slope = float(np.sum(net.arena.gradients**2))
    after = net.ComputeLoss(net.predict(x), t, name, **options)
    assert after - before == pytest.approx(-1e-3 * slope, rel=0.05)


@pytest.mark.defect("L2")
def test_losses_move_the_weights_differently(rng):
    x, t, _ = data("mse", rng)
    moved = set()
    for name in ("mse", "mae", "huber", "hinge", "wasserstein", "cosine_similarity"):
        net = network()
        net.TrainBatch(x, t, name)
        moved.add(net.arena.values.tobytes())
    assert len(moved) == 6


@pytest.mark.defect("L3")
def test_arguments_of_a_loss_reach_the_gradient_and_reduction_is_none(rng):
    x, t, _ = data("mse", rng)
    moved = set()
    for options in ({"delta": 0.1}, {"delta": 1.0}):
        net = network()
        net.TrainBatch(x, t, "huber", **options)
        moved.add(net.arena.values.tobytes())
    assert len(moved) == 2
    net = network()
    before = net.arena.values.copy()
    with pytest.raises(ConfigError, match="reduction"):
        net.TrainBatch(x, t, "mse", reduction="none")
    assert np.array_equal(net.arena.values, before) and net.t == 0


@pytest.mark.contract("S6", "S7", "B2")
@pytest.mark.parametrize(
    "name, options, message",
    [
        ("triplet", {}, "negative"),
        ("triplet", {"negative": np.ones((5, 3))}, r"\(6, 3\)"),
        ("triplet", {"negative": np.full((6, 3), np.nan)}, "finite"),
        ("kl_divergence", {}, "expected the array mu"),
        ("huber", {"delta": -1}, "delta.*> 0"),
        ("mse", {"delta": 1}, "no further arguments, got delta"),
        ("mean_error", {}, "mse, binary_cross_entropy"),
        (["mse"], {}, "mse, binary_cross_entropy"),
        ("mse", {"class_weight": {0: 1}}, "class_weight"),
        ("mse", {"sample_weight": [1, 2]}, "sample_weight"),
        ("cross_entropy", {"label_smoothing": 1.5}, "label_smoothing"),
    ],
)
def test_what_a_loss_cannot_take_leaves_the_network_alone(name, options, message, rng):
    x, t, _ = data(name if isinstance(name, str) else "mse", rng)
    net = network("softmax" if name == "cross_entropy" else "linear")
    before = net.arena.values.copy()
    state = net.rng.bit_generator.state
    net.Forward(x, training=True)
    for call in (
        lambda: net.TrainBatch(x, t, name, **options),
        lambda: net.Train(x, t, loss_function=name, verbose=0, **options),
        lambda: net.Backward(t, loss_function=name, **options),
    ):
        with pytest.raises(EnilnetsError, match=message):
            call()
    assert np.array_equal(net.arena.values, before) and net.t == 0 and net.rng.bit_generator.state == state
    net.Backward(t)


@pytest.mark.defect("L10")
@pytest.mark.parametrize("y, n_out", [(np.zeros(6), 1), (np.zeros((6, 1)), 3), (np.zeros((1, 3)), 3), (0.0, 3)])
def test_targets_that_would_only_broadcast(y, n_out, rng):
    net = network(n_out=n_out)
    x = rng.normal(size=(6, 4))
    before = net.arena.values.copy()
    net.Forward(x, training=True)
    for call in (
        lambda: net.Backward(y),
        lambda: net.Backward(y, loss_function="mae"),
        lambda: net.TrainBatch(x, y),
        lambda: net.Train(x, y, verbose=0),
        lambda: net.ComputeLoss(net.predict(x), y),
    ):
        with pytest.raises(ShapeError):
            call()
    assert np.array_equal(net.arena.values, before)


class TestWeights:
    def test_of_samples_repeat_them(self, rng):
        x, t, _ = data("mse", rng)
        rows = [0, 1, 1, 3, 4, 4, 4]
        weighted, repeated = network(), network()
        value = weighted.TrainBatch(x, t, "mse", sample_weight=[1, 2, 0, 1, 3, 0])[0]
        assert value == pytest.approx(repeated.TrainBatch(x[rows], t[rows], "mse")[0])
        np.testing.assert_allclose(weighted.arena.values, repeated.arena.values)

    def test_are_shuffled_along(self, rng):
        x, t, _ = data("mse", rng, n=20)
        keep = np.arange(20) % 2
        weighted, alone = network(), network()
        history = weighted.Train(x, t, epochs=3, batch_size=20, verbose=0, sample_weight=keep)
        expected = alone.Train(x[keep > 0], t[keep > 0], epochs=3, batch_size=20, verbose=0)
        np.testing.assert_allclose(weighted.arena.values, alone.arena.values)
        np.testing.assert_allclose(history["loss"], expected["loss"])

    def test_history_is_the_weighted_mean_over_the_samples(self, rng):
        x, t, _ = data("mse", rng, n=10)
        weights = rng.integers(0, 4, size=10).astype(float)
        net = network(learning_rate=0.0)
        history = net.Train(x, t, epochs=1, batch_size=3, X_val=x, Y_val=t, verbose=0, sample_weight=weights)
        expected = net.ComputeLoss(net.predict(x), t, "mse", sample_weight=weights)
        assert history["loss"] == [pytest.approx(expected)]
        assert history["val_loss"] == [pytest.approx(net.ComputeLoss(net.predict(x), t))]

    def test_a_batch_without_weight_does_nothing(self, rng):
        x, t, _ = data("mse", rng, n=4)
        net = network()
        before = net.arena.values.copy()
        net.Train(x, t, epochs=1, batch_size=1, verbose=0, sample_weight=[0, 0, 0, 1e-300])
        assert not np.array_equal(net.arena.values, before) and np.isfinite(net.arena.values).all()

    def test_of_classes(self, rng):
        x, labels = rng.normal(size=(12, 4)), np.arange(12) % 3
        by_class, by_sample = network("softmax"), network("softmax")
        by_class.Train(x, labels, epochs=2, batch_size=5, verbose=0, class_weight={1: 3, 2: 0.5})
        by_sample.Train(x, labels, epochs=2, batch_size=5, verbose=0, sample_weight=np.array([1, 3, 0.5])[labels])
        np.testing.assert_array_equal(by_class.arena.values, by_sample.arena.values)
        net = network("softmax")
        check = {"class_weight": [1, 3, 0.5], "label_smoothing": 0.1}
        check_network(net, x, labels, rng, "cross_entropy", check)

    def test_of_classes_balanced_over_the_whole_data(self, rng):
        x, labels = rng.normal(size=(12, 4)), np.array([0] * 8 + [1] * 3 + [2])
        balanced, given = network("softmax"), network("softmax")
        balanced.Train(x, labels, epochs=2, batch_size=5, verbose=0, class_weight="balanced")
        given.Train(x, labels, epochs=2, batch_size=5, verbose=0, class_weight=[12 / 24, 12 / 9, 12 / 3])
        np.testing.assert_allclose(balanced.arena.values, given.arena.values)

    def test_negatives_are_shuffled_along(self, rng):
        x, t, options = data("triplet", rng)
        net, other = network(), network()
        net.Train(x, t, epochs=2, batch_size=6, loss_function="triplet", verbose=0, **options)
        for _ in range(2):
            other.TrainBatch(x, t, "triplet", **options)
        np.testing.assert_allclose(net.arena.values, other.arena.values)
        with pytest.raises(DataError, match="negative"):
            net.Train(x, t, 1, 6, x, t, "triplet", 0, **options)


class TestDoubts:
    """A loss on a head it is not made for is computed as asked, with a warning."""

    @pytest.mark.parametrize(
        "name, head",
        [
            ("cross_entropy", "linear"),
            ("sparse_cross_entropy", "relu"),
            ("binary_cross_entropy", "tanh"),
            ("focal", "linear"),
            ("softmax_cross_entropy", "softmax"),
            ("bce_logits", "sigmoid"),
        ],
    )
    def test_are_raised_at_the_call(self, name, head, rng):
        x, t, _ = data(name, rng)
        net = network(head)
        for call in (
            lambda: net.Train(x, t, epochs=1, loss_function=name, verbose=0),
            lambda: network(head).TrainBatch(x, t, name),
            lambda: gradients(network(head), x, t, loss_function=name),
        ):
            with pytest.warns(UserWarning, match=f"the loss {name} takes") as caught:
                call()
            assert len(caught) == 1

    def test_of_a_kl_divergence_that_nothing_can_lower(self, rng):
        x, t, options = data("kl_divergence", rng)
        net = network()
        before = net.arena.values.copy()
        with pytest.warns(UserWarning, match="nothing to learn"):
            net.TrainBatch(x, t, "kl_divergence", **options)
        assert np.array_equal(net.arena.values, before)

    def test_there_are_none_where_the_head_is_not_known(self, rng):
        x, t, _ = data("cross_entropy", rng)
        net = NeuralNet(rng=0).add_dense(4, 3, "softmax").add_dropout(0.1)
        net.TrainBatch(x, t, "cross_entropy")


def test_compute_loss_without_a_target(rng):
    mu, logvar = rng.normal(size=(2, 4, 2))
    net = network()
    expected = np.mean(-0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar), axis=-1))
    assert net.ComputeLoss(mu, None, "kl_divergence", mu=mu, logvar=logvar) == pytest.approx(expected)
    assert net.ComputeLoss(mu, logvar, "kl_divergence") == pytest.approx(expected)
    with pytest.raises(EnilnetsError, match="target"):
        net.ComputeLoss(mu, None, "mse")


def test_targets_out_of_range_are_refused(rng):
    x, t, _ = data("mse", rng)
    for name in ("cross_entropy", "bce_logits"):
        net = network("softmax" if name == "cross_entropy" else "linear")
        with pytest.raises(DataError, match=r"targets in \[0, 1\]"):
            net.TrainBatch(x, 3 * t, name)
        with pytest.raises(DataError, match=r"targets in \[0, 1\]"):
            net.ComputeLoss(t, 3 * t, name)
