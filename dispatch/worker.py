"""What runs in the planner's process: prices pairs by travel time, then asks the engine. Never on the event loop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec
import numpy as np

from dispatch.bounded import BoundedTimes
from dispatch.engine.explain import Explanation, explain
from dispatch.engine.floor import solve_greedily
from dispatch.engine.legs import VEHICLES
from dispatch.engine.load import second_price
from dispatch.engine.plan import Plan
from dispatch.engine.problem import NOWHERE, OFF_NEVER_S, Driver, Job, JobWeights, Legs, Limits, Problem, Stop, Weights
from dispatch.engine.solve import solve, solve_and_explain
from dispatch.processes import end_with_parent
from dispatch.rides import Rides, straight, table_of
from dispatch.windows import in_windows
from geo.point import Point, as_array
from geo.travel import UNREACHABLE_S, CrowFlies, TravelTimes, Vehicle

STOP_SERVICE_S: Final = 90
SUGGESTIONS_MAX: Final = 19
TABLE_PLACES_MAX: Final = 600
"""Up to so many places the provider of travel times is asked for all pairs; beyond, the straight line is."""


class LiveStop(msgspec.Struct, frozen=True):
    """A stop that a driver has still to serve: a pickup once it is ready, a door by when it was promised."""

    delivery_id: UUID
    kind: str
    at: Point
    ready_in_s: int
    promised_in_s: int
    size: int


class LiveDriver(msgspec.Struct, frozen=True):
    """A driver on shift: where and in how many seconds he is free, what he moves with, whose he is."""

    id: UUID
    at: Point
    vehicle: Vehicle
    pool: str
    business_priority: dict[UUID, int]
    jobs_done: int
    skills: frozenset[str]
    capacity: int
    distance_m_max: int
    route: tuple[LiveStop, ...] = ()
    """The stops he has still to serve: he is free after the last."""
    takes_on_the_way: bool = False
    """Whether everybody on his route allows that he picks up elsewhere before he is at their doors."""
    keeps: tuple[UUID, ...] = ()
    """Deliveries he is on his way to pick up, all at one store: more may join them there."""
    waits_s: int = 0
    """How long he has been at that store."""
    off_in_s: int | None = None
    """When he has to leave for a route that was planned ahead: he picks up nothing else from then on."""


class OpenJob(msgspec.Struct, frozen=True):
    """A delivery without a driver.

    It may be picked up until `pickup_until_in_s` and handed over from `dropoff_from_in_s` on, where it has windows.
    """

    id: UUID
    business_id: UUID
    pickup: Point
    dropoff: Point
    ready_in_s: int
    promised_in_s: int
    uses_shared_pool: bool
    waited_s: int
    stack_max: int
    declined: frozenset[UUID]
    pinned_to: UUID | None = None
    needs: frozenset[str] = frozenset()
    size: int = 1
    distance_m: int = 0
    pickup_until_in_s: int | None = None
    dropoff_from_in_s: int | None = None
    several_stores: bool = False


class Question(msgspec.Struct, frozen=True):
    """One tick's snapshot of one operator. `left_out` counts drivers who can't be asked, by reason."""

    now_ms: int
    drivers: tuple[LiveDriver, ...]
    jobs: tuple[OpenJob, ...]
    epoch_s: int
    lead_s: int
    left_out: dict[str, int] = {}
    demand: tuple[tuple[Point, float], ...] = ()
    """Where work comes from, and which share of it: for advice to idle drivers."""
    weights: Weights = Weights()
    business_weights: dict[UUID, JobWeights] = {}
    pickup_service_s: int = STOP_SERVICE_S
    dropoff_service_s: int = STOP_SERVICE_S
    rides: Rides = {}
    """How long rides take now, where that was learned."""


class Answer(msgspec.Struct, frozen=True):
    """What the engine was asked in the end, what it answered and why, and the CPU milliseconds it took."""

    problem: Problem
    plan: Plan
    explanations: list[Explanation]
    cpu_ms: float
    travel_down: bool
    """Whether straight lines stood in for the provider of travel times."""


class LegTimes(msgspec.Struct, frozen=True):
    """The seconds of each leg, and who says so: straight lines may stand in for the provider."""

    seconds: list[int]
    source: str


class _State:
    travel: BoundedTimes


def start(make_travel: Callable[[], TravelTimes]) -> None:
    """Prepare the process: load travel times once, leave signals to the parent, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _State.travel = BoundedTimes(make_travel())
    end_with_parent()


def answer(question: Question) -> Answer:
    """Price, solve, verify and explain one tick."""
    started = time.process_time()
    problem = problem_of(question, _State.travel)
    plan, explanations = solve_and_explain(problem, Limits())
    return Answer(problem, plan, explanations, (time.process_time() - started) * 1000, _State.travel.down)


def suggest(question: Question) -> Explanation:
    """Say who could take the one job of a question, best first, and who could not for what."""
    problem = problem_of(question, _State.travel)
    return explain(problem, solve(problem), SUGGESTIONS_MAX)[0]


