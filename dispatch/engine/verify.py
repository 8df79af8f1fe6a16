"""The independent checker: a plan is looked at again, from the problem alone, before anybody acts on it.

Everything is written out a second time on purpose, one stop after the other: a mistake in the arrays of `cost.py` or
`columns.py` shows here as a difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from dispatch.engine.bundles import Trip
from dispatch.engine.candidates import exclusion
from dispatch.engine.plan import Plan, Route
from dispatch.engine.problem import NOWHERE, REACH_MAX_S, Driver, Job, Problem


def verify(problem: Problem, plan: Plan) -> list[str]:
    """Return what is wrong with a plan; an empty list means that it may be committed."""
    faults: list[str] = []
    drivers = Counter(route.driver for route in plan.routes)
    jobs = Counter(job for route in plan.routes for trip in route.trips for job in trip.jobs)
    faults += [f"driver {driver} has two routes" for driver, count in drivers.items() if count > 1]
    faults += [f"job {job} is taken twice" for job, count in jobs.items() if count > 1]
    if sorted([*jobs, *plan.open_jobs]) != list(range(len(problem.jobs))):
        return [*faults, "the jobs taken and the jobs left open are not all the jobs"]
    return faults + _Look(problem).at(plan)


class _Look:
    """One look at one plan; what is the same for all routes is worked out once."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._half_pickup, self._half_dropoff = problem.half_services()
        self._promised = problem.promised()
        self._vehicles = sorted({driver.vehicle for driver in problem.drivers})
        self._ways: dict[tuple[int, int, int], int] = {}
        self._ask_at_once((job.pickup, job.dropoff, vehicle) for job in problem.jobs for vehicle in self._vehicles)
        businesses = {job.business_id for job in problem.jobs}
        self._has_own = any(businesses & driver.business_priority.keys() for driver in problem.drivers)

    def at(self, plan: Plan) -> list[str]:
        """Return what is wrong with the routes and with the sum."""
        faults: list[str] = []
        total = 0
        firsts = ((self._problem.drivers[route.driver], route.trips[0]) for route in plan.routes if route.trips)
        self._ask_at_once((driver.place, trip.pickup, driver.vehicle) for driver, trip in firsts)
        for route in plan.routes:
            wrong = self._rules(route)
            faults += wrong
            if wrong:
                continue
            cost, start_by_s = self._price(route)
            total += cost
            if cost != route.terms.total or start_by_s != route.start_by_s:
                faults.append(f"driver {route.driver}'s route costs {cost}, not {route.terms.total}")
        total += sum(self._open_price(self._problem.jobs[job]) for job in plan.open_jobs)
        if not faults and total != plan.objective:
            faults.append(f"the objective is {total}, not {plan.objective}")
        return faults

    def _rules(self, route: Route) -> list[str]:
        problem, driver = self._problem, self._problem.drivers[route.driver]
        faults: list[str] = []
        first = {job for trip in route.trips[:1] for job in trip.jobs}
        if not route.trips or not all(trip.jobs for trip in route.trips):
            faults.append(f"driver {route.driver} has an empty trip")
        if not set(driver.keeps) <= first:
            faults.append(f"driver {route.driver} loses work that he was promised")
        if route.trips and driver.heading_to not in (NOWHERE, route.trips[0].pickup):
            faults.append(f"driver {route.driver} is diverted")
        kept = sum(problem.jobs[job].size for job in driver.keeps)
        for number, trip in enumerate(route.trips):
            if trip.amid is not None:
                faults += self._on_the_way(route, number)
            stores = {problem.jobs[job].pickup for job in trip.jobs}
            if trip.then != NOWHERE and not all(problem.jobs[job].several_stores for job in trip.jobs):
                faults.append(f"driver {route.driver} calls at two stores with work that does not allow it")
            if stores != {trip.pickup, trip.then} - {NOWHERE}:
                faults.append(f"jobs {trip.jobs} are not picked up at place {trip.pickup}")
            load = sum(problem.jobs[job].size for job in trip.jobs)
            if len(trip.jobs) > 1 and load > max(driver.capacity, kept):
                faults.append(f"driver {route.driver} carries {load} units, more than he can")
            for job in trip.jobs:
                to_door_s = self._way(problem.jobs[job].pickup, problem.jobs[job].dropoff, driver.vehicle)
                if (why := exclusion(problem, self._promised, route.driver, job, to_door_s)) is not None:
                    faults.append(f"driver {route.driver} may not do job {job}: {why}")
                alone = job in driver.keeps or len(trip.jobs) == 1
                if not alone and len(trip.jobs) > min(problem.jobs[job].stack_max, driver.stack_max):
                    faults.append(f"driver {route.driver} carries more than job {job} allows")
        return faults

    def _on_the_way(self, route: Route, number: int) -> list[str]:
        """Return what is wrong with taking a job amid the stops a driver has."""
        problem, driver, trip = self._problem, self._problem.drivers[route.driver], route.trips[number]
        before_pickup, before_door = trip.amid or (0, 0)
        if number or len(trip.jobs) != 1 or not 0 <= before_pickup <= before_door <= len(driver.route):
            return [f"driver {route.driver} can't take jobs {trip.jobs} on his way"]
        job = problem.jobs[trip.jobs[0]]
        aboard = sum(stop.promised_s is not None for stop in driver.route)
        aboard -= sum(stop.promised_s is None for stop in driver.route)
        load = -sum(stop.size if stop.promised_s is None else -stop.size for stop in driver.route)
        most, heaviest = 0, 0
        for served in range(before_door + 1):
            if served:
                stop = driver.route[served - 1]
                aboard += 1 if stop.promised_s is None else -1
                load += stop.size if stop.promised_s is None else -stop.size
            if served >= before_pickup:
                most, heaviest = max(most, aboard), max(heaviest, load)
        if heaviest + job.size > driver.capacity:
            return [f"driver {route.driver} carries {heaviest + job.size} units on his way, more than he can"]
        if not job.several_stores or most + 1 > min(driver.stack_max, job.stack_max):
            return [f"driver {route.driver} carries more than job {trip.jobs[0]} allows"]
        return []

    def _along(self, driver: Driver, trip: Trip | None) -> tuple[list[int], int, int, int, int]:
        """Return the moments at a driver's own stops, then pickup, door, leaving for the pickup and the end."""
        problem = self._problem
        before_pickup, before_door = (trip.amid if trip else None) or (-1, -1)
        job = problem.jobs[trip.jobs[0]] if trip else None
        place, now, moments, picked, door, left = driver.here, 0, [], 0, 0, 0
        for served in range(len(driver.route) + 1):
            if job and served == before_pickup:
                way = self._way(place, job.pickup, driver.vehicle)
                left, picked = now, max(now + way + self._half_pickup, job.ready_s)
                if way > REACH_MAX_S:
                    picked = 10**12
                place, now = job.pickup, picked + self._half_pickup
            if job and served == before_door:
                door = now + self._way(place, job.dropoff, driver.vehicle) + self._half_dropoff
                place, now = job.dropoff, door + self._half_dropoff
            if served < len(driver.route):
                stop = driver.route[served]
                half = self._half_pickup if stop.promised_s is None else self._half_dropoff
                moment = max(now + self._way(place, stop.place, driver.vehicle) + half, stop.ready_s)
                moments.append(moment)
                place, now = stop.place, moment + half
        return moments, picked, door, left, now

    def _price_on_the_way(self, driver: Driver, trip: Trip) -> tuple[int, int, int, int]:
        """Return cost, latest start, end and last place of a trip amid the stops a driver has; -1s when it can't be."""
        problem, weights = self._problem, self._problem.weights
        job, (_, before_door) = problem.jobs[trip.jobs[0]], trip.amid or (0, 0)
        before, *_, old_end = self._along(driver, None)
        after, picked, door, left, end = self._along(driver, trip)
        if picked > driver.off_s:
            return -1, -1, -1, -1
        worth = problem.job_weights(job)
        cost = worth.delay * max(0, door - self._floor(job)) + worth.lateness * max(0, door - job.promised_s)
        for stop, old, new in zip(driver.route, before, after, strict=True):
            if stop.promised_s is not None:
                late = max(0, new - stop.promised_s) - max(0, old - stop.promised_s)
                cost += weights.delay * (new - old) + weights.lateness * late
        cost += (weights.driver_time + problem.second_price) * (end - old_end)
        cost += weights.fairness * driver.jobs_done + self._dedicated(driver, job)
        return cost, left, end, job.dropoff if before_door == len(driver.route) else driver.route[-1].place

    def _price(self, route: Route) -> tuple[int, int]:
        problem, weights, driver = self._problem, self._problem.weights, self._problem.drivers[route.driver]
        waited_s = min(max(0, -driver.free_s), 0 if driver.heading_to == NOWHERE else self._half_pickup)
        place, now, cost, start_by_s = driver.place, max(0, driver.free_s) - waited_s, 0, None
        for trip in route.trips:
            if trip.amid is not None:
                cost, start_by_s, now, place = self._price_on_the_way(driver, trip)
                if start_by_s < 0:
                    return -1, -1
                continue
            way = self._way(place, trip.pickup, driver.vehicle)
            ready = [problem.jobs[job].ready_s for job in trip.jobs if problem.jobs[job].pickup == trip.pickup]
            picked = max(now + way + self._half_pickup, *ready)
            start = picked - self._half_pickup - way
            start_by_s = start if start_by_s is None else start_by_s
            place, now = trip.pickup, picked + self._half_pickup
            if trip.then != NOWHERE:
                ready = [problem.jobs[job].ready_s for job in trip.jobs if problem.jobs[job].pickup == trip.then]
                picked = max(now + self._way(place, trip.then, driver.vehicle) + self._half_pickup, *ready)
                place, now = trip.then, picked + self._half_pickup
            if picked > driver.off_s or way > REACH_MAX_S:
                return -1, -1
            for number in trip.jobs:
                job = problem.jobs[number]
                door = now + self._way(place, job.dropoff, driver.vehicle) + self._half_dropoff
                worth = problem.job_weights(job)
                cost += worth.delay * max(0, door - self._floor(job))
                cost += worth.lateness * max(0, door - job.promised_s)
                cost += weights.fairness * driver.jobs_done + self._dedicated(driver, job)
                place, now = job.dropoff, door + self._half_dropoff
            busy = max(0, min(now, max(driver.off_s, start)) - start)
            cost += (weights.driver_time + problem.second_price) * busy + weights.empty_travel * way
        return cost, start_by_s or 0

    def _dedicated(self, driver: Driver, job: Job) -> int:
        """A driver of the business' own comes first; where nobody is anybody's own, that costs nothing."""
        weights = self._problem.weights
        if not self._has_own:
            return 0
        if driver.pool == "dedicated":
            return weights.dedicated_priority_step * (driver.business_priority[job.business_id] - 1)
        return weights.pool_instead_of_dedicated

    def _floor(self, job: Job) -> int:
        way = min(self._way(job.pickup, job.dropoff, vehicle) for vehicle in self._vehicles)
        return job.ready_s + self._half_pickup + way + self._half_dropoff

    def _open_price(self, job: Job) -> int:
        if not self._vehicles:
            return 0
        floor, weights = self._floor(job), self._problem.job_weights(job)
        earliest = floor + max(0, self._half_pickup - job.ready_s)
        lost = weights.delay * (earliest - floor) + weights.lateness * max(0, earliest - job.promised_s)
        return 12_000 * max(100, weights.delay, weights.lateness) + 100 * max(0, -job.placed_s) + lost

    def _way(self, start: int, end: int, vehicle: int) -> int:
        if (start, end, vehicle) not in self._ways:
            self._ask_at_once([(start, end, vehicle)])
        return self._ways[start, end, vehicle]

    def _ask_at_once(self, ways: Iterable[tuple[int, int, int]]) -> None:
        """Learn the seconds of many ways (start, end, vehicle): one by one, asking costs more than all the rest."""
        if asked := list(ways):
            seconds = self._problem.legs.seconds(*np.array(asked, np.int64).T)
            self._ways.update(zip(asked, seconds.tolist(), strict=True))
