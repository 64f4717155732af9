"""Compiled module; see csrc/scan.pyx."""

import numpy as np

_Array = np.ndarray

def discounted_returns(returns: _Array, rewards: _Array, dones: _Array, gamma: float) -> None: ...
def gae(
    advantages: _Array,
    returns: _Array,
    rewards: _Array,
    values: _Array,
    next_values: _Array | None,
    terminated: _Array,
    truncated: _Array,
    gamma: float,
    decay: float,
) -> None: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
