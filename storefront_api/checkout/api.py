"""Checkout over HTTP: as a guest, or as a signed-in customer."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import phonenumbers
from aiohttp import web
from msgspec import Meta

from geo.point import Point
from kernel import ids
from kernel.access import Permission
from kernel.db import one
from kernel.errors import invalid
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind
from kernel.money import Minor
from kernel.proxies import origin
from storefront_api.checkout import service
from storefront_api.orders.views import summary_of
from storefront_api.storefronts.service import resolve
from tenancy.tokens import TrackingLinks

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Address = Annotated[str, Meta(min_length=1, max_length=300)]


class LineBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A product and how many."""

    product_id: str
    quantity: Annotated[int, Meta(ge=1, le=99)]


class CustomerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who orders; the telephone number in international form (+358 …)."""

    name: Name
    phone: Annotated[str, Meta(min_length=5, max_length=40)]


class DoorBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it goes."""

    address: Address
    lat: Annotated[float, Meta(ge=-85, le=85)]
    lng: Annotated[float, Meta(ge=-180, le=180)]
    instructions: Annotated[str, Meta(max_length=500)] = ""


class OrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to order. There is no price in it: the shop knows its prices."""

    items: Annotated[list[LineBody], Meta(min_length=1, max_length=100)]
    dropoff: DoorBody
    payment_method: Literal["cash"] = "cash"
    store_id: str | None = None
    tip_minor: Minor = 0


class GuestCheckoutBody(OrderBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An order by somebody without an account."""

    subdomain: str
    customer: CustomerBody


class PlacedOrder(msgspec.Struct, frozen=True):
    """The order, and the link that follows it to the door."""

    order: dict[str, Any]
    tracking_url: str


async def guest_checkout(ctx: Ctx, body: GuestCheckoutBody) -> web.StreamResponse:
    """Order as a guest"""
    _, business_id = await resolve(ctx.db, body.subdomain)
    customer = service.Customer(body.customer.name, _phone(body.customer.phone))
    return await _place(ctx, business_id, body, customer)


async def create_order(ctx: Ctx, body: OrderBody) -> web.StreamResponse:
    """Order as a signed-in customer"""
    business_id, customer_id = ctx.principal.business(), ctx.principal.customer()
    async with ctx.db.tenant_tx(business_id, readonly=True) as con:
        row = one(await con.fetchrow("SELECT name, phone FROM customers WHERE id = $1", customer_id), "customer")
    return await _place(ctx, business_id, body, service.Customer(row["name"], row["phone"], customer_id))


async def _place(ctx: Ctx, business_id: UUID, body: OrderBody, customer: service.Customer) -> web.StreamResponse:
    async with ctx.once(business_id) as once:
        row = await service.place_order(
            once.con,
            business_id=business_id,
            store_id=None if body.store_id is None else ids.parse(Kind.STORE, body.store_id),
            lines=[service.Line(line.product_id, line.quantity) for line in body.items],
            customer=customer,
            door=service.Door(
                body.dropoff.address, Point(body.dropoff.lat, body.dropoff.lng), body.dropoff.instructions
            ),
            tip_minor=body.tip_minor,
            payment_method=body.payment_method,
            now=ctx.clock.now(),
        )
        # The delivery of an order has the order's own UUID, so this link works from now to the door.
        url = ctx.need(TrackingLinks).url(origin(ctx.request), business_id, row["id"])
        return await once.reply(201, PlacedOrder(await summary_of(once.con, row), url))


def _phone(text: str) -> str:
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        raise invalid("customer.phone", "Give the number with its country code: +358 40 123 4567.") from None
    if not phonenumbers.is_possible_number(number):
        raise invalid("customer.phone", "This is not a telephone number.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


ROUTES = (
    Route("POST", "/api/v1/customers/guest-checkout", guest_checkout, Permission.PUBLIC, Rate.PUBLIC, 201),
    Route("POST", "/api/v1/orders", create_order, Permission.CUSTOMER, Rate.WRITE, 201),
)
