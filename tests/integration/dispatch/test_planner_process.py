"""The planner's process may die at any moment: that costs a call, never the next one."""

from __future__ import annotations

import asyncio

import psutil

from dispatch.planner import Planner, PlannerAway
from geo.point import Point
from geo.travel import Vehicle
from onward.travel import TravelFactory
from tests.support.people import DEADLINE_S

LEG = (Point(60.17, 24.94), Point(60.18, 24.95), Vehicle.BICYCLE)


def children() -> set[psutil.Process]:
    return set(psutil.Process().children())


def kill(started: set[psutil.Process]) -> None:
    """kill -9 whatever the planner has started, and see it gone."""
    workers = [child for child in started if "spawn_main" in " ".join(child.cmdline())]
    assert workers
    for worker in workers:
        worker.kill()
    psutil.wait_procs(workers, timeout=DEADLINE_S)


async def test_a_process_that_died_idle_is_replaced() -> None:
    """Nobody is waiting for it when it dies; who asks next may be told so once, and then gets his answer."""
    planner, there_before = Planner(TravelFactory(None)), children()
    try:
        before = await planner.leg_seconds([LEG])
        kill(children() - there_before)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    after = await planner.leg_seconds([LEG])
                    break
                except PlannerAway:
                    await asyncio.sleep(0)
        assert after == before
    finally:
        planner.close()


async def test_legs_that_follow_on_one_another_take_as_long_as_each_alone() -> None:
    """A route is one question to the provider; the answer has a figure for each leg, in order, and says whose it is."""
    a, b, c = Point(60.17, 24.94), Point(60.18, 24.95), Point(60.16, 24.99)
    legs = [(a, b, Vehicle.BICYCLE), (b, c, Vehicle.BICYCLE), (c, a, Vehicle.CAR), (b, a, Vehicle.CAR)]
    planner = Planner(TravelFactory(None))
    try:
        together = await planner.leg_seconds(legs)
        alone = [(await planner.leg_seconds([leg])).seconds[0] for leg in legs]
    finally:
        planner.close()
    assert together.seconds == alone
    assert together.source == "crow_flies"
