"""PostgreSQL: one pool per role, and transactions that know whose data they may see.

Every transaction names its scope. Row level security is forced on every table, under a role that neither owns the
tables nor bypasses it; with no scope set a query sees nothing. The cross-tenant path (`platform_tx`) is the only
other way in: each use names a reason from one list, and is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg
import msgspec

from kernel import metrics
from kernel.access import Principal, Who
from kernel.errors import Problem
from kernel.log import get_logger

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = Pool = Any

Record = asyncpg.Record

log = get_logger(__name__)

APP_ROLE: Final = "onward_app"
PLATFORM_ROLE: Final = "onward_platform"
SCHEMA: Final = "onward"

ACQUIRE_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_MS: Final = 15_000

AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
    FileNotFoundError,  # the embedded server's socket is gone
    TimeoutError,
)
"""What it looks like when the database is away: wait and try again, nothing is wrong with the request."""


UNKEEPABLE: Final = (asyncpg.DataError,)
"""A value that PostgreSQL can't hold (a NUL in a text, a number out of range): the caller's mistake, not ours."""


class Reason(StrEnum):
    """Why a transaction may see several tenants. Adding a line here is a decision."""

    AUTHENTICATE = "authenticate"
    RESOLVE_STOREFRONT = "resolve_storefront"
    DISPATCH_TICK = "dispatch_tick"
    DISPATCHER = "dispatcher"
    OFFER_EXPIRY = "offer_expiry"
    DRIVER_MOVES = "driver_moves"
    LIVE_ETA = "live_eta"
    LOOKOUT = "lookout"
    OUTBOX_RELAY = "outbox_relay"
    HISTORY_WRITE = "history_write"
    DRIVER_PRESENCE = "driver_presence"
    BOARD = "board"
    ADMIN = "admin"
    WHAT_IF = "what_if"
    TRIPS = "trips"
    HOUSEKEEPING = "housekeeping"
    LEAD = "lead"
    ERASURE = "erasure"
    SEED = "seed"


class Database:
    """The two pools of one installation's database."""

    def __init__(self, app: Pool, platform: Pool) -> None:
        self._app = app
        self._platform = platform

    @classmethod
    async def connect(cls, url: str, *, size_max: int = 12) -> Database:
        """Open both pools; the login must be a member of both roles (`onward migrate` creates them)."""
        return cls(await _pool(url, APP_ROLE, size_max), await _pool(url, PLATFORM_ROLE, size_max))

    async def close(self) -> None:
        """Close both pools."""
        for pool in (self._app, self._platform):
            try:
                await asyncio.wait_for(pool.close(), ACQUIRE_TIMEOUT_S)
            except (TimeoutError, *AWAY):
                pool.terminate()

    @contextlib.asynccontextmanager
    async def tenant_tx(self, business_id: UUID, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """Open a transaction that sees one business."""
        async with _lend(self._app) as con, con.transaction(readonly=readonly):
            await act_for(con, business_id)
            yield con

    @contextlib.asynccontextmanager
    async def driver_tx(self, driver_id: UUID, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """Open a transaction that sees one driver's own rows (`act_for` adds the business of a locked offer)."""
        async with _lend(self._app) as con, con.transaction(readonly=readonly):
            await con.execute("SELECT set_config('app.driver_id', $1, true)", str(driver_id))
            yield con

    @contextlib.asynccontextmanager
    async def platform_tx(self, reason: Reason, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """Open a transaction that sees every tenant, for one named reason."""
        metrics.platform_tx.labels(reason).inc()
        async with _lend(self._platform) as con, con.transaction(readonly=readonly):
            yield con

    @contextlib.asynccontextmanager
    async def tx_of(self, principal: Principal, reason: Reason, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """Open a transaction that sees what a caller may: a business or a driver what is theirs.

        An operator's admin sees every tenant, for a named reason: name his operator in each query.
        """
        if principal.who is Who.ADMIN:
            tx = self.platform_tx(reason, readonly=readonly)
        elif principal.who is Who.DRIVER:
            tx = self.driver_tx(principal.driver(), readonly=readonly)
        else:
            tx = self.tenant_tx(principal.business(), readonly=readonly)
        async with tx as con:
            yield con

    @contextlib.asynccontextmanager
    async def platform_connection(self, reason: Reason) -> AsyncIterator[Connection]:
        """Lend a platform connection with no transaction: for LISTEN and session locks."""
        metrics.platform_tx.labels(reason).inc()
        async with _lend(self._platform) as con:
            yield con


@contextlib.asynccontextmanager
async def _lend(pool: Pool) -> AsyncIterator[Connection]:
    """Lend a connection; one that an outage left in the middle of a query is thrown away, not lent again."""
    con = await pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
    try:
        yield con
    except asyncpg.InternalClientError as error:
        con.terminate()
        raise ConnectionError(f"the connection is unusable: {error}") from error
    finally:
        try:
            await pool.release(con)
        except AWAY as error:  # the work is done either way; the pool has closed the connection
            log.info("connection_thrown_away", error=f"{type(error).__name__}: {error}")


async def act_for(con: Connection, business_id: UUID) -> None:
    """Let the open transaction see one business.

    In a driver's transaction this is legal only on the authority of a row already locked there: an offer or delivery
    of his own.
    """
    await con.execute("SELECT set_config('app.business_id', $1, true)", str(business_id))


async def _pool(url: str, role: str, size_max: int) -> Pool:
    pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size_max,
        init=_prepare,
        server_settings={
            "role": role,
            "search_path": SCHEMA,
            "timezone": "UTC",
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "application_name": f"onward {role}",
            "tcp_keepalives_idle": "10",  # a host that lost power holds no lock for long
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
        },
    )
    assert pool is not None
    return pool


async def _prepare(con: Any) -> None:
    await con.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )


def one(record: Record | None, what: str) -> Record:
    """Return the record, or raise `not_found` naming `what`."""
    if record is None:
        raise Problem("not_found", f"There is no {what} with this id.")
    return record
