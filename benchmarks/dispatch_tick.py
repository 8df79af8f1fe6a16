"""What a dispatch tick costs and what it is worth: the engine on random cities, beside simpler methods.

All methods answer the same problems and are priced by the engine's own terms. `greedy` is the engine's floor;
`hungarian` gives each driver one job by SciPy's dense assignment, again and again on what is left, each time from where
and when the driver will be free. `ruin_recreate`, `routing` (OR-Tools) and `vroom` route freely, on small markets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

import numpy as np
from msgspec.structs import replace
from scipy.optimize import linear_sum_assignment

from benchmarks.phases import PHASES, spent_by_phase
from benchmarks.routers import has_vroom, routing_tours, vroom_tours
from benchmarks.ruin_recreate import ruin_and_recreate
from benchmarks.tours import Tour, Tours
from dispatch.engine.bundles import Bundles
from dispatch.engine.cost import Pricer
from dispatch.engine.legs import PlaneLegs
from dispatch.engine.load import second_price
from dispatch.engine.plan import Plan
from dispatch.engine.problem import Driver, Ints, Job, Limits, Problem
from dispatch.engine.solve import make_plans, solve
from dispatch.engine.verify import verify

SIDE_M: Final = 8_000
SPEED_MPS: Final = 5.0
JOBS_PER_STORE: Final = 4
DENSE_MAX: Final = 250_000
"""Beyond so many pairs a dense assignment would take minutes."""
ROUTED_MAX: Final = 20_000
"""Up to so many pairs the peers that route are asked too."""
PEER_CPU_S: Final = 1.0
REPEATS: Final = 3
"""The engine is asked so many times, and the least CPU counts: other work on the machine only adds."""
SHOP: Final = UUID(int=1)


def city(open_jobs: int, drivers: int, seed: int, *, several_stores: bool = False) -> Problem:
    """Return a random city of 8 × 8 km, larger when there is more work; some jobs ready, some in half an hour."""
    rng = np.random.default_rng(seed)
    stores = max(1, open_jobs // JOBS_PER_STORE)
    side = SIDE_M * max(1.0, (open_jobs / 400) ** 0.5)
    xy = np.concatenate((rng.normal(side / 2, side / 5, (stores, 2)), rng.uniform(0, side, (open_jobs + drivers, 2))))
    jobs = []
    for number in range(open_jobs):
        placed, ready = -int(rng.integers(0, 900)), int(rng.integers(-300, 1_500))
        jobs.append(
            Job(
                id=UUID(int=10_000 + number),
                business_id=SHOP,
                pickup=int(rng.integers(0, stores)),
                dropoff=stores + number,
                placed_s=placed,
                ready_s=ready,
                promised_s=max(ready, 0) + 2_400,
                several_stores=several_stores,
            )
        )
    people = tuple(
        Driver(UUID(int=number), stores + open_jobs + number, free_s=max(0, int(rng.integers(-900, 900))))
        for number in range(drivers)
    )
    problem = Problem(0, people, tuple(jobs), PlaneLegs(xy, SPEED_MPS))
    return replace(problem, second_price=second_price(problem))


def measure(
    open_jobs: int,
    drivers: int,
    seeds: int,
    *,
    several_stores: bool = True,
    peer_cpu_s: float = PEER_CPU_S,
    played: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Return CPU of engine, its phases and checker (median ms); per method CPU, share of greedy's objective, delay.

    `absent` are the methods that could have been asked and are not installed; `played` is called after each seed.
    """
    solve(city(open_jobs, drivers, seeds))  # the first call loads the solvers
    peers = _peers(peer_cpu_s) if open_jobs * drivers <= ROUTED_MAX else {}
    found: dict[str, list[tuple[float, float, float]]] = {
        name: [] for name in ("greedy", "hungarian", "engine", *peers)
    }
    verify_ms = []
    phases: list[dict[str, float]] = []
    for seed in range(seeds):
        problem = city(open_jobs, drivers, seed, several_stores=several_stores)
        greedy, greedy_ms = _timed(next, make_plans(problem, Limits()))
        asked = []
        for _ in range(REPEATS):
            with spent_by_phase() as phase_ms:
                plan, engine_ms = _timed(solve, problem)
            asked.append((engine_ms, phase_ms))
        engine_ms, phase_ms = min(asked, key=lambda one: one[0])
        phases.append({**phase_ms, "other": engine_ms - sum(phase_ms.values())})
        if open_jobs * drivers <= DENSE_MAX:
            rounds, rounds_ms = _timed(hungarian_rounds, problem)
            found["hungarian"].append((rounds[0] / greedy.objective, rounds_ms, rounds[1]))
        faults, checked_ms = _timed(verify, problem, plan)
        assert not faults
        verify_ms.append(checked_ms)
        found["greedy"].append((1.0, greedy_ms, _delay(greedy)))
        found["engine"].append((plan.objective / greedy.objective, engine_ms, _delay(plan)))
        for name, peer in peers.items():
            tours = Tours(problem)
            answer, peer_ms = _timed(peer, tours)
            objective, delay = tours.total(answer)
            found[name].append((objective / greedy.objective, peer_ms, delay))
        played()
    return {
        "open": open_jobs,
        "drivers": drivers,
        "several_stores": several_stores,
        "cpu_ms": round(float(np.median([row[1] for row in found["engine"]])), 1),
        "verify_cpu_ms": round(float(np.median(verify_ms)), 1),
        "phases_cpu_ms": {
            name: round(float(np.median([row[name] for row in phases])), 1) for name in (*PHASES, "other")
        },
        "methods": {
            name: {
                "objective_to_greedy": round(float(np.mean([row[0] for row in rows])), 4),
                "cpu_ms": round(float(np.median([row[1] for row in rows])), 1),
                "delay_min": round(float(np.mean([row[2] for row in rows])) / 6_000, 1),
            }
            for name, rows in found.items()
            if rows
        },
        "absent": ["vroom"] if peers and not has_vroom() else [],
    }


