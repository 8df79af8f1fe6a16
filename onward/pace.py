"""Time that runs faster than the machine's: the clock and the event loops of a whole installation at one pace.

Whoever waits, waits on the event loop, and whoever asks for the time asks a clock: both hurried alike, an hour of
timers, offers, heartbeats and couriers passes in minutes, through the same sockets and servers. Work itself is not
hurried, so whoever watches may slow the pace for all of them at once while work is waiting. PostgreSQL's own clock
stays the machine's; it serves nothing but housekeeping and retries.
"""

from __future__ import annotations

import asyncio
import mmap
import selectors
import struct
import time
from collections.abc import Coroutine
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import msgspec

from kernel.clock import from_ms

T = TypeVar("T")

FRAME: Final = struct.Struct("<qdddq")
"""A number, the machine's seconds, our seconds then, how many of ours are one of the machine's, the number again."""
WAIT_MAX_S: Final = 0.05
"""Nobody waits longer for files before he looks at the pace again."""


class Pace(msgspec.Struct, frozen=True):
    """A clock in a file that all processes of a machine share; `speed` is the most it ever goes."""

    file: str
    speed: float

    @classmethod
    def start(cls, file: Path, speed: float) -> Self:
        """Return a clock that is right now and goes at its speed."""
        file.write_bytes(FRAME.pack(0, time.monotonic(), time.time(), speed, 0))
        return cls(str(file), speed)

    def seconds(self) -> float:
        """Return the present as Unix seconds."""
        _, machine_s, ours_s, speed, _ = self._read()
        return ours_s + (time.monotonic() - machine_s) * speed

    def now(self) -> datetime:
        """Return the present as an aware UTC datetime."""
        return from_ms(self.now_ms())

    def now_ms(self) -> int:
        """Return the present as Unix milliseconds."""
        return int(self.seconds() * 1000)

    def go(self, speed: float) -> None:
        """Let time go on at another speed, for everybody; one process alone may do this."""
        number, machine_s, ours_s, before, _ = self._read()
        if speed != before:
            now_s = time.monotonic()
            frame = FRAME.pack(number + 1, now_s, ours_s + (now_s - machine_s) * before, speed, number + 1)
            _mapped(self.file)[: FRAME.size] = frame

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in an event loop at this pace."""
        with asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            return runner.run(work)

    def at_speed(self) -> float:
        """Return how many of its seconds are one of the machine's right now."""
        return self._read()[3]

    def _read(self) -> tuple[int, float, float, float, int]:
        while True:
            frame = FRAME.unpack(_mapped(self.file)[: FRAME.size])
            if frame[0] == frame[4]:  # not half written
                return frame


@cache
def _mapped(file: str) -> mmap.mmap:
    with Path(file).open("r+b") as opened:
        return mmap.mmap(opened.fileno(), FRAME.size)


class _Selector(selectors.DefaultSelector):
    """Waits for a share of the time, and never long."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for files to be ready."""
        limit_s = WAIT_MAX_S if timeout is None else min(WAIT_MAX_S, max(0.0, timeout) / self._pace.at_speed())
        return super().select(limit_s)


class _Loop(asyncio.SelectorEventLoop):
    """asyncio's own event loop, on this clock."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        super().__init__(_Selector(pace))

    def time(self) -> float:
        """Return the present in seconds."""
        return self._pace.seconds()
