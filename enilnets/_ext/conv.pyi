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
    dilation_h: int = 1,
    dilation_w: int = 1,
    groups: int = 1,
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]: ...
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
    dilation_h: int = 1,
    dilation_w: int = 1,
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
    dilation_h: int = 1,
    dilation_w: int = 1,
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
    dilation_h: int = 1,
    dilation_w: int = 1,
    groups: int = 1,
    relu: bool = False,
) -> None: ...
def conv2d_backward_input(
    dy: _Array,
    w: _Array,
    dx: _Array,
    work: _Array,
    stride_h: int,
    stride_w: int,
    pad_top: int,
    pad_left: int,
    dilation_h: int = 1,
    dilation_w: int = 1,
    groups: int = 1,
    positive: _Array | None = None,
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
    dilation_h: int = 1,
    dilation_w: int = 1,
    groups: int = 1,
) -> None: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
