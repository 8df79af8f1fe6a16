"""The independent checker: a plan is looked at again, from the problem alone, before anybody acts on it.

Everything is written out a second time on purpose, one stop after the other: a mistake in the arrays of `cost.py` or
`columns.py` shows here as a difference.
"""

from __future__ import annotations

import numpy as np

from dispatch.engine.candidates import exclusion
from dispatch.engine.plan import Plan, Route
from dispatch.engine.problem import NOWHERE, REACH_MAX_S, Driver, Job, Problem


def verify(problem: Problem, plan: Plan) -> list[str]:
    """Return what is wrong with a plan; an empty list means that it may be committed."""
    faults: list[str] = []
    drivers = [route.driver for route in plan.routes]
    jobs = [job for route in plan.routes for trip in route.trips for job in trip.jobs]
    faults += [f"driver {driver} has two routes" for driver in sorted(set(drivers)) if drivers.count(driver) > 1]
    faults += [f"job {job} is taken twice" for job in sorted(set(jobs)) if jobs.count(job) > 1]
    if sorted([*set(jobs), *plan.open_jobs]) != list(range(len(problem.jobs))):
        return [*faults, "the jobs taken and the jobs left open are not all the jobs"]
    total = 0
    for route in plan.routes:
        wrong = _look(problem, route)
        faults += wrong
        if not wrong:
            cost, start_by_s = _price(problem, route)
            total += cost
            if cost != route.terms.total or start_by_s != route.start_by_s:
                faults.append(f"driver {route.driver}'s route costs {cost}, not {route.terms.total}")
    total += sum(_open_price(problem, problem.jobs[job]) for job in plan.open_jobs)
    if not faults and total != plan.objective:
        faults.append(f"the objective is {total}, not {plan.objective}")
    return faults


def _look(problem: Problem, route: Route) -> list[str]:
    driver = problem.drivers[route.driver]
    faults: list[str] = []
    first = {job for trip in route.trips[:1] for job in trip.jobs}
    if not route.trips or not all(trip.jobs for trip in route.trips):
        faults.append(f"driver {route.driver} has an empty trip")
    if not set(driver.keeps) <= first:
        faults.append(f"driver {route.driver} loses work that he was promised")
    if route.trips and driver.heading_to not in (NOWHERE, route.trips[0].pickup):
        faults.append(f"driver {route.driver} is diverted")
    for trip in route.trips:
        for job in trip.jobs:
            if (why := exclusion(problem, route.driver, job)) is not None:
                faults.append(f"driver {route.driver} may not do job {job}: {why}")
            if problem.jobs[job].pickup != trip.pickup:
                faults.append(f"job {job} is not picked up at place {trip.pickup}")
            alone = job in driver.keeps or len(trip.jobs) == 1
            if not alone and len(trip.jobs) > min(problem.jobs[job].stack_max, driver.stack_max):
                faults.append(f"driver {route.driver} carries more than job {job} allows")
    return faults


def _price(problem: Problem, route: Route) -> tuple[int, int]:
    driver, weights = problem.drivers[route.driver], problem.weights
    half_pickup, half_dropoff = problem.half_services()
    place, now, cost, start_by_s = driver.place, max(0, driver.free_s), 0, None
    for trip in route.trips:
        way = _way(problem, place, trip.pickup, driver.vehicle)
        picked = max(now + way + half_pickup, *(problem.jobs[job].ready_s for job in trip.jobs))
        if picked > driver.off_s or way > REACH_MAX_S:
            return -1, -1
        start = picked - half_pickup - way
        start_by_s = start if start_by_s is None else start_by_s
        place, now = trip.pickup, picked + half_pickup
        for number in trip.jobs:
            job = problem.jobs[number]
            door = now + _way(problem, place, job.dropoff, driver.vehicle) + half_dropoff
            cost += weights.delay * max(0, door - _floor(problem, job)) + weights.lateness * max(
                0, door - job.promised_s
            )
            cost += weights.fairness * driver.jobs_done + _dedicated(problem, driver, job)
            place, now = job.dropoff, door + half_dropoff
        busy = max(0, min(now, max(driver.off_s, start)) - start)
        cost += (weights.driver_time + problem.second_price) * busy + weights.empty_travel * way
    return cost, start_by_s or 0


def _dedicated(problem: Problem, driver: Driver, job: Job) -> int:
    """A driver of the business' own comes first; a business without any pays nothing for the pool."""
    if not any(
        other.business_id in somebody.business_priority for somebody in problem.drivers for other in problem.jobs
    ):
        return 0
    if driver.pool == "dedicated":
        return problem.weights.dedicated_priority_step * (driver.business_priority[job.business_id] - 1)
    return problem.weights.pool_instead_of_dedicated


def _floor(problem: Problem, job: Job) -> int:
    half_pickup, half_dropoff = problem.half_services()
    vehicles = {driver.vehicle for driver in problem.drivers}
    way = min(_way(problem, job.pickup, job.dropoff, vehicle) for vehicle in vehicles)
    return job.ready_s + half_pickup + way + half_dropoff


def _open_price(problem: Problem, job: Job) -> int:
    if not problem.drivers:
        return 0
    floor, weights = _floor(problem, job), problem.weights
    earliest = floor + max(0, problem.half_services()[0] - job.ready_s)
    lost = weights.delay * (earliest - floor) + weights.lateness * max(0, earliest - job.promised_s)
    return 1_200_000 + 100 * max(0, -job.placed_s) + lost


def _way(problem: Problem, start: int, end: int, vehicle: int) -> int:
    return int(problem.legs.seconds(np.array([start]), np.array([end]), np.array([vehicle]))[0])
