"""Pictures of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from ...errors import ConfigError, DTypeError

__all__ = ["plot_training_curves"]

#: Title, and label and key of each curve.
PANELS = (
    ("Loss", (("train", "train_loss"), ("validation", "val_loss"))),
    ("Metric", (("train", "train_metric"), ("validation", "val_metric"))),
    ("Learning rate", (("learning rate", "learning_rates"),)),
    ("Gradient norm", (("gradient norm", "grad_norms"),)),
)


def plot_training_curves(history: Mapping[str, Sequence[float]], save_path: str | PathLike[str] | None = None) -> Any:
    """Draw loss, metric, learning rate and gradient norm over the epochs, two by two.

    Parameters
    ----------
    history : dict
        From ``train_model``.
    save_path : path, optional
        Where to save the picture; its ending decides the format.

    Returns
    -------
    matplotlib.figure.Figure or None
        A notebook shows it. Without matplotlib the numbers are printed instead, and nothing is saved.

    Raises
    ------
    ConfigError
        If ``history`` lacks one of the curves.
    """
    if not isinstance(history, Mapping):
        raise DTypeError("plot_training_curves(history)", "what train_model returned", type(history).__name__)
    missing = [key for _, curves in PANELS for _, key in curves if key not in history]
    if missing:
        raise ConfigError("plot_training_curves(history)", "what train_model returned", f"no {', '.join(missing)}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print(as_text(history))
        return None
    figure = Figure(figsize=(10, 7), layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        for label, key in curves:
            values = history[key]
            # A single epoch is a point, which a line would not show.
            axes.plot(range(1, len(values) + 1), values, label=label, marker="o" if len(values) == 1 else None)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if len(curves) > 1:
            axes.legend()
    if save_path is not None:
        figure.savefig(save_path, dpi=120)
    return figure


def as_text(history: Mapping[str, Sequence[float]]) -> str:
    """Return first, best and last value of every curve, a line each."""
    lines = [f"{'':16s}{'first':>12s}{'lowest':>12s}{'highest':>12s}{'last':>12s}"]
    for _, curves in PANELS:
        for _, key in curves:
            values = history[key]
            if values:
                four = (values[0], min(values), max(values), values[-1])
                lines.append(f"{key:16s}" + "".join(f"{value:12.6g}" for value in four))
    return "\n".join(lines)
