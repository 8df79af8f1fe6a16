"""The drivers' API: the same actions as on the socket, for clients that have none, and proof photos."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from dispatch import offers, proof, service, shifts
from dispatch.deliveries_api import DeliveryPath
from dispatch.desk import device_time, route_of
from dispatch.handover import Picture
from dispatch.proof import ProofStore, path_of, read_photo
from kernel import ids
from kernel.access import Permission
from kernel.db import one
from kernel.errors import Problem
from kernel.http import Ctx, Rate, Route, read_body
from kernel.ids import Kind, show


class OfferPath(msgspec.Struct, frozen=True):
    """Which offer."""

    id: str

    def offer_id(self) -> UUID:
        """Return the id, or raise `not_found`."""
        return ids.parse(Kind.OFFER, self.id)


class Assignments(msgspec.Struct, frozen=True):
    """What a driver has been offered, and the stops he has to go to."""

    offers: list[dict[str, Any]]
    route_version: int
    stops: list[dict[str, Any]]


class DeclineBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why not."""

    reason: Annotated[str, Meta(max_length=200)] = ""


class StatusBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The status reached, when (the device's time), and why if it failed."""

    status: Annotated[str, Meta(max_length=40)]
    reason: Annotated[str, Meta(max_length=200)] = ""
    code: Annotated[str, Meta(max_length=200)] = ""
    t: int | None = None


class StatusView(msgspec.Struct, frozen=True):
    """Where the delivery is now."""

    delivery_id: str
    status: str
    version: int


class AvailabilityBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """available, on_break or offline."""

    state: Annotated[str, Meta(max_length=20)]


class AvailabilityView(msgspec.Struct, frozen=True):
    """The driver's state; `busy` while he has work."""

    state: str


class ProofQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it is of, where and when it was taken."""

    kind: Picture = "photo"
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lng: Annotated[float, Meta(ge=-180, le=180)] | None = None
    t: int | None = None


class ProofView(msgspec.Struct, frozen=True):
    """A kept proof."""

    id: str
    sha256: str
    taken_at: datetime


async def get_assignments(ctx: Ctx) -> Assignments:
    """What am I offered, and where do I go?"""
    driver_id = ctx.principal.driver()
    async with ctx.db.driver_tx(driver_id, readonly=True) as con:
        version, stops, _ = await route_of(con, driver_id)
        return Assignments(await offers.open_for(con, driver_id, ctx.clock.now()), version, stops)


async def accept(ctx: Ctx, path: OfferPath) -> Assignments:
    """Accept an offer"""
    driver_id = ctx.principal.driver()
    async with ctx.db.driver_tx(driver_id) as con:
        await offers.accept(con, driver_id=driver_id, offer_id=path.offer_id(), now=ctx.clock.now())
    return await get_assignments(ctx)


async def decline(ctx: Ctx, path: OfferPath, body: DeclineBody) -> None:
    """Decline an offer"""
    driver_id = ctx.principal.driver()
    async with ctx.db.driver_tx(driver_id) as con:
        await offers.decline(
            con, driver_id=driver_id, offer_id=path.offer_id(), reason=body.reason, now=ctx.clock.now()
        )


async def set_status(ctx: Ctx, path: DeliveryPath, body: StatusBody) -> StatusView:
    """Move a delivery on"""
    driver_id, now = ctx.principal.driver(), ctx.clock.now()
    async with ctx.db.driver_tx(driver_id) as con:
        row = await service.driver_reports(
            con,
            driver_id=driver_id,
            delivery_id=path.delivery_id(),
            status=body.status,
            at=now if body.t is None else device_time(body.t, now),
            reason=body.reason,
            code=body.code,
        )
    return StatusView(show(Kind.DELIVERY, row["id"]), row["status"], row["version"])


async def post_proof(ctx: Ctx, path: DeliveryPath, query: ProofQuery) -> ProofView:
    """Upload a proof photo or a signature (image/jpeg, image/png or image/webp as the body)"""
    driver_id, now = ctx.principal.driver(), ctx.clock.now()
    if not ctx.request.content_type.startswith("image/"):
        raise Problem("unsupported_media_type", "Send the picture itself: image/jpeg, image/png or image/webp.")
    delivery_id = path.delivery_id()
    async with ctx.db.driver_tx(driver_id, readonly=True) as con:
        row = one(
            await con.fetchrow("SELECT business_id, status FROM deliveries WHERE id = $1", delivery_id), "delivery"
        )
    proof.check_taken_now(row["status"])
    photo = await read_photo(await read_body(ctx.request))
    await ctx.need(ProofStore).put(path_of(row["business_id"], delivery_id, photo), photo)
    taken_at = now if query.t is None else device_time(query.t, now)
    async with ctx.db.driver_tx(driver_id) as con:
        proof_id = await proof.keep(
            con,
            driver_id=driver_id,
            delivery_id=delivery_id,
            photo=photo,
            kind=query.kind,
            at=taken_at,
            lat=query.lat,
            lng=query.lng,
        )
    return ProofView(show(Kind.PROOF, proof_id), photo.sha256.hex(), taken_at)


async def set_availability(ctx: Ctx, body: AvailabilityBody) -> AvailabilityView:
    """Go on line, take a break, or go off line"""
    driver_id = ctx.principal.driver()
    async with ctx.db.driver_tx(driver_id) as con:
        state = await shifts.set_availability(con, driver_id=driver_id, asked=body.state, at=ctx.clock.now())
    return AvailabilityView(state)


ROUTES = (
    Route("GET", "/api/v1/driver/assignments", get_assignments, Permission.DRIVE, Rate.READ),
    Route("POST", "/api/v1/driver/assignments/{id}/accept", accept, Permission.DRIVE, Rate.WRITE),
    Route("POST", "/api/v1/driver/assignments/{id}/decline", decline, Permission.DRIVE, Rate.WRITE, 204),
    Route("PATCH", "/api/v1/driver/deliveries/{id}/status", set_status, Permission.DRIVE, Rate.WRITE),
    Route("POST", "/api/v1/driver/deliveries/{id}/proof", post_proof, Permission.DRIVE, Rate.WRITE, 201),
    Route("PATCH", "/api/v1/driver/availability", set_availability, Permission.DRIVE, Rate.WRITE),
)
