"""What the machine can do: arithmetic, memory bandwidth; and what an import costs.

Where there is no C compiler, a large ``np.matmul`` stands in for the peak of the multiply-add units. On some CPUs
OpenBLAS picks kernels of a narrower instruction set than there is, so the product is then also timed with its AVX-512
kernels, in a process of its own, where the CPU has them; the larger figure is the reference.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.peak import DTYPES, best_rate, peak_rates

__all__ = [
    "OtherWork",
    "bandwidth",
    "environment",
    "import_times",
    "installed_sizes",
    "machine_limits",
    "matmul_rates",
    "wheel_size",
]

#: What to import -> the packages that are that library.
LIBRARIES = {
    "enilnets": ("enilnets",),
    "numpy": ("numpy",),
    "torch": ("torch",),
    "jax": ("jax", "jaxlib"),
    "sklearn": ("sklearn",),
}


def environment(threads: int) -> dict[str, str]:
    """The environment that holds every library to ``threads`` threads; it has to be set before they are imported."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ENILNETS_NUM_THREADS")
    xla = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    return {**os.environ, **dict.fromkeys(names, str(threads)), "XLA_FLAGS": xla.strip()}


def matmul_rates(n: int = 1536) -> dict[str, float]:
    """GFLOP/s of an n x n product by dtype."""
    import numpy as np

    rates = {}
    for dtype in DTYPES:
        a = np.random.default_rng(0).standard_normal((n, n)).astype(dtype)
        out = np.empty_like(a)
        rates[dtype] = best_rate(lambda a=a, out=out: np.matmul(a, a, out=out), 2 * n**3)
    return rates


def bandwidth(threads: int, megabytes: int = 256) -> float:
    """GB/s of scaling a float32 vector in place (one read and one write), split over ``threads``."""
    import numpy as np

    parts = np.array_split(np.ones(megabytes * 250_000, np.float32), threads)
    moved = 2 * sum(part.nbytes for part in parts)
    with ThreadPoolExecutor(threads) as pool:
        return best_rate(lambda: list(pool.map(lambda part: np.multiply(part, 1, out=part), parts)), moved)


def machine_limits(threads: int) -> dict[str, Any]:
    """GFLOP/s by dtype, by what they were measured, and GB/s, at ``threads`` threads."""
    others = OtherWork(lambda: sum(os.times()[:4]))  # ours and that of the children that have ended
    rates, measured_by = peak_rates(threads), "multiply-adds in registers"
    if rates is None:
        rates, measured_by = products_at_best(threads), "np.matmul, for want of a C compiler"
    return {
        "rates": rates,
        **{f"peak {dtype}": max(rates[dtype].values()) for dtype in DTYPES},
        "peak measured by": measured_by,
        "bandwidth": in_child(f"bandwidth({threads})", environment(threads)),
        "other_work": others.share(),
    }


def products_at_best(threads: int) -> dict[str, dict[str, float]]:
    """GFLOP/s of a large product by dtype and by whose choice of kernels, NumPy's own or AVX-512."""
    rates = {"OpenBLAS": in_child("matmul_rates()", environment(threads))}
    if has_avx512():
        variables = {**environment(threads), "OPENBLAS_CORETYPE": "SkylakeX"}
        rates["OpenBLAS, AVX-512"] = in_child("matmul_rates()", variables)
    return {dtype: {kernels: rate[dtype] for kernels, rate in rates.items()} for dtype in DTYPES}


def has_avx512() -> bool:
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and "avx512f" in cpu.read_text()


def in_child(expression: str, variables: dict[str, str]) -> Any:
    """Evaluate a call of this module in a fresh process: the environment decides threads and kernels at import."""
    code = f"import json; from benchmarks.limits import *; print(json.dumps({expression}))"
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


class OtherWork:
    """How busy processes other than ours keep the machine; libraries whose threads spin suffer most from it.

    ``own`` returns the processor seconds of our processes.
    """

    def __init__(self, own: Callable[[], float]) -> None:
        self.own = own
        self.busy, self.own_busy, self.start = busy_seconds(), own(), time.perf_counter()

    def share(self) -> float | None:
        """Processors that others used on average since construction, or None where the system does not tell."""
        if self.busy is None:
            return None
        others = busy_seconds() - self.busy - (self.own() - self.own_busy)
        return max(0.0, others / (time.perf_counter() - self.start))


def busy_seconds() -> float | None:
    """Processor seconds that were not idle, of all processes since the start of the machine (Linux)."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    # Of the line of all processors: user, nice, system, idle, iowait, irq, softirq, steal.
    ticks = [int(field) for field in stat.read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def import_times(repeats: int = 5) -> dict[str, float]:
    """Seconds to import each installed library in a fresh process, medians, the libraries in turn."""
    times: dict[str, list[float]] = {name: [] for name in LIBRARIES if find_spec(name)}
    for _ in range(repeats):
        for name in times:
            code = f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            times[name].append(float(done.stdout.split()[-1]))
    return {name: statistics.median(values) for name, values in times.items()}


def installed_sizes() -> dict[str, float]:
    """Megabytes on disk of each installed library without what it depends on, bytecode left out."""
    sizes = {}
    for name, packages in LIBRARIES.items():
        specs = [find_spec(package) for package in packages]
        if all(specs):
            files = [file for spec in specs for file in Path(spec.origin).parent.rglob("*")]
            sizes[name] = sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc") / 1e6
    return sizes


def wheel_size() -> float | None:
    """Megabytes of the newest wheel in dist/, if there is one."""
    wheels = sorted(Path("dist").glob("enilnets-*.whl"), key=lambda wheel: wheel.stat().st_mtime)
    return wheels[-1].stat().st_size / 1e6 if wheels else None
