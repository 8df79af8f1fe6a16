"""The object graph of one process, on one page: what is made, from what, and in which order it starts and stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import msgspec
from aiohttp import web
from limits.aio.storage import RedisStorage

from kernel.clock import Clock, SystemClock
from kernel.db import Database
from kernel.http import Endpoint
from kernel.outbox import Relay
from kernel.redis import Redis, connect
from kernel.supervise import Supervisor
from onward import health, middleware, openapi, pages, reactions, routes
from onward.config import Settings
from tenancy.tokens import TrackingLinks

BODY_BYTES_MAX: Final = 10 * 1024 * 1024


@dataclass(slots=True)
class Installation:
    """Everything one server process owns."""

    settings: Settings
    db: Database
    redis: Redis
    clock: Clock
    supervisor: Supervisor
    limit_storage: RedisStorage | None
    parts: dict[type[Any], Any] = field(default_factory=dict)
    app: web.Application = field(default_factory=web.Application)


async def build(settings: Settings) -> Installation:
    """Make a process' objects and its aiohttp application; starting the application starts the tasks."""
    db = await Database.connect(settings.database_url, size_max=settings.database_connections_max)
    redis = connect(settings.redis_url)
    installation = Installation(
        settings=settings,
        db=db,
        redis=redis,
        clock=SystemClock(),
        supervisor=Supervisor(),
        limit_storage=_limit_storage(settings),
    )
    installation.parts[TrackingLinks] = TrackingLinks(settings.signing_secret())
    installation.app = _application(installation)
    return installation


def _limit_storage(settings: Settings) -> RedisStorage | None:
    if not settings.rate_limits:
        return None
    url = settings.redis_url
    scheme = "async+redis+unix" if url.startswith("unix") else "async+" + url.split("://", 1)[0]
    return RedisStorage(f"{scheme}://{url.split('://', 1)[1]}", implementation="redispy")


def _application(installation: Installation) -> web.Application:
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[middleware.problems])
    endpoints = [Endpoint.of(route) for route in routes.ROUTES]
    for endpoint in endpoints:
        route = endpoint.route
        app.router.add_route(route.method, route.path, middleware.endpoint_handler(installation, endpoint))
    spec = msgspec.json.encode(openapi.document(endpoints, version=version("onward")))

    async def openapi_json(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=spec, content_type="application/json")

    app.router.add_get("/openapi.json", openapi_json)
    health.mount(app, installation)
    pages.mount(app)

    async def life(_app: web.Application) -> AsyncIterator[None]:
        _start_tasks(installation)
        yield
        await installation.supervisor.stop()
        await installation.redis.aclose()
        await installation.db.close()

    app.cleanup_ctx.append(life)
    return app


def _start_tasks(installation: Installation) -> None:
    supervisor = installation.supervisor
    relay = Relay(installation.db, reactions.REACTIONS, on_alive=lambda: supervisor.recovered("outbox_relay"))
    supervisor.start("outbox_relay", relay.run)
