"""train_step, evaluate, train_model and create_batches, for our models and for any of the three methods."""

import numpy as np
import pytest

from enilnets.errors import ConfigError, DataError, DTypeError, NonFiniteError, ShapeError
from enilnets.optim import SGD, LRScheduler
from enilnets.sequence import (
    LSTM,
    RelationalRNN,
    create_batches,
    cross_entropy_loss,
    evaluate,
    mse_loss,
    tasks,
    train_model,
    train_step,
)
from tests.sequence.relational.test_gradients import BY_HAND, Linear, X, Y


class Exact(Linear):
    """The same model, which can tell its gradients."""

    def gradients(self, X, y, task):
        outputs = self.forward(X)
        slope = 2 * (outputs - y) / outputs.size
        return mse_loss(outputs, y), outputs, {"W": slope.T @ X[:, -1], "b": slope.sum(axis=0)}


@pytest.mark.parametrize("kind", [Linear, Exact])
def test_a_step_by_hand(kind):
    """C1.8: loss before the update, its negative, norm before clipping; the step goes along the clipped gradient."""
    model = kind()
    loss, metric, norm = train_step(model, X, Y, learning_rate=0.1, clip_norm=None, task="regression")
    assert loss == (9 + 1) / 2 and metric == -loss and norm == pytest.approx(np.sqrt(9 + 49 + 16))
    np.testing.assert_allclose(model.W, [[1.0 + 0.3, -2.0 + 0.7]], rtol=1e-9)
    np.testing.assert_allclose(model.b, [0.5 + 0.4], rtol=1e-9)
    model = kind()
    assert train_step(model, X, Y, 0.1, clip_norm=1.0, task="regression")[2] == pytest.approx(norm)
    np.testing.assert_allclose(model.W, [[1.0, -2.0]] - 0.1 * BY_HAND["W"] / norm, rtol=1e-9)


def test_a_step_of_our_own(rng):
    """C1.8, C1.13: the parameters move against their gradients; the metric is the accuracy before."""
    model, x, y = LSTM(3, 4, 2, rng=0), rng.normal(size=(6, 5, 3)), rng.integers(0, 2, 6)
    params, (loss, outputs, gradients) = model.get_params(), model.gradients(x, y)
    got = train_step(model, x, y, learning_rate=0.5)
    assert got[0] == loss and got[1] == np.mean(outputs.argmax(1) == y)
    assert got[2] == pytest.approx(np.sqrt(sum(np.sum(g * g) for g in gradients.values())))
    for name, value in model.get_params().items():
        np.testing.assert_allclose(value, params[name] - 0.5 * gradients[name], rtol=1e-12, atol=1e-15)


def test_momentum_lasts_from_step_to_step(rng):
    """C1.14: an optimizer keeps its state; twice the same gradient moves 1 and then 1.9 times as far."""
    model = LSTM(3, 4, 1, rng=0)
    x, rule, before = np.zeros((1, 2, 3)), SGD(momentum=0.9), model.get_params()["b_out"][0, 0]
    model.set_params({name: 0 * value for name, value in model.get_params().items()})
    moved = []
    for _ in range(2):
        start = model.get_params()["b_out"][0, 0]
        train_step(model, x, np.full((1, 1), start + 0.5), 0.1, task="regression", optimizer=rule)
        moved.append(model.get_params()["b_out"][0, 0] - start)
    assert before == 0 and moved == pytest.approx([0.1, 0.19])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"task": "ranking"}, "task"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"optimizer": "newton"}, "optimizer"),
    ],
)
def test_what_a_step_refuses(arguments, match):
    """C1.8: an unknown task is a ValueError; nothing changes."""
    model = Linear()
    with pytest.raises(ConfigError, match=match):
        train_step(model, X, Y, **{"task": "regression", **arguments})
    assert issubclass(ConfigError, ValueError) and model.W[0, 0] == 1.0


