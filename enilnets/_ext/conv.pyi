"""Compiled module; see csrc/conv.pyx."""

import numpy as np

_Array = np.ndarray
MOST: int

def workspace(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride_h: int,
    stride_w: int,
    pad_top: int,
    pad_left: int,
    oh: int,
    ow: int,
) -> tuple[int, int, int]: ...
def im2col(
    x: _Array,
    col: _Array,
    kh: int,
    kw: int,
    stride_h: int,
    stride_w: int,
    pad_top: int,
    pad_left: int,
    oh: int,
    ow: int,
) -> None: ...
def col2im(
    col: _Array,
    x: _Array,
    kh: int,
    kw: int,
    stride_h: int,
    stride_w: int,
    pad_top: int,
    pad_left: int,
    oh: int,
    ow: int,
) -> None: ...
def conv2d(
    x: _Array,
    w: _Array,
    b: _Array | None,
    y: _Array,
    work: _Array,
    stride_h: int,
    stride_w: int,
    pad_top: int,
    pad_left: int,
) -> None: ...
def conv2d_backward_input(
    dy: _Array, w: _Array, dx: _Array, work: _Array, stride_h: int, stride_w: int, pad_top: int, pad_left: int
) -> None: ...
def conv2d_backward_weights(
    dy: _Array,
    x: _Array,
    dw: _Array,
    db: _Array | None,
    work: _Array,
    stride_h: int,
    stride_w: int,
    pad_top: int,
    pad_left: int,
) -> None: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
