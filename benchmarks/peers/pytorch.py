"""PyTorch, eager and compiled. The fused Adam is the fastest that it has on the CPU."""

from __future__ import annotations

from functools import partial
from itertools import cycle

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.data import LEARNING_RATE, Arrays, Data
from benchmarks.workloads import (
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Embedding,
    Flatten,
    Layer,
    Lstm,
    MaxPool,
    TokenMean,
    Transformer,
    Workload,
)
from benchmarks.workloads import Memory as MemoryLayer

from .pytorch_memory import Memory

__all__ = ["COMPILED", "EAGER", "prepare"]

NORM_NAMES = (("gamma", "weight"), ("beta", "bias"))
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "swish": nn.SiLU}


def prepare(threads: int) -> None:
    torch.set_num_threads(threads)


def network(workload: Workload, layers: tuple[Layer, ...], parameters: list[Arrays]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer, arrays in zip(layers, parameters, strict=True):
        modules += module(layer, arrays, getattr(torch, workload.dtype))
    return nn.Sequential(*modules)


def module(layer: Layer, arrays: Arrays, dtype: torch.dtype) -> list[nn.Module]:
    match layer:
        case Dense(n_in, n_out, activation):
            return activated(load(nn.Linear(n_in, n_out, dtype=dtype), arrays), activation)
        case Conv(n_in, n_out, padding, activation):
            return activated(load(nn.Conv2d(n_in, n_out, 3, padding=padding, dtype=dtype), arrays), activation)
        case BatchNorm(features):
            return [nn.BatchNorm2d(features, dtype=dtype)]
        case Activation(name):
            return [ACTIVATIONS[name]()]
        case MaxPool(size):
            return [nn.MaxPool2d(size)]
        case AvgPool(size):
            return [nn.AvgPool2d(size)]
        case Flatten():
            return [nn.Flatten()]
        case Embedding(rows, width):
            return [nn.Embedding(rows, width, _weight=torch.tensor(arrays["weights"]))]
        case Lstm(n_in, n_out):
            return [LastStep(n_in, n_out, arrays, dtype)]
        case Transformer(width, heads, hidden):
            gelu = partial(F.gelu, approximate="tanh")
            options = {"batch_first": True, "norm_first": True, "dtype": dtype}
            return [load_block(nn.TransformerEncoderLayer(width, heads, hidden, 0.0, gelu, **options), arrays)]
        case TokenMean():
            return [Mean()]
        case MemoryLayer(_, slots, _, heads):
            return [Memory(slots, heads, arrays)]
    raise TypeError(layer)


#: Where a transformer block's parameters are in PyTorch's.
BLOCK_NAMES = {
    "attention.weights": "self_attn.in_proj_weight",
    "attention.bias": "self_attn.in_proj_bias",
    "attention.out_weights": "self_attn.out_proj.weight",
    "attention.out_bias": "self_attn.out_proj.bias",
    "mlp.0.weights": "linear1.weight",
    "mlp.0.bias": "linear1.bias",
    "mlp.2.weights": "linear2.weight",
    "mlp.2.bias": "linear2.bias",
    **{f"{norm}.{ours}": f"{norm}.{theirs}" for norm in ("norm1", "norm2") for ours, theirs in NORM_NAMES},
}


def load_block(block: nn.Module, arrays: Arrays) -> nn.Module:
    block.load_state_dict({BLOCK_NAMES[name]: torch.tensor(array) for name, array in arrays.items()})
    return block


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


def load(linear: nn.Module, arrays: Arrays) -> nn.Module:
    linear.load_state_dict({"weight": torch.tensor(arrays["weights"]), "bias": torch.tensor(arrays["bias"])})
    return linear


def activated(linear: nn.Module, activation: str) -> list[nn.Module]:
    return [linear] if activation == "linear" else [linear, ACTIVATIONS[activation]()]


def adam_over(parameters) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)


