"""Losses of rows: values worked by hand or by independent formulas, gradients by finite differences, refusals."""

import numpy as np
import pytest

from enilnets.errors import ConfigError, DataError, ShapeError
from enilnets.losses import LOSSES, RowLoss, evaluate, value_and_gradient
from tests.gradients import check_direction

NAMES = [name for name, loss in LOSSES.items() if isinstance(loss, RowLoss)]


def further(name, rng, shape):
    return {"negative": rng.normal(size=shape)} if name == "triplet" else {}


@pytest.mark.contract("S6", "S7", "S8")
@pytest.mark.parametrize(
    "name, o, t, options, each",
    [
        ("cosine_similarity", [[3, 4], [1, 0], [1, 1]], [[3, 4], [0, 2], [-2, -2]], {}, [0, 1, 2]),
        ("triplet", [[0, 0], [0, 0]], [[1, 0], [0, 3]], {"negative": [[0, 1], [4, 0]]}, [1, 0]),
        ("triplet", [[0, 0]], [[1, 0]], {"negative": [[0, 1]], "margin": 3}, [3]),
        # cosines 1 and 0 over a temperature of 1/2: -log(e^2 / (e^2 + 1))
        ("ntxent", [[5, 0], [0, 1]], [[1, 0], [0, 2]], {}, [np.log1p(np.exp(-2))] * 2),
        ("ntxent", [[5, 0], [0, 1]], [[1, 0], [0, 2]], {"temperature": 1}, [np.log1p(np.exp(-1))] * 2),
        # each of four rows has its partner at cosine 1 and two others at 0
        ("ntxent", [[5, 0], [0, 1]], [[1, 0], [0, 2]], {"symmetric": True}, [np.log1p(2 * np.exp(-2))] * 2),
        (
            "kl_divergence",
            [[9, 9]],
            [[9, 9]],
            {"mu": [[1, 2]], "logvar": [[0, np.log(2)]]},
            [2.5 + (1 - np.log(2)) / 2],
        ),
        ("kl_divergence", [[1, 2]], [[0, np.log(2)]], {}, [2.5 + (1 - np.log(2)) / 2]),
    ],
)
def test_values_worked_by_hand(name, o, t, options, each, dtype):
    o = np.array(o, dtype)
    got = evaluate(name, o, t, "none", **options)
    assert got.dtype == dtype and got.shape == (len(o),)
    np.testing.assert_allclose(got, each, rtol=1e-6, atol=1e-6)
    assert evaluate(name, o, t, **options) == pytest.approx(np.mean(each), rel=1e-6, abs=1e-6)
    assert evaluate(name, o, t, "sum", **options) == pytest.approx(np.sum(each), rel=1e-6, abs=1e-6)
    assert type(evaluate(name, o, t, **options)) is float


@pytest.mark.parametrize("shape", [(1, 4), (5, 3), (6, 1), (2, 3, 4)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "name, options",
    [
        ("cosine_similarity", {}),
        ("triplet", {}),
        ("triplet", {"margin": 5.0}),
        ("ntxent", {}),
        ("ntxent", {"temperature": 0.1, "symmetric": True}),
        ("kl_divergence", {}),
        ("kl_divergence", {"logvar": True}),
        ("kl_divergence", {"mu": True, "logvar": True}),
    ],
)
def test_gradient_is_the_slope_of_the_value(name, options, weighted, shape, rng):
    if name == "ntxent":  # compares the rows of a matrix
        shape = shape[-2:]
    o, t = rng.normal(size=(2, *shape))
    arrays = {key: rng.normal(size=shape) for key, value in options.items() if value is True and key != "symmetric"}
    options = {**options, **arrays, **further(name, rng, shape)}
    if weighted:
        options["sample_weight"] = rng.uniform(0.1, 3, size=shape[0])
    value, gradient, fused = value_and_gradient(name, o, t, "softmax", **options)
    assert fused is False and value == evaluate(name, o, t, **options)
    check_direction(lambda o: evaluate(name, o, t, **options), o, gradient, rng)


@pytest.mark.defect("L9")
@pytest.mark.parametrize("symmetric", [False, True])
def test_ntxent_has_no_floor_and_is_simclr_with_symmetric(symmetric, rng):
    """Far partners at a low temperature lose as much as the formula says; an eps inside the log would stop at 18."""
    o, t = np.array([[1.0, 0], [0, 1]]), np.array([[0.0, 1], [1, 0]])
    got = evaluate("ntxent", o, t, "none", temperature=0.01, symmetric=symmetric)
    np.testing.assert_allclose(got, [100, 100])
    o, t = rng.normal(size=(2, 5, 3))
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (o, t))
    z = np.concatenate([u, v]) if symmetric else u
    e = np.exp(z @ (z if symmetric else v).T / 0.5)
    if symmetric:
        np.fill_diagonal(e, 0)
        losses = -np.log(e[np.arange(10), np.roll(np.arange(10), 5)] / e.sum(axis=1))
        losses = (losses[:5] + losses[5:]) / 2
    else:
        losses = -np.log(np.diag(e) / e.sum(axis=1))
    np.testing.assert_allclose(evaluate("ntxent", o, t, "none", symmetric=symmetric), losses)


