"""Activations as layers and users call them: the pair, the public functions, gradients, and what they refuse."""

import numpy as np
import pytest

from enilnets.errors import ConfigError, DTypeError, EnilnetsError, ShapeError
from enilnets.ops import activation as ops
from enilnets.ops.affine import column_sums
from tests.reference.pointwise import DERIVATIVES, FUNCTIONS, softmax

NAMES = list(ops.ACTIVATIONS)
REFERENCE = {**{name: FUNCTIONS[name] for name in DERIVATIVES}, "softmax": softmax, "linear": lambda x: x}


@pytest.mark.contract("A1")
def test_the_table_holds_the_twelve_documented_names():
    documented = "relu leakyrelu elu selu sigmoid tanh softmax softplus gelu swish mish linear"
    assert set(NAMES) == set(documented.split())
    assert all(kind.name == name for name, kind in ops.ACTIVATIONS.items())


@pytest.mark.contract("A1", "A7")
@pytest.mark.parametrize("name", NAMES)
def test_values(name, dtype, isa, rng):
    x = (2 * rng.normal(size=(13, 11))).astype(dtype)
    y = ops.activate(name, x)
    assert y.dtype == dtype and y.shape == x.shape
    np.testing.assert_allclose(y, REFERENCE[name](x.astype(np.float64)), rtol=50 * np.finfo(dtype).eps)


@pytest.mark.contract("A2", "A3")
@pytest.mark.parametrize("name", NAMES)
def test_derivatives(name, dtype, isa, rng):
    x = (2 * rng.normal(size=(13, 11))).astype(dtype)
    wide = x.astype(np.float64)
    want = {"softmax": lambda x: softmax(x) * (1 - softmax(x)), "linear": np.ones_like, **DERIVATIVES}[name](wide)
    got = ops.derivative(name, x)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=20 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)


@pytest.mark.contract("A2", "A3")
@pytest.mark.defect("L6", "L7")
@pytest.mark.parametrize("name", NAMES)
def test_gradient_against_finite_differences(name, isa, rng):
    """d/dh sum(c f(x + h v)) at h = 0 is sum(c f'(x) v)."""
    x, v, c = rng.normal(size=(3, 6, 9))
    x[np.abs(x) < 1e-2] = 0.5  # away from the kinks
    h = 1e-6
    up, down = (ops.activation(name, x + sign * h * v)[0] for sign in (1, -1))
    _, saved = ops.activation(name, x)
    dx = ops.activation_backward(name, c, saved)
    np.testing.assert_allclose(np.sum(dx * v), np.sum(c * (up - down)) / (2 * h), rtol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1,), (7,), (4, 5), (2, 3, 4), (0,), (0, 3), (3, 0), (3, 1)])
def test_outputs_may_be_given_and_may_be_the_input(name, shape, dtype, rng):
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    y, saved = ops.activation(name, x)
    dx = ops.activation_backward(name, dy, saved)
    assert y.shape == dx.shape == shape and y.dtype == dx.dtype == dtype

    out = np.full_like(x, np.nan)
    y2, saved2 = ops.activation(name, x, out)
    assert y2 is out
    dx2 = ops.activation_backward(name, dy, saved2, np.full_like(x, np.nan))
    z, g = x.copy(), dy.copy()
    y3, saved3 = ops.activation(name, z, z)
    assert y3 is z
    dx3 = ops.activation_backward(name, g, saved3, g)
    assert dx3 is g
    for y_other, dx_other in ((y2, dx2), (y3, dx3)):
        np.testing.assert_array_equal(y_other, y)
        np.testing.assert_array_equal(dx_other, dx)


@pytest.mark.parametrize("name", NAMES)
def test_the_input_is_left_alone(name, dtype, rng):
    x, dy = rng.normal(size=(2, 5, 4)).astype(dtype)
    x.flags.writeable = dy.flags.writeable = False
    before = x.copy(), dy.copy()
    _, saved = ops.activation(name, x)
    ops.activation_backward(name, dy, saved)
    assert ops.activate(name, x) is not x
    ops.derivative(name, x)
    np.testing.assert_array_equal((x, dy), before)


