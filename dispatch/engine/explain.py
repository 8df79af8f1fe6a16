"""Why: for every job the chosen driver and his price term by term, the runners-up, and who was left out for what."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec
import numpy as np

from dispatch.engine.bundles import Bundles
from dispatch.engine.candidates import NONE, Candidates
from dispatch.engine.cost import TERMS, Pricer, Terms
from dispatch.engine.plan import Plan, Route
from dispatch.engine.problem import Ints, Problem

RUNNERS_UP_MAX: Final = 3


class Candidate(msgspec.Struct, frozen=True):
    """One driver's price for a job alone, when he is free and how far it is then, and whether he was given another."""

    driver_id: UUID
    total: int
    to_pickup_s: int
    terms: Terms
    free_s: int = 0
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


def explain(problem: Problem, plan: Plan, runners_up_max: int = RUNNERS_UP_MAX) -> list[Explanation]:
    """Return one explanation per job, in the problem's order."""
    if not problem.drivers:
        return [Explanation(job, None, (), dict(problem.left_out), plan.method) for job in range(len(problem.jobs))]
    pricer = Pricer(problem, Bundles(problem, [(number,) for number in range(len(problem.jobs))]))
    candidates = Candidates(problem)
    given = {job: (route, trip) for route in plan.routes for trip, part in enumerate(route.trips) for job in part.jobs}
    busy = {route.driver for route in plan.routes}
    return [
        _explain(pricer, candidates, plan, job, given.get(job), busy, runners_up_max)
        for job in range(len(problem.jobs))
    ]


def _explain(
    pricer: Pricer,
    candidates: Candidates,
    plan: Plan,
    job: int,
    given: tuple[Route, int] | None,
    busy: set[int],
    runners_up_max: int,
) -> Explanation:
    why = candidates.of(job)
    able, excluded = np.flatnonzero(why == NONE), candidates.count(why)
    if given is None:
        return Explanation(job, None, _cheapest(pricer, job, able, busy, runners_up_max), excluded, plan.method)
    route, trip = given
    drivers = np.append(route.driver, able[able != route.driver])
    best, *others = _cheapest(pricer, job, drivers, busy, runners_up_max, first=1)
    together = tuple(other for other in route.trips[trip].jobs if other != job)
    amid = route.trips[trip].amid is not None
    chosen = msgspec.structs.replace(best, took_other_job=False)
    return Explanation(job, chosen, tuple(others), excluded, plan.method, together, trip > 0, route.start_by_s, amid)


def _cheapest(
    pricer: Pricer, job: int, drivers: Ints, busy: set[int], count: int, first: int = 0
) -> tuple[Candidate, ...]:
    """Return the `first` of these drivers, then up to `count` others, the cheapest for the job alone first."""
    priced = pricer.route(drivers, (np.full(len(drivers), job),))
    best = np.append(np.arange(first), first + np.argsort(priced.total[first:], kind="stable")[:count])
    way = pricer.problem.legs.seconds(
        pricer.place[drivers[best]], pricer.pickup[np.full(len(best), job)], pricer.vehicle[drivers[best]]
    )
    found = []
    for n, driver, to_pickup_s in zip(best.tolist(), drivers[best].tolist(), way.tolist(), strict=True):
        terms = Terms(**{name: int(priced.terms[name][n]) for name in TERMS})
        who = pricer.problem.drivers[driver]
        found.append(Candidate(who.id, terms.total, to_pickup_s, terms, max(0, who.free_s), driver in busy))
    return tuple(found)
