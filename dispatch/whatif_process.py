"""The door to a process of its own for each day that is played again: one at a time, bounded, telling how far it is.

A day takes seconds of pure computing: on the event loop it would stop the dispatcher, in the planner's process a tick.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
from collections.abc import AsyncGenerator, Callable
from multiprocessing.connection import Connection
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatch.planner import ctrl_c_held_back
from dispatch.whatif.change import Change
from dispatch.whatif.compare import Phase, compare
from dispatch.whatif.past import PastDay
from geo.travel import TravelTimes
from kernel.errors import Problem

PLAY_MAX_S: Final = 300.0
RETRY_AFTER_S: Final = 5
STEP: Final = 0.02
"""Progress is told in steps of this share."""


class Progress(msgspec.Struct, frozen=True):
    """How far it is: the share of one of the two days."""

    phase: Phase
    share: float


class Replays:
    """Plays days, one at a time."""

    def __init__(self, make_travel: Callable[[], TravelTimes]) -> None:
        self._make_travel = make_travel
        self._busy = False

    async def compare(self, day: PastDay, change: Change, of: UUID | None) -> AsyncGenerator[Progress | bytes, None]:
        """Yield progress, and at last a `Comparison` in JSON; raises `unavailable` or `day_too_big`."""
        if self._busy:
            raise Problem(
                "unavailable", "Another day is being replayed: try again shortly.", retry_after_s=RETRY_AFTER_S
            )
        self._busy = True
        process: Any = None
        try:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_play, args=(theirs, self._make_travel, day, change, of), daemon=True)
            await asyncio.to_thread(_start, process)
            theirs.close()
            async with asyncio.timeout(PLAY_MAX_S):
                while isinstance(heard := await asyncio.to_thread(ours.recv), Progress):
                    yield heard
            yield heard
        except EOFError:
            raise Problem("unavailable", "The replay ended before it was done.", retry_after_s=RETRY_AFTER_S) from None
        except TimeoutError:
            raise Problem("day_too_big", f"It took longer than {PLAY_MAX_S:.0f} s: choose one business.") from None
        finally:
            self._busy = False
            if process is not None:
                process.kill()


def _start(process: Any) -> None:
    with ctrl_c_held_back():
        process.start()


def _play(
    out: Connection, make_travel: Callable[[], TravelTimes], day: PastDay, change: Change, of: UUID | None
) -> None:
    """Run in the process: play both days and tell how far they are; a parent that is gone ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    last = Progress("baseline", 0.0)

    def told(phase: Phase, share: float) -> None:
        nonlocal last
        if phase != last.phase or share >= last.share + STEP:
            last = Progress(phase, round(share, 3))
            out.send(last)

    with contextlib.suppress(BrokenPipeError):
        out.send(msgspec.json.encode(compare(day, change, make_travel(), told, of=of)))
