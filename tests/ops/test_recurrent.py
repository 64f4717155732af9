"""ops.recurrent: gradients through time, lengths, resets, directions; refusals; bits for any number of threads."""

import numpy as np
import pytest

from enilnets.errors import ConfigError, DataError, DTypeError, ShapeError
from enilnets.ops import recurrent as ops
from enilnets.ops.threads import num_threads
from tests.gradients import check_direction
from tests.reference.recurrent import ROWS, problem, run

CELLS = ("lstm", "gru", "tanh", "relu")

#: batch, time, n_in, hidden; batch equal to hidden, batch of one, one step, an input wider than the state.
SHAPES = ((3, 5, 4, 6), (4, 6, 3, 4), (1, 7, 2, 3), (6, 1, 5, 2), (7, 4, 5, 3))

OPTIONS = {
    "plain": {},
    "lengths": {"ragged": True},
    "resets": {"resets": True},
    "mask": {"masked": True},
    "everything": {"ragged": True, "resets": True, "masked": True},
}


def arguments(cell, shape, rng, dtype=np.float64, **kinds):
    """Arrays, state and options of a pass, and the problem of the oracle that they come from."""
    p = problem(cell, shape, rng, **kinds)
    arrays = [p[name].astype(dtype) for name in ("x", "w", "u", "b")]
    h, c = p["h0"].astype(dtype), p["c0"].astype(dtype)
    options = {
        "lengths": p["lengths"] if kinds.get("ragged") else None,
        "reset": p["reset"] if kinds.get("resets") else None,
        "mask": p["mask"].astype(dtype) if kinds.get("masked") else None,
    }
    return arrays, (h, c) if cell == "lstm" else h, options, p


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_through_time(cell, shape, reverse, kind, rng):
    """C-1: backpropagation through time against central differences, also for the first and from the last state."""
    (x, w, u, b), state, options, _p = arguments(cell, shape, rng, **OPTIONS[kind])
    pair = cell == "lstm"
    y, final, saved = ops.recurrent(cell, x, w, u, b, state, reverse=reverse, **options)
    dy = rng.normal(size=y.shape)
    dfinal = tuple(rng.normal(size=a.shape) for a in final) if pair else rng.normal(size=final.shape)
    dx, dw, du, db, dstate = ops.recurrent_backward(dy, saved, dfinal)

    def loss(**changed):
        given = {"x": x, "w": w, "u": u, "b": b, "h": state[0] if pair else state, "c": state[1] if pair else None}
        given |= changed
        first = (given.pop("h"), given.pop("c"))
        y, end, _ = ops.recurrent(cell, *given.values(), first if pair else first[0], reverse=reverse, **options)
        ends = zip(end, dfinal, strict=True) if pair else [(end, dfinal)]
        return float(np.sum(y * dy)) + sum(float(np.sum(a * d)) for a, d in ends)

    wanted = {"x": (x, dx), "w": (w, dw), "u": (u, du), "b": (b, db)}
    wanted["h"] = (state[0], dstate[0]) if pair else (state, dstate)
    if pair:
        wanted["c"] = (state[1], dstate[1])
    for name, (value, gradient) in wanted.items():
        check_direction(lambda v, name=name: loss(**{name: v}), value, gradient, rng)


@pytest.mark.parametrize("cell", CELLS)
def test_a_pass_is_that_of_each_sequence_alone(cell, rng):
    """C3.6, C-1: what else is in the batch changes nothing, also where the batch is as large as the state."""
    for batch in (5, 6, 9):
        (x, w, u, b), state, options, _ = arguments(cell, (batch, 4, 3, 6), rng, ragged=True, resets=True)
        y, final, _ = ops.recurrent(cell, x, w, u, b, state, **options)
        for k in range(batch):
            one = slice(k, k + 1)
            first = tuple(a[one] for a in state) if cell == "lstm" else state[one]
            mine = {name: value[one] for name, value in options.items() if value is not None}
            y1, final1, _ = ops.recurrent(cell, x[one], w, u, b, first, **mine)
            np.testing.assert_allclose(y1[0], y[k], rtol=1e-13, atol=1e-15)
            for a, e in zip(final1, final, strict=True) if cell == "lstm" else [(final1, final)]:
                np.testing.assert_allclose(a[0], e[k], rtol=1e-13, atol=1e-15)


