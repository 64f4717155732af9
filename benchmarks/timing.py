"""Interleaved timing: rounds of every contestant in turn, so that what disturbs the machine hits all alike."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple, TypeVar

__all__ = ["ROUNDS", "Contender", "Failed", "Timing", "interleaved"]

ROUNDS = 9

#: Thread pools keep spinning after their last work: OpenBLAS 104 ms on the reference machine, libgomp 8 ms. With a
#: pause of 60 ms PyTorch's step of the 784-256-128-10 network took 1340 us after ours instead of 890 us.
SETTLE_SECONDS = 0.15

Key = TypeVar("Key")


class Failed(Exception):
    """A contender could not do what it was told; the text says why."""


class Contender:
    """The parent's end of a worker process: ``contender("round", 100)`` runs a command there and returns its answer.

    The process ends with the ``with`` block.
    """

    def __init__(self, name: str, threads: int, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "benchmarks.worker", name, str(threads)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __call__(self, command: str, *arguments: Any) -> Any:
        try:
            print(json.dumps([command, *arguments]), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failed(f"the process ended with code {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["answer"]

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):  # what a process that has crashed did not read
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Timing(NamedTuple):
    """Microseconds per call over the rounds."""

    median: float
    low: float
    high: float


def interleaved(
    contenders: dict[Key, Contender],
    seconds: float,
    rounds: int = ROUNDS,
    during: Callable[[Key], AbstractContextManager] = nullcontext,
) -> dict[Key, Timing]:
    """Time what each contender has built for about ``seconds`` in ``rounds`` rounds, inside ``during(its key)``."""

    def ask(key: Key, command: str, argument: float) -> Any:
        time.sleep(SETTLE_SECONDS)
        with during(key):
            return contenders[key](command, argument)

    calls = {key: ask(key, "calls_for", seconds / rounds) for key in contenders}
    times: dict[Key, list[float]] = {key: [] for key in contenders}
    for _ in range(rounds):
        for key in contenders:
            times[key].append(ask(key, "round", calls[key]))
    return {key: Timing(statistics.median(t), min(t), max(t)) for key, t in times.items()}
