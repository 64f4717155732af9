"""A RealNet behind the model protocol of enilnets.training."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ... import checks
from ...ops.realnet import Saved
from ...optim import Optimizer, make_optimizer
from ...parameters import Arena
from . import files
from .network import RealNet
from .settings import features_of, scatter, steps_of

__all__ = ["UnrolledRealNet", "forget_dead"]

#: What the way back needs: the pass, and the shape of the features.
Context = tuple[Saved, tuple[int, ...]]


class UnrolledRealNet:
    """A RealNet whose steps are fixed: ``forward(x, train)`` from features to outputs, as ``training.fit`` asks.

    The network's own ``forward(x_input, steps, current_state)`` is the documented one, hence this second object; both
    share all parameters.

    Parameters
    ----------
    network : RealNet
    thinking_steps : int >= 1
    optimizer : str or Optimizer, default "adamw"
    learning_rate : float >= 0, default 0.001
    full_sequence : bool, default False
        Whether the output is that of all steps, (batch, steps, outputs), instead of the last, (batch, outputs).

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import RealNet
    >>> from enilnets.training import train_step
    >>> model = RealNet(8, [0, 1], [7], dropout_rate=0.0, rng=0).unrolled(5)
    >>> x, y = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    >>> first, _ = train_step(model, x, y, "mse")
    >>> second, _ = train_step(model, x, y, "mse")
    >>> second < first
    True
    """

    head = "linear"

    def __init__(
        self,
        network: RealNet,
        thinking_steps: int,
        optimizer: str | Optimizer = "adamw",
        learning_rate: float = 0.001,
        full_sequence: bool = False,
    ) -> None:
        where = type(self).__name__
        self.network = network
        self.thinking_steps = steps_of(where, "thinking_steps", thinking_steps)
        self.optimizer = make_optimizer(where, optimizer, 0.9)
        self.learning_rate = checks.number(where, "learning_rate", learning_rate, 0.0)
        self.full_sequence = checks.flag(where, "full_sequence", full_sequence)
        self.run_state: dict[str, Any] = {}
        self._deaths = network.deaths

    @property
    def arena(self) -> Arena:
        """The network's."""
        return self.network.arena

    @property
    def rng(self) -> np.random.Generator:
        """The network's."""
        return self.network.rng

    def forward(self, x: np.ndarray, train: bool = False) -> tuple[np.ndarray, Context]:
        """Return the outputs for features (batch, f) or (batch, sequence, f), and a context for ``backward``."""
        network = self.network
        x = self._features(x)
        states, saved = network.run(scatter(x, network), self.thinking_steps, train=train, keep=True)
        assert saved is not None
        return self._outputs(states), (saved, x.shape)

    def _features(self, x: np.ndarray) -> np.ndarray:
        return features_of(f"{type(self).__name__}.forward", x, self.network)

    def _outputs(self, states: np.ndarray) -> np.ndarray:
        read = self.network.read(states if self.full_sequence else states[-1])
        return np.ascontiguousarray(read.transpose(1, 0, 2)) if self.full_sequence else read

    def backward(
        self, ctx: Context, dy: np.ndarray, params: bool = True, inputs: bool = False, at_pre_activation: bool = False
    ) -> np.ndarray | None:
        """Add parameter gradients to the arena's; return the features' gradient if ``inputs``."""
        saved, shape = ctx
        doutputs = np.ascontiguousarray(dy.transpose(1, 0, 2)) if self.full_sequence else dy
        dz, _ = self.network.backward(saved, doutputs, params=params)
        if not inputs:
            return None
        dz = dz[..., self.network.input_ids[: shape[-1]]]
        if len(shape) == 2:
            return np.ascontiguousarray(dz[0] if self.network.pulse_mode else dz.sum(axis=0))
        dx = np.zeros(shape, dz.dtype)
        heard = min(len(dz), shape[1])
        dx[:, :heard] = dz[:heard].transpose(1, 0, 2)
        return dx

    def step(self) -> None:
        """One optimizer step along the arena's gradients, which are then zero."""
        if self._deaths != self.network.deaths:
            self._deaths = self.network.deaths
            forget_dead(self.network, self.optimizer)
        self.optimizer.step(self.arena, self.learning_rate)
        self.arena.zero_grad()

    def infer(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs in inference mode, keeping nothing."""
        wide = scatter(self._features(x), self.network)
        return self._outputs(self.network.run(wide, self.thinking_steps, train=False, keep=False)[0])

    def clone(self) -> UnrolledRealNet:
        """Return an independent copy, optimizer and random state included; a gradient that waits is left out."""
        return copy.deepcopy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        config = {
            "thinking_steps": self.thinking_steps,
            "learning_rate": self.learning_rate,
            "full_sequence": self.full_sequence,
        }
        state = {"run_state": self.run_state, "_deaths": self._deaths}
        return _rebuilt, (self.network, config, *files.optimizer_parts(self.optimizer)), state


def _rebuilt(network: RealNet, config: dict[str, Any], optimizer: files.Config, slots: files.Arrays) -> UnrolledRealNet:
    """Put a copy together; the optimizer's state lies beside the arena of ``network``."""
    twin = UnrolledRealNet(network, **config)
    twin.optimizer = files.optimizer_of(optimizer, slots, network, "UnrolledRealNet")
    return twin


def forget_dead(network: RealNet, optimizer: Optimizer) -> None:
    """Make what an optimizer remembers of dead synapses zero, so that no momentum moves them."""
    weights = network.parameters["weights"]
    for vector in optimizer.state.values():
        vector[weights.start : weights.start + weights.size][~network.mask.reshape(-1)] = 0
