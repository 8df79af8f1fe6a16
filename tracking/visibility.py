"""Who may see whom: a driver's place is personal data, shown to those his work concerns, while it concerns them."""

from __future__ import annotations

from typing import Final

DRIVER_ON_THE_WAY: Final = frozenset(
    {
        "assigned",
        "en_route_to_pickup",
        "arrived_at_pickup",
        "picked_up",
        "en_route_to_dropoff",
        "arrived_at_dropoff",
    }
)


def customer_sees_driver(status: str, stops_before: int | None, stops_before_max: int) -> bool:
    """A customer sees the driver while he carries the order and the customer is one of the next stops."""
    return status in DRIVER_ON_THE_WAY and stops_before is not None and stops_before <= stops_before_max


def business_sees_driver(*, dedicated: bool, state: str, carries_its_delivery: bool) -> bool:
    """A business sees its dedicated drivers on shift, and drivers of the pool while they carry its deliveries."""
    return carries_its_delivery or (dedicated and state != "offline")
