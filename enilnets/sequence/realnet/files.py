"""Networks and trainers as plain settings and named arrays: what files, copies and pickling share.

A file is in the safetensors layout, with the settings as JSON in its metadata; reading one runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ... import checks
from ...errors import ModelFormatError, StateError
from ...optim import OPTIMIZERS, Optimizer
from ...storage import safetensors
from ...storage.state import generator_from, plain_rng, refusing_damage

if TYPE_CHECKING:
    from .network import RealNet

__all__ = ["network_of", "network_parts", "optimizer_of", "optimizer_parts", "read", "rebuilt_network", "write"]

#: Raised with every change that older readers would misunderstand.
VERSION = 1

#: Where the settings stand in a file.
KEY = "enilnets.sequence"

Made = TypeVar("Made")
Config = dict[str, Any]
Arrays = dict[str, np.ndarray]


def write(path: str | PathLike[str], kind: str, config: Config, arrays: Arrays) -> None:
    """Write what a ``kind`` was taken apart into: completely, or not at all."""
    settings = json.dumps({"version": VERSION, "kind": kind, **config}, allow_nan=False)
    safetensors.save(path, arrays, {KEY: settings})


def read(path: str | PathLike[str], kind: str, build: Callable[[Config, Arrays, str], Made]) -> Made:
    """Return what ``build`` makes of the settings, arrays and name of a file that holds a ``kind``.

    Raises
    ------
    FileNotFoundError
    ModelFormatError
        If the file is damaged, or holds something else.
    """
    where = fspath(path)
    arrays, metadata = safetensors.load(path, require_digest=True)
    with refusing_damage(where):
        config = json.loads(metadata[KEY])
        for name, expected in (("kind", kind), ("version", VERSION)):
            if config[name] != expected:
                raise ModelFormatError(where, f"{name} {expected}", repr(config[name]))
        return build(config, arrays, where)


def network_parts(model: RealNet) -> tuple[Config, Arrays]:
    """Take a network apart: settings, and copies of its arrays."""
    config = {
        "num_neurons": model.num_neurons,
        "input_ids": model.input_ids,
        "output_ids": model.output_ids,
        "pulse_mode": model.pulse_mode,
        "dropout_rate": model.dropout_rate,
        "dtype": model.dtype.name,
        "training": model.training,
        "deaths": model.deaths,
        "rng": plain_rng(model.rng),
    }
    arrays = {name: parameter.value.copy() for name, parameter in model.parameters.items()}
    return config, {**arrays, "mask": model.mask.copy()}


def network_of(config: Config, arrays: Arrays, where: str) -> RealNet:
    """Put a network together; ModelFormatError if arrays are missing or do not fit."""
    from .network import RealNet

    n = checks.size(where, "num_neurons", config["num_neurons"], 2)
    dtype = checks.real_dtype(where, config["dtype"])
    for name, shape in {"weights": (n, n), "bias": (n,), "gamma": (n,), "beta": (n,), "mask": (n, n)}.items():
        array, wanted = arrays.get(name), np.dtype(bool) if name == "mask" else dtype
        if array is None or array.shape != shape or array.dtype != wanted:
            got = "nothing" if array is None else f"{array.dtype} {array.shape}"
            raise ModelFormatError(where, f"{wanted} array {name!r} of shape {shape}", got)
    settings = [config[name] for name in ("input_ids", "output_ids", "pulse_mode", "dropout_rate")]
    model = RealNet(n, *settings, dtype=dtype, rng=0)
    for name, parameter in model.parameters.items():
        parameter.value[...] = arrays[name]
    deaths = checks.integer(where, "deaths", config["deaths"], 0)
    if deaths:
        model.kill(~arrays["mask"])
        model.deaths = deaths
    model.train(config["training"]).rng = generator_from(where, config["rng"])
    return model


def rebuilt_network(config: Config, arrays: Arrays) -> RealNet:
    """Put a copy together; see ``network_parts``."""
    return network_of(config, arrays, "RealNet")


def optimizer_parts(optimizer: Optimizer) -> tuple[Config, Arrays]:
    """Take an optimizer apart; StateError for a class that could not be built again."""
    if OPTIMIZERS.get(optimizer.name) is not type(optimizer):
        raise StateError("saving or copying the optimizer", "a class in optim.OPTIMIZERS", type(optimizer).__name__)
    config = {"name": optimizer.name, "settings": optimizer.config(), "t": optimizer.t}
    return config, {slot: vector.copy() for slot, vector in optimizer.state.items()}


def optimizer_of(config: Config, arrays: Arrays, model: RealNet, where: str) -> Optimizer:
    """Put an optimizer together, with its state beside the arena of ``model``."""
    rule = OPTIMIZERS[checks.choice(where, "optimizer", config["name"], OPTIMIZERS)]
    optimizer = rule(**config["settings"])
    optimizer.t = checks.integer(where, "optimizer.t", config["t"], 0)
    if arrays:
        if set(arrays) != set(rule.slots) or any(len(vector) != len(model.arena) for vector in arrays.values()):
            raise ModelFormatError(where, f"optimizer slots {sorted(rule.slots)} of the model's size", sorted(arrays))
        optimizer.allocate(model.arena)
        for slot, vector in arrays.items():
            optimizer.state[slot][...] = vector
    return optimizer
