"""RealNet: one layer of neurons, all connected with all, that thinks by running in steps."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import checks
from ...errors import ConfigError, DTypeError
from ...ops.array import as_data, empty
from ...ops.dropout import dropout
from ...ops.realnet import Saved, realnet, realnet_backward
from ...parameters import Arena, Parameter
from . import files
from .settings import (
    checked_input,
    checked_state,
    cpu,
    features_of,
    neuron_ids,
    places,
    scatter,
    steps_of,
    threshold_of,
)

if TYPE_CHECKING:
    from .protocol import UnrolledRealNet
    from .sparse import SparseRealNet

__all__ = ["EPSILON", "RealNet"]

#: Of the layer normalisation.
EPSILON = 1e-5

#: Networks of so many neurons begin as small ones; the state of two has but one number, its sign.
FEWEST, SMALL = 3, 16


def first_numbers(neurons: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw weights and biases of a new network.

    Weights are N(0, 0.02²), biases N(0, 0.03²): with biases of 0, a network that has heard nothing yet stays at 0,
    where the normalisation multiplies gradients by ``1 / sqrt(EPSILON)`` = 316 per step. In networks of 3 to 16
    neurons, where few have to do, all begin beyond the minimum of gelu at -0.75 and work against themselves: biases
    are N(-1.2, 0.02²) and 0.5 is taken from the diagonal. There the response is nearly even, which products of inputs
    such as XOR need.
    """
    weights = rng.normal(0, 0.02, (neurons, neurons))
    if not FEWEST <= neurons <= SMALL:
        return weights, rng.normal(0, 0.03, neurons)
    return weights - 0.5 * np.eye(neurons), rng.normal(-1.2, 0.02, neurons)


