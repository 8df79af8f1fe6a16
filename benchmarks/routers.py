"""Routing solvers made for less driving, asked the dispatcher's question: OR-Tools' router, and VROOM if installed.

Each gets the nearest thing to the engine's terms that it can say, and its tours are priced by the engine's own.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Final

import numpy as np

from benchmarks.tours import NOTHING, Tour, Tours
from dispatch.engine.problem import Driver

HORIZON_S: Final = 14_400
VROOM_EXPLORES: Final = 1
"""Its effort from 0 to 5: more of it takes seconds and hardly changes the figures."""
ROUTING_WALL_S: Final = 2
"""OR-Tools' router takes a limit of wall time only: twice what the others get of CPU, for a machine that is busy."""


def has_vroom() -> bool:
    """Say whether VROOM can be asked (PyPI: pyvroom)."""
    return importlib.util.find_spec("vroom") is not None


def vroom_tours(tours: Tours) -> list[Tour]:
    """Return VROOM's tours: least driving such that nothing is late."""
    import vroom

    half_pickup, half_dropoff = tours.problem.half_services()
    question: Any = vroom.Input()
    question.set_durations_matrix("car", np.array(tours.way_s, np.uint32))
    for number, driver in enumerate(tours.problem.drivers):
        question.add_vehicle(
            vroom.Vehicle(
                number,
                start=driver.place,
                capacity=[_carries(tours, driver)],
                time_window=[max(0, driver.free_s), max(HORIZON_S, driver.free_s)],
            )
        )
    for number, job in enumerate(tours.problem.jobs):
        ready = max(0, job.ready_s - half_pickup)
        pickup = vroom.ShipmentStep(
            number, job.pickup, default_setup=2 * half_pickup, time_windows=[[ready, HORIZON_S]]
        )
        last = max(0, job.promised_s - half_dropoff)
        door = vroom.ShipmentStep(number, job.dropoff, default_service=2 * half_dropoff, time_windows=[[0, last]])
        question.add_job(vroom.Shipment(pickup, door, amount=[1]))
    answer = question.solve(exploration_level=VROOM_EXPLORES, nb_threads=1)
    found = [NOTHING] * len(tours.problem.drivers)
    for step in answer.routes.itertuples():
        if step.type in ("pickup", "delivery"):
            number = int(step.id)
            found[int(step.vehicle_id)] += (number if step.type == "pickup" else ~number,)
    return found


def routing_tours(tours: Tours) -> list[Tour]:
    """Return the tours of OR-Tools' router: delay as a soft bound on each door, open jobs at their price."""
    from ortools.constraint_solver import pywrapcp, routing_enums_pb2

    problem, weights = tours.problem, tours.problem.weights
    drivers, jobs = problem.drivers, problem.jobs
    half_pickup, half_dropoff = problem.half_services()
    places = [place for job in jobs for place in (job.pickup, job.dropoff)] + [driver.place for driver in drivers]
    end = len(places)  # one place that is as near as can be to all: nobody has to come home
    way = np.array(tours.way_s)[np.ix_(places, places)]
    service = np.array([2 * half_pickup, 2 * half_dropoff] * len(jobs) + [0] * len(drivers))
    here: Any = pywrapcp.RoutingIndexManager(
        end + 1, len(drivers), [2 * len(jobs) + d for d in range(len(drivers))], [end] * len(drivers)
    )
    model: Any = pywrapcp.RoutingModel(here)
    took = np.pad(way + service[:, None], ((0, 1), (0, 1)))
    took[:end, end] = service
    model.SetArcCostEvaluatorOfAllVehicles(model.RegisterTransitMatrix((weights.empty_travel * took).tolist()))
    model.AddDimension(model.RegisterTransitMatrix(took.tolist()), HORIZON_S, 2 * HORIZON_S, False, "time")
    load = model.RegisterUnaryTransitVector([1, -1] * len(jobs) + [0] * (len(drivers) + 1))
    model.AddDimensionWithVehicleCapacity(load, 0, [_carries(tours, driver) for driver in drivers], True, "load")
    time = model.GetDimensionOrDie("time")
    time.SetSpanCostCoefficientForAllVehicles(weights.driver_time + problem.second_price)
    for number, driver in enumerate(drivers):
        time.CumulVar(model.Start(number)).SetMin(max(0, driver.free_s))
    solver = model.solver()
    for number, job in enumerate(jobs):
        pickup, door = here.NodeToIndex(2 * number), here.NodeToIndex(2 * number + 1)
        model.AddPickupAndDelivery(pickup, door)
        solver.Add(model.VehicleVar(pickup) == model.VehicleVar(door))
        solver.Add(time.CumulVar(pickup) <= time.CumulVar(door))
        time.CumulVar(pickup).SetMin(max(0, job.ready_s - half_pickup))
        time.SetCumulVarSoftUpperBound(door, max(0, tours.floor_s[number] - half_dropoff), weights.delay)
        for index in (pickup, door):
            model.AddDisjunction([index], tours.open_cost[number] // 2)
    how: Any = pywrapcp.DefaultRoutingSearchParameters()
    how.first_solution_strategy = routing_enums_pb2.FirstSolutionStrategy.PARALLEL_CHEAPEST_INSERTION
    how.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
    how.time_limit.seconds = ROUTING_WALL_S
    answer = model.SolveWithParameters(how)
    found = [NOTHING] * len(drivers)
    for number in range(len(drivers)) if answer else ():
        index = answer.Value(model.NextVar(model.Start(number)))
        while not model.IsEnd(index):
            node = here.IndexToNode(index)
            found[number] += (node // 2 if node % 2 == 0 else ~(node // 2),)
            index = answer.Value(model.NextVar(index))
    return found


def _carries(tours: Tours, driver: Driver) -> int:
    """Return how many a driver may carry; one where stores may not be mixed, for these solvers can't be told that."""
    return driver.stack_max if all(job.several_stores for job in tours.problem.jobs) else 1
