import copy

import numpy as np
import pytest

from enilnets.errors import NonFiniteError, ShapeError
from enilnets.parameters import ALIGNMENT, Arena, Parameter


def test_parameters_become_aligned_views(dtype):
    arena = Arena(dtype)
    parameters = [
        Parameter(np.full(shape, i + 1, dtype)) for i, shape in enumerate([(3, 5), (1,), (), (0, 4), (100, 70)])
    ]
    for parameter in parameters:
        arena.add(parameter)
    for i, p in enumerate(parameters):
        assert (p.value == i + 1).all() and p.value.base is not None
        assert p.value.size == 0 or (
            np.shares_memory(p.value, arena.values)
            and p.value.ctypes.data % ALIGNMENT == p.grad.ctypes.data % ALIGNMENT == 0
        )
    arena.values[:] = 9
    assert all((p.value == 9).all() for p in parameters)


def test_growing_moves_values_and_gradients(dtype):
    arena = Arena(dtype)
    first = Parameter(np.arange(10, dtype=dtype))
    arena.add(first)
    first.accumulate(np.arange(10, dtype=dtype))
    for _ in range(20):
        arena.add(Parameter(np.ones(1000, dtype)))
    assert np.array_equal(first.value, np.arange(10)) and np.array_equal(first.grad, np.arange(10))
    assert np.shares_memory(first.value, arena.values) and arena.gradients[5] == 5


def test_stale_gradients_count_as_zero(dtype):
    arena = Arena(dtype, [Parameter(np.ones(4, dtype)), Parameter(np.ones(4, dtype))])
    p, q = arena.parameters
    p.accumulate(np.full(4, 2, dtype))
    p.accumulate(np.full(4, 3, dtype))
    assert (p.grad == 5).all() and p.room() is None and q.room() is q.grad
    arena.zero_grad()
    q.grad[:] = 7  # written through room() but never declared
    q.accumulate(q.grad)
    assert (q.grad == 7).all()
    assert arena.gradients[:4].tolist() == [0] * 4


def test_accumulate_refuses_other_shapes(dtype):
    p = Parameter(np.ones((2, 3), dtype))
    with pytest.raises(ShapeError):
        p.accumulate(np.ones(3, dtype))


def test_norm_leaves_frozen_parameters_out():
    arena = Arena(np.dtype("float64"), [Parameter(np.zeros(2)), Parameter(np.zeros(2))])
    arena.parameters[0].accumulate(np.array([3.0, 0.0]))
    arena.parameters[1].accumulate(np.array([0.0, 4.0]))
    assert arena.gradient_norm() == 5
    arena.parameters[0].frozen = True
    assert arena.gradient_norm() == 4
    arena.parameters[1].grad[0] = np.nan
    with pytest.raises(NonFiniteError):
        arena.gradient_norm()


def test_owner_of_an_element():
    arena = Arena(np.dtype("float64"), [Parameter(np.zeros(n)) for n in (9, 0, 3)])
    assert arena.owner(0) is arena.owner(8) is arena.parameters[0]
    assert arena.owner(arena.parameters[2].start) is arena.parameters[2]


def test_spans_merge_neighbours_of_one_kind():
    arena = Arena(
        np.dtype("float64"), [Parameter(np.zeros(n), penalised=k) for n, k in ((8, True), (3, True), (2, False))]
    )
    assert arena.spans.tolist() == [[0, 11, 1], [16, 18, 0]]
    arena.parameters[0].frozen = True
    assert arena.spans.tolist() == [[8, 11, 1], [16, 18, 0]]


def test_deepcopy_keeps_the_views_on_the_copy():
    arena = Arena(np.dtype("float64"), [Parameter(np.ones(3)), Parameter(np.ones((2, 2)))])
    twin = copy.deepcopy(arena)
    twin.values[:] = 5
    assert all((p.value == 5).all() and np.shares_memory(p.value, twin.values) for p in twin.parameters)
    assert all((p.value == 1).all() for p in arena.parameters) and twin.parameters[0].arena is twin
