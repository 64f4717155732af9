"""How the cost per sample grows: ``python -m benchmarks.scaling --help``."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.curves import CURVES, Curve
from benchmarks.limits import OtherWork, environment
from benchmarks.machine import described, machine
from benchmarks.measure import absentees, attempt, say
from benchmarks.report import disturbed
from benchmarks.table import Table, check_document, command_line, markdown_block, write_block
from benchmarks.timing import Contender, interleaved
from benchmarks.workloads import Workload

ROUNDS = 5

#: Okabe & Ito 2008: told apart by readers who see no red or no green, and in grey by markers.
COLOURS = {"enilnets": "#0072B2", "PyTorch": "#D55E00", "NumPy": "#009E73"}
MARKERS = {"enilnets": "o", "PyTorch": "s", "NumPy": "^"}
DASHES = ("-", "--", ":", "-.")

Found = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="How the cost per sample grows.")
    parser.add_argument("--out", type=Path, metavar="PATH", help="draw the curves (needs matplotlib)")
    parser.add_argument("--seconds", type=float, default=0.3, help="measured time per point and contestant")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, each in a process of its own")
    parser.add_argument("--only", default="", metavar="SUBSTR", help="the curves whose name contains this")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything measured to this file")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the tables into this document")
    return parser.parse_args()


def measure(curves: list[Curve], threads: list[int], seconds: float) -> Found:
    """Microseconds per sample by curve, line (contestant, threads) and point."""
    skipped = set(CONTESTANTS) - set(COLOURS)
    notes = {name: note for name, note in absentees(skipped).items() if name not in skipped}
    keys = [(name, n) for name in COLOURS if name not in notes for n in threads]
    found: Found = {}
    with ExitStack() as stack:
        contenders = {key: stack.enter_context(Contender(*key, environment(key[1]))) for key in keys}
        others = OtherWork(lambda: sum(contender("processor_seconds") for contender in contenders.values()))
        for curve in curves:
            lines = found[curve.name] = {line(*key): {} for key in keys}
            for at, workload in curve.points.items():
                say(f"{curve.title}: {curve.axis} {at}")
                for key, microseconds in point(workload, contenders, seconds).items():
                    lines[line(*key)][at] = microseconds / workload.batch
        busy = others.share()
    return {"curves": found, "notes": notes, "other_work": busy}


def line(name: str, threads: int) -> str:
    return f"{name}, {threads} thread{'s' * (threads > 1)}"


def point(workload: Workload, contenders: dict[tuple[str, int], Contender], seconds: float) -> dict:
    """Microseconds per call of those who can do the workload."""
    failed: dict = {}
    able = {key: c for key, c in contenders.items() if attempt(failed, key, lambda c=c: c("build", workload.name))}
    return {key: timing.median for key, timing in interleaved(able, seconds, ROUNDS).items()}


def tables(found: Found) -> list[Table]:
    """One table per curve."""
    result = []
    for curve in CURVES:
        lines = {name: times for name, times in found["curves"].get(curve.name, {}).items() if times}
        if lines:
            header = [f"us per sample, {curve.axis}", *map(str, curve.points)]
            rows = [[name, *(number(times.get(at)) for at in curve.points)] for name, times in lines.items()]
            result.append(Table(curve.title, [header, *rows], []))
    return result


def number(microseconds: float | None) -> str:
    """Three digits, whatever the size."""
    if microseconds is None:
        return ""
    return f"{microseconds:.0f}" if microseconds >= 1000 else f"{microseconds:#.3g}".rstrip(".")


def draw(found: Found, path: Path) -> None:
    """One panel per curve, both axes logarithmic."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SystemExit("--out needs matplotlib: pip install matplotlib") from None

    curves = [curve for curve in CURVES if curve.name in found["curves"]]
    rows = (len(curves) + 1) // 2
    figure = Figure(figsize=(11, 4.3 * rows), layout="constrained")
    panels = iter(figure.subplots(rows, min(2, len(curves)), squeeze=False).flat)
    for curve in curves:
        draw_panel(next(panels), curve, found["curves"][curve.name])
    for unused in panels:
        unused.remove()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def draw_panel(axes: Any, curve: Curve, lines: dict[str, dict[int, float]]) -> None:
    """The colour and the marker say who, the dashes how many threads."""
    from matplotlib.ticker import LogLocator

    limits = sorted({name.partition(", ")[2] for name in lines})
    for name, times in lines.items():
        contestant, _, limit = name.partition(", ")
        if times:
            axes.plot(
                list(times),
                list(times.values()),
                DASHES[limits.index(limit) % len(DASHES)],
                color=COLOURS[contestant],
                marker=MARKERS[contestant],
                markersize=5,
                label=name,
                zorder=3 if contestant == OURS else 2,
            )
    axes.set(xscale="log", yscale="log", title=curve.title, xlabel=curve.axis, ylabel="microseconds per sample")
    axes.set_xticks(list(curve.points), [str(at) for at in curve.points])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=16))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, handlelength=3.5)


def main() -> None:
    options = arguments()
    if options.markdown:
        check_document(options.markdown, "scaling")
    curves = [curve for curve in CURVES if options.only in curve.name]
    found = {
        "machine": machine(),
        **measure(curves, [int(n) for n in options.threads.split(",")], options.seconds),
    }
    notes = [f"{name}: {note}" for name, note in found["notes"].items()]
    notes += disturbed("all curves", found["other_work"])
    print("\n\n".join([*(table.text() for table in tables(found)), *notes]))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    if options.out:
        draw(found, options.out)
    if options.markdown:
        command = command_line("benchmarks.scaling")
        block = markdown_block(command, described(found["machine"]), tables(found), notes)
        write_block(options.markdown, "scaling", block)


if __name__ == "__main__":
    main()
