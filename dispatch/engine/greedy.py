"""The floor that is always there: the cheapest arc first, until drivers or jobs run out."""

from __future__ import annotations

from dispatch.engine.cost import price, unassigned_cost
from dispatch.engine.plan import Plan, plan_of
from dispatch.engine.problem import Arc, Problem


def solve_greedy(problem: Problem) -> Plan:
    """Return a plan in one pass; ties go to the job that is earlier in the problem."""
    ranked = sorted(problem.arcs, key=lambda arc: (price(problem, arc).total, arc.job, arc.driver))
    drivers: set[int] = set()
    jobs: set[int] = set()
    taken: list[Arc] = []
    for arc in ranked:
        if arc.driver in drivers or arc.job in jobs or price(problem, arc).total >= unassigned_cost(problem, arc.job):
            continue
        drivers.add(arc.driver)
        jobs.add(arc.job)
        taken.append(arc)
    return plan_of(problem, taken, "greedy")
