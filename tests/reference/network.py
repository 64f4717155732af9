"""A small convolutional network trained in plain float64 NumPy, written independently of the library.

conv 3x3 valid (1 -> 3) - batch norm - ReLU - max pool 2 - dense tanh (27 -> 8) - dense softmax (8 -> 4), cross-entropy,
Adam with L2 on weights. ``python -m tests.reference.network`` prints the golden losses of tests/test_golden.py.
"""

import numpy as np

EPS = 1e-5


def problem():
    """Initial weights and data from closed formulas, so that no random generator is involved."""

    def wave(*shape, a, b):
        return np.sin(a * np.arange(np.prod(shape)) + b).reshape(shape)

    weights = {
        "conv": 0.4 * wave(3, 1, 3, 3, a=1.3, b=0.1),
        "conv_b": 0.1 * wave(3, a=2.0, b=0.3),
        "gamma": 1 + 0.2 * wave(3, a=1.1, b=0.5),
        "beta": 0.1 * wave(3, a=0.7, b=0.2),
        "hidden": 0.3 * wave(8, 27, a=0.9, b=0.4),
        "hidden_b": 0.1 * wave(8, a=1.9, b=0.6),
        "out": 0.5 * wave(4, 8, a=1.7, b=0.8),
        "out_b": 0.1 * wave(4, a=0.3, b=0.9),
    }
    x = wave(10, 6, 1, 8, 8, a=0.61, b=0.0) + 0.3 * wave(10, 6, 1, 8, 8, a=7.7, b=1.0)
    labels = (np.arange(60) * 7 % 4).reshape(10, 6)
    return weights, x, labels


def loss_and_gradients(w, x, labels):
    n = len(x)
    windows = np.lib.stride_tricks.sliding_window_view(x[:, 0], (3, 3), axis=(1, 2))  # (n, 6, 6, 3, 3)
    z = np.einsum("nijab,oab->noij", windows, w["conv"][:, 0]) + w["conv_b"][:, None, None]
    mean, var = z.mean((0, 2, 3), keepdims=True), z.var((0, 2, 3), keepdims=True)
    norm = (z - mean) / np.sqrt(var + EPS)
    gamma = w["gamma"][:, None, None]
    a = gamma * norm + w["beta"][:, None, None]
    r = np.maximum(a, 0)
    blocks = r.reshape(n, 3, 3, 2, 3, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, 3, 3, 3, 4)
    flat = blocks.max(-1).reshape(n, 27)
    hidden = np.tanh(flat @ w["hidden"].T + w["hidden_b"])
    logits = hidden @ w["out"].T + w["out_b"]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(n), labels]).mean()

    d_logits = (p - np.eye(4)[labels]) / n
    d_hidden = d_logits @ w["out"] * (1 - hidden**2)
    d_flat = d_hidden @ w["hidden"]
    first = np.eye(4)[blocks.argmax(-1)]
    d_blocks = first * d_flat.reshape(n, 3, 3, 3, 1)
    d_r = d_blocks.reshape(n, 3, 3, 3, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, 3, 6, 6)
    d_a = d_r * (a > 0)
    m = n * 36
    d_beta, d_gamma = d_a.sum((0, 2, 3)), (d_a * norm).sum((0, 2, 3))
    d_z = gamma / np.sqrt(var + EPS) * (d_a - (d_beta[:, None, None] + norm * d_gamma[:, None, None]) / m)
    gradients = {
        "conv": np.einsum("noij,nijab->oab", d_z, windows)[:, None],
        "conv_b": d_z.sum((0, 2, 3)),
        "gamma": d_gamma,
        "beta": d_beta,
        "hidden": d_hidden.T @ flat,
        "hidden_b": d_hidden.sum(0),
        "out": d_logits.T @ hidden,
        "out_b": d_logits.sum(0),
    }
    return loss, gradients


def train(learning_rate=0.02, l2=0.01):
    """Losses of ten Adam steps."""
    w, x, labels = problem()
    m = dict.fromkeys(w, 0.0)
    v = dict.fromkeys(w, 0.0)
    losses = []
    for t in range(1, 11):
        loss, gradients = loss_and_gradients(w, x[t - 1], labels[t - 1])
        losses.append(float(loss))
        for name, g in gradients.items():
            if name in ("conv", "hidden", "out"):
                g = g + l2 * w[name]
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.999 * v[name] + 0.001 * g**2
            step = (m[name] / (1 - 0.9**t)) / (np.sqrt(v[name] / (1 - 0.999**t)) + 1e-8)
            w[name] = w[name] - learning_rate * step
    return losses


if __name__ == "__main__":
    print(train())
