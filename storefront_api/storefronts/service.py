"""Finding a shop by its subdomain, and its stores with their opening hours."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from opening_hours import OpeningHours

from kernel.db import Connection, Database, Reason, Record
from kernel.errors import Problem


async def resolve(db: Database, subdomain: str) -> tuple[UUID, UUID]:
    """Return (operator id, business id) of an active shop; raises `not_found`."""
    async with db.platform_tx(Reason.RESOLVE_STOREFRONT, readonly=True) as con:
        row = await con.fetchrow(
            "SELECT id, operator_id FROM businesses WHERE subdomain = $1 AND status = 'active'", subdomain
        )
    if row is None:
        raise Problem("not_found", "There is no shop at this address.")
    return row["operator_id"], row["id"]


async def stores(con: Connection) -> list[Record]:
    """Return the stores of the transaction's business."""
    return await con.fetch("SELECT * FROM stores ORDER BY name, id")


def is_open(store: Record, now: datetime) -> bool:
    """Say whether a store is open: not closed for now, and by its hours (OpenStreetMap syntax, its own time zone)."""
    return store["closed_since"] is None and OpeningHours(store["opening_hours"]).is_open(
        now.astimezone(ZoneInfo(store["time_zone"]))
    )
