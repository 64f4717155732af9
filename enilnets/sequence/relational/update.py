"""One optimizer for one model: gathers gradients, clips them and takes the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import checks
from ...errors import ConfigError
from ...optim import Optimizer, make_optimizer
from ...parameters import Arena, Parameter
from .gradients import compute_numerical_gradient
from .losses import task_named
from .model import SequenceModel
from .protocol import params_of

__all__ = ["Update"]


class Update:
    """Trains a model of the three methods, with the best gradients that it has.

    Those of this package are trained in place. A model that has ``gradients(X, y, task) -> (loss, outputs, gradients by
    name)`` is asked for them; any other is differentiated numerically.

    Parameters
    ----------
    where : str
        The public function, for messages.
    model : object with forward, get_params and set_params
    task : {"classification", "regression"}
    optimizer : str or Optimizer
        SGD by name is plain, without momentum.
    clip_norm : float > 0 or None
    """

    def __init__(
        self, where: str, model: Any, task: str, optimizer: str | Optimizer = "sgd", clip_norm: float | None = 5.0
    ) -> None:
        params = params_of(where, model)
        self.where, self.model, self.task_name, self.task = where, model, task, task_named(where, task)
        self.clip_norm = None if clip_norm is None else checks.number(where, "clip_norm", clip_norm, 0.0, above=True)
        self.optimizer = make_optimizer(where, optimizer, 0.0)
        self.steps = 0
        self.parameters: dict[str, Parameter] = {}
        self.dtypes: dict[str, np.dtype] = {}
        if isinstance(model, SequenceModel):
            self.arena = model.arena
        else:
            self.dtypes = {name: value.dtype for name, value in params.items()}
            single = set(self.dtypes.values()) == {np.dtype(np.float32)}
            dtype = np.dtype(np.float32 if single else np.float64)
            self.parameters = {name: Parameter(value.astype(dtype)) for name, value in params.items()}
            self.arena = Arena(dtype, self.parameters.values())
        self.arena.zero_grad()

    def gather(self, X: np.ndarray, y: np.ndarray, share: float = 1.0) -> tuple[float, float]:
        """Add the gradients of a batch, times ``share``, to those of the next step; return loss and metric."""
        if isinstance(self.model, SequenceModel):
            loss, outputs = self.model.accumulate(X, y, self.task_name, share)
            return loss, self.task.metric(outputs, y, loss)
        if callable(getattr(self.model, "gradients", None)):
            result = self.model.gradients(X, y, self.task_name)
            if not isinstance(result, tuple) or len(result) != 3 or not isinstance(result[2], Mapping):
                expected = "gradients() to return loss, outputs and a dict of gradients"
                raise ConfigError(f"{self.where}(model)", expected, repr(result)[:80])
            loss, outputs, gradients = result
        else:
            outputs = self.model.forward(X)
            loss = self.task.loss_fn(outputs, y)
            exact = set(self.dtypes.values()) == {np.dtype(np.float64)}
            step = 1e-5 if exact else 1e-2  # for float32, 1e-5 is lost in rounding
            gradients = compute_numerical_gradient(self.model, X, y, self.task.loss_fn, step)
        if gradients.keys() != self.parameters.keys():
            got = f"those of {', '.join(map(str, gradients))}"
            raise ConfigError(f"{self.where}(model)", f"gradients of {', '.join(self.parameters)}", got)
        for name, gradient in gradients.items():
            self.parameters[name].accumulate(np.asarray(gradient, self.arena.dtype) * share)
        return float(loss), self.task.metric(outputs, y, float(loss))

    def step(self, learning_rate: float) -> float:
        """Clip the gradients, take the step and return their norm before."""
        try:
            norm = self.arena.gradient_norm()
            if self.clip_norm is not None and norm > self.clip_norm:
                self.arena.scale_gradients(self.clip_norm / norm)
            for name, value in self.model.get_params().items() if self.parameters else ():
                self.parameters[name].value[...] = value
            self.optimizer.step(self.arena, learning_rate)
        finally:
            self.arena.zero_grad()
        self.steps += 1
        if self.parameters:
            values = {name: parameter.value for name, parameter in self.parameters.items()}
            self.model.set_params({name: value.astype(self.dtypes[name]) for name, value in values.items()})
        return norm
