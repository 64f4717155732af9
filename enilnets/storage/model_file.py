"""Model files: the training state as .safetensors, .pkl or JSON. The extension decides, in any case.

Names that end in neither .safetensors nor .pkl stand for JSON, as in the original.
"""

from __future__ import annotations

import json
import os
import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from ..errors import ConfigError, ModelFormatError
from . import json_file, pickle_file, safetensors
from .atomic import open_regular, write_atomically
from .document import KEY, from_document, to_document

__all__ = ["read_parts", "write_parts"]


def _extension(path: Path) -> str:
    extension = path.suffix.lower()
    return extension if extension in (".safetensors", ".pkl") else ".json"


def write_parts(
    path: str | PathLike[str], config: dict[str, Any], arrays: dict[str, np.ndarray], form: str = "lists"
) -> None:
    """Write settings and arrays to ``path``: completely, or not at all.

    Parameters
    ----------
    path : path
    config, arrays : dict
        From ``state.to_parts``.
    form : {"lists", "base64"}
        How JSON shows arrays.
    """
    path = Path(os.fspath(path))
    extension = _extension(path)
    checks.choice("Save", "arrays", form, json_file.ARRAYS)
    if extension != ".json" and form != "lists":
        raise ConfigError("Save(arrays)", f"none for a {extension} file, which has but one form", repr(form))
    if extension == ".safetensors":
        settings = json.dumps(config, allow_nan=False, separators=(",", ":"))
        safetensors.save(path, arrays, {KEY: settings})
    elif extension == ".pkl":
        write_atomically(path, [pickle_file.encode(to_document(config, arrays))])
    else:
        write_atomically(path, json_file.encode(to_document(config, arrays), form))


def read_parts(path: str | PathLike[str], own: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what ``write_parts`` or the original wrote.

    Parameters
    ----------
    path : path
    own : dict
        ``training`` and ``rng`` of the network that is loading, which files of the original do not hold.

    Raises
    ------
    FileNotFoundError
    ModelFormatError
        For a damaged file, or one that holds no network.

    Warns
    -----
    UserWarning
        If an array holds NaN or infinity, or a file of the original can only be taken with a difference.
    """
    path = Path(os.fspath(path))
    where, extension = str(path), _extension(path)
    notes: list[str] = []
    if extension == ".safetensors":
        config, arrays = _read_safetensors(path)
    else:
        with open_regular(path) as file:
            data = file.read()
        document = pickle_file.decode(data, where) if extension == ".pkl" else json_file.decode(data, where)
        config, arrays, notes = from_document(document, where, own)
    notes += [
        f"array {name!r} holds NaN or infinity"
        for name, array in arrays.items()
        if array.dtype.kind == "f" and not np.isfinite(array).all()
    ]
    for note in notes:
        warnings.warn(f"{path}: {note}", stacklevel=3)
    return config, arrays


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    arrays, metadata = safetensors.load(path, require_digest=True)
    if KEY not in metadata:
        raise ModelFormatError(str(path), "a file that Save() wrote", "arrays without the settings of a network")
    try:
        config = json.loads(metadata[KEY])
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(str(path), "settings in JSON", str(error), "the file was damaged or edited") from error
    if not isinstance(config, dict):
        raise ModelFormatError(str(path), "settings by name", type(config).__name__, "the file was damaged or edited")
    return config, arrays
