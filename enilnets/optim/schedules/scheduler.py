"""LRScheduler: every schedule by its mode."""

from __future__ import annotations

from typing import Any

from ... import checks
from ...errors import StateError
from .base import Schedule
from .composed import Lambda, Sequential
from .cyclic import Cyclic, OneCycle
from .decay import Constant, Cosine, CosineWarmRestarts, Exponential, Polynomial, Step, WarmupCosine
from .plateau import Plateau

__all__ = ["SCHEDULES", "LRScheduler"]

#: Every schedule by the mode that ``LRScheduler`` takes.
SCHEDULES: dict[str, type[Schedule]] = {
    "step": Step,
    "exponential": Exponential,
    "cosine": Cosine,
    "warmup_cosine": WarmupCosine,
    "plateau": Plateau,
    "constant": Constant,
    "polynomial": Polynomial,
    "cosine_warm_restarts": CosineWarmRestarts,
    "cyclic": Cyclic,
    "one_cycle": OneCycle,
    "lambda": Lambda,
    "sequential": Sequential,
}


class LRScheduler:
    """The learning rate of each epoch, or of each step.

    Parameters
    ----------
    initial_lr : float > 0
        Where the rate starts; its peak in ``"warmup_cosine"`` and ``"one_cycle"``, which start below; without a meaning
        in ``"sequential"``.
    mode : str, default "step"
        ``"step"`` (``drop=0.5``, ``epochs_drop=10``), ``"exponential"`` (``decay=0.95``), ``"cosine"``
        (``max_epochs=100``), ``"warmup_cosine"`` (``max_epochs=100``, ``warmup_epochs=5``), ``"plateau"``
        (``factor=0.1``, ``patience=10``, ``threshold=1e-4``, ``cooldown=0``, ``min_lr=0``), ``"constant"``,
        ``"polynomial"`` (``max_epochs=100``, ``power=1``, ``end_lr=0``), ``"cosine_warm_restarts"`` (``period=10``,
        ``period_factor=1``, ``end_lr=0``), ``"cyclic"`` (``max_lr`` ten times the initial rate, ``epochs_up=10``,
        ``epochs_down`` as many, ``policy="triangular"``, ``"triangular2"`` or ``"exp_range"`` with ``gamma=0.99``),
        ``"one_cycle"`` (``max_epochs=100``, ``pct_start=0.3``, ``div_factor=25``, ``final_div_factor=1e4``,
        ``cycle_momentum=True``, ``base_momentum=0.85``, ``max_momentum=0.95``), ``"lambda"`` (``function`` of the
        epoch, which gives the factor of the initial rate) or ``"sequential"`` (``schedules`` and the ``milestones``
        where the second and every further one begins).
    per : {"epoch", "step"}, default "epoch"
        What ``Train`` counts: with "step" the rate changes with every optimizer step, and every number of epochs in
        the settings is a number of steps.
    **settings
        The mode's settings as above. ``"plateau"`` multiplies the rate by ``factor`` when the loss has not fallen by
        more than the relative ``threshold`` for more than ``patience`` epochs; ``Train`` reports the validation loss
        to it, or the training loss without validation data.

    Raises
    ------
    ConfigError
        For an unknown mode or setting, or a value out of range.

    Notes
    -----
    The equations are in the docstrings of ``optim.SCHEDULES[mode]``.

    Examples
    --------
    >>> from enilnets import LRScheduler
    >>> scheduler = LRScheduler(0.001, mode="cosine", max_epochs=50)
    >>> [round(scheduler.step(epoch), 6) for epoch in (0, 25, 50, 60)]
    [0.001, 0.0005, 0.0, 0.0]
    >>> warmup = LRScheduler(0.001, mode="polynomial", max_epochs=2, end_lr=0.01)
    >>> scheduler = LRScheduler(
    ...     0.001,
    ...     mode="sequential",
    ...     schedules=[warmup, LRScheduler(0.01, mode="exponential", decay=0.5)],
    ...     milestones=[2],
    ... )
    >>> [round(scheduler.step(epoch), 6) for epoch in range(4)]
    [0.001, 0.0055, 0.01, 0.005]
    """

    def __init__(self, initial_lr: float, mode: str = "step", *, per: str = "epoch", **settings: Any) -> None:
        self.initial_lr = checks.number("LRScheduler", "initial_lr", initial_lr, 0.0, above=True)
        self.mode = checks.choice("LRScheduler", "mode", mode, SCHEDULES)
        self.per = checks.choice("LRScheduler", "per", per, ("epoch", "step"))
        self.schedule = SCHEDULES[mode](mode, self.initial_lr, settings)

    def step(self, epoch: int) -> float:
        """Return the learning rate of ``epoch`` (from 0), or of that step where steps are counted."""
        return self.schedule.rate(checks.integer("LRScheduler.step", "epoch", epoch, 0))

    def momentum(self, epoch: int) -> float | None:
        """Return the momentum of ``epoch`` (or step), or None where the schedule leaves it alone."""
        return self.schedule.momentum(epoch)

    def observe(self, loss: float) -> None:
        """Tell the schedule the loss at the end of an epoch; only ``"plateau"`` uses it."""
        self.schedule.observe(loss)

    def state(self) -> dict[str, Any]:
        """What a run in another process needs besides the settings to go on alike: mode and what was observed."""
        return {"mode": self.mode, "per": self.per, **self.schedule.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` of a scheduler with the same settings returned.

        Raises
        ------
        StateError
            If it is the state of another mode.
        """
        if (state.get("mode"), state.get("per")) != (self.mode, self.per):
            got = f'"{state.get("mode")}" per {state.get("per")}'
            raise StateError("LRScheduler.load_state", f'the state of mode "{self.mode}" per {self.per}', got)
        self.schedule.load_state(state)
