"""People to tell stories with: each talks to the product only through its public sockets and HTTP."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image

from tests.support import world
from tests.support.server import Onward
from tracking.client import DriverClient, Message, ViewerClient

DEADLINE_S = 60.0
"""How long a test waits before it calls something a fault: where cores are lent out, all may stand still meanwhile."""


async def until(condition: Callable[[], Any], what: str, changed: asyncio.Event) -> Any:
    """Wait until the condition holds, woken by each change; fail with `what` after the deadline."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not (found := condition()):
                changed.clear()
                await changed.wait()
            return found
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


async def eventually(ask: Callable[[], Awaitable[Any]], good: Callable[[Any], Any], what: str) -> Any:
    """Ask again and again until the answer is good; fail with `what` and the last answer after the deadline."""
    answer = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not good(answer := await ask()):
                pass
            return answer
    except TimeoutError:
        raise AssertionError(f"never: {what}; at last {answer}") from None


async def call(onward: Onward, method: str, token: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Send a request as whoever holds the token; return the status and the decoded body."""
    async with onward.http.request(method, path, headers=onward.as_(token), **more) as reply:
        return reply.status, {} if reply.status == 204 else await reply.json()


def photo(color: str = "orange") -> bytes:
    """Return a small JPEG."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), color).save(out, "JPEG")
    return out.getvalue()


class Phone(DriverClient):
    """The reference client, and the device time of every fix that was acknowledged to it."""

    def __init__(self, url: str, token: str, device_id: str, hear: Callable[[Message], None]) -> None:
        self.acked_fixes: list[int] = []
        super().__init__(url, token, device_id, hear, on_acked=self._acked)

    def _acked(self, frame: Message) -> None:
        self.acked_fixes += [fix["t"] for fix in frame.get("fixes", ())]


class Courier:
    """A driver with a phone."""

    def __init__(self, onward: Onward, who: world.Driver, device_id: str) -> None:
        self.onward = onward
        self.who = who
        self.changed = asyncio.Event()
        self.messages: list[Message] = []
        self.client = Phone(onward.url, who.token, device_id, self._hear)

    def _hear(self, message: Message) -> None:
        self.messages.append(message)
        self.changed.set()

    def last(self, kind: str) -> Message | None:
        return next((m for m in reversed(self.messages) if m["type"] == kind), None)

    async def is_at(self, lat: float, lng: float, *, t: int | None = None, spd: float = 0.0) -> None:
        await self.client.send_fixes(
            [{"t": t or int(time.time() * 1000), "lat": lat, "lng": lng, "acc": 5.0, "spd": spd}]
        )
        await self.client.all_acked()

    async def goes_online(self, lat: float, lng: float) -> None:
        await self.is_at(lat, lng)
        await self.client.act("availability", state="available")
        await self.client.all_acked()

    async def is_offered(self) -> dict[str, Any]:
        offer = await until(lambda: self.last("offer"), f"{self.who.name} is offered something", self.changed)
        return dict(offer["offer"])

    async def answers(self, offer: dict[str, Any], reply: str, **more: str) -> None:
        await self.client.act("offer_reply", offer_id=offer["id"], reply=reply, **more)
        await self.client.all_acked()

    async def reports(self, delivery_id: str, *statuses: str) -> None:
        for status in statuses:
            await self.client.act("status", delivery_id=delivery_id, status=status)
        await self.client.all_acked()

    async def takes_photo(self, delivery_id: str) -> None:
        async with self.onward.http.post(
            f"/api/v1/driver/deliveries/{delivery_id}/proof",
            data=photo(),
            headers={**self.onward.as_(self.who.token), "Content-Type": "image/jpeg"},
        ) as reply:
            assert reply.status == 201, await reply.text()

    async def delivers(self, delivery_id: str) -> None:
        await self.reports(delivery_id, "en_route_to_pickup", "arrived_at_pickup", "picked_up")
        await self.reports(delivery_id, "en_route_to_dropoff", "arrived_at_dropoff")
        await self.takes_photo(delivery_id)
        await self.reports(delivery_id, "delivered")


@asynccontextmanager
async def courier(onward: Onward, who: world.Driver, device_id: str = "phone") -> AsyncIterator[Courier]:
    """A driver whose phone is connected."""
    person = Courier(onward, who, device_id)
    task = asyncio.create_task(person.client.run())
    try:
        await asyncio.wait_for(person.client.connected.wait(), DEADLINE_S)
        yield person
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Watcher:
    """Somebody who looks at a board or at a tracking page."""

    def __init__(self, onward: Onward, token: str) -> None:
        self.changed = asyncio.Event()
        self.messages: list[Message] = []
        self.client = ViewerClient(onward.url, token, self._hear)

    def _hear(self, message: Message) -> None:
        self.messages.append(message)
        self.changed.set()

    @property
    def object(self) -> dict[str, Any]:
        return self.client.object

    async def sees(self, condition: Callable[[dict[str, Any]], Any], what: str) -> Any:
        return await until(lambda: self.object and condition(self.object), what, self.changed)

    def positions(self) -> list[Any]:
        return [p for m in self.messages if m["type"] == "positions" for p in m["positions"]]


@asynccontextmanager
async def watcher(onward: Onward, token: str) -> AsyncIterator[Watcher]:
    """Somebody whose page is open."""
    person = Watcher(onward, token)
    task = asyncio.create_task(person.client.run())
    try:
        await asyncio.wait_for(person.client.connected.wait(), DEADLINE_S)
        yield person
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def create_delivery(onward: Onward, business: world.Business, **more: Any) -> dict[str, Any]:
    """A business asks for a delivery from its store to a door nearby."""
    from kernel.ids import Kind, show

    body = {
        "store_id": show(Kind.STORE, business.store_id),
        "dropoff": {
            "name": "Eva",
            "address": "Mannerheimintie 1",
            "lat": business.lat + 0.004,
            "lng": business.lng + 0.002,
        },
        "items": "2× Soup",
        **more,
    }
    async with onward.http.post("/api/v1/deliveries", json=body, headers=onward.as_(business.token)) as reply:
        assert reply.status == 201, await reply.text()
        made: dict[str, Any] = await reply.json()
        return made


def tracking_token(delivery: dict[str, Any]) -> str:
    """Return the token in a delivery's tracking link."""
    return str(delivery["tracking_url"].split("#")[1])
