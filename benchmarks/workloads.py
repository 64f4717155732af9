"""Every workload once: name, shapes, goal and cost. A contestant only knows how to build each kind.

This module stays free of NumPy: the parent process reads it before the threads of the children are decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import NamedTuple

__all__ = ["NOT_YET", "WORKLOADS", "Workload", "walk"]

Shape = tuple[int, ...]


class Dense(NamedTuple):
    n_in: int
    n_out: int
    activation: str = "linear"


class Conv(NamedTuple):
    """3x3, stride 1, with bias."""

    n_in: int
    n_out: int
    padding: int = 0
    activation: str = "linear"


class BatchNorm(NamedTuple):
    features: int


class Activation(NamedTuple):
    name: str


class MaxPool(NamedTuple):
    size: int


class AvgPool(NamedTuple):
    size: int


class Flatten(NamedTuple):
    pass


class Embedding(NamedTuple):
    """Comes first: the input is ids."""

    rows: int
    width: int


class Lstm(NamedTuple):
    """Over (time, n_in); its last step goes on."""

    n_in: int
    n_out: int


class Transformer(NamedTuple):
    """Pre-norm block without mask over (tokens, width); GELU in the tanh form."""

    width: int
    heads: int
    hidden: int


class TokenMean(NamedTuple):
    """(tokens, width) to (width,)."""


class Thinking(NamedTuple):
    """A RealNet of n_in + n_out neurons that hears a pulse and thinks for so many steps; the only layer there is."""

    n_in: int
    n_out: int
    steps: int


class Memory(NamedTuple):
    """A relational memory core with one block, gates per unit and an MLP of two layers; returns the last memory."""

    n_in: int
    slots: int
    head_size: int
    heads: int


class Product(NamedTuple):
    """(m, k) @ (k, n); the right side is the transpose of an (n, k) array if ``transposed``, as in a dense layer."""

    m: int
    k: int
    n: int
    transposed: bool = False


Layer = (
    Dense
    | Conv
    | BatchNorm
    | Activation
    | MaxPool
    | AvgPool
    | Flatten
    | Embedding
    | Lstm
    | Transformer
    | TokenMean
    | Thinking
    | Memory
)


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    Attributes
    ----------
    kind : {"train", "memory", "infer", "act", "vae", "adam", "matmul", "attention", "returns", "gae",
        "realnet", "extractor"}
        What one call does: a training step (Adam, cross-entropy over the last layer's logits; "memory" is one with a
        relational memory, which not everybody has), a forward pass in
        inference mode, the same for one observation that comes as a NumPy vector and leaves as one, a training step of
        a variational autoencoder, an Adam step over ``shapes``, the bare matrix product ``product``,
        causal attention and its gradients for q, k, v and dy of ``shapes`` (batch, heads, tokens, d), or the discounted
        returns or generalised advantages of an episode of ``shapes``: rewards, and the states' values.
        "realnet" is a training step of a RealNet towards targets of ``shapes`` (AdamW, clipped norm, mean squared
        error, no dropout), "extractor" one of a feature extractor with parameters of ``shapes`` (Adam, the mean square
        of the features).
    bound : {"gemm", "memory", "overhead"}
        What limits it: decides whether GFLOP/s, GB/s or the number of calls is shown beside it.
    goal, goal_ratio, goal_share : float, optional
        Microseconds per call and times faster than the best peer, on the reference machine; share of the peak.
    """

    name: str
    kind: str
    bound: str
    goal: float | None = None
    goal_ratio: float | None = None
    layers: tuple[Layer, ...] = ()
    batch: int = 0
    shape: Shape = ()
    dtype: str = "float32"
    decoder: tuple[Layer, ...] = ()
    latent: int = 0
    shapes: tuple[Shape, ...] = ()
    product: Product | None = None
    goal_share: float | None = None

    @property
    def classes(self) -> int:
        """Width of the last layer."""
        return self.layers[-1].n_out

    @property
    def trains(self) -> bool:
        """Whether a call is a training step, which returns its loss."""
        return self.kind in ("train", "memory", "vae", "realnet", "extractor")

    @property
    def returns_output(self) -> bool:
        """Whether a call returns an output that can be compared."""
        return self.kind in ("infer", "act", "matmul", "attention", "returns", "gae")

    @property
    def flops(self) -> int:
        """Operations of the matrix products and convolutions of one call; the first layer needs no input gradient."""
        if self.product:
            return 2 * self.product.m * self.product.k * self.product.n
        if self.kind == "attention":  # half of the pairs; two products forward, four back
            batch, heads, tokens, d = self.shapes[0]
            return 6 * batch * heads * tokens**2 * d
        if self.kind == "extractor":  # every matrix meets every column and step, there and twice on the way back
            time, columns, _ = self.shape
            return 3 * 2 * self.batch * time * columns * sum(prod(shape) for shape in self.shapes if len(shape) > 1)
        forward = [cost for _, _, _, cost in walk(self.layers, self.shape)]
        total = sum(forward)
        if self.trains:
            match self.layers[0]:
                case Lstm(n_in, n_out):
                    of_input = 8 * self.shape[0] * n_in * n_out
                case Transformer():
                    of_input = 0  # its first normalisation has parameters
                case _:
                    of_input = forward[0]
            total = 3 * total - of_input
        total += 3 * sum(cost for _, _, _, cost in walk(self.decoder, (self.latent,)))
        return total * self.batch

    @property
    def bytes(self) -> int:
        """Bytes an Adam step has to move: read w, m, v, g and write w, m, v."""
        return 7 * (4 if self.dtype == "float32" else 8) * sum(prod(shape) for shape in self.shapes)


