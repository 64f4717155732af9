"""What is shown of a run: times and memory, at each number of threads."""

from __future__ import annotations

from typing import Any

from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.table import Table
from benchmarks.workloads import NOT_YET, WORKLOADS, Workload

__all__ = ["disturbed", "notes", "tables"]

#: Processors that others may use meanwhile before the report warns.
QUIET = 0.1

Found = dict[str, Any]


def tables(run: Found) -> list[Table]:
    """The table of times and the table of memory for each number of threads."""
    return [
        make(f"{threads} thread{'s' * (int(threads) > 1)}", result)
        for threads, result in run["threads"].items()
        for make in (time_table, memory_table)
    ]


def notes(run: Found) -> list[str]:
    """What is measured once."""
    wheel = f"{run['wheel_mb']:.2f}" if run["wheel_mb"] else "no dist/enilnets-*.whl"
    return [
        f"not expressible yet: {', '.join(NOT_YET)}",
        "import seconds: " + listed(run["import_seconds"], 3),
        "installed MB, without dependencies: " + listed(run["installed_mb"], 1),
        f"wheel MB: {wheel}",
    ]


def listed(values: dict[str, float], digits: int) -> str:
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items())


def time_table(threads: str, result: Found) -> Table:
    rows = [["us per call (spread)", *CONTESTANTS, "ahead", "goal us", "goal x", "limit"]]
    rows += [time_row(w, found, result["notes"], result["limits"]) for w, found in rows_of(result)]
    return Table(f"{threads}: time", rows, [*limits_line(result["limits"]), *remarks(result)])


def memory_table(threads: str, result: Found) -> Table:
    rows = [["MB at the worst", *CONTESTANTS]]
    for workload, found in rows_of(result):
        sizes = found["memory_mb"]
        cells = ("-" if name in result["notes"] else optional("{:.1f}", sizes.get(name)) for name in CONTESTANTS)
        rows.append([workload.name, *cells])
    return Table(f"{threads}: memory", rows, [])


def rows_of(result: Found) -> list[tuple[Workload, Found]]:
    return [(w, result["results"][w.name]) for w in WORKLOADS if w.name in result["results"]]


def limits_line(limits: Found) -> list[str]:
    peaks = "; ".join(f"{dtype} {listed(rates, 0)}" for dtype, rates in limits["rates"].items())
    line = f"peak GFLOP/s ({limits['peak measured by']}): {peaks}; memory {limits['bandwidth']:.0f} GB/s"
    return [line, *disturbed("these limits", limits["other_work"])]


def disturbed(what: str, others: float | None) -> list[str]:
    if (others or 0) <= QUIET:
        return []
    return [f"{what}: others used {others:.2f} processors meanwhile; do not quote this"]


def optional(pattern: str, value: float | None) -> str:
    return "" if value is None else pattern.format(value)


def time_row(workload: Workload, found: Found, absent: dict[str, str], limits: Found) -> list[str]:
    medians = {name: timing["median"] for name, timing in found["times"].items()}
    ours = medians.pop(OURS, None)
    # Who does other work is no yardstick.
    peers = [median for name, median in medians.items() if name not in found["disagree"]]
    return [
        workload.name,
        *("-" if name in absent else cell(name, found) for name in CONTESTANTS),
        f"{min(peers) / ours:.2f}x" if peers and ours else "",
        optional("{:g}", workload.goal),
        optional("{:g}x", workload.goal_ratio),
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


def share(workload: Workload, microseconds: float, calls: int, limits: Found) -> str:
    """How near we are to what limits this row."""
    if workload.bound == "gemm":
        rate = workload.flops / microseconds / 1e3
        goal = optional(" (goal {:.0%})", workload.goal_share)
        return f"{rate:.0f} GFLOP/s, {rate / limits[f'peak {workload.dtype}']:.0%}{goal}"
    if workload.bound == "memory":
        rate = workload.bytes / microseconds / 1e3
        return f"{rate:.0f} GB/s, {rate / limits['bandwidth']:.0%}"
    return f"{calls} calls"


def remarks(result: Found) -> list[str]:
    """What has to be known to read the table."""
    lines = [f"{name}: {note}" for name, note in result["notes"].items()]
    for workload, found in result["results"].items():
        lines += disturbed(workload, found["other_work"])
        lines += [f"{workload}: {name} failed: {error}" for name, error in found["failed"].items()]
        lines += [f"* {workload}: {name} gives other results: {found['first_results']}" for name in found["disagree"]]
        lines += [f"! {workload}: the loss of {name} did not fall" for name in found["not_falling"]]
    return lines
