"""How far a device's clock is off, measured, so that its fixes get the time at which they were really made.

`hello.clock_ms` is a direct look. Without one, and when somebody sets the clock under way, the newest fix of each frame
is the witness: it can't come from the future, so a clock from which three of eight frames do is ahead; and fixes that
come at the pace of life, always the same hour late, are of a clock that is behind. (Saved-up fixes come faster than
they were made, and say nothing.) A correction that was taken stays while the clock is near it: the same fix, sent
again, gets the same time.
"""

from __future__ import annotations

from collections import deque
from typing import Final

OFF_MIN_MS: Final = 10_000
"""Less is a slow network, or nothing that matters."""
OFF_MAX_MS: Final = 100 * 365 * 24 * 3600 * 1000
"""More is no clock; a phone that forgot the date is half as far off."""
FRAMES: Final = 8
WITNESSES: Final = 3
BEHIND_MIN_MS: Final = 300_000
BEHIND_SPREAD_MS: Final = 15_000
BEHIND_LOOK_MS: Final = 60_000


class DeviceClock:
    """The clock of one device; `ahead_ms` is what to take from the time of its fixes."""

    __slots__ = ("_frames", "_told", "ahead_ms", "kept_ms")

    def __init__(self, ahead_ms: int = 0) -> None:
        self.ahead_ms = ahead_ms
        self.kept_ms = ahead_ms
        """What was kept of it, for the next process."""
        self._told = False
        self._frames: deque[tuple[int, int]] = deque(maxlen=FRAMES)

    def told(self, clock_ms: int, now_ms: int) -> None:
        """The device said what its clock shows; 0 says nothing."""
        if clock_ms:
            self._told = True
            self._take(clock_ms - now_ms)

    def frame(self, newest_ms: int, now_ms: int) -> None:
        """A frame came, whose newest fix was made then by the device's clock."""
        ahead_ms = newest_ms - now_ms
        self._frames.append((now_ms, ahead_ms))
        if ahead_ms > self.ahead_ms + OFF_MIN_MS:
            witnessed = sorted(ahead for _, ahead in self._frames)[-WITNESSES:]
            if len(witnessed) == WITNESSES and witnessed[0] > self.ahead_ms + OFF_MIN_MS:
                self._take(witnessed[0])
        elif ahead_ms < self.ahead_ms - BEHIND_MIN_MS and len(self._frames) == FRAMES:
            if self._told and self.ahead_ms <= 0:
                return
            found = [ahead for _, ahead in self._frames]
            steady = max(found) - min(found) <= BEHIND_SPREAD_MS
            if steady and now_ms - self._frames[0][0] >= BEHIND_LOOK_MS:
                self._take(max(found))

    def _take(self, ahead_ms: int) -> None:
        if abs(ahead_ms - self.ahead_ms) > OFF_MIN_MS and abs(ahead_ms) < OFF_MAX_MS:
            self.ahead_ms = ahead_ms if abs(ahead_ms) > OFF_MIN_MS else 0
