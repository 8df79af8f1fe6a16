"""The floor alone: a greedy plan with no solver in it, for when the planner's process is down."""

from __future__ import annotations

import numpy as np

from dispatch.engine.bundles import Bundles
from dispatch.engine.columns import pairs
from dispatch.engine.cost import Pricer
from dispatch.engine.greedy import take_greedily
from dispatch.engine.plan import Plan, plan_of
from dispatch.engine.problem import Problem
from dispatch.engine.verify import verify

NEAREST: int = 32


def solve_greedily(problem: Problem) -> Plan:
    """Return a verified plan of one job each for nearby drivers; raises `RuntimeError` when it does not pass."""
    if not problem.jobs or not problem.drivers:
        return Plan((), tuple(range(len(problem.jobs))), 0, "none")
    pricer = Pricer(problem, Bundles(problem, [(number,) for number in range(len(problem.jobs))]))
    columns = pairs(pricer, np.arange(len(problem.drivers)), np.arange(len(problem.jobs)), NEAREST)
    plan = plan_of(pricer, columns, take_greedily(pricer, columns), "greedy")
    if faults := verify(problem, plan):
        raise RuntimeError("; ".join(faults[:3]))
    return plan
