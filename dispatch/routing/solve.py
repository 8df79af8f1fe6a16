"""Makes the routes: OR-Tools' routing solver with pickups and doors, windows, hours and room aboard.

The cheapest insertion is a start; guided local search goes on from there until its time is over or nothing gets better
for a while. What the solver says is an order of stops only: times and lateness are worked out again (`schedule`).
Parameters and model: https://developers.google.com/optimization/routing/pickup_delivery
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from ortools.constraint_solver import pywrapcp, routing_enums_pb2

from dispatch.engine.problem import NOWHERE, Ints
from dispatch.routing.problem import (
    SERVICE_S,
    Planned,
    PlannedRoute,
    RoutingPlan,
    RoutingProblem,
    Shift,
    exclusion,
    place_of,
    preference,
    window,
)
from dispatch.routing.schedule import schedule

LEFT_PRICE: Final = 10**9
"""Leaving a job out costs more than any lateness of a day."""
DRIVER_PRICE: Final = 10**6
"""What another driver costs where the fewest are asked for: hours of driving, less than a job left out."""
QUIET_SHARE: Final = 0.25
"""Nothing better for this share of the time, and it is good enough."""

Tell = Callable[[float, int], None]
"""Hears how far it is: the share of the time that is over, and how many jobs are on a route."""


def solve(problem: RoutingProblem, limit_s: float, tell: Tell = lambda share, jobs: None) -> RoutingPlan:
    """Return routes for a day; `limit_s` is wall time. What nobody may do at all is left out from the start."""
    may = {
        number: [v for v, shift in enumerate(problem.shifts) if exclusion(problem, shift, planned) is None]
        for number, planned in enumerate(problem.work)
    }
    jobs = [number for number, drivers in may.items() if drivers]
    if not jobs:
        return RoutingPlan((), tuple(may))
    return _Model(problem, jobs, may).best(limit_s, tell)


class _Model:
    """Nodes are pickup and door of each job in turn, then each shift's start and end."""

    def __init__(self, problem: RoutingProblem, jobs: list[int], may: dict[int, list[int]]) -> None:
        self._problem, self._jobs = problem, jobs
        self._stops = [(kind, job) for job in jobs for kind in ("pickup", "dropoff")]
        self._places = [place_of(problem.work[job], kind) for kind, job in self._stops]
        shifts, count = problem.shifts, len(self._stops)
        starts = [count + 2 * v for v in range(len(shifts))]
        self._places += [place for shift in shifts for place in (shift.start, shift.end)]
        self._manager = pywrapcp.RoutingIndexManager(len(self._places), len(shifts), starts, [n + 1 for n in starts])
        self._routing = pywrapcp.RoutingModel(self._manager)
        self._from_s = min(shift.on_s for shift in shifts)
        self._set_times()
        self._set_room()
        for n, job in enumerate(jobs):
            self._set_job(problem.work[job], 2 * n, may[job])
        if problem.fewest_drivers:
            self._routing.SetFixedCostOfAllVehicles(DRIVER_PRICE)

    def _set_times(self) -> None:
        problem, routing = self._problem, self._routing
        horizon_s = max(shift.off_s for shift in problem.shifts) - self._from_s
        transits: dict[int, tuple[int, Ints]] = {}
        costs: dict[Any, int] = {}
        numbers = []
        for v, shift in enumerate(problem.shifts):
            vehicle = shift.driver.vehicle
            if vehicle not in transits:
                took, drive = self._matrices(shift, horizon_s)
                transits[vehicle] = routing.RegisterTransitMatrix(took.tolist()), drive
            numbers.append(transits[vehicle][0])
            extra = tuple(preference(problem, shift, problem.work[job]) for job in self._jobs)
            if (vehicle, extra) not in costs:
                costs[vehicle, extra] = routing.RegisterTransitMatrix(self._costs(transits[vehicle][1], extra))
            routing.SetArcCostEvaluatorOfVehicle(costs[vehicle, extra], v)
        routing.AddDimensionWithVehicleTransits(numbers, horizon_s, horizon_s, False, "time")
        self._time = routing.GetDimensionOrDie("time")
        for v, shift in enumerate(problem.shifts):
            hours = shift.on_s - self._from_s, shift.off_s - self._from_s
            self._time.CumulVar(routing.Start(v)).SetRange(*hours)
            self._time.CumulVar(routing.End(v)).SetRange(*hours)
            self._time.SetSpanCostCoefficientForVehicle(problem.weights.driver_time, v)
            routing.AddVariableMinimizedByFinalizer(self._time.CumulVar(routing.End(v)))

    def _matrices(self, shift: Shift, never_s: int) -> tuple[Ints, Ints]:
        """Return the seconds from node to node with and without service; where there is no way, more than a day has."""
        place = np.array(self._places)
        anywhere = place == NOWHERE
        known = np.where(anywhere, 0, place)
        drive = self._problem.legs.seconds(known[:, None], known[None, :], np.full(1, shift.driver.vehicle))
        drive = np.where(anywhere[:, None] | anywhere[None, :], 0, np.minimum(drive, never_s + 1))
        served, number = len(self._stops), np.arange(len(place))
        pickup = (number < served) & (number % 2 == 0)
        together = pickup[:, None] & pickup[None, :] & (place[:, None] == place[None, :])
        took = drive + np.where((number < served)[:, None] & ~together, SERVICE_S, 0)
        took[served:, served:] = 0  # who stays at home takes no time for it
        return took, drive

    def _costs(self, drive: Ints, extra: tuple[int, ...]) -> list[list[int]]:
        price = max(1, self._problem.weights.empty_travel) * drive
        price[:, : len(self._stops) : 2] += np.array(extra, np.int64)
        out: list[list[int]] = price.tolist()
        return out

    def _set_room(self) -> None:
        problem, routing = self._problem, self._routing
        size = [problem.work[job].job.size * (1 if kind == "pickup" else -1) for kind, job in self._stops]
        loads = routing.RegisterUnaryTransitVector(size + [0] * 2 * len(problem.shifts))
        room = [shift.driver.capacity for shift in problem.shifts]
        routing.AddDimensionWithVehicleCapacity(loads, 0, room, True, "room")

    def _set_job(self, planned: Planned, node: int, drivers: list[int]) -> None:
        routing, solver = self._routing, self._routing.solver()
        pickup, door = self._manager.NodeToIndex(node), self._manager.NodeToIndex(node + 1)
        routing.AddPickupAndDelivery(pickup, door)
        solver.Add(routing.VehicleVar(pickup) == routing.VehicleVar(door))
        solver.Add(self._time.CumulVar(pickup) <= self._time.CumulVar(door))
        for index, kind in ((pickup, "pickup"), (door, "dropoff")):
            routing.VehicleVar(index).SetValues([-1, *drivers])
            routing.AddDisjunction([index], LEFT_PRICE)
            from_s, until_s = window(planned, kind)
            self._time.CumulVar(index).SetMin(max(0, from_s - self._from_s))
            if until_s is not None:
                price = self._problem.late_price(planned.job)
                self._time.SetCumulVarSoftUpperBound(index, max(0, until_s - self._from_s), price)

    def best(self, limit_s: float, tell: Tell) -> RoutingPlan:
        """Search until the time is over or it has been quiet for long."""
        routing = self._routing
        asked = pywrapcp.DefaultRoutingSearchParameters()
        asked.first_solution_strategy = routing_enums_pb2.FirstSolutionStrategy.PARALLEL_CHEAPEST_INSERTION
        asked.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
        asked.time_limit.FromMilliseconds(round(limit_s * 1000))
        started = better_at = time.monotonic()
        least = 2**62

        def found() -> None:
            nonlocal least, better_at
            now, cost = time.monotonic(), routing.CostVar().Max()
            tell(min(1.0, (now - started) / limit_s), self._served())
            if cost < least:
                least, better_at = cost, now
            elif now - better_at > QUIET_SHARE * limit_s:
                routing.solver().FinishCurrentSearch()

        routing.AddAtSolutionCallback(found)
        answer = routing.SolveWithParameters(asked)
        if answer is None:
            return RoutingPlan((), tuple(range(len(self._problem.work))))
        routes = tuple(self._route(v, answer) for v in range(len(self._problem.shifts)))
        some = tuple(route for route in routes if route is not None)
        done = {visit.job for route in some for visit in route.visits}
        return RoutingPlan(some, tuple(job for job in range(len(self._problem.work)) if job not in done))

    def _served(self) -> int:
        """Return how many jobs are on a route of the solution at hand."""
        pickups = [self._manager.NodeToIndex(2 * n) for n in range(len(self._jobs))]
        return sum(self._routing.NextVar(index).Value() != index for index in pickups)

    def _route(self, shift: int, answer: Any) -> PlannedRoute | None:
        routing, index = self._routing, self._routing.Start(shift)
        order = []
        while not routing.IsEnd(index := answer.Value(routing.NextVar(index))):
            order.append(self._stops[self._manager.IndexToNode(index)])
        return schedule(self._problem, shift, order) if order else None
