"""The callback protocol and every callback that comes with it."""

import csv
import json
import os
import pickle
import signal
import subprocess
import sys
import types

import numpy as np
import pytest

from enilnets import LRScheduler, NeuralNet, optim, training
from enilnets.errors import ConfigError, EnilnetsError, StateError
from enilnets.storage import safetensors
from enilnets.training import EMA, SWA, Callback, Checkpoint, CSVLogger, EarlyStopping, JSONLLogger, TensorBoard

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.random.default_rng(1).integers(0, 3, 40)


def net(**settings):
    made = NeuralNet(rng=0, l2_lambda=0.0, **{"learning_rate": 0.01, **settings})
    return made.add_dense(3, 8).add_batchnorm(8).add_dropout(0.2).add_dense(8, 3, "softmax")


def train(model, **settings):
    return model.Train(X, Y, **{"epochs": 3, "batch_size": 16, "verbose": 0, **settings})


class Recorder(Callback):
    def __init__(self):
        self.calls = []

    def on_train_begin(self, run):
        self.calls.append("train begins")

    def on_epoch_begin(self, run):
        self.calls.append(f"epoch {run.epoch} of {run.epochs} at {run.model.learning_rate}")

    def on_batch_end(self, run):
        assert np.isfinite(run.loss)
        self.calls.append(f"batch {run.batch} of {run.batches}, step {run.step}")

    def on_epoch_end(self, run):
        self.calls.append(f"{len(run.history['loss'])} epochs")

    def on_train_end(self, run):
        self.calls.append(f"train ends: {run.history.stopped}")


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_batch_end(self, run):
        if run.step == self.step:
            run.stop("enough")


def test_the_protocol():
    recorder = Recorder()
    train(net(), epochs=2, batch_size=20, callbacks=[recorder], scheduler=LRScheduler(0.5, "exponential", decay=0.5))
    assert recorder.calls == [
        "train begins",
        "epoch 0 of 2 at 0.5",
        "batch 1 of 2, step 1",
        "batch 2 of 2, step 2",
        "1 epochs",
        "epoch 1 of 2 at 0.25",
        "batch 1 of 2, step 3",
        "batch 2 of 2, step 4",
        "2 epochs",
        "train ends: None",
    ]


def test_a_callback_may_stop_in_the_middle_of_an_epoch(capsys):
    recorder, model = Recorder(), net()
    history = train(model, callbacks=[StopAt(4), recorder], verbose=1)
    assert history.stopped == "enough" and len(history["loss"]) == 1 and model.t == 4
    assert recorder.calls[-1] == "train ends: enough"
    assert capsys.readouterr().out.splitlines()[-1] == "Epoch 2/3 - stopped: enough"


@pytest.mark.parametrize("callbacks", [[print], 3, [EarlyStopping]])
def test_only_callbacks_are_taken(callbacks):
    model = net()
    with pytest.raises(ConfigError, match="callbacks"):
        train(model, callbacks=callbacks)
    assert model.t == 0


def test_callbacks_that_only_look_change_no_bit(tmp_path):
    plain, watched = net(), net()
    watchers = [Recorder(), EMA(), SWA(1), CSVLogger(tmp_path / "log"), Checkpoint(tmp_path / "net.safetensors")]
    assert train(plain) == train(watched, callbacks=watchers)
    assert np.array_equal(plain.arena.values, watched.arena.values)


class Scripted(Callback):
    """Puts given values into the history, and the epoch's number into the weights."""

    def __init__(self, **values):
        self.values = values

    def on_epoch_end(self, run):
        run.model.arena.values[...] = run.epoch
        run.model.layers[1]["running_mean"] = np.full(8, float(run.epoch))
        for name, values in self.values.items():
            run.history[name][-1:] = [values[run.epoch]]