def test_lstm_by_hand():
    """One unit, one step, all weights 1 and x = 1: every sum is 1, and c = s(1) 0 + s(1) tanh(1)."""
    one = np.ones((4, 1))
    s, t = 1 / (1 + np.exp(-1.0)), np.tanh(1.0)
    h, (h_n, c_n), _ = ops.lstm(np.ones((1, 1, 1)), one, one, np.zeros(4))
    assert np.isclose(c_n[0, 0], s * t, rtol=1e-14) and np.isclose(h[0, 0, 0], s * np.tanh(s * t), rtol=1e-14)
    assert h_n[0, 0] == h[0, 0, 0]


def test_gru_and_rnn_by_hand():
    """One unit from state 2: of a GRU r = z = s(x + 2), n = tanh(x + r (2 + b_q))."""
    x, one = np.full((1, 1, 1), 0.5), np.ones((3, 1))
    s = 1 / (1 + np.exp(-2.5))
    n = np.tanh(0.5 + s * (2 + 3))
    h, _, _ = ops.gru(x, one, one, np.array([0.0, 0, 0, 3]), np.full((1, 1), 2.0))
    assert np.isclose(h[0, 0, 0], (1 - s) * n + s * 2, rtol=1e-14)
    h, _, _ = ops.rnn(x, one[:1], one[:1], np.array([-4.0]), np.full((1, 1), 2.0), activation="relu")
    assert h[0, 0, 0] == 0
    h, _, _ = ops.rnn(x, one[:1], one[:1], np.array([-4.0]), np.full((1, 1), 2.0))
    assert np.isclose(h[0, 0, 0], np.tanh(-1.5), rtol=1e-14)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_padding_has_no_part(cell, reverse, rng):
    (x, w, u, b), state, options, _p = arguments(cell, (4, 6, 3, 5), rng, ragged=True)
    lengths = options["lengths"] = np.array([6, 1, 3, 5])
    behind = np.arange(6) >= lengths[:, None]
    x[behind] = np.nan
    y, final, saved = ops.recurrent(cell, x, w, u, b, state, reverse=reverse, **options)
    assert (y[behind] == 0).all() and np.isfinite(y).all()
    ends = [0] * 4 if reverse else lengths - 1
    h = final[0] if cell == "lstm" else final
    assert np.array_equal(h, y[np.arange(4), ends])
    dy = np.ones_like(y)
    dy[behind] = np.nan
    dx, *gradients, _ = ops.recurrent_backward(dy, saved)
    assert (dx[behind] == 0).all() and all(np.isfinite(g).all() for g in (dx, *gradients))


@pytest.mark.parametrize("cell", CELLS)
def test_a_reset_cuts_a_sequence_in_two(cell, rng):
    """Both ways, a sequence with an episode that begins at 3 is two sequences."""
    (x, w, u, b), state, _, _ = arguments(cell, (2, 7, 3, 4), rng)
    reset = np.zeros((2, 7), bool)
    reset[:, 3] = True
    for reverse in (False, True):
        y, final, saved = ops.recurrent(cell, x, w, u, b, state, reset=reset, reverse=reverse)
        firsts = (None, state) if reverse else (state, None)
        left, end_left, _ = ops.recurrent(cell, x[:, :3], w, u, b, firsts[0], reverse=reverse)
        right, end_right, _ = ops.recurrent(cell, x[:, 3:], w, u, b, firsts[1], reverse=reverse)
        np.testing.assert_allclose(y, np.concatenate([left, right], axis=1), rtol=1e-13)
        np.testing.assert_allclose(final, end_left if reverse else end_right, rtol=1e-13)
        later = np.zeros_like(y)
        later[:, 0 if reverse else 6] = 1
        dx, *_, dstate = ops.recurrent_backward(later, saved)
        across = dx[:, 3:] if reverse else dx[:, :3]
        assert not across.any() and not np.any(dstate)


