"""The peak of the multiply-add units, measured by the loop in peak.c, which a C compiler builds on first use."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

__all__ = ["DTYPES", "best_rate", "peak_rates", "processors"]

DTYPES = ("float32", "float64")

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "benchmarks" / "peak.c"
FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")

#: Operations per call: 4 ms at 256 GFLOP/s, so that waking the threads does not show.
OPERATIONS = 1e9


def processors(n: int) -> list[int]:
    """The last ``n`` processors of those that this process may use, or nothing where the system does not tell."""
    return sorted(os.sched_getaffinity(0))[-n:] if hasattr(os, "sched_getaffinity") else []


def best_rate(work: Callable[[], object], amount: float, seconds: float = 0.6) -> float:
    """Largest ``amount`` per second over repeated calls of ``work``, in units of 1e9."""
    work()
    fastest, begin, start = float("inf"), time.perf_counter(), 0.0
    while start < begin + seconds:
        start = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - start)
    return amount / fastest / 1e9


def peak_rates(threads: int, seconds: float = 0.4) -> dict[str, dict[str, float]] | None:
    """GFLOP/s by dtype and instruction set, every thread on a processor of its own; None without a compiler."""
    library = build()
    if library is None:
        return None
    names = [library.peak_isa_name(isa).decode() for isa in range(library.peak_isa_count())]
    supported = {name: isa for isa, name in enumerate(names) if library.peak_isa_supported(isa)}
    free = processors(threads)

    def pin() -> None:
        if free:
            os.sched_setaffinity(0, {free.pop()})

    with ThreadPoolExecutor(threads, initializer=pin) as pool:

        def rate(is_double: bool, isa: int) -> float:
            steps = round(OPERATIONS / library.peak_run(is_double, isa, 1))

            def work() -> None:
                list(pool.map(lambda _: library.peak_run(is_double, isa, steps), range(threads)))

            return best_rate(work, threads * library.peak_run(is_double, isa, steps), seconds)

        return {dtype: {name: rate(dtype == "float64", isa) for name, isa in supported.items()} for dtype in DTYPES}


@cache
def build() -> ctypes.CDLL | None:
    """The compiled loop, kept in build/ under a name that changes with its sources."""
    command = compiler()
    if command is None:
        return None
    sources = [SOURCE, *sorted((ROOT / "csrc").glob("*/*.h"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources) + repr(command).encode()).hexdigest()
    target = ROOT / "build" / "benchmarks" / f"peak-{digest[:16]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder, "peak.so")
            include = (f"-I{ROOT / 'csrc'}", f"-I{SOURCE.parent}")
            done = subprocess.run(
                [*command, *FLAGS, *include, str(SOURCE), "-o", str(made)], capture_output=True, text=True
            )
            if done.returncode:
                print(f"peak.c does not compile, np.matmul stands in:\n{done.stderr}", file=sys.stderr)
                return None
            os.replace(made, target)
    library = ctypes.CDLL(str(target))
    library.peak_isa_name.restype = ctypes.c_char_p
    library.peak_run.restype = ctypes.c_double
    library.peak_run.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_ssize_t]
    return library


def compiler() -> list[str] | None:
    """The command of a C compiler that takes GCC's flags, or None."""
    named = shlex.split(os.environ.get("CC", ""))
    for command in filter(None, (named, ["cc"], ["gcc"], ["clang"])):
        if shutil.which(command[0]):
            return command
    return None
