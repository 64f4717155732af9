"""NumPy oracles of the kernels in csrc/kernels/recurrent.c and of whole passes: one sequence and one step at a time.

A cell is its step, written down from the equations; gradients come from the chain rule in the same words.
"""

import numpy as np

from enilnets._ext import recurrent

#: batch, time, n_in, hidden: one of everything, batch equal to hidden, whole and broken panels, few and many rows.
SHAPES = (
    (1, 1, 1, 1),
    (3, 4, 2, 5),
    (5, 3, 4, 5),
    (2, 7, 3, 33),
    (8, 5, 16, 16),
    (9, 3, 5, 70),
    (33, 2, 3, 12),
    (4, 3, 9, 8),
)

ROWS = {"lstm": (4, 4), "gru": (3, 4), "tanh": (1, 1), "relu": (1, 1)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(cell, x, h, c, fed, w, u, b):
    """One step of one sequence: h', c' and what the way back needs."""
    n = len(h)
    if cell == "lstm":
        i, f, g, o = np.split(w @ x + u @ fed + b, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_new = f * c + i * g
        return o * np.tanh(c_new), c_new, (i, f, g, o)
    if cell == "gru":
        xr, xz, xn = np.split(w @ x + b[: 3 * n], 3)
        hr, hz, q = np.split(u @ fed, 3)
        q = q + b[3 * n :]
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        new = np.tanh(xn + r * q)
        return (1 - z) * new + z * h, c, (r, z, new, q)
    a = w @ x + u @ fed + b
    h = np.tanh(a) if cell == "tanh" else np.maximum(a, 0)
    return h, c, (h,)


def step_backward(cell, dh, dc, h, c, kept):
    """Gradients of what w x and u h add up to, of c, and of h where it does not go through u."""
    if cell == "lstm":
        i, f, g, o = kept
        s = np.tanh(f * c + i * g)
        dc = dc + dh * o * (1 - s**2)
        sums = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * s * o * (1 - o)])
        return sums, sums, dc * f, np.zeros_like(dh)
    if cell == "gru":
        r, z, new, q = kept
        dn = dh * (1 - z) * (1 - new**2)
        dr, dz = dn * q * r * (1 - r), dh * (h - new) * z * (1 - z)
        return np.concatenate([dr, dz, dn]), np.concatenate([dr, dz, dn * r]), dc, dh * z
    slope = 1 - kept[0] ** 2 if cell == "tanh" else (kept[0] > 0)
    return dh * slope, dh * slope, dc, np.zeros_like(dh)


def order(length, reverse):
    return range(length - 1, -1, -1) if reverse else range(length)


def begins(reset, t, reverse, length):
    """Whether no state may come to position t from the position that was computed before."""
    if not reverse:
        return bool(reset[t])
    return t + 1 < length and bool(reset[t + 1])


def run(cell, x, w, u, b, h0, c0, lengths, reset, reverse, mask):
    """Whole passes: y, final h and c, and the kept steps of every sequence."""
    batch, time, _ = x.shape
    n = u.shape[1]
    y, h_n, c_n, steps = np.zeros((batch, time, n)), np.zeros((batch, n)), np.zeros((batch, n)), []
    for k in range(batch):
        h, c, mine = h0[k], c0[k], []
        for t in order(lengths[k], reverse):
            cut = begins(reset[k], t, reverse, lengths[k])
            if cut:
                h, c = np.zeros(n), np.zeros(n)
            fed = h * mask[k]
            new, c_new, kept = step(cell, x[k, t], h, c, fed, w, u, b)
            mine.append((t, cut, h, c, fed, kept))
            y[k, t], h, c = new, new, c_new
        h_n[k], c_n[k] = h, c
        steps.append(mine)
    return y, h_n, c_n, steps


def run_backward(cell, x, w, u, steps, mask, dy, dh_n, dc_n):
    """dx, dw, du, db, dh0, dc0."""
    n = u.shape[1]
    dx, dw, du, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u), np.zeros(ROWS[cell][1] * n)
    dh0, dc0 = np.zeros_like(dh_n), np.zeros_like(dc_n)
    for k, mine in enumerate(steps):
        dh, dc = dh_n[k], dc_n[k]
        for t, cut, h, c, fed, kept in reversed(mine):
            of_x, of_h, dc, direct = step_backward(cell, dh + dy[k, t], dc, h, c, kept)
            dx[k, t] = w.T @ of_x
            dw += np.outer(of_x, x[k, t])
            du += np.outer(of_h, fed)
            db += np.concatenate([of_x, of_h[2 * n :]]) if cell == "gru" else of_x
            dh = direct + mask[k] * (u.T @ of_h)
            if cut:
                dh, dc = np.zeros(n), np.zeros(n)
        dh0[k], dc0[k] = dh, dc
    return dx, dw, du, db, dh0, dc0


