"""Relational memory core: a recurrent layer whose state is a set of slots that attend to one another."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import checks
from ..errors import ConfigError, DTypeError, ShapeError
from ..init import xavier_uniform
from ..ops.recurrent import as_lengths, as_reset
from ..ops.relational_memory import MemorySaved, MemorySettings, relational_memory, relational_memory_backward
from ..parameters import Parameter
from .base import INFERENCE, Layer, Mode, Shape

__all__ = ["RelationalMemory", "initial_memory"]

#: Rows of the gates' weights per gate, by style: one per unit of a slot, one for the slot as a whole, or no gates.
GATES = {"unit": lambda width: 2 * width, "memory": lambda width: 2, None: lambda width: 0}


class RelationalMemory(Layer):
    """Relational memory core (RMC): memory slots that attend to one another and to the input, behind gates.

    Parameters
    ----------
    n_in : int >= 1
        Width of the input.
    mem_slots : int >= 1
        Number of slots, the rows of the memory.
    head_size : int >= 1
        Width of a head's values. A slot is ``num_heads * head_size`` wide.
    num_heads : int >= 1, default 1
        Heads of the attention.
    num_blocks : int >= 1, default 1
        Rounds of attention and MLP per step. They share the MLP, as in the authors' implementation.
    forget_bias, input_bias : float, default 1.0 and 0.0
        Added to what goes into the gates.
    gate_style : {"unit", "memory", None}, default "unit"
        A gate for every unit, one for every slot, or none: then the attention's result is the new memory.
    attention_mlp_layers : int >= 1, default 2
        Layers of the MLP, each as wide as a slot, with ReLU between them.
    key_size : int >= 1, optional
        Width of a head's queries and keys; default ``head_size``.
    input_attention : bool, default True
        Whether the slots attend to the input. Without, it acts through the gates only, which must then exist.
    return_sequences : bool, default False
        Return the memory after every step instead of that after the last.
    dtype, rng
        See NeuralNet.

    Notes
    -----
    Input (batch, time, n_in); output (batch, mem_slots * width), the slots one after the other, or with
    ``return_sequences`` (batch, time, mem_slots * width). The equations are in ``ops.relational_memory``. At the start
    the memory is the identity, so that no two slots are alike.

    References
    ----------
    Santoro, Faulkner, Raposo, Rae, Chrzanowski, Weber, Wierstra, Vinyals, Pascanu and Lillicrap (2018), "Relational
    recurrent neural networks", section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import RelationalMemory
    >>> layer = RelationalMemory(5, mem_slots=4, head_size=3, num_heads=2, return_sequences=True, rng=0)
    >>> y, saved = layer.forward(np.ones((8, 7, 5)))
    >>> y.shape, layer.backward(y, saved).shape
    ((8, 7, 24), (8, 7, 5))
    """

    type = "relationalmemory"
    settings: ClassVar[tuple[str, ...]] = (
        "n_in",
        "mem_slots",
        "head_size",
        "num_heads",
        "num_blocks",
        "forget_bias",
        "input_bias",
        "gate_style",
        "attention_mlp_layers",
        "key_size",
        "input_attention",
        "return_sequences",
    )
    takes_images = False
    carries_state = True

    def __init__(
        self,
        n_in: int,
        mem_slots: int,
        head_size: int,
        num_heads: int = 1,
        num_blocks: int = 1,
        forget_bias: float = 1.0,
        input_bias: float = 0.0,
        gate_style: str | None = "unit",
        attention_mlp_layers: int = 2,
        key_size: int | None = None,
        input_attention: bool = True,
        return_sequences: bool = False,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        where = "RelationalMemory"
        self.n_in = checks.size(where, "n_in", n_in)
        self.mem_slots = checks.size(where, "mem_slots", mem_slots)
        self.head_size = checks.size(where, "head_size", head_size)
        self.num_heads = checks.size(where, "num_heads", num_heads)
        self.num_blocks = checks.size(where, "num_blocks", num_blocks)
        self.forget_bias = checks.number(where, "forget_bias", forget_bias)
        self.input_bias = checks.number(where, "input_bias", input_bias)
        if gate_style is not None:
            checks.choice(where, "gate_style", gate_style, [style for style in GATES if style is not None])
        self.gate_style = gate_style
        self.attention_mlp_layers = checks.size(where, "attention_mlp_layers", attention_mlp_layers)
        self.key_size = self.head_size if key_size is None else checks.size(where, "key_size", key_size)
        self.input_attention = checks.flag(where, "input_attention", input_attention)
        self.return_sequences = checks.flag(where, "return_sequences", return_sequences)
        if gate_style is None and not input_attention:
            got = "neither, so that the input would have no way in"
            raise ConfigError(f"{where}(gate_style, input_attention)", "gates or attention to the input", got)
        self._draw(checks.generator(where, rng))

    def _draw(self, rng: np.random.Generator) -> None:
        """Draw the weights: Xavier's uniform distribution per matrix, biases 0, scales 1."""
        for name, shape in self.shapes(self.config()).items():
            if name.startswith("w_"):
                value = xavier_uniform(rng, shape, shape[-1], shape[-2])
            else:
                value = np.full(shape, float(name.startswith("gamma")))
            self.parameters[name] = Parameter(value.astype(self.dtype), penalised=name.startswith("w_"))

    @classmethod
    def shapes(cls, config: dict[str, Any]) -> dict[str, Shape]:
        """See Layer."""
        heads, head_size, blocks = config["num_heads"], config["head_size"], config["num_blocks"]
        width, layers = heads * head_size, config["attention_mlp_layers"]
        key_size = head_size if config["key_size"] is None else config["key_size"]
        projected = heads * (2 * key_size + head_size)
        gates = GATES[config["gate_style"]](width)
        shapes: dict[str, Shape] = {
            "w_in": (width, config["n_in"]),
            "b_in": (width,),
            "w_qkv": (blocks, projected, width),
            **dict.fromkeys(("b_qkv", "gamma_qkv", "beta_qkv"), (blocks, projected)),
            "w_mlp": (layers, width, width),
            "b_mlp": (layers, width),
            **dict.fromkeys(("gamma_attention", "beta_attention", "gamma_mlp", "beta_mlp"), (blocks, width)),
        }
        if gates:
            shapes |= dict.fromkeys(("w_gate_x", "w_gate_m"), (gates, width))
            shapes |= dict.fromkeys(("b_gate_x", "b_gate_m"), (gates,))
        return shapes

    @property
    def name(self) -> str:
        """See Layer."""
        return f"RelationalMemory({self.n_in} -> {self.mem_slots} x {self.width})"

    @property
    def width(self) -> int:
        """Units of a slot."""
        return self.num_heads * self.head_size

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 2 or shape[1] != self.n_in or shape[0] == 0:
            raise self.shape_error(f"(batch, time >= 1, {self.n_in})", shape)
        units = self.mem_slots * self.width
        return (shape[0], units) if self.return_sequences else (units,)

    def output_width(self, width: int | None) -> int:
        """See Layer."""
        return self.mem_slots * self.width

    def forward(
        self,
        x: np.ndarray,
        mode: Mode = INFERENCE,
        *,
        state: np.ndarray | None = None,
        lengths: Any = None,
        reset: Any = None,
    ) -> tuple[np.ndarray, MemorySaved]:
        """Return the output and what ``backward`` needs.

        Parameters
        ----------
        x : ndarray (batch, time, n_in)
        mode : Mode
            ``lengths``, ``reset`` and ``states`` in it count where the arguments below are not given.
        state : ndarray (batch, mem_slots, width), optional
            The memory to begin with, as ``final_state`` gives it; default: the identity.
        lengths : array_like of int (batch,), optional
            Steps of each sequence. What comes after is padding: its outputs are zero and it has no gradient.
        reset : array_like of bool (batch, time), optional
            True where an episode begins: the memory starts anew before that step.
        """
        shape = self.output_shape(x.shape[1:])
        lengths = as_lengths(self.name, mode.lengths if lengths is None else lengths, *x.shape[:2])
        reset = as_reset(self.name, mode.reset if reset is None else reset, *x.shape[:2])
        state = mode.states.get(self) if state is None and mode.states else state
        start = initial_memory(self.mem_slots, self.width, self.dtype)
        memory = np.broadcast_to(start, (len(x), *start.shape)) if state is None else self._checked(state, len(x))
        settings = MemorySettings(
            self.num_heads,
            self.key_size,
            self.input_bias,
            self.forget_bias,
            self.gate_style is not None,
            self.input_attention,
        )
        weights = {name: parameter.value for name, parameter in self.parameters.items()}
        anew = None if reset is None else (reset, start)
        y, saved = relational_memory(x, memory, weights, settings, lengths=lengths, reset=anew, keep=mode.backward)
        return (y if self.return_sequences else saved.last).reshape(len(x), *shape), saved

    def _checked(self, state: Any, batch: int) -> np.ndarray:
        """The memory to begin with."""
        state, shape = np.asarray(state), (batch, self.mem_slots, self.width)
        where, way_out = f"{self.name}(state)", "pass what final_state returned"
        if state.shape != shape:
            raise ShapeError(where, f"shape {shape}", f"shape {state.shape}", way_out)
        if state.dtype != self.dtype:
            raise DTypeError(where, f"dtype {self.dtype}", f"dtype {state.dtype}", way_out)
        return state

    def final_state(self, saved: MemorySaved) -> np.ndarray:
        """Return the memory (batch, mem_slots, width) after the last step of a pass; an array of its own.

        Passed as ``state=`` it lets a sequence go on where it ended; no gradient crosses the border.
        """
        return saved.last.copy()

    def backward_delta(
        self, dz: np.ndarray, saved: MemorySaved, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        dmemory = dz.reshape(*dz.shape[:-1], self.mem_slots, self.width)
        every, last = (dmemory, None) if self.return_sequences else (None, dmemory)
        params = params and not self.frozen
        dx, _, gradients = relational_memory_backward(every, saved, last, params=params, inputs=inputs)
        self.accumulate(**gradients or {})
        return dx

    def describe(self) -> str:
        """See Layer."""
        return f"Slots: {self.mem_slots} Heads: {self.num_heads} x {self.head_size} Params: {self.n_parameters}"


def initial_memory(slots: int, width: int, dtype: np.dtype) -> np.ndarray:
    """The memory (slots, width) before the first step: the identity, and its multiples where the slots are more."""
    memory = np.zeros((slots, width), dtype)
    rows = np.arange(slots)
    memory[rows, rows % width] = 1 + rows // width
    return memory
