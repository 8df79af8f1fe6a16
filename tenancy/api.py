"""The door over HTTP: signing in and out, and who am I."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from kernel import ids
from kernel.access import Permission, Principal
from kernel.db import Database, Reason, one
from kernel.errors import Problem
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind
from tenancy import audit, service
from tenancy.skills import Skills, in_order

Email = Annotated[str, msgspec.Meta(max_length=320)]
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """E-mail address and password."""

    email: Email
    password: Password


class CustomerCredentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer's e-mail address and password at one shop."""

    subdomain: str
    email: Email
    password: Password


class NewCustomer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer's account at one shop."""

    subdomain: str
    email: Email
    password: Password
    name: Name
    phone: Annotated[str, msgspec.Meta(max_length=40)] = ""


class PrincipalView(msgspec.Struct, frozen=True):
    """Who is signed in."""

    kind: str
    name: str
    role: str
    operator_id: str | None
    business_id: str | None
    driver_id: str | None
    customer_id: str | None


class SessionView(msgspec.Struct, frozen=True):
    """A session: send `token` as `Authorization: Bearer …`."""

    token: str
    principal: PrincipalView


def view(principal: Principal) -> PrincipalView:
    """Return a caller as the API shows it."""
    return PrincipalView(
        kind=principal.who,
        name=principal.name,
        role=principal.role,
        operator_id=ids.show_or_none(Kind.OPERATOR, principal.operator_id),
        business_id=ids.show_or_none(Kind.BUSINESS, principal.business_id),
        driver_id=ids.show_or_none(Kind.DRIVER, principal.driver_id),
        customer_id=ids.show_or_none(Kind.CUSTOMER, principal.customer_id),
    )


async def log_in(ctx: Ctx, body: Credentials) -> SessionView:
    """Sign in as an admin, a business user or a driver"""
    token, principal = await service.log_in(ctx.db, email=body.email, password=body.password, now=ctx.clock.now())
    return SessionView(token, view(principal))


async def log_out(ctx: Ctx) -> None:
    """Sign out: the token is worthless from now on"""
    await service.log_out(ctx.db, ctx.request.headers["Authorization"].partition(" ")[2].strip())


async def me(ctx: Ctx) -> PrincipalView:
    """Who am I?"""
    return view(ctx.principal)


async def log_in_customer(ctx: Ctx, body: CustomerCredentials) -> SessionView:
    """Sign in as a customer of a shop"""
    business_id = await _business(ctx.db, body.subdomain)
    token, principal = await service.log_in_customer(
        ctx.db, business_id=business_id, email=body.email, password=body.password, now=ctx.clock.now()
    )
    return SessionView(token, view(principal))


async def register_customer(ctx: Ctx, body: NewCustomer) -> SessionView:
    """Create a customer's account at a shop and sign in"""
    business_id = await _business(ctx.db, body.subdomain)
    token, principal = await service.register_customer(
        ctx.db,
        business_id=business_id,
        email=body.email,
        password=body.password,
        name=body.name,
        phone=body.phone,
        now=ctx.clock.now(),
    )
    return SessionView(token, view(principal))


async def _business(db: Database, subdomain: str) -> UUID:
    async with db.platform_tx(Reason.RESOLVE_STOREFRONT, readonly=True) as con:
        business_id: UUID | None = await con.fetchval(
            "SELECT id FROM businesses WHERE subdomain = $1 AND status = 'active'", subdomain
        )
    if business_id is None:
        raise Problem("not_found", "There is no shop at this address.")
    return business_id


class NewApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name to tell keys apart."""

    name: Name


class NewApiKeyView(msgspec.Struct, frozen=True):
    """A new key. It is shown once: keep it safe."""

    id: str
    key: str
    name: str


class ApiKeyView(msgspec.Struct, frozen=True):
    """A key by its name and its last four characters; revoked, it opens nothing any more."""

    id: str
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None


class ApiKeys(msgspec.Struct, frozen=True):
    """The keys of a business, newest first."""

    data: list[ApiKeyView]


class ApiKeyPath(msgspec.Struct, frozen=True):
    """Which key."""

    id: str


async def create_api_key(ctx: Ctx, body: NewApiKey) -> NewApiKeyView:
    """Create an API key for this business. A key itself can't"""
    business_id = ctx.principal.business()
    async with ctx.db.tenant_tx(business_id) as con:
        key_id, key = await service.create_api_key(con, business_id=business_id, name=body.name)
        made = NewApiKeyView(ids.show(Kind.API_KEY, key_id), key, body.name)
        detail = {"id": made.id, "name": made.name}
        await audit.note(con, ctx.principal, "api_key.created", detail, business_id=business_id)
    return made


async def list_api_keys(ctx: Ctx) -> ApiKeys:
    """Which API keys does this business have?"""
    async with ctx.db.tenant_tx(ctx.principal.business(), readonly=True) as con:
        rows = await con.fetch(
            "SELECT id, name, hint, created_at, revoked_at FROM api_keys ORDER BY created_at DESC, id DESC"
        )
    return ApiKeys([ApiKeyView(ids.show(Kind.API_KEY, row["id"]), *row[1:]) for row in rows])


async def revoke_api_key(ctx: Ctx, path: ApiKeyPath) -> None:
    """Take an API key back: from now on it opens nothing. Twice is fine"""
    business_id = ctx.principal.business()
    async with ctx.db.tenant_tx(business_id) as con:
        row = await con.fetchrow(
            "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING name",
            ids.parse(Kind.API_KEY, path.id),
            ctx.clock.now(),
        )
        detail = {"id": path.id, "name": one(row, "API key")["name"]}
        await audit.note(con, ctx.principal, "api_key.revoked", detail, business_id=business_id)


class DriverPath(msgspec.Struct, frozen=True):
    """Which driver."""

    id: str


class DriverChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What he can do."""

    skills: Skills


class DriverView(msgspec.Struct, frozen=True):
    """A driver of this operator."""

    id: str
    name: str
    vehicle: str
    pool: str
    skills: list[str]


async def change_driver(ctx: Ctx, path: DriverPath, body: DriverChange) -> DriverView:
    """Say what a driver can do"""
    async with ctx.db.platform_tx(Reason.ADMIN) as con:
        row = one(
            await con.fetchrow(
                "UPDATE driver_profiles SET skills = $3 WHERE id = $1 AND operator_id = $2 RETURNING *",
                ids.parse(Kind.DRIVER, path.id),
                ctx.principal.operator(),
                in_order(body.skills),
            ),
            "driver",
        )
        await audit.note(
            con, ctx.principal, "driver.changed", {"id": path.id, "skills": row["skills"]}, business_id=None
        )
    return DriverView(path.id, row["name"], row["vehicle"], row["pool"], row["skills"])


ROUTES = (
    Route("POST", "/api/v1/auth/login", log_in, Permission.PUBLIC, Rate.LOGIN),
    Route("POST", "/api/v1/auth/logout", log_out, Permission.SIGNED_IN, Rate.WRITE),
    Route("GET", "/api/v1/auth/me", me, Permission.SIGNED_IN, Rate.READ),
    Route("POST", "/api/v1/auth/customer/register", register_customer, Permission.PUBLIC, Rate.LOGIN, 201),
    Route("POST", "/api/v1/auth/customer/login", log_in_customer, Permission.PUBLIC, Rate.LOGIN),
    Route("POST", "/api/v1/api-keys", create_api_key, Permission.API_KEYS, Rate.WRITE, 201),
    Route("GET", "/api/v1/api-keys", list_api_keys, Permission.API_KEYS, Rate.READ),
    Route("DELETE", "/api/v1/api-keys/{id}", revoke_api_key, Permission.API_KEYS, Rate.WRITE, 204),
    Route("PATCH", "/api/v1/admin/drivers/{id}", change_driver, Permission.PLATFORM_WRITE, Rate.WRITE),
)
