"""The order's life as a table. Payment has a state of its own; the two are never one field."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kernel.machine import Machine


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    PLACED = "placed"
    ACCEPTED = "accepted"
    PREPARING = "preparing"
    READY = "ready"
    OUT_FOR_DELIVERY = "out_for_delivery"
    COMPLETED = "completed"
    REJECTED = "rejected"
    CANCELED = "canceled"


class OrderEvent(StrEnum):
    """What can happen to an order."""

    ACCEPT = "be accepted"
    START = "be prepared"
    FINISH = "be ready"
    LEAVE = "leave the store"
    COMPLETE = "be completed"
    REJECT = "be rejected"
    CANCEL = "be canceled"


S, E = OrderStatus, OrderEvent

ORDER: Final = Machine[OrderStatus, OrderEvent](
    "order",
    S.PLACED,
    {
        (S.PLACED, E.ACCEPT): S.ACCEPTED,
        (S.PLACED, E.REJECT): S.REJECTED,
        (S.PLACED, E.CANCEL): S.CANCELED,
        (S.ACCEPTED, E.START): S.PREPARING,
        (S.ACCEPTED, E.FINISH): S.READY,
        (S.ACCEPTED, E.LEAVE): S.OUT_FOR_DELIVERY,
        (S.ACCEPTED, E.CANCEL): S.CANCELED,
        (S.PREPARING, E.FINISH): S.READY,
        (S.PREPARING, E.LEAVE): S.OUT_FOR_DELIVERY,
        (S.PREPARING, E.CANCEL): S.CANCELED,
        (S.READY, E.LEAVE): S.OUT_FOR_DELIVERY,
        (S.READY, E.CANCEL): S.CANCELED,
        (S.OUT_FOR_DELIVERY, E.COMPLETE): S.COMPLETED,
        (S.OUT_FOR_DELIVERY, E.CANCEL): S.CANCELED,
    },
)

BY_BUSINESS: Final[dict[str, OrderEvent]] = {
    "accepted": E.ACCEPT,
    "preparing": E.START,
    "ready": E.FINISH,
    "rejected": E.REJECT,
    "canceled": E.CANCEL,
}
"""The statuses a business can ask for, and what must have happened."""
