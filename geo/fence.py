"""Arriving at a stop: a circle that a drive-by does not trigger, that sparse fixes can't jump over, each told once.

Fixes may come late and in any order. What a fence tells follows from *which* fixes it saw and not from their order:
every rule asks whether there is a fix, or a pair of fixes near in time, that shows it, and no fix takes back what
others showed. Who comes near has approached, who stays at the stop has arrived, who then is far from it has left: far
is much further than near, so that nobody flutters at the edge. Pairs are looked for among the `KEPT_MAX` newest, so
this holds for fixes that come after sixteen newer ones at most (and, for a way past the stop, are four seconds apart).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from enum import StrEnum
from operator import attrgetter
from typing import Final

import msgspec

from geo.distance import METERS_PER_DEGREE
from geo.point import Point

RADIUS_M: Final = 60.0
ACCURACY_MAX_M: Final = 100.0
NEAR_M: Final = 300.0
REACH_M: Final = 2_000.0
"""Fixes further away than this cannot be an end of a segment that passes the stop."""
SLOW_MPS: Final = 3.0
DWELL_MS: Final = 15_000
STAY_MS_MAX: Final = 180_000
PASS_MS_MAX: Final = 120_000
"""Two fixes further apart in time than this say nothing together."""
KEPT_MAX: Final = 32


class FenceEvent(StrEnum):
    """What a fence can say."""

    APPROACHED = "approached"
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


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A fix as a fence keeps it: metres east and north of the stop, and whether it was told to be slow."""

    t_ms: int
    x_m: float
    y_m: float
    slow: bool


class FenceState(msgspec.Struct, array_like=True):
    """All that a fence remembers; `observe` changes it."""

    approached: bool = False
    arrived_ms: int = 0
    """When it was shown first that somebody stays; 0 for not yet."""
    left: bool = False
    far_ms: int = 0
    """The newest fix far from the stop."""
    near: list[Seen] = []
    """Around the stop, by time: may show a way past it."""
    inside: list[Seen] = []
    """At the stop, by time: may show that somebody stays, and since when."""


def observe(state: FenceState, fence: Fence, fixes: Iterable[FenceFix]) -> list[tuple[FenceEvent, int]]:
    """Let a fence see fixes in whatever order they came; return what it has to tell, with the fix's time in ms."""
    told: list[tuple[FenceEvent, int]] = []
    center, m_per_lng = fence.center, METERS_PER_DEGREE * math.cos(math.radians(fence.center.lat))
    for fix in fixes:
        accuracy_m = fix.accuracy_m or 0.0
        if accuracy_m > ACCURACY_MAX_M or state.left:
            continue
        x_m = ((fix.at.lng - center.lng + 540.0) % 360.0 - 180.0) * m_per_lng
        y_m = (fix.at.lat - center.lat) * METERS_PER_DEGREE
        away_m = math.hypot(x_m, y_m)
        if away_m > REACH_M and not state.approached:
            continue
        seen = Seen(fix.t_ms, x_m, y_m, fix.speed_mps is not None and 0 <= fix.speed_mps < SLOW_MPS)
        if not state.approached:
            if away_m <= NEAR_M or any(_passes(seen, other) for other in state.near):
                state.approached, state.near = True, []
                told.append((FenceEvent.APPROACHED, fix.t_ms))
            else:
                _keep(state.near, seen)
        if away_m > NEAR_M:
            state.far_ms = max(state.far_ms, fix.t_ms)
        elif away_m <= max(fence.radius_m, accuracy_m) and (not state.arrived_ms or fix.t_ms < state.arrived_ms):
            _look_for_stay(state, seen, told)
        if 0 < state.arrived_ms < state.far_ms:
            state.left = True
            told.append((FenceEvent.LEFT, fix.t_ms))
    return told


def _look_for_stay(state: FenceState, seen: Seen, told: list[tuple[FenceEvent, int]]) -> None:
    """Keep a fix at the stop, and since when somebody stays if it shows that."""
    since_ms = [max(seen.t_ms, other.t_ms) for other in state.inside if _stays(seen, other)]
    if since_ms and not state.arrived_ms:
        state.arrived_ms = min(since_ms)
        told.append((FenceEvent.ARRIVED, state.arrived_ms))
    elif since_ms:
        state.arrived_ms = min(state.arrived_ms, *since_ms)
    _keep(state.inside, seen)


def _passes(a: Seen, b: Seen) -> bool:
    """Say whether the straight way from one fix to the other comes near the stop."""
    if not 0 < abs(a.t_ms - b.t_ms) <= PASS_MS_MAX:
        return False
    if min(a.x_m, b.x_m) > NEAR_M or max(a.x_m, b.x_m) < -NEAR_M:
        return False
    if min(a.y_m, b.y_m) > NEAR_M or max(a.y_m, b.y_m) < -NEAR_M:
        return False
    east_m, north_m = b.x_m - a.x_m, b.y_m - a.y_m
    length2 = east_m * east_m + north_m * north_m
    share = -(a.x_m * east_m + a.y_m * north_m) / length2 if length2 else 0.0
    share = min(1.0, max(0.0, share))
    return math.hypot(a.x_m + share * east_m, a.y_m + share * north_m) <= NEAR_M


def _stays(a: Seen, b: Seen) -> bool:
    """Say whether two fixes at the stop show that somebody stays: both slow, or little way between them for a while."""
    apart_ms = abs(a.t_ms - b.t_ms)
    if not 0 < apart_ms <= STAY_MS_MAX:
        return False
    way_m = math.hypot(a.x_m - b.x_m, a.y_m - b.y_m)
    return (a.slow and b.slow) or (apart_ms >= DWELL_MS and way_m * 1000 < SLOW_MPS * apart_ms)


def _keep(kept: list[Seen], seen: Seen) -> None:
    """Keep a fix by its time, once; of too many the oldest goes."""
    place = bisect_left(kept, seen.t_ms, key=_time)
    if place == len(kept) or kept[place].t_ms != seen.t_ms:
        kept.insert(place, seen)
        if len(kept) > KEPT_MAX:
            del kept[0]


_time = attrgetter("t_ms")
