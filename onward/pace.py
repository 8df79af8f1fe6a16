"""Time that runs faster than the machine's: the clock and the event loops of a whole installation at one pace.

Whoever waits, waits on the event loop, and whoever asks for the time asks a clock: both hurried alike, an hour of
timers, offers, heartbeats and couriers passes in minutes, through the same sockets and servers. PostgreSQL's own clock
stays the machine's; it serves nothing but housekeeping and retries. Work itself is not hurried: a tick of 100 ms takes
a second of a city that lives ten times faster.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, Self, TypeVar

import msgspec

from kernel.clock import from_ms

T = TypeVar("T")


class Pace(msgspec.Struct, frozen=True):
    """A clock that was right at `since_ms` and goes `speed` times faster; the same in every process it is sent to."""

    since_ms: int
    speed: float

    @classmethod
    def from_now(cls, speed: float) -> Self:
        """Return a clock that is right now."""
        return cls(_machine_ms(), speed)

    def now(self) -> datetime:
        """Return the present as an aware UTC datetime."""
        return from_ms(self.now_ms())

    def now_ms(self) -> int:
        """Return the present as Unix milliseconds."""
        return self.since_ms + round((_machine_ms() - self.since_ms) * self.speed)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in an event loop whose seconds are as short."""
        with asyncio.Runner(loop_factory=lambda: _Loop(self.speed)) as runner:
            return runner.run(work)


def _machine_ms() -> int:
    return time.time_ns() // 1_000_000


class _Selector(selectors.DefaultSelector):
    """Waits for a share of the time."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for files to be ready."""
        return super().select(timeout / self._speed if timeout else timeout)


class _Loop(asyncio.SelectorEventLoop):
    """asyncio's own event loop on short seconds."""

    def __init__(self, speed: float) -> None:
        super().__init__(_Selector(speed))
        self._speed = speed

    def time(self) -> float:
        """Return the seconds that have passed."""
        return super().time() * self._speed
