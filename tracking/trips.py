"""What a driver's track tells of a trip: how far, how long, how fast, where he stood, where nobody heard of him.

Pure: positions in, in the order of their times; a trip out. A dwell is a stay within 40 m of its first position for a
minute or more (stay points, Li et al. 2008); two minutes without a position are a gap, unless he had come to a stand
before and was still there after.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Final

import msgspec
from shapely import LineString

from geo.distance import EARTH_RADIUS_M, meters_between
from geo.point import Point

DWELL_RADIUS_M: Final = 40.0
DWELL_MIN_MS: Final = 60_000
GAP_MIN_MS: Final = 120_000
MOVING_MIN_MPS: Final = 0.5
CREEP_MAX_MPS: Final = 1.5
ACCURACY_MAX_M: Final = 100.0
PATH_TOLERANCE_M: Final = 4.0
PATH_STEP_MS: Final = 15_000
"""At least one position in so long stays in the path, so that it tells the speed as well as the way."""


class TrackPoint(msgspec.Struct, frozen=True):
    """One kept position."""

    t_ms: int
    lat: float
    lng: float
    speed_mps: float | None = None
    heading_deg: float | None = None
    accuracy_m: float | None = None


class Dwell(msgspec.Struct, frozen=True):
    """A place where he stood, and from when to when."""

    lat: float
    lng: float
    from_ms: int
    to_ms: int


class Gap(msgspec.Struct, frozen=True):
    """From when to when nobody heard of him, and the straight metres between."""

    from_ms: int
    to_ms: int
    distance_m: int


PathPoint = tuple[int, float, float, float]
"""t_ms, lat, lng, m/s."""


class Trip(msgspec.Struct, frozen=True):
    """What a track tells. A gap counts with its straight metres, and neither as moving nor as standing."""

    distance_m: int
    moving_s: int
    standing_s: int
    unseen_s: int
    speed_mean_mps: float
    speed_max_mps: float
    dwells: list[Dwell]
    gaps: list[Gap]
    path: list[PathPoint]


def measure(track: Sequence[TrackPoint]) -> Trip:
    """Return what the track tells; a track of nothing tells of no way and no time."""
    points = [point for point in track if (point.accuracy_m or 0.0) <= ACCURACY_MAX_M]
    places = _project(points)
    speeds = _speeds(points, places)
    dwells = _dwells(points, places, speeds)
    standing_ms = sum(points[b].t_ms - points[a].t_ms for a, b in dwells)
    within = [False] * len(points)
    for a, b in dwells:
        within[a:b] = [True] * (b - a)
    moving_ms, moved_m, gaps, breaks = 0, 0.0, [], {i for span in dwells for i in span}
    for i in range(len(points) - 1):
        if within[i]:
            continue
        step_ms, step_m = points[i + 1].t_ms - points[i].t_ms, math.dist(places[i], places[i + 1])
        if step_ms > GAP_MIN_MS:
            gaps.append(Gap(points[i].t_ms, points[i + 1].t_ms, round(step_m)))
            breaks |= {i, i + 1}
        elif (speeds[i] + speeds[i + 1]) / 2 < MOVING_MIN_MPS:
            standing_ms += step_ms
        else:
            moving_ms += step_ms
            moved_m += step_m
    return Trip(
        distance_m=round(moved_m) + sum(gap.distance_m for gap in gaps),
        moving_s=round(moving_ms / 1000),
        standing_s=round(standing_ms / 1000),
        unseen_s=round(sum(gap.to_ms - gap.from_ms for gap in gaps) / 1000),
        speed_mean_mps=round(moved_m / (moving_ms / 1000), 2) if moving_ms else 0.0,
        speed_max_mps=round(max(speeds, default=0.0), 2),
        dwells=[_dwell(points[a : b + 1]) for a, b in dwells],
        gaps=gaps,
        path=[
            (points[i].t_ms, round(points[i].lat, 6), round(points[i].lng, 6), round(speeds[i], 1))
            for i in _simplified(points, places, breaks)
        ],
    )


def near(dwell: Dwell, place: Point, radius_m: float) -> bool:
    """Say whether a dwell was at a place."""
    return meters_between(Point(dwell.lat, dwell.lng), place) <= radius_m


def _project(points: Sequence[TrackPoint]) -> list[tuple[float, float]]:
    """Return the places as metres east and north of the first; within a city that is right to a metre."""
    if not points:
        return []
    lat, lng = points[0].lat, points[0].lng
    north = math.radians(1) * EARTH_RADIUS_M
    east = north * math.cos(math.radians(lat))
    return [(((point.lng - lng + 540.0) % 360.0 - 180.0) * east, (point.lat - lat) * north) for point in points]


def _speeds(points: Sequence[TrackPoint], places: Sequence[tuple[float, float]]) -> list[float]:
    """Return a speed for each position: the device's own or else that of the step to it, of three the middle one."""
    raw: list[float] = []
    for i, point in enumerate(points):
        if point.speed_mps is not None:
            raw.append(max(0.0, point.speed_mps))
        elif i == 0 or point.t_ms <= points[i - 1].t_ms:
            raw.append(raw[-1] if raw else 0.0)
        else:
            raw.append(math.dist(places[i - 1], places[i]) / ((point.t_ms - points[i - 1].t_ms) / 1000))
    return [median(raw[max(0, i - 1) : i + 2]) if 0 < i < len(raw) - 1 else raw[i] for i in range(len(raw))]


def _dwells(
    points: Sequence[TrackPoint], places: Sequence[tuple[float, float]], speeds: Sequence[float]
) -> list[tuple[int, int]]:
    """Return the first and last position of each stay."""

    def still_there(first: int, after: int) -> bool:
        silent = points[after].t_ms - points[after - 1].t_ms > GAP_MIN_MS
        rode_on = silent and speeds[after - 1] >= CREEP_MAX_MPS
        return not rode_on and math.dist(places[first], places[after]) <= DWELL_RADIUS_M

    found, i = [], 0
    while i < len(points):
        last = i
        while last + 1 < len(points) and still_there(i, last + 1):
            last += 1
        if points[last].t_ms - points[i].t_ms >= DWELL_MIN_MS:
            found.append((i, last))
            i = last
        i += 1
    return found


def _dwell(points: Sequence[TrackPoint]) -> Dwell:
    lat, lng = fmean(point.lat for point in points), fmean(point.lng for point in points)
    return Dwell(round(lat, 6), round(lng, 6), points[0].t_ms, points[-1].t_ms)


def _simplified(points: Sequence[TrackPoint], places: Sequence[tuple[float, float]], breaks: set[int]) -> list[int]:
    """Return which positions stay so that the way is right to a few metres (Douglas and Peucker) and the time known."""
    kept: list[int] = []
    start = 0
    for i in range(1, len(points)):
        if i in breaks or i == len(points) - 1 or points[i + 1].t_ms - points[start].t_ms > PATH_STEP_MS:
            # Each place carries its number as its height, which the line keeps.
            line = LineString([(*places[n], n) for n in range(start, i + 1)])
            kept += [round(n) for *_, n in line.simplify(PATH_TOLERANCE_M).coords[:-1]]
            start = i
    return [*kept, len(points) - 1] if points else []
