"""Graphs: deep ones, wide ones, threads, memory, freeing, tapes, recording on and off, recomputation."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

from enilnets import autodiff as ad
from enilnets.autodiff import Parameter, Tape, Tensor, checkpoint, enable_grad, grad, gradcheck, no_grad
from enilnets.errors import DTypeError, GradientError, ShapeError, StateError
from enilnets.layers import BatchNorm, Conv2D, Dense, Dropout, Mode, Sequential
from enilnets.optim import SGD
from enilnets.parameters import Arena

DEEP = 100_000


def test_a_chain_of_many_nodes():
    x = Tensor(2.0, requires_grad=True)
    y = x
    for _ in range(DEEP):
        y = y + 1.0
    (y * y).backward(retain_graph=True)
    assert x.grad == 2 * (2 + DEEP)
    slope = grad(y * y, x, create_graph=True)
    assert float(grad(slope, x)) == 2.0
    del y, slope  # the destructors do not recurse either


def test_a_deep_graph_that_nobody_goes_back_through_goes_away():
    x = Tensor(1.0, requires_grad=True)
    for y in (x * 1.0, ad.stack([x, x]).sum()):
        for _ in range(DEEP):
            y = y * 1.0
        del y


def test_a_ladder_is_gone_through_once():
    """2**60 paths, but 60 nodes."""
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad == 2.0**60


def test_gradients_add_up_until_they_are_set_to_none():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [5, 7]
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_no_gradient_shares_memory_with_another():
    a, b = Tensor([1.0, 2.0], requires_grad=True), Tensor([1.0, 2.0], requires_grad=True)
    seed = np.ones(2)
    (a + b).backward(seed)
    a.grad += 1
    assert b.grad.tolist() == [1, 1] and seed.tolist() == [1, 1]
    for g in grad(a + b, [a, b], seed):
        g.data[...] = 9
    assert seed.tolist() == [1, 1]


def test_a_freed_graph_is_refused_and_a_kept_one_is_not():
    x = Tensor([1.0, 2.0], requires_grad=True)
    shared = x * x
    first, second = shared.sum(), (shared * 2).sum()
    first.backward()
    with pytest.raises(StateError, match=r"freed; pass retain_graph=True"):
        first.backward()
    with pytest.raises(StateError, match="freed"):
        second.backward()
    assert x.grad.tolist() == [2, 4]
    y = (x * x).sum()
    y.backward(retain_graph=True)
    assert grad(y, x).data.tolist() == [2, 4]
    y.backward()
    assert x.grad.tolist() == [6, 12]


def test_backward_needs_a_number_and_a_record():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ShapeError, match=r"single number.*sum or mean"):
        (x * x).backward()
    with pytest.raises(ShapeError, match=r"backward\(gradient\).*\(2,\).*\(3,\)"):
        (x * x).backward(np.ones(3))
    with pytest.raises(StateError, match="a constant"):
        Tensor(1.0).backward()
    with pytest.raises(StateError, match=r"grad\(xs\)"):
        grad(x.sum(), Tensor(1.0))
    with pytest.raises(DTypeError, match=r"grad\(y\)"):
        grad(1.0, x)


def test_gradients_of_what_has_no_part_are_zero():
    x, z = Tensor([1.0, 2.0], requires_grad=True), Tensor([[1.0]], requires_grad=True)
    g = grad(x.sum(), [x, z])
    assert g[1].data.tolist() == [[0.0]]


def test_gradients_of_results_on_the_way():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    z = (y * y + y).sum()
    found = grad(z, [y, x])
    assert found[0].data.tolist() == [3, 9] and found[1].data.tolist() == [6, 36]


def test_third_order():
    x = Tensor(2.0, requires_grad=True)
    first = grad(x**4, x, create_graph=True)
    second = grad(first, x, create_graph=True)
    assert [float(first), float(second), float(grad(second, x))] == [32, 48, 48]


def test_slices_of_one_array_share_a_gradient_buffer():
    """The gradient of n slices costs the array once, not n times."""
    x = Tensor(np.ones((500, 1000)), requires_grad=True)
    total = sum(((x[i] * i).sum() for i in range(500)), Tensor(0.0))
    tracemalloc.start()
    total.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(x.grad, np.repeat(np.arange(500.0)[:, None], 1000, 1))
    assert peak < 6 * x.data.nbytes


# Memory


class Watched(np.ndarray):
    """An array that can be referred to weakly."""


def test_a_graph_goes_away_with_its_output():
    x = Tensor(np.ones(3), requires_grad=True)
    gc.disable()
    try:
        y = x * 2
        node = y.source
        array = weakref.ref(node.saved[0].view(Watched))
        watched = node.saved[0].view(Watched)
        array = weakref.ref(watched)
        node.saved = (watched, node.saved[1])
        z = y.exp().sum()
        del watched, node, y
        assert array() is not None
        del z
        assert array() is None
    finally:
        gc.enable()


def test_no_cycles_are_left_for_the_collector():
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            x = Tensor(np.ones((4, 3)), requires_grad=True)
            layer = Dense(3, 2, "tanh", rng=0)
            y = ad.loss("mse", ad.concatenate([layer(x), layer(x[::-1])]), np.zeros((8, 2)))
            slope = grad(ad.softmax(layer(x)).max(), x, create_graph=True)
            y.backward()
            slope.sum().backward()
            del x, y, slope, layer
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_backward_frees_as_it_goes():
    x = Tensor(np.ones(200_000), requires_grad=True)
    y = x
    for _ in range(20):
        y = ad.exp(y * 0.1)
    loss = y.sum()
    del y
    tracemalloc.start()
    loss.backward()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * x.data.nbytes and held < 2 * x.data.nbytes
    assert loss.source.saved == ()


# Recording


def test_no_grad_and_enable_grad_nest_and_decorate():
    x = Tensor([1.0], requires_grad=True)
    with no_grad():
        assert not (x * 2).requires_grad
        with enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad and not ad.is_recording()

    @no_grad()
    def f(x):
        return x * 2

    assert not f(x).requires_grad and (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert ad.is_recording()


def test_recording_is_each_threads_own():
    x = Tensor(np.ones(3), requires_grad=True)
    inside, done, seen = threading.Event(), threading.Event(), []

    def other():
        inside.wait(10)
        y = (x * x).sum()
        seen.append((y.requires_grad, grad(y, x).data.tolist()))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with no_grad():
        inside.set()
        assert done.wait(10)
        assert not (x * 2).requires_grad
    thread.join()
    assert seen == [(True, [2, 2, 2])]


def test_threads_work_on_graphs_of_their_own():
    results = {}

    def work(seed):
        x = Tensor(np.full(5, float(seed)), requires_grad=True)
        y = x
        for _ in range(500):
            y = y * 1.001 + x * 0.001
        y.sum().backward()
        results[seed] = x.grad

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6 and all(np.array_equal(g, results[0]) for g in results.values())


def test_detach_and_requires_grad():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).detach()
    assert not y.requires_grad and y.data is not None
    y.requires_grad = True
    (y * x).sum().backward()
    assert y.grad.tolist() == [1, 2] and x.grad.tolist() == [1, 4]
    y.requires_grad = False
    assert y.grad is None
    with pytest.raises(StateError, match=r"no operation made.*detach"):
        (x * 2).requires_grad = False
    with pytest.raises(DTypeError, match="float32 or float64"):
        Tensor([1, 2], requires_grad=True)


# Parameters


def test_parameters_gather_gradients_and_steps_make_graphs_stale():
    w = Parameter(np.ones((3, 2)), penalised=True)
    arena = Arena(np.dtype("float64"), [w])
    x = np.arange(6.0).reshape(2, 3)
    y = (x @ w).sum()
    y.backward(retain_graph=True)
    assert np.array_equal(w.grad, np.repeat(x.sum(0)[:, None], 2, 1)) and np.array_equal(
        arena.gradients, w.grad.ravel()
    )
    y.backward(retain_graph=True)
    assert np.array_equal(w.grad, 2 * np.repeat(x.sum(0)[:, None], 2, 1))
    SGD().step(arena, 0.1)
    with pytest.raises(StateError, match="changed since"):
        y.backward()
    w.frozen = True
    assert not (x @ w).requires_grad


def test_parameters_in_expressions_alone():
    a, b = Parameter([1.0, 2.0]), Parameter(np.array([3.0, 4.0], np.float32))
    y = ((-a * 2 + a @ a) * ad.exp(a)[::-1]).sum() + (a.T - 1).mean() + abs(a).max()
    assert y.requires_grad and y.dtype == np.float64
    assert (b * 2.5).dtype == np.float32 and (a * b).dtype == np.float64
    (a * b).sum().backward()
    assert b.grad.dtype == np.float32 and b.grad.tolist() == [1, 2]
    assert gradcheck(lambda x: ad.sum(x * a.value), [1.0, 2.0])


# Tapes


def test_tape_shows_what_was_recorded():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with Tape() as tape:
        y = (x @ np.ones((3, 4))).exp()
        with no_grad():
            x * 5
        z = Dense(4, 1, rng=0)(y).sum()
    x * 7
    assert [node.name for node in tape] == ["matmul", "exp", "Dense(4 -> 1)", "sum"]
    assert tape.nodes[0].shapes == ((2, 3), (3, 4)) and tape.nodes[0].shape == (2, 4)
    assert "matmul: (2, 3), (3, 4) -> (2, 4)" in str(tape) and len(tape) == 4
    assert np.array_equal(tape.gradient(z, x).data, grad(z, x).data)
    with pytest.raises(StateError, match="recorded"):
        tape.gradient((x * 7).sum(), x)


def test_tapes_nest_and_record_where_nothing_else_does():
    x = Tensor(2.0, requires_grad=True)
    with no_grad(), Tape() as outer:
        y = x * x
        with Tape() as inner:
            slope = outer.gradient(y, x, create_graph=True)
            z = slope * 3
        w = z + 1
    assert (x * x).source is not None
    assert [node.name for node in outer] == ["multiply", "add"] and len(inner) >= 2
    assert float(inner.gradient(z, x)) == 6 and float(outer.gradient(w, x)) == 6


# Recomputation


def build(rng):
    return Sequential([Dense(4, 8, "tanh", rng=0), BatchNorm(8), Dropout(0.3), Dense(8, 4, "linear", rng=1)])


def test_checkpoint_gives_the_same_gradients_and_statistics(rng):
    x, dy = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    results = []
    for use in (lambda f, *xs: f(*xs), checkpoint):
        chain, scale = build(rng), Parameter(np.full(4, 0.5))
        random = np.random.default_rng(3)
        leaf = Tensor(x, requires_grad=True)
        outer = leaf * 2
        out = use(lambda t: chain(t, Mode(True, np.random.default_rng(3))) * scale + outer, outer * 3)  # noqa: B023
        out.backward(dy)
        arrays = [out.data, leaf.grad, scale.grad, *chain.buffers.values()]
        results.append([*arrays, *(p.grad for p in chain.parameters.values())])
        del random
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_checkpoint_draws_the_same_random_numbers(rng):
    class Noisy(ad.Model):
        def __init__(self, recompute, **settings):
            super().__init__(**settings)
            self.recompute, self.layer, self.drop = recompute, Dense(4, 4, rng=0), Dropout(0.5)

        def call(self, x):
            part = lambda t: self.drop(self.layer(t))  # noqa: E731
            return checkpoint(part, checkpoint(part, x)) if self.recompute else part(part(x))

    x, dy = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    found = []
    for recompute in (False, True):
        model = Noisy(recompute, rng=4)
        y, ctx = model.forward(x, train=True)
        dx = model.backward(ctx, dy, inputs=True)
        found.append((y, dx, model.arena.gradients.copy(), model.rng.random()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_checkpoint_second_order_selected_gradients_and_staleness(rng):
    x = rng.normal(size=(3, 2))
    layer = Dense(2, 2, "tanh", rng=0)
    assert gradcheck(lambda x: checkpoint(lambda t: layer(t) * t, x), x, second_order=True)
    leaf = Tensor(x, requires_grad=True)
    y = checkpoint(layer, leaf * 2)
    assert y.source.name == "checkpoint"
    y = y.sum()
    weights = layer.parameters["weights"]
    assert np.array_equal(grad(y, weights).data, grad(layer(leaf * 2).sum(), weights).data)
    layer["weights"] = layer["weights"] + 1
    with pytest.raises(StateError, match="changed since"):
        y.backward()
    assert not checkpoint(lambda t: t * 2, np.ones(2)).requires_grad
    with pytest.raises(DTypeError, match=r"checkpoint\(function\)"):
        checkpoint(lambda t: t.data, leaf)


def test_checkpoint_keeps_less(rng):
    layers = [Conv2D(4, 4, 3, "tanh", padding="same", rng=i) for i in range(6)]

    def run(x):
        for layer in layers:
            x = layer(x) * 1.5 + 0.5
        return x

    def held(part):
        x = Tensor(np.ones((2, 4, 64, 64)), requires_grad=True)
        gc.collect()
        tracemalloc.start()
        y = part(x)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        del y
        return size

    assert held(lambda x: checkpoint(run, x)) < 0.2 * held(run)


# gradcheck


def test_gradcheck_finds_what_is_wrong():
    def wrong(x):
        return x * x.detach()

    with pytest.raises(GradientError, match=r"gradient .* by differences"):
        gradcheck(wrong, [1.0, 2.0])
    with pytest.raises(AssertionError):
        gradcheck(lambda x: x**3 + (x * 0 + 1) * (grad((x * x).sum(), x, create_graph=True).detach()), [1.0, 2.0])
    with pytest.raises(DTypeError, match="float64"):
        gradcheck(ad.exp, np.ones(2, np.float32))
    assert gradcheck(lambda x, i: x[i], [1.0, 2.0, 3.0], np.array([2, 2]))
