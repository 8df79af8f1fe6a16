"""The object graph of one process, on one page: what is made, from what, and in which order it starts and stops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import obstore.store
from aiohttp import web
from limits.aio.storage import RedisClusterStorage, RedisStorage

from dispatch.desk import Desk
from dispatch.eta import EtaKeeper
from dispatch.eta_learner import EtaLearner
from dispatch.live import LiveFacts
from dispatch.moves import Moves
from dispatch.numbers import BoardNumbers
from dispatch.planner import Planner
from dispatch.proof import ProofStore
from dispatch.roll_call import RollCall
from dispatch.routing_process import Routings
from dispatch.tick import Dispatcher
from dispatch.views import BoardViews
from dispatch.watch import Lookout
from dispatch.whatif_process import Replays
from kernel import keys, lead, proxies
from kernel.access import Principal
from kernel.clock import Clock
from kernel.db import Database
from kernel.http import Endpoint, json_body
from kernel.outbox import Relay
from kernel.redis import CLUSTER, Redis, Shards, connect, is_cluster
from kernel.supervise import Supervisor
from onward import asyncapi, health, mappage, middleware, openapi, pages, reactions, routes, timers
from onward.adapters.wake import wake_up_by
from onward.config import Settings
from onward.maps.store import map_of
from onward.travel import TravelFactory
from storefront_api.orders.views import ShopOrders
from tenancy.service import authenticate, ended
from tenancy.tokens import TrackingLinks
from tracking.doorkeeper import Doorkeeper
from tracking.fences import Fences
from tracking.filters_kept import Filters
from tracking.foreign_gateway import ForeignGateway
from tracking.gateway import DriverGateway
from tracking.history import HistoryWriter
from tracking.hub import Hub
from tracking.ingest import Ingest
from tracking.live import LivePositions
from tracking.push import DriverPush
from tracking.recovery import Facts
from tracking.streams import Streams
from tracking.viewers import ViewerGateway

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


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """Tracking's `Door`: tokens of any kind become callers."""

    db: Database
    links: TrackingLinks
    clock: Clock

    async def authenticate(self, token: str) -> Principal:
        """Return the caller, or raise `unauthenticated` or `token_expired`."""
        return await authenticate(self.db, self.links, token, self.clock.now())

    async def ended(self, tokens: Sequence[str]) -> list[str]:
        """Return those of these tokens, which were good once, that were revoked or have run out."""
        return await ended(self.db, tokens, self.clock.now())


