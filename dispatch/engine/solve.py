"""Anytime: the greedy answer first, then OR-Tools; the better verified plan wins.

The same `solve` runs in the server's tick, in replays and in benchmarks; nothing in it knows which one it is.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from dispatch.engine.bundles import Bundles, make_bundles
from dispatch.engine.columns import Columns, make_columns, nearest_pairs
from dispatch.engine.cost import Pricer
from dispatch.engine.explain import Explanation, explain
from dispatch.engine.greedy import jobs_of, open_costs, take_greedily
from dispatch.engine.matching import match
from dispatch.engine.packing import pick
from dispatch.engine.plan import Plan, plan_of
from dispatch.engine.problem import KEPT, Ints, Limits, Problem
from dispatch.engine.reposition import advise
from dispatch.engine.verify import verify

NEAREST_IN_BIG: Final = 16
USUAL: Final = Limits()


def solve(problem: Problem, limits: Limits = USUAL) -> Plan:
    """Return a verified plan, the same for the same problem and limits; raises `RuntimeError` when none passes."""
    if not problem.jobs or not problem.drivers:
        nobody = tuple(range(len(problem.jobs)))
        return Plan((), nobody, 0, "none", advise(problem, set()))
    pricer, columns = _columns(problem, limits)
    plans = [plan_of(pricer, columns, take_greedily(pricer, columns), "greedy")]
    if (columns.second >= 0).any() or (pricer.bundles.size[columns.first] > 1).any():
        plans.append(plan_of(pricer, columns, _pack(pricer, columns, limits), "packing"))
    else:
        plans.append(plan_of(pricer, columns, match(pricer, columns), "matching"))
    for plan in sorted(plans, key=lambda plan: plan.objective):
        if not verify(problem, plan):
            busy = {route.driver for route in plan.routes}
            return msgspec.structs.replace(plan, moves=advise(problem, busy))
    raise RuntimeError("; ".join(verify(problem, plans[0])[:3]))


def solve_and_explain(problem: Problem, limits: Limits = USUAL) -> tuple[Plan, list[Explanation]]:
    """Return the plan and one explanation per job: what the process pool runs."""
    plan = solve(problem, limits)
    return plan, explain(problem, plan)


def _columns(problem: Problem, limits: Limits) -> tuple[Pricer, Columns]:
    """Return the columns: all that is promising, or in a big market each job with its nearest drivers."""
    if len(problem.drivers) * len(problem.jobs) > limits.pairs_max:
        pricer = Pricer(problem, Bundles(problem, [(number,) for number in range(len(problem.jobs))]))
        found = problem.legs.near(pricer.place, pricer.pickup, NEAREST_IN_BIG)
        if found is not None:
            return pricer, nearest_pairs(pricer, found)
    pricer = Pricer(problem, make_bundles(problem))
    return pricer, make_columns(pricer, limits)


def _pack(pricer: Pricer, columns: Columns, limits: Limits) -> Ints:
    jobs = jobs_of(pricer, columns)
    saving = columns.priced.total - open_costs(pricer, jobs)
    for driver in pricer.problem.drivers:
        for kept in driver.keeps:
            saving[(jobs == kept).any(axis=1)] -= KEPT
    worth = np.flatnonzero(saving < 0)
    mine = jobs[worth]
    there = mine >= 0
    rows = np.concatenate((columns.driver[worth], len(pricer.place) + mine[there]))
    numbers = np.concatenate((np.arange(len(worth)), np.repeat(np.arange(len(worth)), there.sum(axis=1))))
    used, dense = np.unique(rows, return_inverse=True)
    chosen = pick(saving[worth], dense, numbers, len(used), limits.solver_work)
    return worth[chosen]
