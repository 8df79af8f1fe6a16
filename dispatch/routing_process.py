"""The door to the process in which routes are planned: places become seconds, the plan is made and checked again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from dispatch.bounded import BoundedTimes
from dispatch.engine.candidates import Exclusion
from dispatch.engine.legs import VEHICLES
from dispatch.engine.problem import NOWHERE, Driver, Job, JobWeights, Weights
from dispatch.own_process import OwnProcess, Send
from dispatch.rides import Rides, table_of
from dispatch.routing.explain import Why, explain
from dispatch.routing.problem import Planned, RoutingPlan, RoutingProblem, Shift, exclusion
from dispatch.routing.solve import solve
from dispatch.routing.verify import verify
from dispatch.unassigned import OpenCode, UnassignedReason
from geo.distance import road_meters
from geo.point import Point
from geo.travel import TravelTimes, Vehicle
from kernel.errors import Problem

OVERHEAD_MAX_S: Final = 60.0
"""Beside the search: a process that starts, a map that is read, ways that are looked up."""
STEP: Final = 0.02


class AskedShift(msgspec.Struct, frozen=True):
    """A driver's hours and places, as the caller knows them; `place` of its driver is not looked at."""

    driver: Driver
    vehicle: Vehicle
    on_s: int
    off_s: int
    start: Point | None
    end: Point | None


class AskedJob(msgspec.Struct, frozen=True):
    """A delivery and where its ends are; places of its job are not looked at."""

    planned: Planned
    pickup: Point
    dropoff: Point


class Question(msgspec.Struct, frozen=True):
    """Everything that a plan is made from."""

    shifts: tuple[AskedShift, ...]
    jobs: tuple[AskedJob, ...]
    weights: Weights
    business_weights: dict[UUID, JobWeights]
    fewest_drivers: bool
    limit_s: float
    rides: Rides = {}
    """How long rides take at that time, where that was learned."""


class Progress(msgspec.Struct, frozen=True):
    """How far it is: the share of its time, and how many deliveries are on a route so far."""

    share: float
    planned: int


class Answer(msgspec.Struct, frozen=True):
    """The plan, each route's metres, why each job is where it is, and why what is left is left.

    `travel_down`: straight lines stood in.
    """

    plan: RoutingPlan
    distances_m: tuple[int, ...]
    why: tuple[Why, ...]
    reasons: tuple[UnassignedReason, ...]
    source: str
    travel_down: bool


class Routings:
    """Plans routes, one question at a time."""

    def __init__(self, make_travel: Callable[[], TravelTimes]) -> None:
        self._make_travel = make_travel
        self._process = OwnProcess[Progress]("plan is being made")

    async def plan(self, question: Question) -> AsyncGenerator[Progress | Answer, None]:
        """Yield progress, and at last the answer; raises `unavailable`."""
        work = partial(_plan, self._make_travel, question)
        try:
            running = self._process.run(work, question.limit_s + OVERHEAD_MAX_S)
            async with contextlib.aclosing(running) as heard:
                async for news in heard:
                    yield msgspec.msgpack.decode(news, type=Answer) if isinstance(news, bytes) else news
        except TimeoutError:
            raise Problem("unavailable", "Planning took too long: plan fewer deliveries at once.") from None


def _plan(make_travel: Callable[[], TravelTimes], question: Question, send: Send[Progress]) -> bytes:
    """Run in the process: plan, check, and say why what is left is left."""
    last = Progress(0.0, 0)
    send(last)

    def tell(share: float, planned: int) -> None:
        nonlocal last
        if share >= last.share + STEP:
            last = Progress(round(share, 3), planned)
            send(last)

    travel = BoundedTimes(make_travel())
    problem, places = problem_of(question, travel)
    plan = solve(problem, question.limit_s, tell)
    faults = verify(problem, plan)
    if faults:
        raise AssertionError(f"the plan is wrong: {faults[:3]}")
    answer = Answer(
        plan=plan,
        distances_m=tuple(_distance_m(problem, places, plan, number) for number in range(len(plan.routes))),
        why=tuple(explain(problem, plan)),
        reasons=tuple(why_left(problem, job) for job in plan.left),
        source=travel.source,
        travel_down=travel.down,
    )
    return msgspec.msgpack.encode(answer)


def problem_of(question: Question, travel: TravelTimes) -> tuple[RoutingProblem, list[Point]]:
    """Return what the solver is asked, and the places behind its numbers."""
    numbers: dict[Point, int] = {}

    def place(point: Point | None) -> int:
        return NOWHERE if point is None else numbers.setdefault(point, len(numbers))

    def job(asked: AskedJob) -> Job:
        return msgspec.structs.replace(asked.planned.job, pickup=place(asked.pickup), dropoff=place(asked.dropoff))

    work = tuple(msgspec.structs.replace(asked.planned, job=job(asked)) for asked in question.jobs)
    shifts = tuple(
        Shift(
            msgspec.structs.replace(asked.driver, vehicle=VEHICLES.index(asked.vehicle)),
            asked.on_s,
            asked.off_s,
            place(asked.start),
            place(asked.end),
        )
        for asked in question.shifts
    )
    places = list(numbers)
    legs = table_of(travel, places, {asked.vehicle for asked in question.shifts}, question.rides)
    problem = RoutingProblem(shifts, work, legs, question.weights, question.business_weights, question.fewest_drivers)
    return problem, places


def why_left(problem: RoutingProblem, job: int) -> UnassignedReason:
    """Return why a delivery is on no route: who can't for what, or that others fill the hours and the room."""
    counts: dict[str, int] = {}
    for shift in problem.shifts:
        if (why := exclusion(problem, shift, problem.work[job])) is None:
            return UnassignedReason(OpenCode.OTHERS_FIRST)
        counts[why.value] = counts.get(why.value, 0) + 1
    return UnassignedReason(OpenCode.NO_WAY if counts.keys() == {Exclusion.NO_WAY} else OpenCode.NOBODY_FREE, counts)


def _distance_m(problem: RoutingProblem, places: list[Point], plan: RoutingPlan, number: int) -> int:
    route = plan.routes[number]
    shift = problem.shifts[route.shift]
    jobs = [(visit.kind, problem.work[visit.job].job) for visit in route.visits]
    way = [shift.start, *(job.pickup if kind == "pickup" else job.dropoff for kind, job in jobs), shift.end]
    known = [places[place] for place in way if place != NOWHERE]
    return sum(map(road_meters, known, known[1:]))
