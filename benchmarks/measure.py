"""Measure every workload with every contestant at one number of threads."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.limits import OtherWork, environment, machine_limits
from benchmarks.timing import Contender, Failed, interleaved
from benchmarks.workloads import Workload

__all__ = ["absentees", "attempt", "measure", "say"]

#: Relative differences allowed between the first results (losses, or the size of outputs) of the contestants, which
#: begin from the same parameters. Later losses differ more: scikit-learn puts one logistic output where the others have
#: two logits.
TOLERANCES = (1e-3, 1e-2, 2e-2)
#: The autoencoder's noise is drawn by each contestant.
VAE_TOLERANCES = (0.03, 0.03, 0.03)


def measure(threads: int, workloads: list[Workload], seconds: float, skipped: set[str]) -> dict[str, Any]:
    """Return limits of the machine, results by workload, and a note for each contestant that did not take part."""
    say(f"limits, {threads} thread(s)")
    limits = machine_limits(threads)
    notes = absentees(skipped)
    results = {}
    for workload in workloads:
        say(f"{workload.name}, {threads} thread(s)")
        # Fresh processes for every workload: its memory is its own, and a crash takes no other row along.
        with ExitStack() as stack:
            contenders = {
                name: stack.enter_context(Contender(name, threads, environment(threads)))
                for name in CONTESTANTS
                if name not in notes
            }
            results[workload.name] = compare(workload, contenders, seconds)
    return {"limits": limits, "notes": notes, "results": results}


def absentees(skipped: set[str]) -> dict[str, str]:
    """Why each contestant that does not take part does not."""
    notes = {}
    for name, contestant in CONTESTANTS.items():
        if name in skipped:
            notes[name] = "left out"
        elif contestant.missing():
            notes[name] = f"missing: {', '.join(contestant.missing())}"
    return notes


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def compare(workload: Workload, contenders: dict[str, Contender], seconds: float) -> dict[str, Any]:
    """Build, check and time one workload."""
    failed: dict[str, str] = {}
    able = {name: c for name, c in contenders.items() if attempt(failed, name, lambda c=c: c("build", workload.name))}
    first = {name: attempt(failed, name, lambda c=c: c("first_results")) for name, c in able.items()}
    able = {name: contender for name, contender in able.items() if name not in failed}
    first = {name: results for name, results in first.items() if results}
    others = OtherWork(lambda: sum(contender("processor_seconds") for contender in able.values()))
    timings = interleaved(able, seconds)
    busy = others.share()
    last = {name: able[name]("last_loss") for name in first} if workload.trains else {}
    return {
        "times": {name: timing._asdict() for name, timing in timings.items()},
        "memory_mb": {name: contender("peak_memory") for name, contender in able.items()},
        "other_work": busy,
        "failed": failed,
        "first_results": first,
        "last_losses": last,
        "disagree": disagreement(workload, first),
        "not_falling": [name for name, loss in last.items() if not loss < first[name][0]],
        "calls": able[OURS]("count_calls") if OURS in able else None,
    }


def attempt(failed: dict[str, str], name: str, action: Callable[[], Any]) -> Any:
    """The result of ``action``, or None with the reason in ``failed``."""
    try:
        return action()
    except Failed as error:
        failed[name] = str(error)
        say(f"  {name} failed: {error}")
        return None


def disagreement(workload: Workload, first: dict[str, list[float]]) -> list[str]:
    """Names of those whose first results are not near the median of all: they do other work."""
    if not first:
        return []
    medians = [statistics.median(results) for results in zip(*first.values(), strict=True)]
    allowed = VAE_TOLERANCES if workload.kind == "vae" else TOLERANCES
    limits = [tolerance * abs(median) for tolerance, median in zip(allowed, medians, strict=True)]
    return [
        name
        for name, results in first.items()
        if any(not abs(result - m) <= limit for result, m, limit in zip(results, medians, limits, strict=True))
    ]
