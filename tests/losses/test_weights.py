"""Sample and class weights: repeated samples, PyTorch's and scikit-learn's conventions, gradients, refusals."""

import numpy as np
import pytest

from enilnets.errors import ConfigError, DataError, LabelError, ShapeError
from enilnets.losses import LOSSES, as_weights, evaluate, value_and_gradient
from tests.gradients import check_direction

#: ntxent compares the samples of a batch, so a sample of weight 2 is not the same as two.
SEPARATE = [name for name in LOSSES if name != "ntxent"]


def sample(name, rng, shape=(5, 3)):
    o, t = rng.uniform(0.05, 0.95, size=(2, *shape))
    return o, t, {"negative": rng.normal(size=shape)} if name == "triplet" else {}


@pytest.mark.parametrize("name", SEPARATE)
def test_a_sample_of_weight_two_is_two_samples(name, dtype, rng):
    o, t, options = sample(name, rng)
    o, t = o.astype(dtype), t.astype(dtype)
    weights, rows = [2, 0, 1, 3, 1], [0, 0, 2, 3, 3, 3, 4]
    repeated = {key: array[rows] for key, array in options.items()}
    got = evaluate(name, o, t, sample_weight=weights, **options)
    assert got == pytest.approx(evaluate(name, o[rows], t[rows], **repeated), rel=1e-5)
    got = evaluate(name, o, t, "sum", sample_weight=weights, **options)
    assert got == pytest.approx(evaluate(name, o[rows], t[rows], "sum", **repeated), rel=1e-5)
    value, gradient, _ = value_and_gradient(name, o, t, sample_weight=weights, **options)
    _, theirs, _ = value_and_gradient(name, o[rows], t[rows], **repeated)
    summed = np.zeros_like(gradient)
    np.add.at(summed, rows, theirs)
    np.testing.assert_allclose(gradient, summed, rtol=1e-4, atol=1e-7)
    assert gradient.dtype == dtype and value == evaluate(name, o, t, sample_weight=weights, **options)


@pytest.mark.parametrize("name", LOSSES)
def test_equal_weights_change_nothing(name, rng):
    o, t, options = sample(name, rng)
    each = evaluate(name, o, t, "none", **options)
    for weight in (1, 0.3, 7):
        weights = np.full(5, weight)
        assert evaluate(name, o, t, sample_weight=weights, **options) == pytest.approx(evaluate(name, o, t, **options))
        got = value_and_gradient(name, o, t, sample_weight=weights, **options)[1]
        np.testing.assert_allclose(got, value_and_gradient(name, o, t, **options)[1])
        np.testing.assert_allclose(evaluate(name, o, t, "none", sample_weight=weights, **options), weight * each)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_of_the_weighted_mean(name, rng):
    o, t, options = sample(name, rng)
    options["sample_weight"] = rng.uniform(0, 2, size=5)
    check_direction(lambda o: evaluate(name, o, t, **options), o, value_and_gradient(name, o, t, **options)[1], rng)


@pytest.mark.parametrize("name, head", [("cross_entropy", "softmax"), ("focal", "sigmoid")])
def test_fused_gradients_are_weighted_too(name, head, rng):
    from enilnets.ops.activation import activate, activation_backward

    z, t = rng.normal(size=(4, 3)), np.eye(3)[[0, 2, 1, 1]]
    o = activate(head, z)
    fused = value_and_gradient(name, o, t, head, sample_weight=[1, 2, 0, 3])
    apart = value_and_gradient(name, o, t, sample_weight=[1, 2, 0, 3])
    assert fused[2] and fused[0] == apart[0]
    np.testing.assert_allclose(fused[1], activation_backward(head, apart[1], o), atol=1e-15)


