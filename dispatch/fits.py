"""What if he took it? For each driver a dispatcher may choose: which stop it would be, what it adds, when it is there.

As after an accepted offer, its stops come after all that the driver has to do already. Rides, kitchens and hand-overs
take what was learned of them, as in what customers are told. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

import msgspec

from dispatch.deliveries_api import DeliveryPath
from dispatch.delivery import BEFORE_PICKUP, DeliveryStatus
from dispatch.eta_models import Model, Models
from dispatch.learning import StopKind
from dispatch.planner import Planner, PlannerAway
from dispatch.rows import BOTH_ENDS
from geo.distance import meters_between
from geo.eta import Leg, eta_chain
from geo.point import Point
from geo.travel import Vehicle
from kernel.access import Permission, Principal
from kernel.db import Connection, Database, Reason, Record, one
from kernel.errors import Problem
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, show
from tracking.live import LivePositions

FITS_MAX: Final = 60
"""So many drivers, nearest to the store first, are worth a question about their ways."""

_DELIVERY: Final = f"""
SELECT d.*, p.lat AS p_lat, p.lng AS p_lng, q.lat AS q_lat, q.lng AS q_lng FROM deliveries d
{BOTH_ENDS}
WHERE d.id = $1 AND d.operator_id = $2
"""

_DRIVERS: Final = """
SELECT dr.id, dr.vehicle FROM driver_profiles dr
WHERE dr.operator_id = $1 AND dr.state IN ('available', 'busy') AND dr.id IS DISTINCT FROM $4
  AND (($3 AND dr.pool <> 'dedicated') OR EXISTS (
    SELECT FROM driver_business_assignments a WHERE a.driver_id = dr.id AND a.business_id = $2))
