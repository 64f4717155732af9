"""Beside scikit-learn's own estimators, with the same settings on real data: what is learned is as good."""

import statistics

import pytest

from benchmarks.learning.sklearn_estimators import TASKS, scores


@pytest.mark.parametrize("name, epochs", [("digits", 60), ("friedman1", 150)])
def test_learns_as_well_as_scikit_learn(name, epochs):
    ours, theirs = (
        statistics.mean(scores(TASKS[name], side, seeds=3, max_iter=epochs)) for side in ("enilnets", "scikit-learn")
    )
    assert theirs > 0.9  # the comparison means something
    assert ours > theirs - 0.015