async def build(settings: Settings, clock: Clock) -> Installation:
    """Make a process' objects and its aiohttp application; starting the application starts the tasks."""
    db = await Database.connect(settings.database_url, size_max=settings.database_connections_max)
    redis, supervisor = connect(settings.redis_url), Supervisor()
    shards = Shards(redis, replicas_min=settings.redis_replicas_min())
    links = TrackingLinks(settings.signing_secret(), settings.public_url)
    travel = TravelFactory(map_of(settings), settings.routing_url)
    streets = replace(travel, routing_url="")  # a whole day has too many places to ask a server for
    live, facts, push, fences, hub = (
        LivePositions(redis),
        Facts(redis, shards),
        DriverPush(redis),
        Fences(redis, db),
        Hub(shards),
    )
    numbers = BoardNumbers(db, redis, clock)
    views = BoardViews(db, live, links, ShopOrders(), numbers, clock)
    filters = Filters(db)
    ingest = Ingest(redis, shards, fences, filters, clock)
    planner = Planner(travel, speed=clock.speed, sharing=settings.processes)
    dispatcher = Dispatcher(db, live, planner, clock, on_alive=lambda: supervisor.recovered("dispatcher"))
    eta, learner = EtaKeeper(db, live, planner, clock), EtaLearner(db, planner, clock)
    lookout = Lookout(db, live, clock)
    moves = Moves(db, live, planner, clock)
    wake_up = wake_up_by(settings.wake_url, settings.signing_secret(), clock)
    roll_call = RollCall(db, redis, live, wake_up, clock)
    streams = Streams(hub, facts, views)
    door = FrontDoor(db, links, clock)
    doorkeeper = Doorkeeper(door)
    drivers = DriverGateway(
        door=door, doorkeeper=doorkeeper, desk=Desk(db, clock), ingest=ingest, hub=hub, push=push, clock=clock
    )
    viewers = ViewerGateway(door=door, doorkeeper=doorkeeper, streams=streams, bearer=middleware.bearer)
    facts_out = LiveFacts(db, views, facts, push, fences, wake_up)
    relay = Relay(
        db,
        reactions.reactions(facts_out, dispatcher),
        on_alive=lambda: supervisor.recovered("outbox_relay"),
    )
    history = HistoryWriter(db, redis)
    installation = Installation(
        settings=settings,
        db=db,
        redis=redis,
        clock=clock,
        supervisor=supervisor,
        limit_storage=_limit_storage(settings),
        parts={
            TrackingLinks: links,
            ProofStore: ProofStore(_proof_store(settings.data_dir)),
            BoardViews: views,
            Dispatcher: dispatcher,
            Replays: Replays(streets),
            Routings: Routings(streets),
            Lookout: lookout,
            Moves: moves,
            Planner: planner,
            EtaKeeper: eta,
            EtaLearner: learner,
            Ingest: ingest,
            Doorkeeper: doorkeeper,
            Filters: filters,
            LivePositions: live,
            Facts: facts,
        },
    )
    app = installation.app = _application(installation)
    limits = middleware.Limiter(installation.limit_storage)
    foreign = ForeignGateway(db=db, ingest=ingest, limits=limits, clock=clock)
    app.router.add_get("/ws/driver", drivers.handle)
    app.router.add_get("/ws/live", viewers.handle_socket)
    app.router.add_get("/live", viewers.handle_events)
    for method in ("GET", "POST"):
        app.router.add_route(method, "/ingest/osmand", foreign.osmand)
    app.router.add_post("/ingest/owntracks", foreign.owntracks)

    def start_leading() -> None:
        supervisor.start("history", history.run)
        supervisor.start("outbox_relay", relay.run)
        supervisor.start("planner", planner.warm_up)
        supervisor.start("dispatcher", dispatcher.run)
        timers.start(supervisor, timers.leaders(db, clock, eta, learner, numbers, lookout, roll_call, moves))

    async def life(_app: web.Application) -> AsyncIterator[None]:
        supervisor.start("hub", hub.run)
        for forget in (ingest.forget, streams.forget):
            await hub.subscribe(keys.erased_channel(), forget, lambda: None)
        supervisor.start("ingest", ingest.run)
        supervisor.start("fences", ingest.run_fences)
        supervisor.start("streams", streams.run)
        timers.start(supervisor, timers.everybodys(streams, filters, doorkeeper))
        supervisor.start(lead.TASK, lambda: lead.lead(db, supervisor, start_leading))
        yield
        await supervisor.stop()
        planner.close(kill=True)  # nobody waits for an answer any more; one that only starts would hold us up
        await wake_up.aclose()
        await shards.aclose()
        await db.close()

    async def say_goodbye(_app: web.Application) -> None:
        await drivers.close_all()
        await viewers.close_all()

    app.cleanup_ctx.append(life)
    app.on_shutdown.append(say_goodbye)
    return installation


def _limit_storage(settings: Settings) -> RedisStorage | None:
    if not settings.rate_limits:
        return None
    scheme, _, rest = settings.redis_url.partition("://")
    if is_cluster(settings.redis_url):
        return RedisClusterStorage(f"async+redis{CLUSTER}://{rest}", implementation="redispy")
    return RedisStorage(f"async+redis{'+unix' if scheme == 'unix' else ''}://{rest}", implementation="redispy")


def _proof_store(data_dir: Path) -> Any:
    folder = data_dir.resolve() / "files"
    folder.mkdir(parents=True, exist_ok=True)
    return obstore.store.LocalStore(str(folder))


def _document(document: dict[str, Any]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    spec = msgspec.json.encode(document)

    async def serve(_request: web.Request) -> web.StreamResponse:
        return json_body(spec)

    return serve


def _application(installation: Installation) -> web.Application:
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[middleware.problems])
    app[proxies.TRUSTED] = proxies.networks(installation.settings.trusted_proxies)
    endpoints = [Endpoint.of(route) for route in routes.ROUTES]
    for endpoint in endpoints:
        route = endpoint.route
        app.router.add_route(route.method, route.path, middleware.endpoint_handler(installation, endpoint))
    app.router.add_get("/openapi.json", _document(openapi.document(endpoints, version=version("onward"))))
    app.router.add_get("/asyncapi.json", _document(asyncapi.document(version=version("onward"))))
    health.mount(app, installation)
    mappage.mount(app, installation.settings)
    pages.mount(app)
    return app
