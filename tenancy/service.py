"""People and firms come in here: making them, signing them in, and turning a token into a caller."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from kernel.access import Principal, Who
from kernel.db import Connection, Database, Reason, Record
from kernel.errors import Problem, invalid
from kernel.ids import new_id
from tenancy.passwords import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN, hash_password, verify_password
from tenancy.roles import PERMISSIONS
from tenancy.skills import in_order
from tenancy.tokens import (
    API_KEY_PREFIX,
    SESSION_PREFIX,
    SESSION_TTL_S,
    TRACKING_PREFIX,
    TrackingLinks,
    new_api_key,
    new_session_token,
    token_hash,
)

EMAIL: Final = re.compile(r"^[^@\s]{1,64}@[^@\s]{1,190}\.[^@\s]{1,63}$")


def clean_email(text: str) -> str:
    """Return an e-mail address in the form it is kept in, or raise `validation_failed`."""
    email = text.strip().lower()
    if not EMAIL.match(email):
        raise invalid("email", "This is not an e-mail address.")
    return email


def check_password(password: str) -> str:
    """Return a password that is long enough, or raise `validation_failed`."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise invalid("password", f"Use {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters.")
    return password


# --- making ------------------------------------------------------------------------------------------------------


async def create_operator(con: Connection, *, name: str, currency: str, time_zone: str = "UTC") -> UUID:
    """Create an operator. Platform path."""
    operator_id = new_id()
    await con.execute(
        "INSERT INTO operators (id, name, currency, time_zone) VALUES ($1, $2, $3, $4)",
        operator_id,
        name,
        currency,
        time_zone,
    )
    return operator_id


async def create_business(
    con: Connection,
    *,
    operator_id: UUID,
    name: str,
    subdomain: str,
    currency: str,
    color: str = "#2563eb",
) -> UUID:
    """Create a business; raises `conflict` when the subdomain is taken. Platform path."""
    business_id = new_id()
    made = await con.fetchval(
        """INSERT INTO businesses (id, operator_id, name, subdomain, currency, color)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (subdomain) DO NOTHING RETURNING id""",
        business_id,
        operator_id,
        name,
        subdomain,
        currency,
        color,
    )
    if made is None:
        raise Problem("conflict", f"The subdomain {subdomain} is taken.")
    return business_id


async def create_user(
    con: Connection,
    *,
    operator_id: UUID,
    email: str,
    password_hash: str,
    name: str,
    role: str,
    business_id: UUID | None = None,
    driver_id: UUID | None = None,
) -> UUID:
    """Create a person with one role; raises `conflict` when the e-mail address has an account. Platform path.

    `password_hash` comes from `tenancy.passwords.hash_password`: hashing takes long, so not inside a transaction.
    """
    user_id = new_id()
    made = await con.fetchval(
        """INSERT INTO users (id, email, password_hash, name) VALUES ($1, $2, $3, $4)
           ON CONFLICT (email) DO NOTHING RETURNING id""",
        user_id,
        clean_email(email),
        password_hash,
        name,
    )
    if made is None:
        raise Problem("conflict", "There is an account with this e-mail address already.")
    if role != "driver":
        await _join(con, user_id, operator_id, role, business_id, driver_id)
    return user_id


async def create_driver(
    con: Connection,
    *,
    operator_id: UUID,
    email: str,
    password_hash: str,
    name: str,
    vehicle: str,
    pool: str,
    business_ids: tuple[UUID, ...] = (),
    priority: int = 1,
    phone: str = "",
    skills: Iterable[str] = (),
) -> tuple[UUID, UUID]:
    """Create a driver with his account; return (driver id, user id). Platform path."""
    if (pool == "dedicated") != bool(business_ids):
        raise invalid("business_ids", "A dedicated driver has businesses; a driver of the shared pool has none.")
    user_id = await create_user(
        con, operator_id=operator_id, email=email, password_hash=password_hash, name=name, role="driver"
    )
    driver_id = new_id()
    await con.execute(
        """INSERT INTO driver_profiles (id, operator_id, user_id, name, phone, vehicle, pool, skills)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        driver_id,
        operator_id,
        user_id,
        name,
        phone,
        vehicle,
        pool,
        in_order(skills),
    )
    for business_id in business_ids:
        await con.execute(
            "INSERT INTO driver_business_assignments (driver_id, business_id, priority) VALUES ($1, $2, $3)",
            driver_id,
            business_id,
            priority,
        )
    await _join(con, user_id, operator_id, "driver", None, driver_id)
    return driver_id, user_id


async def _join(
    con: Connection, user_id: UUID, operator_id: UUID, role: str, business_id: UUID | None, driver_id: UUID | None
) -> None:
    await con.execute(
        "INSERT INTO memberships (user_id, operator_id, business_id, driver_id, role) VALUES ($1, $2, $3, $4, $5)",
        user_id,
        operator_id,
        business_id,
        driver_id,
        role,
    )


async def create_api_key(con: Connection, *, business_id: UUID, name: str) -> tuple[UUID, str]:
    """Create an API key and return its id and itself: the only time it is seen."""
    key_id, key = new_id(), new_api_key()
    await con.execute(
        "INSERT INTO api_keys (id, key_hash, business_id, name, hint) VALUES ($1, $2, $3, $4, $5)",
        key_id, token_hash(key), business_id, name, f"…{key[-4:]}",
    )  # fmt: skip
    return key_id, key


# --- signing in --------------------------------------------------------------------------------------------------


async def open_session(con: Connection, *, user_id: UUID, now: datetime, ttl_s: int = SESSION_TTL_S) -> str:
    """Open a user's session and return its token. Platform path."""
    token = new_session_token()
    await con.execute(
        "INSERT INTO sessions (token_hash, user_id, expires_at) VALUES ($1, $2, $3)",
        token_hash(token),
        user_id,
        now + timedelta(seconds=ttl_s),
    )
    return token


async def open_customer_session(con: Connection, *, business_id: UUID, customer_id: UUID, now: datetime) -> str:
    """Open a customer's session and return its token. Platform path."""
    token = new_session_token()
    await con.execute(
        "INSERT INTO sessions (token_hash, business_id, customer_id, expires_at) VALUES ($1, $2, $3, $4)",
        token_hash(token),
        business_id,
        customer_id,
        now + timedelta(seconds=SESSION_TTL_S),
    )
    return token


async def log_in(db: Database, *, email: str, password: str, now: datetime) -> tuple[str, Principal]:
    """Sign a user in with e-mail and password; raises `bad_credentials` without saying which was wrong."""
    async with db.platform_tx(Reason.AUTHENTICATE, readonly=True) as con:
        user = await con.fetchrow("SELECT id, password_hash FROM users WHERE email = $1", email.strip().lower())
    if not await verify_password(user["password_hash"] if user else None, password) or user is None:
        raise Problem("bad_credentials")
    async with db.platform_tx(Reason.AUTHENTICATE) as con:
        token = await open_session(con, user_id=user["id"], now=now)
    return token, await _session_principal(db, token, now)


async def log_in_customer(
    db: Database, *, business_id: UUID, email: str, password: str, now: datetime
) -> tuple[str, Principal]:
    """Sign a customer of one business in; raises `bad_credentials`."""
    async with db.tenant_tx(business_id, readonly=True) as con:
        customer = await con.fetchrow("SELECT id, password_hash FROM customers WHERE email = $1", email.strip().lower())
    if not await verify_password(customer["password_hash"] if customer else None, password) or customer is None:
        raise Problem("bad_credentials")
    async with db.platform_tx(Reason.AUTHENTICATE) as con:
        token = await open_customer_session(con, business_id=business_id, customer_id=customer["id"], now=now)
    return token, await _session_principal(db, token, now)


async def log_out(db: Database, token: str) -> None:
    """Close a session; closing it twice is fine."""
    async with db.platform_tx(Reason.AUTHENTICATE) as con:
        await con.execute("DELETE FROM sessions WHERE token_hash = $1", token_hash(token))


async def register_customer(
    db: Database, *, business_id: UUID, email: str, password: str, name: str, phone: str, now: datetime
) -> tuple[str, Principal]:
    """Create a customer's account at one business and sign in; raises `conflict` when the address has an account."""
    kept = await hash_password(check_password(password))
    customer_id = new_id()
    async with db.tenant_tx(business_id) as con:
        made = await con.fetchval(
            """INSERT INTO customers (id, business_id, email, password_hash, name, phone)
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (business_id, email) DO NOTHING RETURNING id""",
            customer_id,
            business_id,
            clean_email(email),
            kept,
            name,
            phone,
        )
    if made is None:
        raise Problem("conflict", "There is an account with this e-mail address already.")
    async with db.platform_tx(Reason.AUTHENTICATE) as con:
        token = await open_customer_session(con, business_id=business_id, customer_id=customer_id, now=now)
    return token, await _session_principal(db, token, now)


# --- a token becomes a caller ------------------------------------------------------------------------------------


async def authenticate(db: Database, links: TrackingLinks, token: str, now: datetime) -> Principal:
    """Return who holds this token; raises `unauthenticated` or `token_expired`."""
    if token.startswith(SESSION_PREFIX):
        return await _session_principal(db, token, now)
    if token.startswith(API_KEY_PREFIX):
        return await _api_key_principal(db, token)
    if token.startswith(TRACKING_PREFIX):
        return await _tracking_principal(db, links, token)
    raise Problem("unauthenticated", "This token is not valid.")


_GOOD = """
SELECT s.token_hash FROM sessions s WHERE s.token_hash = ANY($1) AND s.expires_at > $2
  AND (s.customer_id IS NOT NULL OR EXISTS (SELECT FROM memberships m WHERE m.user_id = s.user_id))
UNION ALL
SELECT k.key_hash FROM api_keys k JOIN businesses b ON b.id = k.business_id
WHERE k.key_hash = ANY($1) AND k.revoked_at IS NULL AND b.status = 'active'
"""


async def ended(db: Database, tokens: Sequence[str], now: datetime) -> list[str]:
    """Return those of these tokens, which were good once, that were revoked or have run out (no links)."""
    hashes = {token_hash(token): token for token in tokens if not token.startswith(TRACKING_PREFIX)}
    async with db.platform_tx(Reason.AUTHENTICATE, readonly=True) as con:
        good = await con.fetch(_GOOD, list(hashes), now)
    return [hashes[one] for one in hashes.keys() - {row["token_hash"] for row in good}]


_SESSION = """
SELECT s.expires_at, s.user_id, s.customer_id, m.role, u.name AS user_name, c.name AS customer_name,
       m.driver_id, coalesce(m.business_id, s.business_id) AS business_id,
       coalesce(m.operator_id, b.operator_id) AS operator_id
FROM sessions s
LEFT JOIN users u ON u.id = s.user_id
LEFT JOIN memberships m ON m.user_id = s.user_id
LEFT JOIN customers c ON c.id = s.customer_id
LEFT JOIN businesses b ON b.id = s.business_id
WHERE s.token_hash = $1 ORDER BY m.role LIMIT 1
"""


async def _session_principal(db: Database, token: str, now: datetime) -> Principal:
    async with db.platform_tx(Reason.AUTHENTICATE, readonly=True) as con:
        row = await con.fetchrow(_SESSION, token_hash(token))
    if row is None:
        raise Problem("unauthenticated", "This token is not valid: sign in again.")
    if row["expires_at"] <= now:
        raise Problem("token_expired", "Sign in again.")
    if row["customer_id"] is not None:
        return _principal(Who.CUSTOMER, "customer", row, name=row["customer_name"], customer_id=row["customer_id"])
    if row["role"] is None:
        raise Problem("forbidden", "This account has no role any more.")
    who = {"platform_admin": Who.ADMIN, "driver": Who.DRIVER}.get(row["role"], Who.BUSINESS)
    return _principal(who, row["role"], row, name=row["user_name"], user_id=row["user_id"], driver_id=row["driver_id"])


def _principal(
    who: Who,
    role: str,
    row: Record,
    *,
    name: str,
    user_id: UUID | None = None,
    driver_id: UUID | None = None,
    customer_id: UUID | None = None,
    delivery_id: UUID | None = None,
) -> Principal:
    return Principal(
        who=who,
        name=name,
        role=role,
        permissions=PERMISSIONS[role],
        operator_id=row["operator_id"],
        business_id=row["business_id"],
        driver_id=driver_id,
        customer_id=customer_id,
        delivery_id=delivery_id,
        user_id=user_id,
    )


async def _api_key_principal(db: Database, key: str) -> Principal:
    async with db.platform_tx(Reason.AUTHENTICATE, readonly=True) as con:
        row = await con.fetchrow(
            """SELECT k.name, b.operator_id, b.id AS business_id
               FROM api_keys k JOIN businesses b ON b.id = k.business_id
               WHERE k.key_hash = $1 AND k.revoked_at IS NULL AND b.status = 'active'""",
            token_hash(key),
        )
    if row is None:
        raise Problem("unauthenticated", "This API key is not valid.")
    return _principal(Who.BUSINESS, "api_key", row, name=row["name"])


async def _tracking_principal(db: Database, links: TrackingLinks, token: str) -> Principal:
    business_id, delivery_id = links.read(token)
    async with db.platform_tx(Reason.AUTHENTICATE, readonly=True) as con:
        row = await con.fetchrow("SELECT operator_id, id AS business_id FROM businesses WHERE id = $1", business_id)
    if row is None:
        raise Problem("unauthenticated", "This tracking link is not valid.")
    return _principal(Who.TRACKER, "tracker", row, name="", delivery_id=delivery_id)
