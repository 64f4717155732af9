"""plot_training_curves: four panels, or text."""

import builtins

import pytest

from enilnets.errors import ConfigError, DTypeError
from enilnets.sequence import plot_training_curves

HISTORY = {
    "train_loss": [1.0, 0.5, 0.25],
    "train_metric": [0.2, 0.4, 0.6],
    "val_loss": [1.1, 0.7, 0.9],
    "val_metric": [0.1, 0.3, 0.2],
    "learning_rates": [0.1, 0.1, 0.05],
    "grad_norms": [3.0, 2.0, 4.0],
}


def test_four_panels(tmp_path):
    """C1.11: two by two, with the curves where they belong."""
    pytest.importorskip("matplotlib")
    figure = plot_training_curves(HISTORY, save_path=tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    panels = [[line.get_ydata().tolist() for line in axes.lines] for axes in figure.axes]
    keys = list(HISTORY)
    assert panels == [
        [HISTORY["train_loss"], HISTORY["val_loss"]],
        [HISTORY["train_metric"], HISTORY["val_metric"]],
        [HISTORY[keys[4]]],
        [HISTORY[keys[5]]],
    ]
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 2)
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 2, 3]


def test_text_without_matplotlib(monkeypatch, capsys):
    """C1.11"""
    real = builtins.__import__

    def without(name, *arguments, **named):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert plot_training_curves({**HISTORY, "val_metric": []}) is None
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["val_loss"] == ["1.1", "0.7", "1.1", "0.9"]
    assert lines["grad_norms"] == ["3", "2", "4", "4"] and "val_metric" not in lines


def test_a_history_that_lacks_a_curve():
    with pytest.raises(ConfigError, match="grad_norms"):
        plot_training_curves({name: values for name, values in HISTORY.items() if name != "grad_norms"})
    with pytest.raises(DTypeError, match="history"):
        plot_training_curves(None)
