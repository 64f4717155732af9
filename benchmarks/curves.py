"""What grows in the scaling curves. Like workloads.py this stays free of NumPy."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.workloads import MLP, Conv, Dense, Workload

__all__ = ["CURVES", "Curve"]


class Curve(NamedTuple):
    """One panel of the plot: the workload at every point of the axis."""

    name: str
    title: str
    axis: str
    points: dict[int, Workload]


BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
SIDES = (8, 16, 32, 64, 128, 224)


def mlp_at(batch: int, kind: str) -> Workload:
    return Workload(f"curve_mlp_{kind}_b{batch}", kind, "gemm", layers=MLP, batch=batch, shape=(784,))


def dense_at(width: int) -> Workload:
    layers = (Dense(width, width),)
    return Workload(f"curve_dense_infer_w{width}", "infer", "gemm", layers=layers, batch=64, shape=(width,))


def conv_at(side: int) -> Workload:
    shape = (16, side, side)
    return Workload(f"curve_conv_infer_s{side}", "infer", "gemm", layers=(Conv(16, 16, 1),), batch=8, shape=shape)


CURVES = (
    Curve("mlp_infer", "MLP 784-256-128-10, forward", "batch", {n: mlp_at(n, "infer") for n in BATCHES}),
    Curve("mlp_train", "MLP 784-256-128-10, training step", "batch", {n: mlp_at(n, "train") for n in BATCHES}),
    Curve("dense_infer", "dense layer n x n, batch 64, forward", "width n", {n: dense_at(n) for n in WIDTHS}),
    Curve("conv_infer", "conv 3x3, 16 to 16 channels, batch 8, forward", "image side", {n: conv_at(n) for n in SIDES}),
)
