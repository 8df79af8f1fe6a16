"""Every way a GPS lies, and what is done about it: each verdict has a name, and one bad fix costs no good one.

Fixes are judged in the order in which they were made, whatever the order they come in: a driver's newest fixes are kept
sorted by time, each with what was believed after it, and a late one makes those after it be judged again. So what is
believed in the end does not depend on shuffles and repetitions, as long as no fix comes after `DISORDER_MAX` newer ones
or more. A fix that jumped is a candidate: three that agree with each other are believed, and one that was believed ten
minutes ago judges nobody, so that no wrong fix locks a driver out.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from geo.distance import METERS_PER_DEGREE
from geo.travel import Vehicle
from tracking.wire import WireFix

FUTURE_MAX_MS: Final = 60_000
HISTORY_WINDOW_MS: Final = 7 * 24 * 3600 * 1000
LATITUDE_MAX: Final = 85.0  # the geo index ends at the Mercator latitude
NUMBER_MAX: Final = 1e6
ZERO_DEG: Final = 1e-6
JUMP_SLACK_M: Final = 150.0
AGREEING_FIXES: Final = 3
BELIEVED_MS_MAX: Final = 600_000
SLOW_MPS: Final = 1.0
QUIET_MS_MAX: Final = 30_000
"""So often at least a fix is shown, however little it says: who stands still is not gone."""
DISORDER_MAX: Final = 16
KEPT_MAX: Final = 2 * DISORDER_MAX


class Verdict(StrEnum):
    """What becomes of a fix."""

    LIVE = "live"
    LATE = "late"
    STATIC = "static"
    DISTANCE = "distance"
    PERIOD = "period"
    ACCURACY = "accuracy"
    JUMP = "jump"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    ZERO = "zero"
    FUTURE = "future"
    TOO_OLD = "too_old"


ACCEPTED: Final = frozenset({Verdict.LIVE, Verdict.LATE})
"""The others are told in the ack, by name."""
IN_HISTORY: Final = ACCEPTED | {Verdict.STATIC, Verdict.DISTANCE, Verdict.PERIOD, Verdict.ACCURACY, Verdict.JUMP}
"""Stored in their place, with the verdict."""
WITHOUT_PLACE: Final = frozenset({Verdict.INVALID, Verdict.ZERO, Verdict.FUTURE, Verdict.TOO_OLD})
"""They have no place on Earth, or none in time: kept raw for a while, apart."""
DOUBTED: Final = frozenset({Verdict.ACCURACY, Verdict.JUMP})

Meters = Annotated[int, Meta(ge=0, le=10_000)]


class FilterLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of a vehicle's fixes; 0 turns a filter off, but for the first two."""

    accuracy_m_max: Annotated[int, Meta(ge=10, le=5_000)] = 100
    speed_mps_max: Annotated[int, Meta(ge=5, le=400)] = 45
    static_m: Meters = 0
    """A slow fix (under 1 m/s) this near to the one shown, or within half its accuracy, does not move the dot."""
    distance_m_min: Meters = 0
    """A fix nearer than this to the one shown does not move the dot."""
    period_ms_min: Annotated[int, Meta(ge=0, le=60_000)] = 0
    """A fix sooner than this after the one shown does not move the dot."""


DEFAULTS: Final[Mapping[Vehicle, FilterLimits]] = {
    Vehicle.CAR: FilterLimits(),
    Vehicle.SCOOTER: FilterLimits(speed_mps_max=40),
    Vehicle.BICYCLE: FilterLimits(speed_mps_max=30),
    Vehicle.FOOT: FilterLimits(speed_mps_max=25),
}
"""Wide enough for who takes the train for once; a teleport is faster."""


class _Fold(msgspec.Struct, frozen=True, gc=False):
    """What is known after a fix: the last one believed, those that jumped since, the one shown, and its own verdict."""

    believed: WireFix | None
    jumped: tuple[WireFix, ...]
    shown: WireFix | None
    verdict: Verdict


_NOTHING: Final = _Fold(None, (), None, Verdict.LIVE)


class FilterState:
    """What is remembered of one driver; `judge` changes it."""

    __slots__ = ("_base", "_base_ms", "_fixes", "_folds", "_times", "believed")

    def __init__(self, last: WireFix | None = None) -> None:
        self._base = _NOTHING if last is None else _Fold(last, (), last, Verdict.LIVE)
        self._base_ms = -1 if last is None else last.t
        self._times: list[int] = []
        self._fixes: list[WireFix] = []
        self._folds: list[_Fold] = []
        self.believed: list[WireFix] = []
        """Fixes that came to be believed, in no order: whoever is told of them empties it."""

    @property
    def shown(self) -> WireFix | None:
        """The fix behind the dot."""
        return (self._folds[-1] if self._folds else self._base).shown


