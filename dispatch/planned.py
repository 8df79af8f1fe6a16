"""Routes that were committed ahead: kept until their drivers have to leave, then offered whole, in the planned order.

Until then the dispatcher leaves their deliveries alone and gives their drivers nothing that runs into them. A route
whose driver isn't there in time, or says no, is given up: its deliveries are dispatched like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from dispatch import offers, policy, service
from dispatch.decisions import OFFER_LEAD_S, terms
from dispatch.delivery import DeliveryStatus
from dispatch.rows import AT_CLOSED_STORE, BOTH_ENDS
from kernel import ids
from kernel.clock import to_ms
from kernel.db import Connection, Database, Reason, Record
from kernel.ids import Kind
from tracking.live import STALE_AFTER_MS, LivePositions

GIVEN_UP_AFTER_S: Final = 300
"""So long after its planned start a route waits for its driver."""

_DELIVERIES: Final = f"""
SELECT d.id, d.operator_id, d.business_id, d.version, d.driver_pay_minor, d.tip_minor, d.currency, d.distance_m,
       d.needs, d.ready_at, b.name AS business_name, p.lat AS p_lat, p.lng AS p_lng, p.name AS p_name,
       p.address AS p_address, q.lat AS q_lat, q.lng AS q_lng, q.address AS q_address
FROM deliveries d
JOIN businesses b ON b.id = d.business_id
{BOTH_ENDS}
WHERE d.planned_route_id = $1 AND d.status = 'pending' AND NOT {AT_CLOSED_STORE}
ORDER BY d.id FOR UPDATE OF d
"""


async def offer_due(db: Database, live: LivePositions, operator_id: UUID, now: datetime) -> int:
    """Offer the routes whose drivers have to leave soon, give up those they missed; return how many were offered."""
    async with db.platform_tx(Reason.DISPATCH_TICK, readonly=True) as con:
        due = await con.fetch(
            "SELECT id, driver_id FROM planned_routes WHERE operator_id = $1 AND start_at <= $2 ORDER BY start_at, id",
            operator_id,
            now + timedelta(seconds=OFFER_LEAD_S),
        )
    if not due:
        return 0
    seen = await live.positions(operator_id, [row["driver_id"] for row in due])
    heard = {driver_id for driver_id, fix in seen.items() if fix.t_ms >= to_ms(now) - STALE_AFTER_MS}
    offered = 0
    for row in due:
        async with db.platform_tx(Reason.DISPATCH_TICK) as con:
            offered += await _settle(con, row["id"], now, heard=row["driver_id"] in heard)
    return offered


async def _settle(con: Connection, route_id: UUID, now: datetime, *, heard: bool) -> bool:
    """Offer one route if its driver can be asked; return whether he was."""
    rows = await con.fetch(_DELIVERIES, route_id)
    route = await con.fetchrow("SELECT * FROM planned_routes WHERE id = $1 FOR UPDATE", route_id)
    if route is None:
        return False
    offered = heard and bool(rows) and await _offer(con, route, rows, now)
    if offered or not rows or now > route["start_at"] + timedelta(seconds=GIVEN_UP_AFTER_S):
        await _forget(con, route_id, now)
    return offered


async def _offer(con: Connection, route: Record, rows: Sequence[Record], now: datetime) -> bool:
    here = {row["id"] for row in rows}
    named = [(stop["kind"], ids.parse(Kind.DELIVERY, stop["delivery_id"])) for stop in route["stops"]]
    stops = [(kind, delivery_id) for kind, delivery_id in named if delivery_id in here]
    its = await policy.load_one(con, rows[0]["business_id"])
    sent = await offers.send(
        con,
        operator_id=route["operator_id"],
        asked={route["driver_id"]: terms(rows, stops, [], route["to_pickup_s"])},
        deliveries=[(row["id"], row["version"]) for row in rows],
        ttl_s=its.offer_ttl_s,
        now=now,
    )
    return bool(sent)


async def _forget(con: Connection, route_id: UUID, now: datetime) -> None:
    """Let go of a route: what is not offered with it, as at a store that is closed, is anybody's again."""
    freed = await con.fetch(
        """UPDATE deliveries SET planned_route_id = NULL, pinned_driver_id = NULL, planned_at = NULL
           WHERE planned_route_id = $1 RETURNING *""",
        route_id,
    )
    await con.execute("DELETE FROM planned_routes WHERE id = $1", route_id)
    await service.tell_updated(con, [row for row in freed if row["status"] == DeliveryStatus.PENDING], now)
