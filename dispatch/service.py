"""What happens to deliveries: made, moved on, canceled. Load → decide → save → emit, in the caller's transaction."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from dispatch import handover
from dispatch.delivery import BY_DRIVER, DELIVERY, FINISHED, WITH_DRIVER, DeliveryEvent, DeliveryStatus
from dispatch.shifts import release_driver
from geo.point import Point
from kernel import metrics
from kernel.db import Connection, Record, act_for, one
from kernel.errors import Problem, invalid
from kernel.events import Event, EventType, event
from kernel.ids import Kind, new_id, show, show_or_none
from kernel.outbox import emit
from tenancy.skills import in_order

CODE_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH: Final = 4

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Phone = Annotated[str, Meta(max_length=40)]
Address = Annotated[str, Meta(min_length=1, max_length=300)]
Instructions = Annotated[str, Meta(max_length=500)]
Lat = Annotated[float, Meta(ge=-85, le=85)]
Lng = Annotated[float, Meta(ge=-180, le=180)]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One end of a delivery: who and where."""

    name: Name
    address: Address
    lat: Lat
    lng: Lng
    phone: Phone = ""
    instructions: Instructions = ""

    def point(self) -> Point:
        """Return the place as a point."""
        return Point(self.lat, self.lng)


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """All that a delivery starts from."""

    id: UUID
    operator_id: UUID
    business_id: UUID
    pickup: Place
    dropoff: Place
    distance_m: int
    fee_minor: int
    driver_pay_minor: int
    currency: str
    ready_at: datetime
    promised_at: datetime
    uses_shared_pool: bool
    store_id: UUID | None = None
    order_id: UUID | None = None
    quote_id: UUID | None = None
    external_id: str | None = None
    items: str = ""
    tip_minor: int = 0
    cash_to_collect_minor: int = 0
    needs: tuple[str, ...] = ()
    size: int = 1
    pickup_until: datetime | None = None
    dropoff_from: datetime | None = None
    proof: handover.Proof = "photo"
    proof_code: str | None = None


