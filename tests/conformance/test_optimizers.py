"""What every optimizer must do; runs over OPTIMIZERS."""

import inspect

import numpy as np
import pytest

from enilnets.errors import ConfigError, NonFiniteError
from enilnets.optim import OPTIMIZERS, make_optimizer
from enilnets.parameters import Arena, Parameter


@pytest.fixture(params=OPTIMIZERS)
def rule(request):
    return OPTIMIZERS[request.param]


def arena_of(dtype, rng, sizes=((3, 5), (5,), (130,))):
    return Arena(dtype, [Parameter(rng.normal(size=s).astype(dtype), penalised=len(s) == 2) for s in sizes])


def give(arena, rng):
    arena.zero_grad()
    for p in arena.parameters:
        p.accumulate(rng.normal(size=p.value.shape).astype(arena.dtype))


def oracle(optimizer, w, state, g, lr, t):
    """One step of the documented equations in float64."""
    name = optimizer.name
    if name == "sgd":
        state["velocity"] = optimizer.momentum * state["velocity"] - lr * g
        return w + state["velocity"]
    if name == "rmsprop":
        state["v"] = optimizer.rho * state["v"] + (1 - optimizer.rho) * g**2
        return w - lr * g / (np.sqrt(state["v"]) + optimizer.epsilon)
    if name == "adagrad":
        state["v"] = state["v"] + g**2
        return w - lr * g / (np.sqrt(state["v"]) + optimizer.epsilon)
    if name == "adam":
        state["m"] = optimizer.beta1 * state["m"] + (1 - optimizer.beta1) * g
        state["v"] = optimizer.beta2 * state["v"] + (1 - optimizer.beta2) * g**2
        m, v = state["m"] / (1 - optimizer.beta1**t), state["v"] / (1 - optimizer.beta2**t)
        return w - lr * m / (np.sqrt(v) + optimizer.epsilon)
    raise AssertionError(f"no oracle for {name}")


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("max_norm", [None, 0.5])
def test_follows_its_equations(rule, dtype, rng, isa, l2, max_norm):
    optimizer, arena = rule(max_norm=max_norm), arena_of(dtype, rng)
    values = [p.value.astype(np.float64) for p in arena.parameters]
    states = [{slot: np.zeros(p.value.shape) for slot in rule.slots} for p in arena.parameters]
    for t in range(1, 6):
        give(arena, rng)
        norm = np.sqrt(sum(np.sum(p.grad.astype(np.float64) ** 2) for p in arena.parameters))
        scale = min(1.0, max_norm / norm) if max_norm else 1.0
        for i, p in enumerate(arena.parameters):
            g = scale * p.grad.astype(np.float64) + (l2 * values[i] if p.penalised else 0)
            values[i] = oracle(optimizer, values[i], states[i], g, 0.1, t)
        optimizer.step(arena, 0.1, l2)
    for p, value in zip(arena.parameters, values, strict=True):
        np.testing.assert_allclose(
            p.value, value, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-5 if dtype == np.float32 else 1e-14
        )
    assert optimizer.t == 5 and set(optimizer.state) == set(rule.slots)


def test_minimises_a_quadratic(rule, rng):
    optimizer, arena = rule(), Arena(np.dtype("float64"), [Parameter(rng.normal(size=20))])
    start = np.linalg.norm(arena.values)
    for _ in range(300):
        arena.zero_grad()
        arena.parameters[0].accumulate(arena.parameters[0].value.copy())
        optimizer.step(arena, 0.05)
    assert np.linalg.norm(arena.values) < 0.5 * start


def test_gradients_whose_squares_overflow_are_refused(rule, dtype, rng):
    optimizer, arena = rule(), arena_of(dtype, rng)
    give(arena, rng)
    arena.parameters[2].grad[7] = 1e25 if dtype == np.float32 else 1e200
    with pytest.raises(NonFiniteError, match="squares"):
        optimizer.step(arena, 0.1)
    assert all(np.isfinite(v).all() for v in (arena.values, *optimizer.state.values()))


