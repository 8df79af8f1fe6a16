"""Jobs that one driver picks up together, with the best order of their doors.

A bundle is worth looking at when bringing its jobs together delays them little; under load more delay is worth it,
because the driver is back sooner.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import permutations
from typing import Final

import numpy as np

from dispatch.engine.problem import STACK_MAX, Ints, Problem

PARTNERS_MAX: Final = 3
"""Pairs (and as many threes) kept per job of a store."""
DELAY_MAX_S: Final = 900
DELAY_PER_PRICE_S: Final = 12
"""A bundle may delay its jobs together by so much, and by so much more for each hundredth of the load's price."""
THREES_FROM_PRICE: Final = 50


class Bundles:
    """n bundles as arrays, singles first in the order of the jobs.

    `jobs` (n, 3): job numbers in the order of their doors, -1 for none. `size` (n,). `pickup` (n,): place.
    `ready_s` (n,): when the last of its jobs is.
    """

    def __init__(self, problem: Problem, members: list[tuple[int, ...]]) -> None:
        self.members = members
        self.size = np.array([len(jobs) for jobs in members], np.int64)
        self.jobs = np.full((len(members), STACK_MAX), -1, np.int64)
        for number, jobs in enumerate(members):
            self.jobs[number, : len(jobs)] = jobs
        first = self.jobs[:, 0]
        ready = np.array([job.ready_s for job in problem.jobs], np.int64)
        self.pickup = np.array([job.pickup for job in problem.jobs], np.int64)[first]
        self.ready_s = np.where(self.jobs >= 0, ready[self.jobs], -(10**9)).max(axis=1)

    def __len__(self) -> int:
        return len(self.members)


def make_bundles(problem: Problem) -> Bundles:
    """Return the singles, and the pairs and threes of jobs at one pickup that are worth a look."""
    singles = [(number,) for number in range(len(problem.jobs))]
    at_pickup: dict[int, list[int]] = defaultdict(list)
    for number, job in enumerate(problem.jobs):
        at_pickup[job.pickup].append(number)
    together: list[tuple[int, ...]] = []
    for pickup, numbers in at_pickup.items():
        if len(numbers) > 1:
            together += _at_one_pickup(problem, pickup, numbers)
    known = {frozenset(jobs) for jobs in together}
    for driver in problem.drivers:
        if len(driver.keeps) > 1 and frozenset(driver.keeps) not in known:
            together.append(driver.keeps)
    return Bundles(problem, singles + together)


def _at_one_pickup(problem: Problem, pickup: int, numbers: list[int]) -> list[tuple[int, ...]]:
    jobs = [problem.jobs[number] for number in numbers]
    doors = np.array([job.dropoff for job in jobs], np.int64)
    vehicle = problem.usual_vehicle()
    way = problem.legs.seconds(np.full(len(doors), pickup), doors, vehicle)
    between = problem.legs.seconds(doors[:, None], doors[None, :], vehicle)
    ready = np.array([job.ready_s for job in jobs], np.int64)
    half_pickup, half_dropoff = problem.half_services()
    allowed_s = DELAY_MAX_S + DELAY_PER_PRICE_S * problem.second_price

    def delay(order: tuple[int, ...]) -> int:
        """Return by how much these jobs, picked up together, are later than each alone."""
        leave = int(ready[list(order)].max()) + half_pickup
        total, at = 0, -1
        for job in order:
            door = leave + int(way[job] if at < 0 else between[at, job]) + half_dropoff
            total += door - (int(ready[job]) + half_pickup + int(way[job]) + half_dropoff)
            leave, at = door + half_dropoff, job
        return total

    both = _pair_delays(ready, way, between, problem.dropoff_service_s)
    pairs: list[tuple[int, tuple[int, ...]]] = []
    for a in range(len(jobs)):
        for b in range(a + 1, len(jobs)):
            if min(jobs[a].stack_max, jobs[b].stack_max) < 2:
                continue
            order = (a, b) if both[a, b] <= both[b, a] else (b, a)
            if both[order] <= allowed_s:
                pairs.append((int(both[order]), order))
    pairs = sorted(pairs)[: PARTNERS_MAX * len(jobs)]
    threes: dict[frozenset[int], tuple[int, tuple[int, ...]]] = {}
    if problem.second_price >= THREES_FROM_PRICE:
        for _, (a, b) in pairs[: 2 * len(jobs)]:
            for c in range(len(jobs)):
                key = frozenset((a, b, c))
                if len(key) < 3 or key in threes or min(jobs[n].stack_max for n in key) < 3:
                    continue
                best = min((delay(order), order) for order in permutations(sorted(key)))
                if best[0] <= 2 * allowed_s:
                    threes[key] = best
    kept = [order for _, order in pairs] + [order for _, order in sorted(threes.values())[: PARTNERS_MAX * len(jobs)]]
    return [tuple(numbers[n] for n in order) for order in kept]


def _pair_delays(ready: Ints, way: Ints, between: Ints, dropoff_service_s: int) -> Ints:
    """Return (a, b) → by how much two jobs are delayed when a is brought first and b next."""
    together = np.maximum(ready[:, None], ready[None, :])
    first = together - ready[:, None]
    second = together + way[:, None] + dropoff_service_s + between - ready[None, :] - way[None, :]
    return np.asarray(first + second, np.int64)
