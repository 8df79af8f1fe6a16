"""The door to the process in which a past day is played again, telling how far it is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from dispatch.own_process import OwnProcess, Send
from dispatch.whatif.change import Change
from dispatch.whatif.compare import Phase, compare
from dispatch.whatif.past import PastDay
from geo.travel import TravelTimes
from kernel.errors import Problem

PLAY_MAX_S: Final = 300.0
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
        self._process = OwnProcess[Progress]("day is being replayed")

    async def compare(self, day: PastDay, change: Change, of: UUID | None) -> AsyncGenerator[Progress | bytes, None]:
        """Yield progress, and at last a `Comparison` in JSON; raises `unavailable` or `day_too_big`."""
        work = partial(_play, self._make_travel, day, change, of)
        try:
            async with contextlib.aclosing(self._process.run(work, PLAY_MAX_S)) as heard:
                async for news in heard:
                    yield news
        except TimeoutError:
            raise Problem("day_too_big", f"It took longer than {PLAY_MAX_S:.0f} s: choose one business.") from None


def _play(
    make_travel: Callable[[], TravelTimes], day: PastDay, change: Change, of: UUID | None, send: Send[Progress]
) -> bytes:
    """Run in the process: play both days and tell how far they are."""
    last = Progress("baseline", 0.0)

    def told(phase: Phase, share: float) -> None:
        nonlocal last
        if phase != last.phase or share >= last.share + STEP:
            last = Progress(phase, round(share, 3))
            send(last)

    return msgspec.json.encode(compare(day, change, make_travel(), told, of=of))
