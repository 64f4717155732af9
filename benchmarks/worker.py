"""One contestant in a process of its own: builds workloads, runs rounds and checks, as its standard input tells it.

So their thread pools, heaps and garbage collections do not meet, and one that crashes takes no other along. Commands
and answers are lines of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contestants import CONTESTANTS
from benchmarks.curves import CURVES
from benchmarks.data import LABEL_SETS, make_data
from benchmarks.memory import Growth
from benchmarks.peak import processors
from benchmarks.workloads import WORKLOADS, Workload

CHECKED_LOSSES = 3
WARMUP_SECONDS = 0.15

ALL_WORKLOADS = {w.name: w for w in (*WORKLOADS, *(point for curve in CURVES for point in curve.points.values()))}


class Worker:
    """The commands; each method takes and returns what JSON can hold."""

    def __init__(self, contestant: str, threads: int) -> None:
        self.builders = CONTESTANTS[contestant].load(threads)
        self.step: Callable[[], Any] | None = None

    def build(self, name: str) -> bool:
        """Build the workload; false if this contestant cannot do it."""
        self.step = None
        self.workload: Workload = ALL_WORKLOADS[name]
        builder = self.builders.get(self.workload.kind)
        if builder is None:
            return False
        self.data = make_data(self.workload)  # kept: what is freed would hide what grows
        self.growth = Growth()
        self.step = builder(self.workload, self.data)
        return self.step is not None

    def first_results(self) -> list[float]:
        """Run it for the first time: the losses of a training step, how large an output is, nothing for Adam."""
        results = [self.step() for _ in range(CHECKED_LOSSES)]
        if self.workload.trains:
            return [float(loss) for loss in results]
        return [magnitude(result) for result in results] if self.workload.returns_output else []

    def calls_for(self, seconds: float) -> int:
        """Warm up, and return how many calls take about ``seconds``."""
        gc.collect()
        done, start = 0, time.perf_counter()
        while done < 3 or time.perf_counter() - start < WARMUP_SECONDS:
            self.step()
            done += 1
        return max(1, round(done / (time.perf_counter() - start) * seconds))

    def round(self, calls: int) -> float:
        """Microseconds per call."""
        step = self.step
        step()
        start = time.perf_counter()
        for _ in range(calls):
            step()
        return (time.perf_counter() - start) / calls * 1e6

    def last_loss(self) -> float:
        """The mean over the cycle of labels, so that it does not depend on where in the cycle the timing ended."""
        return sum(float(self.step()) for _ in range(LABEL_SETS)) / LABEL_SETS

    def count_calls(self) -> int:
        """Python and C functions called by Python code in one step."""
        calls = 0

        def count(_frame: Any, event: str, _argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            self.step()
        finally:
            sys.setprofile(None)
        return calls - 2  # the step itself and setprofile

    def peak_memory(self) -> float | None:
        """Megabytes that the workload has added at its worst to what the imports and the inputs take."""
        return self.growth.peak()

    def processor_seconds(self) -> float:
        return time.process_time()


def magnitude(output: Any) -> float:
    """The mean absolute value, which does not depend on the order of the axes."""
    return float(np.abs(np.asarray(output)).mean(dtype=np.float64))


def pin_to(threads: int) -> None:
    """Leave this process as many processors as threads: XLA sizes its pool by them and has no other switch."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors(threads))


def main() -> None:
    contestant, threads = sys.argv[1], int(sys.argv[2])
    warnings.filterwarnings("ignore")
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pin_to(threads)
    worker = Worker(contestant, threads)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        # A workload that fails (no C++ compiler, a version that lacks something) is an answer like any other.
        try:
            answer = {"answer": getattr(worker, command)(*arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
