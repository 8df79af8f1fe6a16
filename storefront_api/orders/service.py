"""What happens to orders: taken on by the kitchen, carried out, completed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from kernel.db import Connection, Record, one
from kernel.errors import invalid
from kernel.events import Event, EventType, event
from kernel.ids import Kind, show
from kernel.outbox import emit
from storefront_api.orders.order import BY_BUSINESS, ORDER, OrderEvent, OrderStatus

_EVENTS = {
    OrderStatus.PLACED: EventType.ORDER_PLACED,
    OrderStatus.ACCEPTED: EventType.ORDER_ACCEPTED,
    OrderStatus.READY: EventType.ORDER_READY,
    OrderStatus.REJECTED: EventType.ORDER_REJECTED,
    OrderStatus.CANCELED: EventType.ORDER_CANCELED,
    OrderStatus.COMPLETED: EventType.ORDER_COMPLETED,
}


async def lock(con: Connection, order_id: UUID) -> Record:
    """Return an order, locked; raises `not_found`."""
    return one(await con.fetchrow("SELECT * FROM orders WHERE id = $1 FOR UPDATE", order_id), "order")


async def business_asks(
    con: Connection, order_id: UUID, *, status: str, preparation_s: int | None, reason: str, now: datetime
) -> Record:
    """The kitchen moves an order on; raises `illegal_transition` out of order. Asking twice is fine."""
    if status not in BY_BUSINESS:
        raise invalid("status", f"One of {', '.join(BY_BUSINESS)}.")
    row = await lock(con, order_id)
    if row["status"] == status:
        return row
    if status == OrderStatus.ACCEPTED:
        if preparation_s is None:
            preparation_s = await con.fetchval("SELECT preparation_s FROM stores WHERE id = $1", row["store_id"])
        await con.execute(
            "UPDATE orders SET ready_at = $2 WHERE id = $1", order_id, now + timedelta(seconds=preparation_s or 0)
        )
    if status == OrderStatus.READY:
        await con.execute("UPDATE orders SET ready_at = $2 WHERE id = $1", order_id, now)
    return await advance(con, row, BY_BUSINESS[status], actor="business", reason=reason, now=now)


async def advance(
    con: Connection, row: Record, happened: OrderEvent, *, actor: str, now: datetime, reason: str = ""
) -> Record:
    """Move a locked order on by one event; return it as it is now."""
    status = ORDER.next(OrderStatus(row["status"]), happened)
    payment = {OrderStatus.COMPLETED: "paid", OrderStatus.REJECTED: "voided", OrderStatus.CANCELED: "voided"}.get(
        status, row["payment_status"]
    )
    after = await con.fetchrow(
        """UPDATE orders SET status = $2, payment_status = $3, version = version + 1, updated_at = $4
           WHERE id = $1 RETURNING *""",
        row["id"],
        status.value,
        payment,
        now,
    )
    assert after is not None
    await record(con, after, actor=actor, reason=reason, now=now)
    return after


async def record(con: Connection, row: Record, *, actor: str, now: datetime, reason: str = "") -> None:
    """Write an order's new status to its history and the outbox."""
    await con.execute(
        """INSERT INTO order_status_history (business_id, order_id, version, status, actor, reason, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        row["business_id"],
        row["id"],
        row["version"],
        row["status"],
        actor,
        reason,
        now,
    )
    kind = _EVENTS.get(OrderStatus(row["status"]))
    if kind is None:
        return
    operator_id = await con.fetchval("SELECT operator_id FROM businesses WHERE id = $1", row["business_id"])
    items = await con.fetch("SELECT name, quantity FROM order_items WHERE order_id = $1 ORDER BY position", row["id"])
    await emit(
        con,
        event(
            kind,
            at=now,
            operator_id=operator_id,
            business_id=row["business_id"],
            subject=row["id"],
            sequence=row["version"],
            data=_event_data(row, items),
        ),
    )


def _event_data(row: Record, items: list[Record]) -> dict[str, Any]:
    """Return what others need to know of an order: enough to deliver it."""
    return {
        "order_id": show(Kind.ORDER, row["id"]),
        "store_id": show(Kind.STORE, row["store_id"]),
        "number": row["number"],
        "status": row["status"],
        "items": ", ".join(f"{item['quantity']}× {item['name']}" for item in items)[:500],
        "ready_at": row["ready_at"],
        "tip_minor": row["tip_minor"],
        "delivery_fee_minor": row["delivery_fee_minor"],
        "cash_to_collect_minor": row["total_minor"] if row["payment_method"] == "cash" else 0,
        "currency": row["currency"],
        "dropoff": {
            "name": row["dropoff_name"],
            "phone": row["dropoff_phone"],
            "address": row["dropoff_address"],
            "lat": row["dropoff_lat"],
            "lng": row["dropoff_lng"],
            "instructions": row["instructions"],
        },
    }


_FOLLOWS = {
    EventType.DELIVERY_PICKED_UP: OrderEvent.LEAVE,
    EventType.DELIVERY_DELIVERED: OrderEvent.COMPLETE,
    EventType.DELIVERY_CANCELED: OrderEvent.CANCEL,
    EventType.DELIVERY_FAILED: OrderEvent.CANCEL,
}


async def on_delivery(con: Connection, event: Event) -> None:
    """The order follows its delivery, as far as its own table allows."""
    row = await con.fetchrow("SELECT * FROM orders WHERE id = $1 FOR UPDATE", event.subject)
    happened = _FOLLOWS[event.type]
    if row is not None and ORDER.allows(OrderStatus(row["status"]), happened):
        await advance(con, row, happened, actor="delivery", now=event.created_at)
