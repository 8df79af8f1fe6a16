"""Anytime: the greedy answer first, then OR-Tools; the better verified plan wins.

The same `solve` runs in the server's tick, in replays and in benchmarks; nothing in it knows which one it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from dispatch.engine.bundles import Bundles, make_bundles
from dispatch.engine.columns import Columns, Market, pairs, together
from dispatch.engine.cost import Pricer
from dispatch.engine.explain import Explanation, explain
from dispatch.engine.greedy import jobs_of, take_greedily
from dispatch.engine.matching import match
from dispatch.engine.packing import Packing
from dispatch.engine.plan import Plan, plan_of
from dispatch.engine.problem import KEPT, Ints, Limits, Problem
from dispatch.engine.relaxation import Relaxed, SolverFailed
from dispatch.engine.reposition import advise
from dispatch.engine.verify import verify

DIVE: Final = 2
"""So many steps of the way to a first pick look for columns that are missing there."""
NEAREST_IN_BIG: Final = 16
WIDER: Final = 2
WIDEN_BY: Final = 4
USUAL: Final = Limits()


def solve(problem: Problem, limits: Limits = USUAL) -> Plan:
    """Return a verified plan, the same for the same problem and limits; raises `RuntimeError` when none passes."""
    if not problem.jobs or not problem.drivers:
        nobody = tuple(range(len(problem.jobs)))
        return Plan((), nobody, 0, "none", advise(problem, set()))
    plans: list[Plan] = []
    try:
        for plan in make_plans(problem, limits):
            plans.append(plan)  # one by one: what was found before a failure stands
    except SolverFailed:
        if not plans:
            raise
    plans.sort(key=lambda plan: plan.objective)
    for plan in plans:
        if not verify(problem, plan):
            busy = {route.driver for route in plan.routes}
            return msgspec.structs.replace(plan, moves=advise(problem, busy))
    raise RuntimeError("; ".join(verify(problem, plans[0])[:3]))


def solve_and_explain(problem: Problem, limits: Limits = USUAL) -> tuple[Plan, list[Explanation]]:
    """Return the plan and one explanation per job: what the process pool runs."""
    plan = solve(problem, limits)
    return plan, explain(problem, plan)


def make_plans(problem: Problem, limits: Limits) -> Iterator[Plan]:
    """Yield the greedy plan, then a better one, not yet verified."""
    if len(problem.drivers) * len(problem.jobs) > limits.pairs_max:
        yield from _match_nearest(problem)
        return
    pricer = Pricer(problem, make_bundles(problem))
    market = Market(pricer, limits)
    columns = market.start()
    yield plan_of(pricer, columns, take_greedily(pricer, columns), "greedy")
    columns, chosen = _pack(market, columns, limits)
    yield plan_of(pricer, columns, chosen, "packing")


def _match_nearest(problem: Problem) -> Iterator[Plan]:
    """Yield plans of one job each: with the nearest drivers, then wider around the jobs that found nobody."""
    pricer = Pricer(problem, Bundles(problem, [(number,) for number in range(len(problem.jobs))]))
    jobs, drivers = np.arange(len(problem.jobs)), np.arange(len(problem.drivers))
    columns = pairs(pricer, drivers, jobs, NEAREST_IN_BIG)
    yield plan_of(pricer, columns, take_greedily(pricer, columns), "greedy")
    chosen = match(pricer, columns)
    for wider in range(1, WIDER + 1):
        open_jobs = np.setdiff1d(jobs, columns.first[chosen])
        idle = np.setdiff1d(drivers, columns.driver[chosen])
        if not len(open_jobs) or not len(idle):
            break
        columns = together(columns, pairs(pricer, idle, open_jobs, NEAREST_IN_BIG * WIDEN_BY**wider))
        chosen = match(pricer, columns)
    yield plan_of(pricer, columns, chosen, "matching")


def _pack(market: Market, columns: Columns, limits: Limits) -> tuple[Columns, Ints]:
    """Return all columns that were made in the end, and the numbers of those picked."""
    pricer = market.pricer
    drivers = len(pricer.place)
    leaving = pricer.open_cost.copy()
    leaving[list(pricer.problem.promised())] += KEPT
    packing = Packing(drivers + len(leaving), int(leaving.sum()))

    def add(more: Columns) -> None:
        jobs = jobs_of(pricer, more)
        saving = more.priced.total - np.where(jobs >= 0, leaving[jobs], 0).sum(axis=1)
        packing.add(saving, np.column_stack((more.driver, np.where(jobs >= 0, drivers + jobs, -1))))

    def grow(relaxed: Relaxed) -> Relaxed | None:
        """Return the optimum with the columns that are missing by these prices; None when none are."""
        nonlocal columns
        more = market.missing(relaxed.row_price[:drivers], relaxed.row_price[drivers:], -0.5)
        if not len(more.driver):
            return None
        columns = together(columns, more)
        add(more)
        return packing.relax()

    add(columns)
    best = packing.relax()
    for _ in range(limits.rounds):
        if (better := grow(best)) is None:
            break
        best = better
    relaxed = best
    for step in itertools.count():
        if not len(relaxed.parts):
            break
        relaxed = packing.relax(packing.surest(relaxed))
        if step < DIVE:
            relaxed = grow(relaxed) or relaxed
    return columns, packing.pick(best, np.flatnonzero(relaxed.value > 0.5), limits.solver_work)
