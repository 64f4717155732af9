"""What one busy foreign process costs: ``python -m benchmarks.neighbour --help``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.limits import OtherWork, environment
from benchmarks.machine import described, machine
from benchmarks.measure import absentees, attempt, say
from benchmarks.peak import processors
from benchmarks.report import disturbed
from benchmarks.table import Table, check_document, command_line, markdown_block, write_block
from benchmarks.timing import Contender, interleaved
from benchmarks.workloads import WORKLOADS, Workload

TAKING_PART = ("enilnets", "PyTorch")
NAMES = ("mlp_train_784_256_128_10_b128", "cnn_train_mnist_b64", "rl_net_train_4_64_64_2_b64")

#: Threads allowed, and whether the neighbour is busy; the first is what the last is compared with.
SITUATIONS = ((1, False), (2, False), (2, True))

#: Least speed beside a busy process, relative to one thread on the quiet machine.
GOAL = 0.8

Found = dict[str, Any]


class Situation(NamedTuple):
    """Who works, with how many threads allowed, and whether the neighbour is busy."""

    contestant: str
    threads: int
    busy: bool


class Neighbour:
    """A process that does nothing but spin on one of the processors that the contestants use; it starts stopped.

    It runs at normal priority, and ends with the ``with`` block.
    """

    def __enter__(self) -> Neighbour:
        pin = f"os.sched_setaffinity(0, {{{processors(1)[0]}}})" if processors(1) else "pass"
        self.process = subprocess.Popen([sys.executable, "-c", f"import os\n{pin}\nwhile True: pass"])
        os.kill(self.process.pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def processor_seconds(self) -> float:
        """What it has used so far: user and system time, the 14th and 15th field of proc(5)'s stat."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @contextmanager
    def during(self, situation: Situation) -> Iterator[None]:
        """Busy inside the block if the situation says so."""
        if not situation.busy:
            yield
            return
        os.kill(self.process.pid, signal.SIGCONT)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGSTOP)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.neighbour", description="Speed beside one busy process on one of two processors."
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="measured time per workload and situation")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything measured to this file")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the table into this document")
    return parser.parse_args()


def measure(seconds: float) -> Found:
    """Microseconds per call by workload and situation."""
    notes = {name: note for name, note in absentees(set()).items() if name in TAKING_PART}
    situations = [
        Situation(name, threads, busy) for name in TAKING_PART if name not in notes for threads, busy in SITUATIONS
    ]
    workloads = [workload for workload in WORKLOADS if workload.name in NAMES]
    times, others = {}, {}
    for workload in workloads:
        say(workload.name)
        with ExitStack() as stack:
            neighbour = stack.enter_context(Neighbour())
            contenders = {s: stack.enter_context(Contender(s[0], s[1], environment(s[1]))) for s in situations}
            times[workload.name], others[workload.name] = beside(neighbour, workload, contenders, seconds)
    return {"times": times, "notes": notes, "other_work": others}


def beside(
    neighbour: Neighbour, workload: Workload, contenders: dict[Situation, Contender], seconds: float
) -> tuple[Found, float | None]:
    """Timings by contestant and situation, and how many processors were used by neither them nor the neighbour."""
    failed: dict = {}
    able = {s: c for s, c in contenders.items() if attempt(failed, s, lambda c=c: c("build", workload.name))}
    others = OtherWork(
        lambda: neighbour.processor_seconds() + sum(contender("processor_seconds") for contender in able.values())
    )
    timings = interleaved(able, seconds, during=neighbour.during)
    busy = others.share()
    found: Found = {name: {} for name in TAKING_PART}
    for situation, timing in timings.items():
        found[situation.contestant][column(situation.threads, situation.busy)] = timing._asdict()
    return found, busy


def column(threads: int, busy: bool) -> str:
    return f"{threads} thread{'s' * (threads > 1)}, {'busy' if busy else 'quiet'}"


def table(found: Found) -> Table:
    """The speed beside the neighbour over that of one thread without it."""
    columns = [column(threads, busy) for threads, busy in SITUATIONS]
    rows = [["us per call (spread)", "contestant", *columns, "speed kept"]]
    for workload, contestants in found["times"].items():
        for name, timings in contestants.items():
            alone, _, beside = (timings.get(name) for name in columns)
            kept = f"{alone['median'] / beside['median']:.2f}" if alone and beside else "-"
            rows.append([workload, name, *(cell(timings.get(name)) for name in columns), kept])
    goal = f"speed kept: that of two threads beside the busy process over that of one thread alone; goal >= {GOAL}"
    absent = [f"{name}: {note}" for name, note in found["notes"].items()]
    warnings = [line for name, others in found["other_work"].items() for line in disturbed(name, others)]
    return Table("Beside one busy process", rows, [goal, *absent, *warnings])


def cell(timing: dict[str, float] | None) -> str:
    if timing is None:
        return "-"
    median, low, high = (timing[key] for key in ("median", "low", "high"))
    return f"{median:.0f} ({(high - low) / median:.0%})"


def main() -> None:
    options = arguments()
    if options.markdown:
        check_document(options.markdown, "neighbour")
    if len(processors(2)) < 2:
        sys.exit("this needs two processors and a system that can pin processes to them (Linux)")
    found = {"machine": machine(), **measure(options.seconds)}
    print(table(found).text())
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    if options.markdown:
        command = command_line("benchmarks.neighbour")
        write_block(options.markdown, "neighbour", markdown_block(command, described(found["machine"]), [table(found)]))


if __name__ == "__main__":
    main()
