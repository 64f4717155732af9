"""The command line: ``enilnets demo digits`` and ``enilnets info``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from .errors import EnilnetsError
from .versions import __version__, show_versions

__all__ = ["main"]


def at_least(minimum: int) -> Callable[[str], int]:
    """Return an argument type: integers from ``minimum`` on."""

    def integer(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"expected an integer >= {minimum}, got {value}")
        return value

    return integer


def parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    root = argparse.ArgumentParser(
        prog="enilnets", description="Neural networks on the CPU, in one small wheel over NumPy."
    )
    root.add_argument("--version", action="version", version=f"enilnets {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("info", help="say which versions, instruction set and threads are in use")
    demos = commands.add_parser("demo", help="run a complete example on real data").add_subparsers(
        dest="demo", required=True, metavar="name"
    )
    digits = demos.add_parser(
        "digits",
        help="train a convolutional network on handwritten digits",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    digits.add_argument("--epochs", type=at_least(1), default=30, help="passes over the training data")
    digits.add_argument("--batch-size", type=at_least(1), default=32, help="digits per training step")
    digits.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="arithmetic of the network")
    digits.add_argument("--seed", type=at_least(0), default=0, help="of split, weights and shuffling")
    digits.add_argument("--out", default="runs/digits", help="folder for the network and the picture")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_args(arguments)
    if options.command == "info":
        show_versions()
        return 0
    from .demos import digits

    try:
        return digits.run(options.epochs, options.batch_size, options.dtype, options.seed, options.out)
    except (EnilnetsError, ImportError, OSError) as error:
        print(f"enilnets: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nenilnets: stopped by Ctrl-C", file=sys.stderr)
        return 130
