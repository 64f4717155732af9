"""The encoder of columns and the attention modules beside PyTorch's layers with the same weights."""

import numpy as np
import pytest
import torch
from torch import nn

from enilnets.layers import Mode
from enilnets.sequence import AttentionModule
from enilnets.sequence.eigen3.columns import ColumnEncoder
from tests.parity.counterparts import tensor

FILTERS, HIDDEN = 16, 24


class Theirs(nn.Module):
    """Reads (batch, time, columns, features) as the encoder does; the LSTM runs over all steps both ways."""

    def __init__(self, encoder):
        super().__init__()
        features = encoder.num_features
        self.conv = nn.Conv1d(features, FILTERS, 3, padding="same")
        self.norm = nn.BatchNorm1d(FILTERS, eps=1e-5, momentum=0.01)
        self.lstm = nn.LSTM(FILTERS, HIDDEN, 2, batch_first=True, bidirectional=True)
        self.to(torch.float32 if encoder.dtype == np.float32 else torch.float64)
        with torch.no_grad():
            for name, parameter in self.ours(encoder).items():
                parameter.copy_(torch.from_numpy(encoder[name]))
            for name, parameter in self.lstm.named_parameters():
                if name.startswith("bias_hh"):
                    parameter.zero_()

    def ours(self, encoder):
        """Our names of the parameters."""
        named = {
            "conv.weights": self.conv.weight,
            "conv.bias": self.conv.bias,
            "norm.gamma": self.norm.weight,
            "norm.beta": self.norm.bias,
        }
        for layer in range(2):
            for direction, suffix in (("forward", ""), ("reverse", "_reverse")):
                for name, theirs in (("w", "weight_ih"), ("u", "weight_hh"), ("b", "bias_ih")):
                    named[f"lstm.{layer}.{direction}.{name}"] = getattr(self.lstm, f"{theirs}_l{layer}{suffix}")
        return named

    def forward(self, x):
        batch, time, columns, features = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(batch * columns, features, time)
        steps = torch.relu(self.norm(self.conv(rows))).transpose(1, 2)
        return self.lstm(steps)[0][:, -3:].mean(1).reshape(batch, columns, -1)


def relative(ours, theirs):
    theirs = theirs.detach().numpy()
    return float(np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), 1e-30))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("time", [3, 20, 21])
@pytest.mark.parametrize("chunk", [3, 7])
def test_column_encoder(dtype, rng, training, time, chunk):
    """B-1: outputs within 1e-5, gradients within 1e-4 of their norm, the same weights for every length."""
    encoder = ColumnEncoder(7, 5, FILTERS, HIDDEN, column_chunk_size=chunk, dropout_rate=0.0, dtype=dtype, rng=0)
    for parameter in encoder.parameters.values():
        parameter.value[...] += 0.1 * rng.normal(size=parameter.value.shape)
    x = rng.normal(size=(3, time, 7, 5)).astype(dtype)
    theirs = Theirs(encoder).train(training)
    theirs_x = tensor(x)
    theirs_y = theirs(theirs_x)
    y, saved = encoder.forward(x, Mode(training, rng))
    np.testing.assert_allclose(y, theirs_y.detach().numpy(), rtol=0, atol=1e-5)
    dy = rng.normal(size=y.shape).astype(dtype)
    theirs_y.backward(tensor(dy, learn=False))
    assert relative(encoder.backward(dy, saved), theirs_x.grad) < 1e-4
    for name, parameter in theirs.ours(encoder).items():
        if not (training and name == "conv.bias"):  # zero but for rounding: the normalisation takes constants away
            assert relative(encoder["d_" + name], parameter.grad) < 1e-4, name
    if training:
        np.testing.assert_allclose(encoder["norm.running_mean"], theirs.norm.running_mean.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("cross", [False, True])
def test_attention_module(dtype, rng, cross):
    """nn.MultiheadAttention and nn.LayerNorm: output, averaged weights, gradients of input and parameters."""
    module = AttentionModule(16, 4, cross, 0.0, 0.0, dtype=dtype, rng=0)
    for _, parameter in module.named_parameters():
        parameter.value[...] += 0.2 * rng.normal(size=parameter.value.shape)
    x, dy = (rng.normal(size=shape).astype(dtype) for shape in ((3, 7, 16), (3, 1 if cross else 7, 16)))
    kind = torch.float32 if dtype == np.float32 else torch.float64
    theirs = nn.MultiheadAttention(16, 4, batch_first=True, dtype=kind)
    norm = nn.LayerNorm(16, eps=1e-6, dtype=kind)
    parts = [module.query, module.key, module.value]
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.from_numpy(np.concatenate([part["weights"] for part in parts])))
        theirs.in_proj_bias.copy_(torch.from_numpy(np.concatenate([part["bias"] for part in parts])))
        theirs.out_proj.weight.copy_(torch.from_numpy(module.output["weights"]))
        theirs.out_proj.bias.copy_(torch.from_numpy(module.output["bias"]))
        norm.weight.copy_(torch.from_numpy(module.norm["gamma"]))
        norm.bias.copy_(torch.from_numpy(module.norm["beta"]))
    theirs_x = tensor(x)
    token = tensor(module.token.value) if cross else None
    attended, weights = theirs(token.expand(3, 1, 16) if cross else theirs_x, theirs_x, theirs_x)
    expected = norm(attended if cross else theirs_x + attended)
    out, ours = module(x, return_attention_weights=True)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours, (weights if cross else weights.mean(1)).detach().numpy(), rtol=0, atol=1e-6)
    expected.backward(tensor(dy, learn=False))
    _, ctx = module.forward(x)
    assert relative(module.backward(ctx, dy, inputs=True), theirs_x.grad) < 1e-4
    assert relative(module.output["d_weights"], theirs.out_proj.weight.grad) < 1e-4
    assert relative(module.norm["d_gamma"], norm.weight.grad) < 1e-4
    stacked = np.concatenate([part["d_weights"] for part in parts])
    assert relative(stacked, theirs.in_proj_weight.grad) < 1e-4
    if cross:
        assert relative(module.token.grad, token.grad) < 1e-4
