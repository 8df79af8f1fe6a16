"""Offers: sent by the dispatcher's plan, answered by one driver, closed exactly once.

Locks are always taken in one order, offer before delivery before stops (by their ids) before driver: races end in an
answer, not in a deadlock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from dispatch import service, shifts
from dispatch.delivery import BEFORE_PICKUP, DeliveryEvent, DeliveryStatus
from dispatch.offer import OFFER, OfferEvent, OfferStatus, pause_s
from dispatch.rows import AT_CLOSED_STORE
from dispatch.unassigned import OpenCode, UnassignedReason
from kernel import ids, metrics
from kernel.db import Connection, Record, act_for, one
from kernel.errors import Problem
from kernel.events import EventType, event
from kernel.ids import Kind, new_id, show
from kernel.machine import IllegalTransition
from kernel.outbox import emit


async def send(
    con: Connection,
    *,
    operator_id: UUID,
    asked: Mapping[UUID, dict[str, Any]],
    deliveries: Sequence[tuple[UUID, int]],
    ttl_s: int,
    now: datetime,
) -> dict[UUID, UUID]:
    """Offer deliveries (id, version) to drivers (id → terms) if all are still as the plan saw them.

    Several drivers are asked at once, and the first who accepts has it. Return driver → offer; who answers another
    offer, or has left, is not asked. Platform path. What changed since the snapshot is dropped by its version, as is
    what waits at a store that closed; the unique indexes have the last word.
    """
    expires_at, sent = now + timedelta(seconds=ttl_s), {}
    try:
        async with con.transaction():
            rows = await con.fetch(
                f"""SELECT d.* FROM deliveries d JOIN unnest($1::uuid[], $2::int[]) AS seen (id, version)
                     ON d.id = seen.id AND d.version = seen.version
                   WHERE d.status = 'pending' AND NOT {AT_CLOSED_STORE}
                   ORDER BY d.id FOR UPDATE OF d""",
                [delivery_id for delivery_id, _ in deliveries],
                [version for _, version in deliveries],
            )
            if len(rows) < len(deliveries):
                metrics.plan_dropped.labels("delivery_changed").inc()
                return {}
            for driver_id in sorted(asked):
                offer = await _ask(con, operator_id, driver_id, asked[driver_id], now, expires_at)
                if offer is None:
                    metrics.plan_dropped.labels("driver_changed").inc()
                    continue
                for row in rows:
                    await con.execute(
                        """INSERT INTO offer_deliveries
                             (offer_id, business_id, delivery_id, driver_id, expires_at, shared)
                           VALUES ($1, $2, $3, $4, $5, $6)""",
                        offer["id"], row["business_id"], row["id"], driver_id, expires_at, len(asked) > 1,
                    )  # fmt: skip
                sent[driver_id] = offer["id"]
                await _tell(con, offer, EventType.OFFER_SENT, now)
            if sent:
                for row in rows:
                    await service.advance(con, row, DeliveryEvent.OFFER, source="system", at=now)
    except asyncpg.UniqueViolationError:
        metrics.plan_dropped.labels("already_held").inc()
        return {}
    metrics.offers.labels("sent").inc(len(sent))
    return sent


async def _ask(
    con: Connection, operator_id: UUID, driver_id: UUID, terms: dict[str, Any], now: datetime, expires_at: datetime
) -> Record | None:
    """Write one driver's offer; None when he is not on shift or answers another one."""
    if not await con.fetchval(
        "SELECT 1 FROM driver_profiles WHERE id = $1 AND state IN ('available', 'busy') FOR SHARE", driver_id
    ):
        return None
    return await con.fetchrow(
        """INSERT INTO offers (id, operator_id, driver_id, status, terms, sent_at, expires_at)
           VALUES ($1, $2, $3, 'sent', $4, $5, $6)
           ON CONFLICT (driver_id) WHERE status = 'sent' DO NOTHING RETURNING *""",
        new_id(), operator_id, driver_id, terms, now, expires_at,
    )  # fmt: skip


async def accept(con: Connection, *, driver_id: UUID, offer_id: UUID, now: datetime) -> None:
    """The driver takes the work. In a driver's transaction. Raises `offer_gone` when he is too late; twice is fine.

    Too late is who answers an offer that was closed, not who answers after a time: until `expire_due` gives it back
    nobody else can have it, and a clock that was set has first to be noticed.
    """
    offer = await _lock(con, offer_id)
    if offer["status"] == OfferStatus.ACCEPTED:
        return
    await _close(con, offer, OfferEvent.ACCEPT, now)
    terms = offer["terms"]
    await _check_joined(con, driver_id, [ids.parse(Kind.DELIVERY, name) for name in terms["joins"]])
    for held in await _deliveries(con, offer_id):
        await act_for(con, held["business_id"])
        row = await service.lock(con, held["delivery_id"])
        if not await _hold_alone(con, offer_id, row["id"], now):
            canceled = row["status"] == DeliveryStatus.CANCELED
            raise Problem("offer_gone", "The delivery was canceled." if canceled else "Somebody else was faster.")
        await service.advance(con, row, DeliveryEvent.ASSIGN, source="driver", at=now, driver_id=driver_id)
    stops = [(stop["kind"], ids.parse(Kind.DELIVERY, stop["delivery_id"])) for stop in terms["stops"]]
    await _put_on_route(con, driver_id, stops, [ids.parse(Kind.DELIVERY, name) for name in terms["deliveries"]])
    await shifts.take_work(con, driver_id, now)


