"""Problems for the dispatch engine: made by hand, and drawn by Hypothesis."""

from __future__ import annotations

from uuid import UUID

import msgspec
import numpy as np
from hypothesis import strategies as st

from dispatch.engine.legs import PlaneLegs
from dispatch.engine.problem import NOWHERE, Driver, Job, JobWeights, Legs, Problem, Stop

SHOP, OTHER = UUID(int=1), UUID(int=2)
PLACES = 14


def town(seed: int = 0) -> PlaneLegs:
    """Places on a plane of 6 × 6 km, at five metres a second."""
    return PlaneLegs(np.random.default_rng(seed).uniform(0, 6_000, (PLACES, 2)), 5.0)


def driver(number: int, place: int = 0, *, own: bool = False, **more: object) -> Driver:
    """A driver at a place, of the pool or the shop's own."""
    pool, priority = ("dedicated", {SHOP: 1}) if own else ("shared_pool", {})
    return msgspec.structs.replace(Driver(UUID(int=100 + number), place, pool=pool, business_priority=priority), **more)


def job(number: int, pickup: int = 1, dropoff: int = 2, **more: object) -> Job:
    """A job of the shop, known for a minute and ready now."""
    plain = Job(UUID(int=200 + number), SHOP, pickup, dropoff, placed_s=-60, ready_s=0, promised_s=2_400)
    return msgspec.structs.replace(plain, **more)


def problem(drivers: list[Driver], jobs: list[Job], legs: Legs | None = None, **more: object) -> Problem:
    """What the engine is asked."""
    plain = Problem(0, tuple(drivers), tuple(jobs), legs or town())
    return msgspec.structs.replace(plain, **more)


def line(*meters: float) -> PlaneLegs:
    """Places on a line, one metre a second."""
    return PlaneLegs(np.array([[at, 0.0] for at in meters]), 1.0)


places = st.integers(0, PLACES - 1)


@st.composite
def routes(draw: st.DrawFn) -> tuple[Stop, ...]:
    """Stops under way: up to two doors of what is aboard, or a pickup and its door."""
    doors = [Stop(draw(places), promised_s=draw(st.integers(-600, 1_800))) for _ in range(draw(st.integers(0, 2)))]
    pickup = (
        [Stop(draw(places), ready_s=draw(st.integers(-600, 900)))] if len(doors) == 1 and draw(st.booleans()) else []
    )
    return (*pickup, *doors)


@st.composite
def drivers_of(draw: st.DrawFn, number: int) -> Driver:
    """A driver, free or under way, with all that a rule looks at."""
    route = draw(routes())
    if route:
        free_s = draw(st.integers(60, 1_200))
        return driver(number, route[-1].place, free_s=free_s, here=draw(places), route=route, stack_max=3)
    return driver(
        number,
        draw(places),
        own=draw(st.booleans()),
        free_s=draw(st.integers(0, 1_200)),
        off_s=draw(st.sampled_from([600, 2_400, 10**6])),
        jobs_done=draw(st.integers(0, 6)),
        heading_to=draw(st.sampled_from([NOWHERE, NOWHERE, NOWHERE, 3])),
        stack_max=draw(st.integers(1, 3)),
        capacity=draw(st.sampled_from([1, 3, 100])),
        distance_m_max=draw(st.sampled_from([2_000, 10**6])),
        skills=draw(st.sampled_from([frozenset(), frozenset({"age_check"})])),
    )


@st.composite
def jobs_of(draw: st.DrawFn, number: int) -> Job:
    """A job with all that a rule looks at."""
    return job(
        number,
        draw(st.integers(0, 3)),
        draw(places),
        placed_s=-draw(st.integers(0, 3_000)),
        ready_s=draw(st.integers(-1_200, 1_800)),
        promised_s=draw(st.integers(-600, 3_600)),
        uses_shared_pool=draw(st.booleans()),
        several_stores=draw(st.booleans()),
        business_id=draw(st.sampled_from([SHOP, SHOP, OTHER])),
        not_by=frozenset(draw(st.lists(st.sampled_from([UUID(int=100), UUID(int=101)]), max_size=1))),
        size=draw(st.sampled_from([1, 1, 2])),
        distance_m=draw(st.sampled_from([500, 500, 3_000])),
        needs=draw(st.sampled_from([frozenset(), frozenset(), frozenset({"age_check"})])),
    )


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """A small problem of any kind."""
    drivers = [draw(drivers_of(n)) for n in range(draw(st.integers(0, 5)))]
    jobs = [draw(jobs_of(n)) for n in range(draw(st.integers(0, 6)))]
    worth = draw(st.sampled_from([{}, {OTHER: JobWeights(0, 300)}, {SHOP: JobWeights(1_000, 50)}]))
    return problem(
        drivers,
        jobs,
        town(draw(st.integers(0, 9))),
        second_price=draw(st.sampled_from([0, 20, 120])),
        business_weights=worth,
    )
