"""The independent checker: a plan is looked at again, from the problem alone, before anybody acts on it."""

from __future__ import annotations

from dispatch.engine.candidates import exclusion
from dispatch.engine.plan import Plan
from dispatch.engine.problem import Problem


def verify(problem: Problem, plan: Plan) -> list[str]:
    """Return what is wrong with a plan; an empty list means that it may be committed."""
    faults: list[str] = []
    drivers: set[int] = set()
    jobs: set[int] = set()
    known = {(arc.driver, arc.job, arc.to_pickup_s) for arc in problem.arcs}
    total = 0
    for assignment in plan.assignments:
        arc = assignment.arc
        if (arc.driver, arc.job, arc.to_pickup_s) not in known:
            faults.append(f"job {arc.job} went to driver {arc.driver}, who was no candidate")
            continue
        if arc.driver in drivers:
            faults.append(f"driver {arc.driver} has two jobs")
        if arc.job in jobs:
            faults.append(f"job {arc.job} has two drivers")
        drivers.add(arc.driver)
        jobs.add(arc.job)
        if exclusion(problem.drivers[arc.driver], problem.jobs[arc.job], arc.to_pickup_s, frozenset()) is not None:
            faults.append(f"driver {arc.driver} may not do job {arc.job}")
        total += _recomputed(problem, arc.driver, arc.job, arc.to_pickup_s)
    total += sum(1_000_000 + job.waited_s for number, job in enumerate(problem.jobs) if number not in jobs)
    if not faults and total != plan.objective:
        faults.append(f"the objective is {total}, not {plan.objective}")
    return faults


def _recomputed(problem: Problem, driver_number: int, job_number: int, to_pickup_s: int) -> int:
    """Return an arc's price, written out again on purpose: a mistake in `cost.py` shows as a difference."""
    driver, job, w = problem.drivers[driver_number], problem.jobs[job_number], problem.weights
    arrival = driver.free_in_s + to_pickup_s
    early, late = max(0, job.ready_in_s - arrival), max(0, arrival - max(0, job.ready_in_s))
    door = arrival + early + problem.pickup_service_s + job.direct_s
    own = w.pool_instead_of_dedicated
    if driver.pool == "dedicated":
        own = (driver.business_priority[job.business_id] - 1) * w.dedicated_priority_step
    tardy = max(0, door - job.promised_in_s)
    share = driver.jobs_done * w.fairness
    return (
        tardy * w.lateness + late * w.pickup_wait + to_pickup_s * w.empty_travel + early * w.driver_wait + own + share
    )
