"""The door to the planner's processes: bounded in time, and one that dies costs one tick, not the service."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final, TypeVar

from dispatch import worker
from dispatch.engine.explain import Explanation
from dispatch.processes import FORKED, beginning
from geo.point import Point
from geo.travel import TravelTimes, Vehicle
from kernel.log import get_logger

ANSWER_MAX_S: Final = 10.0
START_MAX_S: Final = 30.0
"""A new process loads solvers and the map first: killing it for that would never end."""

T = TypeVar("T")
log = get_logger(__name__)


class PlannerAway(Exception):
    """A planner's process died or overran; the next call gets a new one."""


class Planner:
    """Processes that price and solve: one for every two cores, each started when it is needed.

    `speed` is the clock's: work is no faster for it. `sharing` planners share the cores of this machine.
    """

    def __init__(self, make_travel: Callable[[], TravelTimes], *, speed: float = 1.0, sharing: int = 1) -> None:
        self._make_travel = make_travel
        self._processes_max = max(1, (os.cpu_count() or 1) // (2 * sharing))
        self._speed = speed
        self._pool: ProcessPoolExecutor | None = None
        self._thread = ThreadPoolExecutor(1, "planner")
        """Where processes begin and end, in order: either may wait for another, and the event loop for neither."""
        self._ready = False

    async def warm_up(self) -> None:
        """Start a process ahead of the first question."""
        await self.leg_seconds([])

    async def answer(self, question: worker.Question) -> worker.Answer:
        """Return the plan for one tick; raises `PlannerAway`."""
        return await self._call(worker.answer, question)

    async def suggest(self, question: worker.Question) -> Explanation:
        """Return who could take the one job of a question; raises `PlannerAway`."""
        return await self._call(worker.suggest, question)

    async def leg_seconds(self, legs: list[tuple[Point, Point, Vehicle]]) -> worker.LegTimes:
        """Return the travel seconds of single legs, and who says so; raises `PlannerAway`."""
        return await self._call(worker.leg_seconds, legs)

    async def has_way(self, start: Point, end: Point) -> bool:
        """Say whether any vehicle can go from one place to another; raises `PlannerAway`."""
        return await self._call(worker.has_way, (start, end))

    async def _call(self, work: Callable[..., T], argument: object) -> T:
        if self._pool is None:
            self._ready = False
            self._pool = ProcessPoolExecutor(
                self._processes_max, mp_context=FORKED, initializer=worker.start, initargs=(self._make_travel,)
            )
        pool, limit_s = self._pool, ANSWER_MAX_S if self._ready else ANSWER_MAX_S + START_MAX_S
        try:
            async with asyncio.timeout(self._speed * limit_s):
                handed = asyncio.get_running_loop().run_in_executor(self._thread, _submit, pool, work, argument)
                answer = asyncio.wrap_future(await handed)
                answer.add_done_callback(_look_at)
                found = await asyncio.shield(answer)  # cancelled, it would trip over its own process' death
            self._ready = True
            return found
        except (BrokenProcessPool, TimeoutError) as error:
            if self._pool is pool:
                self.close(kill=True)
            raise PlannerAway(f"{type(error).__name__}") from None

    def close(self, *, kill: bool = False) -> None:
        """End the processes."""
        pool, self._pool = self._pool, None
        if pool is not None:
            self._thread.submit(_end, pool, kill=kill)


def _submit(pool: ProcessPoolExecutor, work: Callable[..., T], argument: object) -> Future[T]:
    """Hand work over; the first waits until the solvers are loaded."""
    try:
        with beginning():
            return pool.submit(work, argument)
    except (RuntimeError, OSError, EOFError) as error:  # closed meanwhile, or what it would be forked from has died
        raise BrokenProcessPool(repr(error)) from None


def _end(pool: ProcessPoolExecutor, *, kill: bool) -> None:
    if kill:
        for process in list((pool._processes or {}).values()):
            process.kill()
    pool.shutdown(wait=False, cancel_futures=not kill)


def _look_at(answer: asyncio.Future[T]) -> None:
    """Take note of what nobody waits for any more, so that it is not complained about."""
    if not answer.cancelled():
        answer.exception()
