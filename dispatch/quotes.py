"""Quotes: what a delivery would cost and promise, kept for ten minutes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatch.service import Place
from finance.fees import Pricing, delivery_fee_minor, driver_pay_minor, pricing_of
from geo.distance import road_meters
from geo.travel import CROW_FLIES, Vehicle
from kernel.db import Connection, Record, one
from kernel.errors import Problem
from kernel.ids import new_id

QUOTE_TTL_S: Final = 600
DISTANCE_MAX_M: Final = 50_000
COURIER_WAIT_S: Final = 600
PROMISE_SLACK: Final = 1.3


class Terms(msgspec.Struct, frozen=True):
    """What a delivery costs and when it will be there."""

    distance_m: int
    fee_minor: int
    driver_pay_minor: int
    currency: str
    promised_at: datetime


def terms_for(pricing: Pricing, pickup: Place, dropoff: Place, ready_at: datetime) -> Terms:
    """Return the terms of a delivery; raises `undeliverable` beyond 50 km."""
    distance_m = road_meters(pickup.point(), dropoff.point())
    if distance_m > DISTANCE_MAX_M:
        raise Problem("undeliverable", f"{distance_m / 1000:.0f} km is too far: at most {DISTANCE_MAX_M // 1000} km.")
    return Terms(
        distance_m=distance_m,
        fee_minor=delivery_fee_minor(pricing, distance_m),
        driver_pay_minor=driver_pay_minor(pricing, distance_m),
        currency=pricing.currency,
        promised_at=promise(ready_at, distance_m),
    )


def promise(ready_at: datetime, distance_m: int) -> datetime:
    """Return until when something that is ready then will be at a door so far away: by bicycle, with some slack."""
    start_s, per_m_s = CROW_FLIES[Vehicle.BICYCLE]
    return ready_at + timedelta(seconds=round(COURIER_WAIT_S + PROMISE_SLACK * (start_s + per_m_s * distance_m)))


async def business_row(con: Connection, business_id: UUID) -> Record:
    """Return the business of the transaction."""
    return one(await con.fetchrow("SELECT * FROM businesses WHERE id = $1", business_id), "business")


async def make(
    con: Connection, *, business_id: UUID, pickup: Place, dropoff: Place, ready_at: datetime, now: datetime
) -> tuple[UUID, Terms, datetime]:
    """Make a quote; return its id, terms and expiry."""
    terms = terms_for(pricing_of(await business_row(con, business_id)), pickup, dropoff, ready_at)
    quote_id, expires_at = new_id(), now + timedelta(seconds=QUOTE_TTL_S)
    await con.execute(
        """INSERT INTO quotes
             (id, business_id, request, distance_m, fee_minor, driver_pay_minor, currency, promised_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        quote_id,
        business_id,
        _request(pickup, dropoff),
        terms.distance_m,
        terms.fee_minor,
        terms.driver_pay_minor,
        terms.currency,
        terms.promised_at,
        expires_at,
    )
    return quote_id, terms, expires_at


async def redeem(con: Connection, quote_id: UUID, pickup: Place, dropoff: Place, now: datetime) -> Terms:
    """Return the terms of a quote for the same two places; raises `not_found`, `quote_expired` or `conflict`."""
    row = one(await con.fetchrow("SELECT * FROM quotes WHERE id = $1", quote_id), "quote")
    if row["expires_at"] <= now:
        raise Problem("quote_expired", "Ask for a new quote.")
    if row["request"] != _request(pickup, dropoff):
        raise Problem("conflict", "The quote is for other places.")
    return Terms(**{field: row[field] for field in Terms.__struct_fields__})


def _request(pickup: Place, dropoff: Place) -> dict[str, Any]:
    return {"pickup": [pickup.lat, pickup.lng], "dropoff": [dropoff.lat, dropoff.lng]}
