"""The training loop on a model that is not a NeuralNet, its history, progress and Ctrl-C."""

import builtins
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from enilnets import LRScheduler, NeuralNet
from enilnets.errors import DataError, DTypeError, LabelError, NonFiniteError, ShapeError
from enilnets.parameters import Arena, Parameter
from enilnets.training import (
    History,
    accuracy,
    classification_report,
    confusion_matrix,
    evaluate,
    fit,
    precision_recall_f1,
    train_step,
)
from enilnets.training.metrics import measure_for
from tests.test_net import mlp


class Scale:
    """y = a x with plain gradient descent: the smallest thing that offers the Model protocol."""

    head = "linear"

    def __init__(self):
        self.a = Parameter(np.array([0.5]))
        self.arena = Arena(np.dtype("float64"), [self.a])
        self.learning_rate = 0.1
        self.rng = np.random.default_rng(0)

    def forward(self, x, train=False):
        return self.a.value * x, x

    def infer(self, x):
        return self.a.value * x

    def backward(self, ctx, dy, params=True, inputs=False, at_pre_activation=False):
        self.a.accumulate(np.array([np.sum(dy * ctx)]))

    def step(self):
        self.arena.values[:] -= self.learning_rate * self.arena.gradients
        self.arena.zero_grad()


def test_fit_needs_the_protocol_alone(rng):
    x = rng.normal(size=(64, 1))
    model = Scale()
    history = fit(model, x, 3 * x, epochs=20, batch_size=16, loss="mse")
    assert model.a.value[0] == pytest.approx(3, abs=1e-3) and history["loss"][-1] < 1e-6
    assert evaluate(model, x, 3 * x, "mse")[0] < 1e-6


def test_one_step_by_hand():
    model = Scale()
    loss, output = train_step(model, np.array([[2.0]]), np.array([[4.0]]), "mse")
    assert loss == 9 and output == 1  # (1 - 4)^2; gradient 2 (1 - 4) 2 = -12
    assert model.a.value[0] == pytest.approx(0.5 + 1.2)


def test_a_bad_loss_stops_before_the_update():
    model = Scale()
    with pytest.raises(NonFiniteError), np.errstate(over="ignore"):
        train_step(model, np.array([[1e200]]), np.array([[-1e200]]), "mse")
    assert model.a.value[0] == 0.5


@pytest.mark.contract("T3")
def test_every_sample_once_per_epoch_in_a_new_order():
    seen = []

    class Watcher(Scale):
        def forward(self, x, train=False):
            if train:
                seen.append(x[:, 0].tolist())
            return super().forward(x)

    x = np.arange(10.0)[:, None] / 100
    fit(Watcher(), x, x, epochs=2, batch_size=4, loss="mse")
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    first, second = [*seen[0], *seen[1], *seen[2]], [*seen[3], *seen[4], *seen[5]]
    assert sorted(first) == sorted(second) == x[:, 0].tolist() and first != second


@pytest.mark.contract("T3", "T6")
def test_schedules_and_plateau():
    x = np.ones((8, 1))
    history = fit(
        Scale(), x, x, epochs=4, batch_size=8, loss="mse", scheduler=LRScheduler(0.2, "exponential", decay=0.5)
    )
    assert history["lr"] == [0.2, 0.1, 0.05, 0.025]
    history = fit(
        Scale(),
        x,
        x,
        epochs=2,
        batch_size=8,
        loss="mse",
        scheduler=LRScheduler(0.2, "exponential", decay=0.5),
        initial_epoch=2,
    )
    assert history["lr"] == [0.05, 0.025]
    plateau = LRScheduler(1e-9, "plateau", patience=0, factor=0.5, threshold=0.5)
    assert fit(Scale(), x, x, epochs=4, batch_size=8, loss="mse", scheduler=plateau)["lr"] == [
        1e-9,
        1e-9,
        5e-10,
        2.5e-10,
    ]


def test_any_object_with_step_is_a_scheduler():
    class Constant:
        def step(self, epoch):
            return 0.25

    assert fit(Scale(), np.ones((4, 1)), np.ones((4, 1)), epochs=1, batch_size=4, loss="mse", scheduler=Constant())[
        "lr"
    ] == [0.25]


