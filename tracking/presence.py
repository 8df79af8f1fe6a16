"""Presence: when a driver's phone was heard last, as told by a process that could hear it.

Silence counts from when this process began to listen, too: after an outage, or when the clock was set, everybody gets
the whole term again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from kernel.clock import JUMP_MIN_S, Clock, JumpWatch, from_ms
from tracking.fix import Position

DEAF_AFTER_S: Final = 60.0
"""So long without one look that succeeded, and nobody can say who spoke meanwhile."""


class Ears:
    """Since when this process listens."""

    def __init__(
        self, clock: Clock, jumps: JumpWatch | None = None, monotonic_s: Callable[[], float] | None = None
    ) -> None:
        self._clock = clock
        self._monotonic_s = monotonic_s or asyncio.get_running_loop().time
        self._jumps = jumps or JumpWatch(clock, self._monotonic_s)
        self._since = clock.now()
        self._heard_all_s: float | None = None

    def listen(self) -> datetime:
        """Begin a look; return the present."""
        now = self._clock.now()
        was_deaf = self._heard_all_s is not None and self._monotonic_s() - self._heard_all_s > DEAF_AFTER_S
        if self._jumps.jumped() or was_deaf:
            self._since = now
        return now

    def listened(self) -> None:
        """End a look that succeeded."""
        self._heard_all_s = self._monotonic_s()

    def heard_at(self, now: datetime, position: Position | None, since: datetime | None) -> datetime:
        """Return when a phone was heard last, by its newest position; it is not expected to speak before `since`.

        What lies in the future, because the clock was set back, tells nothing.
        """
        latest = self._clock.now() + timedelta(seconds=JUMP_MIN_S)  # phones spoke on while we looked
        heard = [self._since, since or self._since]
        if position is not None:
            heard.append(from_ms(position.received_ms))
        return max((at for at in heard if at <= latest), default=now)
