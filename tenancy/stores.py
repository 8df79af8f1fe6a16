"""Stores: made, open by their hours or not, and closed for now, whatever the hours say."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from opening_hours import OpeningHours

from kernel.db import Connection, Record, one
from kernel.events import EventType, event
from kernel.ids import Kind, new_id, show
from kernel.outbox import emit


async def create_store(
    con: Connection,
    *,
    business_id: UUID,
    name: str,
    address: str,
    lat: float,
    lng: float,
    phone: str = "",
    preparation_s: int = 600,
    opening_hours: str = "24/7",
    time_zone: str = "UTC",
) -> UUID:
    """Create a store of a business."""
    store_id = new_id()
    await con.execute(
        """INSERT INTO stores (id, business_id, name, address, lat, lng, phone, preparation_s, opening_hours, time_zone)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
        store_id,
        business_id,
        name,
        address,
        lat,
        lng,
        phone,
        preparation_s,
        opening_hours,
        time_zone,
    )
    return store_id


def is_open(store: Record, now: datetime) -> bool:
    """Say whether a store is open: not closed for now, and by its hours (OpenStreetMap syntax, its own time zone)."""
    return store["closed_since"] is None and OpeningHours(store["opening_hours"]).is_open(
        now.astimezone(ZoneInfo(store["time_zone"]))
    )


async def set_open(
    con: Connection,
    *,
    operator_id: UUID,
    store_id: UUID,
    opened: bool,
    now: datetime,
    reason: str = "",
    until: datetime | None = None,
) -> Record:
    """Close a store for now (`until` a time, or until somebody opens it) or open it again. Raises `not_found`.

    Closing a closed store changes its reason and its end only.
    """
    row = one(
        await con.fetchrow(
            """SELECT s.* FROM stores s JOIN businesses b ON b.id = s.business_id
               WHERE s.id = $1 AND b.operator_id = $2 FOR UPDATE OF s""",
            store_id,
            operator_id,
        ),
        "store",
    )
    was_open = row["closed_since"] is None
    row = one(
        await con.fetchrow(
            "UPDATE stores SET closed_since = $2, closed_reason = $3, closed_until = $4 WHERE id = $1 RETURNING *",
            store_id,
            None if opened else row["closed_since"] or now,
            "" if opened else reason,
            None if opened else until,
        ),
        "store",
    )
    if opened == was_open:
        return row
    await emit(
        con,
        event(
            EventType.STORE_OPENED if opened else EventType.STORE_CLOSED,
            at=now,
            operator_id=operator_id,
            business_id=row["business_id"],
            subject=store_id,
            data={"id": show(Kind.STORE, store_id), "reason": row["closed_reason"]},
        ),
    )
    return row


async def open_due(con: Connection, now: datetime) -> int:
    """Open the stores whose closing is over; return how many. Platform path."""
    due = await con.fetch(
        """SELECT s.id, b.operator_id FROM stores s JOIN businesses b ON b.id = s.business_id
           WHERE s.closed_until <= $1 ORDER BY s.id FOR UPDATE OF s SKIP LOCKED""",
        now,
    )
    for row in due:
        await set_open(con, operator_id=row["operator_id"], store_id=row["id"], opened=True, now=now)
    return len(due)