class TestEarlyStopping:
    @pytest.mark.parametrize(
        "monitor, values, min_delta, epochs, best",
        [
            ("loss", [5, 4, 4, 3.5, 6, 6, 6, 1], 0.0, 6, 3),  # epochs 4 and 5 wait
            ("loss", [5, 4, 4, 3.5, 6, 6, 6, 1], 0.6, 4, 1),  # 3.5 is not better than 4 by more than 0.6
            ("accuracy", [0.1, 0.2, 0.2, 0.3, 0.1, 0.1, 1, 1], 0.0, 6, 3),
            ("loss", [8, 7, 6, 5, 4, 3, 2, 1], 0.0, 8, 7),
        ],
    )
    def test_by_hand(self, monitor, values, min_delta, epochs, best):
        stopping, model = EarlyStopping(monitor, patience=2, min_delta=min_delta), net()
        history = train(model, epochs=8, callbacks=[Scripted(**{monitor: values}), stopping])
        assert len(history["loss"]) == epochs and history.stopped == ("early stopping" if epochs < 8 else None)
        assert stopping.best_epoch == best and stopping.best == values[best]
        assert (model.arena.values == best).all() and (model.layers[1]["running_mean"] == best).all()

    def test_the_last_weights_stay_if_wanted(self):
        model = net()
        stopping = EarlyStopping("loss", patience=1, restore_best_weights=False)
        train(model, callbacks=[Scripted(loss=[1, 2, 3]), stopping])
        assert (model.arena.values == 1).all()

    def test_a_second_run_begins_anew(self):
        stopping = EarlyStopping("loss", patience=1)
        for _ in range(2):
            train(net(), callbacks=[Scripted(loss=[3, 4, 5]), stopping])
            assert stopping.best == 3 and stopping.best_epoch == 0

    def test_refusals(self):
        with pytest.raises(StateError, match="X_val"):
            train(net(), callbacks=[EarlyStopping()])
        with pytest.raises(StateError, match="NaN"):
            model = NeuralNet(rng=0).add_dense(3, 1, "linear")
            model.Train(X, X[:, :1], verbose=0, callbacks=[EarlyStopping("accuracy")])
        for settings in ({"monitor": "losss"}, {"patience": 0}, {"min_delta": -1}, {"restore_best_weights": 1}):
            with pytest.raises(ConfigError, match=next(iter(settings))):
                EarlyStopping(**settings)


class TestCheckpoint:
    def test_every_epoch_has_its_file(self, tmp_path):
        train(net(), callbacks=[Checkpoint(tmp_path / "net-{epoch:02d}.safetensors", every=2)], epochs=5)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["net-02.safetensors", "net-04.safetensors"]

    def test_best_only(self, tmp_path):
        path = tmp_path / "net.safetensors"
        script = Scripted(val_loss=[3, 2, 4, 5])
        train(net(), callbacks=[Checkpoint(path, save_best_only=True), script], epochs=4, X_val=X, Y_val=Y)
        assert (NeuralNet().Load(path).arena.values[:5] == 1).all()

    def test_refusals(self, tmp_path):
        with pytest.raises(ConfigError, match="path"):
            Checkpoint(tmp_path / "{epoch}-{name}.safetensors")
        with pytest.raises(ConfigError, match="monitor"):
            Checkpoint(tmp_path / "net.safetensors", monitor="f1")
        from tests.training.test_fit import Scale

        with pytest.raises(StateError, match="Save"):
            ones = np.ones((4, 1))
            training.fit(Scale(), ones, ones, epochs=1, batch_size=4, loss="mse", callbacks=[Checkpoint("x")])


