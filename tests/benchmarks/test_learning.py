"""benchmarks.learning: the environments by hand, and that the verbs learn on them."""

import numpy as np
import pytest

from benchmarks.learning import realnet, realnet_digits, realnet_memory
from benchmarks.learning.agents import solve_bandit, solve_cartpole
from benchmarks.learning.eigen3 import Row
from benchmarks.learning.environments import CartPole
from benchmarks.learning.recurrent import LENGTH, SYMBOLS, TASKS, adding, copying, solve


def test_cartpole_by_hand(rng):
    # From rest, upright, pushed right with 10 N: (10 / 1.1) / (0.5 (4/3 - 0.1 / 1.1)) = 14.634 rad/s^2 to the left, and
    # 10 / 1.1 + 0.05 * 14.634 / 1.1 = 9.756 m/s^2 to the right.
    environment = CartPole(2, rng)
    environment.states[:] = 0
    reached, terminated, truncated = environment.step(np.array([1, 0]))
    expected = [0, 0.02 * 9.756098, 0, -0.02 * 14.634146]
    np.testing.assert_allclose(reached, [expected, np.negative(expected)], atol=1e-7)
    assert not terminated.any() and not truncated.any()
    np.testing.assert_array_equal(environment.states, reached)


def test_cartpole_ends(rng):
    environment = CartPole(3, rng, limit=2)
    environment.states[:] = [[2.39, 5, 0, 0], [0, 0, 0.2, 5], [0, 0, 0, 0]]
    reached, terminated, truncated = environment.step(np.array([1, 0, 1]))
    assert terminated.tolist() == [True, True, False] and not truncated.any()
    assert reached[0, 0] > 2.4 and reached[1, 2] > np.radians(12)
    assert (np.abs(environment.states[:2]) <= 0.05).all() and environment.lengths.tolist() == [0, 0, 1]
    _, terminated, truncated = environment.step(np.array([1, 0, 0]))
    assert truncated.tolist() == [False, False, True] and not terminated.any()


@pytest.mark.contract("R2", "R3", "R4")
@pytest.mark.parametrize("verb", ["Reinforce", "ActorCritic", "PPO"])
def test_verbs_learn_a_bandit(verb):
    assert solve_bandit(0, verb, steps=0) < 0.6
    assert solve_bandit(0, verb, steps=200) > 0.9


@pytest.mark.contract("R3", "R6")
def test_ppo_learns_cartpole():
    assert solve_cartpole(0, iterations=0) < 50
    assert solve_cartpole(0, iterations=15) > 100


def test_the_tasks_of_realnet_run_and_hold(capsys):
    """A-1, A-2, A-5, small: a third of the seeds of the short tasks; every row says its goal is held."""
    realnet.main(["--quick"])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| A-")]
    assert len(table) == 6 and not [line for line in table if line.endswith("| NO |")]


@pytest.mark.parametrize(
    "run, bound",
    [
        (lambda: realnet_memory.delayed_adder(0, 400, 48), 0.02),  # A-4; the variance of the targets is 0.167
        (lambda: 1 - realnet_memory.detective(0, 300, 48), 0.3),
        (lambda: realnet_memory.oscillator(0, 300, 48), 0.1),
        (lambda: 1 - realnet_digits.fixed_steps(0, 12)[0], 0.06),
    ],
)
def test_realnet_learns_a_little_in_a_short_time(run, bound):
    assert run() < bound


@pytest.mark.parametrize(("at_least", "held"), [(True, "NO"), (False, "yes")])
def test_rows_of_eigen3(at_least, held):
    """A goal is held if every seed reaches it."""
    row = str(Row("task", "-", 0.8, at_least, [0.7, 0.8]))
    goal = ">= 0.8" if at_least else "<= 0.8"
    assert row == f"| task | - | {goal} | 0.75 | 0.7 to 0.8 | {held} |"


def test_adding_and_copying_by_hand(rng):
    """C-2: two marks, whose numbers are added; five symbols that come back as labels."""
    x, y = adding(200, rng, 12)
    assert (x[:, :6, 1].sum(1) == 1).all() and (x[:, 6:, 1].sum(1) == 1).all()
    marked = x[:, :, 0][x[:, :, 1] == 1].reshape(200, 2)
    np.testing.assert_allclose(y[:, 0], marked.sum(1), rtol=1e-6)
    assert abs(float(np.var(y)) - 1 / 6) < 0.05
    x, labels = copying(20, rng, 4)
    assert x.shape == (20, 14, SYMBOLS + 2) and (x.sum(2) == 1).all()
    assert np.array_equal(x[:, :LENGTH].argmax(2), labels[:, -LENGTH:]) and labels.max() < SYMBOLS
    assert (x[:, LENGTH:9].argmax(2) == SYMBOLS).all() and (x[:, 9:].argmax(2) == SYMBOLS + 1).all()


def test_recurrent_networks_begin_to_learn():
    """C-2 in small; the script has the goals."""
    untrained, _ = solve(TASKS["adding problem, 50 steps, GRU"], 0, 1)
    error, _ = solve(TASKS["adding problem, 50 steps, GRU"], 0, 250)
    assert error < 0.6 * untrained
    right, _ = solve(TASKS["copy task, delay 10, LSTM"], 0, 150)
    assert right > 1.5 / SYMBOLS
