"""enilnets.ops.losses: numbers by hand, where results go, and what is refused."""

import numpy as np
import pytest

from enilnets.errors import DTypeError, ShapeError
from enilnets.ops import losses

NAMES = losses.__all__
BY_ROW = ("cross_entropy_at_softmax", "softmax_cross_entropy")
#: a ((1 - o)^2 log o)' = a (-2 (1 - o) log o + (1 - o)^2 / o) with the sign, and the like for the negative.
FOCAL_SLOPES = [-(2 * 0.5 * np.log(2) + 0.25 / 0.5) / 4, (2 * 0.25 * np.log(4 / 3) + 0.0625 / 0.75) * 3 / 4]
FOCAL_AT_SIGMOID = [FOCAL_SLOPES[0] / 4, FOCAL_SLOPES[1] * 3 / 16]


@pytest.mark.parametrize(
    "name, o, t, total, gradient",
    [
        ("mse", [1, 3], [0, 5], 1 + 4, [2, -4]),
        ("mae", [1, 3], [0, 5], 1 + 2, [1, -1]),
        ("huber", [0.5, 3], [0, 5], 0.125 + 1.5, [0.5, -1]),
        ("smooth_l1", [0.5, 3], [0, 5], 0.125 + 1.5, [0.5, -1]),
        ("hinge", [0.25, 3], [-1, 1], 1.25 + 0, [1, 0]),
        ("wasserstein", [2, 3], [-1, 1], 2 - 3, [1, -1]),
        # (1 - pt)^2 = 1/4: -1/4 1/4 log 1/2, and 1/16: -3/4 1/16 log 3/4
        ("focal", [0.5, 0.25], [1, 0], np.log(2) / 16 + np.log(4 / 3) * 3 / 64, FOCAL_SLOPES),
        ("focal_at_sigmoid", [0.5, 0.25], [1, 0], np.log(2) / 16 + np.log(4 / 3) * 3 / 64, FOCAL_AT_SIGMOID),
        ("binary_cross_entropy", [0.5, 0.25], [1, 0], np.log(2) + np.log(4 / 3), [-2, 4 / 3]),
        ("binary_cross_entropy_at_sigmoid", [0.5, 0.25], [1, 0], np.log(2) + np.log(4 / 3), [-0.5, 0.25]),
        ("bce_logits", [0, 0], [1, 0], 2 * np.log(2), [-0.5, 0.5]),
        ("cross_entropy", [0.25, 0.75], [1, 0], np.log(4), [-4, 0]),
        ("cross_entropy_at_softmax", [0.25, 0.75], [1, 0], np.log(4), [-0.75, 0.75]),
        ("softmax_cross_entropy", [0, np.log(3)], [1, 0], np.log(4), [-0.75, 0.75]),
    ],
)
def test_worked_by_hand(name, o, t, total, gradient, dtype, isa):
    o, t = np.array([o], dtype), np.array([t], dtype)
    function = getattr(losses, name)
    grad = np.empty_like(o)
    assert function(o, t, grad=grad, scale=0.5) == pytest.approx(total, rel=1e-6)
    np.testing.assert_allclose(grad, 0.5 * np.array([gradient]), rtol=1e-6, atol=1e-7)
    assert function(o, t) == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_losses_of_the_parts_add_up(name, dtype, rng):
    o, t = rng.uniform(0.1, 0.9, (2, 3, 4, 5)).astype(dtype)
    each = np.empty(o.shape[:-1] if name == "softmax_cross_entropy" else o.shape, dtype)
    grad = np.empty_like(o)
    total = getattr(losses, name)(o, t, each, grad)
    assert each.sum(dtype=float) == pytest.approx(total, rel=1e-5)
    for copy in (np.asfortranarray, lambda x: x.astype(x.dtype.newbyteorder())):
        again = np.empty_like(grad)
        assert getattr(losses, name)(copy(o), copy(t), grad=again) == total
        np.testing.assert_array_equal(again, grad)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_loses_nothing(name, dtype):
    for shape in ((0,), (0, 3), (3, 0)):
        o = np.ones(shape, dtype)
        assert getattr(losses, name)(o, o.copy(), grad=np.empty_like(o)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_refused(name):
    function = getattr(losses, name)
    x = np.full((2, 3), 0.5)
    for bad in ([1.0], None, x.astype(int), x.astype("f2"), x.astype("f4")):
        with pytest.raises(DTypeError):
            function(x, bad)
        with pytest.raises(DTypeError):
            function(bad, x if not isinstance(bad, np.ndarray) or bad.dtype != np.float32 else x.copy())
    for bad in (x[:1], x.T, x[None]):
        with pytest.raises(ShapeError):
            function(x, bad)
    for bad in (np.empty((3, 2)), np.empty((2, 3), "f4"), np.empty((3, 2)).T, np.empty(99)):
        with pytest.raises(ShapeError):
            function(x, x.copy(), grad=bad)
        with pytest.raises(ShapeError):
            function(x, x.copy(), each=bad)
    with pytest.raises(ValueError, match="overlaps"):
        function(x, x.copy(), grad=x)


def test_options_bend_and_focus(dtype):
    o, t, grad, each = np.array([0.5, 3], dtype), np.zeros(2, dtype), np.empty(2, dtype), np.empty(2, dtype)
    assert losses.huber(o, t, each, grad, delta=2.0) == 0.125 + 2 * (3 - 1)
    assert grad.tolist() == [0.5, 2] and each.tolist() == [0.125, 4]
    assert losses.smooth_l1(o, t, each, grad, beta=2.0) == 0.0625 + 2
    assert grad.tolist() == [0.25, 1] and each.tolist() == [0.0625, 2]
    p, y = np.array([0.3, 0.8], dtype), np.array([1, 0], dtype)
    plain = losses.binary_cross_entropy(p, y)
    assert losses.focal(p, y, alpha=0.5, gamma=0.0) == pytest.approx(plain / 2, rel=1e-6)


@pytest.mark.parametrize("name", BY_ROW)
def test_rows_need_an_axis(name):
    with pytest.raises(ShapeError, match="classes"):
        getattr(losses, name)(np.ones(()), np.ones(()))
