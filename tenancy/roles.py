"""What each role may do: the one table behind every permission check."""

from __future__ import annotations

from typing import Final

from kernel.access import Permission

BUSINESS_STAFF: Final = frozenset(
    {
        Permission.SIGNED_IN,
        Permission.DELIVERIES_READ,
        Permission.DELIVERIES_WRITE,
        Permission.BOARD_READ,
        Permission.TRIPS_READ,
        Permission.DISPATCH,
        Permission.ORDERS_READ,
        Permission.ORDERS_WRITE,
    }
)
BUSINESS_OWNER: Final = BUSINESS_STAFF | {
    Permission.POLICY_WRITE,
    Permission.CATALOG_WRITE,
    Permission.FINANCE_READ,
    Permission.DEVICES_WRITE,
    Permission.POSITIONS_ERASE,
    Permission.API_KEYS,
}

PERMISSIONS: Final[dict[str, frozenset[Permission]]] = {
    "platform_admin": frozenset(
        {
            Permission.SIGNED_IN,
            Permission.BOARD_READ,
            Permission.DISPATCH,
            Permission.POLICY_WRITE,
            Permission.TRIPS_READ,
            Permission.DEVICES_WRITE,
            Permission.POSITIONS_ERASE,
            Permission.PLATFORM_READ,
            Permission.PLATFORM_WRITE,
        }
    ),
    "business_owner": BUSINESS_OWNER,
    "dispatcher": BUSINESS_STAFF,
    "api_key": BUSINESS_OWNER - {Permission.API_KEYS},
    "driver": frozenset({Permission.SIGNED_IN, Permission.DRIVE, Permission.DEVICES_WRITE, Permission.TRIPS_READ}),
    "customer": frozenset({Permission.SIGNED_IN, Permission.CUSTOMER, Permission.TRACK}),
    "tracker": frozenset({Permission.TRACK}),
}
