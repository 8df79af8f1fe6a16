"""HTTP the same way everywhere: a route is a row, a handler is a typed function, an error is a coded problem.

A handler is `async def name(ctx: Ctx, path: …, query: …, body: …) -> Struct`; its annotations decode and validate the
request (msgspec), fill the OpenAPI document, and encode the reply. Unknown fields are refused by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, get_args, get_type_hints
from uuid import UUID

import msgspec
from aiohttp import web

from kernel import metrics
from kernel.access import Permission, Principal
from kernel.clock import Clock
from kernel.db import Connection, Database
from kernel.errors import FieldError, Problem
from kernel.redis import Redis

T = TypeVar("T")

PROBLEM_TYPE: Final = "application/problem+json"
BODY_MAX_S: Final = 120.0
"""A photo over a bad network takes a while; who holds a connection open takes longer."""
IDEMPOTENCY_KEY_LENGTH_MAX: Final = 128 + 33
IDEMPOTENCY_TTL_H: Final = 24


class Rate(StrEnum):
    """Rate classes of routes; `onward/middleware.py` gives each its numbers."""

    NONE = "none"
    LOGIN = "login"
    READ = "read"
    WRITE = "write"
    LOCATION = "location"
    INGEST = "ingest"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the routes page: no permission, no route."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    permission: Permission
    rate: Rate
    status: int = 200


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a list: how many, and where to go on."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50
    cursor: Annotated[str, msgspec.Meta(max_length=200)] = ""


@dataclass(slots=True)
class Ctx:
    """What a handler is given: the caller and the installation's parts."""

    request: web.Request
    principal: Principal
    db: Database
    redis: Redis
    clock: Clock
    parts: Mapping[type[Any], Any] = field(default_factory=dict)

    def need(self, part: type[T]) -> T:
        """Return the installation's one object of this class (compose put it there)."""
        found: T = self.parts[part]
        return found

    @contextlib.asynccontextmanager
    async def once(self, business_id: UUID) -> AsyncIterator[Once]:
        """Open a business' transaction in which the reply is kept under the request's `Idempotency-Key`, if it has one.

        The effect and the kept reply commit together. Raises `Replay` with the kept reply when the key was used before.
        """
        key = self.request.headers.get("Idempotency-Key")
        caller = self.principal.user_id or self.principal.customer_id
        if key:  # one caller's key is no other's
            key = f"{key}:{caller.hex if caller else self.principal.who.value}"
        async with self.db.tenant_tx(business_id) as con:
            once = Once(con, business_id, key, await _fingerprint(self.request))
            await once.begin()
            yield once


