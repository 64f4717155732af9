"""The full training state of a network as named arrays and plain settings, and back.

This one mechanism serves model files, copies and pickling, so they cannot drift apart. Reading it back resolves names
in closed tables only (LAYERS, OPTIMIZERS, BIT_GENERATORS) and compares the arrays with what the settings promise
before anything of that size is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import checks
from ..errors import EnilnetsError, ModelFormatError, StateError
from ..layers import LAYERS, Layer, Sequential, parts_of
from ..optim import OPTIMIZERS, Optimizer
from ..parameters import Arena
from .layers import built, described

__all__ = ["VERSION", "TrainingState", "from_parts", "generator_from", "plain_rng", "refusing_damage", "to_parts"]

#: Raised with every change that older readers would misunderstand.
VERSION = 1

#: The random generators whose state can be kept.
BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


@dataclass
class TrainingState:
    """Everything that training changes or depends on."""

    layers: list[Layer]
    arena: Arena
    optimizer: Optimizer
    learning_rate: float
    l2_lambda: float
    momentum: float
    dtype: np.dtype
    training: bool
    rng: np.random.Generator
    run: dict[str, Any] = field(default_factory=dict)  # plain containers and arrays, from training
    input_shape: tuple[int, ...] | None = None


def to_parts(state: TrainingState) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return ``state`` as JSON-ready settings and named copies of all arrays."""
    _check_known(state)
    arrays: dict[str, np.ndarray] = {}
    layers = []
    if state.optimizer.state:
        state.optimizer.allocate(state.arena)  # a layer may have been added since the last step
    for i, layer in enumerate(state.layers):
        layers.append(described(layer))
        arrays.update({f"layers.{i}.{name}": array.copy() for name, array in layer.arrays().items()})
        for slot, vector in state.optimizer.state.items():
            for name, p in layer.parameters.items():
                arrays[f"optimizer.{slot}.{i}.{name}"] = (
                    vector[p.start : p.start + p.size].reshape(p.value.shape).copy()
                )
    optimizer = state.optimizer
    config = {
        "version": VERSION,
        "layers": layers,
        "optimizer": {
            "name": optimizer.name,
            "settings": optimizer.config(),
            "t": optimizer.t,
            "slots": sorted(optimizer.state),
        },
        "learning_rate": state.learning_rate,
        "l2_lambda": state.l2_lambda,
        "momentum": state.momentum,
        "dtype": state.dtype.name,
        "training": state.training,
        "rng": _plain(state.rng.bit_generator.state),
    }
    if state.input_shape is not None:
        config["input_shape"] = list(state.input_shape)
    if state.run:
        config["run"] = _take_arrays_out(state.run, "run", arrays)
    return config, arrays