@pytest.mark.parametrize("missing", ["forward", "get_params", "set_params"])
def test_models_that_lack_a_method(missing):
    """C3.5: every function says which one."""
    methods = {name: lambda self, *a: {} for name in ("forward", "get_params", "set_params") if name != missing}
    model = type("Part", (), methods)()
    for call in (
        lambda: train_step(model, X, Y),
        lambda: evaluate(model, X, Y),
        lambda: train_model(model, (X, Y)),
    ):
        with pytest.raises(ConfigError, match=f"Part without {missing}$"):
            call()


def test_gradients_of_other_names_are_refused():
    class Wrong(Linear):
        def gradients(self, X, y, task):
            return 0.0, self.forward(X), {"W": self.W}

    with pytest.raises(ConfigError, match="gradients of W, b"):
        train_step(Wrong(), X, Y, task="regression")


@pytest.mark.parametrize("result", [3.0, (1.0, 2.0), (1.0, np.zeros((2, 1)), [1.0])])
def test_what_gradients_returns_is_checked(result):
    model = type("Wrong", (Linear,), {"gradients": lambda self, X, y, task: result})()
    with pytest.raises(ConfigError, match="gradients\\(\\) to return loss, outputs and a dict"):
        train_step(model, X, Y, task="regression")


@pytest.mark.parametrize("params", [{}, [np.ones(2)], None, {"W": np.array([[1, 2]])}])
def test_what_get_params_returns_is_checked(params):
    """C1.12: a dict of real arrays, whichever way the gradients are found."""
    methods = {"get_params": lambda self: params, "gradients": lambda self, X, y, task: None}
    model = type("Wrong", (Linear,), methods)()
    with pytest.raises((ConfigError, DTypeError), match=r"train_step\(model\)"):
        train_step(model, X, Y, task="regression")


@pytest.mark.parametrize("data", [None, X, (X,), (X, Y, Y), "ab", {"X": X, "y": Y}])
def test_data_comes_in_pairs(data):
    for pairs, name in (((data,), "train_data"), (((X, Y), data), "val_data")):
        if name == "train_data" or data is not None:
            with pytest.raises((DTypeError, ShapeError), match="train_model"):
                train_model(Linear(), *pairs, task="regression", verbose=False)
    with pytest.raises(DTypeError, match=r"train_step\(X\)"):
        train_step(Linear(), [[[1, 2]], [[1, 2], [3, 4]]], Y)


def test_infinite_validation_losses_restore_nothing(rng):
    """C1.10: the parameters of the last epoch stay where no epoch was the best."""
    model, x = LSTM(3, 4, 1, rng=0), rng.normal(size=(6, 5, 3))
    before = model.get_params()
    history = train_model(
        model, (x, np.ones((6, 1))), (x, np.full((6, 1), 1e200)), epochs=2, task="regression", verbose=False
    )
    assert history["val_loss"] == [np.inf, np.inf]
    assert any((model.get_params()[name] != value).any() for name, value in before.items())


def test_a_gradient_that_is_not_finite_changes_nothing():
    class Broken(Linear):
        def gradients(self, X, y, task):
            return 0.0, self.forward(X), {"W": np.full((1, 2), np.inf), "b": np.zeros(1)}

    model = Broken()
    with pytest.raises(NonFiniteError):
        train_step(model, X, Y, task="regression")
    assert model.W.tolist() == [[1.0, -2.0]]


def test_evaluate_weighs_samples(rng):
    """C1.9: a shorter last batch counts for its samples; the model is as before."""
    model, x, y = LSTM(3, 4, 2, rng=0), rng.normal(size=(7, 5, 3)), rng.integers(0, 2, 7)
    params, outputs = model.get_params(), model.forward(x)
    for batch_size in (1, 3, 7, 32):
        loss, metric = evaluate(model, x, y, "classification", batch_size)
        assert loss == pytest.approx(cross_entropy_loss(outputs, y)) and metric == np.mean(outputs.argmax(1) == y)
    for name, value in model.get_params().items():
        np.testing.assert_array_equal(value, params[name])


