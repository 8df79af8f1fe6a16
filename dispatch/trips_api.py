"""Trips over HTTP: of a delivery or of a driver's day, as an object, as points, and as files for other programs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from msgspec import Meta

from dispatch.deliveries_api import DeliveryPath
from dispatch.trips import DELIVERIES, TripView, idle_trips, together, track_between, track_of, trip_of
from kernel.access import Permission, Who
from kernel.clock import to_ms
from kernel.db import Connection, Reason, Record, one
from kernel.errors import Problem, invalid
from kernel.http import Ctx, Rate, Route
from tracking.drivers import DriverPath
from tracking.track import Mark, geojson, gpx
from tracking.trips import TrackPoint

DELIVERIES_MAX = 300
TRIP_LASTS_MAX = timedelta(hours=12)
MEDIA_TYPES = {"gpx": "application/gpx+xml", "geojson": "application/geo+json"}

Format = Literal["json", "gpx", "geojson"]


class TripQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As what: `json`, or a file with all positions; `whole`, with what was carried at the same time."""

    format: Format = "json"
    whole: bool = False


class DayQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which day, by the operator's clock; without one, today."""

    date: date | None = None
    format: Format = "json"


class PointsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many, and where to go on."""

    limit: Annotated[int, Meta(ge=1, le=2_000)] = 500
    cursor: Annotated[str, Meta(max_length=20)] = ""


class Points(msgspec.Struct, frozen=True):
    """Every kept position, oldest first."""

    data: list[TrackPoint]
    has_more: bool
    next_cursor: str


class Trips(msgspec.Struct, frozen=True):
    """A driver's trips of a day, in their order."""

    date: date
    data: list[TripView]


async def get_delivery_trip(ctx: Ctx, path: DeliveryPath, query: TripQuery) -> TripView | web.Response:
    """The way a delivery took, with its stops; also as GPX or GeoJSON"""
    rows, track = await _delivery_track(ctx, path, whole=query.whole)
    trip = await asyncio.to_thread(trip_of, rows, track)
    if query.format == "json":
        return trip
    return _file(query.format, "-".join(row["short_code"] for row in rows), track, [trip])


async def get_delivery_points(ctx: Ctx, path: DeliveryPath, query: PointsQuery) -> Points:
    """Every position of the way a delivery took"""
    if query.cursor and not query.cursor.isdecimal():
        raise invalid("cursor", "This is not a cursor of this list.")
    _, track = await _delivery_track(ctx, path)
    rest = [point for point in track if point.t_ms > int(query.cursor or 0)]
    page = rest[: query.limit]
    more = len(rest) > len(page)
    return Points(page, more, str(page[-1].t_ms) if more else "")


async def get_driver_trips(ctx: Ctx, path: DriverPath, query: DayQuery) -> Trips | web.Response:
    """A driver's trips of a day; a business sees those of its own deliveries; also as GPX or GeoJSON"""
    driver_id = path.driver_id()
    day, start, end = await _day(ctx, query.date)
    of_business = ctx.principal.who is Who.BUSINESS
    async with ctx.db.tx_of(ctx.principal, Reason.TRIPS, readonly=True) as con:
        driver = await _driver(con, ctx, driver_id)
        rows = await con.fetch(
            f"{DELIVERIES} AND d.driver_id = $2 AND d.assigned_at >= $3 AND d.assigned_at < $4 LIMIT {DELIVERIES_MAX}",
            ctx.principal.operator(),
            driver_id,
            start,
            end,
        )
        if of_business:
            tracks = {row["id"]: await track_of(con, row, of_business=True) for row in rows}
            whole: list[TrackPoint] = []
        else:
            last = max([end, *(row["ends_at"] for row in rows)])
            whole = await track_between(con, driver_id, start, last)
            tracks = {}
    trips, track = await asyncio.to_thread(_trips, driver, rows, tracks, whole, to_ms(end))
    if query.format == "json":
        return Trips(day, trips)
    return _file(query.format, day.isoformat(), track, trips)


