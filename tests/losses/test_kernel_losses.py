"""Losses with a kernel: values worked by hand, gradients by finite differences, targets, and what is refused."""

from types import MappingProxyType

import numpy as np
import pytest

from enilnets import checks
from enilnets.errors import ConfigError, DataError, DTypeError, LabelError, ShapeError
from enilnets.losses import (
    LOSSES,
    KernelLoss,
    Loss,
    as_target,
    check_loss,
    evaluate,
    one_hot,
    value_and_gradient,
)
from enilnets.ops import losses as ops
from tests.gradients import check_direction
from tests.reference import losses as oracle

NAMES = [name for name, loss in LOSSES.items() if isinstance(loss, KernelLoss)]
CLASSES = ["cross_entropy", "categorical_cross_entropy", "sparse_cross_entropy", "softmax_cross_entropy"]
#: These take any numbers; the others take probabilities.
OF_NUMBERS = ["mse", "mae", "huber", "smooth_l1", "hinge", "wasserstein", "bce_logits", "softmax_cross_entropy"]
FUSED = [
    ("cross_entropy", "softmax"),
    ("categorical_cross_entropy", "softmax"),
    ("sparse_cross_entropy", "softmax"),
    ("binary_cross_entropy", "sigmoid"),
    ("focal", "sigmoid"),
]
FORMULAS = {
    "mse": oracle.mse,
    "mae": oracle.mae,
    "huber": oracle.huber,
    "smooth_l1": oracle.huber,
    "hinge": oracle.hinge,
    "wasserstein": oracle.wasserstein,
    "focal": oracle.focal,
    "sparse_cross_entropy": oracle.cross_entropy,
    "binary_cross_entropy": oracle.binary_cross_entropy,
    "cross_entropy": oracle.cross_entropy,
    "categorical_cross_entropy": oracle.cross_entropy,
    "bce_logits": oracle.bce_logits,
    "softmax_cross_entropy": oracle.softmax_cross_entropy,
}
LOG2, LOG4_3 = np.log(2), np.log(4 / 3)  # losses of a probability of 1/2 and of 3/4
SUM = LOG2 + LOG4_3
FOCAL = LOG2 / 16 + LOG4_3 * 3 / 64  # alpha = 1/4 and (1 - pt)^2 = 1/4; 1 - alpha = 3/4 and (1 - pt)^2 = 1/16
HEADS = {"softmax": oracle.softmax, "sigmoid": lambda z: 1 / (1 + np.exp(-z)), "linear": lambda z: z}


def formula(name, o, t, reduction="mean", dtype=np.float64):
    each = FORMULAS[name](np.asarray(o, np.float64), np.asarray(t, np.float64), dtype)[0]
    if reduction == "none":
        return each
    return each.sum() / {"sum": 1, "mean": count(name, np.shape(o))}[reduction]


def count(name, shape):
    return int(np.prod(shape[:-1] if name in CLASSES else shape))


def sample(rng, name, shape):
    """Outputs and soft targets that ``name`` is made for, away from its clip."""
    o = rng.normal(size=shape) if name in OF_NUMBERS else rng.uniform(0.02, 0.98, size=shape)
    t = rng.random(shape)
    near = np.abs(o - t) < 1e-3  # the kink of mae
    return np.where(near & (name == "mae"), o + 0.01, o), t


def test_every_loss_has_a_formula():
    assert set(FORMULAS) == set(NAMES)
    assert LOSSES["categorical_cross_entropy"] is LOSSES["cross_entropy"] is LOSSES["sparse_cross_entropy"]


