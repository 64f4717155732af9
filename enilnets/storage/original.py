"""Documents that the original wrote: version 3 (Enilnets 2.x), 5 (3.x) and 6 (4.x), turned into parts of a network.

Only what its own Load restores is read; gradients, dropout masks and token ids, which it leaves in the layers, are
passed over. Where such a document can only be understood with a difference, a note says so.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import checks
from ..errors import ModelFormatError
from ..layers import LAYERS, Layer
from ..optim import OPTIMIZERS, Optimizer
from .encoding import as_array
from .state import VERSION

__all__ = ["OriginalDocument"]

#: Versions of its documents; 4 was never released.
VERSIONS = (3, 5, 6)

#: What the original computes for a name it does not know, which versions before 6 let pass.
FALLBACK_OPTIMIZER = "adam"


def _matrix(entry: Mapping[str, Any]) -> dict[str, Any]:
    rows, columns = entry["weights"].shape
    return {"n_in": columns, "n_out": rows}


def _convolution(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"padding": entry.get("pad", 0)}  # beside "valid" or "same" it says how many zeros that is


def _nothing(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {}


#: Layer types of the original that are known here, and what of their settings stands elsewhere in its entry.
#: All others are called the same in both; what the entry does not hold is the default.
LAYER_SETTINGS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "dense": _matrix,
    "sparse": _matrix,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "flatten": _nothing,
    "maxpool2d": _nothing,
    "avgpool2d": _nothing,
    "globalavgpool2d": _nothing,
    "globalmaxpool2d": _nothing,
    "upsample2d": _nothing,
    "batchnorm": _nothing,
    "layernorm": _nothing,
    "dropout": _nothing,
    "embedding": _nothing,
}

#: Settings of our optimizers by the names under which the documents hold them.
ADAM_SETTINGS = {"beta1": "adam_beta1", "beta2": "adam_beta2", "epsilon": "adam_epsilon"}
OPTIMIZER_SETTINGS = {
    "sgd": {"momentum": "momentum"},
    "rmsprop": {"rho": "rmsprop_decay", "epsilon": "rmsprop_epsilon"},
    "adagrad": {"epsilon": "adagrad_epsilon"},
    "adadelta": {},
    "lion": {},
}

#: Settings that the documents do not hold, as the original has them where its default is not ours.
UNSAVED_SETTINGS = {"adadelta": {"rho": 0.95}}

#: Prefix of the optimizer state in the documents where it is not the name of our slot.
SLOT_PREFIXES = {"sgd": {"velocity": "m"}, "adadelta": {"d": "u"}, "adamax": {"u": "v"}}

#: Entries of a document that a network here has no place for.
LEFT_OUT = ("extra_state", "use_mixed_precision", "accum_steps")


class OriginalDocument:
    """A document of the original, and what it says about a network.

    Parameters
    ----------
    document : dict
        With ``version`` and ``layers``.
    where : str
        The file, for messages.

    Attributes
    ----------
    config, arrays : dict
        For ``state.from_parts``, once ``read`` was called.
    notes : list of str
        What is different from the network that was saved.
    """

    def __init__(self, document: dict[str, Any], where: str) -> None:
        version = document["version"]
        if type(version) is not int or version not in VERSIONS:
            known = ", ".join(map(str, VERSIONS))
            raise ModelFormatError(where, f"version {known} of Enilnets, or a file of this package", repr(version)[:80])
        self.document = document
        self.where = where
        self.dtype = checks.real_dtype(where, document.get("dtype", "float64"))
        self.arrays: dict[str, np.ndarray] = {}
        self.config: dict[str, Any] = {}
        self.notes: list[str] = []

    def read(self, own: dict[str, Any]) -> None:
        """Fill ``config`` and ``arrays``; what the document does not say is as in ``own``."""
        document = self.document
        layers = [self._layer(i, entry) for i, entry in enumerate(document["layers"])]
        self.notes += [f"{name!r} is not loaded" for name in LEFT_OUT if document.get(name)]
        self.config = {
            "version": VERSION,
            "layers": layers,
            "optimizer": self._optimizer(layers),
            **{name: document[name] for name in ("learning_rate", "l2_lambda", "momentum")},
            "dtype": self.dtype.name,
            "training": document.get("training", own["training"]),
            "rng": own["rng"],
        }

    def _layer(self, i: int, entry: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of layer ``i`` and keep its arrays."""
        known = [name for name in LAYER_SETTINGS if name in LAYERS]
        found = entry.get("type") if isinstance(entry, dict) else entry
        if found not in known:
            raise ModelFormatError(f"{self.where}, layer {i}", f"a layer of type {', '.join(known)}", repr(found)[:80])
        kind = LAYERS[entry["type"]]
        where = f"{self.where}, layer {i} ({kind.type})"
        if "weights" in entry:
            entry = {**entry, "weights": as_array(where, "weights", entry["weights"], self.dtype)}
        settings = _settings(where, kind, {**entry, **LAYER_SETTINGS[kind.type](entry)})
        self._check_differences(where, kind, entry, settings)
        for name, shape in kind.shapes(settings).items():
            self.arrays[f"layers.{i}.{name}"] = self._array(where, name, entry[name], shape)
        return {"type": kind.type, "settings": settings, "frozen": entry.get("_frozen", False)}

    def _array(self, where: str, name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
        array = as_array(where, name, value, self.dtype).astype(self.dtype)
        if array.shape == (math.prod(shape),):
            array = array.reshape(shape)  # the original holds what a layer norm learns in one axis
        if array.shape != shape:
            raise ModelFormatError(where, f"{name} of shape {shape}", f"shape {array.shape}", "the file was edited")
        return array

    def _check_differences(
        self, where: str, kind: type[Layer], entry: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        """Refuse what would compute something else here, or change ``settings`` so that it does not."""
        if entry.get("activation_params") and "activation_params" not in kind.settings:
            got = repr(entry["activation_params"])[:80]
            raise ModelFormatError(where, "an activation without parameters of its own", got)
        if entry.get("prune_mask"):
            raise ModelFormatError(where, "weights without a prune_mask", "one", "call clear_masks() before saving")
        if kind.type == "conv2d" and "pad" not in entry and settings["stride"] != 1:
            self.notes.append(f"{where} has stride 1, since Enilnets 2 ignored the stride {settings['stride']} it kept")
            settings["stride"] = 1
        if settings.get("use_bias") is False and np.any(as_array(where, "bias", entry["bias"], self.dtype)):
            self.notes.append(f"{where} has use_bias=True, since Enilnets trained the bias in spite of use_bias=False")
            settings["use_bias"] = True

    def _optimizer(self, layers: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the settings of the optimizer and keep its state."""
        document = self.document
        name = document["optimizer"].lower()
        if name not in OPTIMIZERS and document["version"] == VERSIONS[0]:
            self.notes.append(f"the optimizer is Adam, as which Enilnets 2 ran {name[:40]!r}")
            name = FALLBACK_OPTIMIZER
        if name not in OPTIMIZERS:
            raise ModelFormatError(self.where, f"an optimizer of {', '.join(OPTIMIZERS)}", repr(name)[:80])
        rule = OPTIMIZERS[name]
        settings = {**rule().config(), **UNSAVED_SETTINGS.get(name, {})}
        for setting, stored in OPTIMIZER_SETTINGS.get(name, ADAM_SETTINGS).items():
            if setting in settings and stored in document:
                settings[setting] = document[stored]
        settings["clip_norm"] = document.get("grad_clip_norm") or None
        state = document.get("opt_state") or []
        for i, entry in enumerate(state):
            self._state_of_layer(i, layers[i], entry or {}, rule)
        return {"name": name, "settings": settings, "t": document["t"], "slots": sorted(rule.slots) if state else []}

    def _state_of_layer(self, i: int, layer: dict[str, Any], entry: dict[str, Any], rule: type[Optimizer]) -> None:
        for name, parameter in LAYERS[layer["type"]].blank(layer["settings"], self.dtype).parameters.items():
            shape = parameter.value.shape
            for slot in rule.slots:
                stored = f"{SLOT_PREFIXES.get(rule.name, {}).get(slot, slot)}_{name}"
                value = entry.get(stored, np.zeros(shape))  # it keeps none for layers that were frozen at first
                where = f"{self.where}, state of layer {i}"
                self.arrays[f"optimizer.{slot}.{i}.{name}"] = self._array(where, stored, value, shape)


def _settings(where: str, kind: type[Layer], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return every setting of a layer of this ``kind``: as the entry has it, or its default."""
    defaults = inspect.signature(kind).parameters
    settings = {name: entry.get(name, defaults[name].default) for name in kind.settings}
    missing = [name for name, value in settings.items() if value is inspect.Parameter.empty]
    if missing:
        raise ModelFormatError(where, f"entries {', '.join(kind.settings)}", f"none for {', '.join(missing)}")
    return settings