def test_settings_beyond_the_dtype_are_refused(rule, rng):
    optimizer, arena = rule(), arena_of(np.dtype("float32"), rng)
    for settings in ({"learning_rate": 1e39}, {"learning_rate": 0.1, "l2_lambda": 1e39}):
        with pytest.raises(ConfigError, match="float32"):
            optimizer.step(arena, **settings)
    assert optimizer.t == 0


def test_frozen_parameters_do_not_move(rule, dtype, rng):
    optimizer, arena = rule(), arena_of(dtype, rng)
    arena.parameters[1].frozen = True
    before = [p.value.copy() for p in arena.parameters]
    for _ in range(3):
        give(arena, rng)
        optimizer.step(arena, 0.1, 0.01)
    moved = [not np.array_equal(p.value, b) for p, b in zip(arena.parameters, before, strict=True)]
    assert moved == [True, False, True]
    arena.parameters[1].frozen = False
    give(arena, rng)
    optimizer.step(arena, 0.1)
    assert not np.array_equal(arena.parameters[1].value, before[1])


def test_state_grows_with_the_arena(rule, dtype, rng):
    optimizer, arena = rule(), arena_of(dtype, rng)
    give(arena, rng)
    optimizer.step(arena, 0.1)
    old = {slot: vector.copy() for slot, vector in optimizer.state.items()}
    arena.add(Parameter(np.ones((40, 40), dtype)))
    give(arena, rng)
    optimizer.allocate(arena)
    for slot, vector in optimizer.state.items():
        assert np.array_equal(vector[: len(old[slot])], old[slot]) and not vector[len(old[slot]) :].any()
    optimizer.step(arena, 0.1)
    assert not np.allclose(arena.parameters[-1].value, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("max_norm", [None, 1.0])
def test_bad_gradients_are_refused(rule, dtype, rng, bad, max_norm):
    optimizer, arena = rule(max_norm=max_norm), arena_of(dtype, rng)
    give(arena, rng)
    arena.parameters[2].grad[7] = bad
    with pytest.raises(NonFiniteError):
        optimizer.step(arena, 0.1)
    assert np.isfinite(arena.values).all() and optimizer.t == 0
    give(arena, rng)
    optimizer.step(arena, 0.1)
    assert optimizer.t == 1 and all(np.isfinite(v).all() for v in optimizer.state.values())


def test_no_gradient_at_all_never_divides_zero_by_zero(rule, dtype, rng):
    settings = {"epsilon": 1e-30} if "epsilon" in inspect.signature(rule).parameters else {}
    optimizer, arena = rule(**settings), arena_of(dtype, rng)
    optimizer.step(arena, 0.1)
    assert np.isfinite(arena.values).all()


def test_gaps_between_parameters_stay_zero(rule, dtype, rng):
    optimizer, arena = rule(), arena_of(dtype, rng)
    for _ in range(3):
        give(arena, rng)
        optimizer.step(arena, 0.1, 0.1)
    used = np.zeros(len(arena), bool)
    for p in arena.parameters:
        used[p.start : p.start + p.size] = True
    assert not used.all() and not arena.values[~used].any()


def test_config_builds_it_again(rule):
    optimizer = rule(max_norm=3.0)
    assert rule(**optimizer.config()).config() == optimizer.config()
    assert rule.name in OPTIMIZERS


def test_bad_settings_are_named(rule):
    for name in inspect.signature(rule).parameters:
        for bad in (-1.0, float("nan"), "x", float("inf")):
            with pytest.raises(ConfigError, match=name):
                rule(**{name: bad})


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ConfigError, match="sgd, rmsprop, adagrad, adam"):
        make_optimizer("NeuralNet", "adamm", 0.9)
    with pytest.raises(ConfigError):
        make_optimizer("NeuralNet", None, 0.9)


def test_documented(rule):
    text = inspect.getdoc(rule)
    assert ">>>" in text and "Notes" in text and "Parameters" in text