def test_batches():
    """C1.11: every sample once, pairs stay together; in order without shuffling."""
    xs, ys = np.arange(10), np.arange(10) * 2
    parts = list(create_batches(xs, ys, 4, rng=0))
    assert [len(x) for x, _ in parts] == [4, 4, 2]
    drawn = np.concatenate([x for x, _ in parts])
    assert sorted(drawn) == list(xs) and list(drawn) != list(xs)
    assert all(np.array_equal(y, 2 * x) for x, y in parts)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in create_batches(xs, ys, 4, shuffle=False)]), xs)
    with pytest.raises(ShapeError):
        create_batches(xs, ys[:9])
    with pytest.raises(DataError):
        create_batches(xs[:0], ys[:0])


@pytest.fixture(scope="module")
def data():
    X, y = tasks.largest_of_last_step(120, length=4, features=4, rng=0)
    return (X[:80], y[:80]), (X[80:], y[80:])


def test_history(data, capsys):
    """C1.10, C1.13: an entry per epoch, the documented decay, falling losses; silent unless asked."""
    history = train_model(
        LSTM(4, 8, 3, rng=0), *data, epochs=5, learning_rate=0.4, lr_decay=0.5, lr_decay_every=2, verbose=False, rng=0
    )
    names = {"train_loss", "train_metric", "val_loss", "val_metric", "learning_rates", "grad_norms"}
    assert history.keys() == names and all(len(values) == 5 for values in history.values())
    assert history["learning_rates"] == [0.4, 0.4, 0.2, 0.2, 0.1]
    assert history["train_loss"][-1] < history["train_loss"][0] and min(history["grad_norms"]) > 0
    assert capsys.readouterr().out == ""
    train_model(LSTM(4, 8, 3, rng=0), *data, epochs=2, rng=0)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Epoch 1/2 - train_loss: ") and "val_metric" in second and second.endswith("lr: 0.001000")


class Script(Linear):
    """A model whose validation loss is what a list says: its outputs are the square roots of it."""

    def __init__(self, losses):
        super().__init__()
        self.losses, self.epoch = losses, 0

    def gradients(self, X, y, task):
        return 0.0, self.forward(X), {"W": -np.ones((1, 2)), "b": np.zeros(1)}

    def forward(self, X, return_sequences=False):
        return np.full((len(X), 1), np.sqrt(self.losses[round(self.W[0, 0]) - 1]))


@pytest.mark.parametrize(
    ("losses", "patience", "ran", "best"),
    [
        ([9, 5, 3, 4, 4, 4, 1, 1, 1, 1], 3, 6, 3),  # stops early
        ([9, 5, 3, 4, 4, 4, 1, 2, 2, 2], 4, 10, 7),  # runs out of epochs
        ([9, 8, 7, 6, 5, 4, 3, 2, 1, 0.5], 3, 10, 10),  # the last is the best
        ([9, 5, 3, 4, 4, 4, 4, 4, 4, 4], None, 10, 3),
    ],
)
def test_the_best_weights_come_back(losses, patience, ran, best):
    """C1.10, C3.9: also when the epochs run out. A step adds 1 to W, so W tells the epoch."""
    model, zero = Script([0, *losses]), (np.zeros((2, 1, 2)), np.zeros((2, 1)))
    history = train_model(
        model,
        zero,
        zero,
        epochs=10,
        learning_rate=1.0,
        lr_decay=1.0,
        clip_norm=None,
        patience=patience,
        task="regression",
        verbose=False,
    )
    assert len(history["val_loss"]) == ran and model.W[0, 0] == 1 + best
    np.testing.assert_allclose(history["val_loss"], losses[:ran])


