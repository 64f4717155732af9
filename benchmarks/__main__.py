"""Run all benchmarks and print the report: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.contestants import CONTESTANTS
from benchmarks.limits import import_times, installed_sizes, wheel_size
from benchmarks.machine import described, machine
from benchmarks.measure import measure
from benchmarks.report import notes, tables
from benchmarks.table import check_document, command_line, markdown_block, write_block
from benchmarks.workloads import WORKLOADS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Enilnets and its peers, side by side.")
    parser.add_argument("--only", default="", metavar="SUBSTR", help="run the workloads whose name contains this")
    parser.add_argument("--seconds", type=float, default=1.0, help="measured time per workload and contestant")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, each in a process of its own")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything measured to this file")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the tables into this document")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out: it needs g++ and minutes")
    parser.add_argument("--skip", default="", help=f"leave contestants out: a list of {', '.join(CONTESTANTS)}")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.markdown:
        check_document(options.markdown, "benchmarks")
    workloads = [workload for workload in WORKLOADS if options.only in workload.name]
    skipped = {*options.skip.split(","), *(["compile"] if options.no_compile else [])}
    run = {
        "machine": machine(),
        "threads": {n: measure(int(n), workloads, options.seconds, skipped) for n in options.threads.split(",")},
        "import_seconds": import_times(),
        "installed_mb": installed_sizes(),
        "wheel_mb": wheel_size(),
    }
    if options.json:
        options.json.write_text(json.dumps(run, indent=1))
    print("\n\n".join([described(run["machine"]), *(table.text() for table in tables(run)), "\n".join(notes(run))]))
    if options.markdown:
        block = markdown_block(command_line("benchmarks"), described(run["machine"]), tables(run), notes(run))
        write_block(options.markdown, "benchmarks", block)


if __name__ == "__main__":
    main()
