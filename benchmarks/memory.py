"""How much memory a workload takes at its worst, from what Linux tells a process about itself."""

from __future__ import annotations

import ctypes
import gc
import re
from pathlib import Path

__all__ = ["Growth"]

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")

#: What is written to CLEAR to let the high-water mark begin again at what is resident now (proc(5)).
RESET_PEAK = "5"


class Growth:
    """The growth of the resident memory of this process since construction.

    Notes
    -----
    What was freed before but is still kept by the allocator would hide growth, so it is returned to the system first.
    The high-water mark of ``getrusage`` cannot be reset and would still show what the imports took for a moment.
    """

    def __init__(self) -> None:
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim:
            trim(0)
        try:
            CLEAR.write_text(RESET_PEAK)
            self.before: float | None = status("VmRSS")
        except OSError:
            self.before = None

    def peak(self) -> float | None:
        """The largest growth so far in megabytes, or None where the system does not tell."""
        return None if self.before is None else max(0.0, status("VmHWM") - self.before)


def status(field: str) -> float:
    """One size of /proc/self/status in megabytes."""
    found = re.search(rf"^{field}:\s*(\d+) kB", STATUS.read_text(), re.MULTILINE)
    if not found:
        raise OSError(f"no {field} in {STATUS}")
    return int(found[1]) * 1024 / 1e6
