"""Why: for every job the chosen driver and his price term by term, the runners-up, and who was left out for what."""

from __future__ import annotations

from collections import defaultdict
from typing import Final
from uuid import UUID

import msgspec

from dispatch.engine.cost import Terms, price
from dispatch.engine.plan import Plan
from dispatch.engine.problem import Arc, Problem

RUNNERS_UP_MAX: Final = 3


class Candidate(msgspec.Struct, frozen=True):
    """One driver's price for a job, and what else he was given if not this."""

    driver_id: UUID
    total: int
    to_pickup_s: int
    terms: Terms
    took_other_job: bool = False


class Explanation(msgspec.Struct, frozen=True):
    """The answer to "why this driver?", or to "why nobody?"."""

    job: int
    chosen: Candidate | None
    runners_up: tuple[Candidate, ...]
    excluded: dict[str, int]
    method: str


def explain(problem: Problem, plan: Plan) -> list[Explanation]:
    """Return one explanation per job, in the problem's order."""
    by_job: dict[int, list[Arc]] = defaultdict(list)
    for arc in problem.arcs:
        by_job[arc.job].append(arc)
    given = {assignment.arc.driver: assignment.arc.job for assignment in plan.assignments}
    return [_explain(problem, plan, job, by_job[job], given) for job in range(len(problem.jobs))]


def _explain(problem: Problem, plan: Plan, job: int, arcs: list[Arc], given: dict[int, int]) -> Explanation:
    candidates: list[tuple[bool, Candidate]] = []
    for arc in arcs:
        terms = price(problem, arc)
        took_other = given.get(arc.driver, job) != job
        chosen = given.get(arc.driver) == job
        driver_id = problem.drivers[arc.driver].id
        candidates.append((chosen, Candidate(driver_id, terms.total, arc.to_pickup_s, terms, took_other)))
    best = next((candidate for chosen, candidate in candidates if chosen), None)
    others = sorted((c for chosen, c in candidates if not chosen), key=lambda c: (c.total, c.driver_id))
    return Explanation(job, best, tuple(others[:RUNNERS_UP_MAX]), problem.excluded[job], plan.method)