@pytest.mark.contract("S1", "S2", "S3", "S5", "S8")
@pytest.mark.parametrize(
    "name, o, t, mean, total, each",
    [
        ("mae", [[1, 2], [3, 5]], [[0, 2], [1, 6]], 4 / 4, 4, [[1, 0], [2, 1]]),
        ("huber", [[1, 0.5], [-3, 5]], [[0, 0], [0, 5]], (0.5 + 0.125 + 2.5) / 4, 3.125, [[0.5, 0.125], [2.5, 0]]),
        ("smooth_l1", [[1, 0.5], [-3, 5]], [[0, 0], [0, 5]], 3.125 / 4, 3.125, [[0.5, 0.125], [2.5, 0]]),
        ("hinge", [[0.25, 3], [-2, 1]], [[-1, 1], [1, 1]], (1.25 + 3) / 4, 4.25, [[1.25, 0], [3, 0]]),
        ("wasserstein", [[2, 3]], [[-1, 1]], -1 / 2, -1, [[2, -3]]),
        ("focal", [[1 / 2], [1 / 4]], [[1], [0]], FOCAL / 2, FOCAL, [[LOG2 / 16], [LOG4_3 * 3 / 64]]),
        ("mse", [[1, 2], [3, 5]], [[0, 2], [1, 6]], 6 / 4, 6, [[1, 0], [4, 1]]),
        ("binary_cross_entropy", [[1 / 2], [1 / 4]], [[1], [0]], SUM / 2, SUM, [[LOG2], [LOG4_3]]),
        ("cross_entropy", [[1 / 2, 1 / 2], [1 / 4, 3 / 4]], [[1, 0], [0, 1]], SUM / 2, SUM, [[LOG2, 0], [0, LOG4_3]]),
        ("bce_logits", [[0], [-np.log(3)]], [[1], [0]], SUM / 2, SUM, [[LOG2], [LOG4_3]]),
        ("softmax_cross_entropy", [[0, np.log(3)], [7, 7]], [[0, 1], [0, 1]], SUM / 2, SUM, [LOG4_3, LOG2]),
    ],
)
def test_values_worked_by_hand(dtype, isa, name, o, t, mean, total, each):
    o, t = np.array(o, dtype), np.array(t, dtype)
    tolerance = 8 * float(np.finfo(dtype).eps)
    got = evaluate(name, o, t)
    assert type(got) is float and got == pytest.approx(mean, rel=tolerance)
    got = evaluate(name, o, t, "sum")
    assert type(got) is float and got == pytest.approx(total, rel=tolerance)
    got = evaluate(name, o, t, "none")
    assert got.dtype == dtype
    np.testing.assert_allclose(got, np.asarray(each), rtol=tolerance)
    assert got.shape == np.shape(each)


def test_gradients_worked_by_hand(dtype, isa):
    o, t = np.array([[1, 2], [3, 5]], dtype), np.array([[0, 2], [1, 6]], dtype)
    value, gradient, fused = value_and_gradient("mse", o, t)
    assert (type(value), value, fused) == (float, 1.5, False)
    np.testing.assert_array_equal(gradient, [[0.5, 0], [1, -0.5]])
    value, gradient, fused = value_and_gradient("cross_entropy", np.array([[0.5, 0.5], [0.25, 0.75]], dtype), [1, 0])
    np.testing.assert_allclose(gradient, [[0, -1], [-2, 0]], rtol=1e-6)
    _, gradient, fused = value_and_gradient(
        "cross_entropy", np.array([[0.5, 0.5], [0.25, 0.75]], dtype), [1, 0], "softmax"
    )
    assert fused is True
    np.testing.assert_allclose(gradient, [[0.25, -0.25], [-0.375, 0.375]], rtol=1e-6)
    _, gradient, fused = value_and_gradient(
        "binary_cross_entropy", np.array([[0.5], [0.25]], dtype), [[1], [0]], "sigmoid"
    )
    assert fused is True
    np.testing.assert_allclose(gradient, [[-0.25], [0.125]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (4, 3), (2, 3, 4), (6, 700)])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_against_the_formula(name, shape, dtype, isa, rng):
    o, t = (a.astype(dtype) for a in sample(rng, name, shape))
    eps = np.finfo(dtype).eps
    for reduction in ("mean", "sum", "none"):
        np.testing.assert_allclose(
            evaluate(name, o, t, reduction), formula(name, o, t, reduction, dtype), rtol=60 * eps, atol=8 * eps
        )
    value, gradient, fused = value_and_gradient(name, o, t)
    assert value == evaluate(name, o, t) and gradient.dtype == dtype and fused is False
    expected = FORMULAS[name](o.astype(np.float64), t.astype(np.float64), dtype)[1] / count(name, shape)
    np.testing.assert_allclose(gradient, expected, rtol=60 * eps, atol=8 * eps / count(name, shape))


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (4, 3), (2, 3, 4)])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_slope_of_the_value(name, shape, isa, rng):
    o, t = sample(rng, name, shape)
    direction = rng.normal(size=shape)
    _, gradient, _ = value_and_gradient(name, o, t)
    h = 1e-5
    slope = (formula(name, o + h * direction, t) - formula(name, o - h * direction, t)) / (2 * h)
    assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 2), (5, 3), (2, 3, 4), (2, 600)])