def builders(compiled: bool):
    """The builders, with every model (and the lone Adam step) passed through ``torch.compile`` if ``compiled``."""

    def finished(target):
        if not compiled:
            return target
        # All models share the code of nn.Sequential, and after a few recompilations of one code object it gives up.
        torch.compiler.reset()
        return torch.compile(target)

    def train(workload: Workload, data: Data):
        model = finished(network(workload, workload.layers, data.parameters))
        optimizer = adam_over(model.parameters())
        x, labels = torch.from_numpy(data.x), cycle(torch.from_numpy(data.labels))

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(x), next(labels))
            loss.backward()
            optimizer.step()
            return loss

        return step

    def infer(workload: Workload, data: Data):
        model, x = finished(network(workload, workload.layers, data.parameters).eval()), torch.from_numpy(data.x)

        def step():
            with torch.inference_mode():
                return model(x)

        return step

    def act(workload: Workload, data: Data):
        model = finished(network(workload, workload.layers, data.parameters).eval())

        def step():
            with torch.inference_mode():
                return model(torch.from_numpy(data.x)[None]).numpy()

        return step

    def vae(workload: Workload, data: Data):
        model = finished(
            Autoencoder(
                network(workload, workload.layers, data.parameters), network(workload, workload.decoder, data.decoder)
            )
        )
        optimizer, x = adam_over(model.parameters()), torch.from_numpy(data.x)

        def step():
            optimizer.zero_grad(set_to_none=True)
            logits, mean, log_var = model(x)
            divergence = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(1).mean()
            loss = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x) + divergence
            loss.backward()
            optimizer.step()
            return loss

        return step

    def adam(workload: Workload, data: Data):
        parameters = [torch.tensor(array, requires_grad=True) for array in data.arrays]
        for parameter, gradient in zip(parameters, data.gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        if compiled:
            return finished(torch.optim.Adam(parameters, lr=torch.tensor(LEARNING_RATE), capturable=False).step)
        return adam_over(parameters).step

    def product(workload: Workload, data: Data):
        if compiled:
            return None  # nothing to fuse: it would call torch.mm
        a, b = map(torch.from_numpy, data.arrays)
        b = b.T if workload.product.transposed else b
        out = torch.empty((len(a), b.shape[1]), dtype=a.dtype)
        return lambda: torch.mm(a, b, out=out)

    def long_attention(workload: Workload, data: Data):
        q, k, v = (torch.tensor(array, requires_grad=True) for array in data.arrays[:3])
        dy, function = torch.from_numpy(data.arrays[3]), finished(F.scaled_dot_product_attention)

        def step():
            y = function(q, k, v, is_causal=True)
            torch.autograd.grad(y, (q, k, v), dy)
            return y.detach()

        return step

    def realnet(workload: Workload, data: Data):
        n_in, n_out, steps = workload.layers[0]
        net = RealNet(n_in + n_out, data.parameters[0])
        model, x, targets = finished(net), torch.from_numpy(data.x), cycle(torch.from_numpy(data.arrays[0]))
        optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=0.01, fused=True)

        def step():
            optimizer.zero_grad(set_to_none=True)
            pulse = torch.zeros(len(x), n_in + n_out)
            pulse[:, :n_in] = x
            loss = F.mse_loss(model(pulse, steps)[:, n_in:], next(targets))
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            return loss.item()

        return step

    def extractor(workload: Workload, data: Data):
        if compiled:
            return None  # nn.LSTM is one call that nothing can be fused into
        model, x = Extractor(data.arrays), torch.from_numpy(data.x)
        optimizer = adam_over(model.parameters())

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        return step

    return {
        "attention": long_attention,
        "train": train,
        "infer": infer,
        "act": act,
        "vae": vae,
        "adam": adam,
        "matmul": product,
        "memory": train,
        "realnet": realnet,
        "extractor": extractor,
    }


class LastStep(nn.Module):
    """An LSTM whose last output goes on. Its second bias, which would only be added to the first, stays zero."""

    def __init__(self, n_in: int, n_out: int, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_in, n_out, batch_first=True, dtype=dtype)
        names = {"weight_ih_l0": "weights", "weight_hh_l0": "recurrent_weights", "bias_ih_l0": "bias"}
        state = {name: torch.tensor(arrays[ours]) for name, ours in names.items()}
        self.lstm.load_state_dict({**state, "bias_hh_l0": torch.zeros(4 * n_out, dtype=dtype)})
        self.lstm.bias_hh_l0.requires_grad_(False)

    def forward(self, x):
        return self.lstm(x)[0][:, -1]


class Autoencoder(nn.Module):
    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x):
        mean, log_var = self.encoder(x).chunk(2, -1)
        return self.decoder(mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)), mean, log_var


class RealNet(nn.Module):
    """h_t = LayerNorm(gelu(h_{t-1} W + b + I_t)), from h = 0 and with a pulse at the first step, which skips h W."""

    def __init__(self, neurons: int, arrays: Arrays) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(arrays["weights"]))
        self.bias = nn.Parameter(torch.tensor(arrays["bias"]))
        self.norm = nn.LayerNorm(neurons)

    def forward(self, pulse, steps: int):
        h = self.norm(F.gelu(pulse + self.bias))
        for _ in range(steps - 1):
            h = self.norm(F.gelu(torch.addmm(self.bias, h, self.weights)))
        return h


class Extractor(nn.Module):
    """Every column by itself: convolution over time, normalisation, LSTM both ways, mean of the last three steps."""

    def __init__(self, arrays: list) -> None:
        super().__init__()
        filters, features, kernel = arrays[0].shape
        self.conv = nn.Conv1d(features, filters, kernel, padding="same")
        self.norm = nn.BatchNorm1d(filters, momentum=0.01)
        self.lstm = nn.LSTM(filters, arrays[3].shape[1], 2, batch_first=True, bidirectional=True)
        cells = [parameter for name, parameter in self.lstm.named_parameters() if not name.startswith("bias_hh")]
        with torch.no_grad():
            for parameter, array in zip([self.conv.weight, self.conv.bias, *cells], arrays, strict=True):
                parameter.copy_(0.1 * torch.from_numpy(array))
            for name, parameter in self.lstm.named_parameters():
                if name.startswith("bias_hh"):
                    parameter.zero_()

    def forward(self, x):
        batch, time, columns, features = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(batch * columns, features, time)
        steps = torch.relu(self.norm(self.conv(rows))).transpose(1, 2)
        return self.lstm(steps)[0][:, -3:].mean(1).reshape(batch, columns, -1)


EAGER = builders(compiled=False)
COMPILED = builders(compiled=True)