@pytest.mark.parametrize("form", [dict, list, np.array])
def test_class_weights_divide_by_the_weights_of_the_rows(form, rng):
    """As PyTorch's cross entropy does: sum of w_y l over sum of w_y."""
    z, labels, w = rng.normal(size=(6, 3)), np.array([0, 2, 2, 1, 0, 2]), np.array([0.5, 1, 4])
    given = {0: 0.5, 2: 4} if form is dict else form(w)
    each = evaluate("softmax_cross_entropy", z, labels, "none")
    expected = np.sum(w[labels] * each) / np.sum(w[labels])
    assert evaluate("softmax_cross_entropy", z, labels, class_weight=given) == pytest.approx(expected)
    both = evaluate("softmax_cross_entropy", z, labels, class_weight=given, sample_weight=[1, 0, 1, 1, 1, 2])
    weights = w[labels] * [1, 0, 1, 1, 1, 2]
    assert both == pytest.approx(np.sum(weights * each) / np.sum(weights))


def test_balanced_classes_have_the_same_say():
    """rows / (classes * count), as in scikit-learn: 4 / (2 * 3) and 4 / (2 * 1); absent classes do not count."""
    t = np.eye(3)[[0, 0, 0, 1]]
    np.testing.assert_allclose(as_weights("f", "cross_entropy", t, None, "balanced"), [2 / 3, 2 / 3, 2 / 3, 2])
    t = np.array([[0.0], [0.0], [0.0], [1.0]])
    np.testing.assert_allclose(as_weights("f", "bce_logits", t, None, "balanced"), [2 / 3, 2 / 3, 2 / 3, 2])


def test_classes_of_yes_and_no_and_soft_targets():
    weights = as_weights("f", "binary_cross_entropy", np.array([[0.0], [1.0], [0.25]]), None, {1: 5})
    np.testing.assert_allclose(weights, [1, 5, 2])
    np.testing.assert_allclose(as_weights("f", "hinge", np.array([[-1.0], [1.0]]), None, [2, 3]), [2, 3])
    np.testing.assert_allclose(as_weights("f", "cross_entropy", np.array([[0.5, 0.5, 0]]), None, [2, 4, 9]), [3])


def test_rows_of_sequences_can_be_left_out(rng):
    o, labels = rng.dirichlet(np.ones(4), size=(2, 3)), np.array([[0, 1, 2], [3, 0, 0]])
    mask = np.array([[1, 1, 1], [1, 0, 0]])
    each = evaluate("cross_entropy", o, labels, "none").sum(-1)
    assert evaluate("cross_entropy", o, labels, sample_weight=mask) == pytest.approx(each[mask == 1].mean())
    got = evaluate("cross_entropy", o, labels, sample_weight=[1, 0], class_weight=[1, 2, 3, 4])
    assert got == pytest.approx(np.sum(each[0] * [1, 2, 3]) / 6)


@pytest.mark.parametrize(
    "error, weights, message",
    [
        (ShapeError, {"sample_weight": np.ones((3, 2))}, r"shape \(3,\)"),
        (ShapeError, {"sample_weight": 1.0}, r"shape \(3,\)"),
        (ShapeError, {"sample_weight": np.ones(2)}, r"got shape \(2,\)"),
        (DataError, {"sample_weight": [1, -1, 1]}, "numbers >= 0"),
        (DataError, {"sample_weight": [1, np.nan, 1]}, "finite"),
        (DataError, {"sample_weight": [0, 0, 0]}, "above 0"),
        (DataError, {"class_weight": {0: 0, 1: 0}}, "above 0"),
        (ShapeError, {"class_weight": [1, 2, 3]}, r"\(2,\)"),
        (ConfigError, {"class_weight": "even"}, "balanced"),
        (LabelError, {"class_weight": {2: 1}}, r"\[0, 2\)"),
        (LabelError, {"class_weight": {True: 1}}, "True"),
        (LabelError, {"class_weight": {"a": 1}}, "'a'"),
        (ConfigError, {"class_weight": {0: -1}}, r"class_weight\[0\]"),
        (DataError, {"class_weight": [-1, 1]}, "numbers >= 0"),
    ],
)
def test_bad_weights(error, weights, message):
    with pytest.raises(error, match=message):
        evaluate("cross_entropy", np.full((3, 2), 0.5), [0, 1, 0], **weights)


@pytest.mark.parametrize("name", ["mse", "bce_logits", "triplet", "kl_divergence"])
def test_class_weights_need_classes(name, rng):
    o, t, options = sample(name, rng)
    with pytest.raises(ConfigError, match="sample_weight"):
        evaluate(name, o, t, class_weight={0: 2}, **options)
