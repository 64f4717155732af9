"""A layer, and the layers that it is made of, as plain settings and named arrays; and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import checks
from ..errors import ModelFormatError
from ..layers import LAYERS, Layer, inside

__all__ = ["built", "described"]

#: Takes the array of a name out of those of the file, after a look at its shape.
Take = Callable[[str, tuple[int, ...]], np.ndarray]


def described(layer: Layer) -> dict[str, Any]:
    """Return type, settings and frozen flag of a layer, and of the layers that it is made of, JSON-ready."""
    settings = layer.config()
    for name in layer.nested:
        value = settings[name]
        if isinstance(value, (list, tuple)):
            settings[name] = [described(inner) for inner in value]
        elif value is not None:
            settings[name] = described(value)
    return {"type": layer.type, "settings": settings, "frozen": layer.frozen}


def built(where: str, place: str, entry: Any, dtype: np.dtype, take: Take) -> Layer:
    """Build the layer that ``described`` described, and those inside of it first, with the arrays under ``place``."""
    kind = LAYERS[checks.choice(where, f"{place}.type", entry["type"], LAYERS)]
    settings = {**kind.older_files, **dict(entry["settings"])}
    if set(settings) != set(kind.settings):
        raise ModelFormatError(where, f"settings {sorted(kind.settings)} of {place}", str(sorted(settings)))
    for setting in kind.nested:
        value = settings[setting]
        made = [built(where, f"{place}.{name}", part, dtype, take) for name, part in inside(setting, value)]
        settings[setting] = made if isinstance(value, list) else made[0] if made else None
    shapes = {} if kind.nested else kind.shapes(settings)
    values = {name: take(f"{place}.{name}", shape) for name, shape in shapes.items()}
    layer = kind.blank(settings, dtype)
    for name, value in values.items():
        layer[name] = value
    if checks.flag(where, f"{place}.frozen", entry["frozen"]):
        layer.frozen = True
    return layer
