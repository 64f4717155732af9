"""Compiled module; see csrc/chain.pyx."""

from collections.abc import Iterable
from typing import Any

import numpy as np

class Program:
    dtype: np.dtype
    n_in: int
    n_out: int
    def __init__(self, nodes: Iterable[tuple[Any, ...]], dtype: Any) -> None: ...
    def __len__(self) -> int: ...
    def infer(self, x: np.ndarray) -> np.ndarray: ...
    def act(self, x: Any) -> np.ndarray | None: ...
    def forward(self, x: np.ndarray, training: bool, keep_z: bool) -> Pass: ...

class Pass:
    x: np.ndarray
    y: np.ndarray
    def kept(self, i: int) -> dict[str, Any]: ...
    def backward(
        self,
        dy: np.ndarray,
        at_pre_activation: bool = False,
        params: bool = True,
        inputs: bool = False,
        lowest: int = 0,
    ) -> np.ndarray | None: ...

def select(isa: int) -> None: ...