class TestLoggers:
    def test_csv(self, tmp_path):
        history = train(net(), callbacks=[CSVLogger(tmp_path / "log.csv")], X_val=X, Y_val=Y)
        with open(tmp_path / "log.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["epoch"] for row in rows] == ["1", "2", "3"]
        for name, values in history.items():
            assert [float(row[name]) for row in rows] == values

    def test_what_there_is_not_stays_empty(self, tmp_path):
        model = NeuralNet(rng=0).add_dense(3, 1, "linear")
        logs = [CSVLogger(tmp_path / "log.csv"), JSONLLogger(tmp_path / "log.jsonl")]
        history = model.Train(X, X[:, :1], epochs=1, verbose=0, callbacks=logs)
        assert (tmp_path / "log.csv").read_text().splitlines()[1] == f"1,{history['loss'][0]!r},,,,0.001"
        line = json.loads((tmp_path / "log.jsonl").read_text())
        assert line == {"epoch": 1, "loss": history["loss"][0], "accuracy": None, "lr": 0.001}

    def test_a_new_run_starts_the_file_anew_and_a_resumed_one_appends(self, tmp_path):
        path, model = tmp_path / "log.jsonl", net()
        for resume, lines in ((False, 3), (False, 3), (True, 6)):
            train(model, callbacks=[JSONLLogger(path)], resume=resume)
            assert len(path.read_text().splitlines()) == lines
        assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
    def test_nothing_is_lost_when_the_process_dies(self, tmp_path):
        code = (
            "import os, signal, sys, numpy as np\n"
            "from enilnets import NeuralNet, training\n"
            "class Die(training.Callback):\n"
            "    def on_batch_end(self, run):\n"
            "        if run.epoch == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
            "x = np.ones((4, 1))\n"
            "logs = [training.CSVLogger(sys.argv[1] + '/a'), training.JSONLLogger(sys.argv[1] + '/b')]\n"
            "NeuralNet(rng=0).add_dense(1, 1).Train(x, x, epochs=9, verbose=0, callbacks=[Die(), *logs])\n"
        )
        result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=120)
        assert result.returncode == -signal.SIGKILL
        assert len((tmp_path / "a").read_text().splitlines()) == 3
        assert len((tmp_path / "b").read_text().splitlines()) == 2


class TestTensorBoard:
    def test_scalars_of_every_epoch(self, tmp_path, monkeypatch):
        calls = []

        class SummaryWriter:
            def __init__(self, log_dir):
                calls.append(log_dir)

            def add_scalar(self, *scalar):
                calls.append(scalar)

            def flush(self):
                calls.append("flush")

            def close(self):
                calls.append("close")

        monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=SummaryWriter))
        history = train(net(), epochs=1, callbacks=[TensorBoard(tmp_path)])
        assert calls == [
            str(tmp_path),
            ("loss", history["loss"][0], 1),
            ("accuracy", history["accuracy"][0], 1),
            ("lr", 0.01, 1),
            "flush",
            "close",
        ]

    def test_missing(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "tensorboardX", None)
        with pytest.raises(ImportError, match=r"enilnets\[tensorboard\]"):
            TensorBoard(tmp_path)


class Values(Callback):
    """Collects the arena's values after every step or epoch."""

    def __init__(self):
        self.steps, self.epochs = [], []

    def on_train_begin(self, run):
        self.steps.append(run.model.arena.values.copy())

    def on_batch_end(self, run):
        self.steps.append(run.model.arena.values.copy())

    def on_epoch_end(self, run):
        self.epochs.append(run.model.arena.values.copy())


