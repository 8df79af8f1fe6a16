"""Every durable event, on one page: what may cross between rooms, with the fields it carries.

An event is written in the same transaction as the change it tells of, and handled at least once by idempotent
consumers.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from kernel.ids import new_id


class EventType(StrEnum):
    """`noun.past_tense`."""

    ORDER_PLACED = "order.placed"
    ORDER_ACCEPTED = "order.accepted"
    ORDER_READY = "order.ready"
    ORDER_REJECTED = "order.rejected"
    ORDER_CANCELED = "order.canceled"
    ORDER_COMPLETED = "order.completed"

    DELIVERY_CREATED = "delivery.created"
    DELIVERY_OFFERED = "delivery.offered"
    DELIVERY_UNASSIGNED = "delivery.unassigned"
    DELIVERY_ASSIGNED = "delivery.assigned"
    DELIVERY_EN_ROUTE_TO_PICKUP = "delivery.en_route_to_pickup"
    DELIVERY_ARRIVED_AT_PICKUP = "delivery.arrived_at_pickup"
    DELIVERY_PICKED_UP = "delivery.picked_up"
    DELIVERY_EN_ROUTE_TO_DROPOFF = "delivery.en_route_to_dropoff"
    DELIVERY_ARRIVED_AT_DROPOFF = "delivery.arrived_at_dropoff"
    DELIVERY_DELIVERED = "delivery.delivered"
    DELIVERY_CANCELED = "delivery.canceled"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_RETURNING = "delivery.returning"
    DELIVERY_RETURNED = "delivery.returned"
    DELIVERY_ETA_CHANGED = "delivery.eta_changed"
    DELIVERY_DELAYED = "delivery.delayed"
    DELIVERY_UPDATED = "delivery.updated"
    DELIVERY_REORDERED = "delivery.reordered"
    DELIVERY_UNDELIVERABLE = "delivery.undeliverable"

    OFFER_SENT = "offer.sent"
    OFFER_ACCEPTED = "offer.accepted"
    OFFER_DECLINED = "offer.declined"
    OFFER_EXPIRED = "offer.expired"
    OFFER_REVOKED = "offer.revoked"

    DRIVER_STATE_CHANGED = "driver.state_changed"
    DRIVER_MOVE_SUGGESTED = "driver.move_suggested"
    DRIVER_MOVE_ENDED = "driver.move_ended"
    DRIVER_APPROACHED = "driver.approached"
    DRIVER_ARRIVED = "driver.arrived"
    DRIVER_LEFT = "driver.left"

    MESSAGE_SENT = "message.sent"

    STORE_CLOSED = "store.closed"
    STORE_OPENED = "store.opened"

    ALERT_RAISED = "alert.raised"
    ALERT_CHANGED = "alert.changed"
    ALERT_ENDED = "alert.ended"

    EARNING_POSTED = "earning.posted"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One fact. `subject` is the id of what it is about; `sequence` counts per subject; `data` is its public object.

    Ids inside `data` are in their public form (`del_…`).
    """

    id: UUID
    type: EventType
    operator_id: UUID
    subject: UUID
    business_id: UUID | None = None
    driver_id: UUID | None = None
    sequence: int = 0
    created_at: datetime
    data: dict[str, Any] = {}


def event(
    type: EventType,  # noqa: A002 - the envelope's own word
    *,
    at: datetime,
    operator_id: UUID,
    subject: UUID,
    business_id: UUID | None = None,
    driver_id: UUID | None = None,
    sequence: int = 0,
    data: dict[str, Any] | None = None,
) -> Event:
    """Return a new event with an id of its own."""
    return Event(
        id=new_id(),
        type=type,
        operator_id=operator_id,
        subject=subject,
        business_id=business_id,
        driver_id=driver_id,
        sequence=sequence,
        created_at=at,
        data=data or {},
    )
