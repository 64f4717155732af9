"""The training state of a model whose code is its user's: named arrays and plain settings, and back into the model.

A file holds no code and no layers, only what training changes. It goes back into a model that the same code has built,
after everything was compared with what that model has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import checks
from ..errors import ModelFormatError
from ..parameters import Parameter
from .state import (
    VERSION,
    TrainingState,
    check_trainer,
    optimizer_from,
    put_arrays_back,
    refusing_damage,
    settings_by_name,
    take_arrays_out,
    trainer_config,
    trainer_settings,
)

__all__ = ["arrays_of_model", "read_model"]


def arrays_of_model(
    state: TrainingState,
    parameters: Mapping[str, Parameter],
    buffers: Mapping[str, np.ndarray],
    frozen: Mapping[str, bool],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return settings and copies of all arrays, in the form that ``model_file.write_parts`` takes.

    Parameters
    ----------
    state : TrainingState
        Without layers.
    parameters, buffers : mapping by name
    frozen : mapping of str to bool
        Of every layer and Parameter.
    """
    check_trainer(state)
    if state.optimizer.state:
        state.optimizer.allocate(state.arena)  # something may have been added since the last step
    arrays = {f"parameters.{name}": p.value.copy() for name, p in parameters.items()}
    arrays |= {f"buffers.{name}": buffer.copy() for name, buffer in buffers.items()}
    for slot, vector in state.optimizer.state.items():
        for name, p in parameters.items():
            arrays[f"optimizer.{slot}.{name}"] = vector[p.start : p.start + p.size].reshape(p.value.shape).copy()
    config = {
        "version": VERSION,
        "layers": [],
        **trainer_config(state),
        "frozen": [name for name, is_frozen in frozen.items() if is_frozen],
    }
    if state.run:
        config["run"] = take_arrays_out(state.run, "run", arrays)
    return config, arrays


def read_model(
    where: str,
    config: dict[str, Any],
    arrays: dict[str, np.ndarray],
    state: TrainingState,
    parameters: Mapping[str, Parameter],
    buffers: Mapping[str, np.ndarray],
) -> tuple[TrainingState, Callable[[str], bool]]:
    """Put the arrays into ``parameters`` and ``buffers``, and return what else ``arrays_of_model`` took down.

    Parameters
    ----------
    where : str
        The file, for messages.
    config, arrays : dict
    state : TrainingState
        Of the model that loads.
    parameters, buffers : mapping by name

    Returns
    -------
    state : TrainingState
    is_frozen : callable
        Says it for a name.

    Raises
    ------
    ModelFormatError
        If names, shapes or dtypes are not those of the model; then nothing was assigned.
    """
    with refusing_damage(where):
        if config["version"] != VERSION or config["layers"]:
            got = "a network's" if config["layers"] else repr(config["version"])
            raise ModelFormatError(where, f"the state of a Model, version {VERSION}", got)
        if checks.real_dtype(where, config["dtype"]) != state.dtype:
            raise ModelFormatError(where, f"a {state.dtype} model", config["dtype"], "build the model with that dtype=")
        optimizer = optimizer_from(where, config["optimizer"])
        shapes = {f"parameters.{name}": p.value.shape for name, p in parameters.items()}
        shapes |= {f"buffers.{name}": buffer.shape for name, buffer in buffers.items()}
        slots = config["optimizer"]["slots"]
        shapes |= {f"optimizer.{slot}.{name}": p.value.shape for slot in slots for name, p in parameters.items()}
        taken = _taken(where, arrays, shapes, {**buffers}, state.dtype)
        rest = {name: array for name, array in arrays.items() if name not in shapes}
        run = put_arrays_back(settings_by_name(where, config.get("run", {})), rest)
        if rest:
            raise _mismatch(where, "no further arrays", ", ".join(sorted(rest)[:3]))
        frozen = {str(name) for name in config["frozen"]}
        settings = trainer_settings(where, config)
    for name, p in parameters.items():
        p.value[...] = taken[f"parameters.{name}"]
    for name, buffer in buffers.items():
        if buffer.flags.writeable:
            buffer[...] = taken[f"buffers.{name}"]
    state.arena.version += 1
    if slots:
        optimizer.allocate(state.arena)
        for slot, vector in optimizer.state.items():
            for name, p in parameters.items():
                vector[p.start : p.start + p.size] = taken[f"optimizer.{slot}.{name}"].ravel()
    loaded = TrainingState([], state.arena, optimizer, dtype=state.dtype, run=run, **settings)
    return loaded, frozen.__contains__


def _taken(
    where: str,
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    buffers: Mapping[str, np.ndarray],
    dtype: np.dtype,
) -> dict[str, np.ndarray]:
    """Return the arrays of these names, after a look at shapes and dtypes."""
    for name, shape in shapes.items():
        array = arrays.get(name)
        kind, _, rest = name.partition(".")
        wanted = buffers[rest].dtype if kind == "buffers" else dtype
        if array is None or array.shape != shape or array.dtype != wanted:
            got = "nothing" if array is None else f"{array.dtype} {array.shape}"
            raise _mismatch(where, f"{wanted} array {name!r} of shape {shape}", got)
    return {name: arrays[name] for name in shapes}


def _mismatch(where: str, expected: str, got: str) -> ModelFormatError:
    return ModelFormatError(where, expected, got, "build the model as it was when it was saved")
