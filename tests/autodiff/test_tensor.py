"""Tensors beside arrays and numbers: values, dtypes, shapes, what they say and what they refuse."""

import copy
import operator
import pickle

import numpy as np
import pytest

from enilnets import autodiff as ad
from enilnets.autodiff import Parameter, Tensor, grad
from enilnets.errors import ConfigError, DataError, DTypeError, ShapeError, StateError
from enilnets.layers import Dense
from enilnets.parameters import Parameter as StoredParameter

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


@pytest.mark.parametrize("operate", OPERATORS)
@pytest.mark.parametrize("other", [2, 2.5, True, np.float64(1.5), np.array([3.0, 4.0]), np.array(2), [1.0, 2.0]])
def test_operators_take_numbers_and_arrays_on_both_sides(operate, other):
    values = np.array([[1.5, 2.0], [0.5, 3.0]])
    x = Tensor(values, requires_grad=True)
    for y, want in ((operate(x, other), operate(values, other)), (operate(other, x), operate(other, values))):
        assert type(y) is Tensor and y.requires_grad
        np.testing.assert_allclose(y.data, want)
    single = Tensor(values, dtype="float32", requires_grad=True)
    wide = isinstance(other, (np.ndarray, list)) and np.asarray(other).dtype == np.float64
    assert operate(single, other).dtype == operate(other, single).dtype == (np.float64 if wide else np.float32)
    operate(single, other).sum().backward()
    assert single.grad.dtype == np.float32


def test_matmul_with_arrays_on_both_sides():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    x, y = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    for z in (x @ b, a @ y, x @ y):
        assert np.array_equal(z.data, a @ b) and z.requires_grad
    assert (Tensor([[1, 2]]) @ Tensor([[3], [4]])).tolist() == [[11]]


def test_comparisons_give_plain_arrays():
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        for other in (2.0, np.array([3.0, 2.0, 1.0]), Tensor([3.0, 2.0, 1.0])):
            got = compare(x, other)
            want = compare(x.data, other.data if isinstance(other, Tensor) else other)
            assert type(got) is np.ndarray and got.dtype == bool and np.array_equal(got, want)
    assert x in {x: 1} and x[x > 1.5].tolist() == [2, 3]