@pytest.mark.parametrize("name", NAMES)
def test_strided_and_byte_swapped_input(name, dtype, rng):
    x = rng.normal(size=(6, 10)).astype(dtype)
    y, saved = ops.activation(name, x)
    for other in (np.asfortranarray(x), x.astype(dtype.newbyteorder()), np.repeat(x, 2, axis=1)[:, ::2]):
        got, also_saved = ops.activation(name, other)
        np.testing.assert_array_equal(got, y)
        np.testing.assert_array_equal(
            ops.activation_backward(name, other, also_saved), ops.activation_backward(name, x, saved)
        )


@pytest.mark.parametrize("name", NAMES)
def test_gradient_and_sums_in_one_pass_have_the_bits_of_two(name, dtype, isa, rng):
    x, dy = rng.normal(size=(2, 6, 7, 33)).astype(dtype)
    saved = ops.activation(name, x)[1]
    want = ops.activation_backward(name, dy, saved)
    for arguments in ({}, {"out": np.empty_like(dy), "sums": np.empty(33, dtype)}):
        dx, sums = ops.activation_backward_sums(name, dy, saved, **arguments)
        assert not arguments or (dx is arguments["out"] and sums is arguments["sums"])
        np.testing.assert_array_equal(dx, want)
        np.testing.assert_array_equal(sums, column_sums(want))
    g = dy.copy()
    assert ops.activation_backward_sums(name, g, saved, out=g)[0] is g
    np.testing.assert_array_equal(g, want)


@pytest.mark.parametrize("name", ["relu", "softmax", "linear"])
def test_gradient_and_sums_refuse_what_does_not_fit(name):
    x = np.ones((3, 4))
    for arguments in ([x[0, 0], x], [x, x, None, np.ones(3)], [x, x, np.ones((4, 3))], [x.astype(int), x]):
        with pytest.raises(EnilnetsError):
            ops.activation_backward_sums(name, *arguments)
    if name != "linear":
        for saved in (None, x[:2], x.astype("f4")):
            with pytest.raises(EnilnetsError):
                ops.activation_backward_sums(name, x, saved)


def test_linear_copies_only_when_told_to(dtype):
    x, out = np.ones((2, 3), dtype), np.empty((2, 3), dtype)
    y, saved = ops.activation("linear", x)
    assert y is x and saved is None
    assert ops.activation("linear", x, out)[0] is out and (out == 1).all()
    assert ops.activation_backward("linear", x, None) is x
    assert ops.activation_backward("linear", 2 * x, None, out) is out and (out == 2).all()


def test_what_users_have_becomes_float64():
    for x in ([-1, 0, 2], (-1.0, 0, 2), np.array([-1, 0, 2], np.int8), np.array([-1, 0, 2], np.float16)):
        y = ops.activate("relu", x)
        assert y.dtype == np.float64 and y.tolist() == [0, 0, 2]
        assert ops.derivative("relu", x).tolist() == [0, 0, 1]
    assert ops.activate("sigmoid", 0) == 0.5 and ops.activate("sigmoid", True) > 0.5
    assert ops.activate("tanh", []).shape == (0,)
    assert ops.activate("relu", np.ones(3, np.float32)).dtype == np.float32


@pytest.mark.contract("A1", "A2")
def test_worked_by_hand():
    assert ops.activate("leakyrelu", [-2.0, 3]).tolist() == [-0.02, 3]
    assert ops.derivative("relu", 0.0) == 0
    np.testing.assert_allclose(ops.activate("elu", -np.log(2)), -0.5)
    np.testing.assert_allclose(ops.activate("selu", [1.0, -np.log(2)]), [1.0507, -0.5 * 1.0507 * 1.6733], rtol=1e-4)
    np.testing.assert_allclose(ops.activate("sigmoid", np.log(3)), 0.75)
    assert ops.derivative("tanh", 0.0) == 1
    assert ops.derivative("sigmoid", 0.0) == 0.25
    np.testing.assert_allclose(ops.activate("softmax", np.log([1, 1, 2])), [0.25, 0.25, 0.5])
    np.testing.assert_allclose(ops.derivative("softmax", np.log([1, 1, 2])), [3 / 16, 3 / 16, 1 / 4])
    np.testing.assert_allclose(ops.activate("softplus", 0.0), np.log(2))
    np.testing.assert_allclose(ops.activate("mish", 0.0), 0)
    np.testing.assert_allclose(ops.derivative("mish", 0.0), 3 / 5)  # tanh(log 2)
    np.testing.assert_allclose(ops.derivative("gelu", 0.0), 1 / 2)
    np.testing.assert_allclose(ops.derivative("swish", 0.0), 1 / 2)