class Replay(Exception):
    """The request was answered before: here is that answer again."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body
        super().__init__(status)


@dataclass(slots=True)
class Once:
    """One idempotent request under way."""

    con: Connection
    business_id: UUID
    key: str | None
    fingerprint: bytes

    async def begin(self) -> None:
        """Take the key, or raise `Replay`, `idempotency_mismatch` or `idempotency_in_flight`."""
        if self.key is None:
            return
        if not 1 <= len(self.key) <= IDEMPOTENCY_KEY_LENGTH_MAX:
            raise Problem("malformed_query", f"Idempotency-Key: 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} characters.")
        if not await self.con.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", f"{self.business_id}:{self.key}"
        ):
            raise Problem("idempotency_in_flight", retry_after_s=1)
        kept = await self.con.fetchrow(
            """SELECT fingerprint, status, reply FROM idempotency_keys
               WHERE business_id = $1 AND key = $2 AND created_at > now() - make_interval(hours => $3)""",
            self.business_id,
            self.key,
            IDEMPOTENCY_TTL_H,
        )
        if kept is None:
            return
        if kept["fingerprint"] != self.fingerprint:
            raise Problem("idempotency_mismatch", "Use a new key for a new request.")
        raise Replay(kept["status"], kept["reply"])

    async def reply(self, status: int, view: Any) -> web.Response:
        """Encode the reply, keep it under the key, and return it."""
        body = msgspec.json.encode(view)
        if self.key is not None:
            await self.con.execute(
                """INSERT INTO idempotency_keys (business_id, key, fingerprint, status, reply)
                   VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (business_id, key) DO UPDATE SET fingerprint = excluded.fingerprint,
                     status = excluded.status, reply = excluded.reply, created_at = now()""",
                self.business_id,
                self.key,
                self.fingerprint,
                status,
                body,
            )
        return json_body(body, status)


async def _fingerprint(request: web.Request) -> bytes:
    digest = hashlib.sha256(f"{request.method} {request.path}\n".encode())
    digest.update(await read_body(request))
    return digest.digest()


def json_body(body: bytes, status: int = 200) -> web.Response:
    """Return already encoded JSON."""
    return web.Response(body=body, status=status, content_type="application/json")


def json_reply(view: Any, status: int = 200) -> web.Response:
    """Return `view` as JSON."""
    return json_body(msgspec.json.encode(view), status)


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details with a stable `code`."""

    type: str
    title: str
    status: int
    code: str
    request_id: str
    detail: str = ""
    errors: tuple[FieldError, ...] = ()


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """Return a problem as the client sees it."""
    metrics.problems.labels(problem.code).inc()
    body = ProblemBody(
        type=f"urn:onward:problem:{problem.code}",
        title=problem.title,
        status=problem.status,
        code=problem.code,
        request_id=request_id,
        detail=problem.detail,
        errors=problem.errors,
    )
    response = web.Response(body=msgspec.json.encode(body), status=problem.status, content_type=PROBLEM_TYPE)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route with what its handler's annotations say."""

    route: Route
    body: Any
    query: Any
    path: Any
    result: Any

    @classmethod
    def of(cls, route: Route) -> Endpoint:
        """Read a handler's annotations."""
        hints = get_type_hints(route.handler, include_extras=True)
        return cls(route, hints.get("body"), hints.get("query"), hints.get("path"), _shape(hints.get("return")))

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (inspect.getdoc(self.route.handler) or self.route.handler.__name__).splitlines()[0]

    async def call(self, ctx: Ctx) -> web.StreamResponse:
        """Decode the request, run the handler, encode the reply."""
        arguments: dict[str, Any] = {}
        request = ctx.request
        if self.path is not None:
            arguments["path"] = _convert(dict(request.match_info), self.path)
        if self.query is not None:
            arguments["query"] = _convert(dict(request.query), self.query)
        if self.body is not None:
            arguments["body"] = await decode_body(request, self.body)
        result = await self.route.handler(ctx, **arguments)
        if isinstance(result, web.StreamResponse):
            return result
        if result is None:
            return web.Response(status=204)
        return json_reply(result, self.route.status)


def _shape(result: Any) -> Any:
    """Return what a handler's JSON looks like; it may have answers in another form beside that."""
    shapes = [one for one in get_args(result) if not (isinstance(one, type) and issubclass(one, web.StreamResponse))]
    return shapes[0] if isinstance(result, UnionType) and len(shapes) == 1 else result


async def decode_body(request: web.Request, shape: Any) -> Any:
    """Return the JSON body as `shape`; raise a coded problem that names the wrong field."""
    if request.content_type != "application/json":
        raise Problem("unsupported_media_type", "Send application/json.")
    raw = await read_body(request)
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise validation_problem(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("malformed_body", str(error)) from None


async def read_body(request: web.Request) -> bytes:
    """Return the body; raises `malformed_body` when it is not what its `Content-Encoding` says, or never comes."""
    try:
        async with asyncio.timeout(BODY_MAX_S):
            return await request.read()
    except TimeoutError:
        raise Problem("malformed_body", f"The body did not come within {BODY_MAX_S:.0f} s.") from None
    except web.RequestPayloadError as error:
        raise Problem("malformed_body", f"The body can't be read: {error}.") from None


_FIELD_PATH = re.compile(r"^(?P<message>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_NAMED_FIELD = re.compile(r"field `(?P<name>[^`]+)`")


def validation_problem(error: msgspec.ValidationError) -> Problem:
    """Return msgspec's complaint as a problem that names the field by its path."""
    found = _FIELD_PATH.match(str(error))
    assert found is not None
    message, path = found["message"], found["path"] or ""
    if named := _NAMED_FIELD.search(message):
        path = f"{path}.{named['name']}".lstrip(".")
    return Problem("validation_failed", message, errors=(FieldError(path, message),))


def _convert(values: Mapping[str, str], shape: Any) -> Any:
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise validation_problem(error) from None
