"""A store closes for now and opens again, whatever its opening hours say."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from kernel.db import Connection, Record, one
from kernel.events import EventType, event
from kernel.ids import Kind, show
from kernel.outbox import emit


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