class RealNet:
    """A recurrent network without layers: ``h_t = LayerNorm(gelu(h_{t-1} W + b + I_t))``.

    Parameters
    ----------
    num_neurons : int >= 2
    input_ids : list of int
        Neurons that receive input, one per feature.
    output_ids : list of int
        Neurons whose state is read; none of them receives input.
    pulse_mode : bool, default True
        Whether an input that is no sequence is added at the first step only, or at every step.
    dropout_rate : float in [0, 1), default 0.1
        Share of the neurons that are silent at each step in training. Outputs are not: what is read is never dropped.
    device : {"cpu", "cuda"}, default "cpu"
        There is only the CPU; "cuda" is accepted, so that scripts run, and noted in the log.
    dtype : {"float32", "float64"}, default "float32"
    rng : None, int, SeedSequence or Generator
        Source of initial weights, dropout and, in training, of the order of the samples.

    Attributes
    ----------
    weights : ndarray (num_neurons, num_neurons)
        From row to column, every neuron to itself included. A view: write into it, or assign to copy.
    bias, gamma, beta : ndarray (num_neurons,)
    mask : ndarray of bool (num_neurons, num_neurons)
        The synapses that are alive; the weights of all others are 0 for good.
    arena : Arena
        All of them in one vector, with their gradients.
    training : bool
        Whether ``forward`` drops neurons; see ``train`` and ``eval``.

    Notes
    -----
    gelu is that of the error function, ``z Phi(z)``; the normalisation runs over the neurons of a sample, eps 1e-5.
    Trainable are N² + 3 N numbers. gamma begins as 1 and beta as 0; for W and b see ``first_numbers``. What the network
    can do, and what it cannot, is measured in docs/realnet.md.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import RealNet
    >>> model = RealNet(10, input_ids=[0, 1], output_ids=[9], rng=0).eval()
    >>> all_states, final_state = model.forward(model.prepare_input([[1.0, -1.0]]), steps=5)
    >>> all_states.shape, final_state.shape
    ((5, 1, 10), (1, 10))
    """

    def __init__(
        self,
        num_neurons: int,
        input_ids: list[int],
        output_ids: list[int],
        pulse_mode: bool = True,
        dropout_rate: float = 0.1,
        device: str = "cpu",
        *,
        dtype: Any = "float32",
        rng: Any = None,
    ) -> None:
        where = type(self).__name__
        self.num_neurons = n = checks.size(where, "num_neurons", num_neurons, 2)
        self.input_ids = neuron_ids(where, "input_ids", input_ids, n)
        self.output_ids = neuron_ids(where, "output_ids", output_ids, n)
        both = sorted(set(self.input_ids) & set(self.output_ids))
        if both:
            raise ConfigError(f"{where}(output_ids)", "neurons that receive no input", str(both))
        self.pulse_mode = checks.flag(where, "pulse_mode", pulse_mode)
        self.dropout_rate = checks.fraction(where, "dropout_rate", dropout_rate, one=False)
        self.device = cpu(where, device)
        self.dtype = checks.real_dtype(where, dtype)
        self.rng = checks.generator(where, rng)
        self.training = True
        self.input_places, self._outputs = places(self.input_ids), places(self.output_ids)
        weights, bias = first_numbers(n, self.rng)
        self.parameters = {
            "weights": Parameter(weights.astype(self.dtype), penalised=True),
            "bias": Parameter(bias.astype(self.dtype)),
            "gamma": Parameter(np.ones(n, self.dtype)),
            "beta": Parameter(np.zeros(n, self.dtype)),
        }
        self.arena = Arena(self.dtype, self.parameters.values())
        self._mask = np.ones((n, n), bool)
        self._mask.flags.writeable = False
        self.deaths = 0  # times that synapses died: optimizers have to forget theirs

    # Parameters

    def _assign(self, name: str, value: Any) -> None:
        parameter = self.parameters[name]
        where = f"{type(self).__name__}.{name}"
        value = as_data(where, name, checks.numbers(where, value, parameter.value.shape), self.dtype)
        parameter.value[...] = value * self._mask if name == "weights" else value

    @property
    def weights(self) -> np.ndarray:
        """Synapses, from row to column."""
        weights = self.parameters["weights"].value
        if self.deaths:  # whoever wrote into the view, or brought older numbers back into the arena, wakes nobody
            self._clear(weights)
        return weights

    @weights.setter
    def weights(self, value: Any) -> None:
        self._assign("weights", value)

    @property
    def bias(self) -> np.ndarray:
        """What is added to every neuron at every step."""
        return self.parameters["bias"].value

    @bias.setter
    def bias(self, value: Any) -> None:
        self._assign("bias", value)

    @property
    def gamma(self) -> np.ndarray:
        """Scale of the normalisation."""
        return self.parameters["gamma"].value

    @gamma.setter
    def gamma(self, value: Any) -> None:
        self._assign("gamma", value)

    @property
    def beta(self) -> np.ndarray:
        """Offset of the normalisation."""
        return self.parameters["beta"].value

    @beta.setter
    def beta(self, value: Any) -> None:
        self._assign("beta", value)

    @property
    def mask(self) -> np.ndarray:
        """Which synapses are alive; read-only, see ``kill``."""
        return self._mask

    def kill(self, dead: np.ndarray) -> None:
        """Kill the synapses where ``dead``, a boolean array like ``mask``, is True: their weights are 0 from now on."""
        where = f"{type(self).__name__}.kill(dead)"
        dead = checks.numbers(where, dead, self._mask.shape)
        if dead.dtype != bool:
            raise DTypeError(where, "an array of bool", f"dtype {dead.dtype}")
        mask = self._mask & ~dead
        mask.flags.writeable = False
        self._mask = mask
        # All bits of a living weight and none of a dead one: clears NaN too, where 0 * NaN would not; and takes 0.2 ms
        # for 794 neurons instead of 2 by index.
        self._living = -mask.astype(f"int{8 * self.dtype.itemsize}")
        self.deaths += 1
        self.bury()

    def bury(self) -> None:
        """Make weights and gradients of dead synapses zero."""
        for array in (self.parameters["weights"].value, self.parameters["weights"].grad):
            self._clear(array)

    def _clear(self, array: np.ndarray) -> None:
        """Make the numbers of dead synapses zero in an array like ``weights``."""
        bits = array.view(self._living.dtype)
        np.bitwise_and(bits, self._living, out=bits)

    # Modes

    def train(self, mode: bool = True) -> RealNet:
        """Drop neurons in ``forward`` from now on, or not; returns the model."""
        self.training = checks.flag(f"{type(self).__name__}.train", "mode", mode)
        return self

    def eval(self) -> RealNet:
        """Drop no neurons in ``forward`` from now on; returns the model."""
        return self.train(False)

    def compile(self) -> RealNet:
        """Return the model: all steps run in one compiled call as it is."""
        return self

    # Running

    def prepare_input(self, input_features: Any) -> np.ndarray:
        """Return features (batch, f) or (batch, sequence, f) as inputs of all neurons.

        Features go to ``input_ids`` in order; fewer of them leave the last ones without input, more are refused. A
        vector is one feature of several samples.
        """
        where = f"{type(self).__name__}.prepare_input"
        x = features_of(where, input_features, self)
        return scatter(x, self)

    def forward(self, x_input: Any = None, steps: int = 1, current_state: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Run the network.

        Parameters
        ----------
        x_input : array_like (batch, num_neurons) or (batch, sequence, num_neurons), optional
            What is added to the neurons (see ``prepare_input``): once or at every step, as ``pulse_mode`` says; of a
            sequence slice t at step t, and nothing after its end.
        steps : int >= 1
            How long the network thinks.
        current_state : array_like (batch, num_neurons), optional
            Where to go on, such as an earlier ``final_state``; default zero.

        Returns
        -------
        all_states : ndarray (steps, batch, num_neurons)
        final_state : ndarray (batch, num_neurons)
            The last of them, a copy.

        Raises
        ------
        ConfigError, ShapeError, DTypeError, DataError
            For steps < 1, arrays that do not fit, or that hold no finite numbers.
        """
        where = f"{type(self).__name__}.forward"
        steps = steps_of(where, "steps", steps)
        x = None if x_input is None else checked_input(where, x_input, self.num_neurons, self.dtype)
        state = checked_state(where, x, current_state, self.num_neurons, self.dtype)
        if x is None and state is None:
            state = np.zeros((1, self.num_neurons), self.dtype)
        states, _ = self.run(x, steps, state, train=self.training, keep=False)
        return states, states[-1].copy()

    def __call__(self, x_input: Any = None, steps: int = 1, current_state: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """See ``forward``."""
        return self.forward(x_input, steps, current_state)

    def run(
        self, x: np.ndarray | None, steps: int, state: np.ndarray | None = None, *, train: bool, keep: bool
    ) -> tuple[np.ndarray, Saved | None]:
        """Run on arrays that have been checked; ``keep`` what ``backward`` needs."""
        drops = train and self.dropout_rate > 0
        batch = len(x) if x is not None else len(state) if state is not None else 0
        return realnet(
            x,
            steps,
            self.weights,
            self.bias,
            self.gamma,
            self.beta,
            state=state,
            stream=not self.pulse_mode,
            gain=self._gain(steps, batch) if drops else None,
            eps=EPSILON,
            keep=keep,
        )

    def _gain(self, steps: int, batch: int) -> np.ndarray:
        """Factors of dropout: 0, or 1 / (1 - rate); 1 for outputs."""
        ones = empty((steps, batch, self.num_neurons), self.dtype)
        ones.fill(1)
        gain, _ = dropout(ones, self.dropout_rate, int(self.rng.integers(2**63)))
        gain[..., self._outputs] = 1
        return gain

    def read(self, states: np.ndarray) -> np.ndarray:
        """Return the outputs in an array of states, whatever its leading axes."""
        return np.ascontiguousarray(states[..., self._outputs])

    def backward(
        self, saved: Saved, doutputs: np.ndarray, *, params: bool = True, state: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Add the gradients of all parameters to the arena's.

        Parameters
        ----------
        saved : Saved
            From ``run``.
        doutputs : ndarray (batch, outputs) or (steps, batch, outputs)
            Gradient of the outputs after the last step, or of all steps.
        params, state : bool
            Whether gradients of the parameters, and of the state before the first step, are wanted.

        Returns
        -------
        dinputs : ndarray (steps, batch, num_neurons)
            Gradient of what was added to the neurons at every step.
        dstate : ndarray (batch, num_neurons) or None
        """
        weights = self.parameters["weights"]
        dstates = np.zeros((*doutputs.shape[:-1], self.num_neurons), self.dtype)
        dstates[..., self._outputs] = doutputs
        dz, _, dvectors, dstate = realnet_backward(
            dstates,
            saved,
            weights.value,
            self.gamma,
            dweights=weights.grad,
            add=weights.fresh,
            params=params,
            state=state,
        )
        if dvectors is not None:
            weights.fresh = True
            if self.deaths:
                self._clear(weights.grad)
            for name, gradient in zip(("bias", "gamma", "beta"), dvectors, strict=True):
                self.parameters[name].accumulate(gradient)
        return dz, dstate

    # The documented names of what other classes do

    def prune_synapses(self, threshold: float = 0.001) -> tuple[int, int, int]:
        """Kill weak synapses; see ``SynapticPruner.prune``."""
        from .pruning import SynapticPruner

        return SynapticPruner.prune(self, threshold_of(f"{type(self).__name__}.prune_synapses", "threshold", threshold))

    def make_sparse(self) -> SparseRealNet:
        """Return ``SparseRealNet.from_dense(model)``; the model itself stays as it is and can be trained on."""
        from .sparse import SparseRealNet

        return SparseRealNet.from_dense(self)

    def unrolled(self, thinking_steps: int, **settings: Any) -> UnrolledRealNet:
        """Return this network with its steps fixed, behind the model protocol of ``enilnets.training``."""
        from .protocol import UnrolledRealNet

        return UnrolledRealNet(self, thinking_steps, **settings)

    # Files and copies

    def Save(self, path: str | PathLike[str]) -> None:
        """Write the network to ``path`` in the safetensors layout, random state included."""
        files.write(path, "realnet", *files.network_parts(self))

    @classmethod
    def Load(cls, path: str | PathLike[str]) -> RealNet:
        """Return the network that ``Save`` wrote.

        Raises
        ------
        FileNotFoundError, ModelFormatError
        """
        return files.read(path, "realnet", files.network_of)

    def __reduce__(self) -> tuple[Any, ...]:
        return files.rebuilt_network, files.network_parts(self)

    def clone(self) -> RealNet:
        """Return an independent copy, random state included."""
        return files.rebuilt_network(*files.network_parts(self))