@pytest.mark.defect("L8")
@pytest.mark.parametrize("name", NAMES)
def test_no_number_breaks_an_activation(name, dtype, isa):
    largest = np.finfo(dtype).max
    x = np.array([[-largest, -1e4, -1, -0.0, 0.0, 1, 1e4, largest]], dtype).T
    y, slope = ops.activate(name, x), ops.derivative(name, x)
    assert np.isfinite(slope).all()
    assert np.isfinite(y[:-1]).all() and (np.isfinite(y[-1]) or name == "selu")
    assert np.isnan(ops.activate(name, np.full((2, 3), np.nan, dtype))).all()


@pytest.mark.defect("L8")
@pytest.mark.parametrize("name", ["", "ReLU", "softmin", None, 3, b"relu", ["relu"], np.str_("x")])
def test_unknown_names_are_refused_with_the_known_ones(name):
    calls = [
        lambda: ops.check_activation("Dense", name),
        lambda: ops.activation(name, np.ones(3)),
        lambda: ops.activation_backward(name, np.ones(3), np.ones(3)),
        lambda: ops.activate(name, 1.0),
        lambda: ops.derivative(name, 1.0),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match=r"one of relu, leakyrelu, .*linear"):
            call()
    with pytest.raises(ConfigError, match="Dense"):
        ops.check_activation("Dense", name)


@pytest.mark.parametrize("x", ["abc", [1, "a"], [[1], [1, 2]], 1j, None, {}, np.array(["2020"], "M8[Y]")])
def test_public_functions_refuse_what_is_no_number(x):
    for function in (ops.activate, ops.derivative):
        with pytest.raises(DTypeError):
            function("relu", x)


@pytest.mark.parametrize("name", NAMES)
def test_the_pair_refuses_what_does_not_fit(name):
    x = np.ones((3, 4))
    saved = None if name == "linear" else x
    for bad in ([1.0], None, x.astype(int), x.astype(object), x.astype(np.float16)):
        with pytest.raises(DTypeError):
            ops.activation(name, bad)
        with pytest.raises(DTypeError):
            ops.activation_backward(name, bad, saved)
        if name != "linear":
            with pytest.raises(DTypeError):
                ops.activation_backward(name, x, bad)
    for out in (np.empty((4, 3)), np.empty(12), np.empty((3, 4), np.float32), np.empty((4, 3)).T):
        with pytest.raises(ShapeError):
            ops.activation(name, x, out)
        with pytest.raises(ShapeError):
            ops.activation_backward(name, x, saved, out)
    if name != "linear":
        with pytest.raises(ShapeError):
            ops.activation_backward(name, x, np.ones((4, 3)))
        with pytest.raises(DTypeError):
            ops.activation_backward(name, x, np.ones((3, 4), np.float32))


def test_softmax_needs_an_axis():
    for call in (lambda: ops.activate("softmax", 1.0), lambda: ops.derivative("softmax", 1.0)):
        with pytest.raises(ShapeError):
            call()
    with pytest.raises(ShapeError):
        ops.activation_backward("softmax", np.ones(()), np.ones(()))


@pytest.mark.defect("L8")
def test_softplus_has_no_ceiling():
    np.testing.assert_array_equal(ops.activate("softplus", [800.0, 1000.0]), [800, 1000])
    np.testing.assert_array_equal(ops.derivative("softplus", [800.0, -800.0]), [1, 0])


