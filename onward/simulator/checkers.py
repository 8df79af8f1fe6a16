"""Those who check the city while it lives: nothing lost, nothing assigned twice, nobody sees what is another's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any, Final

import aiohttp

from onward.seed import Access
from tracking.client import Message, Refused, ViewerClient

SENT_KEPT_MAX: Final = 200_000
EXPECTED_NACKS: Final = frozenset({"offer_gone", "illegal_transition"})
"""Answers to races that a city has: an offer that expired meanwhile, an arrival that the fence told first."""
ERRORS_KEPT: Final = 20


class Ledger:
    """What the simulated people report of themselves."""

    def __init__(self) -> None:
        self.offers = 0
        self.orders = 0
        self.errors: list[str] = []
        self.error_count = 0
        self.nacks: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        self.double_assigned = 0
        self.leaks = 0
        self._sent: dict[tuple[str, int], float] = {}
        self._carried: dict[str, set[str]] = {}

    def error(self, what: str) -> None:
        """Something that must not happen happened."""
        self.error_count += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(what)

    def nack(self, message: Message) -> None:
        """A frame was refused for good."""
        self.nacks[message["code"]] += 1
        if message["code"] not in EXPECTED_NACKS:
            self.error(f"nack {message['code']}: {message.get('detail', '')}")

    def fix_sent(self, driver: str, t_ms: int) -> None:
        """A live fix left a phone."""
        if len(self._sent) < SENT_KEPT_MAX:
            self._sent[driver, t_ms] = time.perf_counter()

    def fix_seen(self, driver: str, t_ms: int) -> None:
        """A viewer got a position."""
        sent = self._sent.pop((driver, t_ms), None)
        if sent is not None:
            self.latencies_ms.append((time.perf_counter() - sent) * 1000)

    def route(self, driver: str, deliveries: set[str]) -> None:
        """A courier was told what he carries: nobody else may carry it."""
        self._carried[driver] = deliveries
        for other, theirs in self._carried.items():
            if other != driver and theirs & deliveries:
                self.double_assigned += 1
                self.error(f"{theirs & deliveries} is with {driver} and {other}")

    def latency(self) -> dict[str, float]:
        """Return the quantiles of fix → viewer in milliseconds."""
        ordered = sorted(self.latencies_ms)
        if not ordered:
            return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
        return {
            name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }


class BoardWatcher:
    """Looks at a board and measures how old its dots are; a business' board is checked for what is not its own."""

    def __init__(self, url: str, token: str, ledger: Ledger, *, business_id: str | None = None) -> None:
        self._ledger = ledger
        self._business_id = business_id
        self._drivers: set[str] = set()
        self._gone: set[str] = set()
        self._early: set[str] = set()
        """Whose positions came before he was shown: to a board that resumes while facts are on their way, they may."""
        self.deliveries: dict[str, str] = {}
        self.ever: set[str] = set()
        self.client = ViewerClient(url, token, self._hear)

    async def watch(self) -> None:
        """Watch until cancelled."""
        try:
            await self.client.run()
        except Refused as refused:
            self._ledger.error(f"board refused: {refused}")
        finally:
            for name in self._early:
                self._leak(f"a position of {name}, who was never shown")

    def _hear(self, message: Message) -> None:
        kind = message["type"]
        if kind == "snapshot":
            view = message["object"]
            self._drivers = {driver["id"] for driver in view["drivers"]}
            self._early -= self._drivers
            self._gone -= self._drivers
            for delivery in view["deliveries"]:
                self._take(delivery)
            for driver in view["drivers"]:
                self._check_driver(driver)
        elif kind == "delta":
            for change in message["changes"]:
                self._change(change)
        elif kind == "positions":
            for slot in message["positions"]:
                if slot[0] in self._gone:
                    self._leak(f"a position of {slot[0]}")
                elif slot[0] not in self._drivers:
                    self._early.add(slot[0])
                if self._business_id is None:
                    self._ledger.fix_seen(slot[0], slot[5])

    def _change(self, change: dict[str, Any]) -> None:
        if change["kind"] == "delivery":
            self._take(change)
        elif change["kind"] == "driver":
            self._drivers.add(change["id"])
            self._early.discard(change["id"])
            self._gone.discard(change["id"])
            self._check_driver(change)
        elif change["kind"] == "gone":
            self._drivers.discard(change["id"])
            self._gone.add(change["id"])

    def _take(self, delivery: dict[str, Any]) -> None:
        if self._business_id is not None and delivery["business_id"] != self._business_id:
            self._leak(f"delivery {delivery['id']} of {delivery['business_id']}")
        self.deliveries[delivery["id"]] = delivery["status"]
        self.ever.add(delivery["id"])

    def _check_driver(self, driver: dict[str, Any]) -> None:
        if self._business_id is None:
            return
        own = self._business_id in driver["business_ids"]
        if not own and not driver["delivery_ids"]:
            self._leak(f"driver {driver['id']}, who carries nothing of this business")
        if set(driver["business_ids"]) - {self._business_id}:
            self._leak(f"the other businesses of driver {driver['id']}")

    def _leak(self, what: str) -> None:
        self._ledger.leaks += 1
        self._ledger.error(f"{self._business_id} saw {what}")


async def probe_tenants(http: aiohttp.ClientSession, access: Access, boards: list[BoardWatcher], ledger: Ledger) -> int:
    """Ask as each business for what is another's: every answer must be "not found". Return how many were asked."""
    asked = 0
    for number, business in enumerate(access.businesses):
        own = boards[number].ever
        foreign = sorted(set().union(*(board.ever for board in boards)) - own)[:5]
        headers = {"Authorization": f"Bearer {business.token}"}
        for delivery in foreign:
            order = delivery.replace("del_", "ord_")
            for method, path, body in (
                ("GET", f"/api/v1/deliveries/{delivery}", None),
                ("POST", f"/api/v1/deliveries/{delivery}/cancel", {"reason": "not mine"}),
                ("GET", f"/api/v1/deliveries/{delivery}/proof", None),
                ("GET", f"/api/v1/dispatch/decisions/{delivery}", None),
                ("GET", f"/api/v1/orders/{order}/tracking", None),
                ("PATCH", f"/api/v1/business/orders/{order}", {"status": "canceled"}),
            ):
                asked += 1
                async with http.request(method, path, json=body, headers=headers) as reply:
                    if reply.status not in (403, 404):
                        ledger.leaks += 1
                        ledger.error(f"{business.name} got {reply.status} for {method} {path}")
    return asked


@contextlib.asynccontextmanager
async def running(*works: Any) -> Any:
    """Run coroutines as tasks until the block ends."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
