"""The exact pick: each driver at most one column, each job at most once, as cheap as can be.

The linear relaxation (GLOP) is whole by itself on many ticks. Where it is not, CP-SAT picks among the columns that can
still be in an optimum: those whose reduced cost is below the gap that is left. Work is counted in solver steps, so the
same question gets the same answer.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, hstack

from dispatch.engine.problem import Ints
from dispatch.engine.relaxation import Relaxation, Relaxed

GAP_FIRST: Final = 8_000.0
GAP_STEP: Final = 4
AT_ONCE: Final = 4
"""On the way to a first pick, one in so many of the columns taken in part is taken whole at a time."""
NEAR_ENOUGH: Final = 0.001
"""A pick is taken when no other can be cheaper by more than this share of what the work costs."""


class Packing:
    """Columns to pick from: what each costs (n,), and which rows (m, n) it takes for itself.

    A column that saves something costs less than nothing. `base` is what nothing costs.
    """

    def __init__(self, height: int, base: int) -> None:
        self.base = base
        self.cost: Ints = np.zeros(0, np.int64)
        self.rows = csc_matrix((height, 0))
        self._relaxation = Relaxation(height)

    def add(self, cost: Ints, rows: Ints) -> None:
        """Add columns: `cost` (k,), `rows` (k, any) with -1 for none."""
        there = rows >= 0
        starts = np.concatenate(([0], np.cumsum(there.sum(axis=1))))
        more = csc_matrix((np.ones(starts[-1]), rows[there], starts), shape=(self.rows.shape[0], len(cost)))
        self._relaxation.add(cost, more)
        self.rows = hstack((self.rows, more), format="csc")
        self.cost = np.concatenate((self.cost, cost))

    def relax(self, take: Ints | None = None) -> Relaxed:
        """Return an optimum of the linear relaxation; what is to be `take`n stays so."""
        if take is not None:
            self._relaxation.take(take)
        return self._relaxation.solve()

    def surest(self, relaxed: Relaxed) -> Ints:
        """Return those of the columns taken in part that are to be whole next: the surest, none in another's way."""
        parts = relaxed.parts
        used: set[int] = set()
        taken = []
        for column in parts[np.argsort(-relaxed.value[parts], kind="stable")][: 1 + len(parts) // AT_ONCE].tolist():
            mine = self.rows.indices[self.rows.indptr[column] : self.rows.indptr[column + 1]].tolist()
            if used.isdisjoint(mine):
                used.update(mine)
                taken.append(column)
        return np.array(sorted(taken), np.int64)

    def reduced(self, row_price: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each column costs (n,) beyond the prices of its rows."""
        return np.asarray(self.cost - self.rows.T @ row_price)

    def pick(self, relaxed: Relaxed, floor: Ints, work: float) -> Ints:
        """Return the numbers of the columns with the least sum of costs that share no row.

        `relaxed` is an optimum of the relaxation, `floor` a pick that is good already.
        """
        reduced = self.reduced(relaxed.row_price)
        worst = float(self.cost[floor].sum()) - relaxed.objective + 1
        gap = min(max(GAP_FIRST, worst / 30), worst)
        while worst > 1:
            near = np.flatnonzero(reduced <= gap)
            floor, proven, spent = self._choose(near, floor, work)
            work -= spent
            total = float(self.cost[floor].sum())
            left = total - relaxed.objective + 1
            if left <= gap + NEAR_ENOUGH * (self.base + total) or gap >= worst or not proven:
                break
            gap = min(GAP_STEP * gap, left)
        return floor

    def _choose(self, near: Ints, floor: Ints, work: float) -> tuple[Ints, bool, float]:
        """Return the best pick among some columns, whether it is proven to be that, and the work it took."""
        from ortools.sat.python import cp_model

        model = cp_model.CpModel()
        taken = [model.new_bool_var("") for _ in near]
        by_row = self.rows[:, near].tocsr()
        starts, columns = by_row.indptr.tolist(), by_row.indices.tolist()
        for start, end in itertools.pairwise(starts):
            if end - start > 1:
                model.add_at_most_one([taken[column] for column in columns[start:end]])
        message: Any = model.proto  # what is the same for all is written there at once
        message.objective.vars.extend(range(len(near)))
        message.objective.coeffs.extend(self.cost[near].tolist())
        message.solution_hint.vars.extend(range(len(near)))
        message.solution_hint.values.extend(np.isin(near, floor).astype(np.int64).tolist())
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = 0
        solver.parameters.linearization_level = 2
        solver.parameters.cp_model_presolve = False  # it finds little in columns that the relaxation chose
        solver.parameters.cp_model_probing_level = 0
        solver.parameters.symmetry_level = 0
        solver.parameters.max_deterministic_time = work
        status = solver.solve(model)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return floor, False, work
        chosen = near[np.array(solver.response_proto.solution, bool)]
        if self.cost[chosen].sum() > self.cost[floor].sum():
            chosen = floor
        return chosen, status == cp_model.OPTIMAL, float(solver.response_proto.deterministic_time)
