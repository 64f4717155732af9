"""enilnets._ext.recurrent called directly: what is refused; results are in tests/reference/recurrent.py."""

import numpy as np
import pytest

from enilnets._ext import recurrent

#: Of an LSTM and a GRU: batch 2, time 3, n_in 4, hidden 5.
ROWS = {"lstm": (20, 20), "gru": (15, 20), "tanh": (5, 5)}


def forward_arguments(cell="lstm"):
    rows, width = ROWS[cell]
    return {
        "cell": cell,
        "y": np.zeros((2, 3, 5)),
        "gates": np.zeros((3, 2, width)),
        "hs": np.zeros((4, 2, 5)),
        "cs": np.zeros((4, 2, 5)) if cell == "lstm" else None,
        "xh": np.zeros((3, 2, 10)),
        "x": np.ones((2, 3, 4)),
        "w": np.ones((rows, 4)),
        "u": np.ones((rows, 5)),
        "b": np.ones(width),
        "mask": None,
        "lengths": None,
        "reset": None,
        "reverse": False,
    }


@pytest.mark.parametrize(
    "error, change",
    [
        (ValueError, {"cell": "rnn"}),
        (TypeError, {"cell": []}),
        (ValueError, {"y": np.zeros((3, 2, 5))}),
        (ValueError, {"gates": np.zeros((3, 2, 15))}),
        (ValueError, {"gates": np.zeros((2, 3, 20))}),
        (ValueError, {"hs": np.zeros((1, 2, 5))}),
        (ValueError, {"hs": np.zeros((4, 2, 0))}),
        (TypeError, {"cs": None}),
        (ValueError, {"cs": np.zeros((3, 2, 5))}),
        (ValueError, {"xh": np.zeros((3, 2, 9))}),
        (TypeError, {"x": None}),
        (TypeError, {"x": np.ones((2, 3, 4), np.float32)}),
        (ValueError, {"x": np.ones((3, 2, 4))}),
        (ValueError, {"x": np.ones((2, 4, 3)).transpose(0, 2, 1)}),
        (ValueError, {"w": np.ones((20, 5))}),
        (ValueError, {"u": np.ones((15, 5))}),
        (ValueError, {"b": np.ones(19)}),
        (ValueError, {"mask": np.ones((2, 4))}),
        (TypeError, {"lengths": np.array([1, 2], np.int32)}),
        (ValueError, {"lengths": np.array([1, 4])}),
        (ValueError, {"lengths": np.array([0, 3])}),
        (ValueError, {"lengths": np.array([3])}),
        (TypeError, {"reset": np.zeros((2, 3))}),
        (ValueError, {"reset": np.zeros((3, 2), bool)}),
    ],
)
def test_forward_refuses(error, change):
    with pytest.raises(error):
        recurrent.forward(**{**forward_arguments(), **change})


def test_an_lstm_alone_has_a_second_state():
    for cell in ("gru", "tanh"):
        recurrent.forward(**forward_arguments(cell))
        with pytest.raises(TypeError):
            recurrent.forward(**{**forward_arguments(cell), "cs": np.zeros((4, 2, 5))})


def backward_arguments():
    given = forward_arguments()
    recurrent.forward(**given)
    kept = {name: given[name] for name in ("cell", "gates", "hs", "cs", "u", "mask", "lengths", "reset", "reverse")}
    return {**kept, "dgates": np.zeros((3, 2, 20)), "dh": np.ones((2, 5)), "dc": np.ones((2, 5)), "dy": None}


@pytest.mark.parametrize(
    "error, change",
    [
        (ValueError, {"dgates": np.zeros((3, 2, 15))}),
        (ValueError, {"dh": np.zeros((2, 4))}),
        (TypeError, {"dc": None}),
        (ValueError, {"dc": np.zeros((3, 5))}),
        (ValueError, {"dy": np.zeros((3, 2, 5))}),
        (TypeError, {"dy": np.zeros((2, 3, 5), np.float32)}),
        (ValueError, {"u": np.ones((20, 4))}),
        (ValueError, {"mask": np.ones((5, 2))}),
        (ValueError, {"lengths": np.array([9, 1])}),
    ],
)
def test_backward_refuses(error, change):
    given = backward_arguments()
    recurrent.backward(**given)
    with pytest.raises(error):
        recurrent.backward(**{**given, **change})
    with pytest.raises(ValueError):  # what is read would be written
        recurrent.backward(**{**given, "dgates": given["gates"]})


@pytest.mark.parametrize(
    "error, change",
    [
        (TypeError, {"dw": None}),
        (ValueError, {"dw": np.zeros((20, 5))}),
        (ValueError, {"du": np.zeros((20, 4))}),
        (ValueError, {"db": np.zeros(15)}),
        (ValueError, {"dx": np.zeros((3, 2, 4))}),
        (ValueError, {"xh": np.zeros((3, 2, 9))}),
        (ValueError, {"w": np.zeros((15, 4))}),
        (ValueError, {"lengths": np.array([9, 1])}),
    ],
)
def test_gradients_refuses(error, change):
    given = {
        "cell": "lstm",
        "dw": np.zeros((20, 4)),
        "du": np.zeros((20, 5)),
        "db": np.zeros(20),
        "dx": np.zeros((2, 3, 4)),
        "dgates": np.ones((3, 2, 20)),
        "hs": np.zeros((4, 2, 5)),
        "xh": np.ones((3, 2, 10)),
        "w": np.ones((20, 4)),
        "lengths": None,
        "reverse": False,
    }
    recurrent.gradients(**given)
    assert (given["dw"] == 6).all() and (given["dx"] == 20).all()  # six ones, and twenty
    with pytest.raises(error):
        recurrent.gradients(**{**given, **change})
