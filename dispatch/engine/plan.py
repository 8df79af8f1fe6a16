"""What the engine answers: who takes what, at what price, and how the answer was found."""

from __future__ import annotations

import msgspec

from dispatch.engine.cost import Terms, price, unassigned_cost
from dispatch.engine.problem import Arc, Problem


class Assignment(msgspec.Struct, frozen=True):
    """One arc taken."""

    arc: Arc
    terms: Terms


class Plan(msgspec.Struct, frozen=True):
    """A set of assignments; `method` says which solver found it."""

    assignments: tuple[Assignment, ...]
    objective: int
    method: str


def plan_of(problem: Problem, arcs: list[Arc], method: str) -> Plan:
    """Return the plan that takes these arcs, priced."""
    taken = tuple(Assignment(arc, price(problem, arc)) for arc in sorted(arcs, key=lambda a: a.job))
    done = {assignment.arc.job for assignment in taken}
    left = sum(unassigned_cost(problem, job) for job in range(len(problem.jobs)) if job not in done)
    return Plan(taken, left + sum(a.terms.total for a in taken), method)
