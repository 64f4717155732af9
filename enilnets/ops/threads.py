"""How many threads the kernels use: one for small work, up to the limit set here for large work.

The results do not depend on it. The limit is the number of processors this process may run on, or what the environment
variable ENILNETS_NUM_THREADS says.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .._ext import threads as _threads
from ..checks import integer
from ..errors import ConfigError

__all__ = ["available_processors", "get_num_threads", "num_threads", "set_num_threads"]


def available_processors() -> int:
    """Processors that this process may use: its affinity, and the quota of its control group, rounded up."""
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _control_group_quota()
    return processors if quota is None else max(1, min(processors, math.ceil(quota)))


def _control_group_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Processors' worth of time that the control group grants, or None without a limit (Linux, version 2 and 1)."""
    try:
        if (root / "cpu.max").exists():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota, period = ((root / f"cpu/cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return float(quota) / float(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def set_num_threads(n: int) -> None:
    """Let every call use at most ``n`` threads, the calling one included.

    Parameters
    ----------
    n : int
        1 to 256. More than there are processors only costs time.

    Raises
    ------
    ConfigError
        If ``n`` is no such number.

    Notes
    -----
    Small work stays on the calling thread whatever the limit is. The pool serves one call at a time: what other Python
    threads call meanwhile runs on their own threads. Results are bit for bit the same for any number of threads.

    Examples
    --------
    >>> import enilnets
    >>> enilnets.set_num_threads(2)
    >>> enilnets.get_num_threads()
    2
    """
    _threads.set_process_limit(_checked("set_num_threads", n))


def get_num_threads() -> int:
    """Return how many threads a call from this thread may use."""
    return _threads.thread_limit() or _threads.process_limit()


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Let the calls that this Python thread makes inside the block use at most ``n`` threads.

    Parameters
    ----------
    n : int
        1 to 256.

    Examples
    --------
    >>> import enilnets
    >>> with enilnets.num_threads(1):
    ...     enilnets.get_num_threads()
    1
    """
    n = _checked("num_threads", n)
    before = _threads.thread_limit()
    _threads.set_thread_limit(n)
    try:
        yield
    finally:
        _threads.set_thread_limit(before)


def _checked(where: str, n: int) -> int:
    n = integer(where, "n", n, 1)
    if n > _threads.MOST:
        raise ConfigError(f"{where}(n)", f"at most {_threads.MOST} threads", str(n))
    return n


def _initial_limit(setting: str) -> int:
    """The limit that ENILNETS_NUM_THREADS asks for, or the number of processors where it is empty."""
    if not setting:
        return min(available_processors(), _threads.MOST)
    if not setting.isdecimal() or not 1 <= int(setting) <= _threads.MOST:
        raise ConfigError(
            "ENILNETS_NUM_THREADS", f"a number from 1 to {_threads.MOST}", repr(setting), "unset it for all processors"
        )
    return int(setting)


set_num_threads(_initial_limit(os.environ.get("ENILNETS_NUM_THREADS", "")))