@pytest.mark.parametrize("cell", CELLS)
def test_going_on_from_the_final_state_is_one_run(cell, rng):
    (x, w, u, b), state, _, _ = arguments(cell, (3, 8, 2, 5), rng)
    whole, end, _ = ops.recurrent(cell, x, w, u, b, state)
    first, middle, _ = ops.recurrent(cell, x[:, :5], w, u, b, state)
    second, last, _ = ops.recurrent(cell, x[:, 5:], w, u, b, middle)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-13)
    np.testing.assert_allclose(last, end, rtol=1e-13)


@pytest.mark.parametrize("shape", [(40, 12, 9, 64), (40, 12, 80, 64), (3, 30, 8, 256), (6, 40, 66, 33)])
@pytest.mark.parametrize("cell", CELLS)
def test_the_same_bits_for_any_number_of_threads(cell, shape, dtype, rng):
    (x, w, u, b), state, options, _ = arguments(cell, shape, rng, dtype, ragged=True, masked=True)
    made = []
    for threads in (1, 2, 3, 5):
        with num_threads(threads):
            y, final, saved = ops.recurrent(cell, x, w, u, b, state, **options)
            *gradients, dstate = ops.recurrent_backward(np.ones_like(y), saved)
        made.append([y, *np.atleast_3d(final), *gradients, *np.atleast_3d(dstate)])
    for others in made[1:]:
        assert all(np.array_equal(a, e) for a, e in zip(others, made[0], strict=True))


@pytest.mark.parametrize("cell", CELLS)
def test_results_agree_with_the_steps_written_down(cell, dtype, rng):
    (x, w, u, b), state, options, p = arguments(cell, (6, 5, 4, 20), rng, dtype, ragged=True, resets=True, masked=True)
    y, final, _ = ops.recurrent(cell, x, w, u, b, state, **options)
    expected = run(
        cell, **{k: p[k] for k in ("x", "w", "u", "b", "h0", "c0", "lengths", "reset", "mask")}, reverse=False
    )
    tolerance = 300 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, expected[0], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(final[0] if cell == "lstm" else final, expected[1], rtol=tolerance, atol=tolerance)


def test_without_sequences_or_anything_kept(rng):
    (x, w, u, b), state, _, _ = arguments("gru", (3, 4, 2, 5), rng)
    _y, final, _ = ops.gru(x, w, u, b, state)
    nothing, same, saved = ops.gru(x, w, u, b, state, sequences=False, keep=False)
    assert nothing is None and saved is None and np.array_equal(same, final)


def test_state_and_arguments_are_not_written(rng):
    (x, w, u, b), (h, c), options, _ = arguments("lstm", (3, 4, 2, 5), rng, masked=True)
    for array in (x, w, u, b, h, c, options["mask"]):
        array.flags.writeable = False
    y, final, saved = ops.lstm(x, w, u, b, (h, c), **options)
    ops.lstm_backward(np.ones_like(y), saved, (h, None))
    final[0][...] = 7  # the caller's own
    assert not (saved.hs == 7).any()


def test_gradients_are_written_where_asked(rng):
    (x, w, u, b), state, _, _ = arguments("lstm", (3, 4, 2, 5), rng)
    y, _, saved = ops.lstm(x, w, u, b, state)
    places = {"dw": np.empty_like(w), "du": np.empty_like(u), "db": np.empty_like(b)}
    dx, dw, du, db, _ = ops.lstm_backward(y, saved, **places)
    assert dw is places["dw"] and du is places["du"] and db is places["db"]
    none, *nothing, _ = ops.lstm_backward(y, saved, params=False)
    assert np.array_equal(none, dx) and nothing == [None] * 3
    none, same, *_ = ops.lstm_backward(y, saved, inputs=False)
    assert none is None and np.array_equal(same, dw)


