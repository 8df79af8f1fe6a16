"""The independent checker: routes are looked at again, from the problem alone, before anybody may commit them."""

from __future__ import annotations

from collections import Counter

from dispatch.routing.problem import (
    SERVICE_S,
    PlannedRoute,
    RoutingPlan,
    RoutingProblem,
    exclusion,
    place_of,
    window,
)


def verify(problem: RoutingProblem, plan: RoutingPlan) -> list[str]:
    """Return what is wrong with a plan; an empty list means that it may be kept."""
    faults: list[str] = []
    shifts = Counter(route.shift for route in plan.routes)
    faults += [f"driver {shift} has two routes" for shift, count in shifts.items() if count > 1]
    stops = Counter((visit.kind, visit.job) for route in plan.routes for visit in route.visits)
    faults += [f"the {kind} of job {job} is served twice" for (kind, job), count in stops.items() if count > 1]
    done = {job for _, job in stops}
    if sorted([*done, *plan.left]) != list(range(len(problem.work))):
        faults.append("the jobs on routes and the jobs left are not all the jobs")
    for route in plan.routes:
        faults += _of_route(problem, route)
    return faults


def _of_route(problem: RoutingProblem, route: PlannedRoute) -> list[str]:
    shift = problem.shifts[route.shift]
    faults: list[str] = []
    free_s, here, load = route.start_s, shift.start, 0
    aboard: set[int] = set()
    if route.start_s < shift.on_s or route.end_s > shift.off_s:
        faults.append(f"driver {route.shift} is out before or after his hours")
    for number, visit in enumerate(route.visits):
        planned = problem.work[visit.job]
        place = place_of(planned, visit.kind)
        begin_s, until_s = window(planned, visit.kind)
        if visit.at_s < free_s + problem.drive_s(shift, here, place):
            faults.append(f"driver {route.shift} can't be at the {visit.kind} of job {visit.job} so early")
        if visit.at_s < begin_s:
            faults.append(f"the {visit.kind} of job {visit.job} comes before its window")
        if visit.late_s != (0 if until_s is None else max(0, visit.at_s - until_s)):
            faults.append(f"the {visit.kind} of job {visit.job} is not {visit.late_s} s late")
        if visit.kind == "pickup":
            aboard.add(visit.job)
            load += planned.job.size
            if (why := exclusion(problem, shift, planned)) is not None:
                faults.append(f"driver {route.shift} may not do job {visit.job}: {why}")
        elif visit.job in aboard:
            aboard.remove(visit.job)
            load -= planned.job.size
        else:
            faults.append(f"job {visit.job} is handed over before it is picked up")
        if load > shift.driver.capacity:
            faults.append(f"driver {route.shift} carries {load} units, more than he can")
        following = route.visits[number + 1 : number + 2]
        together = visit.kind == "pickup" and any(
            after.kind == "pickup" and place_of(problem.work[after.job], "pickup") == place for after in following
        )
        free_s, here = visit.at_s + (0 if together else SERVICE_S), place
    if route.end_s < free_s + problem.drive_s(shift, here, shift.end):
        faults.append(f"driver {route.shift} can't be done so early")
    if aboard:
        faults.append(f"driver {route.shift} keeps jobs {sorted(aboard)} aboard")
    return faults
