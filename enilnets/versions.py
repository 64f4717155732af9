"""What is installed and in use: versions, instruction set, processors."""

from __future__ import annotations

import platform
import sys

import numpy as np

from .ops import isa
from .ops.threads import available_processors, get_num_threads

__all__ = ["__version__", "describe", "show_versions"]

__version__ = "0.1.0"


def describe() -> dict[str, str]:
    """Return what ``show_versions`` prints, as text by topic."""
    return {
        "enilnets": __version__,
        "Python": f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})",
        "NumPy": np.__version__,
        "platform": platform.platform(),
        "instruction set": f"{isa.current()} (this CPU has {', '.join(isa.available())}; ENILNETS_ISA forces one)",
        "kernel threads": f"at most {get_num_threads()}; this process may use {available_processors()} processors",
    }


def show_versions() -> None:
    """Print versions, instruction set, threads and platform: what a bug report needs."""
    topics = describe()
    width = max(len(topic) for topic in topics)
    for topic, text in topics.items():
        print(f"{topic:{width}}  {text}")