@pytest.mark.parametrize("name, head", FUSED)
def test_fused_gradient_is_the_slope_at_the_pre_activation(name, head, shape, isa, rng):
    z, t, direction = rng.normal(size=shape), rng.random(shape), rng.normal(size=shape)
    value, delta, at_pre_activation = value_and_gradient(name, HEADS[head](z), t, head)
    assert at_pre_activation is True
    assert value == pytest.approx(formula(name, HEADS[head](z), t), rel=1e-12)
    h = 1e-5
    up, down = (formula(name, HEADS[head](z + sign * h * direction), t) for sign in (1, -1))
    assert np.sum(delta * direction) == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("head", ["linear", "relu", "softmax", "sigmoid", "tanh"])
def test_only_matching_heads_are_fused(name, head, rng):
    o, t = sample(rng, name, (4, 3))
    assert value_and_gradient(name, o, t, head)[2] is ((name, head) in FUSED)


@pytest.mark.defect("L4")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [0, 1, -1e4, 1e4, 1 - 2**-24, 1e-300])
def test_extreme_outputs_stay_finite(name, number, dtype, isa):
    for t in ([[0, 1]], [[1, 0]]):
        for other in (0, number):
            o = np.array([[number, other]], dtype)
            for head in ("linear", "softmax", "sigmoid"):
                value, gradient, _ = value_and_gradient(name, o, np.array(t, dtype), head)
                assert np.isfinite(value) and np.isfinite(gradient).all()


def test_extreme_values_are_right(dtype, isa):
    zero_one = np.array([[0.0, 1.0]], dtype)
    bottom = -np.log(oracle.lowest(dtype))
    assert evaluate("cross_entropy", zero_one, [0]) == pytest.approx(bottom, rel=1e-6)
    assert evaluate("cross_entropy", zero_one, [1]) == 0
    top = -np.log1p(-oracle.highest(dtype))
    assert evaluate("binary_cross_entropy", zero_one, [[1, 0]], "sum") == pytest.approx(bottom + top, rel=1e-6)
    logits = np.array([[1e4, -1e4]], dtype)
    assert evaluate("bce_logits", logits, [[0, 1]], "sum") == pytest.approx(2e4)
    assert evaluate("bce_logits", logits, [[1, 0]], "sum") == 0
    assert evaluate("softmax_cross_entropy", logits, [1]) == pytest.approx(2e4)
    assert evaluate("softmax_cross_entropy", logits, [0]) == 0
    np.testing.assert_allclose(value_and_gradient("softmax_cross_entropy", logits, [1])[1], [[1, -1]])


def test_hopeless_samples_keep_their_gradient_only_when_fused(dtype, isa):
    o = np.array([[1, 0]], dtype)
    _, gradient, _ = value_and_gradient("cross_entropy", o, [1])
    np.testing.assert_array_equal(gradient, [[0, 0]])
    _, delta, _ = value_and_gradient("cross_entropy", o, [1], "softmax")
    np.testing.assert_array_equal(delta, [[1, -1]])
    _, gradient, _ = value_and_gradient("binary_cross_entropy", o, [[0, 1]])
    np.testing.assert_array_equal(gradient, [[0, 0]])
    _, delta, _ = value_and_gradient("binary_cross_entropy", o, [[0, 1]], "sigmoid")
    np.testing.assert_array_equal(delta, [[0.5, -0.5]])


