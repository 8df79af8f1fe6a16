"""The delivery API: quotes and deliveries for shops of any kind."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from dispatch import policy, quotes, service
from dispatch.delivery import TRACKABLE_AFTER_H, DeliveryStatus
from dispatch.handover import Proof, code_of
from dispatch.planner import Planner, PlannerAway
from dispatch.proof import ProofStore
from dispatch.service import NewDelivery, Place
from dispatch.unassigned import UnassignedReason
from finance.fees import pricing_of
from kernel import ids
from kernel.access import Permission, Who
from kernel.db import Connection, one
from kernel.errors import Problem, invalid
from kernel.http import Ctx, Page, Rate, Route
from kernel.ids import Kind, new_id, show
from kernel.money import Minor
from kernel.paging import page_of
from kernel.proxies import origin
from tenancy.skills import Skills
from tenancy.tokens import TrackingLinks

WAY_WAIT_S: Final = 1.0
READY_AHEAD_MAX: Final = timedelta(days=366)


class NewQuote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From where to where; a store of the business or any pickup place."""

    dropoff: Place
    store_id: str | None = None
    pickup: Place | None = None
    ready_at: datetime | None = None


class QuoteView(msgspec.Struct, frozen=True):
    """A price and a promise, until it expires."""

    id: str
    distance_m: int
    fee_minor: int
    currency: str
    promised_at: datetime
    expires_at: datetime


class DeliveryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A delivery to be made: now, or in windows of time.

    Picked up from `ready_at` to `pickup_until`, handed over from `dropoff_from` to `dropoff_until` (without it, as soon
    as the quote promises). `needs` are skills its driver must have, `size` the room it takes in his vehicle.
    It is handed over against a `proof`: a photo, a signature, the PIN on its customer's page, or the parcel's barcode.
    """

    dropoff: Place
    store_id: str | None = None
    pickup: Place | None = None
    quote_id: str | None = None
    external_id: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    items: Annotated[str, Meta(max_length=500)] = ""
    ready_at: datetime | None = None
    pickup_until: datetime | None = None
    dropoff_from: datetime | None = None
    dropoff_until: datetime | None = None
    needs: Skills = []
    size: Annotated[int, Meta(ge=1, le=100)] = 1
    proof: Proof = "photo"
    barcode: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")] | None = None
    tip_minor: Minor = 0
    cash_to_collect_minor: Minor = 0


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery. `proof_code` is the PIN or barcode that it is handed over against."""

    id: str
    status: str
    version: int
    short_code: str
    business_id: str
    store_id: str | None
    order_id: str | None
    external_id: str | None
    driver_id: str | None
    items: str
    distance_m: int
    fee_minor: int
    driver_pay_minor: int
    tip_minor: int
    cash_to_collect_minor: int
    currency: str
    ready_at: datetime
    promised_at: datetime
    pickup_until: datetime | None
    dropoff_from: datetime | None
    needs: list[str]
    size: int
    proof: str
    proof_code: str | None
    created_at: datetime
    status_reason: str
    unassigned_reason: UnassignedReason | None
    tracking_url: str


class DeliveryList(msgspec.Struct, frozen=True):
    """A page of deliveries, newest first."""

    data: list[DeliveryView]
    has_more: bool
    next_cursor: str


class DeliveryPath(msgspec.Struct, frozen=True):
    """Which delivery."""

    id: str

    def delivery_id(self) -> UUID:
        """Return the id, or raise `not_found`."""
        return ids.parse(Kind.DELIVERY, self.id)


class DeliveryQuery(Page, frozen=True, forbid_unknown_fields=True):
    """A page of deliveries, of one status or all."""

    status: DeliveryStatus | None = None


class CancelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]


async def create_quote(ctx: Ctx, body: NewQuote) -> web.StreamResponse:
    """Ask what a delivery would cost and when it would be there"""
    business_id, now = ctx.principal.business(), ctx.clock.now()
    ready_at = _ready_at(body.ready_at, now)
    await _check_way(ctx, body.store_id, body.pickup, body.dropoff)
    async with ctx.once(business_id) as once:
        pickup, _ = await _pickup(once.con, body.store_id, body.pickup)
        quote_id, terms, expires_at = await quotes.make(
            once.con, business_id=business_id, pickup=pickup, dropoff=body.dropoff, ready_at=ready_at, now=now
        )
        view = QuoteView(
            show(Kind.QUOTE, quote_id),
            terms.distance_m,
            terms.fee_minor,
            terms.currency,
            terms.promised_at,
            expires_at,
        )
        return await once.reply(201, view)


