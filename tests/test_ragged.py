"""Sequences of several lengths, resets and carried states, from the verbs of NeuralNet down to gradients."""

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError, DataError, ShapeError
from enilnets.layers import LSTM, Dense, Residual, Sequential
from enilnets.training import find_learning_rate


def tagger(cell="lstm", dtype="float64", **settings):
    """A class for every step."""
    net = NeuralNet(learning_rate=0.01, l2_lambda=0.0, dtype=dtype, rng=0)
    getattr(net, f"add_{cell}")(3, 6, return_sequences=True, **settings)
    return net.add_dense(n_out=4, activation="softmax")


def classifier(dtype="float64"):
    """A class for every sequence."""
    net = NeuralNet(learning_rate=0.01, l2_lambda=0.0, dtype=dtype, rng=0)
    return net.add_gru(3, 6).add_dense(n_out=4, activation="softmax")


@pytest.fixture
def data(rng):
    lengths = np.array([5, 2, 1, 4, 3, 5])
    return rng.normal(size=(6, 5, 3)), rng.integers(0, 4, (6, 5)), lengths


def spoiled(x, y, lengths):
    """The same sequences with other padding: NaN, and labels that are no class."""
    behind = np.arange(x.shape[1]) >= lengths[:, None]
    x, y = x.copy(), y.copy()
    x[behind], y[behind] = np.nan, -1
    return x, y


def gradients(net):
    return net.arena.gradients.copy()


@pytest.mark.parametrize("settings", [{}, {"bidirectional": True}, {"num_layers": 2}])
def test_a_padded_batch_is_its_sequences_one_by_one(data, settings):
    """The loss is the mean over the steps that there are, and so is its gradient."""
    x, y, lengths = data
    net = tagger(**settings)
    net.Forward(x, training=True, lengths=lengths)
    net.Backward(y, loss_function="cross_entropy")
    together = gradients(net)
    one_by_one, total = 0, 0.0
    for k, length in enumerate(lengths):
        output = net.Forward(x[k : k + 1, :length], training=True)
        net.Backward(y[k : k + 1, :length], loss_function="cross_entropy")
        one_by_one = one_by_one + gradients(net) * length / lengths.sum()
        total += float(net.ComputeLoss(output, y[k : k + 1, :length], "cross_entropy")) * length / lengths.sum()
    np.testing.assert_allclose(together, one_by_one, rtol=1e-10, atol=1e-12)
    loss, _ = net.TrainBatch(x, y, lengths=lengths)
    assert np.isclose(loss, total, rtol=1e-12)


