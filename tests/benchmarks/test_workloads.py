"""Operations and bytes of the workloads, worked by hand."""

import pytest

from benchmarks.curves import CURVES
from benchmarks.workloads import WORKLOADS

BY_NAME = {workload.name: workload for workload in WORKLOADS}


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("matmul_512x512x512", 2 * 512**3),
        ("matmul_128x784x256", 2 * 128 * 784 * 256),
        # forward, weight gradients, and input gradients of all layers but the first
        ("mlp_train_784_256_128_10_b128", 2 * 128 * (2 * 784 * 256 + 3 * 256 * 128 + 3 * 128 * 10)),
        # 26 x 26 and 24 x 24 places of a 3 x 3 window, then 64 channels of 12 x 12 pixels
        ("cnn_infer_mnist_b1", 2 * (9 * 32 * 26**2 + 9 * 32 * 64 * 24**2 + 64 * 12**2 * 128 + 128 * 10)),
        # the encoder's first layer needs no input gradient, the decoder's does
        (
            "vae_train_784_512_256_z32_b64",
            2 * 64 * (2 * 784 * 512 + 3 * (512 * 256 + 256 * 64 + 32 * 256 + 256 * 512 + 512 * 784)),
        ),
        # 64 steps of four gates from 32 + 128 numbers; no gradient of the input
        ("lstm_train_h128_t64_b32", 2 * 32 * (64 * 512 * (2 * 32 + 3 * 128) + 3 * 128 * 10)),
        # all of the block is gone back through: its first normalisation has parameters
        (
            "transformer_block_train_d128_h8_t128_b16",
            2 * 16 * 3 * (128 * 128 * (3 * 128 + 128 + 2 * 512) + 2 * 128 * 128 * 128 + 128 * 10),
        ),
        ("attention_causal_h8_t4096_d64", 2 * 6 * 8 * 4096 * 4096 * 64 // 2),
        # 3 steps: input, its gates, queries to values of 5 rows, scores and sums of 4, MLP and gates of 4 rows of 32
        (
            "relational_memory_train_s4_d32_t3_b128",
            128
            * (
                2 * 3 * (2 * 10 * 32 + 4 * 32**2 + 2 * 5 * 32 * 96 + 4 * 4 * 5 * 32 + 4 * (2 * 2 + 4) * 32**2)
                + 3 * 2 * (128 * 64 + 64 * 64 + 64 * 3)
            ),
        ),
        # per column and step: the kernels, then two layers both ways, of four gates from input and state
        (
            "extractor_train_t60_c64_h128_b2",
            3 * 2 * 2 * 60 * 64 * (5 * 3 * 32 + 8 * 128 * (32 + 128) + 8 * 128 * (256 + 128)),
        ),
    ],
)
def test_flops(name, flops):
    assert BY_NAME[name].flops == flops


def test_adam_moves_28_bytes_per_float32_parameter():
    assert BY_NAME["adam_step_10M"].bytes == 28 * 10_000_000


def test_every_name_is_used_once():
    names = [*BY_NAME, *(workload.name for curve in CURVES for workload in curve.points.values())]
    assert len(set(names)) == len(names) == len(WORKLOADS) + sum(len(curve.points) for curve in CURVES)
