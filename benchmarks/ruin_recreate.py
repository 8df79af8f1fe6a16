"""Insertion with ruin and recreate, in plain Python: the peer that routing people would write for this problem.

Regret-free greedy insertion with blinks and simulated annealing, after Christiaens and Vanden Berghe, "Slack induction
by string removals" (2020): jobs near one another are taken out of a few tours and put back where they cost least. What
it costs to put a job into a tour is remembered, for most tours are the same from one step to the next.
"""

from __future__ import annotations

import math
import random
import time
from typing import Final

import numpy as np

from benchmarks.tours import NEVER, NOTHING, Tour, Tours

TAKEN_OUT_MAX: Final = 12
STRING_MAX: Final = 3
BLINK: Final = 0.01
HOT: Final = 30_000.0
COLD: Final = 300.0
REMEMBERED_MAX: Final = 400_000


def ruin_and_recreate(tours: Tours, *, cpu_s: float, seed: int = 0) -> list[Tour]:
    """Return one tour per driver, the best found within so much CPU time."""
    return _Search(tours, random.Random(seed)).run(cpu_s)


class _Search:
    def __init__(self, tours: Tours, chance: random.Random) -> None:
        self._tours = tours
        self._chance = chance
        self._drivers = range(len(tours.problem.drivers))
        self._price: list[dict[Tour, int]] = [{NOTHING: 0} for _ in self._drivers]
        self._best: list[dict[tuple[Tour, int], tuple[int, Tour]]] = [{} for _ in self._drivers]
        self._near = _nearness(tours)

    def run(self, cpu_s: float) -> list[Tour]:
        """Search until the CPU time is over."""
        started = time.process_time()
        jobs = list(range(len(self._tours.pickup)))
        now = [NOTHING] * len(self._drivers)
        cost, left = self._recreate(now, sorted(jobs, key=self._tours.ready_s.__getitem__), sum(self._tours.open_cost))
        best, best_cost = list(now), cost
        while (spent := (time.process_time() - started) / cpu_s) < 1:
            tours = list(now)
            out, paid = self._ruin(tours)
            found, open_jobs = self._recreate(tours, self._in_some_order([*out, *left]), cost - paid)
            heat = HOT * (COLD / HOT) ** spent
            if found < cost - heat * math.log(self._chance.random() or 1e-9):
                now, cost, left = tours, found, open_jobs
                if cost < best_cost:
                    best, best_cost = list(now), cost
            self._forget()
        return best

    def _ruin(self, tours: list[Tour]) -> tuple[list[int], int]:
        """Take strings of jobs out of a few tours around a place; return the jobs, and what the tours cost less."""
        owner = {stop: driver for driver, tour in enumerate(tours) for stop in tour if stop >= 0}
        wanted = self._chance.randint(2, TAKEN_OUT_MAX)
        out: list[int] = []
        less = 0
        touched: set[int] = set()
        for job in self._near[self._chance.randrange(len(self._near))]:
            driver = owner.get(job)
            if driver is None or driver in touched:
                continue
            touched.add(driver)
            inside = [stop for stop in tours[driver] if stop >= 0]
            length = min(len(inside), self._chance.randint(1, STRING_MAX), wanted - len(out))
            at = max(0, inside.index(job) - self._chance.randrange(length))
            string = set(inside[at : at + length])
            tour = tuple(stop for stop in tours[driver] if (stop if stop >= 0 else ~stop) not in string)
            less += self._cost(driver, tours[driver]) - self._cost(driver, tour)
            tours[driver] = tour
            out += string
            if len(out) >= wanted:
                break
        return out, less - sum(self._tours.open_cost[job] for job in out)

    def _in_some_order(self, jobs: list[int]) -> list[int]:
        """Return jobs in one of the orders in which they may be put back."""
        match self._chance.randrange(4):
            case 0:
                return sorted(jobs, key=self._tours.ready_s.__getitem__)
            case 1:
                return sorted(jobs, key=self._tours.floor_s.__getitem__)
            case 2:
                return sorted(jobs, key=lambda job: self._tours.ready_s[job] - self._tours.floor_s[job])
            case _:
                self._chance.shuffle(jobs)
                return jobs

    def _recreate(self, tours: list[Tour], jobs: list[int], cost: int) -> tuple[int, list[int]]:
        """Put jobs where they cost least, in place; return what `cost` (all of them open) becomes, and who is left."""
        left = []
        for job in jobs:
            most = self._tours.open_cost[job]
            where: tuple[int, Tour] | None = None
            for driver in self._drivers:
                if self._chance.random() < BLINK:
                    continue
                key = tours[driver], job
                more, tour = self._best[driver].get(key) or self._insertion(driver, *key)
                if more < most:
                    most, where = more, (driver, tour)
            if where is None:
                left.append(job)
            else:
                tours[where[0]] = where[1]
                cost += most - self._tours.open_cost[job]
        return cost, left

    def _insertion(self, driver: int, tour: Tour, job: int) -> tuple[int, Tour]:
        """Return what the job costs more at its best place in the tour, and the tour with it."""
        before, best = self._cost(driver, tour), (NEVER, NOTHING)
        for pickup in range(len(tour) + 1):
            for door in range(pickup, len(tour) + 1):
                longer = (*tour[:pickup], job, *tour[pickup:door], ~job, *tour[door:])
                more = self._tours.price(driver, longer) - before
                if more < best[0]:
                    best = more, longer
        if best[0] < NEVER:
            self._price[driver][best[1]] = before + best[0]
        self._best[driver][tour, job] = best
        return best

    def _cost(self, driver: int, tour: Tour) -> int:
        known = self._price[driver].get(tour)
        if known is None:
            known = self._price[driver][tour] = self._tours.price(driver, tour)
        return known

    def _forget(self) -> None:
        for remembered in (self._best, self._price):
            if sum(map(len, remembered)) > REMEMBERED_MAX:
                for of_driver in remembered:
                    of_driver.clear()


def _nearness(tours: Tours) -> list[list[int]]:
    """Return for each job all jobs, those nearest by ways and time first."""
    pickup, dropoff = np.array(tours.pickup), np.array(tours.dropoff)
    way, ready = np.array(tours.way_s), np.array(tours.ready_s)
    apart = way[pickup[:, None], pickup] + way[dropoff[:, None], dropoff] + abs(ready[:, None] - ready) // 2
    return [list(row) for row in apart.argsort(axis=1, kind="stable").tolist()]
