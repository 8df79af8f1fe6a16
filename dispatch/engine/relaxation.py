"""The linear relaxation of the pick: GLOP goes on from where it stood when columns are added.

OR-Tools' MathOpt is asked by its messages, not through its modelling objects: those cost several times the solving.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from dispatch.engine.problem import Ints

WHOLE: Final = 1e-4
FEW: Final = 5
"""One new column in so many is too few to weigh all columns' edges anew for the steepest."""


@dataclass(frozen=True, slots=True)
class Relaxed:
    """An optimum: each column's share (n,), each row's price (m,), and the objective."""

    value: NDArray[np.float64]
    row_price: NDArray[np.float64]
    objective: float

    @property
    def parts(self) -> Ints:
        """The numbers of the columns that are taken in part."""
        return np.flatnonzero((self.value > WHOLE) & (self.value < 1 - WHOLE))


class SolverFailed(RuntimeError):
    """The solver has no answer to a problem that has one; what was found by simpler means stands."""


class Relaxation:
    """Minimise the cost of shares ≥ 0 of columns, each of `height` rows taken at most once."""

    def __init__(self, height: int) -> None:
        from ortools.math_opt import model_parameters_pb2, model_pb2, parameters_pb2
        from ortools.math_opt.core.python import solver
        from ortools.math_opt.parameters_pb2 import SolverInitializerProto

        model: Any = model_pb2.ModelProto()
        rows = model.linear_constraints
        rows.ids.extend(range(height))
        rows.lower_bounds.extend([-np.inf] * height)
        rows.upper_bounds.extend([1.0] * height)
        self._solver: Any = solver.new(parameters_pb2.SOLVER_TYPE_GLOP, model, SolverInitializerProto())
        self._parameters: Any = parameters_pb2.SolveParametersProto()
        self._parameters.glop.use_preprocessing = False  # it would forget where the solver stood
        self._parameters.glop.use_scaling = False  # ones need none
        self._wanted: Any = model_parameters_pb2.ModelSolveParametersProto()
        self._wanted.variable_values_filter.skip_zero_values = True
        self._wanted.reduced_costs_filter.filter_by_ids = True  # by none: they follow from the prices
        self._count = 0

    def add(self, cost: Ints, rows: csc_matrix) -> None:
        """Add columns: cost (k,) and where their ones are (height, k)."""
        from ortools.math_opt.model_update_pb2 import ModelUpdateProto

        ids = np.arange(self._count, self._count + len(cost))
        self._count += len(cost)
        update: Any = ModelUpdateProto()
        new = update.new_variables
        new.ids.extend(_list(ids))
        new.lower_bounds.extend([0.0] * len(ids))
        new.upper_bounds.extend([np.inf] * len(ids))
        new.integers.extend([False] * len(ids))
        prices = update.objective_updates.linear_coefficients
        prices.ids.extend(_list(ids))
        prices.values.extend(_list(cost.astype(np.float64)))
        by_row = rows.tocsr()
        by_row.sort_indices()
        ones = update.linear_constraint_matrix_updates
        ones.row_ids.extend(_list(np.repeat(np.arange(by_row.shape[0]), np.diff(by_row.indptr))))
        ones.column_ids.extend(_list(ids[by_row.indices]))
        ones.coefficients.extend([1.0] * by_row.nnz)
        if not self._solver.update(update):
            raise SolverFailed("GLOP takes no more columns")
        glop = self._parameters.glop
        few = len(cost) * FEW < self._count
        glop.optimization_rule = glop.feasibility_rule = glop.DEVEX if few else glop.STEEPEST_EDGE

    def take(self, numbers: Ints) -> None:
        """Let these columns be taken whole from now on."""
        from ortools.math_opt.model_update_pb2 import ModelUpdateProto

        update: Any = ModelUpdateProto()
        least = update.variable_updates.lower_bounds
        least.ids.extend(_list(numbers))
        least.values.extend([1.0] * len(numbers))
        if not self._solver.update(update):
            raise SolverFailed("GLOP takes no new bounds")
        self._parameters.glop.use_dual_simplex = True  # what stood is still priced right, and only breaks the bounds

    def solve(self) -> Relaxed:
        """Return the optimum; raises `SolverFailed`."""
        from ortools.math_opt.callback_pb2 import CallbackRegistrationProto

        found: Any = self._solver.solve(self._parameters, self._wanted, None, CallbackRegistrationProto(), None, None)
        self._parameters.glop.use_dual_simplex = False
        if not found.solutions or not found.solutions[0].HasField("dual_solution"):
            raise SolverFailed(f"GLOP ended with {found.termination.detail or found.termination.reason}")
        primal, dual = found.solutions[0].primal_solution, found.solutions[0].dual_solution
        return Relaxed(
            _dense(primal.variable_values, self._count),
            _dense(dual.dual_values, len(dual.dual_values.ids)),
            float(primal.objective_value),
        )


def _list(numbers: NDArray[Any]) -> Iterable[Any]:
    values: Iterable[Any] = numbers.tolist()
    return values


def _dense(vector: Any, length: int) -> NDArray[np.float64]:
    values = np.zeros(length)
    values[np.array(vector.ids, np.int64)] = vector.values
    return values
