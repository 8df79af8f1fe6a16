"""What runs in the planner's process: prices pairs by travel time, then asks the engine. Never on the event loop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec
import numpy as np

from dispatch.engine import candidates
from dispatch.engine.explain import Explanation
from dispatch.engine.plan import Plan
from dispatch.engine.problem import Driver, Job, Problem, Weights
from dispatch.engine.solve import solve_and_explain
from geo.point import Point, as_array
from geo.travel import Seconds, TravelTimes, Vehicle

PARENT_CHECK_S: Final = 1.0


class FreeDriver(msgspec.Struct, frozen=True):
    """A driver who can take work, where he is and what he moves with."""

    id: UUID
    at: Point
    vehicle: Vehicle
    pool: str
    business_priority: dict[UUID, int]
    jobs_done: int


class OpenJob(msgspec.Struct, frozen=True):
    """A delivery without a driver."""

    id: UUID
    business_id: UUID
    version: int
    pickup: Point
    dropoff: Point
    ready_in_s: int
    promised_in_s: int
    uses_shared_pool: bool
    waited_s: int
    declined: frozenset[UUID]


class Question(msgspec.Struct, frozen=True):
    """One tick's snapshot of one operator."""

    now_ms: int
    seed: int
    drivers: tuple[FreeDriver, ...]
    jobs: tuple[OpenJob, ...]
    busy_drivers: int
    stale_drivers: int


class Answer(msgspec.Struct, frozen=True):
    """What the engine was asked in the end, what it answered and why, and the CPU milliseconds it took."""

    problem: Problem
    plan: Plan
    explanations: list[Explanation]
    cpu_ms: float


class _State:
    travel: TravelTimes


def start(make_travel: Callable[[], TravelTimes]) -> None:
    """Prepare the process: load travel times once, leave signals to the parent, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _State.travel = make_travel()
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(0)


def answer(question: Question) -> Answer:
    """Price, solve, verify and explain one tick."""
    started = time.process_time()
    to_pickup = _to_pickup(question)
    drivers = tuple(Driver(d.id, 0, d.pool, d.business_priority, d.jobs_done) for d in question.drivers)
    jobs = tuple(
        Job(
            id=job.id,
            business_id=job.business_id,
            version=job.version,
            ready_in_s=job.ready_in_s,
            promised_in_s=job.promised_in_s,
            direct_s=leg_seconds([(job.pickup, job.dropoff, Vehicle.BICYCLE)])[0],
            uses_shared_pool=job.uses_shared_pool,
            waited_s=job.waited_s,
        )
        for job in question.jobs
    )
    declined = {job.id: job.declined for job in question.jobs}
    arcs, excluded = candidates.find(drivers, jobs, to_pickup, declined)
    left_out = {
        candidates.Exclusion.BUSY.value: question.busy_drivers,
        candidates.Exclusion.STALE_POSITION.value: question.stale_drivers,
    }
    everyone = tuple({**{k: v for k, v in left_out.items() if v}, **reasons} for reasons in excluded)
    problem = Problem(question.now_ms, question.seed, drivers, jobs, tuple(arcs), everyone, Weights())
    plan, explanations = solve_and_explain(problem)
    return Answer(problem, plan, explanations, (time.process_time() - started) * 1000)


def _to_pickup(question: Question) -> Seconds:
    pickups = as_array([job.pickup for job in question.jobs])
    times = np.zeros((len(question.drivers), len(question.jobs)), np.int32)
    for vehicle in Vehicle:
        rows = [i for i, driver in enumerate(question.drivers) if driver.vehicle == vehicle]
        if rows and question.jobs:
            origins = as_array([question.drivers[i].at for i in rows])
            times[rows] = _State.travel.seconds(origins, pickups, vehicle)
    return times


def leg_seconds(legs: list[tuple[Point, Point, Vehicle]]) -> list[int]:
    """Return the travel seconds of single legs."""
    return [
        int(_State.travel.seconds(as_array([start]), as_array([end]), vehicle)[0, 0]) for start, end, vehicle in legs
    ]
