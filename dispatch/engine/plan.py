"""What the engine answers: who takes what in which order, at what price, and how the answer was found."""

from __future__ import annotations

import msgspec

from dispatch.engine.bundles import Trip
from dispatch.engine.columns import Columns
from dispatch.engine.cost import TERMS, Pricer, Terms
from dispatch.engine.problem import Ints


class Route(msgspec.Struct, frozen=True):
    """One driver's work. When `commit` is set he must hear of the first trip now: waiting would delay it."""

    driver: int
    trips: tuple[Trip, ...]
    start_by_s: int
    commit: bool
    terms: Terms


class Move(msgspec.Struct, frozen=True):
    """Advice to an idle driver: work is likely near this pickup place."""

    driver: int
    place: int
    saves_s: int


class Plan(msgspec.Struct, frozen=True):
    """Routes, the jobs left open, and the sum that was minimised; `method` says which solver found it."""

    routes: tuple[Route, ...]
    open_jobs: tuple[int, ...]
    objective: int
    method: str
    moves: tuple[Move, ...] = ()


def plan_of(pricer: Pricer, columns: Columns, taken: Ints, method: str) -> Plan:
    """Return the plan that takes these columns."""
    problem = pricer.problem
    routes: list[Route] = []
    done: set[int] = set()
    for number in sorted(taken.tolist(), key=lambda n: int(columns.driver[n])):
        trips = tuple(
            pricer.bundles.trip(bundle)
            for bundle in (int(columns.first[number]), int(columns.second[number]))
            if bundle >= 0
        )
        done.update(job for trip in trips for job in trip.jobs)
        start_by_s = int(columns.priced.start_by_s[number])
        terms = Terms(**{name: int(columns.priced.terms[name][number]) for name in TERMS})
        commit = start_by_s < problem.epoch_s + problem.lead_s
        routes.append(Route(int(columns.driver[number]), trips, start_by_s, commit, terms))
    left = tuple(job for job in range(len(problem.jobs)) if job not in done)
    objective = sum(route.terms.total for route in routes) + int(sum(pricer.open_cost[job] for job in left))
    return Plan(tuple(routes), left, objective, method)
