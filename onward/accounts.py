"""`onward init` and `onward add`: an operator, its businesses, stores and drivers, and what lets them in."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import msgspec

from geo.point import Point
from geo.travel import Vehicle
from kernel.db import Connection, Database, Reason, Record
from kernel.ids import Kind, show
from onward.errors import Refused
from onward.migrate import migrate
from tenancy import service
from tenancy.passwords import hash_password
from tenancy.stores import create_store

PASSWORD_BYTES: Final = 12
SUBDOMAIN: Final = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


class Login(msgspec.Struct, frozen=True):
    """An e-mail address and a password."""

    email: str
    password: str


class NewStore(msgspec.Struct, frozen=True):
    """A place where goods wait."""

    name: str
    address: str
    at: Point


class NewBusiness(msgspec.Struct, frozen=True):
    """A business with its first store and its owner."""

    name: str
    subdomain: str
    store: NewStore
    owner: Login


class Made(msgspec.Struct, frozen=True):
    """A business' store, and its API key, which is seen only now."""

    store_id: str
    api_key: str


def new_password() -> str:
    """Return a password for somebody who gave none."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def subdomain_of(name: str) -> str:
    """Return a name as it can stand in an address; empty when nothing of it can."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")


async def has_operator(db: Database) -> bool:
    """Say whether `onward init` was run."""
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        return bool(await con.fetchval("SELECT EXISTS (SELECT FROM operators)"))


async def prepare_init(database_url: str) -> None:
    """Bring the database up to date; refuses when there is an operator."""
    async with _database(database_url) as db:
        if await has_operator(db):
            raise Refused("There is an operator already: add to it with `onward add business`, `store` or `driver`.")


async def init(
    database_url: str, *, operator: str, currency: str, time_zone: str, admin: Login, business: NewBusiness
) -> Made:
    """Create the operator, its admin and its first business: all of it or nothing."""
    admin_hash, owner_hash = await hash_password(admin.password), await hash_password(business.owner.password)
    async with _database(database_url) as db, db.platform_tx(Reason.ADMIN) as con:
        operator_id = await service.create_operator(con, name=operator, currency=currency, time_zone=time_zone)
        await service.create_user(
            con,
            operator_id=operator_id,
            email=admin.email,
            password_hash=admin_hash,
            name=f"{operator} admin",
            role="platform_admin",
        )
        return await _create_business(con, operator_id, currency, time_zone, business, owner_hash)


async def prepare_add(database_url: str) -> None:
    """Bring the database up to date; refuses when there is no operator yet."""
    async with _database(database_url) as db:
        if not await has_operator(db):
            raise Refused("There is no operator yet: run `onward init` first.")


async def add_business(database_url: str, business: NewBusiness) -> Made:
    """Create another business of the operator."""
    owner_hash = await hash_password(business.owner.password)
    async with _database(database_url) as db, db.platform_tx(Reason.ADMIN) as con:
        operator = await con.fetchrow("SELECT id, currency, time_zone FROM operators ORDER BY created_at LIMIT 1")
        assert operator is not None
        return await _create_business(
            con, operator["id"], operator["currency"], operator["time_zone"], business, owner_hash
        )


async def add_store(database_url: str, subdomain: str, store: NewStore) -> str:
    """Create another store of a business; return its public id."""
    async with _database(database_url) as db, db.platform_tx(Reason.ADMIN) as con:
        business = await _business(con, subdomain)
        return show(Kind.STORE, await _create_store(con, business["id"], business["time_zone"], store))


async def add_driver(
    database_url: str, *, name: str, vehicle: Vehicle, login: Login, subdomain: str | None, skills: list[str]
) -> None:
    """Create a driver: of one business, or of the shared pool."""
    password_hash = await hash_password(login.password)
    async with _database(database_url) as db, db.platform_tx(Reason.ADMIN) as con:
        own = () if subdomain is None else ((await _business(con, subdomain))["id"],)
        await service.create_driver(
            con,
            operator_id=await con.fetchval("SELECT id FROM operators ORDER BY created_at LIMIT 1"),
            email=login.email,
            password_hash=password_hash,
            name=name,
            vehicle=vehicle.value,
            pool="dedicated" if own else "shared_pool",
            business_ids=own,
            skills=skills,
        )


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    await migrate(url)
    db = await Database.connect(url, size_max=2)
    try:
        yield db
    finally:
        await db.close()


async def _business(con: Connection, subdomain: str) -> Record:
    row = await con.fetchrow(
        """SELECT b.id, o.time_zone FROM businesses b JOIN operators o ON o.id = b.operator_id
           WHERE b.subdomain = $1""",
        subdomain,
    )
    if row is None:
        known = [row["subdomain"] for row in await con.fetch("SELECT subdomain FROM businesses ORDER BY subdomain")]
        raise Refused(f"There is no business {subdomain}; there are: {', '.join(known)}.")
    return row


async def _create_business(
    con: Connection, operator_id: UUID, currency: str, time_zone: str, new: NewBusiness, owner_hash: str
) -> Made:
    business_id = await service.create_business(
        con, operator_id=operator_id, name=new.name, subdomain=new.subdomain, currency=currency
    )
    store_id = await _create_store(con, business_id, time_zone, new.store)
    await service.create_user(
        con,
        operator_id=operator_id,
        email=new.owner.email,
        password_hash=owner_hash,
        name=f"{new.name} owner",
        role="business_owner",
        business_id=business_id,
    )
    _, key = await service.create_api_key(con, business_id=business_id, name="first")
    return Made(show(Kind.STORE, store_id), key)


async def _create_store(con: Connection, business_id: UUID, time_zone: str, new: NewStore) -> UUID:
    return await create_store(
        con,
        business_id=business_id,
        name=new.name,
        address=new.address,
        lat=new.at.lat,
        lng=new.at.lng,
        time_zone=time_zone,
    )
