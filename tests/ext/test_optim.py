"""enilnets._ext.optim called directly: results are in tests/reference/optim.py, here what it must refuse."""

import numpy as np
import pytest

from enilnets._ext import optim
from enilnets.ops.threads import num_threads
from tests.ext.spoil import unaligned

SPANS = np.array([[0, 10, 1]])


def lamb(w, m, v, g, spans, *settings):
    """LAMB with a parameter per span."""
    return optim.lamb(w, m, v, g, spans, np.arange(len(spans)), *settings)


STEPS = {
    "sgd": (optim.sgd, 1, (0.1, 0.9)),
    "rmsprop": (optim.rmsprop, 1, (0.1, 0.9, 1e-8)),
    "adagrad": (optim.adagrad, 1, (0.1, 1e-8)),
    "adam": (optim.adam, 2, (0.1, 0.9, 0.99, 1e-8, 0.1, 0.01)),
    "nesterov": (optim.nesterov, 1, (0.1, 0.9)),
    "adadelta": (optim.adadelta, 2, (0.1, 0.9, 1e-6)),
    "adamw": (optim.adamw, 2, (0.1, 0.9, 0.99, 1e-8, 0.1, 0.01)),
    "amsgrad": (optim.amsgrad, 3, (0.1, 0.9, 0.99, 1e-8, 0.1, 0.01)),
    "adamax": (optim.adamax, 2, (0.1, 0.9, 0.99, 1e-8, 0.1)),
    "nadam": (optim.nadam, 2, (0.1, 0.1, 0.9, 0.99, 1e-8, 0.01)),
    "radam": (optim.radam, 2, (0.0, 0.1, 0.9, 0.99, 1e-8)),
    "lion": (optim.lion, 1, (0.1, 0.9, 0.99)),
    "lamb": (lamb, 2, (0.1, 0.9, 0.99, 1e-8, 0.1, 0.01)),
}


@pytest.fixture(params=STEPS)
def step(request):
    return stepper(request.param)


def stepper(name):
    kernel, slots, settings = STEPS[name]

    def run(w, g, spans=SPANS, states=None, l2=0.0, scale=1.0):
        states = [np.zeros_like(w) for _ in range(slots)] if states is None else states
        return kernel(w, *states, g, spans, *settings, l2, scale)

    run.slots = slots
    return run


def test_worked_by_hand():
    w, v, g = np.array([1.0]), np.array([0.5]), np.array([2.0])
    optim.sgd(w, v, g, np.array([[0, 1, 1]]), 0.1, 0.9, 0.5, 0.25)  # g' = 0.25 * 2 + 0.5 * 1 = 1
    assert v[0] == pytest.approx(0.9 * 0.5 - 0.1) and w[0] == pytest.approx(1.35)


#: Those that change block by block; LAMB changes a parameter when it has seen all of it.
BY_BLOCKS = [name for name in STEPS if name != "lamb"]


