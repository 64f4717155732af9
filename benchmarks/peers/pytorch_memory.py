"""The relational memory core of Santoro et al. (2018) in PyTorch, as one writes it there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.data import Arrays

__all__ = ["Memory"]


class Memory(nn.Module):
    """One block with gates per unit, of the arrays of ``layers.RelationalMemory``; returns the last memory.

    (batch, time, n_in) to (batch, slots * width).
    """

    def __init__(self, slots: int, heads: int, arrays: Arrays) -> None:
        super().__init__()
        self.slots, self.heads = slots, heads
        for name, array in arrays.items():
            whole = name in ("w_in", "b_in") or "gate" in name
            if name in ("w_mlp", "b_mlp"):
                for i, part in enumerate(array):
                    self.register_parameter(f"{name}_{i}", nn.Parameter(torch.tensor(part)))
            else:
                self.register_parameter(name, nn.Parameter(torch.tensor(array if whole else array[0])))
        self.width = arrays["w_in"].shape[0]

    def attend(self, z):
        parts = F.linear(z, self.w_qkv, self.b_qkv)
        parts = F.layer_norm(parts, parts.shape[-1:], self.gamma_qkv, self.beta_qkv)
        head = self.width // self.heads
        key = (parts.shape[-1] // self.heads - head) // 2
        q, k, v = parts.view(*z.shape[:2], self.heads, -1).transpose(1, 2).split([key, key, head], -1)
        weights = torch.softmax(q[:, :, : self.slots] @ k.transpose(-1, -2) * key**-0.5, -1)
        return (weights @ v).transpose(1, 2).reshape(len(z), self.slots, self.width)

    def forward(self, x):
        embedded = F.linear(x, self.w_in, self.b_in)
        from_input = F.linear(embedded, self.w_gate_x, self.b_gate_x)
        memory = torch.eye(self.slots, self.width, dtype=x.dtype).expand(len(x), -1, -1)
        for t in range(x.shape[1]):
            z = torch.cat([memory, embedded[:, t, None]], 1)
            z = memory + self.attend(z)
            z = F.layer_norm(z, z.shape[-1:], self.gamma_attention, self.beta_attention)
            hidden = F.linear(F.relu(F.linear(z, self.w_mlp_0, self.b_mlp_0)), self.w_mlp_1, self.b_mlp_1)
            z = F.layer_norm(z + hidden, z.shape[-1:], self.gamma_mlp, self.beta_mlp)
            gates = F.linear(torch.tanh(memory), self.w_gate_m, self.b_gate_m) + from_input[:, t, None]
            i, f = gates.chunk(2, -1)
            memory = torch.sigmoid(i) * torch.tanh(z) + torch.sigmoid(f + 1) * memory
        return memory.flatten(1)
