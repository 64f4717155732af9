"""Print the returns that agents reach, as mean and range over seeds.

python -m benchmarks.learning.policies [--seeds N]
"""

import argparse

from .agents import solve_bandit, solve_cartpole

TASKS = {
    "bandit, Reinforce (share of right arms)": lambda seed: solve_bandit(seed, "Reinforce"),
    "bandit, ActorCritic": lambda seed: solve_bandit(seed, "ActorCritic"),
    "bandit, PPO": lambda seed: solve_bandit(seed, "PPO"),
    "CartPole, PPO untrained (steps of 500)": lambda seed: solve_cartpole(seed, iterations=0),
    "CartPole, PPO, 60 iterations": solve_cartpole,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning.policies", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    seeds = range(parser.parse_args().seeds)
    for name, solve in TASKS.items():
        results = [solve(seed) for seed in seeds]
        mean = sum(results) / len(results)
        print(f"{name:40s} {mean:9.3f}   {min(results):.3f} to {max(results):.3f}", flush=True)


if __name__ == "__main__":
    main()
