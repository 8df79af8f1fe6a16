"""One driver's connection, without I/O: which frames are new, which are durable, and what may be acknowledged.

An `ack` is cumulative: the highest sequence below which everything received is durable or finally refused. A frame
refused with `retry` closes the gate: later frames are refused too until it comes again, so an ack never jumps over it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FRAMES_IN_FLIGHT_MAX: Final = 1_000
FRAME_BURST: Final = 120
FRAMES_PER_S: Final = 10.0


@dataclass(slots=True)
class Budget:
    """How many frames a driver may still send, on all his sockets together."""

    _tokens: float = FRAME_BURST
    _filled_at_s: float | None = None

    def spend(self, now_s: float) -> bool:
        """Take one frame; say whether there was one."""
        if self._filled_at_s is not None:
            self._tokens = min(FRAME_BURST, self._tokens + (now_s - self._filled_at_s) * FRAMES_PER_S)
        self._filled_at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass(slots=True)
class DriverSession:
    """The sequence numbers of one device of one driver."""

    durable: int
    """Everything up to here is durable."""

    budget: Budget = field(default_factory=Budget)

    _waiting: dict[int, bool] = field(default_factory=dict)
    """Received above `durable`, ascending: is it done?"""

    _highest: int = 0
    _resend_from: int = 0

    def take(self, seq: int, now_s: float) -> str | None:
        """Say whether a frame may go on: None for yes, `duplicate`, or the code of a refusal to be tried again."""
        if seq <= self.durable or seq in self._waiting:
            return "duplicate"
        if self._resend_from and seq > self._resend_from:
            return "resend_first"
        if len(self._waiting) >= FRAMES_IN_FLIGHT_MAX:
            return self._refuse(seq, "too_many_in_flight")
        if not self.budget.spend(now_s):
            return self._refuse(seq, "rate_limited")
        self._resend_from = 0
        self._waiting[seq] = False
        if seq < self._highest:  # it comes again, after a refusal: back into its place
            self._waiting = dict(sorted(self._waiting.items()))
        self._highest = max(self._highest, seq)
        return None

    def put_back(self, seq: int) -> None:
        """The frame could not be handled now: it has to come again."""
        self._waiting.pop(seq, None)
        self._resend_from = seq if not self._resend_from else min(seq, self._resend_from)

    def done(self, seq: int) -> bool:
        """The frame is durable or finally refused; say whether `durable` moved."""
        if seq in self._waiting:
            self._waiting[seq] = True
        before = self.durable
        while self._waiting:
            waiting = next(iter(self._waiting))
            if not self._waiting[waiting] or (self._resend_from and waiting > self._resend_from):
                break
            self.durable = waiting
            del self._waiting[waiting]
        return self.durable > before

    def _refuse(self, seq: int, code: str) -> str:
        self._resend_from = seq
        return code
