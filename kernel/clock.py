"""What time it is: pure code is handed `now`, everything else asks a clock, so that tests and replays own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

JUMP_MIN_S: Final = 5.0
"""Less is drift and slow looks; a step of the clock that matters is more."""


class Clock(Protocol):
    """Where the present comes from."""

    @property
    def speed(self) -> float:
        """Its seconds in one of the machine's: limits on how long work may take grow with it."""

    def now(self) -> datetime:
        """Return the present as an aware UTC datetime."""

    def now_ms(self) -> int:
        """Return the present as Unix milliseconds."""


class SystemClock:
    """The machine's own clock."""

    __slots__ = ()
    speed: Final = 1.0

    def now(self) -> datetime:
        """Return the present as an aware UTC datetime."""
        return datetime.now(UTC)

    def now_ms(self) -> int:
        """Return the present as Unix milliseconds."""
        return time.time_ns() // 1_000_000


class JumpWatch:
    """Notices that the wall clock was set: it moved by more or less than the time that really passed."""

    def __init__(self, clock: Clock, monotonic_s: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._ahead_s = self._look()

    def _look(self) -> float:
        return self._clock.now().timestamp() - self._monotonic_s()

    def jumped(self) -> bool:
        """Say whether the clock was set since this was asked last."""
        before, self._ahead_s = self._ahead_s, self._look()
        return abs(self._ahead_s - before) > JUMP_MIN_S


def to_ms(at: datetime) -> int:
    """Return `at` as Unix milliseconds."""
    return int(at.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """Return Unix milliseconds as an aware UTC datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)
