"""RealNet for inference with the living synapses alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import DTypeError
from ...ops.realnet import realnet_sparse
from ...ops.sparse import csr
from .network import EPSILON, RealNet
from .settings import checked_input, checked_state, features_of, places, scatter, steps_of

__all__ = ["SparseRealNet"]


class SparseRealNet:
    """A RealNet that multiplies with what is not zero, for inference.

    Made by ``SparseRealNet.from_dense(model)``; what the model learns later does not reach it.

    Parameters
    ----------
    model : RealNet

    Attributes
    ----------
    weights : CSR
        Of the transposed weights: row i holds what neuron i receives.

    Notes
    -----
    The samples of a batch lie side by side in memory, and every living synapse is multiplied with a whole vector of
    them: many samples at once pay, and so do few synapses. docs/realnet.md says from when on it is faster.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import RealNet, SparseRealNet
    >>> model = RealNet(20, [0, 1], [19], rng=0).eval()
    >>> pruned, dead, synapses = model.prune_synapses(0.2)
    >>> sparse_model = SparseRealNet.from_dense(model)
    >>> x = model.prepare_input([[1.0, -1.0]])
    >>> bool(np.allclose(sparse_model.forward(x, steps=5)[1], model.forward(x, steps=5)[1], atol=1e-5))
    True
    """

    def __init__(self, model: RealNet) -> None:
        if not isinstance(model, RealNet):
            raise DTypeError("SparseRealNet(model)", "a RealNet", type(model).__name__)
        self.num_neurons, self.dtype, self.pulse_mode = model.num_neurons, model.dtype, model.pulse_mode
        self.input_ids, self.output_ids = list(model.input_ids), list(model.output_ids)
        self.input_places = model.input_places
        self.weights = csr(np.ascontiguousarray(model.weights.T))
        self.bias, self.gamma, self.beta = model.bias.copy(), model.gamma.copy(), model.beta.copy()

    @classmethod
    def from_dense(cls, model: RealNet) -> SparseRealNet:
        """Return the sparse form of ``model`` as it is now."""
        return cls(model)

    def prepare_input(self, input_features: Any) -> np.ndarray:
        """See ``RealNet.prepare_input``."""
        x = features_of("SparseRealNet.prepare_input", input_features, self)
        return scatter(x, self)

    def forward(self, x_input: Any = None, steps: int = 1, current_state: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Run the network; see ``RealNet.forward``. ``all_states`` is a view with its axes exchanged."""
        where = "SparseRealNet.forward"
        steps = steps_of(where, "steps", steps)
        x = None if x_input is None else checked_input(where, x_input, self.num_neurons, self.dtype)
        state = checked_state(where, x, current_state, self.num_neurons, self.dtype)
        if x is None and state is None:
            state = np.zeros((1, self.num_neurons), self.dtype)
        vectors = self.bias, self.gamma, self.beta
        stream = not self.pulse_mode
        states = realnet_sparse(x, steps, self.weights, *vectors, state=state, stream=stream, eps=EPSILON)
        return states, np.ascontiguousarray(states[-1])

    def __call__(self, x_input: Any = None, steps: int = 1, current_state: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """See ``forward``."""
        return self.forward(x_input, steps, current_state)

    def predict(self, input_features: Any, thinking_steps: int) -> np.ndarray:
        """Return the outputs (batch, outputs) for features after ``thinking_steps``."""
        _, final = self.forward(self.prepare_input(input_features), thinking_steps)
        return np.ascontiguousarray(final[:, places(self.output_ids)])
