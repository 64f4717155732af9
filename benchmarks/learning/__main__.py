"""Run every table of what the sequence models learn, and write them to a page.

python -m benchmarks.learning [--seeds N] [--quick] [--markdown PATH]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import eigen3, realnet, recurrent, relational
from .table import HEADER, run

SCRIPTS = {"recurrent": recurrent, "realnet": realnet, "eigen3": eigen3, "relational": relational}

INTRODUCTION = """# What the sequence models learn

Mean over seeds, and the range. Models are measured on data that they were not trained on, and with seeds that chose no
setting; but the test images of the digits (A-3, A-5) were the same while RealNet's initial numbers were chosen. A row
without a goal stands there for comparison, also where we lose. References were measured with PyTorch, or on the
original, with the same sizes and budgets. `python -m benchmarks.learning --markdown docs/learning.md` writes this page.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, help="number of seeds (default: 3, more for a share of seeds)")
    parser.add_argument(
        "--quick", action="store_true", help="a third of the seeds, few steps: does everything still run?"
    )
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the page there")
    options = parser.parse_args()
    parts = [INTRODUCTION]
    for name, script in SCRIPTS.items():
        rows = run(script.TASKS, options.seeds, options.quick)
        parts.append("\n".join([f"## `benchmarks.learning.{name}`\n", *HEADER, *rows, ""]))
    page = "\n".join(parts)
    print(page)
    if options.markdown:
        options.markdown.write_text(page)


if __name__ == "__main__":
    main()
