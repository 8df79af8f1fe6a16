"""The doors for apps that speak no protocol of ours: Traccar Client and OwnTracks, below `/ingest/`.

The key is all that such an app can show: as `id`, `device_id`, `?key` or the password of Basic authentication. It goes
into no log. Answered when durable, as on every other way in; a place that the filters reject is answered as kept, for
the app would send it again for ever.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import BasicAuth, web

from kernel.clock import Clock
from kernel.db import Database
from kernel.errors import Problem
from kernel.http import Rate
from kernel.proxies import address
from tracking.api import keep
from tracking.devices import Device, holder
from tracking.foreign import OwnTracksBody, TraccarBody, from_osmand, from_owntracks, from_traccar, read_json
from tracking.ingest import Ingest
from tracking.ports import Limits
from tracking.wire import WireFix

BODY_BYTES_MAX: Final = 64 * 1024
BODY_MAX_S: Final = 20.0
KEY_LENGTH_MAX: Final = 200
FIELDS_MAX: Final = 64


class ForeignGateway:
    """Takes positions by HTTP from other people's apps."""

    def __init__(self, *, db: Database, ingest: Ingest, limits: Limits, clock: Clock) -> None:
        self._db = db
        self._ingest = ingest
        self._limits = limits
        self._clock = clock

    async def osmand(self, request: web.Request) -> web.StreamResponse:
        """Take a position as a query, a form or Traccar Client's JSON; the reply is an empty 200."""
        await self._limits.hit(Rate.INGEST, address(request))
        body = await _read(request)
        if request.content_type == "application/json":
            said = read_json(body, TraccarBody)
            await self._keep(await self._device(request, said.device_id), from_traccar(said))
            return web.Response()
        values = dict(request.query)
        if request.content_type == "application/x-www-form-urlencoded":
            values |= _form(body)
        device = await self._device(request, values.get("id") or values.get("deviceid") or "")
        await self._keep(device, from_osmand(values, self._clock.now_ms()))
        return web.Response()

    async def owntracks(self, request: web.Request) -> web.StreamResponse:
        """Take an OwnTracks message; the reply is `[]`: nothing to show on its map, nothing to do."""
        await self._limits.hit(Rate.INGEST, address(request))
        body = await _read(request)
        device = await self._device(request, request.query.get("key") or _password(request))
        fix = from_owntracks(read_json(body, OwnTracksBody)) if body.strip() else None
        if fix is not None:
            await self._keep(device, fix)
        return web.json_response([])

    async def _device(self, request: web.Request, key: str) -> Device:
        found = await holder(self._db, key, self._clock.now()) if 0 < len(key) <= KEY_LENGTH_MAX else None
        if found is None:
            await self._limits.hit(Rate.LOGIN, f"device:{address(request)}")
            raise Problem("unauthenticated", "This key is not known here: set the app up again.")
        await self._limits.hit(Rate.LOCATION, found.id.hex)
        return found

    async def _keep(self, device: Device, fix: WireFix) -> None:
        await keep(self._ingest, device.operator_id, device.driver_id, device.id.hex, [fix])


async def _read(request: web.Request) -> bytes:
    """Return the body, of which no more is read than such an app sends; raises `body_too_large`, `malformed_body`."""
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_MAX_S):
            async for chunk in request.content.iter_any():
                read += chunk
                if len(read) > BODY_BYTES_MAX:
                    raise Problem("body_too_large", f"A position has at most {BODY_BYTES_MAX} bytes.")
    except TimeoutError:
        raise Problem("malformed_body", f"The body did not come within {BODY_MAX_S:.0f} s.") from None
    except web.RequestPayloadError as error:
        raise Problem("malformed_body", f"The body can't be read: {error}.") from None
    return bytes(read)


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=FIELDS_MAX))
    except ValueError as error:
        raise Problem("malformed_body", f"This form can't be read: {error}.") from None


def _password(request: web.Request) -> str:
    try:
        password: str = BasicAuth.decode(request.headers.get("Authorization", "")).password
    except ValueError:
        return ""
    return password
