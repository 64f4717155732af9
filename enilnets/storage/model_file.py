"""Model files: the training state in a safetensors container. The extension decides the format."""

from __future__ import annotations

import json
import os
import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, ModelFormatError
from . import safetensors

__all__ = ["read_parts", "write_parts"]

#: Where the settings stand in the container's metadata.
KEY = "enilnets"


def _check_extension(caller: str, path: str | PathLike[str]) -> Path:
    path = Path(os.fspath(path))
    if path.suffix.lower() != ".safetensors":
        raise ConfigError(
            f"{caller}({path.name!r})",
            "a file name that ends in .safetensors",
            repr(path.suffix or "no extension"),
            ".json and .pkl files are not supported yet; use .safetensors, which keeps the full training state",
        )
    return path


def write_parts(path: str | PathLike[str], config: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write settings and arrays to ``path`` (.safetensors): completely, or not at all."""
    path = _check_extension("Save", path)
    safetensors.save(path, arrays, {KEY: json.dumps(config, allow_nan=False, separators=(",", ":"))})


def read_parts(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what ``write_parts`` wrote.

    Raises
    ------
    ConfigError
        For another extension.
    FileNotFoundError
    ModelFormatError
        For a damaged file, or one that holds no network.

    Warns
    -----
    UserWarning
        If an array holds NaN or infinity.
    """
    path = _check_extension("Load", path)
    arrays, metadata = safetensors.load(path, require_digest=True)
    if KEY not in metadata:
        raise ModelFormatError(str(path), "a file that Save() wrote", "arrays without the settings of a network")
    try:
        config = json.loads(metadata[KEY])
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(str(path), "settings in JSON", str(error), "the file was damaged or edited") from error
    if not isinstance(config, dict):
        raise ModelFormatError(str(path), "settings by name", type(config).__name__, "the file was damaged or edited")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            warnings.warn(f"{path}: array {name!r} holds NaN or infinity", stacklevel=3)
    return config, arrays
