"""What the numbers were measured on and with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["described", "machine"]

PACKAGES = ("enilnets", "numpy", "torch", "jax", "optax", "scikit-learn")


def machine() -> dict[str, Any]:
    """CPU, processors, system and the versions of what takes part; None for what is not installed."""
    return {
        "cpu": cpu_name(),
        "processors": os.cpu_count(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {package: installed(package) for package in PACKAGES},
    }


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The name that the CPU gives itself."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def described(found: dict[str, Any]) -> str:
    """The machine in one line."""
    versions = ", ".join(f"{package} {number or 'missing'}" for package, number in found["versions"].items())
    return (
        f"{found['cpu']}, {found['processors']} processors, {found['platform']}; Python {found['python']}; {versions}"
    )