def judge(state: FilterState, fix: WireFix, now_ms: int, limits: FilterLimits) -> Verdict:
    """Return what becomes of a fix, whose time is the server's (`device_clock` corrects it), and remember it."""
    lat, lng, t = fix.lat, fix.lng, fix.t
    if not (-LATITUDE_MAX <= lat <= LATITUDE_MAX and -180.0 <= lng <= 180.0):
        return Verdict.INVALID
    for number in (fix.acc, fix.spd, fix.hdg):
        if number is not None and not -NUMBER_MAX < number < NUMBER_MAX:
            return Verdict.INVALID
    if -ZERO_DEG < lat < ZERO_DEG and -ZERO_DEG < lng < ZERO_DEG:
        return Verdict.ZERO
    if t > now_ms + FUTURE_MAX_MS:
        return Verdict.FUTURE
    if t < now_ms - HISTORY_WINDOW_MS:
        return Verdict.TOO_OLD
    times, folds = state._times, state._folds
    if t <= (times[-1] if times else state._base_ms):
        return _judge_late(state, fix, limits)
    fold = _fold(folds[-1] if folds else state._base, fix, limits, state.believed)
    times.append(t)
    state._fixes.append(fix)
    folds.append(fold)
    if len(times) > KEPT_MAX:
        _forget(state)
    return fold.verdict


def _judge_late(state: FilterState, fix: WireFix, limits: FilterLimits) -> Verdict:
    """Put a fix into its place and judge those after it again, until nothing changes any more."""
    times, fixes, folds = state._times, state._fixes, state._folds
    place = bisect_left(times, fix.t)
    if place < len(times) and times[place] == fix.t:
        return Verdict.DUPLICATE
    if fix.t <= state._base_ms or len(times) - place >= DISORDER_MAX:
        if fix.t == state._base_ms:
            return Verdict.DUPLICATE
        return Verdict.ACCURACY if (fix.acc or 0.0) > limits.accuracy_m_max else Verdict.LATE
    fold = own = _fold(folds[place - 1] if place else state._base, fix, limits, state.believed)
    times.insert(place, fix.t)
    fixes.insert(place, fix)
    folds.insert(place, fold)
    for after in range(place + 1, len(times)):
        before = folds[after]
        doubted = before.verdict in DOUBTED
        fold = _fold(fold, fixes[after], limits, state.believed if doubted else [])
        folds[after] = fold
        if fold == before:
            break
    if len(times) > KEPT_MAX:
        _forget(state)
    return own.verdict if own.verdict in DOUBTED else Verdict.LATE


def _forget(state: FilterState) -> None:
    gone = len(state._times) - DISORDER_MAX
    state._base, state._base_ms = state._folds[gone - 1], state._times[gone - 1]
    del state._times[:gone], state._fixes[:gone], state._folds[:gone]


def _fold(before: _Fold, fix: WireFix, limits: FilterLimits, believed: list[WireFix]) -> _Fold:
    """Return what is known after a fix; adds to `believed` what came to be believed by it."""
    accuracy_m = fix.acc
    if accuracy_m is not None and accuracy_m > limits.accuracy_m_max:
        return _Fold(before.believed, before.jumped, before.shown, Verdict.ACCURACY)
    last = before.believed
    if (
        last is not None
        and fix.t - last.t <= BELIEVED_MS_MAX
        and _meters(last, fix) > JUMP_SLACK_M + limits.speed_mps_max * (fix.t - last.t) / 1000
    ):
        jumped = before.jumped
        agrees = bool(jumped) and (
            _meters(jumped[-1], fix) <= JUMP_SLACK_M + limits.speed_mps_max * (fix.t - jumped[-1].t) / 1000
        )
        jumped = (*jumped, fix) if agrees else (fix,)
        if len(jumped) < AGREEING_FIXES:
            return _Fold(last, jumped, before.shown, Verdict.JUMP)
        believed += jumped[:-1]
    believed.append(fix)
    shown = before.shown
    verdict = Verdict.LIVE if shown is None else _standing(shown, fix, limits)
    return _Fold(fix, (), fix if verdict is Verdict.LIVE else shown, verdict)


def _standing(shown: WireFix, fix: WireFix, limits: FilterLimits) -> Verdict:
    """Say whether a believed fix moves the dot."""
    if not (limits.period_ms_min or limits.distance_m_min or limits.static_m):
        return Verdict.LIVE
    since_ms = fix.t - shown.t
    if since_ms >= QUIET_MS_MAX:
        return Verdict.LIVE
    if since_ms < limits.period_ms_min:
        return Verdict.PERIOD
    moved_m = _meters(shown, fix)
    slow = fix.spd is not None and fix.spd < SLOW_MPS
    if limits.static_m and slow and moved_m <= max(limits.static_m, (fix.acc or 0.0) / 2):
        return Verdict.STATIC
    return Verdict.DISTANCE if moved_m < limits.distance_m_min else Verdict.LIVE


def _meters(a: WireFix, b: WireFix) -> float:
    """Return the distance as on a plane: over the ways of a jump that is near enough."""
    east_deg = b.lng - a.lng
    if not -180.0 <= east_deg <= 180.0:
        east_deg = (east_deg + 540.0) % 360.0 - 180.0
    east_m = east_deg * math.cos(math.radians((a.lat + b.lat) / 2))
    north_m = b.lat - a.lat
    return METERS_PER_DEGREE * math.sqrt(east_m * east_m + north_m * north_m)
