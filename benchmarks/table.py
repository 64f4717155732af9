"""The printed report."""

from __future__ import annotations

from typing import Any

from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.workloads import NOT_YET, WORKLOADS, Workload

__all__ = ["report"]

#: Processors that others may use during a row before the report warns.
QUIET = 0.1

Found = dict[str, Any]


def report(run: Found) -> str:
    """The whole report as text."""
    wheel = f"{run['wheel_mb']:.2f}" if run["wheel_mb"] else "no dist/enilnets-*.whl"
    return "\n".join(
        [
            *(thread_table(int(threads), result) + "\n" for threads, result in run["threads"].items()),
            f"not expressible yet: {', '.join(NOT_YET)}",
            "import seconds: " + listed(run["import_seconds"], 3),
            "installed MB, without dependencies: " + listed(run["installed_mb"], 1),
            f"wheel MB: {wheel}",
        ]
    )


def listed(values: dict[str, float], digits: int) -> str:
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items())


def thread_table(threads: int, result: Found) -> str:
    limits, results = result["limits"], result["results"]
    lines = [["us per call (spread)", *CONTESTANTS, "ahead", "goal us", "goal x", "limit"]]
    lines += [row(w, results[w.name], result["notes"], limits) for w in WORKLOADS if w.name in results]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    title = (
        f"== {threads} thread{'s' * (threads > 1)} == matmul float32 {limits['peak float32']:.0f} GFLOP/s "
        f"(NumPy's own choice of kernels {limits['matmul float32']:.0f}), float64 {limits['peak float64']:.0f}; "
        f"memory {limits['bandwidth']:.0f} GB/s"
    )
    return "\n".join([title, *(aligned(cells, widths) for cells in lines), *remarks(result)])


def aligned(cells: list[str], widths: list[int]) -> str:
    first, *rest = (
        f"{cell:{'>' if i else '<'}{width}}" for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *rest])


def row(workload: Workload, found: Found, absent: dict[str, str], limits: dict[str, float]) -> list[str]:
    medians = {name: timing["median"] for name, timing in found["times"].items()}
    ours = medians.pop(OURS, None)
    # Who does other work is no yardstick.
    peers = [median for name, median in medians.items() if name not in found["disagree"]]
    return [
        workload.name,
        *("-" if name in absent else cell(name, found) for name in CONTESTANTS),
        f"{min(peers) / ours:.2f}x" if peers and ours else "",
        f"{workload.goal:g}",
        f"{workload.goal_ratio:g}x",
        share(workload, ours, found["calls"], limits) if ours else "",
    ]


def cell(name: str, found: Found) -> str:
    if name in found["failed"]:
        return "failed"
    if name not in found["times"]:
        return ""
    median, low, high = (found["times"][name][key] for key in ("median", "low", "high"))
    mark = "*" * (name in found["disagree"]) + "!" * (name in found["not_falling"])
    return f"{median:.{1 if median < 100 else 0}f}{mark} ({(high - low) / median:3.0%})"


def share(workload: Workload, microseconds: float, calls: int, limits: dict[str, float]) -> str:
    """How near we are to what limits this row."""
    if workload.bound == "gemm":
        rate = workload.flops / microseconds / 1e3
        return f"{rate:.0f} GFLOP/s, {rate / limits[f'peak {workload.dtype}']:.0%}"
    if workload.bound == "memory":
        rate = workload.bytes / microseconds / 1e3
        return f"{rate:.0f} GB/s, {rate / limits['bandwidth']:.0%}"
    return f"{calls} calls"


def remarks(result: Found) -> list[str]:
    """What has to be known to read the table."""
    lines = [f"{name}: {note}" for name, note in result["notes"].items()]
    for workload, found in result["results"].items():
        if (found["other_work"] or 0) > QUIET:
            lines.append(
                f"{workload}: others used {found['other_work']:.2f} processors meanwhile; do not quote this row"
            )
        lines += [f"{workload}: {name} failed: {error}" for name, error in found["failed"].items()]
        lines += [
            f"* {workload}: {name} starts with other losses: {found['first_losses']}" for name in found["disagree"]
        ]
        lines += [f"! {workload}: the loss of {name} did not fall" for name in found["not_falling"]]
    return lines