def _trips(
    driver: Record, rows: Sequence[Record], tracks: dict[UUID, list[TrackPoint]], whole: list[TrackPoint], end_ms: int
) -> tuple[list[TripView], list[TrackPoint]]:
    """Return the trips, and the positions they are made of."""
    found, used = [], {point.t_ms: point for point in whole}
    for group in together(rows):
        if whole:
            start, end = to_ms(group[0]["assigned_at"]), to_ms(max(row["ends_at"] for row in group))
            own = {point.t_ms: point for point in whole if start <= point.t_ms <= end}
        else:
            own = {point.t_ms: point for row in group for point in tracks.get(row["id"], [])}
        used |= own
        found.append(trip_of(group, [own[t_ms] for t_ms in sorted(own)]))
    found += idle_trips(driver, [point for point in whole if point.t_ms < end_ms], found)
    return sorted(found, key=lambda trip: trip.started_at), [used[t_ms] for t_ms in sorted(used)]


async def _delivery_track(
    ctx: Ctx, path: DeliveryPath, *, whole: bool = False
) -> tuple[list[Record], list[TrackPoint]]:
    """Return a delivery and the way it took; `whole`, with all others of its trip that the caller may see."""
    delivery_id, operator_id = path.delivery_id(), ctx.principal.operator()
    of_business = ctx.principal.who is Who.BUSINESS
    async with ctx.db.tx_of(ctx.principal, Reason.TRIPS, readonly=True) as con:
        row = await con.fetchrow(f"{DELIVERIES} AND d.id = $2", operator_id, delivery_id)
        if row is None:
            raise Problem("not_found", "There is no delivery with this id, or nobody has carried it.")
        if not whole:
            return [row], await track_of(con, row, of_business=of_business)
        near = await con.fetch(
            f"{DELIVERIES} AND d.driver_id = $2 AND d.assigned_at BETWEEN $3 AND $4 LIMIT {DELIVERIES_MAX}",
            operator_id,
            row["driver_id"],
            row["assigned_at"] - TRIP_LASTS_MAX,
            row["ends_at"] + TRIP_LASTS_MAX,
        )
        rows = next((group for group in together(near) if row["id"] in (one["id"] for one in group)), [row])
        tracks = [await track_of(con, one, of_business=of_business) for one in rows]
    points = {point.t_ms: point for track in tracks for point in track}
    return rows, [points[t_ms] for t_ms in sorted(points)]


async def _driver(con: Connection, ctx: Ctx, driver_id: UUID) -> Record:
    """Return a driver whom the caller knows: his own, or one who carried for him; raises `not_found`."""
    return one(
        await con.fetchrow(
            """SELECT known.driver_id, dr.name AS driver_name, dr.vehicle
               FROM (SELECT id AS driver_id FROM driver_profiles WHERE id = $1 AND operator_id = $2
                     UNION SELECT driver_id FROM deliveries WHERE driver_id = $1 AND operator_id = $2) known
               LEFT JOIN driver_profiles dr ON dr.id = known.driver_id""",
            driver_id,
            ctx.principal.operator(),
        ),
        "driver",
    )


async def _day(ctx: Ctx, asked: date | None) -> tuple[date, datetime, datetime]:
    """Return the day, its first moment and that of the next day, by the operator's clock."""
    async with ctx.db.platform_tx(Reason.TRIPS, readonly=True) as con:
        name = await con.fetchval("SELECT time_zone FROM operators WHERE id = $1", ctx.principal.operator())
    zone = ZoneInfo(name)
    day = asked or ctx.clock.now().astimezone(zone).date()
    if day >= date.max - timedelta(days=2) or day.year < 1970:
        raise invalid("date", "There are no trips on that day.")
    first, following = (datetime.combine(one, time(), zone).astimezone(UTC) for one in (day, day + timedelta(days=1)))
    return day, first, following


def _file(kind: Format, name: str, track: Sequence[TrackPoint], trips: Sequence[TripView]) -> web.Response:
    """Return a file with all positions and the stops."""
    stops = [stop for trip in trips for stop in trip.stops]
    marks = [Mark(stop.name or stop.kind, stop.lat, stop.lng, to_ms(stop.arrived_at)) for stop in stops]
    body = (gpx if kind == "gpx" else geojson)(name, track, marks)
    headers = {"Content-Disposition": f'attachment; filename="trip-{name}.{kind}"', "Cache-Control": "no-store"}
    return web.Response(body=body, content_type=MEDIA_TYPES[kind], headers=headers)


ROUTES = (
    Route("GET", "/api/v1/deliveries/{id}/trip", get_delivery_trip, Permission.TRIPS_READ, Rate.READ),
    Route("GET", "/api/v1/deliveries/{id}/trip/points", get_delivery_points, Permission.TRIPS_READ, Rate.READ),
    Route("GET", "/api/v1/drivers/{id}/trips", get_driver_trips, Permission.TRIPS_READ, Rate.READ),
)
