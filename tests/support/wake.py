"""Who is asked to wake phones: one that remembers what was asked, and a server that is told."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID

import msgspec
from aiohttp import web

from kernel.ids import Kind, parse


class RecordingWakeUp:
    """Remembers who was to be woken, and why."""

    def __init__(self) -> None:
        self.asked: list[tuple[UUID, str]] = []

    async def wake(self, driver_id: UUID, reason: Literal["silent", "offer"]) -> None:
        self.asked.append((driver_id, reason))


class Relay:
    """A server that would push: believes what is signed."""

    def __init__(self, secret: bytes) -> None:
        self.url = ""
        self.status = 204
        self.asked: list[tuple[UUID, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.changed = asyncio.Event()
        self.at_once = self.at_once_max = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._key = hmac.new(secret, b"onward wake-up", hashlib.sha256).hexdigest().encode()

    async def handle(self, request: web.Request) -> web.Response:
        body, stamp = await request.read(), request.headers["Onward-Timestamp"]
        signed = hmac.new(self._key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signed, request.headers["Onward-Signature"]):
            return web.Response(status=401)
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        self.changed.set()
        await self.gate.wait()
        self.at_once -= 1
        said = msgspec.json.decode(body)
        self.bodies.append(said)
        self.asked.append((parse(Kind.DRIVER, said["driver_id"]), said["reason"]))
        self.changed.set()
        return web.Response(status=self.status)


@asynccontextmanager
async def relay(secret: bytes) -> AsyncIterator[Relay]:
    """A server that would push, on a real port."""
    told = Relay(secret)
    app = web.Application()
    app.router.add_post("/wake", told.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    told.url = f"http://127.0.0.1:{runner.addresses[0][1]}/wake"
    try:
        yield told
    finally:
        told.gate.set()
        await runner.cleanup()