@pytest.mark.defect("L5")
@pytest.mark.parametrize("name", CLASSES)
def test_mean_over_classes_divides_by_the_rows(name, rng):
    assert evaluate(name, np.full((2, 4, 3), 1 / 3), np.zeros((2, 4), int)) == pytest.approx(np.log(3))
    o, t = sample(rng, name, (4, 5, 3))
    assert evaluate(name, o, t) == pytest.approx(evaluate(name, o, t, "sum") / 20)
    assert np.sum(evaluate(name, o, t, "none")) == pytest.approx(evaluate(name, o, t, "sum"))


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint64, np.uint8, bool, list])
def test_labels_are_one_hot_rows(name, kind, dtype, rng):
    labels = rng.integers(0, 2, size=(4, 5))
    o = sample(rng, name, (4, 5, 3))[0].astype(dtype)
    given = labels.tolist() if kind is list else labels.astype(kind)
    t = np.eye(3)[labels]
    for reduction in ("mean", "none"):
        np.testing.assert_array_equal(evaluate(name, o, given, reduction), evaluate(name, o, t, reduction))
    for ours, theirs in zip(value_and_gradient(name, o, given), value_and_gradient(name, o, t), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [0, 2**40]])
def test_labels_that_are_no_class(labels):
    with pytest.raises(LabelError, match=r"in \[0, 3\), got (3|-1|1099511627776) at index \((1|0),\)"):
        as_target("Train", (2, 3), labels, np.float32, "cross_entropy")
    with pytest.raises(LabelError):
        one_hot(labels, 3)
    with pytest.raises(LabelError):
        as_target("Train", (1, 3), np.array([2**64 - 1], np.uint64), np.float32, "cross_entropy")


@pytest.mark.defect("L10")
@pytest.mark.parametrize(
    "name, output_shape, target, hint",
    [
        ("mse", (4, 1), np.zeros(4), r"target\.reshape\(4, 1\)"),
        ("binary_cross_entropy", (4, 1), np.zeros(4), r"target\.reshape\(4, 1\)"),
        ("cross_entropy", (4, 1), np.zeros(4, int), r"target\.reshape\(4, 1\)"),
        ("mse", (4,), np.zeros((4, 1)), r"target\.reshape\(4,\)"),
        ("mse", (4, 3), np.zeros(4, int), r"one_hot\(target, 3\)"),
        ("cross_entropy", (4, 3), np.zeros(4), "integers of shape"),
        ("cross_entropy", (4, 3), np.zeros((4, 1), int), "integers of shape"),
        ("cross_entropy", (4, 3), np.zeros(5, int), "broadcast"),
        ("mse", (4, 3), np.zeros((4, 2)), "broadcast"),
        ("mse", (4, 3), 1.0, "broadcast"),
    ],
)
def test_targets_of_another_shape_name_both_shapes_and_the_way_out(name, output_shape, target, hint):
    with pytest.raises(ShapeError, match=hint) as caught:
        as_target("Train", output_shape, target, np.float64, name)
    assert str(output_shape) in str(caught.value) and str(np.shape(target)) in str(caught.value)
    assert str(caught.value).startswith("Train(target)")
    with pytest.raises(ShapeError, match=hint):
        evaluate(name, np.full(output_shape, 0.5), target)


