"""Anytime: the greedy answer first, then OR-Tools; the better verified plan wins."""

from __future__ import annotations

from dispatch.engine.explain import Explanation, explain
from dispatch.engine.greedy import solve_greedy
from dispatch.engine.matching import solve_matching
from dispatch.engine.plan import Plan
from dispatch.engine.problem import Problem
from dispatch.engine.verify import verify


def solve(problem: Problem) -> Plan:
    """Return a verified plan, the same for the same problem; an empty one when nothing passes the checker."""
    plans = [plan for plan in (solve_greedy(problem), solve_matching(problem)) if not verify(problem, plan)]
    return min(plans, key=lambda plan: plan.objective, default=Plan((), 0, "none"))


def solve_and_explain(problem: Problem) -> tuple[Plan, list[Explanation]]:
    """Return the plan and one explanation per job: what the process pool runs."""
    plan = solve(problem)
    return plan, explain(problem, plan)
