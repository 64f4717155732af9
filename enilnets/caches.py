"""Caches: the last forward pass, which ``Backward`` goes back through and the documented attributes show."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import StateError
from .layers import Mode, parts_of
from .layers.sequential import Passed
from .network import Network
from .ragged import WHOLE, Steps, named_layers, states_after

__all__ = ["Caches"]


class Caches(Network):
    """A network that keeps its last forward pass, so that the next call can go back through it.

    ``forward`` and ``backward`` of Network hand the pass to the caller instead, and keep nothing.
    """

    def _forget(self) -> None:
        super()._forget()
        self._forget_pass()

    def _forget_pass(self) -> None:
        self._passed: Passed | None = None
        self._went_back = False
        self._asked_training = False
        self._lengths: np.ndarray | None = None

    def _run(
        self,
        x: np.ndarray,
        training: bool,
        dropout_rate: float | None = None,
        keep_z: bool = True,
        steps: Steps = WHOLE,
    ) -> np.ndarray:
        """Forward pass whose context becomes the one that the documented caches show."""
        mode = Mode(training and self._training, self._rng, keep_z, dropout_rate, True, *steps)
        y, self._passed = self.chain.forward(x, mode)
        self._asked_training, self._lengths = training, steps.lengths
        for i, layer in enumerate(self.chain.layers):
            if layer.caches:
                layer.recent = layer.documented_cache(self._passed.saved_by(i))
        self._went_back = False
        return y

    def _last_pass(self) -> Passed:
        """Return the pass to go back through; StateError if there is none, or none that training made where it must."""
        self._check_layers()
        if self._passed is None:
            raise StateError(
                "Backward", "a forward pass to go back through", "none", "call Forward(x, training=True) first"
            )
        if self._asked_training:
            return self._passed
        parts = (part for layer in self.layers for part in parts_of(layer))
        needs = next((part for part in parts if part.needs_training_pass and not part.nested), None)
        if needs is not None:
            kind = type(needs).__name__
            raise StateError(
                "Backward",
                "the statistics of a training pass",
                f"none: {kind} cache is None. Ensure Forward(training=True) was called before Backward.",
            )
        return self._passed

    def _propagate(self, gradient: np.ndarray, at_pre_activation: bool, accumulate: bool = False) -> None:
        """Go back through the last pass, with the gradient of its output or of the last pre-activation."""
        passed = self._last_pass()
        if not accumulate:
            self.arena.zero_grad()
        self.chain.propagate(gradient, passed, at_pre_activation=at_pre_activation, all_deltas=True)
        self._went_back = True

    @property
    def outputs(self) -> list[np.ndarray | None]:
        """The last input, then the output of every layer.

        None after ``TrainBatch`` where a normalisation ran together with the activation behind it.
        """
        return [] if self._passed is None else self._passed.outputs

    @property
    def pre_activations(self) -> list[np.ndarray | None]:
        """Pre-activations of the last ``Forward``, aligned with ``outputs``.

        ``TrainBatch`` keeps only those it needs on its way back; the others are None.
        """
        if self._passed is None:
            return []
        return [
            None,
            *(layer.pre_activation(saved) for layer, saved in zip(self.layers, self._passed.saved, strict=True)),
        ]

    @property
    def state(self) -> dict[str, Any]:
        """The states that the recurrent layers ended the last pass with, by layer: "0", or "2.1" inside another one.

        Pass it as ``state=`` to go on where the sequences ended; gradients stop there. The arrays are the caller's: no
        layer remembers anything between calls.
        """
        passed = self._passed
        if passed is None:
            return {}
        carriers = {name.partition(".")[0] for name, _ in named_layers(self.layers)}
        return states_after((i, self.layers[int(i)], passed.saved_by(int(i))) for i in sorted(carriers, key=int))

    @property
    def batchnorm_cache(self) -> list[tuple | None]:
        """Per layer ``(x, x_norm, mean, var, gamma, epsilon, axes)`` after a training pass, or None."""
        return self._norm_cache("batchnorm")

    @property
    def layernorm_cache(self) -> list[tuple | None]:
        """Per layer the cache of a layer normalisation, or None."""
        return self._norm_cache("layernorm")

    def _norm_cache(self, kind: str) -> list[tuple | None]:
        saved = [None] * len(self.layers) if self._passed is None else self._passed.saved
        return [
            layer.norm_cache(entry) if layer.type == kind and entry is not None else None
            for layer, entry in zip(self.layers, saved, strict=True)
        ]

    @property
    def deltas(self) -> list[np.ndarray | None]:
        """Gradient of the loss before each layer's activation, after ``Backward``."""
        return self._passed.deltas if self._passed is not None and self._went_back else []
