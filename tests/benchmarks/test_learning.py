"""benchmarks.learning: the environments by hand, and that the verbs learn on them."""

import numpy as np
import pytest

from benchmarks.learning import realnet, realnet_digits, realnet_memory
from benchmarks.learning.agents import solve_bandit, solve_cartpole
from benchmarks.learning.environments import CartPole
from benchmarks.learning.recurrent import SETTINGS, solve
from benchmarks.learning.table import HEADER, Measure, Task, at_least, at_most, run


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


@pytest.mark.parametrize("name", ["sign", "literal_xor", "xor", "sparse"])
def test_short_tasks_of_realnet_hold(name):
    """A-1, A-2, A-5: for a third of the seeds, the row of the table says that the goal is held."""
    (task,) = [task for task in realnet.TASKS if task.name == name]
    assert all(row.endswith("| yes |") for row in run([task], quick=True))


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


@pytest.mark.parametrize(("held", "verdict"), [(at_least(0.8), "NO"), (at_most(0.8), "yes"), (None, "")])
def test_rows_of_the_table(held, verdict, capsys):
    """A goal is held if every seed reaches it; progress is shown for every seed."""
    task = Task("halves", lambda seed, quick: 0.7 + seed / 10, (Measure("X-1", "measured", "ref", "goal", held),))
    assert run([task], seeds=2) == [f"| X-1 | measured | ref | goal | 0.75 | 0.7 to 0.8 | 2 | {verdict} |"]
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "halves, seed 0",
        "halves, seed 1",
    ]
    assert {line.count("|") for line in HEADER} == {run([task], seeds=1)[0].count("|")}


def test_recurrent_networks_begin_to_learn():
    """C-2 in small; the script has the goals."""
    untrained = solve(SETTINGS["adding-gru"], 0, 1)
    assert solve(SETTINGS["adding-gru"], 0, 250) < 0.6 * untrained
    assert solve(SETTINGS["copy-10"], 0, 150) > 1.5 / 8