async def create_delivery(ctx: Ctx, body: DeliveryBody) -> web.StreamResponse:
    """Create a delivery"""
    principal, now = ctx.principal, ctx.clock.now()
    business_id = principal.business()
    ready_at = _ready_at(body.ready_at, now)
    if body.quote_id is None:
        await _check_way(ctx, body.store_id, body.pickup, body.dropoff)
    async with ctx.once(business_id) as once:
        con = once.con
        pickup, store_id = await _pickup(con, body.store_id, body.pickup)
        business = await quotes.business_row(con, business_id)
        quote_id = None if body.quote_id is None else ids.parse(Kind.QUOTE, body.quote_id)
        if quote_id is None:
            terms = quotes.terms_for(pricing_of(business), pickup, body.dropoff, ready_at)
        else:
            terms = await quotes.redeem(con, quote_id, pickup, body.dropoff, now)
        promised_at = _promised_at(body, ready_at, terms.promised_at)
        new = NewDelivery(
            id=new_id(),
            operator_id=principal.operator(),
            business_id=business_id,
            store_id=store_id,
            quote_id=quote_id,
            external_id=body.external_id,
            pickup=pickup,
            dropoff=body.dropoff,
            distance_m=terms.distance_m,
            fee_minor=terms.fee_minor,
            driver_pay_minor=terms.driver_pay_minor,
            currency=terms.currency,
            ready_at=ready_at,
            promised_at=promised_at,
            pickup_until=body.pickup_until,
            dropoff_from=body.dropoff_from,
            needs=tuple(body.needs),
            size=body.size,
            proof=body.proof,
            proof_code=code_of(body.proof, body.barcode),
            uses_shared_pool=(await policy.load_one(con, business_id)).uses_shared_pool,
            items=body.items,
            tip_minor=body.tip_minor,
            cash_to_collect_minor=body.cash_to_collect_minor,
        )
        await service.create(con, new, now)
        return await once.reply(201, await _read(ctx, con, new.id))


async def list_deliveries(ctx: Ctx, query: DeliveryQuery) -> DeliveryList:
    """List deliveries, newest first"""
    async with ctx.db.tenant_tx(ctx.principal.business(), readonly=True) as con:
        rows, has_more, next_cursor = await page_of(
            con,
            "SELECT * FROM deliveries WHERE business_id = $1 AND ($2::text IS NULL OR status = $2)",
            (ctx.principal.business(), query.status),
            query,
        )
    return DeliveryList([_view(ctx, row) for row in rows], has_more, next_cursor)


async def get_delivery(ctx: Ctx, path: DeliveryPath) -> DeliveryView:
    """Get one delivery"""
    async with ctx.db.tenant_tx(ctx.principal.business(), readonly=True) as con:
        return await _read(ctx, con, path.delivery_id())


async def cancel_delivery(ctx: Ctx, path: DeliveryPath, body: CancelBody) -> DeliveryView:
    """Cancel a delivery that was not picked up yet"""
    async with ctx.db.tenant_tx(ctx.principal.business()) as con:
        delivery_id = path.delivery_id()
        await service.cancel(con, delivery_id, reason=body.reason, at=ctx.clock.now())
        return await _read(ctx, con, delivery_id)


async def get_proof(ctx: Ctx, path: DeliveryPath) -> web.StreamResponse:
    """Get a delivery's proof: the photo or the signature"""
    return await _photo(ctx, path.delivery_id())


async def get_tracked_proof(ctx: Ctx) -> web.StreamResponse:
    """Get the proof of the delivery behind a tracking link: the photo or the signature"""
    if ctx.principal.who is not Who.TRACKER or ctx.principal.delivery_id is None:
        raise Problem("forbidden", "This needs a tracking link's token.")
    ended_before = ctx.clock.now() - timedelta(hours=TRACKABLE_AFTER_H)
    return await _photo(ctx, ctx.principal.delivery_id, ended_before)


async def _photo(ctx: Ctx, delivery_id: UUID, ended_before: datetime | None = None) -> web.StreamResponse:
    async with ctx.db.tenant_tx(ctx.principal.business(), readonly=True) as con:
        row = one(
            await con.fetchrow(
                """SELECT p.path FROM proofs p
                   JOIN deliveries d ON d.business_id = p.business_id AND d.id = p.delivery_id
                   WHERE p.delivery_id = $1 AND p.path IS NOT NULL
                     AND (d.finished_at IS NULL OR $2::timestamptz IS NULL OR d.finished_at > $2)
                   ORDER BY p.created_at DESC LIMIT 1""",
                delivery_id,
                ended_before,
            ),
            "proof",
        )
    data = await ctx.need(ProofStore).get(row["path"])
    return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


