"""Why: for every job the chosen driver and his price term by term, the runners-up, and who was left out for what."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec
import numpy as np

from dispatch.engine.bundles import Bundles
from dispatch.engine.candidates import count_reasons, eligible, on_the_way
from dispatch.engine.cost import TERMS, Pricer, Terms
from dispatch.engine.plan import Plan, Route
from dispatch.engine.problem import Ints, Problem

RUNNERS_UP_MAX: Final = 3


class Candidate(msgspec.Struct, frozen=True):
    """One driver's price for a job alone, and what else he was given if not this."""

    driver_id: UUID
    total: int
    to_pickup_s: int
    terms: Terms
    took_other_job: bool = False


class Explanation(msgspec.Struct, frozen=True):
    """The answer to "why this driver?", or to "why nobody?".

    `together` are the other jobs of the same trip, `after` says that the driver has a trip to finish first, and
    `on_the_way` that he takes it between the stops he has.
    """

    job: int
    chosen: Candidate | None
    runners_up: tuple[Candidate, ...]
    excluded: dict[str, int]
    method: str
    together: tuple[int, ...] = ()
    after: bool = False
    start_by_s: int = 0
    on_the_way: bool = False


def explain(problem: Problem, plan: Plan) -> list[Explanation]:
    """Return one explanation per job, in the problem's order."""
    if not problem.drivers:
        return [Explanation(job, None, (), dict(problem.left_out), plan.method) for job in range(len(problem.jobs))]
    pricer = Pricer(problem, Bundles(problem, [(number,) for number in range(len(problem.jobs))]))
    allowed = eligible(problem)
    given = {job: (route, trip) for route in plan.routes for trip, part in enumerate(route.trips) for job in part.jobs}
    busy = {route.driver for route in plan.routes}
    return [
        _explain(pricer, plan, job, np.flatnonzero(allowed[:, job]), given.get(job), busy)
        for job in range(len(problem.jobs))
    ]


def _explain(
    pricer: Pricer, plan: Plan, job: int, drivers: Ints, given: tuple[Route, int] | None, busy: set[int]
) -> Explanation:
    problem = pricer.problem
    priced = pricer.route(drivers, (np.full(len(drivers), job),))
    way = problem.legs.seconds(
        pricer.place[drivers], pricer.pickup[np.full(len(drivers), job)], pricer.vehicle[drivers]
    )
    candidates: list[Candidate] = []
    best = None
    for n, driver in enumerate(drivers.tolist()):
        chosen = given is not None and given[0].driver == driver
        if not chosen and on_the_way(problem, problem.drivers[driver], problem.jobs[job], int(way[n])) is not None:
            continue
        terms = Terms(**{name: int(priced.terms[name][n]) for name in TERMS})
        one = Candidate(problem.drivers[driver].id, terms.total, int(way[n]), terms, driver in busy and not chosen)
        if chosen:
            best = one
        else:
            candidates.append(one)
    others = tuple(sorted(candidates, key=lambda c: (c.total, c.driver_id))[:RUNNERS_UP_MAX])
    excluded = count_reasons(problem, job)
    if given is None:
        return Explanation(job, None, others, excluded, plan.method)
    route, trip = given
    together = tuple(other for other in route.trips[trip].jobs if other != job)
    amid = route.trips[trip].amid is not None
    return Explanation(job, best, others, excluded, plan.method, together, trip > 0, route.start_by_s, amid)
