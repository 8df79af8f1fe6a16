"""Writes a planned city into an installation: operator, businesses, menus, people, and sessions that let them in."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from kernel.db import Database, Reason, one
from kernel.ids import Kind, show
from onward.simulator.plan import CityPlan
from storefront_api.catalog import service as catalog
from tenancy import service as tenancy
from tenancy.passwords import hash_password
from tenancy.stores import create_store

OPERATOR: Final = "City Couriers"
FILE_MODE: Final = 0o600
_ADMIN: Final = """
SELECT m.operator_id, u.password_hash FROM users u JOIN memberships m ON m.user_id = u.id WHERE u.email = $1
"""


class BusinessAccess(msgspec.Struct, frozen=True):
    """A business, its owner's session and an API key."""

    id: str
    name: str
    subdomain: str
    token: str
    api_key: str
    stores: tuple[str, ...]
    products: tuple[str, ...]
    """Product ids in the order of the plan's menu."""


class CourierAccess(msgspec.Struct, frozen=True):
    """A courier and his session."""

    id: str
    name: str
    token: str


class Access(msgspec.Struct, frozen=True):
    """What lets the simulated people in; `admin_password` is for people who want to sign in themselves."""

    admin_email: str
    admin_password: str
    admin_token: str
    businesses: tuple[BusinessAccess, ...]
    couriers: tuple[CourierAccess, ...]

    def save(self, path: Path) -> None:
        """Write to a file that only its owner can read."""
        path.touch(mode=FILE_MODE)
        path.write_bytes(msgspec.json.encode(self))


async def seed_visitor(db: Database, access: Access) -> str:
    """Add a driver of the shared pool whom nobody plays: whoever tries the demo is he. Return his e-mail address.

    He signs in with the administrator's password.
    """
    async with db.platform_tx(Reason.SEED) as con:
        admin = one(await con.fetchrow(_ADMIN, access.admin_email), "user")
        email = access.admin_email.replace("admin", "driver", 1)
        await tenancy.create_driver(
            con,
            operator_id=admin["operator_id"],
            email=email,
            password_hash=admin["password_hash"],
            name="You",
            vehicle="bicycle",
            pool="shared_pool",
        )
    return email


async def seed_city(db: Database, plan: CityPlan, *, currency: str = "EUR") -> Access:
    """Create everything the plan names; return sessions. Each call makes an operator of its own."""
    now = datetime.now(UTC)
    tag = secrets.token_hex(3)
    password = secrets.token_urlsafe(9)
    kept = await hash_password(password)
    async with db.platform_tx(Reason.SEED) as con:
        operator_id = await tenancy.create_operator(con, name=OPERATOR, currency=currency)
        email = f"admin-{tag}@onward.example"
        admin_id = await tenancy.create_user(
            con, operator_id=operator_id, email=email, password_hash=kept, name="Admin", role="platform_admin"
        )
        business_ids, businesses = [], []
        for planned in plan.businesses:
            taken = await con.fetchval("SELECT 1 FROM businesses WHERE subdomain = $1", planned.subdomain)
            subdomain = f"{planned.subdomain}-{tag}" if taken else planned.subdomain
            business_id = await tenancy.create_business(
                con,
                operator_id=operator_id,
                name=planned.name,
                subdomain=subdomain,
                currency=currency,
                color=planned.color,
            )
            business_ids.append(business_id)
            stores = [
                await create_store(
                    con,
                    business_id=business_id,
                    name=store.name,
                    address=store.address,
                    lat=store.lat,
                    lng=store.lng,
                )
                for store in planned.stores
            ]
            menu_id = await catalog.create_category(con, business_id=business_id, name="Menu")
            products = [
                await catalog.create_product(
                    con, business_id=business_id, name=name, price_minor=price_minor, category_id=menu_id, position=n
                )
                for n, (name, price_minor) in enumerate(planned.menu)
            ]
            owner = await tenancy.create_user(
                con,
                operator_id=operator_id,
                email=f"owner-{subdomain}-{tag}@onward.example",
                password_hash=kept,
                name=f"{planned.name} owner",
                role="business_owner",
                business_id=business_id,
            )
            token = await tenancy.open_session(con, user_id=owner, now=now)
            _, api_key = await tenancy.create_api_key(con, business_id=business_id, name="demo")
            businesses.append(
                BusinessAccess(
                    show(Kind.BUSINESS, business_id),
                    planned.name,
                    subdomain,
                    token,
                    api_key,
                    tuple(show(Kind.STORE, store_id) for store_id in stores),
                    tuple(show(Kind.PRODUCT, product_id) for product_id in products),
                )
            )
        couriers = []
        for number, courier in enumerate(plan.couriers):
            own = () if courier.business is None else (business_ids[courier.business],)
            driver_id, user_id = await tenancy.create_driver(
                con,
                operator_id=operator_id,
                email=f"courier-{number}-{tag}@onward.example",
                password_hash=kept,
                name=courier.name,
                vehicle=courier.vehicle.value,
                pool="dedicated" if own else "shared_pool",
                business_ids=own,
            )
            token = await tenancy.open_session(con, user_id=user_id, now=now)
            couriers.append(CourierAccess(show(Kind.DRIVER, driver_id), courier.name, token))
        admin_token = await tenancy.open_session(con, user_id=admin_id, now=now)
    return Access(email, password, admin_token, tuple(businesses), tuple(couriers))