@pytest.mark.parametrize("step", [stepper(name) for name in BY_BLOCKS], ids=BY_BLOCKS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_gradient_is_reported_and_never_applied(step, dtype, isa, bad):
    n = 5000
    w, g = np.ones(n, dtype), np.ones(n, dtype)
    g[3000] = bad
    assert step(w, g, np.array([[0, n, 0]])) == 3000
    assert np.isfinite(w).all() and (w[2048:] == 1).all() and (w[:2048] != 1).all()


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_lamb_leaves_a_parameter_with_a_bad_gradient_alone(dtype, threads):
    n, step = 500_000, stepper("lamb")
    for places in ([499_999], [250_000, 250_001, 400_000]):
        w, g = np.ones(n, dtype), np.ones(n, dtype)
        g[places] = np.nan
        with num_threads(threads):
            assert step(w, g, np.array([[0, 200_000, 1], [200_000, n, 0]])) == places[0]
        assert (w[:200_000] != 1).all() and (w[200_000:] == 1).all()


@pytest.mark.parametrize("owners, error", [(None, TypeError), (np.zeros(2, int), ValueError), ([0], TypeError)])
def test_lamb_needs_an_owner_per_span(owners, error):
    w, m, v, g = np.ones((4, 10))
    with pytest.raises(error, match="owners"):
        optim.lamb(w, m, v, g, SPANS, owners, 0.1, 0.9, 0.99, 1e-8, 0.1, 0.01)


def test_no_state_may_be_missing(step):
    w = np.ones(10)
    for missing in range(step.slots):
        states = [None if i == missing else np.zeros(10) for i in range(step.slots)]
        with pytest.raises(TypeError):
            step(w, np.ones(10), states=states)


@pytest.mark.parametrize("step", [stepper(name) for name in BY_BLOCKS], ids=BY_BLOCKS)
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_the_lowest_bad_gradient_is_reported_whatever_the_threads(step, dtype, threads):
    n = 500_000
    for places in ([499_999], [0, 7], [250_000, 250_001, 400_000], [130_000, 150_000, 170_000, 499_999]):
        w, g = np.ones(n, dtype), np.ones(n, dtype)
        g[places] = np.nan
        with num_threads(threads):
            assert step(w, g, np.array([[0, 200_000, 1], [200_000, n, 0]])) == places[0]
            assert optim.find_non_finite(g) == places[0]
        assert np.isfinite(w).all()
        assert (w[: max(0, places[0] - 1024)] != 1).all() and (w[places] == 1).all()


def test_bits_depend_on_no_number_of_threads(step, dtype, isa, rng):
    n = 300_007
    w, g = rng.normal(size=(2, n)).astype(dtype)
    spans = np.array([[0, 5, 1], [5, 16_400, 0], [16_500, 200_000, 1], [200_000, n - 1, 0]])
    seen = set()
    for threads in (1, 2, 3, 4, 8):
        ours = w.copy()
        with num_threads(threads):
            for _ in range(2):
                assert step(ours, g, spans, l2=0.1, scale=0.3) == -1
            seen.add((ours.tobytes(), optim.squared_norm(g), optim.find_non_finite(g)))
    assert len(seen) == 1
    assert ours[16_400] == w[16_400] and ours[-1] == w[-1]


def test_the_rest_of_a_beta_near_one_keeps_its_digits():
    """float32 rounds 0.9999 by 2e-8 of itself, which would be 1.7e-4 of the rest."""
    w, m, v = np.zeros((3, 1), "f4")
    optim.adam(w, m, v, np.ones(1, "f4"), np.array([[0, 1, 0]]), 0.1, 0.9999, 0.9999, 1e-8, 1e-4, 1e-4)
    assert m[0] == v[0] == np.float32(1 - 0.9999)
    v[0] = 0
    optim.rmsprop(w, v, np.ones(1, "f4"), np.array([[0, 1, 0]]), 0.1, 0.9999, 1e-8)
    assert v[0] == np.float32(1 - 0.9999)


def test_index_of_bad_gradient_counts_from_the_start_of_the_vector(step, dtype):
    w, g = np.ones(100, dtype), np.ones(100, dtype)
    g[70] = np.nan
    assert step(w, g, np.array([[0, 10, 0], [60, 80, 0]])) == 70


def test_nothing_outside_the_spans_moves(step, dtype):
    w, g = np.ones(10, dtype), np.ones(10, dtype)
    assert step(w, g, np.array([[2, 4, 0], [9, 9, 1]])) == -1
    assert ((w != 1) == np.isin(np.arange(10), [2, 3])).all()


@pytest.mark.parametrize(
    "error, change",
    [
        (TypeError, lambda w: dict(g=[1.0] * 10)),
        (TypeError, lambda w: dict(g=None)),
        (TypeError, lambda w: dict(g=w.astype(np.float16))),
        (TypeError, lambda w: dict(g=w.astype(w.dtype.newbyteorder()))),
        (TypeError, lambda w: dict(g=w.astype(complex))),
        (TypeError, lambda w: dict(g=w.astype(object))),
        (TypeError, lambda w: dict(spans=SPANS.astype(np.int32))),
        (TypeError, lambda w: dict(spans=SPANS.astype(float))),
        (ValueError, lambda w: dict(g=np.ones(9, w.dtype))),
        (ValueError, lambda w: dict(g=np.ones((10, 1), w.dtype))),
        (ValueError, lambda w: dict(g=np.ones(20, w.dtype)[::2])),
        (ValueError, lambda w: dict(g=unaligned(w))),
        (ValueError, lambda w: dict(g=w)),
        (ValueError, lambda w: dict(spans=np.array([[0, 11, 0]]))),
        (ValueError, lambda w: dict(spans=np.array([[-1, 5, 0]]))),
        (ValueError, lambda w: dict(spans=np.array([[5, 4, 0]]))),
        (ValueError, lambda w: dict(spans=np.array([[0, 2**62, 0]]))),
        (ValueError, lambda w: dict(spans=np.array([0, 5, 0]))),
        (ValueError, lambda w: dict(spans=np.array([[0, 5, 0], [4, 6, 0]]))),
        (ValueError, lambda w: dict(spans=np.array([[5, 6, 0], [0, 2, 0]]))),
    ],
)
def test_bad_arguments_are_refused_and_change_nothing(step, dtype, error, change):
    w = np.ones(10, dtype)
    with pytest.raises(error):
        step(w, **{"g": np.ones(10, dtype), **change(w)})
    assert (w == 1).all()


def test_read_only_parameters_are_refused(step, dtype):
    w = np.ones(10, dtype)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        step(w, np.ones(10, dtype))


def test_references_are_returned_after_errors(step, dtype):
    import sys

    w, g = np.ones(10, dtype), np.ones(9, dtype)
    before = sys.getrefcount(w), sys.getrefcount(g)
    for _ in range(1000):
        with pytest.raises(ValueError):
            step(w, g)
    assert (sys.getrefcount(w), sys.getrefcount(g)) == before
