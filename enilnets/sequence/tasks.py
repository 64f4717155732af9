"""Tasks for models over sequences, drawn at random: each function returns inputs (samples, time, features) and targets.

Every task is one call and draws all samples at once. Inputs are float64, class labels int64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..errors import ConfigError

__all__ = [
    "adding_problem",
    "babi_ceiling",
    "babi_simple",
    "copy_task",
    "largest_of_last_step",
    "nth_farthest",
    "object_tracking",
    "pair_matching",
]

Task = tuple[np.ndarray, np.ndarray]


def _sizes(where: str, **sizes: Any) -> list[int]:
    return [checks.size(where, name, value) for name, value in sizes.items()]


def nth_farthest(samples: int, vectors: int = 8, dimensions: int = 16, *, rng: Any = None) -> Task:
    """Which vector is the n-th farthest from vector m?

    Parameters
    ----------
    samples, vectors, dimensions : int >= 1
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    X : ndarray (samples, vectors, dimensions + 3 vectors)
        At each step a vector from [-1, 1), its label, and n and m, the same at every step, one-hot.
    y : ndarray (samples,)
        The label of the vector that is the n-th farthest from the one with the label m, n from 0.

    Notes
    -----
    Santoro et al. (2018), section 4.1. Labels are a random permutation; m itself is the last, at distance 0. Who
    answers m where n is the last and guesses elsewhere is right in 2 of ``vectors`` cases.

    Examples
    --------
    >>> X, y = nth_farthest(4, vectors=3, dimensions=1, rng=0)
    >>> X.shape, y.shape
    ((4, 3, 10), (4,))
    """
    samples, k, d = _sizes("nth_farthest", samples=samples, vectors=vectors, dimensions=dimensions)
    rng = checks.generator("nth_farthest", rng)
    places = rng.uniform(-1, 1, (samples, k, d))
    labels = rng.permuted(np.tile(np.arange(k), (samples, 1)), axis=1)
    n, m = rng.integers(0, k, (2, samples))
    rows, one_hot = np.arange(samples), np.eye(k)
    question = np.broadcast_to(np.hstack([one_hot[n], one_hot[m]])[:, None], (samples, k, 2 * k))
    reference = places[rows, np.argmax(labels == m[:, None], axis=1)]
    order = np.argsort(np.square(places - reference[:, None]).sum(axis=2), axis=1)
    return np.concatenate([places, one_hot[labels], question], axis=2), labels[rows, order[rows, k - 1 - n]]


def object_tracking(samples: int, length: int = 15, objects: int = 3, grid: int = 5, *, rng: Any = None) -> Task:
    """Where was the object that is asked for seen last?

    Parameters
    ----------
    samples : int >= 1
    length : int >= 1
        Sightings; the question follows them.
    objects, grid : int >= 1
        Number of objects, and cells along each side of the square that they are in.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    X : ndarray (samples, length + 1, 2 objects + 2)
        At each step an object that is seen, one-hot, and its cell as two numbers from 0 to ``1 - 1 / grid``; in the
        last step nothing but the object that is asked for, one-hot in the last columns.
    y : ndarray (samples, 2)
        The last cell of that object, which has been seen: every question can be answered.

    Notes
    -----
    Each sighting is of any object at any cell. A constant is wrong by ``(grid² - 1) / (12 grid²)`` in the mean square:
    0.08 with 5 cells.
    """
    samples, length, objects, grid = _sizes(
        "object_tracking", samples=samples, length=length, objects=objects, grid=grid
    )
    rng = checks.generator("object_tracking", rng)
    seen = rng.integers(0, objects, (samples, length))
    cells = rng.integers(0, grid, (samples, length, 2)) / grid
    rows = np.arange(samples)
    chances = np.where((seen[:, :, None] == np.arange(objects)).any(axis=1), rng.random((samples, objects)), -1.0)
    asked = chances.argmax(axis=1)  # any of the objects that were seen
    last = length - 1 - np.argmax(seen[:, ::-1] == asked[:, None], axis=1)
    X = np.zeros((samples, length + 1, 2 * objects + 2))
    X[:, :-1, :objects] = np.eye(objects)[seen]
    X[:, :-1, objects : objects + 2] = cells
    X[:, -1, objects + 2 :] = np.eye(objects)[asked]
    return X, cells[rows, last]


def pair_matching(samples: int, pairs: int = 2, vocabulary: int = 16, *, rng: Any = None) -> Task:
    """Which symbol came behind this one?

    Parameters
    ----------
    samples, pairs : int >= 1
    vocabulary : int >= pairs
        Number of symbols.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    X : ndarray (samples, 2 pairs + 1, vocabulary + 1)
        The symbols of all pairs one after the other, one-hot; then the first symbol of one of them, with a 1 in the
        last column that marks the question.
    y : ndarray (samples,)
        The second symbol of that pair. First symbols are different from one another, second ones are any.

    Raises
    ------
    ConfigError
        If there are more pairs than symbols.
    """
    samples, pairs, vocabulary = _sizes("pair_matching", samples=samples, pairs=pairs, vocabulary=vocabulary)
    rng = checks.generator("pair_matching", rng)
    if pairs > vocabulary:
        raise ConfigError("pair_matching(pairs)", f"an integer <= vocabulary, {vocabulary}", str(pairs))
    first = np.argsort(rng.random((samples, vocabulary)), axis=1)[:, :pairs]
    second = rng.integers(0, vocabulary, (samples, pairs))
    asked, rows = rng.integers(0, pairs, samples), np.arange(samples)
    X = np.zeros((samples, 2 * pairs + 1, vocabulary + 1))
    symbols = np.stack([first, second], axis=2).reshape(samples, -1)
    X[:, :, :vocabulary] = np.eye(vocabulary)[np.column_stack([symbols, first[rows, asked]])]
    X[:, -1, -1] = 1
    return X, second[rows, asked]


def babi_simple(
    samples: int, facts: int = 5, entities: int = 5, locations: int = 4, answerable: bool = True, *, rng: Any = None
) -> Task:
    """Where is the object, after people went to places, took it and put it down?

    Parameters
    ----------
    samples, entities, locations : int >= 1
    facts : int >= 2
    answerable : bool, default True
        Only stories in which somebody took the object: it is where its holder is, or where it was put down. Without,
        the answer is the holder's place, and where nobody holds the object it is the place of anybody whose place is
        known: what no model can know, see ``babi_ceiling``.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    X : ndarray (samples, facts, entities + 3 + locations)
        A fact per step, one-hot: who, what (goes, takes, puts down), and where for who goes. A step at which somebody
        would put down what nobody has is blank.
    y : ndarray (samples,)
        The place.

    Notes
    -----
    After tasks 1 and 2 of Weston et al. (2015). A person whose place is not known goes somewhere; others go with chance
    1/2, take the object, also from another person, with 1/4, and with 1/4 whoever has it puts it down.
    """
    rng = checks.generator("babi_simple", rng)
    X, chances = _stories("babi_simple", samples, facts, entities, locations, answerable, rng)
    return X, (rng.random((len(X), 1)) < chances.cumsum(axis=1)).argmax(axis=1)


def babi_ceiling(
    samples: int = 100_000, facts: int = 5, entities: int = 5, locations: int = 4, *, rng: Any = None
) -> float:
    """Return the best accuracy that any model can have on ``babi_simple(answerable=False)``, over so many stories."""
    rng = checks.generator("babi_ceiling", rng)
    return float(_stories("babi_ceiling", samples, facts, entities, locations, False, rng)[1].max(axis=1).mean())


def _stories(
    where: str, samples: Any, facts: Any, entities: Any, locations: Any, answerable: Any, rng: np.random.Generator
) -> Task:
    """Facts, and for every story the chance of each place to be the answer."""
    samples, entities, locations = _sizes(where, samples=samples, entities=entities, locations=locations)
    facts, answerable = checks.integer(where, "facts", facts, 2), checks.flag(where, "answerable", answerable)
    X, chances, open_end = _any_stories(samples, facts, entities, locations, answerable, rng)
    missing = np.flatnonzero(open_end)
    while answerable and len(missing):
        X[missing], chances[missing], open_end = _any_stories(len(missing), facts, entities, locations, True, rng)
        missing = missing[open_end]
    return X, chances


def _any_stories(
    samples: int, facts: int, entities: int, locations: int, answerable: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Facts, the chances of all places, and whether the place of the object is open."""
    rows = np.arange(samples)
    places = np.full((samples, entities), -1)  # -1: not known; nobody; nowhere
    holder, left = np.full(samples, -1), np.full(samples, -1)
    X = np.zeros((samples, facts, entities + 3 + locations))
    for t in range(facts):
        who, chance, target = (
            rng.integers(0, entities, samples),
            rng.random(samples),
            rng.integers(0, locations, samples),
        )
        goes = (places[rows, who] < 0) | (chance < 0.5)
        takes = ~goes & (chance < 0.75)
        puts = ~goes & ~takes & (holder >= 0)
        who = np.where(puts, holder, who)
        X[rows, t, who] = goes | takes | puts
        X[:, t, entities : entities + 3] = np.column_stack([goes, takes, puts])
        X[rows, t, entities + 3 + target] = goes
        places[rows, who] = np.where(goes, target, places[rows, who])
        left = np.where(puts, places[rows, holder], np.where(takes, -1, left))
        holder = np.where(puts, -1, np.where(takes, who, holder))
    place = np.where(holder >= 0, places[rows, holder], left if answerable else -1)
    seen = (places[:, :, None] == np.arange(locations)).sum(axis=1)
    chances = np.where(place[:, None] < 0, seen / seen.sum(axis=1, keepdims=True), np.eye(locations)[place])
    return X, chances, place < 0