def walk(layers: tuple[Layer, ...], shape: Shape) -> Iterator[tuple[Layer, Shape, Shape, int]]:
    """Yield every layer with its input shape, output shape and forward operations, all per sample."""
    for layer in layers:
        before, cost = shape, 0
        match layer:
            case Dense(n_in, n_out, _):
                shape, cost = (n_out,), 2 * n_in * n_out
            case Conv(n_in, n_out, padding, _):
                shape = (n_out, shape[1] + 2 * padding - 2, shape[2] + 2 * padding - 2)
                cost = 2 * 9 * n_in * prod(shape)
            case MaxPool(size) | AvgPool(size):
                shape = (shape[0], shape[1] // size, shape[2] // size)
            case Flatten():
                shape = (prod(shape),)
            case Embedding(_, width):
                shape = (*shape, width)
            case Lstm(n_in, n_out):
                shape, cost = (n_out,), 8 * shape[0] * (n_in + n_out) * n_out
            case Transformer(width, _, hidden):
                tokens = shape[0]
                cost = 2 * tokens * width * (4 * width + 2 * hidden) + 4 * tokens**2 * width
            case TokenMean():
                shape = shape[1:]
            case Thinking(n_in, n_out, steps):
                # Per step a product forward, one back and one for the weights; ``flops`` counts a first layer twice.
                shape, cost = (n_out,), 3 * (steps - 1) * (n_in + n_out) ** 2
            case Memory(n_in, slots, head_size, heads):
                width = head_size * heads
                qkv, scores = 2 * (slots + 1) * width * 3 * width, 2 * 2 * slots * (slots + 1) * width
                per_slot = 2 * slots * width * 2 * width * 2  # the MLP, and the gates
                cost = before[0] * (2 * n_in * width + 4 * width * width + qkv + scores + per_slot)
                shape = (slots * width,)
        yield layer, before, shape, cost


def matmul(product: Product, dtype: str = "float32", goal_share: float | None = None) -> Workload:
    name = f"matmul_{product.m}x{product.k}x{product.n}" + "_f64" * (dtype == "float64")
    return Workload(name, "matmul", "gemm", dtype=dtype, product=product, goal_share=goal_share)


def realnet(n_in: int, n_out: int, steps: int, batch: int, bound: str, goal: float, goal_ratio: float) -> Workload:
    name = f"realnet_train_n{n_in + n_out}_t{steps}_b{batch}"
    layers, targets = (Thinking(n_in, n_out, steps),), ((8, batch, n_out),)
    return Workload(name, "realnet", bound, goal, goal_ratio, layers, batch, (n_in,), shapes=targets)


def mlp(sizes: Shape, activation: str = "relu") -> tuple[Layer, ...]:
    *hidden, last = pairwise(sizes)
    return (*(Dense(*pair, activation) for pair in hidden), Dense(*last))


def conv_bn_relu(n_in: int, n_out: int) -> tuple[Layer, ...]:
    return Conv(n_in, n_out, 1), BatchNorm(n_out), Activation("relu")


def extractor(features: int, filters: int, hidden: int) -> tuple[Shape, ...]:
    """Parameters of a convolution, and of a bidirectional LSTM of two layers: per layer and direction w, u and b."""
    lstm = ((4 * hidden, n_in, hidden) for n_in in (filters, 2 * hidden) for _ in range(2))
    cells = (shape for rows, n_in, n in lstm for shape in ((rows, n_in), (rows, n), (rows,)))
    return ((filters, features, 3), (filters,), *cells)


MLP = mlp((784, 256, 128, 10))
RL = mlp((4, 64, 64, 2), "tanh")
CNN = (Conv(1, 32, 0, "relu"), Conv(32, 64, 0, "relu"), MaxPool(2), Flatten(), Dense(9216, 128, "relu"), Dense(128, 10))
VGG = (
    *(*conv_bn_relu(3, 32), *conv_bn_relu(32, 32), MaxPool(2)),
    *(*conv_bn_relu(32, 64), *conv_bn_relu(64, 64), MaxPool(2)),
    *(*conv_bn_relu(64, 128), AvgPool(8), Flatten(), Dense(128, 10)),
)
ENCODER, DECODER = mlp((784, 512, 256, 64), "swish"), mlp((32, 256, 512, 784), "swish")
IMAGE = (1, 28, 28)
BLOCK = (Transformer(128, 8, 512), TokenMean(), Dense(128, 10))
MEMORY = (Memory(10, 4, 16, 2), *mlp((128, 64, 64, 3)))
WORDS = (Embedding(50_000, 128), Flatten(), Dense(32 * 128, 10))

WORKLOADS = (
    matmul(Product(512, 512, 512), goal_share=0.85),
    matmul(Product(128, 784, 256, transposed=True), goal_share=0.7),
    matmul(Product(64, 64, 64)),
    matmul(Product(1, 64, 64)),
    matmul(Product(512, 512, 512), "float64"),
    Workload("mlp_train_784_256_128_10_b128", "train", "gemm", 450, 1.35, MLP, 128, (784,)),
    Workload("mlp_train_64_128_10_b32", "train", "overhead", 22, 3, mlp((64, 128, 10)), 32, (64,)),
    Workload("rl_net_train_4_64_64_2_b64", "train", "overhead", 25, 3, RL, 64, (4,)),
    Workload("rl_net_act_4_64_64_2_b1", "act", "overhead", 2, 6, RL, 1, (4,)),
    Workload("cnn_train_mnist_b64", "train", "gemm", 12000, 1.9, CNN, 64, IMAGE),
    Workload("cnn_infer_mnist_b64", "infer", "gemm", 4500, 2, CNN, 64, IMAGE),
    Workload("cnn_infer_mnist_b1", "infer", "gemm", 110, 2, CNN, 1, IMAGE),
    Workload("vgg_bn_train_cifar_b32", "train", "gemm", 14000, 1.3, VGG, 32, (3, 32, 32)),
    Workload(
        "vae_train_784_512_256_z32_b64", "vae", "gemm", 1700, 2.3, ENCODER, 64, (784,), decoder=DECODER, latent=32
    ),
    Workload("embedding_train_50k_d128_b64x32", "train", "overhead", None, 10, WORDS, 64, (32,)),
    Workload("lstm_train_h128_t64_b32", "train", "gemm", 3000, 1.35, (Lstm(32, 128), Dense(128, 10)), 32, (64, 32)),
    Workload("lstm_train_h32_t20_b32", "train", "overhead", 700, 1, (Lstm(10, 32), Dense(32, 3)), 32, (20, 10)),
    Workload("transformer_block_train_d128_h8_t128_b16", "train", "gemm", 9000, 2, BLOCK, 16, (128, 128)),
    Workload("attention_causal_h8_t4096_d64", "attention", "gemm", shapes=((1, 8, 4096, 64),) * 4),
    Workload("relational_memory_train_s4_d32_t3_b128", "memory", "overhead", 5500, 1, MEMORY, 128, (3, 10)),
    Workload(
        "extractor_train_t60_c64_h128_b2",
        "extractor",
        "gemm",
        172_000,
        1,
        (),
        2,
        (60, 64, 5),
        shapes=extractor(5, 32, 128),
    ),
    Workload("adam_step_10M", "adam", "memory", 3800, 1, shapes=((1000, 1000),) * 10),
    Workload("returns_100k_steps", "returns", "overhead", 500, shapes=((100_000,),)),
    Workload("gae_100k_steps", "gae", "overhead", 500, shapes=((100_000,), (100_001,))),
    Workload("mlp_train_784_256_128_10_b128_f64", "train", "gemm", 900, 2, MLP, 128, (784,), "float64"),
    Workload("cnn_train_mnist_b64_f64", "train", "gemm", 24000, 4, CNN, 64, IMAGE, "float64"),
    realnet(784, 10, 10, 64, "gemm", 25000, 1),
    realnet(64, 10, 10, 64, "overhead", 400, 5),
    realnet(2, 1, 5, 16, "overhead", 50, 5),
)

#: Rows that the library has no layers for.
NOT_YET: tuple[str, ...] = ()