def test_accumulation_is_one_large_batch(data):
    """C1.14: three batches of 20 and one of 20 make the step of 60, and of what is left."""
    finals = []
    for batch_size, steps in ((60, 1), (20, 3)):
        model = LSTM(4, 8, 3, rng=0)
        history = train_model(
            model, data[0], epochs=2, batch_size=batch_size, accumulation_steps=steps, verbose=False, rng=1
        )
        finals.append((model.get_params(), history["grad_norms"]))
    for name, value in finals[0][0].items():
        np.testing.assert_allclose(finals[1][0][name], value, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(finals[0][1], finals[1][1])


def test_schedules(data):
    """C1.14: warmup and cosine per epoch, or per step."""
    schedule = LRScheduler(0.1, mode="warmup_cosine", max_epochs=4, warmup_epochs=2)
    history = train_model(LSTM(4, 4, 3, rng=0), *data, epochs=4, scheduler=schedule, verbose=False)
    assert history["learning_rates"] == [schedule.step(epoch) for epoch in range(4)]
    per_step = LRScheduler(0.1, mode="cosine", per="step", max_epochs=100)
    history = train_model(LSTM(4, 4, 3, rng=0), *data, epochs=2, batch_size=10, scheduler=per_step, verbose=False)
    assert history["learning_rates"] == [per_step.step(0), per_step.step(8)]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"accumulation_steps": 0}, "accumulation_steps"),
        ({"patience": 0}, "patience"),
        ({"scheduler": 0.1}, "scheduler"),
        ({"task": "ranking"}, "task"),
        ({"lr_decay": 2.0}, "decay"),
        ({"verbose": 2}, "verbose"),
    ],
)
def test_settings_are_checked_before_anything_happens(data, arguments, match):
    model = LSTM(4, 4, 3, rng=0)
    before = model.get_params()["W_f"]
    with pytest.raises(ConfigError, match=match):
        train_model(model, *data, **{"verbose": False, **arguments})
    np.testing.assert_array_equal(model.get_params()["W_f"], before)


@pytest.mark.parametrize("kind", [LSTM, RelationalRNN])
def test_the_documented_example(kind):
    """C-5, C1.12: fifty epochs with the documented arguments and the default optimizer."""
    X, y = tasks.largest_of_last_step(96, length=6, rng=0)
    model = kind(input_size=10, hidden_size=32, output_size=3, rng=0)
    history = train_model(
        model,
        train_data=(X[:64], y[:64]),
        val_data=(X[64:], y[64:]),
        epochs=50,
        batch_size=32,
        learning_rate=0.01,
        task="classification",
        verbose=False,
        rng=0,
    )
    assert history["train_loss"][-1] < history["train_loss"][0]
    loss, accuracy = evaluate(model, X[64:], y[64:])
    assert loss == pytest.approx(min(history["val_loss"]), abs=1.1e-4) and 0 <= accuracy <= 1


class Affine:
    """A model of the three methods, of any dtype."""

    def __init__(self, *dtypes):
        rng = np.random.default_rng(1)
        self.W, self.b = (
            rng.normal(size=shape).astype(dtype) for shape, dtype in zip([(3, 5), 3], dtypes, strict=True)
        )

    def forward(self, X, return_sequences=False):
        return X[:, -1].astype(self.W.dtype) @ self.W.T + self.b

    def get_params(self):
        return {"W": self.W, "b": self.b}

    def set_params(self, params):
        self.W, self.b = params["W"], params["b"]


@pytest.mark.parametrize("dtypes", [("f4", "f4"), ("f4", "f8"), ("f8", "f8"), ("f2", "f2")])
def test_models_of_other_dtypes(dtypes, rng):
    """C1.12: parameters keep their dtypes, and float32 is differentiated with steps that it can hold."""
    X, y = rng.normal(size=(16, 4, 5)).astype("f4"), rng.integers(0, 3, 16)
    model, exact = Affine(*dtypes), Affine("f8", "f8")
    start = model.W.astype(float)
    exact.set_params({name: value.astype(float) for name, value in model.get_params().items()})
    train_step(model, X, y, 1.0)
    train_step(exact, X, y, 1.0)
    assert (model.W.dtype, model.b.dtype) == dtypes
    moved, right = model.W - start, exact.W - start
    assert np.linalg.norm(moved - right) < (0.05 if "f2" in dtypes else 1e-4) * np.linalg.norm(right)


def test_a_step_that_fails_leaves_no_gradient(rng):
    model, X = LSTM(3, 4, 1, rng=0), rng.normal(size=(1, 5, 3))
    before = model.arena.values.copy()
    with pytest.raises(NonFiniteError):
        train_step(model, X, np.full((1, 1), 1.2e154), task="regression")  # its square is a number
    np.testing.assert_array_equal(model.arena.values, before)
    assert not model.arena.gradients.any()
