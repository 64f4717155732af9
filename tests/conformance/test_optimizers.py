"""What every optimizer must do; runs over OPTIMIZERS."""

import inspect

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError, NonFiniteError
from enilnets.optim import OPTIMIZERS, AdamW, make_optimizer
from enilnets.parameters import Arena, Parameter
from tests.reference import optim as reference


@pytest.fixture(params=OPTIMIZERS)
def rule(request):
    return OPTIMIZERS[request.param]


def arena_of(dtype, rng, sizes=((3, 5), (5,), (130,))):
    return Arena(dtype, [Parameter(rng.normal(size=s).astype(dtype), penalised=len(s) == 2) for s in sizes])


def give(arena, rng):
    arena.zero_grad()
    for p in arena.parameters:
        p.accumulate(rng.normal(size=p.value.shape).astype(arena.dtype))


#: The rules whose weight decay is decoupled: ``l2_lambda`` never reaches their gradient.
DECOUPLED = {"adamw", "lion", "lamb"}

#: Settings that are not one of the usual kinds, and every optimizer with all its settings off their defaults.
SETTINGS = {
    "sgd": {"momentum": 0.5, "nesterov": True},
    "rmsprop": {"rho": 0.9, "epsilon": 1e-6},
    "adagrad": {"epsilon": 1e-6},
    "adadelta": {"rho": 0.8, "epsilon": 1e-5},
    "nadam": {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6, "momentum_decay": 0.01},
    "lion": {"beta1": 0.5, "beta2": 0.6, "weight_decay": 0.2},
    **{name: {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6} for name in ("adam", "amsgrad", "adamax", "radam")},
    **{name: {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-5, "weight_decay": 0.2} for name in ("adamw", "lamb")},
}


def oracle(o, w, state, g, lr, t, decay):
    """One step of the documented equations in float64, for one parameter; returns it and its state by slot."""
    slots = [state[slot] for slot in o.slots]
    if o.name == "sgd":
        step = reference.nesterov_step if o.nesterov else reference.sgd_step
        new = step(w, *slots, g, lr, o.momentum)
    elif o.name in ("rmsprop", "adadelta"):
        new = getattr(reference, f"{o.name}_step")(w, *slots, g, lr, o.rho, o.epsilon)
    elif o.name == "adagrad":
        new = reference.adagrad_step(w, *slots, g, lr, o.epsilon)
    elif o.name == "lion":
        new = reference.lion_step(w, *slots, g, decay, lr, o.beta1, o.beta2)
    else:
        before = (decay,) if o.name in DECOUPLED else ()
        between = (o.momentum_decay,) if o.name == "nadam" else ()
        new = getattr(reference, f"{o.name}_step")(w, *slots, g, *before, lr, o.beta1, o.beta2, o.epsilon, *between, t)
    return new[0], dict(zip(o.slots, new[1:], strict=True))


@pytest.mark.contract("O1", "O2", "O3", "O4", "O5")
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("special", [False, True], ids=["defaults", "settings"])
def test_follows_its_equations(rule, dtype, rng, isa, l2, clip_norm, special):
    optimizer = rule(**(SETTINGS[rule.name] if special else {}), clip_norm=clip_norm)
    arena = arena_of(dtype, rng)
    decay = getattr(optimizer, "weight_decay", None)
    decay = l2 if decay is None else decay
    values = [p.value.astype(np.float64) for p in arena.parameters]
    states = [{slot: np.zeros(p.value.shape) for slot in rule.slots} for p in arena.parameters]
    for t in range(1, 6):
        give(arena, rng)
        norm = np.sqrt(sum(np.sum(p.grad.astype(np.float64) ** 2) for p in arena.parameters))
        scale = min(1.0, clip_norm / norm) if clip_norm else 1.0
        for i, p in enumerate(arena.parameters):
            g = scale * p.grad.astype(np.float64)
            if p.penalised and rule.name not in DECOUPLED:
                g += l2 * values[i]
            values[i], states[i] = oracle(optimizer, values[i], states[i], g, 0.1, t, decay * p.penalised)
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
        optimizer.step(arena, 1.0 if rule.name == "adadelta" else 0.05)
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


@pytest.mark.contract("O6")
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
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_bad_gradients_are_refused(rule, dtype, rng, bad, clip_norm):
    optimizer, arena = rule(clip_norm=clip_norm), arena_of(dtype, rng)
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
    special = SETTINGS[rule.name]
    assert set(special) == set(rule.settings) - {"clip_norm", "clip_value"} == set(special)
    for clip in ({"clip_norm": 3.0}, {"clip_value": 2.0}):
        optimizer = rule(**special, **clip)
        assert optimizer.config() == {"clip_norm": None, "clip_value": None, **special, **clip}
        assert all(value != rule().config()[name] for name, value in special.items())  # or it would say nothing
        assert rule(**optimizer.config()).config() == optimizer.config()
    assert OPTIMIZERS[rule.name] is rule