class TestAverages:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("warmup", [False, True])
    def test_ema_follows_its_equation(self, dtype, warmup):
        model, ema, values = net(dtype=dtype), EMA(0.9, warmup=warmup), Values()
        train(model, callbacks=[ema, values])
        average = values.steps[0].astype(float)
        for n, w in enumerate(values.steps[1:], start=1):
            decay = min(0.9, (1 + n) / (10 + n)) if warmup else 0.9
            average = decay * average + (1 - decay) * w
        own = model.arena.values.copy()
        with ema.applied() as inside:
            assert inside is model
            np.testing.assert_allclose(model.arena.values, average, rtol=1e-6 if dtype == "float32" else 1e-12)
        assert np.array_equal(model.arena.values, own) and model.arena.values.dtype == dtype

    def test_ema_averages_steps_not_batches(self):
        ema = EMA()
        train(net(), callbacks=[ema], accumulation_steps=2, epochs=1)
        assert ema.count == 2

    def test_swa_is_the_mean_of_the_epochs(self):
        model, swa, values = net(), SWA(start=2, every=2), Values()
        train(model, callbacks=[swa, values], epochs=7)
        swa.apply()
        mean = np.mean([values.epochs[i] for i in (2, 4, 6)], axis=0)
        np.testing.assert_allclose(model.arena.values, mean, rtol=1e-12, atol=1e-15)

    def test_batchnorm_statistics_are_estimated_again_and_come_back(self):
        model, swa = net(), SWA(1)
        train(model, callbacks=[swa])
        statistics, random = model.layers[1]["running_mean"].copy(), model.rng.bit_generator.state
        with swa.applied(X):
            z = X @ model.layers[0]["weights"].T + model.layers[0]["bias"]
            z = np.maximum(z, 0)
            np.testing.assert_allclose(model.layers[1]["running_mean"], z.mean(0), rtol=1e-12)
            np.testing.assert_allclose(model.layers[1]["running_var"], z.var(0), rtol=1e-12)
        assert np.array_equal(model.layers[1]["running_mean"], statistics)
        assert model.layers[1].momentum == 0.1 and model.rng.bit_generator.state == random

    def test_statistics_are_weighted_by_batch(self):
        model = NeuralNet(rng=0).add_batchnorm(3).add_dense(3, 1)
        model.eval()
        training.reestimate_batchnorm(model, X, batch_size=16)
        np.testing.assert_allclose(model.layers[0]["running_mean"], X.mean(0), rtol=1e-12)
        assert model.training is False

    def test_own_weights_come_back_after_an_error(self):
        model, ema = net(), EMA()
        train(model, callbacks=[ema])
        own = model.arena.values.copy()
        with pytest.raises(KeyError), ema.applied():
            raise KeyError
        assert np.array_equal(model.arena.values, own)

    def test_refusals(self):
        for average in (EMA(), SWA(3)):
            with pytest.raises(StateError, match="callbacks="), average.applied():
                pass
        for make in (lambda: EMA(1.0), lambda: EMA(warmup=1), lambda: SWA(-1), lambda: SWA(1, 0)):
            with pytest.raises(ConfigError):
                make()


class TestResume:
    def parts(self, path):
        plateau = LRScheduler(0.05, "plateau", patience=0, factor=0.5, threshold=0.5)
        first = LRScheduler(0.02, "constant")
        scheduler = LRScheduler(1.0, "sequential", schedules=[first, plateau], milestones=[2])
        stopping = EarlyStopping("loss", patience=50)
        return scheduler, [Checkpoint(path, "loss", save_best_only=True), EMA(0.95), SWA(1), stopping]

    def test_states_come_back_from_the_file(self, tmp_path):
        """Train 8 = train 5, save, load, train 3: schedule, averages and best weights included, bit for bit."""
        whole = net(optimizer=optim.SGD(nesterov=True))
        scheduler, callbacks = self.parts(tmp_path / "best.safetensors")
        expected = train(whole, epochs=8, scheduler=scheduler, callbacks=callbacks)
        averages = [callback.state() for callback in callbacks]

        half = net(optimizer=optim.SGD(nesterov=True))
        scheduler, callbacks = self.parts(tmp_path / "half.safetensors")
        train(half, epochs=5, scheduler=scheduler, callbacks=[*callbacks, Checkpoint(tmp_path / "last.safetensors")])

        half = NeuralNet().Load(tmp_path / "last.safetensors")
        scheduler, callbacks = self.parts(tmp_path / "half.safetensors")
        history = train(half, epochs=3, scheduler=scheduler, callbacks=callbacks, resume=True)
        assert history == {name: values[5:] for name, values in expected.items()}
        assert len(set(expected["lr"])) > 2
        assert repr([callback.state() for callback in callbacks]) == repr(averages)
        assert np.array_equal(half.arena.values, whole.arena.values)
        assert callbacks[-1].best_epoch is not None

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_in_a_new_process(self, tmp_path, dtype):
        for part in ("whole", "first", "second"):
            subprocess.run([sys.executable, "-c", RUN, part, dtype, str(tmp_path)], check=True, timeout=300)
        whole, second = (safetensors.load(tmp_path / f"{part}.safetensors") for part in ("whole", "second"))
        assert whole[0].keys() == second[0].keys() and any("run.callbacks" in name for name in whole[0])
        assert all(np.array_equal(whole[0][name], second[0][name]) for name in whole[0])
        assert whole[1] == second[1]

    def test_refusals(self):
        model = net()
        with pytest.raises(StateError, match="resume"):
            train(model, resume=True)
        train(model, callbacks=[EMA()], scheduler=LRScheduler(0.1, "cosine"))
        for settings, match in (
            ({"callbacks": [EMA()]}, "the scheduler of the run"),
            ({"scheduler": LRScheduler(0.1, "step"), "callbacks": [EMA()]}, "mode"),
            ({"scheduler": LRScheduler(0.1, "cosine")}, "EMA"),
            ({"scheduler": LRScheduler(0.1, "cosine"), "callbacks": [EMA(), SWA(2)]}, "EMA, SWA"),
        ):
            with pytest.raises(StateError, match=match):
                train(model, resume=True, **settings)
        with pytest.raises(ConfigError, match="initial_epoch"):
            train(model, resume=True, initial_epoch=3)


