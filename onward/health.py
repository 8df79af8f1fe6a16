"""Alive, ready, and how busy: what load balancers and Prometheus ask."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from kernel import db as database
from kernel import redis as redis_client
from kernel.db import Reason
from kernel.http import json_reply

if TYPE_CHECKING:
    from onward.compose import Installation

CHECK_TIMEOUT_S: Final = 2.0
METRICS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"


class Check(msgspec.Struct, frozen=True):
    """One part: `ok`, or what is wrong."""

    name: str
    ok: bool
    detail: str = ""


class Readiness(msgspec.Struct, frozen=True):
    """Whether this process should get traffic."""

    ready: bool
    checks: list[Check]


async def readiness(installation: Installation) -> Readiness:
    """Ask the database and Redis, and list tasks that are failing right now."""
    checks = [await _database(installation), await _redis(installation)]
    checks += [Check(f"task {name}", False, why) for name, why in installation.supervisor.failing.items()]
    return Readiness(all(check.ok for check in checks[:2]), checks)


async def _database(installation: Installation) -> Check:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            async with installation.db.platform_tx(Reason.HOUSEKEEPING, readonly=True) as con:
                await con.fetchval("SELECT 1")
    except database.AWAY as error:
        return Check("database", False, f"{type(error).__name__}: {error}")
    return Check("database", True)


async def _redis(installation: Installation) -> Check:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await installation.redis.ping()
    except (*redis_client.AWAY, TimeoutError) as error:
        return Check("redis", False, f"{type(error).__name__}: {error}")
    return Check("redis", True)


def _exposition() -> bytes:
    """Return every metric: of this process, or the sum of all that share the port."""
    if METRICS_DIR not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def mount(app: web.Application, installation: Installation) -> None:
    """Serve `/healthz` (alive), `/readyz` (ready) and `/metrics` (Prometheus)."""

    async def healthz(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.StreamResponse:
        answer = await readiness(installation)
        return json_reply(answer, 200 if answer.ready else 503)

    async def metrics(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=_exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