def adding_problem(samples: int, length: int = 50, *, rng: Any = None) -> Task:
    """What is the sum of the two numbers that are marked?

    Parameters
    ----------
    samples : int >= 1
    length : int >= 2
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    X : ndarray (samples, length, 2)
        At each step a number from [0, 1) and a mark: 1 at one step of the first half and one of the second, else 0.
    y : ndarray (samples, 1)

    Notes
    -----
    Hochreiter & Schmidhuber (1997), section 5.4. The constant 1 is wrong by 1/6 in the mean square.
    """
    (samples,) = _sizes("adding_problem", samples=samples)
    length, rng = checks.integer("adding_problem", "length", length, 2), checks.generator("adding_problem", rng)
    X, rows = np.zeros((samples, length, 2)), np.arange(samples)
    X[:, :, 0] = rng.random((samples, length))
    first, second = rng.integers(0, length // 2, samples), rng.integers(length // 2, length, samples)
    X[rows, first, 1] = X[rows, second, 1] = 1
    return X, (X[rows, first, 0] + X[rows, second, 0])[:, None]


def copy_task(samples: int, symbols: int = 8, length: int = 5, delay: int = 10, *, rng: Any = None) -> Task:
    """Which symbols were there, in their order, a while ago?

    Parameters
    ----------
    samples, symbols, length, delay : int >= 1
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    X : ndarray (samples, 2 length + delay, symbols + 2)
        One-hot: ``length`` symbols, then blanks, class ``symbols``, but for a sign, class ``symbols + 1``, at the last
        step of the delay.
    y : ndarray (samples, 2 length + delay)
        The class of every step: blank until after the sign, then the symbols.

    Notes
    -----
    Hochreiter & Schmidhuber (1997) and Arjovsky et al. (2016), section 4.1.
    """
    samples, symbols, length, delay = _sizes("copy_task", samples=samples, symbols=symbols, length=length, delay=delay)
    shown = checks.generator("copy_task", rng).integers(0, symbols, (samples, length))
    steps = np.full((2, samples, 2 * length + delay), symbols)
    steps[0, :, :length], steps[1, :, -length:] = shown, shown
    steps[0, :, length + delay - 1] = symbols + 1
    return np.eye(symbols + 2)[steps[0]], steps[1]


def largest_of_last_step(
    samples: int, length: int = 10, features: int = 10, classes: int = 3, *, rng: Any = None
) -> Task:
    """Which of the first features is the largest at the last step?

    Parameters
    ----------
    samples, length, features : int >= 1
    classes : int <= features
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    X : ndarray (samples, length, features)
        Normal deviates.
    y : ndarray (samples,)
        The index of the largest of the first ``classes`` features of the last step.
    """
    where = "largest_of_last_step"
    samples, length, features, classes = _sizes(
        where, samples=samples, length=length, features=features, classes=classes
    )
    if classes > features:
        raise ConfigError(f"{where}(classes)", f"an integer <= features, {features}", str(classes))
    X = checks.generator(where, rng).normal(size=(samples, length, features))
    return X, X[:, -1, :classes].argmax(axis=1)
