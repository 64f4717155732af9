"""Tasks: shapes, the rule of every target by another way, and that the same seed draws the same."""

import numpy as np
import pytest

from enilnets.errors import ConfigError
from enilnets.sequence import tasks

TASKS = [
    tasks.nth_farthest,
    tasks.object_tracking,
    tasks.pair_matching,
    tasks.babi_simple,
    tasks.adding_problem,
    tasks.copy_task,
    tasks.largest_of_last_step,
]


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_draws_the_same(task):
    (X, y), (X2, y2), (other, _) = task(20, rng=3), task(20, rng=3), task(20, rng=4)
    assert len(X) == len(y) == 20 and X.dtype == np.float64
    assert np.array_equal(X, X2) and np.array_equal(y, y2) and not np.array_equal(X, other)
    with pytest.raises(ConfigError, match="samples"):
        task(0)


def test_nth_farthest():
    """C2: label of the (n + 1)-th from the end in the order of the distances from the vector labelled m."""
    X, y = tasks.nth_farthest(50, vectors=4, dimensions=3, rng=0)
    assert X.shape == (50, 4, 15)
    for x, label in zip(X, y, strict=True):
        labels, n, m = x[:, 3:7].argmax(1), x[0, 7:11].argmax(), x[0, 11:].argmax()
        assert sorted(labels) == [0, 1, 2, 3] and (x[:, 7:] == x[0, 7:]).all()
        reference = x[list(labels).index(m), :3]
        distances = [np.linalg.norm(vector - reference) for vector in x[:, :3]]
        assert distances[list(labels).index(label)] == sorted(distances)[-(n + 1)]


def test_object_tracking():
    """C3.11: the object that is asked for has been seen, and the target is its last cell."""
    X, y = tasks.object_tracking(200, length=4, rng=0)
    assert X.shape == (200, 5, 8)
    for x, target in zip(X, y, strict=True):
        seen, asked = x[:-1, :3].argmax(1), x[-1, 5:].argmax()
        assert x[-1].sum() == 1 and (x[:-1, 5:] == 0).all()
        np.testing.assert_array_equal(target, x[np.flatnonzero(seen == asked)[-1], 3:5])
    assert tasks.object_tracking(20_000, rng=0)[1].var() == pytest.approx(0.08, rel=0.02)


def test_pair_matching():
    X, y = tasks.pair_matching(100, pairs=3, vocabulary=5, rng=0)
    assert X.shape == (100, 7, 6)
    for x, target in zip(X, y, strict=True):
        symbols = x[:, :5].argmax(1)
        first, second = list(symbols[:6:2]), symbols[1:6:2]
        assert len(set(first)) == 3 and x[:, 5].tolist() == [0] * 6 + [1]
        assert target == second[first.index(symbols[6])]
    with pytest.raises(ConfigError, match="pairs"):
        tasks.pair_matching(1, pairs=6, vocabulary=5)


def read(story):
    """Places, holder and place of the object after a story, fact by fact."""
    places, holder, left = {}, None, None
    for fact in story:
        who, what = fact[:5].argmax(), fact[5:8]
        if what[0]:
            places[who] = fact[8:].argmax()
        elif what[1]:
            holder, left = who, None
        elif what[2]:
            assert holder == who
            holder, left = None, places[who]
        else:
            assert not fact.any() and holder is None
    return places, holder, left


def test_babi_answerable():
    """C3.11: the object is where its holder is, or where it was put down."""
    X, y = tasks.babi_simple(300, rng=0)
    assert X.shape == (300, 5, 12)
    for story, answer in zip(X, y, strict=True):
        places, holder, left = read(story)
        assert answer == (left if holder is None else places[holder])


def test_babi_as_documented():
    """C3.11: where nobody holds the object the answer is a guess, so accuracy has a ceiling."""
    X, y = tasks.babi_simple(4000, answerable=False, rng=0)
    best = []
    for story, answer in zip(X, y, strict=True):
        places, holder, _ = read(story)
        assert answer in places.values() if holder is None else answer == places[holder]
        counts = np.bincount(list(places.values()))
        best.append(1.0 if holder is not None else counts.max() / counts.sum())
    assert tasks.babi_ceiling(rng=1) == pytest.approx(np.mean(best), abs=0.02)


def test_adding_problem():
    X, y = tasks.adding_problem(50, length=7, rng=0)
    np.testing.assert_allclose(y, (X[:, :, 0] * X[:, :, 1]).sum(1, keepdims=True))
    assert (X[:, :3, 1].sum(1) == 1).all() and (X[:, 3:, 1].sum(1) == 1).all()
    assert ((tasks.adding_problem(20_000, 10, rng=0)[1] - 1) ** 2).mean() == pytest.approx(1 / 6, rel=0.03)


def test_copy_task():
    X, y = tasks.copy_task(10, symbols=4, length=3, delay=5, rng=0)
    assert X.shape == (10, 11, 6) and y.shape == (10, 11)
    shown = X.argmax(2)
    np.testing.assert_array_equal(y[:, 8:], shown[:, :3])
    assert (shown[:, :3] < 4).all() and (y[:, :8] == 4).all()
    np.testing.assert_array_equal(shown[:, 3:], np.tile([4, 4, 4, 4, 5, 4, 4, 4], (10, 1)))


def test_largest_of_last_step():
    X, y = tasks.largest_of_last_step(40, length=2, features=5, classes=4, rng=0)
    assert all(x[-1, label] == x[-1, :4].max() for x, label in zip(X, y, strict=True))
    with pytest.raises(ConfigError, match="classes"):
        tasks.largest_of_last_step(1, features=2)


def test_rare_answerable_stories_are_found():
    """With many people and two facts, hardly one story in hundreds has somebody take the object."""
    X, y = tasks.babi_simple(20, facts=2, entities=400, locations=3, rng=0)
    assert X[:, :, 401].any(axis=1).all() and y.max() < 3
