"""Run all benchmarks and print the report: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

from benchmarks.contestants import CONTESTANTS
from benchmarks.limits import import_times, installed_sizes, wheel_size
from benchmarks.measure import measure
from benchmarks.table import report
from benchmarks.workloads import WORKLOADS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Enilnets and its peers, side by side.")
    parser.add_argument("--only", default="", metavar="SUBSTR", help="run the workloads whose name contains this")
    parser.add_argument("--seconds", type=float, default=1.0, help="measured time per workload and contestant")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, each in a process of its own")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything measured to this file")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out: it needs g++ and minutes")
    parser.add_argument("--skip", default="", help=f"leave contestants out: a list of {', '.join(CONTESTANTS)}")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    workloads = [workload for workload in WORKLOADS if options.only in workload.name]
    skipped = {*options.skip.split(","), *(["compile"] if options.no_compile else [])}
    run = {
        "machine": {"platform": platform.platform(), "python": platform.python_version(), "processors": os.cpu_count()},
        "threads": {n: measure(int(n), workloads, options.seconds, skipped) for n in options.threads.split(",")},
        "import_seconds": import_times(),
        "installed_mb": installed_sizes(),
        "wheel_mb": wheel_size(),
    }
    if options.json:
        options.json.write_text(json.dumps(run, indent=1))
    print(report(run))


if __name__ == "__main__":
    main()
