"""enilnets._ext.chain called directly: what it must refuse."""

import numpy as np
import pytest

from enilnets._ext import chain
from enilnets.ops.isa import current
from enilnets.parameters import Parameter

NAMES = ["baseline", "avx2", "avx512"]


def dense(n_in, n_out, dtype, **change):
    weights, bias = Parameter(np.ones((n_out, n_in), dtype)), Parameter(np.ones(n_out, dtype))
    node = dict(
        kind="dense",
        n_in=n_in,
        n_out=n_out,
        activation="relu",
        arrays=(weights.value, bias.value),
        gradients=(weights, bias),
        batch=False,
        eps=0.0,
        momentum=0.0,
    )
    return tuple({**node, **change}.values())


def norm(n, dtype, **change):
    gamma, beta = Parameter(np.ones(n, dtype)), Parameter(np.ones(n, dtype))
    arrays = (gamma.value, beta.value, np.zeros(n, dtype), np.ones(n, dtype))
    return dense(n, n, dtype, **{**dict(kind="batchnorm", activation="linear", arrays=arrays), **change})


def plain(kind, n, dtype, **change):
    still = dict(kind=kind, arrays=(), gradients=(None, None), activation="linear")
    return dense(n, change.pop("n_out", n), dtype, **{**still, **change})


def program(dtype):
    gamma, beta = Parameter(np.ones(4, dtype)), Parameter(np.ones(4, dtype))
    arrays = (gamma.value, beta.value, np.zeros(4, dtype), np.ones(4, dtype))
    node = ("batchnorm", 4, 4, "linear", arrays, (gamma, beta), True, 1e-5, 0.1)
    return chain.Program([dense(3, 4, dtype), node, dense(4, 2, dtype)], dtype)


def test_a_program_has_its_sizes(dtype):
    made = program(dtype)
    assert (len(made), made.n_in, made.n_out, made.dtype) == (3, 3, 2, dtype)
    assert made.infer(np.ones((5, 3), dtype)).shape == (5, 2)


@pytest.mark.parametrize(
    "change",
    [
        dict(kind="dens"),
        dict(kind=None),
        dict(activation="rel"),
        dict(activation=3),
        dict(n_in=4),
        dict(n_out=5),
        dict(n_in=-1),
        dict(n_in="3"),
        dict(n_in=2**70),
        dict(arrays=()),
        dict(arrays=(np.ones((4, 3)),)),
        dict(arrays=(None, None)),
        dict(arrays=(np.ones((4, 3), int), None)),
        dict(arrays=(np.ones((3, 4)).T, None)),
        dict(arrays=(np.ones((4, 3)), np.ones(3))),
        dict(arrays=(np.ones((4, 3), np.float16), None)),
        dict(arrays=3),
        dict(gradients=()),
        dict(gradients=(None, Parameter(np.ones(4)))),
        dict(gradients=(Parameter(np.ones((3, 4))), None)),
        dict(gradients=(Parameter(np.ones((4, 3))), Parameter(np.ones(3)))),
        dict(gradients=(3, None)),
        dict(eps="small"),
    ],
    ids=str,
)
def test_nodes_that_do_not_fit_are_refused(change):
    with pytest.raises((TypeError, ValueError, AttributeError, OverflowError)):
        chain.Program([dense(3, 4, np.dtype(float), **change)], float)


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [()],
        None,
        [dense(3, 4, np.dtype(float)), dense(3, 4, np.dtype(float))],
        [dense(3, 4, np.dtype(float)), plain("activation", 3, np.dtype(float))],
        [dense(3, 4, np.dtype(np.float32))],
        [plain("activation", 3, np.dtype(float), n_out=4)],
        [plain("identity", 3, np.dtype(float), activation="relu")],
        [plain("identity", 3, np.dtype(float), arrays=(np.ones(3),))],
        [plain("activation", 3, np.dtype(float), gradients=(Parameter(np.ones(3)), None))],
        [norm(3, np.dtype(float), arrays=(np.ones(3),) * 3)],
        [norm(3, np.dtype(float), arrays=(np.ones(3), None, np.ones(3), np.ones(3)))],
        [norm(3, np.dtype(float), activation="relu")],
        [norm(3, np.dtype(float), gradients=(Parameter(np.ones(3)), None))],
    ],
)
def test_chains_that_do_not_fit_are_refused(nodes):
    with pytest.raises((TypeError, ValueError)):
        chain.Program(nodes, float)


