"""Compiled module; see csrc/recurrent.pyx."""

import numpy as np

tables: object

def forward(
    cell: str,
    y: np.ndarray | None,
    gates: np.ndarray,
    hs: np.ndarray,
    cs: np.ndarray | None,
    xh: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    u: np.ndarray,
    b: np.ndarray,
    mask: np.ndarray | None,
    lengths: np.ndarray | None,
    reset: np.ndarray | None,
    reverse: bool,
) -> None: ...
def backward(
    cell: str,
    dgates: np.ndarray,
    dh: np.ndarray,
    dc: np.ndarray | None,
    dy: np.ndarray | None,
    gates: np.ndarray,
    hs: np.ndarray,
    cs: np.ndarray | None,
    u: np.ndarray,
    mask: np.ndarray | None,
    lengths: np.ndarray | None,
    reset: np.ndarray | None,
    reverse: bool,
) -> None: ...
def gradients(
    cell: str,
    dw: np.ndarray | None,
    du: np.ndarray | None,
    db: np.ndarray | None,
    dx: np.ndarray | None,
    dgates: np.ndarray,
    hs: np.ndarray,
    xh: np.ndarray,
    w: np.ndarray,
    lengths: np.ndarray | None,
    reverse: bool,
) -> None: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