def test_an_empty_batch(rng):
    (x, w, u, b), _, _, _ = arguments("lstm", (1, 4, 2, 5), rng)
    y, (h, c), saved = ops.lstm(x[:0], w, u, b)
    dx, dw, du, db, _ = ops.lstm_backward(y, saved)
    assert y.shape == (0, 4, 5) and h.shape == c.shape == (0, 5) and dx.shape == (0, 4, 2)
    assert not dw.any() and not du.any() and not db.any()


X, W, U, B = np.zeros((2, 3, 4)), np.zeros((20, 4)), np.zeros((20, 5)), np.zeros(20)


@pytest.mark.parametrize(
    "error, words, change",
    [
        (DataError, "at least one step", {"x": X[:, :0]}),
        (ShapeError, "axes", {"x": X[0]}),
        (ShapeError, r"\(batch, time, 4\)", {"x": np.zeros((2, 3, 5))}),
        (DTypeError, "float64", {"x": X.astype(np.float32)}),
        (DTypeError, "float", {"x": X.astype(int)}),
        (ShapeError, r"\(16, 4\), got shape \(20, 4\)", {"u": np.zeros((20, 4))}),
        (ShapeError, "b", {"b": np.zeros(15)}),
        (ShapeError, "pair", {"state": np.zeros((2, 5))}),
        (ShapeError, r"state h.*\(2, 5\).*\(2, 4\)", {"state": (np.zeros((2, 4)), np.zeros((2, 5)))}),
        (ShapeError, "state c", {"state": (np.zeros((2, 5)), np.zeros((3, 5)))}),
        (DTypeError, "state h", {"state": (np.zeros((2, 5), np.float32), None)}),
        (DataError, "1 to 3.*4 at index 1.*pad", {"lengths": [3, 4]}),
        (DataError, "1 to 3.*0 at index 0.*empty", {"lengths": [0, 3]}),
        (DTypeError, "lengths", {"lengths": [1.0, 2.0]}),
        (DTypeError, "lengths", {"lengths": [True, True]}),
        (ShapeError, "lengths", {"lengths": [1, 2, 3]}),
        (ShapeError, "reset", {"reset": np.zeros((2, 4), bool)}),
        (DTypeError, "reset.*booleans", {"reset": np.zeros((2, 3))}),
        (ShapeError, "mask", {"mask": np.zeros((2, 4))}),
        (DTypeError, "mask", {"mask": np.zeros((2, 5), np.float32)}),
    ],
)
def test_what_is_refused(error, words, change):
    given = {"x": X, "w": W, "u": U, "b": B, "state": None, **change}
    with pytest.raises(error, match=words):
        ops.lstm(given.pop("x"), given.pop("w"), given.pop("u"), given.pop("b"), given.pop("state"), **given)


def test_what_backward_and_names_refuse():
    y, _, saved = ops.lstm(X, W, U, B)
    with pytest.raises(ShapeError, match="dh"):
        ops.lstm_backward(y[:, :2], saved)
    with pytest.raises(ShapeError, match="dstate h"):
        ops.lstm_backward(y, saved, (np.zeros((2, 4)), None))
    with pytest.raises(DTypeError, match="dh"):
        ops.lstm_backward(y.astype(np.float32), saved)
    with pytest.raises(ConfigError, match="tanh, relu"):
        ops.rnn(X, W[:5], U[:5], B[:5], activation="sigmoid")
    with pytest.raises(ConfigError, match="lstm, gru, tanh, relu"):
        ops.recurrent("LSTM", X, W, U, B)
    assert set(ROWS) == set(CELLS)