def test_every_setting_and_all_state_are_in_the_file(rule, tmp_path, rng):
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    net = NeuralNet(0.01, rule(**SETTINGS[rule.name], clip_value=0.5), rng=0).add_dense(3, 4).add_dense(4, 2, "linear")
    for _ in range(7):
        net.TrainBatch(x, y)
    net.Save(tmp_path / "net.safetensors")
    twin = NeuralNet().Load(tmp_path / "net.safetensors")
    assert twin.optimizer.config() == net.optimizer.config() and twin.optimizer_type == rule.name
    for _ in range(3):
        assert net.TrainBatch(x, y)[0] == twin.TrainBatch(x, y)[0]
    assert np.array_equal(net.arena.values, twin.arena.values)


def test_bad_settings_are_named(rule):
    for name in inspect.signature(rule).parameters:
        for bad in (-1.0, float("nan"), "x", float("inf")):
            with pytest.raises(ConfigError, match=name):
                rule(**{name: bad})
    with pytest.raises(ConfigError, match="one of the two"):
        rule(clip_norm=1.0, clip_value=1.0)


def test_clipping_by_value(rule, dtype, rng):
    clipped, plain = rule(clip_value=0.25), rule()
    values = rng.normal(size=40).astype(dtype)
    arenas = [Arena(dtype, [Parameter(values)]) for _ in range(2)]
    for size in (3.0, 0.1):
        g = (size * rng.normal(size=40)).astype(dtype)
        for arena, gradient in zip(arenas, (g, np.clip(g, -0.25, 0.25)), strict=True):
            arena.zero_grad()
            arena.parameters[0].accumulate(gradient)
        clipped.step(arenas[0], 0.1)
        plain.step(arenas[1], 0.1)
    assert np.array_equal(arenas[0].values, arenas[1].values)


def test_decoupled_decay_alone_shrinks_by_hand():
    """Without gradients AdamW multiplies weights by 1 - lr decay, and leaves what is not penalised."""
    arena = Arena(np.dtype("float64"), [Parameter(np.full(3, 2.0), penalised=True), Parameter(np.full(3, 2.0))])
    AdamW(weight_decay=0.5).step(arena, 0.1, l2_lambda=0.9)
    assert arena.parameters[0].value == pytest.approx(2.0 * 0.95) and (arena.parameters[1].value == 2).all()
    AdamW().step(Arena(arena.dtype, []), 0.1)  # no parameters at all
    arena = Arena(arena.dtype, [Parameter(np.full(3, 2.0), penalised=True)])
    AdamW().step(arena, 0.1, l2_lambda=0.9)
    assert arena.parameters[0].value == pytest.approx(2.0 * 0.91)


def test_lamb_measures_every_parameter_by_itself(rng):
    """The first step is lr |w| long for each of them, however they lie in the arena and whichever are frozen."""
    sizes, dtype = ((3, 5), (5,), (200,), (7, 2)), np.dtype("float64")
    arena = arena_of(dtype, rng, sizes)
    for frozen in (None, 0, 2):
        for i, p in enumerate(arena.parameters):
            p.frozen = i == frozen
        before = [p.value.copy() for p in arena.parameters]
        give(arena, rng)
        OPTIMIZERS["lamb"]().step(arena, 0.1)
        for i, (p, w) in enumerate(zip(arena.parameters, before, strict=True)):
            length = 0.0 if i == frozen else 0.1 * np.linalg.norm(w)
            assert np.linalg.norm(p.value - w) == pytest.approx(length)
    for p in arena.parameters:
        p.frozen = True
    OPTIMIZERS["lamb"]().step(arena, 0.1)


@pytest.mark.contract("O6")
def test_state_begins_at_zero(rule, rng):
    arena = arena_of(np.dtype("float64"), rng)
    optimizer = rule()
    assert optimizer.state == {}
    optimizer.allocate(arena)
    assert set(optimizer.state) == set(rule.slots) and not any(v.any() for v in optimizer.state.values())


@pytest.mark.defect("O2")
def test_unknown_names_list_the_known_ones():
    with pytest.raises(ConfigError, match="sgd, rmsprop, adagrad, adam"):
        NeuralNet(optimizer="adamm")
    with pytest.raises(ConfigError, match="sgd, rmsprop, adagrad, adam, adamw, amsgrad"):
        make_optimizer("NeuralNet", "adamm", 0.9)
    with pytest.raises(ConfigError):
        make_optimizer("NeuralNet", None, 0.9)


def test_documented(rule):
    text = inspect.getdoc(rule)
    assert ">>>" in text and "Notes" in text and "Parameters" in text
