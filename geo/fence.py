"""Arriving at a stop: a circle with hysteresis that a drive-by does not trigger.

In: two fixes in a row, or fifteen seconds, within the radius and slow. Out: beyond the radius plus a margin for thirty
seconds. Fixes too inaccurate to tell, and fixes older than the last one seen, change nothing. Each event fires once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from geo.distance import meters_between
from geo.point import Point

RADIUS_M: Final = 60.0
EXIT_MARGIN_M: Final = 60.0
ACCURACY_MAX_M: Final = 100.0
ARRIVE_SPEED_MAX_MPS: Final = 3.0
ARRIVE_FIXES: Final = 2
ARRIVE_DWELL_MS: Final = 15_000
LEAVE_MS: Final = 30_000
APPROACH_M: Final = 300.0


class FenceEvent(StrEnum):
    """What a fence can say."""

    APPROACHING = "approaching"
    ARRIVED = "arrived"
    LEFT = "left"


class Fence(msgspec.Struct, frozen=True):
    """A circle around a stop."""

    center: Point
    radius_m: float = RADIUS_M


class FenceFix(msgspec.Struct, frozen=True):
    """What a fence looks at: place, event time, speed and accuracy as far as they are known."""

    at: Point
    t_ms: int
    speed_mps: float | None = None
    accuracy_m: float | None = None


class FenceState(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a fence remembers."""

    last_ms: int = 0
    inside_fixes: int = 0
    inside_since_ms: int = 0
    outside_since_ms: int = 0
    approached: bool = False
    arrived: bool = False
    left: bool = False


def step(state: FenceState, fence: Fence, fix: FenceFix) -> tuple[FenceState, FenceEvent | None]:
    """Return the state after a fix and the event it fires, if any."""
    if fix.t_ms <= state.last_ms or (fix.accuracy_m or 0.0) > ACCURACY_MAX_M:
        return state, None
    meters = meters_between(fence.center, fix.at)
    state = msgspec.structs.replace(state, last_ms=fix.t_ms)
    if state.arrived:
        return _leaving(state, fence, fix, meters)
    slow = fix.speed_mps is None or fix.speed_mps < ARRIVE_SPEED_MAX_MPS
    if meters <= max(fence.radius_m, fix.accuracy_m or 0.0) and slow:
        since_ms = state.inside_since_ms or fix.t_ms
        state = msgspec.structs.replace(
            state, inside_fixes=state.inside_fixes + 1, inside_since_ms=since_ms, approached=True
        )
        if state.inside_fixes >= ARRIVE_FIXES or fix.t_ms - since_ms >= ARRIVE_DWELL_MS:
            return msgspec.structs.replace(state, arrived=True), FenceEvent.ARRIVED
        return state, None
    state = msgspec.structs.replace(state, inside_fixes=0, inside_since_ms=0)
    if meters <= APPROACH_M and not state.approached:
        return msgspec.structs.replace(state, approached=True), FenceEvent.APPROACHING
    return state, None


def _leaving(state: FenceState, fence: Fence, fix: FenceFix, meters: float) -> tuple[FenceState, FenceEvent | None]:
    if state.left or meters < fence.radius_m + EXIT_MARGIN_M:
        return msgspec.structs.replace(state, outside_since_ms=0), None
    since_ms = state.outside_since_ms or fix.t_ms
    if fix.t_ms - since_ms >= LEAVE_MS:
        return msgspec.structs.replace(state, outside_since_ms=since_ms, left=True), FenceEvent.LEFT
    return msgspec.structs.replace(state, outside_since_ms=since_ms), None
