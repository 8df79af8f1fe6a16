"""Kitchens that take orders on, and customers who place them and watch the courier come."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from typing import Any, Final

import aiohttp

from onward.seed import BusinessAccess
from onward.simulator.checkers import Ledger
from onward.simulator.plan import PlannedOrder
from tracking.client import Message, Refused, ViewerClient

POLL_S: Final = 1.5
TRY_AGAIN_S: Final = 1.0
AWAY: Final = (aiohttp.ClientError, TimeoutError, ConnectionError)


async def call(
    http: aiohttp.ClientSession, ledger: Ledger, method: str, path: str, *, token: str = "", **more: Any
) -> Any:
    """Call the API until it answers; a refusal is an error of the city, an outage is waited out."""
    headers = {**more.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
    while True:
        with contextlib.suppress(*AWAY):
            async with http.request(method, path, headers=headers, **more) as reply:
                if reply.status < 300:
                    return await reply.json() if reply.content_type == "application/json" else None
                if reply.status == 409 and method == "PATCH":
                    return None  # the order moved on meanwhile
                if reply.status not in (429, 500, 503):
                    ledger.error(f"{method} {path}: {reply.status} {(await reply.text())[:200]}")
                    return None
                if reply.status == 500:
                    ledger.error(f"{method} {path}: 500")
        await asyncio.sleep(TRY_AGAIN_S)


class Kitchen:
    """Accepts what is ordered after a moment, and says when it is ready."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        access: BusinessAccess,
        ledger: Ledger,
        seed: int,
        preparation_s: tuple[int, int],
    ) -> None:
        self._http = http
        self._preparation_s = preparation_s
        self._access = access
        self._ledger = ledger
        self._random = random.Random(seed)
        self._cooking: set[asyncio.Task[None]] = set()
        self._known: set[str] = set()

    async def work(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                path = "/api/v1/business/orders?status=placed&limit=100"
                found = await call(self._http, self._ledger, "GET", path, token=self._access.token)
                for order in found["data"] if found else []:
                    if order["id"] not in self._known:
                        self._known.add(order["id"])
                        task = asyncio.create_task(self._cook(order["id"]))
                        self._cooking.add(task)
                        task.add_done_callback(self._cooking.discard)
                await asyncio.sleep(POLL_S)
        finally:
            for task in self._cooking:
                task.cancel()

    async def _cook(self, order_id: str) -> None:
        await asyncio.sleep(self._random.uniform(0.5, 3.0))
        preparation_s = self._random.randint(*self._preparation_s)
        await self._set(order_id, {"status": "accepted", "preparation_s": preparation_s})
        await asyncio.sleep(self._random.uniform(1.0, 3.0))
        await self._set(order_id, {"status": "preparing"})
        await asyncio.sleep(preparation_s)
        await self._set(order_id, {"status": "ready"})

    async def _set(self, order_id: str, body: dict[str, Any]) -> None:
        path = f"/api/v1/business/orders/{order_id}"
        await call(self._http, self._ledger, "PATCH", path, token=self._access.token, json=body)


class Customers:
    """All who are hungry, one after the other."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, businesses: tuple[BusinessAccess, ...], ledger: Ledger
    ) -> None:
        self._http = http
        self._url = url
        self._businesses = businesses
        self._ledger = ledger
        self._tasks: set[asyncio.Task[None]] = set()
        self.tracking_urls: list[str] = []

    async def order(self, orders: Iterator[PlannedOrder]) -> None:
        """Place the planned orders at their times, until cancelled."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            for number, planned in enumerate(orders):
                await asyncio.sleep(max(0.0, start + planned.at_s - loop.time()))
                task = asyncio.create_task(self._order(number, planned))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()

    async def _order(self, number: int, planned: PlannedOrder) -> None:
        business = self._businesses[planned.business]
        body = {
            "subdomain": business.subdomain,
            "items": [{"product_id": business.products[dish], "quantity": n} for dish, n in planned.lines],
            "customer": {"name": planned.name, "phone": planned.phone},
            "dropoff": {"address": planned.address, "lat": planned.lat, "lng": planned.lng},
            "tip_minor": planned.tip_minor,
            "payment_method": "cash",
        }
        key = f"sim-{business.id[-8:]}-{business.token[-6:]}-{number}"
        placed = await call(
            self._http,
            self._ledger,
            "POST",
            "/api/v1/customers/guest-checkout",
            json=body,
            headers={"Idempotency-Key": key},
        )
        if placed is None:
            return
        self._ledger.orders += 1
        self.tracking_urls.append(placed["tracking_url"])
        if planned.watches:
            await self._watch(placed["tracking_url"].split("#")[1])

    async def _watch(self, token: str) -> None:
        """Keep the tracking page open; a customer may see only the courier who brings his own order.

        A position may come before the fact that shows its courier, when a viewer resumes while facts are on their way:
        who is never shown must never have moved.
        """
        shown: set[str] = set()
        moved: set[str] = set()

        def hear(message: Message) -> None:
            if message["type"] == "snapshot":
                _learn(shown, message["object"])
            elif message["type"] == "delta":
                for change in message["changes"]:
                    _learn(shown, change)
            elif message["type"] == "positions":
                moved.update(slot[0] for slot in message["positions"])

        try:
            with contextlib.suppress(Refused):
                await ViewerClient(self._url, token, hear).run()
        finally:
            for stranger in moved - shown:
                self._ledger.leaks += 1
                self._ledger.error(f"a customer saw {stranger}")


def _learn(shown: set[str], tracking: dict[str, Any]) -> None:
    if tracking.get("driver"):
        shown.add(tracking["driver"]["id"])
