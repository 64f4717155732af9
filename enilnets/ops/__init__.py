"""The only door to C: pure functions in forward/backward pairs, one file per concern."""

from . import isa as isa  # importing it selects the instruction set; without it every kernel would run the baseline
