"""When each stop of a round is served: as early as windows allow, and left for no earlier than the first one needs."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.engine.problem import NOWHERE
from dispatch.routing.problem import SERVICE_S, PlannedRoute, RoutingProblem, Visit, place_of, window


def schedule(problem: RoutingProblem, number: int, order: Sequence[tuple[str, int]]) -> PlannedRoute:
    """Return the route that serves these (kind, job) in this order; at least one."""
    shift = problem.shifts[number]
    first_kind, first_job = order[0]
    first = problem.work[first_job]
    way_s = problem.drive_s(shift, shift.start, place_of(first, first_kind))
    start_s = max(shift.on_s, window(first, first_kind)[0] - way_s)
    at_s, here, before, drive_s, wait_s = start_s, shift.start, "", 0, 0
    visits = []
    for kind, job in order:
        place = place_of(problem.work[job], kind)
        together = kind == before == "pickup" and place == here
        leg_s = problem.drive_s(shift, here, place)
        there_s = at_s + leg_s + (0 if together or not before else SERVICE_S)
        begin_s, until_s = window(problem.work[job], kind)
        at_s = max(there_s, begin_s)
        wait_s, drive_s = wait_s + at_s - there_s, drive_s + leg_s
        visits.append(Visit(kind, job, at_s, 0 if until_s is None else max(0, at_s - until_s)))
        here, before = place, kind
    home_s = 0 if shift.end == NOWHERE else problem.drive_s(shift, here, shift.end)
    return PlannedRoute(number, tuple(visits), start_s, at_s + SERVICE_S + home_s, drive_s + home_s, wait_s)
