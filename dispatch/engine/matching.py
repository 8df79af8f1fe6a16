"""The best one-to-one matching on sparse arcs: OR-Tools' min-cost flow, exact to the second.

source → driver (capacity 1) → job (capacity 1) → sink, with a bypass that leaves a job open at its price. For markets
too big for bundles: measured against a dense assignment it is faster beyond a few hundred drivers and needs no matrix.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dispatch.engine.columns import Columns
from dispatch.engine.cost import Pricer
from dispatch.engine.problem import Ints
from dispatch.engine.relaxation import SolverFailed

SECOND: Final = 100
"""Whole seconds are near enough for a big market, and the flow is found sooner."""


def match(pricer: Pricer, columns: Columns) -> Ints:
    """Return the numbers of the columns (one job each) in the cheapest matching; raises `SolverFailed`."""
    from ortools.graph.python import min_cost_flow

    top_drivers, top_jobs = len(pricer.place), len(pricer.ready_s)
    if not len(columns.driver):
        return np.zeros(0, np.int64)
    source, sink = top_drivers + top_jobs, top_drivers + top_jobs + 1
    drivers, jobs = np.arange(top_drivers), top_drivers + np.arange(top_jobs)
    tails = np.concatenate((np.full(top_drivers, source), columns.driver, np.full(top_jobs, source), jobs))
    heads = np.concatenate((drivers, top_drivers + columns.first, jobs, np.full(top_jobs, sink)))
    free_drivers, free_jobs = np.zeros(top_drivers, np.int64), np.zeros(top_jobs, np.int64)
    costs = np.concatenate((free_drivers, columns.priced.total, pricer.open_cost, free_jobs)) // SECOND
    flow = min_cost_flow.SimpleMinCostFlow()
    numbers = flow.add_arcs_with_capacity_and_unit_cost(
        tails.astype(np.int32), heads.astype(np.int32), np.ones(len(tails), np.int64), costs
    )
    flow.set_nodes_supplies(np.array([source, sink], np.int32), np.array([top_jobs, -top_jobs], np.int64))
    status = flow.solve()
    if status != flow.OPTIMAL:
        raise SolverFailed(f"min-cost flow ended with status {status}")
    used = flow.flows(numbers)[top_drivers : top_drivers + len(columns.driver)]
    return np.flatnonzero(used)
