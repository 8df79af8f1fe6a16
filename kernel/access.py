"""Who is asking and what a route may demand: the words of access. The door (`tenancy/`) decides who holds what."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import msgspec

from kernel.errors import Problem


class Permission(StrEnum):
    """What a route can ask for. `PUBLIC` needs no token; the others belong to roles in `tenancy/roles.py`."""

    PUBLIC = "public"
    SIGNED_IN = "signed_in"
    TRACK = "track"
    CUSTOMER = "customer"
    DRIVE = "drive"
    DEVICES_WRITE = "devices.write"
    TRIPS_READ = "trips.read"
    POSITIONS_ERASE = "positions.erase"
    DELIVERIES_READ = "deliveries.read"
    DELIVERIES_WRITE = "deliveries.write"
    BOARD_READ = "board.read"
    DISPATCH = "dispatch"
    POLICY_WRITE = "policy.write"
    ORDERS_READ = "orders.read"
    ORDERS_WRITE = "orders.write"
    CATALOG_WRITE = "catalog.write"
    API_KEYS = "api_keys"
    FINANCE_READ = "finance.read"
    PLATFORM_READ = "platform.read"
    PLATFORM_WRITE = "platform.write"


class Who(StrEnum):
    """The kinds of people and programs that come through the door."""

    ANYONE = "anyone"
    ADMIN = "admin"
    BUSINESS = "business"
    CUSTOMER = "customer"
    DRIVER = "driver"
    TRACKER = "tracker"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """One caller: which kind, whose, and holding what. Exactly the ids of its kind are set.

    admin: operator · business: operator, business · driver: operator, driver · customer: operator, business, customer ·
    tracker (the holder of a tracking link): operator, business, delivery.
    """

    who: Who
    name: str = ""
    role: str = ""
    permissions: frozenset[Permission] = frozenset()
    operator_id: UUID | None = None
    business_id: UUID | None = None
    driver_id: UUID | None = None
    customer_id: UUID | None = None
    delivery_id: UUID | None = None
    user_id: UUID | None = None

    def business(self) -> UUID:
        """Return the caller's business, or raise `forbidden`."""
        return _need(self.business_id, "This needs a business account.")

    def driver(self) -> UUID:
        """Return the caller's driver profile, or raise `forbidden`."""
        return _need(self.driver_id, "This needs a driver account.")

    def operator(self) -> UUID:
        """Return the operator the caller belongs to, or raise `forbidden`."""
        return _need(self.operator_id, "This needs an account of this platform.")

    def customer(self) -> UUID:
        """Return the caller's customer id, or raise `forbidden`."""
        return _need(self.customer_id, "This needs a customer account.")


ANYONE = Principal(who=Who.ANYONE)


def _need(value: UUID | None, detail: str) -> UUID:
    if value is None:
        raise Problem("forbidden", detail)
    return value