class TestProgress:
    def run(self, verbose):
        x = np.random.default_rng(0).normal(size=(40, 4))
        return mlp().Train(x, np.arange(40) % 3, epochs=2, X_val=x, Y_val=np.arange(40) % 3, verbose=verbose)

    @pytest.mark.parametrize("verbose", [0, False])
    def test_silent(self, capfd, verbose):
        self.run(verbose)
        assert capfd.readouterr() == ("", "")

    @pytest.mark.contract("T4")
    def test_epoch_lines(self, capfd):
        history = self.run(True)
        out, err = capfd.readouterr()
        expected = [
            f"Epoch {i + 1}/2 - loss: {history['loss'][i]:.4f} - acc: {history['accuracy'][i]:.4f} - "
            f"val_loss: {history['val_loss'][i]:.4f} - val_acc: {history['val_accuracy'][i]:.4f} - lr: 0.001000"
            for i in range(2)
        ]
        assert out.splitlines() == expected and err == ""

    def test_bar_in_a_terminal_with_tqdm(self, capsys, monkeypatch):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        self.run(True)
        out, err = capsys.readouterr()
        assert out == "" and "Epoch 2/2: 100%" in err and "2/2" in err and "val_acc" in err

    def test_lines_in_a_terminal_without_tqdm(self, capsys, monkeypatch):
        real = builtins.__import__

        def without_tqdm(name, *args, **kwargs):
            if name == "tqdm":
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(builtins, "__import__", without_tqdm)
        self.run(True)
        assert capsys.readouterr().out.startswith("Epoch 1/2 - loss:")


class TestCtrlC:
    def test_first_ends_between_two_steps(self, capsys):
        class Interrupted(Scale):
            steps = 0

            def step(self):
                super().step()
                self.steps += 1
                if self.steps == 7:
                    os.kill(os.getpid(), signal.SIGINT)

        before = signal.getsignal(signal.SIGINT)
        model = Interrupted()
        history = fit(model, np.ones((20, 1)), np.ones((20, 1)), epochs=50, batch_size=4, loss="mse", verbose=1)
        assert history.stopped == "interrupt" and len(history["loss"]) == 1 and model.steps == 7
        assert signal.getsignal(signal.SIGINT) is before
        assert capsys.readouterr().out.splitlines()[-1] == "Epoch 2/50 - stopped by Ctrl-C"

    def test_during_validation_too(self):
        class Interrupted(Scale):
            def infer(self, x):
                os.kill(os.getpid(), signal.SIGINT)
                return super().infer(x)

        ones = np.ones((8, 1))
        history = fit(Interrupted(), ones, ones, epochs=9, batch_size=4, loss="mse", validation=(ones[:4], ones[:4]))
        assert history.stopped == "interrupt" and len(history["val_loss"]) == 1

    def test_second_raises_at_once(self):
        class Stubborn(Scale):
            def step(self):
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            fit(Stubborn(), np.ones((20, 1)), np.ones((20, 1)), epochs=50, batch_size=4, loss="mse")
        assert signal.getsignal(signal.SIGINT) is before

    def test_a_handler_of_the_user_is_left_alone(self):
        caught = []
        before = signal.signal(signal.SIGINT, lambda *args: caught.append(1))
        try:

            class Interrupted(Scale):
                def step(self):
                    super().step()
                    os.kill(os.getpid(), signal.SIGINT)

            history = fit(Interrupted(), np.ones((4, 1)), np.ones((4, 1)), epochs=3, batch_size=4, loss="mse")
            assert caught == [1, 1, 1] and history.stopped is None
        finally:
            signal.signal(signal.SIGINT, before)