"""

_STOPS: Final = """
SELECT s.driver_id, s.kind, s.lat, s.lng, d.ready_at, d.was_ready_at, d.store_id, d.business_id
FROM stops s JOIN deliveries d ON d.business_id = s.business_id AND d.id = s.delivery_id
WHERE s.driver_id = ANY($1) AND s.done_at IS NULL AND d.status NOT IN ('delivered', 'canceled', 'failed', 'returned')
ORDER BY s.driver_id, s.route_position, s.id
"""


class FitView(msgspec.Struct, frozen=True):
    """If this driver took it: `stop` is the door's place in his route (from 1), `added_s` what his route grows by.

    `late_s` is how long after the promise it would be there; 0 when in time.
    """

    driver_id: str
    stop: int
    added_s: int
    dropoff_at: datetime
    late_s: int


class Fits(msgspec.Struct, frozen=True):
    """Who could take it, the earliest at the door first."""

    data: list[FitView]


async def get_fits(ctx: Ctx, path: DeliveryPath) -> Fits:
    """Who could take it, and when would it be there? At most 60 drivers, the nearest to the store"""
    delivery_id = path.delivery_id()
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER, readonly=True) as con:
        row, drivers = await _seen(con, ctx.principal, delivery_id)
    if row["status"] not in (DeliveryStatus.PENDING, DeliveryStatus.OFFERED, *BEFORE_PICKUP):
        return Fits([])
    starts = await _starts(ctx, row, drivers)
    model, routes = await _routes(ctx.db, ctx.principal.operator(), list(starts))
    try:
        ways = _ways(row, starts, routes)
        times = await ctx.need(Planner).leg_seconds(ways)
    except PlannerAway:
        raise Problem("unavailable", "Travel times are away for a moment; try again.") from None
    now = ctx.clock.now()
    local = model.local(now)
    rides = iter(
        0 if here == there else model.learned.ride_s(times.source, vehicle, local, said_s)
        for (here, there, vehicle), said_s in zip(ways, times.seconds, strict=True)
    )
    fits = [_fit(model, row, driver_id, routes.get(driver_id, []), rides, now) for driver_id in starts]
    return Fits(sorted(fits, key=lambda fit: (fit.dropoff_at, fit.driver_id)))


async def _seen(con: Connection, principal: Principal, delivery_id: UUID) -> tuple[Record, list[Record]]:
    """Return the delivery and the drivers it may be given to, as far as the caller sees; raises `not_found`."""
    row = one(await con.fetchrow(_DELIVERY, delivery_id, principal.operator()), "delivery")
    drivers = await con.fetch(
        _DRIVERS, row["operator_id"], row["business_id"], row["uses_shared_pool"], row["driver_id"]
    )
    return row, list(drivers)


async def _starts(ctx: Ctx, row: Record, drivers: list[Record]) -> dict[UUID, tuple[Point, Vehicle]]:
    """Return where those drivers are who are nearest to the store; who has no position is left out."""
    store = Point(row["p_lat"], row["p_lng"])
    seen = await ctx.need(LivePositions).positions(row["operator_id"], [driver["id"] for driver in drivers])
    here = {
        driver["id"]: (Point(seen[driver["id"]].lat, seen[driver["id"]].lng), Vehicle(driver["vehicle"]))
        for driver in drivers
        if driver["id"] in seen
    }
    nearest = sorted(here, key=lambda driver_id: (meters_between(here[driver_id][0], store), driver_id))[:FITS_MAX]
    return {driver_id: here[driver_id] for driver_id in nearest}


async def _routes(db: Database, operator_id: UUID, driver_ids: list[UUID]) -> tuple[Model, dict[UUID, list[Record]]]:
    """Return what was learned, and the stops each driver still has, of whatever business: only times come of them."""
    async with db.platform_tx(Reason.DISPATCHER, readonly=True) as con:
        model = await Models().of(con, operator_id)
        stops = await con.fetch(_STOPS, driver_ids)
    routes: dict[UUID, list[Record]] = {}
    for stop in stops:
        routes.setdefault(stop["driver_id"], []).append(stop)
    return model, routes


def _ways(
    row: Record, starts: dict[UUID, tuple[Point, Vehicle]], routes: dict[UUID, list[Record]]
) -> list[tuple[Point, Point, Vehicle]]:
    ways: list[tuple[Point, Point, Vehicle]] = []
    for driver_id, (start, vehicle) in starts.items():
        own = [Point(stop["lat"], stop["lng"]) for stop in routes.get(driver_id, [])]
        places = [start, *own, Point(row["p_lat"], row["p_lng"]), Point(row["q_lat"], row["q_lng"])]
        ways += [(here, there, vehicle) for here, there in pairwise(places)]
    return ways


def _fit(
    model: Model, row: Record, driver_id: UUID, route: list[Record], rides: Iterator[int], now: datetime
) -> FitView:
    stops = [(stop, StopKind(stop["kind"])) for stop in route] + [(row, StopKind.PICKUP), (row, StopKind.DROPOFF)]
    legs = [_leg(model, stop, kind, next(rides), now) for stop, kind in stops]
    etas = eta_chain(legs)
    free_s = etas[-3].p50_s + legs[-3].service_s if route else 0
    dropoff_at = now + timedelta(seconds=etas[-1].p50_s)
    late_s = round((dropoff_at - row["promised_at"]).total_seconds())
    return FitView(show(Kind.DRIVER, driver_id), len(legs), etas[-1].p50_s - free_s, dropoff_at, max(0, late_s))


def _leg(model: Model, stop: Record, kind: StopKind, ride_s: int, now: datetime) -> Leg:
    learned = model.learned
    if kind is StopKind.DROPOFF:
        return Leg(ride_s, 0, learned.hand_over_s(kind, stop["business_id"]))
    ready_in_s = 0
    if stop["was_ready_at"] is None:
        late_s = learned.ready_late_s(stop["store_id"], model.local(stop["ready_at"]))
        ready_in_s = round((stop["ready_at"] - now).total_seconds()) + late_s
    return Leg(ride_s, ready_in_s, learned.hand_over_s(kind, stop["store_id"]))


ROUTES = (Route("GET", "/api/v1/dispatch/deliveries/{id}/drivers", get_fits, Permission.DISPATCH, Rate.READ),)