@pytest.mark.parametrize(
    "error, target",
    [
        (DataError, [[np.nan, 0]]),
        (DataError, [[0, np.inf]]),
        (DTypeError, [["a", "b"]]),
        (DTypeError, [[1j, 0]]),
        (DTypeError, np.array([[None, 1]])),
        (DTypeError, [[1, 2], [3]]),
        (DTypeError, None),
        (DataError, [[1e300, 0]]),
    ],
)
def test_targets_that_are_no_finite_numbers(error, target):
    for name in ("mse", "cross_entropy"):
        with pytest.raises(error, match="Train"):
            as_target("Train", (1, 2), target, np.dtype(np.float32), name)


@pytest.mark.parametrize("name", NAMES)
def test_targets_are_cast_to_the_dtype(name, dtype):
    for target in (
        [[1, 0, 1]],
        np.array([[1, 0, 1]], ">i2"),
        np.array([[True, False, True]]),
        np.ones((3, 1))[:, ::-1].T,
    ):
        got = as_target("Train", (1, 3), target, dtype, name)
        assert got.dtype == dtype and got.flags.c_contiguous
        np.testing.assert_array_equal(got, np.asarray(target))


@pytest.mark.contract("S8")
def test_unknown_names_list_the_known_ones():
    for bad in ("mean_squared", None, 3, ["mse"]):
        with pytest.raises(ConfigError, match=r"Train.*mse, binary_cross_entropy, cross_entropy"):
            check_loss("Train", bad)
        with pytest.raises(ConfigError):
            evaluate(bad, np.ones((1, 1)), np.ones((1, 1)))
        with pytest.raises(ConfigError):
            as_target("Train", (1, 1), np.ones((1, 1)), np.float32, bad)
    assert check_loss("Train", "mse") == "mse"


@pytest.mark.contract("S8")
@pytest.mark.parametrize("reduction", ["median", None, "Mean", 0, ["mean"]])
def test_unknown_reductions_list_the_known_ones(reduction):
    with pytest.raises(ConfigError, match="mean, sum, none"):
        evaluate("mse", np.ones((1, 1)), np.ones((1, 1)), reduction)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_options_are_named(name):
    with pytest.raises(ConfigError, match="deltas, gammas"):
        evaluate(name, np.ones((1, 2)), np.ones((1, 2)), deltas=1, gammas=2)
    with pytest.raises(ConfigError, match="reduction"):
        value_and_gradient(name, np.ones((1, 2)), np.ones((1, 2)), reduction="sum")


def test_options_reach_a_loss_that_has_them(monkeypatch):
    class Scaled(Loss):
        options = MappingProxyType({"factor": checks.number})

        def value(self, output, target, reduction, factor=1.0):
            return factor * ops.mse(output, target)

        def value_and_gradient(self, output, target, factor=1.0):
            return factor * ops.mse(output, target), 2 * factor * (output - target)

    monkeypatch.setitem(LOSSES, "scaled", Scaled())
    assert evaluate("scaled", np.ones((1, 2)), np.zeros((1, 2)), factor=3) == 6
    value, gradient, fused = value_and_gradient("scaled", np.ones((1, 2)), np.zeros((1, 2)), "softmax", factor=3)
    assert value == 6 and (gradient == 6).all() and fused is False
    with pytest.raises(ConfigError, match="expected factor, got factors"):
        evaluate("scaled", np.ones((1, 2)), np.zeros((1, 2)), factors=3)
    with pytest.raises(ConfigError, match=r"factor.*finite number, got nan"):
        evaluate("scaled", np.ones((1, 2)), np.zeros((1, 2)), factor=np.nan)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_average_is_refused_and_sums_to_zero(name, dtype):
    o = np.ones((0, 3), dtype)
    with pytest.raises(DataError, match="at least one sample"):
        evaluate(name, o, o.copy())
    with pytest.raises(DataError, match="at least one sample"):
        value_and_gradient(name, o, o.copy())
    assert evaluate(name, o, o.copy(), "sum") == 0
    assert len(evaluate(name, o, o.copy(), "none")) == 0


