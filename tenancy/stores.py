"""A store closes for now and opens again, whatever its opening hours say."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from kernel.db import Connection, Record, one
from kernel.events import EventType, event
from kernel.ids import Kind, show
from kernel.outbox import emit


async def set_open(
    con: Connection, *, operator_id: UUID, store_id: UUID, opened: bool, reason: str, now: datetime
) -> Record:
    """Close a store for now or open it again; saying it twice changes nothing. Raises `not_found`."""
    row = one(
        await con.fetchrow(
            """SELECT s.* FROM stores s JOIN businesses b ON b.id = s.business_id
               WHERE s.id = $1 AND b.operator_id = $2 FOR UPDATE OF s""",
            store_id,
            operator_id,
        ),
        "store",
    )
    if opened == (row["closed_since"] is None):
        return row
    row = one(
        await con.fetchrow(
            "UPDATE stores SET closed_since = $2, closed_reason = $3 WHERE id = $1 RETURNING *",
            store_id,
            None if opened else now,
            "" if opened else reason,
        ),
        "store",
    )
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
