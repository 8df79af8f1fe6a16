"""What a dispatch tick costs: the engine's CPU on random problems, and its objective against greedy in the same run."""

from __future__ import annotations

import json
import random
import time
from uuid import UUID

from dispatch.engine.greedy import solve_greedy
from dispatch.engine.problem import CANDIDATES_MAX, Arc, Driver, Job, Problem
from dispatch.engine.solve import solve

SIZES = ((20, 15), (100, 70), (500, 400))
SHOP = UUID(int=1)


def problem(jobs: int, drivers: int, seed: int) -> Problem:
    """Return a random city: each job has its nearest drivers as candidates."""
    rng = random.Random(seed)
    people = tuple(Driver(UUID(int=10 + n), 0, "shared_pool", {}, n % 5) for n in range(drivers))
    open_jobs = tuple(
        Job(UUID(int=10_000 + n), SHOP, 1, rng.randint(-300, 600), rng.randint(900, 2400), rng.randint(120, 900), True)
        for n in range(jobs)
    )
    arcs = tuple(
        Arc(driver, job, rng.randint(30, 1500))
        for job in range(jobs)
        for driver in rng.sample(range(drivers), min(CANDIDATES_MAX, drivers))
    )
    return Problem(0, seed, people, open_jobs, arcs, tuple({} for _ in open_jobs))


def main() -> None:
    """Print one line of JSON: per size the median CPU milliseconds and the mean objective as a share of greedy's."""
    cases = []
    for jobs, drivers in SIZES:
        cpu_ms, shares = [], []
        for seed in range(5):
            question = problem(jobs, drivers, seed)
            floor = solve_greedy(question).objective
            started = time.process_time()
            plan = solve(question)
            cpu_ms.append((time.process_time() - started) * 1000)
            shares.append(plan.objective / floor)
        cases.append(
            {
                "jobs": jobs,
                "drivers": drivers,
                "cpu_ms": round(sorted(cpu_ms)[2], 1),
                "objective_to_greedy": round(sum(shares) / len(shares), 4),
            }
        )
    print(json.dumps({"bench": "dispatch_tick", "cases": cases}))


if __name__ == "__main__":
    main()