@pytest.mark.parametrize("name", NAMES)
def test_strided_read_only_and_swapped_arrays(name, dtype, rng):
    o, t = (a.astype(dtype) for a in sample(rng, name, (4, 3)))
    value, gradient, _ = value_and_gradient(name, o, t)
    wide = np.repeat(o, 2, axis=1)
    swapped = t.astype(dtype.newbyteorder())
    t.flags.writeable = False
    for ours, theirs in ((wide[:, ::2], t), (np.asfortranarray(o), np.asfortranarray(t)), (o, swapped)):
        got = value_and_gradient(name, ours, theirs)
        assert got[0] == value
        np.testing.assert_array_equal(got[1], gradient)


def test_outputs_that_are_no_float_array_become_float64():
    assert evaluate("mse", [[1, 2]], [[0, 0]]) == 2.5
    assert value_and_gradient("mse", [[1, 2]], np.array([[0, 0]], np.float32))[1].dtype == np.float64
    with pytest.raises(DTypeError):
        evaluate("mse", [["a"]], [[0]])


def test_outputs_without_a_batch_axis():
    for name in CLASSES:
        with pytest.raises(ShapeError, match="batch axis"):
            evaluate(name, np.array(0.5), np.array(1.0))
    with pytest.raises(ShapeError, match="batch axis"):
        value_and_gradient("softmax_cross_entropy", np.ones(3), np.ones(3))
    assert evaluate("mse", np.array(3.0), np.array(1.0)) == 4


def test_nan_outputs_give_a_nan_loss():
    for name in NAMES:
        assert np.isnan(evaluate(name, np.array([[np.nan, 0.5]]), np.array([[0.0, 1.0]])))


def test_one_hot(dtype):
    got = one_hot(np.array([[2, 0], [1, 1]]), 3, dtype)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, [[[0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0, 1, 0]]])
    np.testing.assert_array_equal(one_hot([True, False], 2), [[0, 1], [1, 0]])
    np.testing.assert_array_equal(one_hot(1, 2), [0, 1])
    assert one_hot([], 4).shape == (0, 4)
    for bad in ([0.0, 1.0], ["a"], [None], [[1], [2, 3]]):
        with pytest.raises(LabelError, match="integers"):
            one_hot(bad, 3)
    for classes in (0, -1, 2.0, None):
        with pytest.raises(ConfigError):
            one_hot([0], classes)
    with pytest.raises(LabelError):
        one_hot([True], 1)


def test_ops_write_what_is_asked_for(dtype, rng):
    o, t = rng.random((2, 4, 3)).astype(dtype)
    for function in (ops.mse, ops.bce_logits, ops.cross_entropy_at_softmax, ops.softmax_cross_entropy):
        grad, each = np.empty((4, 3), dtype), np.empty((4,) if "softmax_c" in function.__name__ else (4, 3), dtype)
        assert function(o, t) == function(o, t, each, grad, 0.5) == pytest.approx(each.sum(dtype=np.float64), rel=1e-6)
        for bad in (np.empty((3, 4), dtype), np.empty((4, 3), "i4"), np.empty((3, 4), dtype).T):
            with pytest.raises(ShapeError):
                function(o, t, grad=bad)
        with pytest.raises(ShapeError):
            function(o, t[:2])
        with pytest.raises(DTypeError):
            function(o.tolist(), t)


def test_the_base_class_promises_nothing():
    assert Loss().fused_delta("softmax", np.ones(1), np.ones(1)) is None
    for method in (lambda: Loss().value(np.ones(1), np.ones(1), "mean"), lambda: Loss().value_and_gradient(1, 1)):
        with pytest.raises(NotImplementedError, match="Loss must define value"):
            method()
    assert isinstance(LOSSES["mse"], KernelLoss)


