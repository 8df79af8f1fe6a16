"""Trips: the way of a driver from the assignment to the door, with the stops that were served on it.

Deliveries that a driver had at the same time are one trip. A business gets the part of the way that its own deliveries
took, from the database itself (`track_of_delivery`), without what the driver did at other businesses' stops; a driver
gets all of his own ways, and the operator everybody's.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from dispatch.rows import BOTH_ENDS
from geo.point import Point
from kernel.clock import from_ms, to_ms
from kernel.db import Connection, Record
from kernel.ids import Kind, show
from tracking.track import POINTS_MAX, track_from
from tracking.trips import Dwell, PathPoint, TrackPoint, Trip, measure, near

STOP_RADIUS_M: Final = 100.0
STOP_SLACK_MS: Final = 120_000
IDLE_TRIP_MIN_M: Final = 200

DELIVERIES: Final = f"""
SELECT d.*, trip_ends_at(d) AS ends_at, dr.name AS driver_name, dr.vehicle,
       p.name AS p_name, p.lat AS p_lat, p.lng AS p_lng, p.arrived_at AS p_arrived_at, p.done_at AS p_done_at,
       q.address AS q_name, q.lat AS q_lat, q.lng AS q_lng, q.arrived_at AS q_arrived_at, q.done_at AS q_done_at
