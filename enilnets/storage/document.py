"""The document that .json and .pkl files hold: the one of the original, with what it has no place for beside it.

A document is made of plain containers and arrays. Its documented part is version 3 of the original, which therefore
reads it as far as it has the layers::

    {"version": 3, "layers": [{"type": "dense", "weights": ..., ..., "_frozen": false}, ...], "optimizer": "adam",
     "learning_rate": ..., "l2_lambda": ..., "momentum": ..., "t": ..., "training": ..., "dtype": ..., "enilnets": ...}

The entry ``"enilnets"``, with a version of its own, holds the rest of the training state: settings of the optimizer,
random state, and under ``"arrays"`` the optimizer's vectors. A document without it was written by the original.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..errors import ModelFormatError
from ..layers import LAYERS
from .encoding import as_array
from .original import OriginalDocument
from .state import refusing_damage

__all__ = ["from_document", "to_document"]

#: Where the part of the document stands that the original does not know.
KEY = "enilnets"

#: The version of the original whose documents these are.
DOCUMENTED_VERSION = 3

#: Settings of a network that the document shows under the same name.
SHARED = ("learning_rate", "l2_lambda", "momentum", "training", "dtype")


def to_document(config: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the document for what ``state.to_parts`` made of a network."""
    of_layers: list[dict[str, np.ndarray]] = [{} for _ in config["layers"]]
    others = {}
    for name, array in arrays.items():
        owner, *rest = name.split(".", 2)
        if owner == "layers":
            of_layers[int(rest[0])][rest[1]] = array
        else:
            others[name] = array
    optimizer = dict(config["optimizer"])
    document = {
        "version": DOCUMENTED_VERSION,
        "layers": [
            {"type": entry["type"], **entry["settings"], **own, "_frozen": entry["frozen"]}
            for entry, own in zip(config["layers"], of_layers, strict=True)
        ],
        "optimizer": optimizer.pop("name"),
        "t": optimizer.pop("t"),
        **{name: config[name] for name in SHARED},
    }
    further = {name: value for name, value in config.items() if name not in (*SHARED, "layers")}
    return {**document, KEY: {**further, "optimizer": optimizer, "arrays": others}}


def from_document(
    document: Any, where: str, own: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[str]]:
    """Take a document apart, the original's included.

    Parameters
    ----------
    document : object
        What a file held.
    where : str
        The file, for messages.
    own : dict
        Settings of the network that is loading, for what documents of the original do not say.

    Returns
    -------
    config, arrays : dict
        For ``state.from_parts``.
    notes : list of str
        What the user should know about the network that comes out.

    Raises
    ------
    ModelFormatError
    """
    with refusing_damage(where):
        if not isinstance(document, dict) or not {"version", "layers"} <= document.keys():
            raise ModelFormatError(
                where, "a document with version and layers", type(document).__name__, "name a file that Save() wrote"
            )
        if KEY not in document:
            original = OriginalDocument(document, where)
            original.read(own)
            return original.config, original.arrays, original.notes
        if document["version"] != DOCUMENTED_VERSION:
            raise ModelFormatError(where, f"version {DOCUMENTED_VERSION}", repr(document["version"]))
        return *_from_ours(document, where), []


def _from_ours(document: dict[str, Any], where: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    dtype = checks.real_dtype(where, document["dtype"])
    config = dict(document[KEY])
    arrays = {name: as_array(where, name, value, dtype) for name, value in config.pop("arrays").items()}
    config["optimizer"] = {**config["optimizer"], "name": document["optimizer"], "t": document["t"]}
    config.update({name: document[name] for name in SHARED})
    config["layers"] = []
    for i, layer in enumerate(document["layers"]):
        entry = dict(layer)
        kind = checks.choice(where, f"layers.{i}.type", entry.pop("type"), LAYERS)
        frozen = entry.pop("_frozen")
        settings = {name: entry.pop(name) for name in LAYERS[kind].settings if name in entry}
        config["layers"].append({"type": kind, "settings": settings, "frozen": frozen})
        for name, value in entry.items():
            arrays[f"layers.{i}.{name}"] = as_array(where, f"layers.{i}.{name}", value, dtype)
    return config, arrays