@pytest.mark.contract("S4")
@pytest.mark.defect("L4")
def test_focal_weighs_easy_negatives_down(dtype):
    """A negative at o = 0.1 is easy: (1 - pt)^2 = 0.01. The original weighs it with pt^2 = 0.81."""
    got = evaluate("focal", np.array([[0.1]], dtype), [[0]])
    assert got == pytest.approx(0.75 * 0.01 * -np.log(0.9), rel=1e-5)
    soft = evaluate("focal", np.array([[0.7]], dtype), [[0.4]], alpha=0.3, gamma=1.5)
    pt = 0.7 * 0.4 + 0.3 * 0.6
    expected = -((1 - pt) ** 1.5) * (0.3 * 0.4 * np.log(0.7) + 0.7 * 0.6 * np.log(0.3))
    assert soft == pytest.approx(expected, rel=1e-5)


def test_hopeless_focal_samples_keep_their_gradient_at_the_sigmoid(dtype):
    o = np.array([[1.0, 0.0]], dtype)
    _, delta, fused = value_and_gradient("focal", o, [[0, 1]], "sigmoid")
    assert fused and np.allclose(delta, [[0.75 / 2, -0.25 / 2]])


@pytest.mark.parametrize(
    "name, options",
    [
        ("huber", {"delta": 0.3}),
        ("smooth_l1", {"beta": 0.3}),
        ("focal", {"alpha": 0.9, "gamma": 0.5}),
        ("focal", {"gamma": 0}),
        *[(name, {"label_smoothing": 0.1}) for name in [*CLASSES, "binary_cross_entropy", "bce_logits"]],
    ],
)
def test_gradients_under_options(name, options, rng):
    o, t = sample(rng, name, (4, 3))
    for head in ("linear", "softmax", "sigmoid"):
        before = HEADS[head] if (name, head) in FUSED else HEADS["linear"]
        z = rng.normal(size=(4, 3)) if (name, head) in FUSED else o
        value, gradient, fused = value_and_gradient(name, before(z), t, head, **options)
        assert fused is ((name, head) in FUSED) and value == evaluate(name, before(z), t, **options)
        check_direction(lambda z, f=before: evaluate(name, f(z), t, **options), z, gradient, rng)


def test_options_change_the_numbers_as_documented():
    o, t = np.array([[0.5, -3.0]]), np.zeros((1, 2))
    assert evaluate("huber", o, t, "sum", delta=2) == 0.125 + 2 * (3 - 1)
    assert evaluate("smooth_l1", o, t, "sum", beta=0.5) == (0.5 - 0.25) + (3 - 0.25)
    p = np.array([[0.2, 0.3, 0.5]])
    mixed = [[0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3]]
    for name in CLASSES:
        assert evaluate(name, p, [1], label_smoothing=0.1) == pytest.approx(evaluate(name, p, mixed))
    for name in ("binary_cross_entropy", "bce_logits"):
        smooth = evaluate(name, p, [[1, 0, 1]], label_smoothing=0.2)
        assert smooth == pytest.approx(evaluate(name, p, [[0.9, 0.1, 0.9]]))


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("huber", {"delta": 0}, "delta.*> 0, got 0"),
        ("smooth_l1", {"beta": -1}, "beta.*> 0"),
        ("focal", {"alpha": 1.5}, r"alpha.*\[0, 1\]"),
        ("focal", {"gamma": -1}, "gamma.*>= 0"),
        ("focal", {"gamma": True}, "gamma"),
        ("cross_entropy", {"label_smoothing": 2}, r"label_smoothing.*\[0, 1\]"),
        ("huber", {"beta": 1}, "expected delta, got beta"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(ConfigError, match=message):
        evaluate(name, np.full((1, 2), 0.5), np.full((1, 2), 0.5), **options)


@pytest.mark.parametrize("name", [name for name in NAMES if LOSSES[name].target_range])
def test_targets_that_are_no_probabilities(name):
    for target in ([[2, 0]], [[0.5, -0.1]]):
        with pytest.raises(DataError, match=r"targets in \[0, 1\]"):
            as_target("Train", (1, 2), target, np.dtype("f8"), name)
    as_target("Train", (1, 2), [[1 + 1e-9, -1e-9]], np.dtype("f8"), name)
    as_target("Backward", (1, 2), [[2, 0]], np.dtype("f8"), name, ranged=False)
