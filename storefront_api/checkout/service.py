"""From a basket to an order: prices come from the database, never from the customer."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from finance.fees import delivery_fee_minor, pricing_of
from geo.distance import road_meters
from geo.point import Point
from kernel.db import Connection, Record, one
from kernel.errors import Problem, invalid
from kernel.ids import Kind, new_id, parse
from storefront_api.orders.order import ORDER
from storefront_api.orders.service import record
from storefront_api.storefronts.service import stores
from tenancy.stores import is_open

DISTANCE_MAX_M: Final = 50_000
PROMISE_BASE_S: Final = 900
PROMISE_PER_M_S: Final = 0.4
NUMBER_DIGITS: Final = 6


class Line(msgspec.Struct, frozen=True):
    """A product and how many."""

    product_id: str
    quantity: int


class Customer(msgspec.Struct, frozen=True):
    """Who orders; `id` when he has an account."""

    name: str
    phone: str
    id: UUID | None = None


class Door(msgspec.Struct, frozen=True):
    """Where it goes."""

    address: str
    point: Point
    instructions: str


async def place_order(
    con: Connection,
    *,
    business_id: UUID,
    store_id: UUID | None,
    lines: Sequence[Line],
    customer: Customer,
    door: Door,
    tip_minor: int,
    payment_method: str,
    now: datetime,
) -> Record:
    """Place an order; raises `store_closed`, `undeliverable`, `out_of_stock` or `validation_failed`."""
    business = one(await con.fetchrow("SELECT * FROM businesses WHERE id = $1", business_id), "shop")
    store, distance_m = await _choose_store(con, store_id, door.point, now)
    priced = await _price(con, lines)
    subtotal = sum(product["price_minor"] * quantity for product, quantity in priced)
    fee = delivery_fee_minor(pricing_of(business), distance_m)
    promised_s = store["preparation_s"] + PROMISE_BASE_S + round(PROMISE_PER_M_S * distance_m)
    customer_id = customer.id
    if customer_id is None:
        customer_id = new_id()
        await con.execute(
            "INSERT INTO customers (id, business_id, name, phone) VALUES ($1, $2, $3, $4)",
            customer_id,
            business_id,
            customer.name,
            customer.phone,
        )
    row = await con.fetchrow(
        """INSERT INTO orders (id, business_id, store_id, customer_id, number, status, payment_method, payment_status,
             currency, subtotal_minor, delivery_fee_minor, tip_minor, total_minor, dropoff_name, dropoff_phone,
             dropoff_address, dropoff_lat, dropoff_lng, instructions, placed_at, promised_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
           RETURNING *""",
        new_id(),
        business_id,
        store["id"],
        customer_id,
        "".join(secrets.choice("0123456789") for _ in range(NUMBER_DIGITS)),
        ORDER.initial.value,
        payment_method,
        business["currency"],
        subtotal,
        fee,
        tip_minor,
        subtotal + fee + tip_minor,
        customer.name,
        customer.phone,
        door.address,
        door.point.lat,
        door.point.lng,
        door.instructions,
        now,
        now + timedelta(seconds=promised_s),
    )
    assert row is not None
    for position, (product, quantity) in enumerate(priced):
        await con.execute(
            """INSERT INTO order_items (business_id, order_id, position, product_id, name, quantity, price_minor)
               VALUES ($1, $2, $3, $4, $5, $6, $7)""",
            business_id,
            row["id"],
            position,
            product["id"],
            product["name"],
            quantity,
            product["price_minor"],
        )
    await record(con, row, actor="customer", now=now)
    return row


async def _choose_store(con: Connection, store_id: UUID | None, door: Point, now: datetime) -> tuple[Record, int]:
    known = [store for store in await stores(con) if store_id is None or store["id"] == store_id]
    if not known:
        raise Problem("not_found", "There is no store with this id.")
    ranked = sorted((road_meters(Point(s["lat"], s["lng"]), door), s["id"], s) for s in known)
    open_now = [(meters, store) for meters, _, store in ranked if is_open(store, now)]
    if not open_now:
        raise Problem("store_closed", f"{known[0]['name']} opens: {known[0]['opening_hours']}.")
    meters, store = open_now[0]
    if meters > DISTANCE_MAX_M:
        raise Problem("undeliverable", f"The door is {meters / 1000:.0f} km away: too far to deliver.")
    return store, meters


async def _price(con: Connection, lines: Sequence[Line]) -> list[tuple[Record, int]]:
    if not lines:
        raise invalid("items", "The basket is empty.")
    wanted = [parse(Kind.PRODUCT, line.product_id) for line in lines]
    rows = {row["id"]: row for row in await con.fetch("SELECT * FROM products WHERE id = ANY($1)", wanted)}
    priced = []
    for number, (product_id, line) in enumerate(zip(wanted, lines, strict=True)):
        if product_id not in rows:
            raise invalid(f"items[{number}].product_id", "This shop has no such product.")
        if not rows[product_id]["available"]:
            raise Problem("out_of_stock", f"{rows[product_id]['name']} is not available.")
        priced.append((rows[product_id], line.quantity))
    return priced
