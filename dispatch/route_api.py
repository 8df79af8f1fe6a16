"""A driver's route by hand: look at it, put its stops in another order, or let two drivers change their work.

A route has a version: who reorders what he no longer sees is told so, and changes nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dispatch.delivery import BEFORE_PICKUP, WITH_DRIVER
from dispatch.desk import route_of
from dispatch.dispatcher_api import ReassignItem, ReassignResults, Why, reassign_each
from kernel import ids
from kernel.access import Permission, Who
from kernel.db import Reason, one
from kernel.errors import Problem, invalid
from kernel.events import EventType, event
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, show
from kernel.outbox import emit
from tenancy import audit
from tracking.drivers import DriverPath

STOPS_MAX = 100


class RouteView(msgspec.Struct, frozen=True):
    """The stops a driver has still to go to, in order; of another business' stops a business sees nothing."""

    version: int
    stops: list[dict[str, Any]]


class ReorderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All stops of the route as its `version` showed them, in their new order."""

    version: int
    stops: Annotated[list[str], Meta(min_length=1, max_length=STOPS_MAX)]
    reason: Why = ""


class SwapBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two drivers."""

    driver_ids: Annotated[list[str], Meta(min_length=2, max_length=2)]
    reason: Why = ""


async def get_route(ctx: Ctx, path: DriverPath) -> RouteView:
    """Where does this driver go?"""
    driver_id = path.driver_id()
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER, readonly=True) as con:
        seen = "SELECT 1 FROM driver_profiles WHERE id = $1 AND operator_id = $2"
        one(await con.fetchrow(seen, driver_id, ctx.principal.operator()), "driver")
        version, stops, _ = await route_of(con, driver_id)
    return RouteView(version, stops)


async def reorder(ctx: Ctx, path: DriverPath, body: ReorderBody) -> RouteView:
    """Put a driver's stops in another order"""
    driver_id, now = path.driver_id(), ctx.clock.now()
    await get_route(ctx, path)  # raises `not_found` for a driver who is not the caller's to see
    order = [ids.parse(Kind.STOP, stop) for stop in body.stops]
    async with ctx.db.platform_tx(Reason.DISPATCHER) as con:
        stops = await con.fetch(
            """SELECT s.id, s.kind, s.delivery_id, s.business_id, d.version FROM stops s
               JOIN deliveries d ON d.business_id = s.business_id AND d.id = s.delivery_id
               WHERE s.driver_id = $1 AND s.done_at IS NULL AND d.status = ANY($2) ORDER BY s.id FOR UPDATE OF s""",
            driver_id,
            [status.value for status in WITH_DRIVER],
        )
        driver = one(
            await con.fetchrow(
                "SELECT * FROM driver_profiles WHERE id = $1 AND operator_id = $2 FOR UPDATE",
                driver_id,
                ctx.principal.operator(),
            ),
            "driver",
        )
        theirs = {stop["business_id"] for stop in stops}
        if ctx.principal.who is not Who.ADMIN and theirs - {ctx.principal.business()}:
            raise Problem("forbidden", "He carries another business' deliveries too: your operator orders his stops.")
        if driver["route_version"] != body.version:
            raise Problem("conflict", "The route has changed meanwhile: look at it again.")
        if sorted(order) != [stop["id"] for stop in stops]:
            raise invalid("stops", "Name each stop that he has still to go to, once.")
        place = {stop: number for number, stop in enumerate(order, start=1)}
        pickup_at = {stop["delivery_id"]: place[stop["id"]] for stop in stops if stop["kind"] == "pickup"}
        if any(pickup_at.get(stop["delivery_id"], 0) > place[stop["id"]] for stop in stops):
            raise invalid("stops", "A delivery is picked up before it is handed over.")
        await con.executemany("UPDATE stops SET route_position = $2 WHERE id = $1", list(place.items()))
        await con.execute("UPDATE driver_profiles SET route_version = route_version + 1 WHERE id = $1", driver_id)
        detail = {"driver_id": show(Kind.DRIVER, driver_id), "stops": body.stops, "reason": body.reason}
        own = None if ctx.principal.who is Who.ADMIN else ctx.principal.business()
        await audit.note(con, ctx.principal, "route.reordered", detail, business_id=own)
        for delivery_id, business_id, version in {(s["delivery_id"], s["business_id"], s["version"]) for s in stops}:
            await emit(
                con,
                event(
                    EventType.DELIVERY_REORDERED,
                    at=now,
                    operator_id=driver["operator_id"],
                    business_id=business_id,
                    driver_id=driver_id,
                    subject=delivery_id,
                    sequence=version,
                    data={"driver_id": show(Kind.DRIVER, driver_id)},
                ),
            )
    return await get_route(ctx, path)


async def swap(ctx: Ctx, body: SwapBody) -> ReassignResults:
    """Let two drivers change what they have not picked up yet; a result per delivery"""
    first, second = (ids.parse(Kind.DRIVER, driver) for driver in body.driver_ids)
    if first == second:
        raise invalid("driver_ids", "Name two drivers.")
    query = "SELECT id, driver_id FROM deliveries WHERE driver_id = ANY($1) AND operator_id = $2 AND status = ANY($3)"
    asked = ([first, second], ctx.principal.operator(), [status.value for status in BEFORE_PICKUP])
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER, readonly=True) as con:
        rows = await con.fetch(f"{query} ORDER BY id", *asked)
    other = {first: second, second: first}
    items = [ReassignItem(show(Kind.DELIVERY, row["id"]), show(Kind.DRIVER, other[row["driver_id"]])) for row in rows]
    return await reassign_each(ctx, items, body.reason)


ROUTES = (
    Route("GET", "/api/v1/dispatch/drivers/{id}/route", get_route, Permission.BOARD_READ, Rate.READ),
    Route("POST", "/api/v1/dispatch/drivers/{id}/route", reorder, Permission.DISPATCH, Rate.WRITE),
    Route("POST", "/api/v1/dispatch/drivers/swap", swap, Permission.DISPATCH, Rate.WRITE),
)