@pytest.mark.defect("L7")
def test_gelu_has_the_slope_of_its_own_tanh_form():
    """The derivative of the exact form differs from that of the tanh form by up to 8.3e-4."""
    x, h = np.linspace(-4, 4, 801), 1e-6
    slope = (ops.activate("gelu", x + h) - ops.activate("gelu", x - h)) / (2 * h)
    np.testing.assert_allclose(ops.derivative("gelu", x), slope, atol=1e-9)


@pytest.mark.defect("L6")
def test_softmax_has_its_whole_jacobian(rng):
    x, dy = rng.normal(size=(2, 3, 5))
    y, saved = ops.activation("softmax", x)
    expected = [(np.diag(row) - np.outer(row, row)) @ d for row, d in zip(y, dy, strict=True)]
    np.testing.assert_allclose(ops.activation_backward("softmax", dy, saved), expected, atol=1e-15)


#: With parameters of their own: f and f', from the formulas of the module's head.
OWN = [
    ("leakyrelu", {"alpha": 0.3}, lambda x: np.where(x > 0, x, 0.3 * x), lambda x: np.where(x > 0, 1, 0.3)),
    ("leakyrelu", {"alpha": 0}, lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0)),
    (
        "elu",
        {"alpha": 2.5},
        lambda x: np.where(x > 0, x, 2.5 * np.expm1(x)),
        lambda x: np.where(x > 0, 1, 2.5 * np.exp(x)),
    ),
    (
        "swish",
        {"beta": 1.7},
        lambda x: x / (1 + np.exp(-1.7 * x)),
        lambda x: (1 + np.exp(-1.7 * x) * (1 + 1.7 * x)) / (1 + np.exp(-1.7 * x)) ** 2,
    ),
]


@pytest.mark.parametrize("name, parameters, f, slope", OWN)
def test_parameters(name, parameters, f, slope, dtype, isa, rng):
    x, dy = (2 * rng.normal(size=(2, 13, 11))).astype(dtype)
    wide, tolerance = x.astype(np.float64), {"rtol": 50 * np.finfo(dtype).eps, "atol": 8 * np.finfo(dtype).eps}
    y, d = ops.activate(name, x, **parameters), ops.derivative(name, x, **parameters)
    assert y.dtype == d.dtype == dtype
    np.testing.assert_allclose(y, f(wide), **tolerance)
    np.testing.assert_allclose(d, slope(wide), **tolerance)
    function = ops.with_parameters("test", name, parameters)
    z, g = x.copy(), dy.copy()
    in_place, saved = ops.activation(function, z, z)
    assert in_place is z and ops.activation_backward(function, g, saved, g) is g
    np.testing.assert_array_equal(z, y)
    np.testing.assert_array_equal(g, dy * d if name != "swish" else ops.activation_backward(function, dy, x))
    dx, sums = ops.activation_backward_sums(function, dy, saved)
    np.testing.assert_array_equal(dx, g)
    np.testing.assert_array_equal(sums, column_sums(g))


def test_parameters_of_the_default_are_the_default():
    assert ops.with_parameters("test", "leakyrelu", {"alpha": 0.01}) == "leakyrelu"
    assert ops.with_parameters("test", "tanh", {}) == "tanh"


@pytest.mark.parametrize(
    "name, parameters, message",
    [
        ("leakyrelu", {"slope": 0.1}, "leakyrelu: expected alpha, got slope"),
        ("tanh", {"alpha": 0.1}, "tanh: expected no parameters, got alpha"),
        ("elu", {"alpha": -1}, "alpha.*>= 0"),
        ("swish", {"beta": 0}, "beta.*> 0"),
        ("swish", {"beta": np.nan}, "beta"),
        ("elu", {"alpha": True}, "alpha"),
        ("elu", [0.1], "dict"),
        ("elus", {}, "one of relu"),
    ],
)
def test_bad_parameters(name, parameters, message):
    with pytest.raises(ConfigError, match=message):
        ops.with_parameters("Dense", name, parameters)