def problem_of(question: Question, travel: TravelTimes) -> Problem:
    """Return what the engine is asked: places become numbers, and the way a busy driver has still to go seconds."""
    numbers: dict[Point, int] = {}

    def place(point: Point) -> int:
        return numbers.setdefault(point, len(numbers))

    jobs = tuple(
        Job(
            id=job.id,
            business_id=job.business_id,
            pickup=place(job.pickup),
            dropoff=place(job.dropoff),
            placed_s=-job.waited_s,
            ready_s=job.ready_in_s,
            promised_s=job.promised_in_s,
            uses_shared_pool=job.uses_shared_pool,
            stack_max=job.stack_max,
            not_by=job.declined,
            pinned_to=job.pinned_to,
            needs=job.needs,
            size=job.size,
            distance_m=job.distance_m,
            several_stores=job.several_stores,
        )
        for job in question.jobs
    )
    stops = [
        [place(point) for point in (driver.at, *(stop.at for stop in driver.route))] for driver in question.drivers
    ]
    demand = tuple((place(point), share) for point, share in question.demand)
    job_number = {job.id: number for number, job in enumerate(jobs)}
    vehicles = {driver.vehicle for driver in question.drivers}
    legs = _legs(travel, list(numbers), vehicles, question.rides)
    moves_with = [VEHICLES.index(vehicle) for vehicle in vehicles]
    jobs = tuple(
        in_windows(
            job,
            asked.pickup_until_in_s,
            asked.dropoff_from_in_s,
            legs=legs,
            vehicles=moves_with,
            service_s=question.pickup_service_s,
        )
        for job, asked in zip(jobs, question.jobs, strict=True)
    )
    drivers = []
    for driver, way in zip(question.drivers, stops, strict=True):
        vehicle = VEHICLES.index(driver.vehicle)
        service_s = {"pickup": question.pickup_service_s, "dropoff": question.dropoff_service_s}
        free_s = sum(service_s[stop.kind] for stop in driver.route)
        if len(way) > 1:
            free_s += int(legs.seconds(np.array(way[:-1]), np.array(way[1:]), np.full(1, vehicle)).sum())
        drivers.append(
            Driver(
                id=driver.id,
                place=way[-1],
                free_s=free_s - driver.waits_s,
                off_s=OFF_NEVER_S if driver.off_in_s is None else driver.off_in_s,
                kept_for_route=driver.off_in_s is not None,
                vehicle=vehicle,
                pool=driver.pool,
                business_priority=driver.business_priority,
                jobs_done=driver.jobs_done,
                skills=driver.skills,
                capacity=driver.capacity,
                distance_m_max=driver.distance_m_max,
                heading_to=jobs[job_number[driver.keeps[0]]].pickup if driver.keeps else NOWHERE,
                keeps=tuple(job_number[job] for job in driver.keeps),
                here=way[0],
                route=tuple(map(_stop, way[1:], driver.route)) if driver.takes_on_the_way else (),
            )
        )
    problem = Problem(
        now_ms=question.now_ms,
        drivers=tuple(drivers),
        jobs=jobs,
        legs=legs,
        weights=question.weights,
        business_weights=question.business_weights,
        pickup_service_s=question.pickup_service_s,
        dropoff_service_s=question.dropoff_service_s,
        epoch_s=question.epoch_s,
        lead_s=question.lead_s,
        demand=demand,
        left_out=question.left_out,
    )
    return msgspec.structs.replace(problem, second_price=second_price(problem))


def _stop(place: int, stop: LiveStop) -> Stop:
    if stop.kind == "pickup":
        return Stop(place, ready_s=stop.ready_in_s, size=stop.size)
    return Stop(place, promised_s=stop.promised_in_s, size=stop.size)


def _legs(travel: TravelTimes, places: list[Point], vehicles: set[Vehicle], rides: Rides) -> Legs:
    if len(places) > TABLE_PLACES_MAX or not places:
        return straight(places, rides)
    return table_of(travel, places, vehicles, rides)


def answer_plainly(question: Question) -> Answer:
    """Answer one tick with nothing but arithmetic, along straight lines: what is left when the planner is down.

    It runs in the server's own process, so no solver may be in it. Whoever was promised work keeps it and gets none.
    """
    started = time.process_time()
    kept = {job for driver in question.drivers for job in driver.keeps}
    asked = msgspec.structs.replace(
        question,
        drivers=tuple(driver for driver in question.drivers if not driver.keeps),
        jobs=tuple(job for job in question.jobs if job.id not in kept),
    )
    problem = problem_of(asked, CrowFlies())
    plan = solve_greedily(problem)
    return Answer(problem, plan, explain(problem, plan), (time.process_time() - started) * 1000, travel_down=False)


def has_way(places: tuple[Point, Point]) -> bool:
    """Say whether any vehicle can go from the first place to the second."""
    start, end = (as_array([place]) for place in places)
    return any(_State.travel.seconds(start, end, vehicle)[0, 0] < UNREACHABLE_S for vehicle in Vehicle)


def leg_seconds(legs: list[tuple[Point, Point, Vehicle]]) -> LegTimes:
    """Return the travel seconds of single legs; those that follow on one another are one question."""
    found: list[int] = []
    for way in _ways(legs):
        starts, ends = as_array([start for start, _, _ in way]), as_array([end for _, end, _ in way])
        found += np.diagonal(_State.travel.seconds(starts, ends, way[0][2])).tolist()
    return LegTimes(found, _State.travel.source)


def _ways(legs: list[tuple[Point, Point, Vehicle]]) -> list[list[tuple[Point, Point, Vehicle]]]:
    ways: list[list[tuple[Point, Point, Vehicle]]] = []
    for leg in legs:
        if ways and ways[-1][-1][1:] == (leg[0], leg[2]):
            ways[-1].append(leg)
        else:
            ways.append([leg])
    return ways