FROM deliveries d
{BOTH_ENDS}
LEFT JOIN driver_profiles dr ON dr.id = d.driver_id
WHERE d.operator_id = $1 AND d.driver_id IS NOT NULL AND d.assigned_at IS NOT NULL
"""


class TripStop(msgspec.Struct, frozen=True):
    """A stop that was served, or another place where he stood (`standing`, without a delivery)."""

    kind: Literal["pickup", "dropoff", "standing"]
    delivery_id: str | None
    name: str
    lat: float
    lng: float
    arrived_at: datetime
    left_at: datetime
    dwell_s: int


class TripGap(msgspec.Struct, frozen=True):
    """From when to when there is no position, and the straight metres between."""

    from_at: datetime
    to_at: datetime
    distance_m: int


class TripDelivery(msgspec.Struct, frozen=True):
    """What was brought on it."""

    id: str
    short_code: str
    status: str


class TripView(msgspec.Struct, frozen=True):
    """A trip. `path` is simplified: [Unix ms, lat, lng, m/s]; `points` counts what was kept. Metres and seconds."""

    driver_id: str
    driver_name: str | None
    vehicle: str | None
    deliveries: list[TripDelivery]
    started_at: datetime
    ended_at: datetime
    duration_s: int
    distance_m: int
    moving_s: int
    standing_s: int
    unseen_s: int
    speed_mean_mps: float
    speed_max_mps: float
    stops: list[TripStop]
    gaps: list[TripGap]
    path: list[PathPoint]
    points: int


async def track_of(con: Connection, row: Record, *, of_business: bool) -> list[TrackPoint]:
    """Return where a delivery (a row of `DELIVERIES`) was from the assignment to its end, oldest first."""
    if of_business:
        rows = await con.fetch(
            "SELECT * FROM track_of_delivery($1) ORDER BY recorded_at LIMIT $2", row["id"], POINTS_MAX
        )
        return track_from(rows)
    return await track_between(con, row["driver_id"], row["assigned_at"], row["ends_at"])


async def track_between(con: Connection, driver_id: UUID, start: datetime, end: datetime) -> list[TrackPoint]:
    """Return a driver's positions of a time, oldest first. A business' transaction sees none."""
    rows = await con.fetch(
        """SELECT * FROM driver_locations WHERE driver_id = $1 AND recorded_at BETWEEN $2 AND $3
           ORDER BY recorded_at LIMIT $4""",
        driver_id,
        start,
        end,
        POINTS_MAX,
    )
    return track_from(rows)


def together(rows: Sequence[Record]) -> list[list[Record]]:
    """Return deliveries in groups: those that the driver had at the same time are one trip."""
    groups: list[list[Record]] = []
    for row in sorted(rows, key=lambda row: row["assigned_at"]):
        if groups and row["assigned_at"] <= max(one["ends_at"] for one in groups[-1]):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def trip_of(rows: Sequence[Record], track: Sequence[TrackPoint]) -> TripView:
    """Return the trip of deliveries that go together."""
    trip = measure(track)
    served = sorted((stop for row in rows for stop in _served(row, trip.dwells)), key=lambda stop: stop.arrived_at)
    elsewhere = [dwell for dwell in trip.dwells if not any(_is_at(dwell, stop) for stop in served)]
    started_at, ended_at = min(row["assigned_at"] for row in rows), max(row["ends_at"] for row in rows)
    return _view(
        trip,
        track,
        driver=rows[0],
        deliveries=[TripDelivery(show(Kind.DELIVERY, row["id"]), row["short_code"], row["status"]) for row in rows],
        started_at=started_at,
        ended_at=ended_at,
        stops=sorted([*served, *map(_standing, elsewhere)], key=lambda stop: stop.arrived_at),
    )


def idle_trips(driver: Record, track: Sequence[TrackPoint], busy: Sequence[TripView]) -> list[TripView]:
    """Return the ways without a delivery: between two places where he stood, outside the times of `busy` trips."""
    taken = [(to_ms(trip.started_at), to_ms(trip.ended_at)) for trip in busy]
    day = measure(track)
    stays = [(dwell.from_ms + 1, dwell.to_ms - 1) for dwell in day.dwells]
    gaps = [(gap.from_ms + 1, gap.to_ms - 1) for gap in day.gaps]
    found = []
    for way in _between(track, sorted([*taken, *stays, *gaps])):
        trip = measure(way)
        if trip.distance_m >= IDLE_TRIP_MIN_M:
            found.append(
                _view(
                    trip,
                    way,
                    driver=driver,
                    deliveries=[],
                    started_at=from_ms(way[0].t_ms),
                    ended_at=from_ms(way[-1].t_ms),
                    stops=[_standing(dwell) for dwell in trip.dwells],
                )
            )
    return found


def _between(track: Sequence[TrackPoint], spans_ms: Sequence[tuple[int, int]]) -> Iterator[list[TrackPoint]]:
    """Give the parts of a track outside these spans (sorted by their starts), each of two positions or more."""
    times, at = [point.t_ms for point in track], 0
    for start, end in [*spans_ms, (sys.maxsize, sys.maxsize)]:
        until = bisect_left(times, start)
        if until - at > 1:
            yield list(track[at:until])
        at = max(at, bisect_right(times, end))


def _view(
    trip: Trip,
    track: Sequence[TrackPoint],
    *,
    driver: Record,
    deliveries: list[TripDelivery],
    started_at: datetime,
    ended_at: datetime,
    stops: list[TripStop],
) -> TripView:
    return TripView(
        driver_id=show(Kind.DRIVER, driver["driver_id"]),
        driver_name=driver["driver_name"],
        vehicle=driver["vehicle"],
        deliveries=deliveries,
        started_at=started_at,
        ended_at=ended_at,
        duration_s=round((ended_at - started_at).total_seconds()),
        distance_m=trip.distance_m,
        moving_s=trip.moving_s,
        standing_s=trip.standing_s,
        unseen_s=trip.unseen_s,
        speed_mean_mps=trip.speed_mean_mps,
        speed_max_mps=trip.speed_max_mps,
        stops=stops,
        gaps=[TripGap(from_ms(gap.from_ms), from_ms(gap.to_ms), gap.distance_m) for gap in trip.gaps],
        path=trip.path,
        points=len(track),
    )


def _served(row: Record, dwells: Sequence[Dwell]) -> list[TripStop]:
    """Return the stops of a delivery that were reached; where he was seen standing there, with those times."""
    found = []
    ends: tuple[tuple[Literal["pickup", "dropoff"], str], ...] = (("pickup", "p"), ("dropoff", "q"))
    for kind, prefix in ends:
        arrived_at, done_at = row[f"{prefix}_arrived_at"], row[f"{prefix}_done_at"]
        if arrived_at is None and done_at is None:
            continue
        place = Point(row[f"{prefix}_lat"], row[f"{prefix}_lng"])
        start, end = to_ms(arrived_at or done_at), to_ms(done_at or arrived_at)
        for dwell in dwells:
            if near(dwell, place, STOP_RADIUS_M) and _overlap(dwell, start, end):
                start, end = dwell.from_ms, max(dwell.to_ms, end)
                break
        found.append(
            TripStop(
                kind=kind,
                delivery_id=show(Kind.DELIVERY, row["id"]),
                name=row[f"{prefix}_name"],
                lat=place.lat,
                lng=place.lng,
                arrived_at=from_ms(start),
                left_at=from_ms(end),
                dwell_s=round((end - start) / 1000),
            )
        )
    return found


def _is_at(dwell: Dwell, stop: TripStop) -> bool:
    return near(dwell, Point(stop.lat, stop.lng), STOP_RADIUS_M) and _overlap(
        dwell, to_ms(stop.arrived_at), to_ms(stop.left_at)
    )


def _overlap(dwell: Dwell, start_ms: int, end_ms: int) -> bool:
    return dwell.from_ms - STOP_SLACK_MS <= end_ms and start_ms <= dwell.to_ms + STOP_SLACK_MS


def _standing(dwell: Dwell) -> TripStop:
    return TripStop(
        kind="standing",
        delivery_id=None,
        name="",
        lat=dwell.lat,
        lng=dwell.lng,
        arrived_at=from_ms(dwell.from_ms),
        left_at=from_ms(dwell.to_ms),
        dwell_s=round((dwell.to_ms - dwell.from_ms) / 1000),
    )
