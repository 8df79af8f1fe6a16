"""Deliveries that ended become lessons: which rides, hand-overs and estimates can be trusted to teach, and how long
they took.

A ride counts from the stop that the driver was done with before to the one he then arrived at, when he knew at the
former that he would go to the latter, and his phone shows that he did: no long silence, no tour of the town.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from dispatch.learning import (
    HAND_OVER_MAX_S,
    Arrival,
    HandOver,
    Lesson,
    Readiness,
    Ride,
    StopKind,
    hour_of_week,
    local,
)
from geo.distance import meters_between, road_meters
from geo.point import Point
from geo.travel import UNREACHABLE_S, Vehicle
from kernel.db import Connection, Record
from tracking.driven import Driven

SETTLED_AFTER_S: Final = 120
"""Deliveries teach when they ended so long ago: phones have then told what they know."""
BATCH_MAX: Final = 200
RIDE_MIN_M: Final = 100
RIDE_MIN_S: Final = 20
RIDE_MAX_S: Final = 7_200
GAP_MAX_S: Final = 120
DETOUR_MAX: Final = 2.5
DETOUR_SLACK_M: Final = 300
OFF_MAX: Final = 4
"""A ride that took so many times what the provider says, or a part of it, tells of something else."""

_FINISHED: Final = """
SELECT d.id, d.business_id, d.store_id, d.driver_id, d.assigned_at, d.ready_at, d.was_ready_at, d.finished_at,
       dr.vehicle, o.time_zone, stop.kind, stop.arrived_at, stop.done_at, stop.lat, stop.lng,
       before.done_at AS before_at, before.lat AS before_lat, before.lng AS before_lng
FROM (SELECT * FROM deliveries WHERE operator_id = $1 AND status = 'delivered' AND NOT eta_learned
        AND finished_at <= $2 ORDER BY finished_at LIMIT $3) d
JOIN operators o ON o.id = d.operator_id
JOIN driver_profiles dr ON dr.id = d.driver_id
JOIN stops stop ON stop.business_id = d.business_id AND stop.delivery_id = d.id
LEFT JOIN LATERAL (
  SELECT s.done_at, s.lat, s.lng FROM stops s
  WHERE s.driver_id = d.driver_id AND s.done_at < stop.arrived_at ORDER BY s.done_at DESC LIMIT 1) before ON true
ORDER BY d.finished_at, d.id, stop.kind DESC
"""

_CAME = """deliveries d, stops s
WHERE d.id = ANY($1) AND d.business_id = p.business_id AND d.id = p.delivery_id AND d.driver_id = p.driver_id
  AND s.business_id = p.business_id AND s.delivery_id = p.delivery_id AND s.kind = 'dropoff' AND s.arrived_at >= p.at"""
_ACTUAL_S: Final = "extract(epoch FROM s.arrived_at - p.at)::int"
_ESTIMATES: Final = f"SELECT p.estimate_s, {_ACTUAL_S} AS actual_s FROM eta_predictions p, {_CAME} ORDER BY p.at"
_SETTLE: Final = f"UPDATE eta_predictions p SET actual_s = {_ACTUAL_S} FROM {_CAME}"


class Driving(msgspec.Struct, frozen=True):
    """A ride as it was lived: from a stop to the next of one driver."""

    driver_id: UUID
    vehicle: Vehicle
    since: datetime
    until: datetime
    start: Point
    end: Point

    @property
    def seconds(self) -> int:
        """How long it took."""
        return round((self.until - self.since).total_seconds())


async def finished(con: Connection, operator_id: UUID, now: datetime) -> list[Record]:
    """Return both stops of deliveries that ended and have not taught yet, oldest first. Platform path."""
    return list(await con.fetch(_FINISHED, operator_id, now - timedelta(seconds=SETTLED_AFTER_S), BATCH_MAX))


async def estimates(con: Connection, delivery_ids: Sequence[UUID]) -> list[Arrival]:
    """Return what was estimated for these deliveries, with who brought them, and what became of it. Platform path."""
    return [Arrival(**row) for row in await con.fetch(_ESTIMATES, delivery_ids)]


async def settle(con: Connection, delivery_ids: Sequence[UUID]) -> None:
    """Write the arrivals beside their estimates; these deliveries have taught. Platform path."""
    await con.execute(_SETTLE, delivery_ids)
    await con.execute("UPDATE deliveries SET eta_learned = true WHERE id = ANY($1)", delivery_ids)


def drivings(rows: Sequence[Record]) -> list[Driving]:
    """Return the rides to these stops that began at a stop, with the next one known."""
    found = []
    for row in rows:
        since, until = row["before_at"], row["arrived_at"]
        if since is None or until is None or row["assigned_at"] is None or row["assigned_at"] > since:
            continue
        start, end = Point(row["before_lat"], row["before_lng"]), Point(row["lat"], row["lng"])
        ride = Driving(row["driver_id"], Vehicle(row["vehicle"]), since, until, start, end)
        if RIDE_MIN_S <= ride.seconds <= RIDE_MAX_S and meters_between(start, end) >= RIDE_MIN_M:
            found.append(ride)
    return found


def sane(ride: Driving, really: Driven | None) -> bool:
    """Say whether a phone's path shows a ride from the one stop to the other, and nothing else."""
    if really is None or really.gap_max_s > GAP_MAX_S:
        return False
    return really.length_m <= DETOUR_MAX * road_meters(ride.start, ride.end) + DETOUR_SLACK_M


def ride_lessons(rides: Sequence[Driving], seconds: Sequence[int], source: str, time_zone: str) -> list[Lesson]:
    """Return what rides teach about a provider, which says that they take so many seconds."""
    return [
        Ride(source, ride.vehicle, hour_of_week(local(ride.since, time_zone)), provider_s, ride.seconds)
        for ride, provider_s in zip(rides, seconds, strict=True)
        if 0 < provider_s < UNREACHABLE_S and provider_s / OFF_MAX <= ride.seconds <= provider_s * OFF_MAX
    ]


def stop_lessons(rows: Sequence[Record]) -> list[Lesson]:
    """Return what these stops teach about kitchens and hand-overs."""
    found: list[Lesson] = []
    for row in rows:
        at_store = row["kind"] == "pickup"
        ready_at = row["was_ready_at"] or row["ready_at"]
        if at_store and row["store_id"] is not None and row["was_ready_at"] is not None:
            late_s = round((row["was_ready_at"] - row["ready_at"]).total_seconds())
            found.append(Readiness(row["store_id"], local(row["ready_at"], row["time_zone"]).hour, late_s))
        at = row["store_id"] if at_store else row["business_id"]
        if at is None or row["arrived_at"] is None or row["done_at"] is None:
            continue
        began = max(row["arrived_at"], ready_at) if at_store else row["arrived_at"]
        seconds = max(0, round((row["done_at"] - began).total_seconds()))
        if seconds <= HAND_OVER_MAX_S:
            found.append(HandOver(StopKind(row["kind"]), at, seconds))
    return found
