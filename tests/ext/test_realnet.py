"""enilnets._ext.realnet called directly: what is refused, threads; results are in tests/reference/realnet.py."""

import numpy as np
import pytest

from enilnets._ext import realnet
from enilnets.ops.threads import num_threads
from tests.reference.realnet import problem
from tests.reference.sparse import rows as by_rows

STEPS, ROWS, N = 3, 2, 4


def kept():
    return {
        "states": np.zeros((STEPS, ROWS, N)),
        "g": np.zeros((STEPS, ROWS, N)),
        "slope": np.zeros((STEPS, ROWS, N)),
        "statistics": np.zeros((3, STEPS, ROWS)),
    }


def forward_arguments():
    given = {**kept(), "x": np.ones((ROWS, N)), "x_steps": 1, "state": None, "weights": np.ones((N, N))}
    vectors = {name: np.ones(N) for name in ("bias", "gamma", "beta")}
    return {**given, **vectors, "gain": None, "eps": 1e-5}


def backward_arguments():
    given = {"dz": np.zeros((STEPS, ROWS, N)), "dn": np.zeros((STEPS, ROWS, N)), "dweights": np.zeros((N, N))}
    given = {**given, "sums": np.zeros((3, N)), "dstate": None, "sequence": False, "add": False}
    return {**given, **kept(), "state": None, "weights": np.ones((N, N)), "gamma": np.ones(N), "gain": None}


def sparse_arguments():
    given = {"states": np.zeros((STEPS, N, ROWS)), "x": np.ones((N, ROWS)), "x_steps": 1, "state": None}
    values, index, start = by_rows(np.eye(N))
    given = {**given, "values": values, "index": index, "start": start}
    return {**given, **{name: np.ones(N) for name in ("bias", "gamma", "beta")}, "eps": 1e-5}


SHARED = [
    (TypeError, {"states": None}),
    (ValueError, {"states": np.zeros((0, ROWS, N))}),
    (ValueError, {"states": np.zeros((STEPS, ROWS, 0))}),
    (ValueError, {"g": np.zeros((2, ROWS, N))}),
    (TypeError, {"g": np.zeros((STEPS, ROWS, N), np.float32)}),
    (ValueError, {"slope": np.zeros((1, ROWS, N))}),
    (ValueError, {"statistics": np.zeros((2, STEPS, ROWS))}),
    (ValueError, {"state": np.zeros((ROWS, N + 1))}),
    (ValueError, {"weights": np.ones((N, N + 1))}),
    (ValueError, {"weights": np.ones((2 * N, N))[::2]}),
    (ValueError, {"gamma": np.ones(N + 1)}),
    (ValueError, {"gain": np.ones((ROWS, N))[None]}),
]


@pytest.mark.parametrize(
    "error, change",
    [
        *SHARED,
        (ValueError, {"x": np.ones((ROWS, N + 1))}),
        (ValueError, {"x": np.ones((ROWS, 2, N + 1))}),
        (ValueError, {"x": np.ones((ROWS, 0, N))}),
        (ValueError, {"x_steps": -1}),
        (ValueError, {"x_steps": STEPS + 1}),
        (ValueError, {"x": np.ones((ROWS, 2, N)), "x_steps": 3}),
        (ValueError, {"bias": np.ones((1, N))}),
        (TypeError, {"beta": np.ones(N, int)}),
        (TypeError, {"eps": "1"}),
    ],
)
def test_forward_refuses(error, change):
    given = {**forward_arguments(), **change}
    with pytest.raises(error):
        realnet.forward(**given)
    assert "states" in change or not given["states"].any()


@pytest.mark.parametrize(
    "error, change",
    [
        *SHARED,
        (ValueError, {"g": np.zeros((1, ROWS, N)), "slope": np.zeros((1, ROWS, N))}),
        (ValueError, {"dz": np.zeros((1, ROWS, N))}),
        (ValueError, {"dn": np.zeros((1, ROWS, N))}),
        (ValueError, {"dweights": np.zeros((N, 2))}),
        (TypeError, {"dweights": None}),
        (TypeError, {"sums": None}),
        (ValueError, {"sums": np.zeros((2, N))}),
        (ValueError, {"dstate": np.zeros((STEPS, N))}),
    ],
)
def test_backward_refuses(error, change):
    given = {**backward_arguments(), **change}
    with pytest.raises(error):
        realnet.backward(**given)


def test_backward_refuses_statistics_of_one_step():
    given = {**backward_arguments(), "g": np.zeros((1, ROWS, N)), "slope": np.zeros((1, ROWS, N))}
    with pytest.raises(ValueError, match="3 steps"):
        realnet.backward(**{**given, "statistics": np.zeros((3, 1, ROWS))})


@pytest.mark.parametrize(
    "error, change",
    [
        (ValueError, {"states": np.zeros((STEPS, N + 1, ROWS))}),
        (ValueError, {"x": np.ones((ROWS, N + 1))}),
        (ValueError, {"x": np.ones((2, N, ROWS))}),  # of two steps, for one
        (ValueError, {"x_steps": STEPS + 1}),
        (ValueError, {"state": np.ones((ROWS, N))}),
        (ValueError, {"index": np.array([0, 1, 2, N], np.int32)}),
        (ValueError, {"index": np.array([0, 1, 2, -1], np.int32)}),
        (ValueError, {"start": np.array([0, 1, 2, 3, 5])}),
        (ValueError, {"start": np.array([0, 2, 1, 3, 4])}),
        (ValueError, {"start": np.array([-1, 1, 2, 3, 4])}),
        (ValueError, {"bias": np.ones(N + 1)}),
        (TypeError, {"values": np.ones(N, np.float32)}),
    ],
)
def test_sparse_forward_refuses(error, change):
    given = {**sparse_arguments(), **change}
    with pytest.raises(error):
        realnet.sparse_forward(**given)


def test_refuses_overlap_and_read_only_outputs():
    given = forward_arguments()
    with pytest.raises(ValueError, match="overlaps"):
        realnet.forward(**{**given, "g": given["states"]})
    given["states"].flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        realnet.forward(**given)


def test_bits_depend_on_no_number_of_threads(isa, dtype, rng):
    steps, rows, n = 4, 70, 150
    x, x_steps, state, parameters, gain = problem(rng, dtype, steps, rows, n, 3, True)
    dstates = rng.normal(size=(steps, rows, n)).astype(dtype)
    sparse = by_rows(np.ascontiguousarray(parameters[0].T))
    transposed = np.ascontiguousarray(x.transpose(1, 2, 0)), x_steps, np.ascontiguousarray(state.T)
    seen = set()
    for threads in (1, 2, 3, 8):
        states, g, slope, dz, dn = np.full((5, steps, rows, n), 9, dtype)
        statistics, sums = np.full((3, steps, rows), 9, dtype), np.full((3, n), 9, dtype)
        dweights, dn[...] = np.full((n, n), 9, dtype), dstates
        others = np.full((steps, n, rows), 9, dtype)
        with num_threads(threads):
            realnet.forward(states, g, slope, statistics, x, x_steps, state, *parameters, gain, 1e-5)
            passed = states, g, slope, statistics, state, parameters[0], parameters[2], gain
            realnet.backward(dz, dn, dweights, sums, None, True, False, *passed)
            realnet.sparse_forward(others, *transposed, *sparse, *parameters[1:], 1e-5)
        seen.add(b"".join(a.tobytes() for a in (states, dz, dweights, sums, others)))
    assert len(seen) == 1
