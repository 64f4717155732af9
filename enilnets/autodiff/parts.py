"""What belongs to a model: layers and Parameters under its attributes, copies of them, and their files."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from os import PathLike
from typing import Any, TypeVar

import numpy as np

from ..errors import DTypeError, StateError
from ..layers import Container, Layer
from ..parameters import Arena
from ..parameters import Parameter as StoredParameter
from ..storage.model_file import read_parts, write_parts
from ..storage.model_state import arrays_of_model, read_model
from ..storage.state import TrainingState, plain_rng
from ..training.trainable import Trainable

__all__ = ["Parts"]

P = TypeVar("P", bound="Parts")

#: Values that hold no layers, so that lists which begin with one need not be searched.
PLAIN = (str, bytes, int, float, np.generic, np.ndarray)

#: Attributes that are made anew for a copy.
OWN = ("_arena", "_optimizer")

#: Attributes of every model, which need not be searched for parts.
SETTINGS = frozenset(
    ("_arena", "_dtype", "_l2_lambda", "_learning_rate", "_momentum", "_optimizer", "_rng", "_training", "run_state")
)


class Parts(Trainable):
    """Base of Model: finds what belongs to it, by dotted names in the order of definition."""

    def named_parts(self) -> Iterator[tuple[str, Any]]:
        """Yield dotted name and object of all layers and Parameters, in the order in which they were set, each once."""
        seen: set[int] = set()
        stack = _inside(self)
        while stack:
            name, value = stack.pop()
            if isinstance(value, (Layer, StoredParameter)):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield name, value
            elif isinstance(value, (Parts, dict, list, tuple)) and value is not self and id(value) not in seen:
                seen.add(id(value))
                stack.extend((f"{name}.{key}", part) for key, part in _inside(value))

    def named_parameters(self) -> Iterator[tuple[str, StoredParameter]]:
        """Yield dotted name and Parameter of every trainable array, each once."""
        seen: set[int] = set()
        for name, part in self.named_parts():
            own = part.parameters.items() if isinstance(part, Layer) else [("", part)]
            for key, parameter in own:
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield f"{name}.{key}" if key else name, parameter

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield dotted name and array of everything that layers keep beside parameters, such as running statistics."""
        for name, part in self.named_parts():
            if isinstance(part, Layer):
                yield from ((f"{name}.{key}", buffer) for key, buffer in part.buffers.items())

    def all_layers(self) -> list[Layer]:
        """Return the layers of this model and of Models inside; those that are made of layers as a whole."""
        return [part for _, part in self.named_parts() if isinstance(part, Layer)]

    @property
    def arena(self) -> Arena:  # type: ignore[override]
        """All parameters and gradients; built when it is first asked for, and joined by what is set later."""
        if "_arena" not in vars(self):
            self._arena = Arena(self.dtype)
        arena = self._arena
        for name, parameter in self.named_parameters():
            if parameter.arena is not arena:
                self._fit(name, parameter)
                if parameter.arena is not None:
                    way_out = "train through the model that holds it, or make a copy of the part"
                    raise StateError(f"{self._name}.{name}", "a part of this model alone", "one of another", way_out)
                arena.add(parameter)
        return arena

    def _fit(self, name: str, parameter: StoredParameter) -> None:
        """Give a Parameter the dtype of the model; a layer has to have it already."""
        if parameter.value.dtype != self.dtype:
            if parameter.arena is not None:
                raise DTypeError(f"{self._name}.{name}", f"dtype {self.dtype}", f"dtype {parameter.value.dtype}")
            parameter.value = parameter.value.astype(self.dtype)
            parameter.grad = parameter.grad.astype(self.dtype)

    def _check_parts(self) -> None:
        """Raise DTypeError for a layer of another dtype; cast Parameters."""
        for name, part in self.named_parts():
            if isinstance(part, Layer):
                if part.dtype != self.dtype:
                    way_out = "make it with dtype=self.dtype"
                    raise DTypeError(f"{self._name}.{name}", f"a {self.dtype} layer", f"{part.dtype}", way_out)
            else:
                self._fit(name, part)

    # Copies

    def clone(self: P) -> P:
        """Return an independent copy: arrays, gradients, optimizer, counters, random state, further attributes."""
        return copy.deepcopy(self)

    def __copy__(self: P) -> P:
        return copy.deepcopy(self)

    def __deepcopy__(self: P, memo: dict[int, Any]) -> P:
        twin = memo[id(self)] = object.__new__(type(self))
        for _, part in self.named_parts():
            if isinstance(part, Layer):
                made = copy.deepcopy(part, memo)
                memo.update((id(p), made.parameters[key]) for key, p in part.parameters.items())
        arena = vars(self).get("_arena")
        for _, parameter in self.named_parameters():
            copy.deepcopy(parameter, memo).adopt_gradient(parameter)
        own: dict[str, Any] = {}
        if arena is not None:
            own["_arena"] = memo[id(arena)] = Arena(arena.dtype, [memo[id(p)] for p in arena.parameters])
        own["_optimizer"] = copy.deepcopy(self.optimizer, memo)
        vars(twin).update({k: copy.deepcopy(v, memo) for k, v in vars(self).items() if k not in OWN} | own)
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        layers = [part for _, part in self.named_parts() if isinstance(part, Layer)]
        theirs = {id(p) for layer in layers for p in layer.parameters.values()}
        for name, part in self.named_parts():
            if isinstance(part, StoredParameter) and id(part) in theirs:
                way_out = "read it from the layer in call(), or use Save and Load"
                raise StateError(f"pickling {self._name}.{name}", "a Parameter of its own", "that of a layer", way_out)
        attributes = {key: value for key, value in vars(self).items() if key not in OWN}
        names = None
        if "_arena" in vars(self):
            by_id = {id(p): name for name, p in self.named_parameters()}
            names = [by_id[id(p)] for p in self._arena.parameters]
        optimizer = {key: value for key, value in vars(self.optimizer).items() if key != "_arena"}
        return _rebuild, (type(self), attributes, names, type(self.optimizer), optimizer)

    # Files

    def _state(self) -> TrainingState:
        return TrainingState(
            layers=[],
            arena=self.arena,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            l2_lambda=self.l2_lambda,
            momentum=self._momentum,
            dtype=self.dtype,
            training=self.training,
            rng=self.rng,
            run=self.run_state,
        )

    def _freezable(self) -> Iterator[tuple[str, Any]]:
        """Yield dotted name and object of every Parameter and every layer that is not made of layers."""
        stack = list(self.named_parts())
        while stack:
            name, part = stack.pop()
            if isinstance(part, Container):
                stack.extend((f"{name}.{key}", inner) for key, inner in part.children.items())
            else:
                yield name, part

    def Save(self, file: str | PathLike[str], arrays: str = "lists") -> None:
        """Save the training state: parameters, statistics, optimizer, counters, settings, random state.

        The code of the model is not part of the file; ``Load`` needs a model that the same code has built.

        Parameters
        ----------
        file : path
            The extension decides the format: ``.safetensors``, ``.pkl``, or JSON for anything else; see
            ``NeuralNet.Save``. The file is replaced as a whole or not at all.
        arrays : {"lists", "base64"}
            How JSON shows arrays.
        """
        frozen = {name: part.frozen for name, part in self._freezable()}
        parts = arrays_of_model(self._state(), dict(self.named_parameters()), dict(self.named_buffers()), frozen)
        write_parts(file, *parts, arrays)

    def Load(self: P, file: str | PathLike[str]) -> P:
        """Take over the state in ``file``; training goes on bit for bit where it was saved. No file can run code.

        Returns
        -------
        self

        Raises
        ------
        FileNotFoundError
        ModelFormatError
            If the file is damaged, or names, shapes or dtype are not those of this model; it is then unchanged.
        """
        where, own = str(file), {"training": self.training, "rng": plain_rng(self.rng)}
        config, arrays = read_parts(file, own)
        buffers = dict(self.named_buffers())
        state, is_frozen = read_model(where, config, arrays, self._state(), dict(self.named_parameters()), buffers)
        self.learning_rate, self.l2_lambda, self._momentum = state.learning_rate, state.l2_lambda, state.momentum
        self._optimizer, self._rng, self.training, self.run_state = (
            state.optimizer,
            state.rng,
            state.training,
            state.run,
        )
        self.arena.zero_grad()
        for name, part in self._freezable():
            if part.frozen != is_frozen(name):
                part.frozen = is_frozen(name)
        return self


def _inside(value: Any) -> list[tuple[Any, Any]]:
    """Names and values inside of a model, dict, list or tuple, from last to first."""
    if isinstance(value, Parts):
        return [(key, part) for key, part in reversed(vars(value).items()) if key not in SETTINGS]
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    return [] if pairs and isinstance(pairs[0][1], PLAIN) else pairs[::-1]


def _rebuild(kind: Any, attributes: dict[str, Any], names: list[str] | None, rule: Any, optimizer: Any) -> Any:
    """Build a model from the parts that ``Parts.__reduce__`` took it into."""
    model: Any = object.__new__(kind)
    vars(model).update(attributes)
    made = object.__new__(rule)
    vars(made).update(optimizer, _arena=None)
    vars(model)["_optimizer"] = made
    if names is not None:
        parameters = dict(model.named_parameters())
        vars(model)["_arena"] = Arena(model.dtype, [parameters[name] for name in names])
        vars(made)["_arena"] = model._arena if made.state else None
    return model