@pytest.mark.parametrize("make", [tagger, classifier])
def test_what_stands_in_the_padding_is_never_read(data, make):
    x, y, lengths = data
    other_x, other_y = spoiled(x, y, lengths)
    nets = [make(), make()]
    losses = []
    for net, xs, ys in ((nets[0], x, y), (nets[1], other_x, other_y)):
        ys = ys if make is tagger else np.abs(ys[:, 0])
        losses.append(net.TrainBatch(xs, ys, lengths=lengths)[0])
        history = net.Train(
            xs, ys, epochs=2, batch_size=4, lengths=lengths, verbose=0, X_val=xs, Y_val=ys, lengths_val=lengths
        )
        losses.append([history[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")])
    assert losses[:2] == losses[2:]
    assert np.array_equal(nets[0].arena.values, nets[1].arena.values)
    inside = np.arange(5) < lengths[:, None]
    predicted = [nets[0].predict(xs, lengths=lengths) for xs in (x, other_x)]
    if make is tagger:
        predicted = [p[inside] for p in predicted]
    assert np.array_equal(*predicted)
    with pytest.raises(DataError, match="finite"):
        nets[0].predict(other_x)


def test_accuracies_and_losses_count_the_steps_that_there_are(data):
    x, y, lengths = data
    net = tagger()
    inside = np.arange(5) < lengths[:, None]
    output = net.predict(x, lengths=lengths)
    right = float(np.mean(output.argmax(-1)[inside] == y[inside]))
    loss = float(-np.mean(np.log(output[inside, y[inside]])))
    frozen = tagger()
    frozen.learning_rate = 0.0
    history = frozen.Train(
        x, y, epochs=1, batch_size=4, lengths=lengths, verbose=0, X_val=x, Y_val=y, lengths_val=lengths
    )
    for name, wanted in (("accuracy", right), ("val_accuracy", right), ("loss", loss), ("val_loss", loss)):
        assert np.isclose(history[name][0], wanted, rtol=1e-12), name


def test_training_and_validation_run_with_the_lengths(data):
    """The class of a sequence is read at its own end, in every pass of Train."""
    x, y, lengths = data
    net = classifier()
    net.learning_rate, y = 0.0, y[:, 0]
    output = net.predict(x, lengths=lengths)
    loss = float(-np.mean(np.log(output[np.arange(6), y])))
    assert not np.isclose(loss, -np.mean(np.log(net.predict(x)[np.arange(6), y])))
    history = net.Train(x, y, epochs=1, batch_size=4, lengths=lengths, verbose=0, X_val=x, Y_val=y, lengths_val=lengths)
    assert np.isclose(history["loss"][0], loss) and np.isclose(history["val_loss"][0], loss)


def test_weights_and_lengths_multiply(data):
    x, y, lengths = data
    net = tagger()
    weights = np.array([1.0, 2, 0, 1, 0.5, 3])
    inside = (np.arange(5) < lengths[:, None]).astype(float)
    for given in (weights, weights[:, None] * np.ones((6, 5))):
        net.Forward(x, training=True, lengths=lengths)
        net.Backward(y, loss_function="cross_entropy", sample_weight=given)
        together = gradients(net)
        net.Forward(x, training=True)
        net.Backward(y, loss_function="cross_entropy", sample_weight=weights[:, None] * inside)
        np.testing.assert_allclose(together, gradients(net), rtol=1e-9, atol=1e-13)


def test_balanced_classes_count_the_steps_that_there_are(data):
    x, _, lengths = data
    inside = np.arange(5) < lengths[:, None]
    y = np.where(inside, np.arange(5) % 2, 3)
    by_hand = np.array([inside.sum() / (2 * np.sum(y[inside] == c)) if c < 2 else 0 for c in range(4)])
    net = tagger()
    net.Forward(x, training=True, lengths=lengths)
    net.Backward(y, loss_function="cross_entropy", class_weight="balanced")
    balanced = gradients(net)
    net.Backward(y, loss_function="cross_entropy", class_weight=by_hand)
    np.testing.assert_allclose(balanced, gradients(net), rtol=1e-10)


def test_the_documented_rule_leaves_the_padding_out(data):
    x, y, lengths = data
    net = tagger()
    net.Forward(x, training=True, lengths=lengths)
    net.Backward(spoiled(x, y, lengths)[1])
    assert not net.deltas[-1][np.arange(5) >= lengths[:, None]].any()
    assert net.deltas[-1][0, 4].any()


def test_whole_sequences_with_lengths_are_those_without(data):
    x, y, _ = data
    nets = [tagger(), tagger()]
    nets[0].TrainBatch(x, y)
    nets[1].TrainBatch(x, y, lengths=[5] * 6)
    assert np.array_equal(nets[0].arena.values, nets[1].arena.values)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_carried_state_goes_on_where_it_ended(cell, data):
    x, _, _ = data
    net = tagger(cell, num_layers=2)
    whole = net.Forward(x)
    assert set(net.state) == {"0"}
    first = net.Forward(x[:, :2])
    state = net.state
    second = net.Forward(x[:, 2:], state=state)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-12)
    assert np.array_equal(net.predict(x[:, 2:], state=state), second)
    assert np.array_equal(net.Forward(x), whole)  # nothing was remembered


def test_states_inside_of_containers(data):
    x, _, _ = data
    net = NeuralNet(rng=0)
    net.add(Residual(Sequential([LSTM(3, 3, return_sequences=True, rng=1)]), Dense(3, 3, rng=2)))
    net.add_gru(3, 5, return_sequences=True)
    whole = net.Forward(x)
    first = net.Forward(x[:, :2])
    assert set(net.state) == {"0.0.0", "1"}
    np.testing.assert_allclose(np.concatenate([first, net.Forward(x[:, 2:], state=net.state)], axis=1), whole)


def test_truncated_backpropagation(data):
    """Over pieces with the state carried on, gradients are those of each piece with that state as a constant."""
    x, y, _ = data
    net, state, pieces = tagger(), None, []
    net.learning_rate = 0.0
    for start in (0, 2):
        piece = slice(start, start + 2)
        net.TrainBatch(x[:, piece], y[:, piece], state=state)
        pieces.append(gradients(net))
        state = net.state
    net.Forward(x[:, :2])
    given = net.state
    net.Forward(x[:, 2:4], training=True, state=given)
    net.Backward(y[:, 2:4], loss_function="cross_entropy")
    np.testing.assert_allclose(pieces[1], gradients(net), rtol=1e-12)
    assert not np.allclose(pieces[0], pieces[1])


def test_episodes_inside_a_sequence(data):
    x, y, _ = data
    net, reset = tagger(), np.zeros((6, 5), bool)
    reset[:, 2] = True
    output = net.Forward(x, training=True, reset=reset)
    np.testing.assert_allclose(output[:, 2:], net.Forward(x[:, 2:]), rtol=1e-12)
    assert np.array_equal(net.predict(x, reset=reset), output)
    net.TrainBatch(x, y, reset=reset)


def test_ids_before_an_embedding(rng):
    ids, lengths = rng.integers(0, 9, (4, 6)), np.array([6, 2, 3, 1])
    net = NeuralNet(rng=0).add_embedding(9, 3).add_bidirectional_lstm(hidden_size=4).add_dense(n_out=2)
    padded = np.where(np.arange(6) < lengths[:, None], ids, 10**6)
    assert np.array_equal(net.predict(ids, lengths=lengths), net.predict(padded, lengths=lengths))
    net.TrainBatch(padded, np.zeros((4, 2)), lengths=lengths)


@pytest.mark.parametrize("loss", ["mse", "mae", "cross_entropy", "focal", "cosine_similarity"])
def test_losses_of_sequences(loss, rng):
    """Every step of every sequence is a row; the gradient is that of the loss."""
    activation = "softmax" if loss == "cross_entropy" else "sigmoid"
    net = (
        NeuralNet(l2_lambda=0.0, rng=0).add_lstm(3, 4, return_sequences=True).add_dense(n_out=2, activation=activation)
    )
    x, y, lengths = rng.normal(size=(3, 4, 3)), rng.integers(0, 2, (3, 4)), [4, 1, 3]
    y = np.eye(2)[y]
    output = net.Forward(x, training=True, lengths=lengths)
    net.Backward(y, loss_function=loss)
    analytic, values = gradients(net), net.arena.values
    v = rng.normal(size=values.shape)
    weights = (np.arange(4) < np.array(lengths)[:, None]).astype(float)
    ends = []
    for sign in (1, -1):
        values += sign * 1e-6 * v
        ends.append(float(net.ComputeLoss(net.predict(x, lengths=lengths), y, loss, sample_weight=weights)))
        values -= sign * 1e-6 * v
    assert output.shape == (3, 4, 2)
    assert np.isclose((ends[0] - ends[1]) / 2e-6, analytic @ v, rtol=1e-6)


@pytest.mark.parametrize(
    "error, words, given",
    [
        (DataError, r"TrainBatch\(lengths\).*1 to 5.*got 6", {"lengths": [6, 1, 1, 1, 1, 1]}),
        (DataError, "got 0", {"lengths": [0, 1, 1, 1, 1, 1]}),
        (ShapeError, r"\(6,\)", {"lengths": [1]}),
        (ShapeError, r"reset.*\(6, 5\)", {"reset": np.zeros((5, 6), bool)}),
        (ConfigError, "names 0", {"state": {"1": np.zeros((1, 6, 6))}}),
        (ConfigError, "state", {"state": np.zeros((1, 6, 6))}),
        (DataError, r"state.*NaN.*'0'", {"state": {"0": (np.zeros((1, 6, 6)), np.full((1, 6, 6), np.nan))}}),
        (ShapeError, r"LSTM\(3 -> 6\)\(state\)", {"state": {"0": (np.zeros((1, 5, 6)), np.zeros((1, 5, 6)))}}),
    ],
)
def test_what_is_refused(data, error, words, given):
    x, y, _ = data
    net = tagger()
    before = net.arena.values.copy()
    with pytest.raises(error, match=words):
        net.TrainBatch(x, y, **given)
    assert np.array_equal(net.arena.values, before)


def test_lengths_are_of_sequences(rng):
    net = NeuralNet(rng=0).add_dense(3, 2)
    with pytest.raises(ShapeError):
        net.predict(rng.normal(size=3), lengths=[1])
    convolved = NeuralNet(rng=0).add_conv1d(3, 2, 3)
    with pytest.raises(ShapeError, match="steps"):
        convolved.TrainBatch(rng.normal(size=(2, 3, 5)), np.zeros((2, 2, 3)), lengths=[1, 3])


def test_a_network_with_states_is_saved_and_copied(data, tmp_path):
    x, y, lengths = data
    net = tagger("gru", num_layers=2, bidirectional=True, dropout=0.2, recurrent_dropout=0.1)
    net.Train(x, y, epochs=1, batch_size=3, lengths=lengths, verbose=0)
    twin = net.copy()
    for name in ("net.safetensors", "net.json", "net.pkl"):
        net.Save(tmp_path / name)
        loaded = NeuralNet().Load(tmp_path / name)
        assert np.array_equal(loaded.predict(x, lengths=lengths), net.predict(x, lengths=lengths))
    for one in (net, twin):
        one.Train(x, y, epochs=1, batch_size=3, lengths=lengths, verbose=0)
    assert np.array_equal(net.arena.values, twin.arena.values)


@pytest.mark.parametrize("make", [tagger, classifier])
def test_the_learning_rate_finder_leaves_the_padding_out(data, make):
    x, y, lengths = data
    y = y if make is tagger else y[:, 0]
    settings = {"steps": 20, "batch_size": 3, "end_lr": 1.0}
    found = find_learning_rate(make(), x, y, lengths=lengths, **settings)
    behind = np.arange(5) >= lengths[:, None]
    x[behind] = 1e3
    if make is tagger:
        y[behind] = 0
    again = find_learning_rate(make(), x, y, lengths=lengths, **settings)
    np.testing.assert_array_equal(found.losses, again.losses)
    with pytest.raises(DataError, match=r"lengths.*1 to 5"):
        find_learning_rate(make(), x, y, lengths=[6] * 6, **settings)


def test_adding_problem_is_learned():
    """C-2 in small: 20 steps, two of which are marked; the sum of their numbers. A constant has an error of 1/6."""
    rng = np.random.default_rng(0)

    def batch(n, steps=20):
        x = np.zeros((n, steps, 2), np.float32)
        x[:, :, 0] = rng.random((n, steps))
        first, second = rng.integers(0, steps // 2, n), rng.integers(steps // 2, steps, n)
        x[np.arange(n), first, 1] = x[np.arange(n), second, 1] = 1
        return x, (x[:, :, 0] * x[:, :, 1]).sum(axis=1, keepdims=True)

    net = NeuralNet(learning_rate=5e-3, l2_lambda=0.0, dtype="float32", rng=0)
    net.add_lstm(2, 32).add_dense(n_out=1, activation="linear")
    x_test, y_test = batch(500)
    for _ in range(700):
        net.TrainBatch(*batch(64))
    error = float(np.mean((net.predict(x_test) - y_test) ** 2))
    assert error < 0.01
