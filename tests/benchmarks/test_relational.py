"""benchmarks.learning.relational: that every experiment runs, and small ones that learn."""

from functools import partial

import pytest

from benchmarks.learning import relational
from enilnets.sequence import LSTM, RelationalRNN, tasks


@pytest.mark.parametrize("task", relational.TASKS, ids=lambda task: task.name)
def test_every_task_runs(task):
    assert -1 <= task.run(0, True) <= 1


def test_a_memory_remembers_pairs():
    """C-3 and C-4, small: a relational memory finds the pair, where one of the two seconds is 1/2 and guessing 1/4."""
    setting = partial(relational.learn, draw=partial(tasks.pair_matching, vocabulary=4), outputs=4)
    assert setting(relational.memory, task="classification", learning_rate=3e-3, seed=0, steps=200) > 0.8


def test_an_lstm_tracks_objects():
    """C-4, small: two objects, four sightings; a constant is wrong by 0.08."""
    setting = partial(relational.learn, draw=partial(tasks.object_tracking, length=4, objects=2), outputs=2)
    lstm = partial(relational.lstm, 32)
    assert setting(lstm, task="regression", learning_rate=5e-3, seed=0, steps=400) < 0.04


@pytest.mark.parametrize(("kind", "settings"), [(LSTM, {}), (RelationalRNN, {"num_slots": 2, "slot_size": 16})])
def test_few_samples_are_enough(kind, settings):
    """C-5: 240 samples, 30 epochs, at least 0.70 on samples that chose nothing."""
    assert relational.few_samples(partial(kind, **settings), 1e-2, 0, 30) >= 0.7
