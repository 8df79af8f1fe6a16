"""What happens around every request: an id, a caller, a limit, and errors that are always coded problems."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from kernel import db as database
from kernel import metrics
from kernel import redis as redis_client
from kernel.access import ANYONE, Permission, Principal
from kernel.errors import Problem
from kernel.http import Ctx, Endpoint, Rate, Replay, json_body, problem_response
from kernel.ids import new_id
from kernel.log import get_logger
from kernel.proxies import address
from onward import pages
from tenancy.service import authenticate
from tenancy.tokens import TrackingLinks

if TYPE_CHECKING:
    from onward.compose import Installation

RATES: Final[dict[Rate, RateLimitItem | None]] = {
    Rate.NONE: None,
    Rate.LOGIN: parse("20/minute"),
    Rate.PUBLIC: parse("300/minute"),
    Rate.READ: parse("1200/minute"),
    Rate.WRITE: parse("600/minute"),
    Rate.LOCATION: parse("240/minute"),
    Rate.INGEST: parse("6000/minute"),  # per address: many phones share one of their carrier
}
RETRY_AFTER_S: Final = 1
SLOW_CLIENT_BODY_MAX: Final = 12 * 1024 * 1024
REQUEST_ID: Final = re.compile(r"^[A-Za-z0-9_.-]{8,64}$")

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = get_logger(__name__)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, turn every failure into a coded problem, and count what happened."""
    given = request.headers.get("X-Request-Id", "")
    request_id = given if REQUEST_ID.match(given) else f"req_{new_id().hex}"
    structlog.contextvars.bind_contextvars(request_id=request_id)
    started = time.perf_counter()
    try:
        response = await handler(request)
    except Replay as replay:
        response = json_body(replay.body, replay.status)
        response.headers["Idempotency-Replayed"] = "true"
    except Problem as problem:
        response = problem_response(problem, request_id)
    except web.HTTPException as error:
        lost = error.status == 404 and _is_a_person(request)
        response = pages.missing() if lost else _plain_http_error(error, request_id)
    except database.UNKEEPABLE as error:
        response = problem_response(Problem("validation_failed", f"A value can't be kept: {error}."), request_id)
    except (*database.AWAY, *redis_client.AWAY) as error:
        log.warning("dependency_away", path=request.path, error=f"{type(error).__name__}: {error}")
        response = problem_response(Problem("unavailable", retry_after_s=RETRY_AFTER_S), request_id)
    except Exception as error:
        log.error("request_failed", method=request.method, path=request.path, exc_info=error)
        response = problem_response(Problem("internal", f"Tell us this request id: {request_id}."), request_id)
    finally:
        structlog.contextvars.unbind_contextvars("request_id")
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unmatched"
    metrics.http_requests.labels(request.method, route, str(response.status)).inc()
    metrics.http_seconds.labels(route).observe(time.perf_counter() - started)
    return response


def _is_a_person(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/api/")


def _plain_http_error(error: web.HTTPException, request_id: str) -> web.StreamResponse:
    codes = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
    if error.status < 400:
        raise error
    code = codes.get(error.status, "malformed_query" if error.status < 500 else "internal")
    response = problem_response(Problem(code, "" if code == "internal" else error.reason), request_id)
    if allow := error.headers.get("Allow"):
        response.headers["Allow"] = allow
    return response


def bearer(request: web.Request) -> str | None:
    """Return the request's token; a token is taken from the header only, never from the URL."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem("unauthenticated", "Send `Authorization: Bearer <token>`.")
    return token.strip()


def endpoint_handler(installation: Installation, endpoint: Endpoint) -> Handler:
    """Return the aiohttp handler of a route: caller, permission, limit, then the handler itself."""
    limiter = Limiter(installation.limit_storage)
    route = endpoint.route

    async def handle(request: web.Request) -> web.StreamResponse:
        principal = await caller(installation, request)
        limited = await limiter.hit(route.rate, _counted_as(route.rate, principal, request))
        if route.permission is not Permission.PUBLIC:
            if principal is ANYONE:
                raise Problem("unauthenticated", "Send `Authorization: Bearer <token>`.")
            if route.permission not in principal.permissions:
                raise Problem("forbidden", f"This needs the permission {route.permission}.")
        ctx = Ctx(request, principal, installation.db, installation.redis, installation.clock, installation.parts)
        response = await endpoint.call(ctx)
        if not response.prepared:
            response.headers.update(limited)
        return response

    return handle


async def caller(installation: Installation, request: web.Request) -> Principal:
    """Return who is asking: `ANYONE` without a token."""
    token = bearer(request)
    if token is None:
        return ANYONE
    links = installation.parts[TrackingLinks]
    return await authenticate(installation.db, links, token, installation.clock.now())


def _counted_as(rate: Rate, principal: Principal, request: web.Request) -> str:
    who = principal.user_id or principal.customer_id or principal.delivery_id or principal.business_id
    if rate is Rate.LOGIN:  # whoever guesses passwords would bring a token of his own for each guess
        who = None
    return who.hex if who else address(request)


class Limiter:
    """Counts requests per caller and rate class in Redis; with Redis away it lets people through."""

    def __init__(self, storage: RedisStorage | None) -> None:
        self._strategy = MovingWindowRateLimiter(storage) if storage else None

    async def hit(self, rate: Rate, key: str) -> dict[str, str]:
        """Count one request of whoever `key` names; return the `RateLimit-*` headers or raise `rate_limited`."""
        item = RATES[rate]
        if item is None or self._strategy is None:
            return {}
        try:
            allowed = await self._strategy.hit(item, rate.value, key)
            reset_at, remaining = await self._strategy.get_window_stats(item, rate.value, key)
        except redis_client.AWAY:
            return {}
        reset_s = max(1, int(reset_at - time.time()) + 1)
        if not allowed:
            raise Problem("rate_limited", f"At most {item.amount} a minute here.", retry_after_s=reset_s)
        return {
            "RateLimit-Limit": str(item.amount),
            "RateLimit-Remaining": str(remaining),
            "RateLimit-Reset": str(reset_s),
        }