def _ready_at(asked: datetime | None, now: datetime) -> datetime:
    if asked is None:
        return now
    if asked.tzinfo is None:
        raise invalid("ready_at", "Give the time zone: 2026-05-01T12:00:00Z.")
    if asked > now + READY_AHEAD_MAX:
        raise invalid("ready_at", f"At most {READY_AHEAD_MAX.days} days ahead.")
    return max(asked, now)


def _promised_at(body: DeliveryBody, ready_at: datetime, usual: datetime) -> datetime:
    """Return when the delivery is late; raises `validation_failed` for windows that nobody can keep."""
    for field in ("pickup_until", "dropoff_from", "dropoff_until"):
        at = getattr(body, field)
        if at is not None and at.tzinfo is None:
            raise invalid(field, "Give the time zone: 2026-05-01T12:00:00Z.")
        if at is not None and at > ready_at + READY_AHEAD_MAX:
            raise invalid(field, f"At most {READY_AHEAD_MAX.days} days after it is ready.")
    if body.pickup_until is not None and body.pickup_until <= ready_at:
        raise invalid("pickup_until", "The pick-up window ends before the delivery is ready.")
    if body.dropoff_until is not None and body.dropoff_until <= max(ready_at, body.dropoff_from or ready_at):
        raise invalid("dropoff_until", "The drop-off window ends before it begins, or before the delivery is ready.")
    if body.dropoff_until is not None:
        return body.dropoff_until
    if body.dropoff_from is not None:
        return max(usual, body.dropoff_from + timedelta(seconds=quotes.COURIER_WAIT_S))
    return usual


async def _pickup(con: Connection, store_id: str | None, pickup: Place | None) -> tuple[Place, UUID | None]:
    if (store_id is None) == (pickup is None):
        raise invalid("pickup", "Give either store_id or pickup.")
    if pickup is not None:
        return pickup, None
    assert store_id is not None
    row = one(await con.fetchrow("SELECT * FROM stores WHERE id = $1", ids.parse(Kind.STORE, store_id)), "store")
    if row["closed_since"] is not None:
        raise Problem("store_closed", f"{row['name']} is closed for now. {row['closed_reason']}".strip())
    return Place(row["name"], row["address"], row["lat"], row["lng"], row["phone"]), row["id"]


async def _check_way(ctx: Ctx, store_id: str | None, pickup: Place | None, dropoff: Place) -> None:
    """Raise `undeliverable` when the map knows no way. A busy planner is not waited for: dispatch looks again."""
    async with ctx.db.tenant_tx(ctx.principal.business(), readonly=True) as con:
        start, _ = await _pickup(con, store_id, pickup)
    with contextlib.suppress(PlannerAway, TimeoutError):
        async with asyncio.timeout(WAY_WAIT_S):
            if not await ctx.need(Planner).has_way(start.point(), dropoff.point()):
                raise Problem("undeliverable", "No way leads from the pickup to this door. Check where both are.")


async def _read(ctx: Ctx, con: Connection, delivery_id: UUID) -> DeliveryView:
    return _view(ctx, one(await con.fetchrow("SELECT * FROM deliveries WHERE id = $1", delivery_id), "delivery"))


def _view(ctx: Ctx, row: Any) -> DeliveryView:
    url = ctx.need(TrackingLinks).url(origin(ctx.request), row["business_id"], row["id"])
    own = {"proof_code": row["proof_code"], "tracking_url": url}
    return msgspec.convert({**service.public(row), **own}, DeliveryView)


ROUTES = (
    Route("POST", "/api/v1/quotes", create_quote, Permission.DELIVERIES_WRITE, Rate.WRITE, 201),
    Route("POST", "/api/v1/deliveries", create_delivery, Permission.DELIVERIES_WRITE, Rate.WRITE, 201),
    Route("GET", "/api/v1/deliveries", list_deliveries, Permission.DELIVERIES_READ, Rate.READ),
    Route("GET", "/api/v1/deliveries/{id}", get_delivery, Permission.DELIVERIES_READ, Rate.READ),
    Route("POST", "/api/v1/deliveries/{id}/cancel", cancel_delivery, Permission.DELIVERIES_WRITE, Rate.WRITE),
    Route("GET", "/api/v1/deliveries/{id}/proof", get_proof, Permission.DELIVERIES_READ, Rate.READ),
    Route("GET", "/api/v1/track/proof", get_tracked_proof, Permission.TRACK, Rate.READ),
)
