"""Losses and metrics of the training functions, with numbers worked by hand."""

import math

import numpy as np
import pytest

from enilnets.errors import DataError, EnilnetsError, LabelError, ShapeError
from enilnets.sequence import accuracy, cross_entropy_loss, mse_loss, softmax


def test_cross_entropy_of_labels_and_one_hot_rows():
    """C1.1: log(1 + e) for logits 0 and 1 with the label of the smaller; labels and one-hot rows are the same."""
    logits = np.array([[0.0, 1.0], [2.0, 2.0]])
    expected = (math.log(1 + math.e) + math.log(2)) / 2
    assert cross_entropy_loss(logits, [0, 1]) == pytest.approx(expected, rel=1e-14)
    assert cross_entropy_loss(logits, np.array([[1.0, 0.0], [0.0, 1.0]])) == cross_entropy_loss(logits, [0, 1])
    sequences = np.stack([logits, logits])
    assert cross_entropy_loss(sequences, [[0, 1], [0, 1]]) == pytest.approx(expected, rel=1e-14)


def test_cross_entropy_of_large_logits():
    """C1.1: stable at 1e4; the loss of a certain right answer is near 0."""
    assert cross_entropy_loss([[1e4, -1e4]], [1]) == pytest.approx(2e4)
    assert cross_entropy_loss([[1e4, -1e4]], [0]) == 0


def test_cross_entropy_takes_logits_unless_told():
    """C3.8: perfect probabilities taken for logits cost log(1 + 2 / e), with from_logits=False nothing."""
    perfect, labels = np.eye(3), np.arange(3)
    assert cross_entropy_loss(perfect, labels) == pytest.approx(math.log(1 + 2 / math.e))
    assert cross_entropy_loss(perfect, labels, from_logits=False) == 0
    assert cross_entropy_loss([[0.25, 0.75]], [0], from_logits=False) == pytest.approx(math.log(4))


def test_cross_entropy_refuses_what_is_no_class():
    with pytest.raises(LabelError, match=r"cross_entropy_loss\(targets\).*2"):
        cross_entropy_loss([[0.0, 1.0]], [2])
    with pytest.raises(ShapeError):
        cross_entropy_loss([[0.0, 1.0]], [0, 1])


def test_mse():
    """C1.2: the mean over all elements, of equal shapes only."""
    assert mse_loss([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 4.0]]) == (4 + 9) / 4
    with pytest.raises(ShapeError, match="mse_loss"):
        mse_loss(np.zeros((2, 1)), np.zeros(2))


def test_softmax():
    """C1.2: along the last axis, whatever the size of the logits."""
    np.testing.assert_allclose(softmax([[[0.0, math.log(3)]]]), [[[0.25, 0.75]]], rtol=1e-15)
    np.testing.assert_array_equal(softmax([[1e4, 0.0], [-1e4, -1e4]]), [[1, 0], [0.5, 0.5]])


def test_accuracy():
    """C1.2: the fraction of right classes, from labels or one-hot rows."""
    predictions = [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]
    assert accuracy(predictions, [1, 0, 0, 0]) == 0.75
    assert accuracy(predictions, np.eye(2)[[1, 0, 0, 0]]) == 0.75


@pytest.mark.parametrize("loss", [cross_entropy_loss, mse_loss])
def test_bad_numbers_are_refused(loss):
    for bad in ([["a", "b"]], [[1j, 0]], []):
        with pytest.raises(EnilnetsError):
            loss(bad, bad)
    with pytest.raises(DataError, match=rf"{loss.__name__}\(predictions\)"):
        loss([[np.nan, 0.0]], [[1.0, 0.0]])


@pytest.mark.parametrize("bad", [3.0, ["a"], [np.nan, 0.0]])
def test_softmax_names_itself(bad):
    with pytest.raises(EnilnetsError, match=r"softmax\(logits\)"):
        softmax(bad)
