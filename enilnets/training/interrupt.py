"""Ctrl-C between two training steps instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

__all__ = ["CtrlC"]


class CtrlC:
    """Context manager that turns the first Ctrl-C into ``pressed``; the second raises KeyboardInterrupt at once.

    Only in the main thread and only where Python's own handler is in place; otherwise nothing changes.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._installed = False

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True

    def __enter__(self) -> CtrlC:
        ours = threading.current_thread() is threading.main_thread()
        if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
