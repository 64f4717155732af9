"""Run: where a training run stands, for callbacks, and what another process needs to go on with it."""

from __future__ import annotations

import math
from typing import Any, Protocol

from ..errors import StateError
from .callbacks.base import CallbackRow
from .history import History
from .protocol import Model

__all__ = ["Run", "Scheduler"]


class Scheduler(Protocol):
    """What training asks of a learning-rate schedule.

    Where it has them, ``per`` ("epoch" or "step") says what is counted, ``momentum(count)`` gives the momentum of the
    optimizer, ``observe(loss)`` hears of the loss after every epoch, and ``state()`` and ``load_state(state)`` let
    another process go on with it.
    """

    def step(self, epoch: int) -> float:
        """Return the learning rate of ``epoch`` (from 0)."""


class Run:
    """A training run.

    Attributes
    ----------
    model : Model
    history : History
        Of the finished epochs; ``history.stopped`` says why the run ended early.
    epoch : int
        Number of the running epoch, from 0; counted on when a run is resumed.
    epochs : int
        Number of the epoch behind the last one.
    batch : int
        Finished batches of the running epoch.
    batches : int
        Batches of an epoch.
    step : int
        Steps that the optimizer has taken; counted on when a run is resumed.
    loss : float
        Of the last batch.
    validated : bool
        Whether there is validation data.
    resumed : bool
        Whether the run goes on where another one ended.
    """

    def __init__(
        self,
        model: Model,
        callbacks: CallbackRow,
        scheduler: Scheduler | None,
        *,
        first_epoch: int,
        epochs: int,
        batches: int,
        steps: int,
        validated: bool,
    ) -> None:
        self.model, self.callbacks, self.scheduler = model, callbacks, scheduler
        self.history = History.empty()
        self.epoch, self.epochs = first_epoch, first_epoch + epochs
        self.batch, self.batches = 0, batches
        self.step = first_epoch * steps
        self.loss = math.nan
        self.validated = validated
        self.resumed = False

    def stop(self, reason: str) -> None:
        """End the run after the batch or epoch at hand; ``history.stopped`` will be ``reason``."""
        self.history.stopped = reason

    @property
    def stopped(self) -> bool:
        """Whether the run is about to end early."""
        return self.history.stopped is not None

    def latest(self) -> dict[str, float]:
        """The last finished epoch's entry of every list in the history that has one."""
        return {name: values[-1] for name, values in self.history.items() if values}

    # The schedule

    def set_rate(self, per: str) -> None:
        """Give the model the learning rate of this epoch or step, if that is what the schedule counts."""
        scheduler = self.scheduler
        if scheduler is None or getattr(scheduler, "per", "epoch") != per:
            return
        count = self.epoch if per == "epoch" else self.step
        self.model.learning_rate = scheduler.step(count)
        momentum_of = getattr(scheduler, "momentum", None)
        momentum = None if momentum_of is None else momentum_of(count)
        optimizer: Any = getattr(self.model, "optimizer", None)
        if momentum is not None and hasattr(optimizer, "momentum"):
            optimizer.momentum = momentum

    def observe(self) -> None:
        """Tell the schedule the loss of the finished epoch, if it wants to hear of it."""
        observe = getattr(self.scheduler, "observe", None)
        if observe is not None:
            observe(self.history["val_loss" if self.validated else "loss"][-1])

    # Going on in another process

    def remember(self) -> None:
        """Leave with the model, which saves and copies it, what is needed to go on after the running epoch."""
        state = getattr(self.scheduler, "state", None)
        self.model.run_state = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "scheduler": None if state is None else state(),
            **self.callbacks.state(),
        }

    def resume(self) -> None:
        """Give schedule and callbacks the state that ``remember`` left with the model.

        Raises
        ------
        StateError
            If schedule or callbacks are not those of that run.
        """
        state: dict[str, Any] = self.model.run_state
        load_state = getattr(self.scheduler, "load_state", None)
        if (load_state is None) != (state["scheduler"] is None):
            expected = "no scheduler" if state["scheduler"] is None else "the scheduler"
            raise StateError("Train(scheduler)", f"{expected} of the run that is resumed", repr(self.scheduler))
        if load_state is not None:
            load_state(state["scheduler"])
        self.callbacks.load_state(state)
        self.step = state["step"]
