"""What a callback is, and a row of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError, StateError

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["Callback", "CallbackRow"]


class Callback:
    """Base of all callbacks: training calls its methods, each with the ``Run``, and goes on.

    A callback may read anything of the run and its model, change the model, and end the run with ``run.stop(reason)``.
    What it must know to go on in another process it returns from ``state``.

    Examples
    --------
    >>> from enilnets.training import Callback
    >>> class Halve(Callback):
    ...     def on_epoch_end(self, run):
    ...         if run.history["loss"][-1] > run.history["loss"][0]:
    ...             run.stop("diverged")
    """

    #: Whether it comes after the others, so that it sees what they did.
    last: ClassVar[bool] = False

    def on_train_begin(self, run: Run) -> None:
        """Before the first epoch; ``run.resumed`` says whether ``load_state`` follows."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before the first batch of ``run.epoch``; the learning rate of the epoch is set."""

    def on_batch_end(self, run: Run) -> None:
        """After every batch; ``run.loss`` is its loss, and ``run.step`` has grown if the model took a step."""

    def on_epoch_end(self, run: Run) -> None:
        """After validation; the last entries of ``run.history`` are this epoch's."""

    def on_train_end(self, run: Run) -> None:
        """After the last epoch, also if ``run.history.stopped``; not after an error."""

    def state(self) -> dict[str, Any]:
        """What another process needs to go on: plain numbers, strings, None, lists, dicts by str, and arrays."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned; called after ``on_train_begin`` when a run is resumed."""


class CallbackRow(Callback):
    """Several callbacks as one: those with ``last`` after the others, otherwise in the given order."""

    def __init__(self, where: str, callbacks: Iterable[Callback]) -> None:
        try:
            given = list(callbacks)
        except TypeError:
            raise ConfigError(f"{where}(callbacks)", "a list of callbacks", repr(callbacks)) from None
        for callback in given:
            if not isinstance(callback, Callback):
                way_out = "derive it from training.Callback"
                raise ConfigError(f"{where}(callbacks)", "training.Callback objects", repr(callback), way_out)
        self.callbacks = sorted(given, key=lambda callback: callback.last)

    def on_train_begin(self, run: Run) -> None:
        """See Callback."""
        for callback in self.callbacks:
            callback.on_train_begin(run)

    def on_epoch_begin(self, run: Run) -> None:
        """See Callback."""
        for callback in self.callbacks:
            callback.on_epoch_begin(run)

    def on_batch_end(self, run: Run) -> None:
        """See Callback."""
        for callback in self.callbacks:
            callback.on_batch_end(run)

    def on_epoch_end(self, run: Run) -> None:
        """See Callback."""
        for callback in self.callbacks:
            callback.on_epoch_end(run)

    def on_train_end(self, run: Run) -> None:
        """See Callback."""
        for callback in self.callbacks:
            callback.on_train_end(run)

    def state(self) -> dict[str, Any]:
        """Names and states of the callbacks that have one, in order."""
        states = [(type(callback).__name__, callback.state()) for callback in self.callbacks]
        return {"callbacks": [[name, state] for name, state in states if state]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Give every callback its state; StateError unless there are the same ones as in the run that is resumed."""
        keepers = [callback for callback in self.callbacks if callback.state()]
        saved = [name for name, _ in state["callbacks"]]
        present = [type(callback).__name__ for callback in keepers]
        if saved != present:
            raise StateError(
                "Train(callbacks)",
                f"the callbacks of the run that is resumed: {', '.join(saved) or 'none'}",
                ", ".join(present) or "none",
            )
        for callback, (_, own) in zip(keepers, state["callbacks"], strict=True):
            callback.load_state(own)