def _take_arrays_out(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return ``value`` with {"array": name} for every array in it, a copy of which joins ``arrays``."""
    if isinstance(value, np.ndarray):
        arrays[name] = value.copy()
        return {"array": name}
    if isinstance(value, dict):
        return {key: _take_arrays_out(entry, f"{name}.{key}", arrays) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_take_arrays_out(entry, f"{name}.{i}", arrays) for i, entry in enumerate(value)]
    return value


def _put_arrays_back(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Undo ``_take_arrays_out``; the arrays leave ``arrays``."""
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return arrays.pop(value["array"])
        return {key: _put_arrays_back(entry, arrays) for key, entry in value.items()}
    return [_put_arrays_back(entry, arrays) for entry in value] if isinstance(value, list) else value


def _check_known(state: TrainingState) -> None:
    """Refuse what ``from_parts`` could not build again, while the message can still say what it is."""
    way_out = "enter the class in the table, or keep the arrays with enilnets.storage.safetensors.save"
    for i, layer in enumerate(state.layers):
        for part in parts_of(layer):
            if LAYERS.get(part.type) is not type(part):
                got = type(part).__name__
                raise StateError(f"saving or copying layer {i}", "a class in layers.LAYERS", got, way_out)
    if OPTIMIZERS.get(state.optimizer.name) is not type(state.optimizer):
        got = type(state.optimizer).__name__
        raise StateError("saving or copying the optimizer", "a class in optim.OPTIMIZERS", got, way_out)
    if type(state.rng.bit_generator).__name__ not in BIT_GENERATORS:
        got = type(state.rng.bit_generator).__name__
        raise StateError("saving or copying the random state", f"one of {', '.join(BIT_GENERATORS)}", got)


def from_parts(config: dict[str, Any], arrays: dict[str, np.ndarray], where: str) -> TrainingState:
    """Build the state that ``to_parts`` took apart.

    Raises
    ------
    ModelFormatError
        If anything is missing, superfluous, of the wrong type or shape, or of an unknown version or name.
    """
    with refusing_damage(where):
        return _build(config, arrays, where)


@contextmanager
def refusing_damage(where: str) -> Iterator[None]:
    """Turn whatever goes wrong with the content of the file ``where`` into a ModelFormatError."""
    try:
        yield
    except ModelFormatError:
        raise
    except (EnilnetsError, LookupError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise ModelFormatError(
            where, "the settings of a network", f"{type(error).__name__}: {error}", "the file was damaged or edited"
        ) from error


def _build(config: dict[str, Any], arrays: dict[str, np.ndarray], where: str) -> TrainingState:
    if config["version"] != VERSION:
        raise ModelFormatError(
            where,
            f"model version {VERSION}",
            repr(config["version"]),
            "update enilnets to read files of newer versions",
        )
    dtype = checks.real_dtype(where, config["dtype"])
    remaining = dict(arrays)

    def take(name: str, shape: tuple[int, ...]) -> np.ndarray:
        array = remaining.pop(name, None)
        if array is None or array.shape != shape or array.dtype != dtype:
            got = "nothing" if array is None else f"{array.dtype} {array.shape}"
            raise ModelFormatError(
                where, f"{dtype} array {name!r} of shape {shape}", got, "the file was damaged or edited"
            )
        return array

    layers: list[Layer] = []
    arena = Arena(dtype)
    for i, entry in enumerate(config["layers"]):
        layer = built(where, f"layers.{i}", entry, dtype, take)
        for parameter in layer.parameters.values():
            arena.add(parameter)
        layers.append(layer)

    entry = config["optimizer"]
    rule = OPTIMIZERS[checks.choice(where, "optimizer.name", entry["name"], OPTIMIZERS)]
    optimizer = rule(**_object(where, entry["settings"]))
    optimizer.t = checks.integer(where, "optimizer.t", entry["t"], 0)
    if entry["slots"]:
        if entry["slots"] != sorted(rule.slots):
            raise ModelFormatError(where, f"optimizer slots {sorted(rule.slots)}", repr(entry["slots"]))
        optimizer.allocate(arena)
        for slot, vector in optimizer.state.items():
            for i, layer in enumerate(layers):
                for name, p in layer.parameters.items():
                    vector[p.start : p.start + p.size] = take(f"optimizer.{slot}.{i}.{name}", p.value.shape).ravel()
    run = _put_arrays_back(_object(where, config.get("run", {})), remaining)
    if remaining:
        raise ModelFormatError(
            where, "no further arrays", ", ".join(sorted(remaining)[:3]), "the file was damaged or edited"
        )
    return TrainingState(
        layers=layers,
        arena=arena,
        optimizer=optimizer,
        learning_rate=checks.number(where, "learning_rate", config["learning_rate"], 0.0),
        l2_lambda=checks.number(where, "l2_lambda", config["l2_lambda"], 0.0),
        momentum=checks.fraction(where, "momentum", config["momentum"]),
        dtype=dtype,
        training=checks.flag(where, "training", config["training"]),
        rng=generator_from(where, config["rng"]),
        run=run,
        input_shape=_input_shape(where, config.get("input_shape"), layers),
    )


def _input_shape(where: str, value: Any, layers: list[Layer]) -> tuple[int, ...] | None:
    """Return the shape of one sample if it is known (older files do not say) and the layers can take it."""
    if value is None:
        return None
    input_shape = tuple(checks.size(where, "input_shape", size) for size in value)
    Sequential(layers, dtype=layers[0].dtype).through(input_shape)
    return input_shape


def _object(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelFormatError(where, "settings by name", repr(value))
    return value


def plain_rng(rng: np.random.Generator) -> dict[str, Any]:
    """Return the state of ``rng`` in plain containers, which the settings of a network hold."""
    return _plain(rng.bit_generator.state)


def _plain(value: Any) -> Any:
    """Turn the arrays inside a random generator's state into lists."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [int(entry) for entry in value] if isinstance(value, np.ndarray) else value


def generator_from(where: str, state: dict[str, Any]) -> np.random.Generator:
    """Return the generator whose state ``plain_rng`` took down."""
    name = checks.choice(where, "rng", state["bit_generator"], BIT_GENERATORS)
    bit_generator = getattr(np.random, name)(0)
    template = bit_generator.state
    bit_generator.state = _like(where, template, state)
    return np.random.Generator(bit_generator)


def _like(where: str, template: Any, value: Any) -> Any:
    """Return ``value`` with the keys, lengths and array types of ``template``."""
    if isinstance(template, dict):
        if not isinstance(value, dict) or set(value) != set(template):
            raise ModelFormatError(where, f"a random state with {sorted(template)}", repr(value)[:80])
        return {key: _like(where, template[key], value[key]) for key in template}
    if isinstance(template, np.ndarray):
        array = np.array([checks.integer(where, "rng", entry, 0) for entry in value], template.dtype)
        if array.shape != template.shape:
            raise ModelFormatError(where, f"{template.size} numbers of random state", str(array.size))
        return array
    return value if isinstance(template, str) else checks.integer(where, "rng", value, 0)