def _peers(cpu_s: float) -> dict[str, Callable[[Tours], list[Tour]]]:
    peers: dict[str, Callable[[Tours], list[Tour]]] = {
        "ruin_recreate": partial(ruin_and_recreate, cpu_s=cpu_s),
        "routing": routing_tours,
    }
    return {**peers, "vroom": vroom_tours} if has_vroom() else peers


def hungarian_rounds(problem: Problem) -> tuple[int, int]:
    """Return the objective and the delay of giving everybody one job at a time, by dense assignment."""
    left = list(range(len(problem.jobs)))
    drivers = list(problem.drivers)
    total = delay = 0
    for _ in range(2):
        if not left:
            break
        now = replace(problem, drivers=tuple(drivers), jobs=tuple(problem.jobs[job] for job in left))
        pricer = Pricer(now, Bundles(now, [(number,) for number in range(len(left))]))
        who = np.repeat(np.arange(len(drivers)), len(left))
        what = np.tile(np.arange(len(left)), len(drivers))
        priced = pricer.route(who, (what,))
        cost: Ints = np.where(priced.feasible > 0, priced.total, 10**9).reshape(len(drivers), len(left))
        done = set()
        for driver, job in zip(*linear_sum_assignment(cost), strict=True):
            at = driver * len(left) + job
            if priced.feasible[at]:
                total += int(priced.total[at])
                delay += int(priced.terms["delay"][at])
                drivers[driver] = replace(
                    drivers[driver], place=int(priced.end_place[at]), free_s=int(priced.end_s[at])
                )
                done.add(left[job])
        left = [job for job in left if job not in done]
    everything = Pricer(problem, Bundles(problem, [(number,) for number in range(len(problem.jobs))]))
    return total + int(sum(everything.open_cost[job] for job in left)), delay


def _delay(plan: Plan) -> int:
    return sum(route.terms.delay for route in plan.routes)


def _timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    started = time.process_time()
    result = work(*arguments)
    return result, (time.process_time() - started) * 1000
