"""The exact pick: each driver at most one column, each job at most once, as cheap as can be.

The linear relaxation (GLOP) is whole by itself on most ticks. Where it is not, CP-SAT picks among the columns that can
still be in an optimum: those whose reduced cost is below the gap that is left. Work is counted in solver steps, so the
same question gets the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from dispatch.engine.problem import Ints

GAP_FIRST: Final = 8_000.0
GAP_STEP: Final = 2
WHOLE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Relaxed:
    """An optimum of the linear relaxation: each column's share (n,) and reduced cost (n,), each row's price (m,)."""

    value: NDArray[np.float64]
    reduced: NDArray[np.float64]
    row_price: NDArray[np.float64]
    objective: float


@dataclass(frozen=True, slots=True)
class Ones:
    """Where the ones are: entry (rows[i], columns[i]); `height` rows in all."""

    rows: Ints
    columns: Ints
    height: int


def pick(cost: Ints, ones: Ones, relaxed: Relaxed, work: float) -> Ints:
    """Return the numbers of the columns with the least sum of costs that share no row; nothing costs nothing."""
    value = relaxed.value
    if not ((value > WHOLE) & (value < 1 - WHOLE)).any():
        return np.flatnonzero(value > 0.5)
    floor = _round(cost, ones, value)
    worst = float(cost[floor].sum()) - relaxed.objective + 1
    gap = min(GAP_FIRST, worst)
    while True:
        near = np.flatnonzero(relaxed.reduced <= gap)
        chosen, proven = _choose(cost, ones, near, floor, work)
        left = float(cost[chosen].sum()) - relaxed.objective + 1
        if left <= gap or gap >= worst or not proven:
            return chosen
        floor, gap = chosen, min(GAP_STEP * gap, left)


def relax(cost: Ints, ones: Ones) -> Relaxed:
    """Solve the linear relaxation; raises `RuntimeError` when GLOP fails."""
    from ortools.linear_solver.python import model_builder_helper as helper

    matrix = csr_matrix((np.ones(len(ones.rows)), (ones.rows, ones.columns)), shape=(ones.height, len(cost)))
    model: Any = helper.ModelBuilderHelper()  # its stubs have the arrays' type parameters swapped
    nothing, one = np.zeros(len(cost)), np.ones(len(cost))
    least, most = np.full(ones.height, -np.inf), np.ones(ones.height)
    model.fill_model_from_sparse_data(nothing, one, cost.astype(np.float64), least, most, matrix)
    solver = helper.ModelSolverHelper("glop")
    solver.solve(model)
    if not solver.has_solution():
        raise RuntimeError("GLOP found no solution of a relaxation that always has one")
    return Relaxed(
        np.asarray(solver.variable_values()),
        np.asarray(solver.reduced_costs()),
        np.asarray(solver.dual_values()),
        float(solver.objective_value()),
    )


def _round(cost: Ints, ones: Ones, value: NDArray[np.float64]) -> Ints:
    """Return a pick made from the relaxed one: what it takes most of first, then what saves most."""
    at: list[list[int]] = [[] for _ in range(len(cost))]
    for row, column in zip(ones.rows.tolist(), ones.columns.tolist(), strict=True):
        at[column].append(row)
    used: set[int] = set()
    taken = []
    for column in np.lexsort((cost, -np.round(value, 6))).tolist():
        if used.isdisjoint(at[column]):
            used.update(at[column])
            taken.append(column)
    return np.array(taken, np.int64)


def _choose(cost: Ints, ones: Ones, near: Ints, floor: Ints, work: float) -> tuple[Ints, bool]:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    taken = {int(number): model.new_bool_var("") for number in near}
    at_row: dict[int, list[cp_model.IntVar]] = {}
    for row, column in zip(ones.rows.tolist(), ones.columns.tolist(), strict=True):
        if column in taken:
            at_row.setdefault(row, []).append(taken[column])
    for together in at_row.values():
        if len(together) > 1:
            model.add_at_most_one(together)
    model.minimize(sum(int(cost[number]) * variable for number, variable in taken.items()))
    hinted = set(floor.tolist())
    for number, variable in taken.items():
        model.add_hint(variable, number in hinted)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.linearization_level = 2
    solver.parameters.max_deterministic_time = work
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return floor, False
    chosen = np.array([number for number, variable in taken.items() if solver.value(variable)], np.int64)
    if cost[chosen].sum() > cost[floor].sum():
        chosen = floor
    return chosen, status == cp_model.OPTIMAL
