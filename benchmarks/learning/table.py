"""What a learning benchmark is made of: tasks that run for several seeds, and a table row per measure of a task."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["HEADER", "Measure", "Task", "at_least", "at_most", "command", "run"]

Held = Callable[[np.ndarray], bool]

HEADER = (
    "| id | measured | reference | goal | ours | from, to | seeds | held |",
    "|---|---|---|---|---|---|---|---|",
)


def at_least(bound: float) -> Held:
    """Held if every seed reaches ``bound`` from above."""
    return lambda results: bool((results >= bound).all())


def at_most(bound: float) -> Held:
    """Held if every seed stays at or below ``bound``."""
    return lambda results: bool((results <= bound).all())


@dataclass(frozen=True)
class Measure:
    """One number of a task.

    Attributes
    ----------
    ids : str
        The requirement it belongs to.
    what : str
    reference : str
        What is known of it from elsewhere.
    goal : str
        Empty: it stands there for comparison.
    held : callable, optional
        Whether the numbers of all seeds reach the goal.
    middle : callable
        What is shown of the numbers of all seeds.
    """

    ids: str
    what: str
    reference: str = ""
    goal: str = ""
    held: Held | None = None
    middle: Callable[[np.ndarray], float] = field(default=np.mean)

    def row(self, results: np.ndarray) -> str:
        """Return the row of the table for the numbers of all seeds."""
        verdict = "" if self.held is None else "yes" if self.held(results) else "NO"
        spread = f"{results.min():.4g} to {results.max():.4g}" if len(results) > 1 else ""
        cells = (self.ids, self.what, self.reference, self.goal, f"{self.middle(results):.4g}", spread, len(results))
        return f"| {' | '.join(map(str, cells))} | {verdict} |"


@dataclass(frozen=True)
class Task:
    """Something that is learned.

    Attributes
    ----------
    name : str
        For ``--only``.
    run : callable
        ``run(seed, quick)`` returns one number per measure; ``quick`` only shows that it runs.
    measures : tuple of Measure
    seeds : int
        How many it is run for, unless the command line says otherwise.
    first_seed : int
        Seeds below were looked at while settings were chosen.
    """

    name: str
    run: Callable[[int, bool], float | Sequence[float]]
    measures: tuple[Measure, ...]
    seeds: int = 3
    first_seed: int = 0


def run(tasks: Iterable[Task], seeds: int | None = None, quick: bool = False) -> list[str]:
    """Run the tasks, printing progress, and return the rows of the table."""
    rows = []
    for task in tasks:
        results, begun = [], time.perf_counter()
        count = max(task.seeds // 3, 1) if quick else seeds if seeds and task.seeds > 1 else task.seeds
        for seed in range(task.first_seed, task.first_seed + count):
            results.append(np.ravel(task.run(seed, quick)))
            shown = " ".join(f"{number:.4g}" for number in results[-1])
            print(f"{task.name}, seed {seed}: {shown}   {time.perf_counter() - begun:.0f} s", flush=True)
        for measure, column in zip(task.measures, np.transpose(results), strict=True):
            rows.append(measure.row(column))
    return rows


def command(name: str, about: str, tasks: Sequence[Task], arguments: Sequence[str] | None = None) -> None:
    """Run as ``python -m benchmarks.learning.<name>``: the tasks that the command line names, then print the table."""
    names = [task.name for task in tasks]
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.learning.{name}", description=about.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=names, metavar="TASK", help=f"some of {', '.join(names)}")
    parser.add_argument(
        "--seeds", type=int, help="number of seeds (default: 3, more where a share of seeds is the goal)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a third of the seeds, few steps: does everything still run?"
    )
    options = parser.parse_args(arguments)
    chosen = [task for task in tasks if options.only is None or task.name in options.only]
    rows = run(chosen, options.seeds, options.quick)
    print("", *HEADER, *rows, sep="\n")
