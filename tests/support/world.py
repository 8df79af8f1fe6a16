"""A small world to tell stories in: one operator, two businesses with a store each, and people who can sign in.

Everything stands in central Helsinki. `rosso` has a dedicated driver and uses the shared pool; `verde` only the pool.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from kernel.db import Database, Reason
from tenancy import service
from tenancy.stores import create_store

NO_PASSWORD = "no-password-in-tests"


@dataclass
class Driver:
    """A driver and what lets him in."""

    id: UUID
    name: str
    token: str


@dataclass
class Business:
    """A business, its store and what lets its owner in."""

    id: UUID
    name: str
    subdomain: str
    store_id: UUID
    lat: float
    lng: float
    token: str
    products: list[UUID] = field(default_factory=list)


@dataclass
class World:
    """Who is there."""

    operator_id: UUID
    admin_token: str
    rosso: Business
    verde: Business
    dedicated: Driver
    pool: list[Driver]


async def make_world(db: Database, *, pool_drivers: int = 3) -> World:
    """Write the world into a database."""
    now = datetime.now(UTC)
    async with db.platform_tx(Reason.SEED) as con:
        operator_id = await service.create_operator(con, name="Helsinki Couriers", currency="EUR")
        admin = await service.create_user(
            con,
            operator_id=operator_id,
            email="admin@example.com",
            password_hash=NO_PASSWORD,
            name="Aino Admin",
            role="platform_admin",
        )
        businesses = []
        for name, lat, lng in (("Rosso", 60.1690, 24.9400), ("Verde", 60.1720, 24.9450)):
            subdomain = name.lower()
            business_id = await service.create_business(
                con, operator_id=operator_id, name=name, subdomain=subdomain, currency="EUR"
            )
            store_id = await create_store(
                con, business_id=business_id, name=f"{name} Kamppi", address="Yrjönkatu 1", lat=lat, lng=lng
            )
            owner = await service.create_user(
                con,
                operator_id=operator_id,
                email=f"owner@{subdomain}.example",
                password_hash=NO_PASSWORD,
                name=f"{name} Owner",
                role="business_owner",
                business_id=business_id,
            )
            token = await service.open_session(con, user_id=owner, now=now)
            businesses.append(Business(business_id, name, subdomain, store_id, lat, lng, token))
        drivers = []
        for number in range(pool_drivers + 1):
            own = number == 0
            driver_id, user_id = await service.create_driver(
                con,
                operator_id=operator_id,
                email=f"driver{number}@example.com",
                password_hash=NO_PASSWORD,
                name="Dora Dedicated" if own else f"Pia Pool {number}",
                vehicle="bicycle",
                pool="dedicated" if own else "shared_pool",
                business_ids=(businesses[0].id,) if own else (),
            )
            token = await service.open_session(con, user_id=user_id, now=now)
            drivers.append(Driver(driver_id, "Dora Dedicated" if own else f"Pia Pool {number}", token))
        admin_token = await service.open_session(con, user_id=admin, now=now)
    return World(operator_id, admin_token, businesses[0], businesses[1], drivers[0], drivers[1:])