async def _hold_alone(con: Connection, offer_id: UUID, delivery_id: UUID, now: datetime) -> bool:
    """Let one offer alone hold a locked delivery; False when it does not hold it any more.

    The others who were asked hold it no more; `revoke_losers` tells them.
    """
    held = await con.fetchval(
        """UPDATE offer_deliveries SET shared = false, answer = 'accepted', answered_at = $3
           WHERE offer_id = $1 AND delivery_id = $2 AND holds RETURNING 1""",
        offer_id,
        delivery_id,
        now,
    )
    if held:
        await con.execute(
            "UPDATE offer_deliveries SET holds = false WHERE delivery_id = $1 AND offer_id <> $2 AND holds",
            delivery_id,
            offer_id,
        )
    return bool(held)


async def _check_joined(con: Connection, driver_id: UUID, joined: list[UUID]) -> None:
    """Raise `offer_gone` when the driver has left the store with what this was to join."""
    rows = await con.fetch(
        "SELECT driver_id, status FROM deliveries WHERE id = ANY($1) ORDER BY id FOR SHARE", sorted(joined)
    )
    there = [row for row in rows if row["driver_id"] == driver_id and row["status"] in BEFORE_PICKUP]
    if len(there) < len(joined):
        raise Problem("offer_gone", "You have left the store already.")


async def _put_on_route(con: Connection, driver_id: UUID, stops: list[tuple[str, UUID]], new: list[UUID]) -> None:
    """Put stops (kind, delivery) in this order, after others the driver has; served ones stay where they were."""
    his = await con.fetch(
        """SELECT delivery_id, route_position FROM stops WHERE driver_id = $1 AND done_at IS NULL
           ORDER BY id FOR UPDATE""",
        driver_id,
    )
    moved = {delivery_id for _, delivery_id in stops}
    last = max((row["route_position"] or 0 for row in his if row["delivery_id"] not in moved), default=0)
    for position, (kind, delivery_id) in enumerate(stops, last + 1):
        await con.execute(
            """UPDATE stops SET driver_id = $3, route_position = $4
               WHERE delivery_id = $1 AND kind = $2 AND done_at IS NULL
                 AND (driver_id = $3 OR delivery_id = ANY($5))""",
            delivery_id, kind, driver_id, position, new,
        )  # fmt: skip


async def decline(con: Connection, *, driver_id: UUID, offer_id: UUID, reason: str, now: datetime) -> None:
    """The driver says no; the delivery goes to the next one. In a driver's transaction. Twice is fine."""
    offer = await _lock(con, offer_id)
    if offer["status"] == OfferStatus.DECLINED:
        return
    await _close(con, offer, OfferEvent.DECLINE, now, reason)
    await _give_back(con, offer_id, now, narrow=True, refused=True)


async def expire_due(con: Connection, now: datetime) -> int:
    """Close offers nobody answered in time; return how many. Platform path."""
    due = await con.fetch(
        "SELECT * FROM offers WHERE status = 'sent' AND expires_at <= $1 ORDER BY expires_at FOR UPDATE SKIP LOCKED",
        now,
    )
    for offer in due:
        await _close(con, offer, OfferEvent.EXPIRE, now)
        await _give_back(con, offer["id"], now, refused=True)
    return len(due)


async def restart_terms(con: Connection, now: datetime, sent_after: datetime) -> int:
    """Give open offers sent after a time their whole term again, from now on; return how many. Platform path.

    For when the clock was set: forward, and all would expire unseen; back, and they would live on for hours.
    """
    rows = await con.fetch(
        """UPDATE offers SET sent_at = $1, expires_at = $1::timestamptz + (expires_at - sent_at)
           WHERE id IN (SELECT id FROM offers WHERE status = 'sent' AND sent_at > $2 ORDER BY id FOR UPDATE SKIP LOCKED)
           RETURNING *""",
        now,
        sent_after,
    )
    for offer in rows:
        await con.execute(
            "UPDATE offer_deliveries SET expires_at = $2 WHERE offer_id = $1", offer["id"], offer["expires_at"]
        )
        await _tell(con, offer, EventType.OFFER_SENT, now)
    return len(rows)


