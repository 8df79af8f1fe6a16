"""The delivery's life as a table. Arrival may come from driver, geofence or dispatcher: the source is kept."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kernel.machine import Machine


class DeliveryStatus(StrEnum):
    """Where a delivery is in its life."""

    PENDING = "pending"
    OFFERED = "offered"
    ASSIGNED = "assigned"
    EN_ROUTE_TO_PICKUP = "en_route_to_pickup"
    ARRIVED_AT_PICKUP = "arrived_at_pickup"
    PICKED_UP = "picked_up"
    EN_ROUTE_TO_DROPOFF = "en_route_to_dropoff"
    ARRIVED_AT_DROPOFF = "arrived_at_dropoff"
    DELIVERED = "delivered"
    CANCELED = "canceled"
    FAILED = "failed"
    RETURNING = "returning"
    RETURNED = "returned"


class DeliveryEvent(StrEnum):
    """What can happen to a delivery."""

    OFFER = "be offered"
    OFFER_LOST = "lose its offer"
    ASSIGN = "be assigned"
    UNASSIGN = "be unassigned"
    DEPART_TO_PICKUP = "depart to the pickup"
    ARRIVE_AT_PICKUP = "arrive at the pickup"
    PICK_UP = "be picked up"
    DEPART_TO_DROPOFF = "depart to the drop-off"
    ARRIVE_AT_DROPOFF = "arrive at the drop-off"
    DELIVER = "be delivered"
    CANCEL = "be canceled"
    FAIL = "fail"
    RETURN = "be brought back"
    RETURN_DONE = "be returned"


S, E = DeliveryStatus, DeliveryEvent

DELIVERY: Final = Machine[DeliveryStatus, DeliveryEvent](
    "delivery",
    S.PENDING,
    {
        (S.PENDING, E.OFFER): S.OFFERED,
        (S.PENDING, E.CANCEL): S.CANCELED,
        (S.OFFERED, E.OFFER_LOST): S.PENDING,
        (S.OFFERED, E.ASSIGN): S.ASSIGNED,
        (S.OFFERED, E.CANCEL): S.CANCELED,
        (S.ASSIGNED, E.DEPART_TO_PICKUP): S.EN_ROUTE_TO_PICKUP,
        (S.ASSIGNED, E.ARRIVE_AT_PICKUP): S.ARRIVED_AT_PICKUP,
        (S.ASSIGNED, E.UNASSIGN): S.PENDING,
        (S.ASSIGNED, E.CANCEL): S.CANCELED,
        (S.EN_ROUTE_TO_PICKUP, E.ARRIVE_AT_PICKUP): S.ARRIVED_AT_PICKUP,
        (S.EN_ROUTE_TO_PICKUP, E.UNASSIGN): S.PENDING,
        (S.EN_ROUTE_TO_PICKUP, E.CANCEL): S.CANCELED,
        (S.ARRIVED_AT_PICKUP, E.PICK_UP): S.PICKED_UP,
        (S.ARRIVED_AT_PICKUP, E.UNASSIGN): S.PENDING,
        (S.ARRIVED_AT_PICKUP, E.CANCEL): S.CANCELED,
        (S.PICKED_UP, E.DEPART_TO_DROPOFF): S.EN_ROUTE_TO_DROPOFF,
        (S.PICKED_UP, E.ARRIVE_AT_DROPOFF): S.ARRIVED_AT_DROPOFF,
        (S.PICKED_UP, E.FAIL): S.FAILED,
        (S.EN_ROUTE_TO_DROPOFF, E.ARRIVE_AT_DROPOFF): S.ARRIVED_AT_DROPOFF,
        (S.EN_ROUTE_TO_DROPOFF, E.FAIL): S.FAILED,
        (S.ARRIVED_AT_DROPOFF, E.DELIVER): S.DELIVERED,
        (S.ARRIVED_AT_DROPOFF, E.FAIL): S.FAILED,
        (S.FAILED, E.RETURN): S.RETURNING,
        (S.RETURNING, E.RETURN_DONE): S.RETURNED,
    },
)

TRACKABLE_AFTER_H: Final = 24
"""How long a customer's link shows a finished delivery."""
FINISHED: Final = frozenset({S.DELIVERED, S.CANCELED, S.RETURNED})
BEFORE_PICKUP: Final = frozenset({S.ASSIGNED, S.EN_ROUTE_TO_PICKUP, S.ARRIVED_AT_PICKUP})
WITH_DRIVER: Final = frozenset(
    {
        S.ASSIGNED,
        S.EN_ROUTE_TO_PICKUP,
        S.ARRIVED_AT_PICKUP,
        S.PICKED_UP,
        S.EN_ROUTE_TO_DROPOFF,
        S.ARRIVED_AT_DROPOFF,
        S.FAILED,
        S.RETURNING,
    }
)

BY_DRIVER: Final[dict[str, DeliveryEvent]] = {
    "en_route_to_pickup": E.DEPART_TO_PICKUP,
    "arrived_at_pickup": E.ARRIVE_AT_PICKUP,
    "picked_up": E.PICK_UP,
    "en_route_to_dropoff": E.DEPART_TO_DROPOFF,
    "arrived_at_dropoff": E.ARRIVE_AT_DROPOFF,
    "delivered": E.DELIVER,
    "failed": E.FAIL,
    "returning": E.RETURN,
    "returned": E.RETURN_DONE,
}
"""The statuses a driver can ask for, and what must have happened."""
