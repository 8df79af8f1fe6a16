"""`onward doctor`: looks at everything an installation needs and says in words what is wrong and what to do."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from finance.service import broken_invariants
from geo.point import Point
from kernel import redis as redis_client
from kernel.db import AWAY, Database, Reason
from kernel.redis import Shards, connect
from onward import routing_look
from onward.config import Settings
from onward.maps.store import load_map, map_of, no_map
from onward.migrate import folder, read
from onward.travel import TravelFactory

DISK_FREE_MIN_GB = 2


class Finding(msgspec.Struct, frozen=True):
    """One look at one thing."""

    what: str
    ok: bool
    detail: str


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Yield one finding after the other; `settings` has the URLs of running servers."""
    free_gb = shutil.disk_usage(settings.data_dir if settings.data_dir.exists() else ".").free / 1e9
    yield Finding("disk", free_gb >= DISK_FREE_MIN_GB, f"{free_gb:.0f} GB free for {settings.data_dir}")
    async for finding in _database(settings):
        yield finding
    yield await _redis(settings)
    known = map_of(settings)
    if settings.routing_url:
        yield await _routing(settings, known)
    yield Finding(
        "map",
        known is not None or bool(settings.style_url),
        str(known) if known else no_map(settings),
    )


async def _routing(settings: Settings, known: Path | None) -> Finding:
    place = await _some_store(settings)
    if place is None and known is not None:
        lng, lat = load_map(known).info.center
        place = Point(lat, lng)
    if place is None:
        return Finding("routing", False, "there is no place to ask it about: add a store (`onward init`)")
    times = TravelFactory(None, settings.routing_url)()
    wrong = await asyncio.to_thread(routing_look.fault, times, place)
    return Finding("routing", wrong is None, wrong or f"{times.source} answers for every vehicle")


async def _some_store(settings: Settings) -> Point | None:
    """Return where the newest store is; None when there is none, or no database that could tell."""
    import asyncpg

    try:
        db = await Database.connect(settings.database_url, size_max=1)
        try:
            async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
                row = await con.fetchrow("SELECT lat, lng FROM stores ORDER BY id DESC LIMIT 1")
        finally:
            await db.close()
    except (*AWAY, asyncpg.PostgresError):
        return None
    return None if row is None else Point(row["lat"], row["lng"])


async def _database(settings: Settings) -> AsyncIterator[Finding]:
    import asyncpg

    try:
        con = await asyncpg.connect(settings.database_url)
    except (OSError, asyncpg.PostgresError) as error:
        yield Finding("database", False, f"{error}: check DATABASE_URL")
        return
    try:
        version = con.get_server_version()
        yield Finding("database", version.major >= 18, f"PostgreSQL {version.major}.{version.minor} (18 or newer)")
        applied = await con.fetchval("SELECT to_regclass('public.onward_migrations') IS NOT NULL")
        names = (
            {row["name"] for row in await con.fetch("SELECT name FROM public.onward_migrations")} if applied else set()
        )
    finally:
        await con.close()
    missing = [m.name for m in read(folder()) if m.name not in names]
    yield Finding(
        "migrations",
        not missing,
        f"run `onward init` or `onward migrate`: {', '.join(missing)}" if missing else "up to date",
    )
    if missing:
        return
    db = await Database.connect(settings.database_url, size_max=2)
    try:
        async with db.platform_tx(Reason.ADMIN, readonly=True) as platform:
            broken = await broken_invariants(platform)
        yield Finding("ledger", not broken, "; ".join(broken) or "every entry balances")
    except AWAY as error:
        yield Finding("roles", False, f"{error}: the login must be a member of onward_app and onward_platform")
    finally:
        await db.close()


async def _redis(settings: Settings) -> Finding:
    shards = Shards(connect(settings.redis_url))
    try:
        await shards.holder("")
        infos = [await shards.client(name).info() for name in sorted(shards.holders())]
    except redis_client.AWAY as error:
        return Finding("redis", False, f"{error}: check REDIS_URL")
    finally:
        await shards.aclose()
    info, wanted = infos[0], settings.redis_replicas_min()
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
    if len(infos) > 1:
        name += f", {len(infos)} shards"
    if not all(int(info.get("aof_enabled", 0)) for info in infos):
        return Finding("redis", False, f"{name} without an append-only file: set appendonly yes")
    if lacking := sum(info["connected_slaves"] < wanted for info in infos):
        return Finding("redis", False, f"{name}: {lacking} without {wanted} replica: see ONWARD_REDIS_REPLICAS_ACK")
    return Finding("redis", True, name)
