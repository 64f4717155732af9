"""Recurrent layers beside PyTorch's: outputs, final states and all gradients from the same weights.

PyTorch has two biases per gate; ours, where they only add up, is their sum, and its gradient is that of either.
"""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from enilnets.layers import LAYERS
from tests.parity.counterparts import tensor

#: type, settings, PyTorch's class, its settings.
KINDS = {
    "rnn": (LAYERS["rnn"], {}, torch.nn.RNN, {}),
    "rnn-relu": (LAYERS["rnn"], {"activation": "relu"}, torch.nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (LAYERS["lstm"], {}, torch.nn.LSTM, {}),
    "gru": (LAYERS["gru"], {}, torch.nn.GRU, {}),
}


def close(ours, theirs, dtype, what):
    """To 1e-5, and far closer in double precision."""
    bound = 1e-5 if dtype == np.float32 else 1e-11
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == dtype, what
    scale = max(1.0, float(np.abs(theirs).max(initial=0)))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=bound * scale, err_msg=what)


def suffixes(layer, direction):
    ours = f"{f'_{layer}' if layer else ''}{'_reverse' if direction else ''}"
    return ours, f"_l{layer}{'_reverse' if direction else ''}"


def counterpart(layer, kind, settings, dtype):
    """PyTorch's module with the weights of ``layer``."""
    n = layer.hidden_size
    options = {"num_layers": layer.num_layers, "bidirectional": layer.bidirectional, "batch_first": True}
    theirs = kind(layer.n_in, n, **options, **settings, dtype=torch.from_numpy(np.empty(0, dtype)).dtype)
    for number in range(layer.num_layers):
        for direction in range(layer.directions):
            mine, its = suffixes(number, direction)
            bias = layer["bias" + mine]
            second = np.zeros_like(bias[: len(layer["weights" + mine])])
            if layer.type == "gru":
                bias, second[2 * n :] = bias[: 3 * n], bias[3 * n :]
            values = {
                "weight_ih": layer["weights" + mine],
                "weight_hh": layer["recurrent_weights" + mine],
                "bias_ih": bias,
                "bias_hh": second,
            }
            with torch.no_grad():
                for name, value in values.items():
                    getattr(theirs, name + its).copy_(torch.from_numpy(np.array(value)))
    return theirs


def compare_parameters(layer, theirs, dtype):
    n = layer.hidden_size
    for number in range(layer.num_layers):
        for direction in range(layer.directions):
            mine, its = suffixes(number, direction)
            for name, other in (("weights", "weight_ih"), ("recurrent_weights", "weight_hh")):
                close(layer["d_" + name + mine], getattr(theirs, other + its).grad, dtype, name + mine)
            of_input, of_state = getattr(theirs, "bias_ih" + its).grad, getattr(theirs, "bias_hh" + its).grad
            bias = torch.cat([of_input, of_state[2 * n :]]) if layer.type == "gru" else of_input
            close(layer["d_bias" + mine], bias, dtype, "bias" + mine)


def run_both(name, rng, dtype, shape, num_layers, bidirectional, lengths):
    batch, time, n_in, n = shape
    kind, own, their_kind, their_own = KINDS[name]
    layer = kind(
        n_in, n, num_layers, bidirectional, return_sequences=True, init_method="normal", dtype=dtype, rng=rng, **own
    )
    for parameter in layer.parameters.values():
        parameter.value[...] += 0.2 * rng.normal(size=parameter.value.shape)
    theirs = counterpart(layer, their_kind, their_own, dtype)
    pair = name == "lstm"
    count = num_layers * (1 + bidirectional)
    x = rng.normal(size=(batch, time, n_in)).astype(dtype)
    first = [rng.normal(size=(count, batch, n)).astype(dtype) for _ in range(2 if pair else 1)]
    last = [rng.normal(size=(count, batch, n)).astype(dtype) for _ in range(2 if pair else 1)]

    y, saved = layer.forward(x, state=tuple(first) if pair else first[0], lengths=lengths)
    final = layer.final_state(saved)
    dy = rng.normal(size=y.shape).astype(dtype)
    dx, dfirst = layer.backward_with_state(dy, saved, tuple(last) if pair else last[0])

    their_x, their_first = tensor(x), [tensor(a) for a in first]
    given = their_x
    if lengths is not None:
        given = pack_padded_sequence(their_x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    their_y, their_final = theirs(given, tuple(their_first) if pair else their_first[0])
    if lengths is not None:
        their_y, _ = pad_packed_sequence(their_y, batch_first=True, total_length=time)
    their_final = their_final if pair else (their_final,)
    total = (their_y * torch.from_numpy(dy)).sum()
    for a, d in zip(their_final, last, strict=True):
        total = total + (a * torch.from_numpy(d)).sum()
    total.backward()

    close(y, their_y, dtype, "output")
    close(dx, their_x.grad, dtype, "input gradient")
    for mine, its in zip(final if pair else [final], their_final, strict=True):
        close(mine, its, dtype, "final state")
    for mine, its in zip(dfirst if pair else [dfirst], their_first, strict=True):
        close(mine, its.grad, dtype, "gradient of the first state")
    compare_parameters(layer, theirs, dtype)


@pytest.mark.parametrize("ragged", [False, True], ids=["whole", "packed"])
@pytest.mark.parametrize("num_layers, bidirectional", [(1, False), (1, True), (2, False), (2, True)])
@pytest.mark.parametrize("shape", [(5, 7, 4, 6), (3, 4, 9, 3), (1, 5, 2, 16), (17, 6, 8, 40)])
@pytest.mark.parametrize("name", KINDS)
def test_beside_pytorch(name, shape, num_layers, bidirectional, ragged, dtype, rng):
    """C-1: copied weights, packed sequences, both directions, two layers; everything to 1e-5."""
    lengths = rng.integers(1, shape[1] + 1, shape[0]) if ragged else None
    run_both(name, rng, dtype, shape, num_layers, bidirectional, lengths)
