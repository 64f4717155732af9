"""PyTorch, eager and compiled. The fused Adam is the fastest that it has on the CPU."""

from __future__ import annotations

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
    Workload,
)

__all__ = ["COMPILED", "EAGER", "prepare"]

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
    raise TypeError(layer)


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
        "train": train,
        "infer": infer,
        "act": act,
        "vae": vae,
        "adam": adam,
        "matmul": product,
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
