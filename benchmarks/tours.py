"""Tours of stops and their price by the engine's terms: the ground on which methods that route are compared with it.

A tour may do what the engine's routes don't: fetch at another store with something aboard. A route of the engine
written as a tour costs the same, so that all can be measured by one rule.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dispatch.engine.bundles import Bundles
from dispatch.engine.cost import Pricer
from dispatch.engine.plan import Plan
from dispatch.engine.problem import NOWHERE, REACH_MAX_S, Problem

Tour = tuple[int, ...]
"""One driver's stops: the number of a job for its pickup, `~number` for its door."""

NOTHING: Final[Tour] = ()
NEVER: Final = 2**60
"""The price of what can't be."""


class Tours:
    """Prices the tours of one problem; raises `ValueError` where not every driver may do every job."""

    def __init__(self, problem: Problem) -> None:
        drivers, jobs = problem.drivers, problem.jobs
        if (
            any(driver.heading_to != NOWHERE or driver.route or driver.pool == "dedicated" for driver in drivers)
            or any(job.needs or job.not_by or job.pinned_to for job in jobs)
            or len({driver.vehicle for driver in drivers}) != 1
        ):
            raise ValueError("tours know no promises, pools, vehicles, skills and pins")
        pricer = Pricer(problem, Bundles(problem, [(number,) for number in range(len(jobs))]))
        self.problem = problem
        self.pickup = [job.pickup for job in jobs]
        self.dropoff = [job.dropoff for job in jobs]
        self.ready_s = [job.ready_s for job in jobs]
        self.floor_s: list[int] = pricer.floor_s.tolist()
        self.open_cost: list[int] = pricer.open_cost.tolist()
        places = np.arange(1 + max(*(driver.place for driver in drivers), *self.pickup, *self.dropoff))
        self.way_s: list[list[int]] = problem.legs.seconds(
            places[:, None], places[None, :], problem.usual_vehicle()
        ).tolist()
        self._weights = problem.weights
        self._per_second = pricer.per_second()
        self._half_pickup, self._half_dropoff = problem.half_services()
        self._drivers = [
            (d.place, max(0, d.free_s), d.off_s, d.stack_max, problem.weights.fairness * d.jobs_done) for d in drivers
        ]
        self._doors = [(j.dropoff, floor, j.promised_s) for j, floor in zip(jobs, self.floor_s, strict=True)]
        self._one_store = [not job.several_stores for job in jobs]

    def price(self, driver: int, tour: Tour) -> int:
        """Return what a driver's tour costs, in hundredths of weighted seconds; `NEVER` when he can't do it."""
        cost, _ = self.price_and_delay(driver, tour)
        return cost

    def price_and_delay(self, driver: int, tour: Tour) -> tuple[int, int]:
        """Return a tour's cost and, of it, the cost of delay.

        Pickups in a row at one store are one stop. He leaves for a pickup with nothing aboard as late as he can; from
        then until nothing is aboard again he is busy. Work of several stores goes together where all of it allows it.
        """
        weights, way_s = self._weights, self.way_s
        place, now, off_s, stack_max, share = self._drivers[driver]
        cost = delay = aboard = alone = started = number = 0
        while number < len(tour):
            stop = tour[number]
            number += 1
            if stop < 0:
                dropoff, floor_s, promised_s = self._doors[~stop]
                door = now + way_s[place][dropoff] + self._half_dropoff
                delay += weights.delay * max(0, door - floor_s)
                cost += weights.lateness * max(0, door - promised_s) + share
                place, now = dropoff, door + self._half_dropoff
                aboard, alone = aboard - 1, alone - self._one_store[~stop]
                if not aboard:
                    cost += self._per_second * max(0, min(now, max(off_s, started)) - started)
                continue
            here, ready, count, alone = self.pickup[stop], self.ready_s[stop], 1, alone + self._one_store[stop]
            while number < len(tour) and tour[number] >= 0 and self.pickup[tour[number]] == here:
                ready, count, number = max(ready, self.ready_s[tour[number]]), count + 1, number + 1
                alone += self._one_store[tour[number - 1]]
            way = way_s[place][here]
            picked = max(now + way + self._half_pickup, ready)
            if picked > off_s or way > REACH_MAX_S or aboard + count > stack_max or (aboard and alone):
                return NEVER, 0
            if not aboard:
                started = picked - self._half_pickup - way
                cost += weights.empty_travel * way
            place, now, aboard = here, picked + self._half_pickup, aboard + count
        return cost + delay, delay

    def total(self, tours: list[Tour]) -> tuple[int, int]:
        """Return the objective and the cost of delay of one tour per driver; what is in none stays open."""
        taken = {stop for tour in tours for stop in tour if stop >= 0}
        priced = [self.price_and_delay(driver, tour) for driver, tour in enumerate(tours)]
        left = sum(cost for job, cost in enumerate(self.open_cost) if job not in taken)
        return sum(cost for cost, _ in priced) + left, sum(delay for _, delay in priced)


def as_tours(problem: Problem, plan: Plan) -> list[Tour]:
    """Return the engine's plan as tours, one per driver."""
    tours = [NOTHING] * len(problem.drivers)
    for route in plan.routes:
        for trip in route.trips:
            at_second = [job for job in trip.jobs if problem.jobs[job].pickup == trip.then]
            at_first = [job for job in trip.jobs if job not in at_second]
            tours[route.driver] += (*at_first, *at_second, *(~job for job in trip.jobs))
    return tours