@pytest.mark.parametrize("dtype", ["float16", "int32", "complex128", object])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError):
        chain.Program([dense(3, 4, np.dtype(float))], dtype)


BAD_INPUTS = [
    (TypeError, lambda x: x.tolist()),
    (TypeError, lambda x: x.astype(np.float16)),
    (TypeError, lambda x: x.astype(np.float32 if x.dtype == np.float64 else np.float64)),
    (ValueError, lambda x: x[0]),
    (ValueError, lambda x: x[:, :2].copy()),
    (ValueError, lambda x: np.asfortranarray(x)),
    (ValueError, lambda x: x[None]),  # a normalisation takes rows only
    (TypeError, lambda x: None),
]


@pytest.mark.parametrize("error, change", BAD_INPUTS)
def test_inputs_that_do_not_fit_are_refused(error, change, dtype):
    x = change(np.ones((5, 3), dtype))
    with pytest.raises(error):
        program(dtype).infer(x)
    with pytest.raises(error):
        program(dtype).forward(x, True, False)


@pytest.mark.parametrize("x", [None, 3, [1.0], np.ones((2, 3), int), np.ones((2, 3), np.float16), np.ones((3, 2)).T])
def test_what_needs_a_closer_look_gives_none(x, dtype):
    assert program(dtype).act(x) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_give_none(bad, dtype):
    x = np.ones((5, 3), dtype)
    x[3, 1] = bad
    assert program(dtype).act(x) is None


@pytest.mark.parametrize(
    "error, change, how",
    [
        (TypeError, lambda dy: dy.tolist(), {}),
        (TypeError, lambda dy: dy.astype(np.float16), {}),
        (ValueError, lambda dy: dy[:4], {}),
        (ValueError, lambda dy: dy[:, :1].copy(), {}),
        (ValueError, lambda dy: np.asfortranarray(dy), {}),
        (ValueError, lambda dy: dy, dict(lowest=-1)),
        (ValueError, lambda dy: dy, dict(lowest=4)),
        (ValueError, lambda dy: dy, dict(lowest=1, inputs=True)),
    ],
)
def test_gradients_that_do_not_fit_are_refused(error, change, how, dtype):
    made = program(dtype).forward(np.ones((5, 3), dtype), True, False)
    with pytest.raises(error):
        made.backward(change(np.ones((5, 2), dtype)), **how)
    assert made.backward(np.ones((5, 2), dtype), inputs=True).shape == (5, 3)


def test_what_a_pass_keeps(dtype):
    made = program(dtype).forward(np.ones((5, 3), dtype), True, True)
    assert made.kept(0)["z"].shape == made.kept(1)["x"].shape == (5, 4)
    assert made.kept(1)["mean"].shape == (4,)
    for i in (-1, 3):
        with pytest.raises(IndexError):
            made.kept(i)
    view = made.kept(0)["y"]
    del made
    assert (view == 4).all()


def test_empty_batches(dtype):
    made = chain.Program([dense(3, 4, dtype)], dtype)
    assert made.infer(np.ones((0, 3), dtype)).shape == (0, 4)
    passed = made.forward(np.ones((0, 3), dtype), True, False)
    assert passed.backward(np.ones((0, 4), dtype), inputs=True).shape == (0, 3)


def test_classes_made_by_hand_do_nothing():
    with pytest.raises(TypeError):
        chain.Program()
    with pytest.raises((TypeError, ValueError, RuntimeError, AttributeError)):
        chain.Pass().backward(np.ones((1, 1)))
    with pytest.raises((TypeError, IndexError)):
        chain.Pass().kept(0)


@pytest.mark.parametrize("number", [-1, len(NAMES), 99])
def test_select_refuses_unknown_instruction_sets(number):
    with pytest.raises(ValueError, match=f"got number {number}"):
        chain.select(number)
    chain.select(NAMES.index(current()))
