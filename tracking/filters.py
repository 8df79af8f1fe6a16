"""Every way a GPS lies, and what is done about it: each rejection has a reason, and one bad fix costs no good one.

A fix is `LIVE` (moves the dot and goes to history), `LATE` (history only: it may not move the dot back or fire a
fence), or rejected with a reason. The jump rule compares with the last accepted fix and re-anchors after three fixes
that agree with each other, so that one wrong fix can never lock a driver out.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

import msgspec

from geo.distance import meters_between
from geo.point import Point
from tracking.wire import WireFix

FUTURE_MAX_MS: Final = 60_000
HISTORY_WINDOW_MS: Final = 7 * 24 * 3600 * 1000
LATITUDE_MAX: Final = 85.0  # the geo index ends at the Mercator latitude
ZERO_DEG: Final = 1e-6
ACCURACY_MAX_M: Final = 100.0
SPEED_MAX_MPS: Final = 45.0
JUMP_SLACK_M: Final = 150.0
AGREEING_FIXES: Final = 3
RECENT_MAX: Final = 64


class Verdict(StrEnum):
    """What becomes of a fix. The first two keep it; the rest are reasons for rejection."""

    LIVE = "live"
    LATE = "late"
    INVALID = "invalid"
    ZERO = "zero"
    FUTURE = "future"
    TOO_OLD = "too_old"
    DUPLICATE = "duplicate"
    JUMP = "jump"


KEPT: Final = frozenset({Verdict.LIVE, Verdict.LATE})


class FilterState(msgspec.Struct, frozen=True):
    """What is remembered of one driver: the last live fix, recent fix times, and fixes that jumped."""

    last: WireFix | None = None
    recent: tuple[int, ...] = ()
    jumped: tuple[WireFix, ...] = ()


def judge(state: FilterState, fix: WireFix, now_ms: int) -> tuple[FilterState, Verdict]:
    """Return what becomes of `fix` and what to remember."""
    verdict = _static_verdict(fix, now_ms)
    if verdict is not None:
        return state, verdict
    if fix.t in state.recent:
        return state, Verdict.DUPLICATE
    last = state.last
    if last is None:
        if (fix.acc or 0.0) > ACCURACY_MAX_M:
            return _remember(state, fix), Verdict.LATE
        return _accept(state, fix), Verdict.LIVE
    if fix.t <= last.t:
        if fix.t == last.t:
            return state, Verdict.DUPLICATE
        return _remember(state, fix), Verdict.LATE
    if (fix.acc or 0.0) > ACCURACY_MAX_M:
        return _remember(state, fix), Verdict.LATE
    if not _agree(last, fix):
        jumped = (*state.jumped, fix) if state.jumped and _agree(state.jumped[-1], fix) else (fix,)
        if len(jumped) < AGREEING_FIXES:
            return msgspec.structs.replace(state, jumped=jumped), Verdict.JUMP
    return _accept(state, fix), Verdict.LIVE


def _static_verdict(fix: WireFix, now_ms: int) -> Verdict | None:
    """Judge what can be judged without a memory."""
    if not (math.isfinite(fix.lat) and math.isfinite(fix.lng)) or abs(fix.lat) > LATITUDE_MAX or abs(fix.lng) > 180:
        return Verdict.INVALID
    for number in (fix.acc, fix.spd, fix.hdg):
        if number is not None and not (math.isfinite(number) and abs(number) < 1e6):
            return Verdict.INVALID
    if abs(fix.lat) < ZERO_DEG and abs(fix.lng) < ZERO_DEG:
        return Verdict.ZERO
    if fix.t > now_ms + FUTURE_MAX_MS:
        return Verdict.FUTURE
    if fix.t < now_ms - HISTORY_WINDOW_MS:
        return Verdict.TOO_OLD
    return None


def _agree(a: WireFix, b: WireFix) -> bool:
    """Say whether one vehicle can have been at both fixes."""
    seconds = abs(b.t - a.t) / 1000
    return meters_between(Point(a.lat, a.lng), Point(b.lat, b.lng)) <= JUMP_SLACK_M + SPEED_MAX_MPS * seconds


def _remember(state: FilterState, fix: WireFix) -> FilterState:
    return msgspec.structs.replace(state, recent=(*state.recent, fix.t)[-RECENT_MAX:])


def _accept(state: FilterState, fix: WireFix) -> FilterState:
    return FilterState(last=fix, recent=(*state.recent, fix.t)[-RECENT_MAX:])
