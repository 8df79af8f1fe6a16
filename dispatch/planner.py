"""The door to the planner's process: bounded in time, and a process that dies costs one tick, not the service."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final, TypeVar

from dispatch import worker
from geo.point import Point
from geo.travel import TravelTimes, Vehicle
from kernel.log import get_logger

ANSWER_MAX_S: Final = 10.0
START_MAX_S: Final = 60.0
"""A process that starts loads solvers and streets first: on a busy machine longer than any answer may take."""

T = TypeVar("T")
log = get_logger(__name__)


class PlannerAway(Exception):
    """The planner's process died or overran; the next call gets a new one."""


class Planner:
    """One process that prices and solves. `speed` is the clock's: work is no faster for it."""

    def __init__(self, make_travel: Callable[[], TravelTimes], *, speed: float = 1.0) -> None:
        self._make_travel = make_travel
        self._speed = speed
        self._has_answered = False
        self._pool: ProcessPoolExecutor | None = None

    async def warm_up(self) -> None:
        """Start the process ahead of the first question."""
        await self.leg_seconds([])

    async def answer(self, question: worker.Question) -> worker.Answer:
        """Return the plan for one tick; raises `PlannerAway`."""
        return await self._call(worker.answer, question)

    async def leg_seconds(self, legs: list[tuple[Point, Point, Vehicle]]) -> list[int]:
        """Return the travel seconds of single legs; raises `PlannerAway`."""
        return await self._call(worker.leg_seconds, legs)

    async def _call(self, work: Callable[..., T], argument: object) -> T:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=worker.start,
                initargs=(self._make_travel,),
            )
        try:
            with _ctrl_c_held_back():
                future = self._pool.submit(work, argument)
            async with asyncio.timeout(self._speed * (ANSWER_MAX_S if self._has_answered else START_MAX_S)):
                answer = await asyncio.wrap_future(future)
        except (BrokenProcessPool, TimeoutError) as error:
            self.close(kill=True)
            raise PlannerAway(f"{type(error).__name__}") from None
        self._has_answered = True
        return answer

    def close(self, *, kill: bool = False) -> None:
        """End the process."""
        pool, self._pool = self._pool, None
        self._has_answered = False
        if pool is None:
            return
        if kill:
            for process in list((pool._processes or {}).values()):
                process.kill()
        pool.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """A process that is started meanwhile inherits the mask: Ctrl-C never meets it half imported."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