RUN = """
import sys
import numpy as np
from enilnets import LRScheduler, NeuralNet, training
rng = np.random.default_rng(0)
x, y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
part, dtype, folder = sys.argv[1:]
scheduler = LRScheduler(0.05, "one_cycle", max_epochs=40, per="step")
callbacks = [training.EMA(0.9), training.SWA(2), training.EarlyStopping("loss", patience=99)]
callbacks.append(training.Checkpoint(f"{folder}/{part}.safetensors"))
net = NeuralNet(0.01, "sgd", dtype=dtype, rng=3).add_dense(4, 8).add_batchnorm(8).add_dropout(0.3)
net.add_dense(8, 3, activation="softmax")
if part == "second":
    net = NeuralNet().Load(f"{folder}/first.safetensors")
epochs = {"whole": 10, "first": 4, "second": 6}[part]
net.Train(x, y, epochs=epochs, batch_size=16, verbose=0, scheduler=scheduler, callbacks=callbacks,
          resume=part == "second")
"""


def test_ctrl_c_leaves_the_best_weights_alone():
    class Interrupt(Callback):
        def on_batch_end(self, run):
            if run.epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)

    model, recorder = net(), Recorder()
    history = train(model, epochs=9, callbacks=[Interrupt(), EarlyStopping("loss"), recorder])
    assert history.stopped == "interrupt" and recorder.calls[-1] == "train ends: interrupt"
    assert model.t == 7 and not model.arena.parameters[0].fresh


@pytest.mark.parametrize(
    "x", [3, "abc", np.zeros((4, 9)), np.r_[np.zeros((300, 2)), np.full((1, 2), np.nan)]], ids=repr
)
def test_an_average_that_cannot_be_applied_changes_nothing(x, rng):
    ema = training.EMA(0.5)
    net = NeuralNet(0.1, rng=0).add_batchnorm(2).add_dense(2, 1)
    net.Train(rng.normal(size=(8, 2)), rng.normal(size=(8, 1)), epochs=2, verbose=0, callbacks=[ema])
    before = pickle.dumps(net.get_weights())
    for use in (ema.apply, lambda x: training.reestimate_batchnorm(net, x)):
        with pytest.raises(EnilnetsError):
            use(x)
        assert pickle.dumps(net.get_weights()) == before


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8", "int8"])
def test_statistics_are_estimated_from_any_real_array(dtype):
    net = NeuralNet(rng=0).add_batchnorm(2)
    training.reestimate_batchnorm(net, np.arange(16).astype(dtype).reshape(4, 4)[:, ::2])
    assert net.layers[0]["running_mean"].tolist() == [6.0, 8.0]