async def revoke_for(con: Connection, delivery_id: UUID, reason: str, now: datetime) -> None:
    """Take back the open offers of a delivery. Platform path."""
    await _revoke(con, delivery_id, reason, now, "true")


async def revoke_losers(con: Connection, delivery_id: UUID, now: datetime) -> None:
    """Take back the offers of those who were asked for a delivery together with the one who has it. Platform path."""
    await _revoke(con, delivery_id, "taken", now, "od.shared AND NOT od.holds")


async def _revoke(con: Connection, delivery_id: UUID, reason: str, now: datetime, which: str) -> None:
    for offer in await con.fetch(
        f"""SELECT o.* FROM offers o JOIN offer_deliveries od ON od.offer_id = o.id
            WHERE od.delivery_id = $1 AND o.status = 'sent' AND {which} ORDER BY o.id FOR UPDATE OF o""",
        delivery_id,
    ):
        await _close(con, offer, OfferEvent.REVOKE, now, reason)
        await _give_back(con, offer["id"], now)


async def open_for(con: Connection, driver_id: UUID, now: datetime) -> list[dict[str, Any]]:
    """Return a driver's open offers. In a driver's transaction."""
    rows = await con.fetch(
        "SELECT * FROM offers WHERE driver_id = $1 AND status = 'sent' AND expires_at > $2", driver_id, now
    )
    return [public(row) for row in rows]


def public(offer: Record) -> dict[str, Any]:
    """Return an offer as its driver sees it."""
    return {
        "id": show(Kind.OFFER, offer["id"]),
        "status": offer["status"],
        "sent_at": offer["sent_at"],
        "expires_at": offer["expires_at"],
        **offer["terms"],
    }


async def _lock(con: Connection, offer_id: UUID) -> Record:
    return one(await con.fetchrow("SELECT * FROM offers WHERE id = $1 FOR UPDATE", offer_id), "offer")


async def _deliveries(con: Connection, offer_id: UUID) -> Sequence[Record]:
    return await con.fetch("SELECT * FROM offer_deliveries WHERE offer_id = $1 ORDER BY delivery_id", offer_id)


_EVENTS = {
    OfferStatus.ACCEPTED: EventType.OFFER_ACCEPTED,
    OfferStatus.DECLINED: EventType.OFFER_DECLINED,
    OfferStatus.EXPIRED: EventType.OFFER_EXPIRED,
    OfferStatus.REVOKED: EventType.OFFER_REVOKED,
}


async def _close(con: Connection, offer: Record, happened: OfferEvent, now: datetime, reason: str = "") -> None:
    try:
        status = OFFER.next(OfferStatus(offer["status"]), happened)
    except IllegalTransition:
        raise Problem("offer_gone", f"The offer is {offer['status']}.") from None
    after = await con.fetchrow(
        "UPDATE offers SET status = $2, reason = $3, answered_at = $4 WHERE id = $1 RETURNING *",
        offer["id"], status.value, reason, now,
    )  # fmt: skip
    assert after is not None
    metrics.offers.labels(status.value).inc()
    await _tell(con, after, _EVENTS[status], now)


async def _give_back(
    con: Connection, offer_id: UUID, now: datetime, *, narrow: bool = False, refused: bool = False
) -> None:
    for held in await _deliveries(con, offer_id):
        if narrow:
            await act_for(con, held["business_id"])
        row = await service.lock(con, held["delivery_id"])
        holders = await con.fetch("SELECT offer_id FROM offer_deliveries WHERE delivery_id = $1 AND holds", row["id"])
        if row["status"] == DeliveryStatus.OFFERED and [one["offer_id"] for one in holders] == [offer_id]:
            await service.advance(con, row, DeliveryEvent.OFFER_LOST, source="system", at=now)
            if refused:
                await con.execute("UPDATE deliveries SET pinned_driver_id = NULL WHERE id = $1", row["id"])
                await _pause(con, row, now)
    await con.execute(
        """UPDATE offer_deliveries od
           SET holds = false, answer = o.status, reason = o.reason, answered_at = o.answered_at
           FROM offers o WHERE o.id = $1 AND od.offer_id = $1""",
        offer_id,
    )


async def _pause(con: Connection, row: Record, now: datetime) -> None:
    """Ask nobody for a while about a delivery that many refused: drivers are not to be plagued with it."""
    if wait_s := pause_s(row["attempts"]):
        await con.execute(
            "UPDATE deliveries SET retry_at = $2, unassigned_reason = $3 WHERE id = $1",
            row["id"],
            now + timedelta(seconds=wait_s),
            UnassignedReason(OpenCode.DECLINED_OFTEN, {"offers": row["attempts"]}),
        )


async def _tell(con: Connection, offer: Record, kind: EventType, now: datetime) -> None:
    await emit(
        con,
        event(
            kind,
            at=now,
            operator_id=offer["operator_id"],
            driver_id=offer["driver_id"],
            subject=offer["id"],
            data=public(offer),
        ),
    )
