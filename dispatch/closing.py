"""A store closes with work on its hands: open offers are taken back, drivers on the way are told.

What waits there the dispatcher leaves alone, and says why, from its next look until the store opens (`snapshot`).
Nothing is taken from a driver who is on his way: whether he waits or goes is the dispatcher's decision.
"""

from __future__ import annotations

from typing import Final

from dispatch import offers, service
from dispatch.delivery import BEFORE_PICKUP
from dispatch.unassigned import OpenCode
from kernel.db import Connection
from kernel.events import Event

NOTICE: Final = "store_closed"


async def on_store_closed(con: Connection, closed: Event) -> None:
    """Take back what was offered, and mark the stops of drivers on the way, in the order of locks (`offers`)."""
    offered = await con.fetch(
        "SELECT id FROM deliveries WHERE business_id = $1 AND store_id = $2 AND status = 'offered' ORDER BY id",
        closed.business_id,
        closed.subject,
    )
    for row in offered:
        await offers.revoke_for(con, row["id"], NOTICE, closed.created_at)
    await _mark_stops(con, closed, NOTICE)


async def on_store_opened(con: Connection, opened: Event) -> None:
    """What was held is looked at again."""
    await _mark_stops(con, opened, None)
    rows = await con.fetch(
        """UPDATE deliveries SET unassigned_reason = NULL, retry_at = NULL
           WHERE business_id = $1 AND store_id = $2 AND unassigned_reason ->> 'code' = $3 RETURNING *""",
        opened.business_id,
        opened.subject,
        OpenCode.STORE_CLOSED.value,
    )
    await service.tell_updated(con, rows, opened.created_at)


async def _mark_stops(con: Connection, event: Event, notice: str | None) -> None:
    """Put a notice on the pickups still to come at a store, and make their drivers' routes newer."""
    await con.execute(
        """WITH marked AS (
             UPDATE stops p SET notice = $3 FROM deliveries d
             WHERE d.business_id = $1 AND d.store_id = $2 AND d.status = ANY($4)
               AND p.business_id = d.business_id AND p.delivery_id = d.id AND p.kind = 'pickup' RETURNING p.driver_id)
           UPDATE driver_profiles SET route_version = route_version + 1 WHERE id IN (SELECT driver_id FROM marked)""",
        event.business_id,
        event.subject,
        notice,
        ["pending", "offered", *(status.value for status in BEFORE_PICKUP)],
    )