def test_the_gradient_of_kl_is_that_of_what_stands_for_mu(rng):
    o, t, mu, logvar = rng.normal(size=(4, 3, 2))
    np.testing.assert_allclose(value_and_gradient("kl_divergence", o, t)[1], o / 3)
    np.testing.assert_allclose(value_and_gradient("kl_divergence", o, None, logvar=logvar)[1], o / 3)
    assert not value_and_gradient("kl_divergence", o, None, mu=mu, logvar=logvar)[1].any()


def test_rows_of_kl_may_have_another_width(rng):
    mu, logvar = rng.normal(size=(2, 4, 2))
    o = rng.normal(size=(4, 5))
    expected = -0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar), axis=-1)
    np.testing.assert_allclose(evaluate("kl_divergence", o, o, "none", mu=mu, logvar=logvar), expected)
    for bad in ({"mu": mu}, {"mu": mu, "logvar": logvar[:, :1]}, {"mu": mu[:3], "logvar": logvar[:3]}):
        with pytest.raises(ShapeError):
            evaluate("kl_divergence", o, o, **bad)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1e-30, 1e-8, 1e15, 1e30])
def test_extreme_outputs(name, size, dtype, rng):
    if name == "kl_divergence":
        size = min(size, 20.0)
    if name == "triplet":
        size = min(size, 1e15)
    o, t = (size * rng.normal(size=(2, 4, 3))).astype(dtype)
    options = {key: size * value for key, value in further(name, rng, o.shape).items()}
    value, gradient, _ = value_and_gradient(name, o, t, **options)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if name in ("cosine_similarity", "ntxent"):  # they see directions alone
        expected = evaluate(name, o.astype("f8") / size, t.astype("f8") / size)
        assert value == pytest.approx(expected, rel=1e-4)


def test_zero_rows_have_cosine_zero_and_no_gradient(dtype):
    o, t = np.array([[0, 0], [1, 0]], dtype), np.array([[1, 0], [0, 0]], dtype)
    assert evaluate("cosine_similarity", o, t, "none").tolist() == [1, 1]
    assert not value_and_gradient("cosine_similarity", o, t)[1].any()
    assert np.isfinite(value_and_gradient("ntxent", o, t)[1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_nan_comes_out_as_nan(name, rng):
    o, t = rng.normal(size=(2, 3, 4))
    o[1, 2] = np.nan
    assert np.isnan(evaluate(name, o, t, **further(name, rng, o.shape)))


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_refused(name, rng):
    o = rng.normal(size=(3, 4))
    arrays = further(name, rng, o.shape)
    with pytest.raises(ShapeError, match="batch axis"):
        evaluate(name, o[0], o[0], **further(name, rng, (4,)))
    with pytest.raises(ShapeError, match=r"like the output"):
        evaluate(name, o, o[:, :1], **arrays)
    empty = {key: array[:0] for key, array in arrays.items()}
    with pytest.raises(DataError, match="at least one sample"):
        evaluate(name, o[:0], o[:0], **empty)
    with pytest.raises(ConfigError, match="loss " + name):
        evaluate(name, o, o, **arrays, delta=1)
    if name == "ntxent":
        with pytest.raises(ShapeError, match=r"\(batch, features\)"):
            evaluate(name, o[None], o[None])
        with pytest.raises(ConfigError, match=r"temperature.*> 0"):
            evaluate(name, o, o, temperature=0)
        with pytest.raises(ConfigError, match="symmetric"):
            evaluate(name, o, o, symmetric=1)


@pytest.mark.contract("S6")
def test_a_triplet_needs_its_negative(rng):
    o = rng.normal(size=(3, 4))
    with pytest.raises(ConfigError, match="triplet: expected the array negative, got none; pass negative="):
        evaluate("triplet", o, o)
    for bad in (o[:2], o[:, :2], o[0], 1.0):
        with pytest.raises(ShapeError, match="like the output"):
            evaluate("triplet", o, o, negative=bad)
    with pytest.raises(DataError):
        evaluate("triplet", o, o, negative=o * np.nan)


def test_the_base_class_promises_nothing():
    with pytest.raises(NotImplementedError, match="RowLoss must define rows"):
        RowLoss().rows(np.ones(1), np.ones(1))
