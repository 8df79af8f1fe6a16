"""The exact pick: each driver at most one column, each job at most once, as cheap as can be.

The linear relaxation (GLOP) is whole by itself on most ticks. Where it is not, CP-SAT picks among the columns that can
still be in an optimum: those whose reduced cost is below the gap that is left. Work is counted in solver steps, so the
same question gets the same answer.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from dispatch.engine.problem import Ints

GAP_FIRST: Final = 60_000.0
WHOLE: Final = 1e-6


def pick(cost: Ints, rows: Ints, columns: Ints, height: int, work: float) -> Ints:
    """Return the numbers of the columns with the least sum that share no row; `rows`/`columns` are the ones' places.

    Costs are negative: not to pick costs nothing. Raises `RuntimeError` when a solver fails.
    """
    if not len(cost):
        return np.zeros(0, np.int64)
    value, bound, reduced = _relax(cost, rows, columns, height)
    if not ((value > WHOLE) & (value < 1 - WHOLE)).any():
        return np.flatnonzero(value > 0.5)
    gap = GAP_FIRST
    while True:
        near = np.flatnonzero(reduced <= gap)
        chosen, proven = _choose(cost, rows, columns, near, work)
        left = float(cost[chosen].sum()) - bound
        if left <= gap or not proven or len(near) == len(cost):
            return chosen
        gap = left + 1


def _relax(cost: Ints, rows: Ints, columns: Ints, height: int) -> tuple[Ints, float, Ints]:
    from ortools.linear_solver.python import model_builder_helper as helper

    matrix = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(height, len(cost)))
    model: Any = helper.ModelBuilderHelper()  # its stubs have the arrays' type parameters swapped
    nothing, one = np.zeros(len(cost)), np.ones(len(cost))
    least = np.full(height, -np.inf)
    model.fill_model_from_sparse_data(nothing, one, cost.astype(np.float64), least, np.ones(height), matrix)
    solver = helper.ModelSolverHelper("glop")
    solver.solve(model)
    if not solver.has_solution():
        raise RuntimeError("GLOP found no solution of a relaxation that always has one")
    return np.asarray(solver.variable_values()), float(solver.objective_value()), np.asarray(solver.reduced_costs())


def _choose(cost: Ints, rows: Ints, columns: Ints, near: Ints, work: float) -> tuple[Ints, bool]:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    taken = {int(number): model.new_bool_var("") for number in near}
    at_row: dict[int, list[cp_model.IntVar]] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if column in taken:
            at_row.setdefault(row, []).append(taken[column])
    for together in at_row.values():
        if len(together) > 1:
            model.add_at_most_one(together)
    model.minimize(sum(int(cost[number]) * variable for number, variable in taken.items()))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.linearization_level = 2
    solver.parameters.max_deterministic_time = work
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise RuntimeError(f"CP-SAT ended with {solver.status_name(status)}")
    chosen = np.array([number for number, variable in taken.items() if solver.value(variable)], np.int64)
    return chosen, status == cp_model.OPTIMAL