async def create(con: Connection, new: NewDelivery, now: datetime) -> None:
    """Create a delivery with its two stops; raises `conflict` when its `external_id` or order has one already."""
    made = await con.fetchval(
        """INSERT INTO deliveries (id, operator_id, business_id, store_id, order_id, quote_id, external_id, short_code,
             status, uses_shared_pool, items, distance_m, fee_minor, driver_pay_minor, tip_minor, cash_to_collect_minor,
             currency, ready_at, promised_at, created_at, needs, size, pickup_until, dropoff_from, proof, proof_code)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
             $20, $21, $22, $23, $24, $25)
           ON CONFLICT DO NOTHING RETURNING id""",
        new.id,
        new.operator_id,
        new.business_id,
        new.store_id,
        new.order_id,
        new.quote_id,
        new.external_id,
        "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH)),
        new.uses_shared_pool,
        new.items,
        new.distance_m,
        new.fee_minor,
        new.driver_pay_minor,
        new.tip_minor,
        new.cash_to_collect_minor,
        new.currency,
        new.ready_at,
        new.promised_at,
        now,
        in_order(new.needs),
        new.size,
        new.pickup_until,
        new.dropoff_from,
        new.proof,
        new.proof_code,
    )
    if made is None:
        raise Problem("conflict", "There is a delivery with this external_id already.")
    for kind, place in (("pickup", new.pickup), ("dropoff", new.dropoff)):
        await con.execute(
            """INSERT INTO stops (id, business_id, delivery_id, kind, name, phone, address, lat, lng, instructions)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
            new_id(),
            new.business_id,
            new.id,
            kind,
            place.name,
            place.phone,
            place.address,
            place.lat,
            place.lng,
            place.instructions,
        )
    row = one(await con.fetchrow("SELECT * FROM deliveries WHERE id = $1", new.id), "delivery")
    await _record(con, row, previous=None, source="business", at=now)


async def lock(con: Connection, delivery_id: UUID) -> Record:
    """Return a delivery the transaction may see, locked; raises `not_found`."""
    return one(await con.fetchrow("SELECT * FROM deliveries WHERE id = $1 FOR UPDATE", delivery_id), "delivery")


async def advance(
    con: Connection,
    row: Record,
    happened: DeliveryEvent,
    *,
    source: str,
    at: datetime,
    driver_id: UUID | None = None,
    reason: str = "",
) -> Record:
    """Move a locked delivery on by one event; return it as it is now. An illegal event changes nothing and raises."""
    status = DELIVERY.next(DeliveryStatus(row["status"]), happened)
    keeps_driver = status in WITH_DRIVER or status in FINISHED
    driver = driver_id or (row["driver_id"] if keeps_driver else None)
    after = await con.fetchrow(
        """UPDATE deliveries SET status = $2, version = version + 1, driver_id = $3, status_reason = $4,
             attempts = attempts + CASE WHEN $2 = 'offered' THEN 1 ELSE 0 END,
             unassigned_reason = CASE WHEN $2 IN ('pending', 'offered') THEN unassigned_reason END,
             planned_at = CASE WHEN $2 = 'pending' THEN planned_at END, retry_at = NULL,
             pinned_driver_id = CASE WHEN $2 IN ('pending', 'offered') THEN pinned_driver_id END,
             assigned_at = CASE WHEN $2 = 'assigned' THEN $5 WHEN $2 = 'pending' THEN NULL ELSE assigned_at END,
             picked_up_at = CASE WHEN $2 = 'picked_up' THEN $5 ELSE picked_up_at END,
             finished_at = CASE WHEN $6 THEN $5 ELSE finished_at END
           WHERE id = $1 RETURNING *""",
        row["id"],
        status.value,
        driver,
        reason,
        at,
        status in FINISHED,
    )
    assert after is not None
    await _record(con, after, previous=row["status"], source=source, at=at, reason=reason, driver_id=row["driver_id"])
    return after


async def _record(
    con: Connection,
    row: Record,
    *,
    previous: str | None,
    source: str,
    at: datetime,
    reason: str = "",
    driver_id: UUID | None = None,
) -> None:
    """Write what happened to the history and the outbox."""
    driver = row["driver_id"] or driver_id
    await con.execute(
        """INSERT INTO delivery_status_history
             (business_id, delivery_id, version, status, source, driver_id, reason, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        row["business_id"],
        row["id"],
        row["version"],
        row["status"],
        source,
        driver,
        reason,
        at,
    )
    kind = {"pending": EventType.DELIVERY_CREATED if previous is None else EventType.DELIVERY_UNASSIGNED}.get(
        row["status"]
    ) or EventType(f"delivery.{row['status']}")
    metrics.deliveries.labels(row["status"]).inc()
    data = {"object": public(row), "previous": previous, "source": source}
    await emit(con, news_of(row, kind, at, data, driver_id=driver))


def news_of(
    row: Record, kind: EventType, at: datetime, data: dict[str, Any] | None = None, *, driver_id: UUID | None = None
) -> Event:
    """Return an event about a delivery, from any row with its id, operator, business and version."""
    return event(
        kind,
        at=at,
        operator_id=row["operator_id"],
        business_id=row["business_id"],
        driver_id=driver_id,
        subject=row["id"],
        sequence=row["version"],
        data=data,
    )


async def tell_updated(con: Connection, rows: Sequence[Record], at: datetime) -> None:
    """Let those who look on hear that these deliveries wait otherwise than before; they read how."""
    await emit(con, *(news_of(row, EventType.DELIVERY_UPDATED, at) for row in rows))


def public(row: Record) -> dict[str, Any]:
    """Return a delivery as events and the delivery API show it."""
    return {
        "id": show(Kind.DELIVERY, row["id"]),
        "status": row["status"],
        "version": row["version"],
        "short_code": row["short_code"],
        "business_id": show(Kind.BUSINESS, row["business_id"]),
        "store_id": show_or_none(Kind.STORE, row["store_id"]),
        "order_id": show_or_none(Kind.ORDER, row["order_id"]),
        "external_id": row["external_id"],
        "driver_id": show_or_none(Kind.DRIVER, row["driver_id"]),
        "items": row["items"],
        "distance_m": row["distance_m"],
        "fee_minor": row["fee_minor"],
        "driver_pay_minor": row["driver_pay_minor"],
        "tip_minor": row["tip_minor"],
        "cash_to_collect_minor": row["cash_to_collect_minor"],
        "currency": row["currency"],
        "ready_at": row["ready_at"],
        "promised_at": row["promised_at"],
        "pickup_until": row["pickup_until"],
        "dropoff_from": row["dropoff_from"],
        "needs": row["needs"],
        "size": row["size"],
        "proof": row["proof"],
        "created_at": row["created_at"],
        "status_reason": row["status_reason"],
        "unassigned_reason": row["unassigned_reason"],
    }


# --- what a driver does ------------------------------------------------------------------------------------------


async def driver_reports(
    con: Connection, *, driver_id: UUID, delivery_id: UUID, status: str, at: datetime, reason: str = "", code: str = ""
) -> Record:
    """A driver moves his delivery on. In a driver's transaction. Raises `illegal_transition` out of order.

    `code` is the PIN or the barcode, where a delivery is handed over against one.
    """
    if status not in BY_DRIVER:
        raise invalid("status", f"One of {', '.join(BY_DRIVER)}.")
    row = await lock(con, delivery_id)
    await act_for(con, row["business_id"])
    if row["status"] == status:
        return row  # said twice, by a phone that was not sure the first word arrived
    happened = BY_DRIVER[status]
    DELIVERY.next(DeliveryStatus(row["status"]), happened)
    if happened is DeliveryEvent.DELIVER:
        await handover.check(con, row, driver_id=driver_id, code=code, at=at)
    if happened is DeliveryEvent.FAIL and not reason:
        raise invalid("reason", "Say why it could not be delivered.")
    row = await advance(con, row, happened, source="driver", at=at, reason=reason)
    await _stop_times(con, row, "driver", at)
    if row["status"] in FINISHED:
        await release_driver(con, driver_id, at)
    return row


async def fence_reports(con: Connection, *, delivery_id: UUID, driver_id: UUID, kind: str, at: datetime) -> None:
    """The driver's phone crossed a stop's fence: an arrival, if nobody said so before."""
    row = await lock(con, delivery_id)
    happened = DeliveryEvent.ARRIVE_AT_PICKUP if kind == "pickup" else DeliveryEvent.ARRIVE_AT_DROPOFF
    if row["driver_id"] == driver_id and DELIVERY.allows(DeliveryStatus(row["status"]), happened):
        row = await advance(con, row, happened, source="geofence", at=at)
        await _stop_times(con, row, "geofence", at)


async def _stop_times(con: Connection, row: Record, source: str, at: datetime) -> None:
    """Keep when and on whose word the driver arrived at a stop and was done with it."""
    arrived = {"arrived_at_pickup": "pickup", "arrived_at_dropoff": "dropoff"}.get(row["status"])
    done = {"picked_up": "pickup", "delivered": "dropoff", "failed": "dropoff"}.get(row["status"])
    if arrived is not None:
        await con.execute(
            "UPDATE stops SET arrived_at = $3, arrival_source = $4 WHERE delivery_id = $1 AND kind = $2",
            row["id"],
            arrived,
            at,
            source,
        )
    if done is not None:
        await con.execute("UPDATE stops SET done_at = $3 WHERE delivery_id = $1 AND kind = $2", row["id"], done, at)


async def unassign(con: Connection, row: Record, *, reason: str, at: datetime, source: str = "dispatcher") -> Record:
    """Take a locked delivery away from its driver before he picked it up; raises `IllegalTransition` afterwards."""
    driver_id = row["driver_id"]
    row = await advance(con, row, DeliveryEvent.UNASSIGN, source=source, at=at, reason=reason)
    await _let_go(con, row["id"])
    await release_driver(con, driver_id, at)
    return row


async def fail(con: Connection, delivery_id: UUID, *, reason: str, at: datetime) -> Record:
    """A dispatcher gives up on what a driver has aboard; raises `IllegalTransition` before the pickup."""
    row = await lock(con, delivery_id)
    if row["status"] == DeliveryStatus.FAILED:
        return row
    row = await advance(con, row, DeliveryEvent.FAIL, source="dispatcher", at=at, reason=reason)
    await _stop_times(con, row, "dispatcher", at)
    return row


async def _let_go(con: Connection, delivery_id: UUID) -> None:
    await con.execute("UPDATE offer_deliveries SET holds = false WHERE delivery_id = $1 AND holds", delivery_id)
    await con.execute("UPDATE stops SET driver_id = NULL, route_position = NULL WHERE delivery_id = $1", delivery_id)


# --- what a business does ----------------------------------------------------------------------------------------


async def cancel(con: Connection, delivery_id: UUID, *, reason: str, at: datetime, source: str = "business") -> Record:
    """Cancel a delivery that was not picked up; reactions to the event revoke its offer and free its driver."""
    row = await lock(con, delivery_id)
    if row["status"] == DeliveryStatus.CANCELED:
        return row
    row = await advance(con, row, DeliveryEvent.CANCEL, source=source, at=at, reason=reason)
    await _let_go(con, delivery_id)
    return row