class TestHistory:
    def test_plot(self, tmp_path):
        history = History(loss=[3, 2], accuracy=[0.1, 0.2], val_loss=[3, 2.5], val_accuracy=[0.1, 0.1], lr=[1, 1])
        history.plot(tmp_path / "history.png")
        assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")

    def test_is_a_plain_dict(self):
        import json

        history = History.empty()
        assert (
            json.loads(json.dumps(history))
            == history
            == {k: [] for k in ("loss", "accuracy", "val_loss", "val_accuracy", "lr")}
        )

    def test_matplotlib_is_needed_for_plots_alone(self):
        code = (
            "import sys; sys.modules['matplotlib'] = None\n"
            "from enilnets.training import History\n"
            "h = History.empty()\n"
            "try:\n    h.plot()\nexcept ImportError as e:\n    print(e)"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "pip install enilnets[plot]" in result.stdout


class TestMeasure:
    def test_the_loss_decides(self):
        yes = np.array([[1.0], [0.0], [1.0]])
        assert measure_for("bce_logits", yes)(np.array([[0.1], [-0.1], [-0.1]]), yes) == pytest.approx(2 / 3)
        assert measure_for("binary_cross_entropy", yes)(np.array([[0.6], [0.4], [0.4]]), yes) == pytest.approx(2 / 3)
        bits = np.array([[1.0, 0.0], [1.0, 1.0]])
        assert measure_for("bce_logits", bits)(np.array([[3.0, -1.0], [1.0, -1.0]]), bits) == 0.75
        one_hot = np.eye(3)
        assert (
            measure_for("mse", one_hot)(one_hot, one_hot)
            == measure_for("cross_entropy", one_hot)(one_hot, one_hot)
            == 1
        )

    @pytest.mark.defect("O9")
    def test_a_regression_has_no_accuracy(self, capsys):
        x = np.linspace(0, 1, 8)[:, None]
        net = NeuralNet(rng=0).add_dense(1, 1, "linear")
        history = net.Train(x, 3 * x, epochs=1, X_val=x, Y_val=3 * x)
        assert np.isnan(history["accuracy"]).all() and np.isnan(history["val_accuracy"]).all()
        assert "acc" not in capsys.readouterr().out


class TestMetrics:
    @pytest.mark.contract("T7")
    @pytest.mark.defect("O9")
    def test_accuracy(self):
        scores = [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]
        assert accuracy(scores, [1, 0, 0, 0]) == 0.75
        assert accuracy(scores, np.eye(2)[[1, 0, 0, 0]]) == 0.75
        assert accuracy([[0.4], [0.6]], [[0], [1]]) == 1.0
        assert accuracy([0.4, 0.6], [1, 1]) == 0.5
        assert accuracy([[0.4], [0.6]], [1, 1]) == 0.5
        sequences = np.eye(3)[[[0, 1], [2, 2]]]
        assert accuracy(sequences, np.eye(3)[[[0, 1], [2, 0]]]) == accuracy(sequences, [[0, 1], [2, 0]]) == 0.75
        assert accuracy(np.zeros((2, 3, 4)), np.zeros((2, 3), int)) == 1.0
        assert type(accuracy(scores, [1, 0, 0, 0])) is float
        assert NeuralNet().compute_accuracy(scores, [1, 0, 0, 0]) == 0.75

    def test_accuracy_refuses(self):
        for error, call in (
            (DataError, ([], [])),
            (ShapeError, ([[1, 2]], [1, 2])),
            (ShapeError, ([[1.0]], [1.0])),
            (LabelError, ([[1.0]], [2])),
            (DataError, ([[1.0]], [[np.nan]])),
            (ShapeError, ([[1.0], [1.0, 2.0]], [1])),
            (LabelError, ([[0.1, 0.9]], [2])),
            (LabelError, ([[0.1, 0.9]], [-1])),
            (DataError, ([[np.nan, 0.9]], [0])),
            (DTypeError, (["a"], ["a"])),
        ):
            with pytest.raises(error):
                accuracy(*call)

    @pytest.mark.contract("T8")
    @pytest.mark.defect("O8")
    def test_precision_recall_and_f1(self):
        """Two of three predicted positives are right; of four positives two are found: 2/3, 1/2 and 4/7."""
        net = NeuralNet()
        yes, wanted = np.array([1, 1, 1, 0, 0, 0]), np.array([1, 1, 0, 1, 1, 0])
        for predictions, targets in (
            (yes[:, None] * 0.8 + 0.1, wanted[:, None]),
            (yes[:, None] * 0.8 + 0.1, wanted),
            (np.eye(2)[yes], np.eye(2)[wanted]),
            (np.eye(2)[yes].tolist(), wanted.tolist()),
            (np.eye(3)[yes * 1 + (yes == 0) * 2], np.eye(3)[np.where(wanted == 1, 1, 0)]),
        ):
            scores = net.compute_precision_recall_f1(predictions, targets)
            assert scores == pytest.approx({"precision": 2 / 3, "recall": 1 / 2, "f1": 4 / 7}, rel=1e-9)
            assert all(type(value) is float for value in scores.values())
        nothing = net.compute_precision_recall_f1([[0.1], [0.2]], [[0], [0]])
        assert nothing == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
        with pytest.raises(ShapeError):
            net.compute_precision_recall_f1([[0.1], [0.2]], [[0, 1]])

    def test_classification_report(self):
        predicted, wanted = [0, 0, 1, 1, 1, 3], [0, 1, 1, 1, 2, 3]
        report = classification_report(np.eye(4)[predicted], wanted)
        near = {"rel": 1e-9}
        assert report[0] == pytest.approx({"precision": 1 / 2, "recall": 1, "f1": 2 / 3, "support": 1}, **near)
        assert report[1] == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3}, **near)
        assert report[2] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
        macro = {"precision": (1 / 2 + 2 / 3 + 1) / 4, "recall": (1 + 2 / 3 + 1) / 4, "f1": (2 / 3 + 2 / 3 + 1) / 4}
        assert report["macro"] == pytest.approx({**macro, "support": 6}, **near)
        weighted = {"precision": (1 / 2 + 2 + 1) / 6, "recall": 4 / 6, "f1": (2 / 3 + 2 + 1) / 6}
        assert report["weighted"] == pytest.approx({**weighted, "support": 6}, **near)
        binary = classification_report([[0.9], [0.4]], [1, 1])
        assert binary[1] == pytest.approx(precision_recall_f1([[0.9], [0.4]], [1, 1]) | {"support": 2})

    def test_confusion_matrix(self):
        assert confusion_matrix([0, 1, 2, 2], [0, 1, 1, 2], 3).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
        with pytest.raises(LabelError):
            confusion_matrix([3], [0], 3)
        with pytest.raises(ShapeError):
            confusion_matrix([1, 2], [1], 3)