def test_functions_of_plain_arrays_give_plain_arrays():
    assert type(ad.exp(np.ones(2))) is np.ndarray and ad.add(1, 2) == 3
    assert np.array_equal(ad.reshape([1, 2], (2, 1)), [[1], [2]])
    assert ad.softmax(np.zeros(2)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
def test_empty_arrays(shape):
    x = Tensor(np.zeros(shape), requires_grad=True)
    y = ad.exp(x * 2 + 1).sum() + ad.square(x).sum(0).sum() + ad.concatenate([x, x]).reshape(-1).sum()
    y.backward()
    assert float(y) == 0 and x.grad.shape == shape
    assert ad.prod(x).item() == 1.0 and ad.cumsum(x).shape == (0,)
    for function in (ad.mean, ad.max, ad.min, ad.var, ad.logsumexp):
        with pytest.raises(DataError, match=r"at least one element|more than 0"):
            function(x)
    a, b = Tensor(np.zeros((2, 0)), requires_grad=True), Tensor(np.zeros((0, 3)), requires_grad=True)
    (a @ b).sum().backward()
    assert (a @ b).tolist() == [[0] * 3] * 2 and a.grad.shape == (2, 0) and b.grad.shape == (0, 3)


def test_single_numbers():
    x = Tensor(3.0, requires_grad=True)
    y = ad.exp(x) + x.sum() + x.max() + x.reshape(1)[0] + ad.stack([x, x]).mean()
    assert type(y.data) is np.ndarray and y.shape == () and y.ndim == 0
    y.backward()
    assert type(x.grad) is np.ndarray and x.grad.shape == ()
    assert float(x) == 3 and int(x) == 3 and x.item() == 3 and f"{x:.2f}" == "3.00" and bool(x)
    single = Tensor(np.float32(3), requires_grad=True)
    assert (single * 2.0).dtype == (2 / single).dtype == (single + np.float64(1)).dtype == np.float32


def test_as_an_array():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(x) == 2 and x.size == 4 and [row.tolist() for row in x] == [[1, 2], [3, 4]]
    assert x.numpy() is x.data and np.asarray(x) is x.data and np.array(x) is not x.data
    assert x.T.shape == x.transpose(1, 0).shape == (2, 2) and x.argmax() == 3 and x.argmin(0).tolist() == [0, 0]
    assert x.astype("float32").dtype == np.float32 and x.astype("float64") is x
    assert x.astype(int).dtype.kind == "i" and not x.astype(int).requires_grad
    with pytest.raises(ShapeError, match="at least one axis"):
        iter(Tensor(1.0))


def test_repr_says_what_it_is():
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "Tensor([1., 2.], requires_grad=True)"
    assert repr(Tensor([1, 2])) == f"Tensor([1, 2], dtype={np.dtype(int)})"
    assert repr(x * 2) == "Tensor([2., 4.], result of multiply)"
    assert "of a Parameter" in repr(Tensor(Parameter([1.0])))
    assert repr(Parameter([1.0])) == "Parameter([1.])"
    assert len(repr(Tensor(np.zeros((1000, 1000))))) < 500
    assert f"{x}" == repr(x)


@pytest.mark.parametrize(
    "act, error, message",
    [
        (lambda x: bool(x), ShapeError, r"bool\(Tensor\).*any"),
        (lambda x: float(x), ShapeError, r"float\(Tensor\)"),
        (lambda x: operator.setitem(x, 0, 1.0), StateError, r"where\(mask, new, old\)"),
        (lambda x: np.exp(x), TypeError, "ufunc"),
        (lambda x: np.concatenate([x, x]), DTypeError, r"numpy.concatenate.*autodiff.concatenate"),
        (lambda x: x.reshape(5), ShapeError, r"reshape\(shape\).*\(2, 3\)"),
        (lambda x: x.transpose(0, 0), ShapeError, "every axis of 2 once"),
        (lambda x: x.swapaxes(0, 2), ShapeError, r"axis in \[-2, 2\)"),
        (lambda x: x.sum(2), ShapeError, r"sum\(axis\)"),
        (lambda x: x.sum((0, 0)), ShapeError, r"sum\(axis\)"),
        (lambda x: x.mean("rows"), DTypeError, r"mean\(axis\)"),
        (lambda x: ad.flip(x, 0.5), DTypeError, r"flip\(axis\)"),
        (lambda x: x.squeeze(0), ShapeError, "axes of size 1"),
        (lambda x: x @ x, ShapeError, r"matmul.*\(2, 3\) and \(2, 3\)"),
        (lambda x: x @ 2.0, ShapeError, "matmul"),
        (lambda x: x + np.ones(4), ShapeError, r"add.*\(2, 3\).*\(4,\)"),
        (lambda x: x[5], ShapeError, r"getitem.*\(2, 3\)"),
        (lambda x: x["a"], ShapeError, "getitem"),
        (lambda x: x + "a", DTypeError, "real numbers"),
        (lambda x: x * 1j, DTypeError, "real numbers"),
        (lambda x: x + None, DTypeError, "real numbers"),
        (lambda x: ad.concatenate([x, np.ones((2, 3, 1))]), ShapeError, "concatenate"),
        (lambda x: ad.concatenate([]), ShapeError, "concatenate"),
        (lambda x: ad.concatenate([x, x], 2), ShapeError, "concatenate"),
        (lambda x: ad.stack([x, x[0]]), ShapeError, "all of one shape"),
        (lambda x: ad.split(x, 2, 1), ShapeError, "divides 3"),
        (lambda x: x.reshape("a"), ShapeError, r"reshape\(shape\)"),
        (lambda x: x[slice("a")], ShapeError, "getitem"),
        (lambda x: ad.split(x, 1.5), DTypeError, r"split\(sections\)"),
        (lambda x: ad.expand_dims(x, 1.5), DTypeError, r"expand_dims\(axis\)"),
        (lambda x: ad.stack([x, x], 0.5), DTypeError, r"\(axis\)"),
        (lambda x: ad.pad(x, -1), ConfigError, ">= 0"),
        (lambda x: ad.pad(x, 1.5), DTypeError, r"pad\(pad_width\).*integers"),
        (lambda x: ad.pad(x, ((1, 1),) * 3), ShapeError, r"pad\(pad_width\).*2 axes"),
        (lambda x: ad.broadcast_to(x, 2), ShapeError, "broadcast_to"),
        (lambda x: ad.clip(x, np.zeros(5), None), ShapeError, r"clip\(low\).*\(2, 3\).*\(5,\)"),
        (lambda x: ad.clip(x, None, np.zeros((4, 2, 3))), ShapeError, r"clip\(high\)"),
        (lambda x: ad.clip(x, "a", None), DTypeError, r"clip\(low\)"),
        (lambda x: ad.where(np.ones(5, bool), x, 0.0), ShapeError, r"where.*\(5,\), \(2, 3\), \(\)"),
        (lambda x: ad.einsum(3, x), DTypeError, "einsum"),
        (lambda x: ad.gradcheck(lambda x: x.tolist(), x.data), DTypeError, "gradcheck.*list"),
        (lambda x: ad.broadcast_to(x, (3, 3)), ShapeError, "broadcast_to"),
        (lambda x: ad.clip(x, None, None), ConfigError, "low, high or both"),
        (lambda x: ad.activate("nothing", x), ConfigError, "relu, leakyrelu"),
        (lambda x: ad.activate("relu", x, alpha=1.0), ConfigError, "alpha"),
        (lambda x: ad.softmax(x, 2), ShapeError, "softmax"),
        (lambda x: ad.einsum("ij", x, x), ConfigError, "letters for 2 operands"),
        (lambda x: ad.einsum("ijk", x), ShapeError, "as many axes"),
        (lambda x: ad.einsum("ij->ik", x), ConfigError, "every letter"),
        (lambda x: ad.einsum("ij,ij", x, x.T), ShapeError, "one size per letter"),
        (lambda x: ad.exp(StoredParameter(np.ones(2))), DTypeError, r"Tensor\(parameter\)"),
        (lambda x: ad.loss("mse", x, x), StateError, r"loss\(target\).*detach"),
        (lambda x: ad.loss("other", x, x.data), ConfigError, "one of mse"),
        (lambda x: grad(ad.loss("mae", x, x.data), x, create_graph=True), StateError, "create_graph through loss.*mae"),
        (lambda x: ad.apply(Dense(4, 2, rng=0), x), ShapeError, r"Dense\(4 -> 2\)"),
        (lambda x: pickle.dumps(x * 2), StateError, "detach"),
        (lambda x: copy.deepcopy(x * 2), StateError, "detach"),
        (lambda x: Tensor("text"), DTypeError, r"Tensor\(data\)"),
        (lambda x: Tensor([[1], [1, 2]]), DTypeError, "rectangular"),
        (lambda x: Tensor(1j), DTypeError, "real numbers"),
        (lambda x: Tensor(np.ones(2, np.float16)), DTypeError, "dtype="),
        (lambda x: Tensor(1.0, requires_grad=1), ConfigError, "True or False"),
        (lambda x: Parameter([np.nan]), DataError, "finite"),
    ],
)
def test_refusals(act, error, message):
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(error, match=message):
        act(x)


def test_copies_and_pickles_stand_alone():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.requires_grad and np.array_equal(twin.data, x.data)
        twin.data[0] = 9
        assert x.data[0] == 1
    w = Parameter([1.0], penalised=True)
    w.frozen = True
    for twin in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert type(twin) is Parameter and twin.penalised and twin.frozen and twin.value is not w.value


def test_plain_parameters_work_beside_tensors():
    """The parameters of layers, in expressions with Tensors and arrays of Tensors."""
    layer = Dense(2, 3, "linear", rng=0)
    w, b = layer.parameters["weights"], layer.parameters["bias"]
    x = Tensor(np.ones((4, 2)), requires_grad=True)
    by_hand = x @ Tensor(w).T + b
    assert np.array_equal(by_hand.data, layer(x).data)
    by_hand.sum().backward()
    assert np.array_equal(layer["d_bias"], [4, 4, 4]) and layer["d_weights"].tolist() == [[4, 4]] * 3
    assert (b * x[0, 0]).requires_grad and (2.0 * Tensor(b)).requires_grad


def test_ties_share_the_gradient():
    x = Tensor([1.0, 3.0, 3.0], requires_grad=True)
    assert grad(ad.max(x), x).tolist() == [0, 0.5, 0.5]
    a, b = Tensor([2.0, 1.0], requires_grad=True), Tensor([2.0, 5.0], requires_grad=True)
    assert [g.tolist() for g in grad(ad.maximum(a, b).sum(), [a, b])] == [[0.5, 0], [0.5, 1]]
    assert grad(abs(Tensor(0.0)) + 0 * x.sum(), x).tolist() == [0, 0, 0]


def test_edges_of_powers_and_logarithms():
    x = Tensor([0.0, 2.0], requires_grad=True)
    assert grad((x**1).sum() + (x**0).sum(), x).tolist() == [1, 1]
    p = Tensor([2.0, 3.0], requires_grad=True)
    assert grad((x.detach() ** p).sum(), p).tolist() == [0, 8 * np.log(2)]
    assert ad.logsumexp(Tensor([-np.inf, -np.inf])).item() == -np.inf
    big = Tensor([1000.0, 1000.0], requires_grad=True)
    assert grad(ad.logsumexp(big), big).tolist() == [0.5, 0.5]
    assert ad.log_softmax(Tensor([0.0, -2000.0])).tolist() == [0, -2000]
