"""Why a planned round has a delivery: what it adds there, and what it would add to the rounds of others.

Terms are the live engine's, in hundredths of a weighted second, so that both kinds of decision read the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from dispatch.engine.candidates import Exclusion
from dispatch.engine.cost import Terms
from dispatch.engine.explain import RUNNERS_UP_MAX
from dispatch.routing.problem import PlannedRoute, RoutingPlan, RoutingProblem, exclusion, place_of, preference
from dispatch.routing.schedule import schedule

TRIED_MAX: Final = 6
"""So many other rounds are looked at for each delivery: those that come nearest to its pickup."""

Order = list[tuple[str, int]]


class Added(msgspec.Struct, frozen=True):
    """What a job makes of one driver's round: its price term by term, and the driving it adds in seconds."""

    shift: int
    terms: Terms
    added_s: int


class Why(msgspec.Struct, frozen=True):
    """The answer to "why this driver?" for one job; `together` are the other jobs of the round."""

    job: int
    chosen: Added
    runners_up: tuple[Added, ...]
    excluded: dict[str, int]
    together: tuple[int, ...]


def explain(problem: RoutingProblem, plan: RoutingPlan) -> list[Why]:
    """Return one explanation for each job that is on a route."""
    orders: list[Order] = [[] for _ in problem.shifts]
    for route in plan.routes:
        orders[route.shift] = [(visit.kind, visit.job) for visit in route.visits]
    return [_why(problem, orders, route.shift, job) for route in plan.routes for job in _jobs(orders[route.shift])]


def _why(problem: RoutingProblem, orders: list[Order], mine: int, job: int) -> Why:
    excluded: Counter[str] = Counter()
    able = []
    for number, shift in enumerate(problem.shifts):
        if number == mine or (problem.fewest_drivers and not orders[number]):
            continue
        why = exclusion(problem, shift, problem.work[job])
        if why is None:
            able.append(number)
        else:
            excluded[why.value] += 1
    others = []
    for number in sorted(able, key=lambda number: (_gap_s(problem, number, orders[number], job), number))[:TRIED_MAX]:
        added = [_added(problem, number, orders[number], longer, job) for longer in _with(orders[number], job)]
        fits = [one for one in added if one is not None]
        if fits:
            others.append(min(fits, key=lambda one: one.terms.total))
        else:
            excluded[Exclusion.BUSY.value] += 1
    rest = [stop for stop in orders[mine] if stop[1] != job]
    chosen = _added(problem, mine, rest, orders[mine], job)
    assert chosen is not None
    others.sort(key=lambda one: one.terms.total)
    return Why(job, chosen, tuple(others[:RUNNERS_UP_MAX]), dict(excluded), tuple(_jobs(rest)))


def _with(order: Order, job: int) -> Iterator[Order]:
    """Give a round with one job more, picked up and brought in one go, at each place in turn."""
    for at in range(len(order) + 1):
        yield [*order[:at], ("pickup", job), ("dropoff", job), *order[at:]]


def _added(problem: RoutingProblem, number: int, order: Order, longer: Order, job: int) -> Added | None:
    """Return what the longer round costs more than the shorter; None when it is past his hours or his room."""
    shift, route = problem.shifts[number], schedule(problem, number, longer)
    if route.end_s > shift.off_s or _load_max(problem, longer) > shift.driver.capacity:
        return None
    before = schedule(problem, number, order) if order else PlannedRoute(number, (), 0, 0, 0, 0)
    drive_s = route.drive_s - before.drive_s
    busy_s = route.end_s - route.start_s - (before.end_s - before.start_s)
    weights = problem.weights
    terms = Terms(
        lateness=_lateness(problem, route) - _lateness(problem, before),
        driver_time=busy_s * weights.driver_time,
        empty_travel=drive_s * max(1, weights.empty_travel),
        dedicated_first=preference(problem, shift, problem.work[job]),
    )
    return Added(number, terms, drive_s)


def _lateness(problem: RoutingProblem, route: PlannedRoute) -> int:
    return sum(visit.late_s * problem.late_price(problem.work[visit.job].job) for visit in route.visits)


def _load_max(problem: RoutingProblem, order: Order) -> int:
    load = most = 0
    for kind, job in order:
        load += problem.work[job].job.size * (1 if kind == "pickup" else -1)
        most = max(most, load)
    return most


def _gap_s(problem: RoutingProblem, number: int, order: Order, job: int) -> int:
    """Return how near a round comes to a job's pickup, in seconds of driving."""
    shift, pickup = problem.shifts[number], problem.work[job].job.pickup
    stops = [shift.start, *(place_of(problem.work[one], kind) for kind, one in order)]
    return min(problem.drive_s(shift, place, pickup) for place in stops)


def _jobs(order: Sequence[tuple[str, int]]) -> list[int]:
    return [job for kind, job in order if kind == "pickup"]