def problem(cell, shape, rng, ragged=False, resets=False, masked=False):
    """Random arguments of ``run``, in double precision."""
    batch, time, n_in, n = shape
    rows, numbers = ROWS[cell]
    w, u = rng.normal(size=(rows * n, n_in)) / np.sqrt(n_in), rng.normal(size=(rows * n, n)) / np.sqrt(n)
    return {
        "x": rng.normal(size=(batch, time, n_in)),
        "w": w,
        "u": u,
        "b": rng.normal(size=numbers * n) / 2,
        "h0": rng.normal(size=(batch, n)),
        "c0": rng.normal(size=(batch, n)),
        "lengths": rng.integers(1, time + 1, batch) if ragged else np.full(batch, time),
        "reset": rng.random((batch, time)) < (0.3 if resets else 0),
        "mask": (rng.random((batch, n)) < 0.7) / 0.7 if masked else np.ones((batch, n)),
    }


def compare(cell, rng, dtype):
    tolerance = 300 * np.finfo(dtype).eps
    for number, shape in enumerate(SHAPES):
        ragged, resets, masked, reverse = number % 2 == 1, number % 3 == 1, number % 4 == 1, number % 5 in (1, 4)
        p = {k: np.asarray(v) for k, v in problem(cell, shape, rng, ragged, resets, masked).items()}
        reals = {k: v.astype(dtype) for k, v in p.items() if v.dtype == float}
        p |= {k: v.astype(float) for k, v in reals.items()}
        batch, time, n_in, n = shape
        width = ROWS[cell][1] * n
        y = np.full((batch, time, n), np.nan, dtype)
        xh, gates = np.full((time, batch, n_in + 1 + n), np.nan, dtype), np.full((time, batch, width), np.nan, dtype)
        hs, cs = np.full((time + 1, batch, n), np.nan, dtype), np.full((time + 1, batch, n), np.nan, dtype)
        hs[0], cs[0] = reals["h0"], reals["c0"]
        cs = cs if cell == "lstm" else None
        mask = reals["mask"] if masked else None
        arrays = [reals[k] for k in ("x", "w", "u", "b")]
        lengths, reset = p["lengths"] if ragged else None, p["reset"] if resets else None
        recurrent.forward(cell, y, gates, hs, cs, xh, *arrays, mask, lengths, reset, reverse)
        expected = run(
            cell, **{k: p[k] for k in ("x", "w", "u", "b", "h0", "c0", "lengths", "reset", "mask")}, reverse=reverse
        )
        close = {"rtol": tolerance, "atol": tolerance}
        np.testing.assert_allclose(y, expected[0], **close)
        np.testing.assert_allclose(hs[-1], expected[1], **close)
        if cell == "lstm":
            np.testing.assert_allclose(cs[-1], expected[2], **close)
        dy, dh, dc = (rng.normal(size=a).astype(dtype) for a in (y.shape, (batch, n), (batch, n)))
        dy[np.arange(time) >= p["lengths"][:, None]] = 7  # of what is no output
        wanted = run_backward(
            cell, p["x"], p["w"], p["u"], expected[3], p["mask"], *(a.astype(float) for a in (dy, dh, dc))
        )
        dgates = np.full_like(gates, np.nan)
        dc_ = dc if cell == "lstm" else None
        recurrent.backward(cell, dgates, dh, dc_, dy, gates, hs, cs, arrays[2], mask, lengths, reset, reverse)
        dx, dw, du, db = (np.full_like(a, np.nan) for a in arrays)
        recurrent.gradients(cell, dw, du, db, dx, dgates, hs, xh, arrays[1], lengths, reverse)
        got = [dx, dw, du, db, dh, dc][: 6 if cell == "lstm" else 5]
        for mine, theirs in zip(got, wanted, strict=False):
            bound = tolerance * (1 + np.abs(theirs).max())
            np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=bound)


def case(*cells):
    def compare_cells(rng, dtype):
        for cell in cells:
            compare(cell, rng, dtype)

    return compare_cells


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {
    "lstm_forward": case("lstm"),
    "lstm_backward": case("lstm"),
    "gru_forward": case("gru"),
    "gru_backward": case("gru"),
    "rnn_forward": case("tanh", "relu"),
    "rnn_backward": case("tanh", "relu"),
    "multiply_into": case("lstm", "tanh"),
}
