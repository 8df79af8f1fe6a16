"""What people write to each other about a delivery: its driver and the desk, its driver and its customer.

The customer and the driver write through us, so neither learns a number of the other's. A message belongs to the driver
who has the delivery when it is written: whoever has it later does not read it. Who is at the desk reads both channels.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from dispatch.delivery import WITH_DRIVER, DeliveryStatus
from kernel import ids
from kernel.clock import from_ms
from kernel.db import Connection, Record, one
from kernel.errors import Problem, invalid
from kernel.events import EventType, event
from kernel.ids import Kind, earliest, new_id, show
from kernel.outbox import emit

TEXT_LENGTH_MAX: Final = 500
SHOWN_MAX: Final = 100
ORDER_SLACK: Final = timedelta(minutes=1)
"""Ids are made by several processes: a message may come to light a little after one with a later id."""

Channel = Literal["desk", "customer"]
Sender = Literal["driver", "desk", "customer"]


class MessageView(msgspec.Struct, frozen=True):
    """One message; `name` is what the others call its sender, `at` when he wrote it."""

    id: str
    delivery_id: str
    channel: Channel
    sender: Sender
    name: str
    text: str
    at: datetime


async def write(
    con: Connection,
    delivery_id: UUID,
    *,
    channel: Channel,
    sender: Sender,
    text: str,
    at: datetime,
    now: datetime,
    name: str = "",
    driver_id: UUID | None = None,
) -> MessageView:
    """Write a message; a driver's (`driver_id`) only about what he has. In a transaction that sees the delivery.

    Raises `not_found`, `validation_failed` for an empty or too long text, and `illegal_transition` while no driver has
    the delivery: there is nobody to write to.
    """
    text = text.strip()
    if not 1 <= len(text) <= TEXT_LENGTH_MAX:
        raise invalid("text", f"1 to {TEXT_LENGTH_MAX} characters.")
    row = one(
        await con.fetchrow(
            """SELECT d.id, d.operator_id, d.business_id, d.driver_id, d.status, q.name AS customer_name
               FROM deliveries d
               JOIN stops q ON q.business_id = d.business_id AND q.delivery_id = d.id AND q.kind = 'dropoff'
               WHERE d.id = $1 FOR SHARE OF d""",
            delivery_id,
        ),
        "delivery",
    )
    if row["driver_id"] is None or DeliveryStatus(row["status"]) not in WITH_DRIVER:
        raise Problem("illegal_transition", "No driver has this delivery, so there is nobody to write to.")
    if driver_id is not None:
        if row["driver_id"] != driver_id:
            raise Problem("not_found", "There is no delivery with this id.")
        name = await con.fetchval("SELECT name FROM driver_profiles WHERE id = $1", driver_id)
    made = await con.fetchrow(
        """INSERT INTO messages (id, business_id, delivery_id, driver_id, channel, sender, name, text, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *""",
        new_id(),
        row["business_id"],
        delivery_id,
        row["driver_id"],
        channel,
        sender,
        name or row["customer_name"],
        text,
        at,
    )
    assert made is not None
    view = view_of(made)
    await emit(
        con,
        event(
            EventType.MESSAGE_SENT,
            at=now,
            operator_id=row["operator_id"],
            business_id=row["business_id"],
            driver_id=row["driver_id"],
            subject=delivery_id,
            data=msgspec.to_builtins(view),
        ),
    )
    return view


async def for_driver(con: Connection, driver_id: UUID, last_event: str) -> list[MessageView]:
    """Return what was written about the deliveries a driver has, after a message that he knows; some may repeat."""
    rows = await con.fetch(
        """SELECT m.* FROM messages m
           JOIN deliveries d ON d.business_id = m.business_id AND d.id = m.delivery_id AND d.driver_id = m.driver_id
           WHERE m.driver_id = $1 AND d.status = ANY($2) AND m.id >= $3 ORDER BY m.id DESC LIMIT $4""",
        driver_id,
        [status.value for status in WITH_DRIVER],
        _from(last_event),
        SHOWN_MAX,
    )
    return [view_of(row) for row in reversed(rows)]


async def for_customer(con: Connection, delivery_id: UUID) -> list[dict[str, Any]]:
    """Return what a delivery's customer and its drivers wrote, with drivers' first names alone."""
    rows = await con.fetch(
        "SELECT * FROM messages WHERE delivery_id = $1 AND channel = 'customer' ORDER BY id DESC LIMIT $2",
        delivery_id,
        SHOWN_MAX,
    )
    return [
        {
            "id": show(Kind.MESSAGE, row["id"]),
            "sender": row["sender"],
            "name": row["name"].split(" ")[0] if row["sender"] == "driver" else row["name"],
            "text": row["text"],
            "at": row["at"],
        }
        for row in reversed(rows)
    ]


def view_of(row: Record) -> MessageView:
    """Return a row as the desk and the driver see it."""
    return MessageView(
        show(Kind.MESSAGE, row["id"]),
        show(Kind.DELIVERY, row["delivery_id"]),
        row["channel"],
        row["sender"],
        row["name"],
        row["text"],
        row["at"],
    )


def _from(last_event: str) -> UUID:
    try:
        known = ids.parse(Kind.MESSAGE, last_event)
    except Problem:
        return UUID(int=0)
    return earliest(max(from_ms(known.int >> 80) - ORDER_SLACK, from_ms(0)))
