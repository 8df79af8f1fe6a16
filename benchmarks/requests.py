"""The generator of requests: so many a second of a mix, each at its own time, whether or not others were answered.

It reads one plan as a line of JSON, opens its connections, says `{"ready":true}`, waits for a line, asks for the
plan's time, and prints what it saw. A request's time counts from when it was due, so a server that stalls pays for
all whom it let wait.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from typing import Any, Final
from uuid import uuid4

import aiohttp
import msgspec
import numpy as np
import uvloop

CONNECTIONS: Final = 64
ANSWER_MAX_S: Final = 10.0


class Ask(msgspec.Struct, frozen=True):
    """One kind of request, asked `weight` times as often as another of 1; its paths, tokens and bodies in turn."""

    name: str
    weight: float
    paths: list[str]
    tokens: list[str] = []
    bodies: list[dict[str, Any]] = []


class Plan(msgspec.Struct, frozen=True):
    """What is asked, how often and for how long."""

    url: str
    seconds: float
    rate_per_s: float
    asks: list[Ask]


class Asked:
    """Asks, and keeps how long each answer took."""

    def __init__(self, plan: Plan, http: aiohttp.ClientSession) -> None:
        self._plan = plan
        self._http = http
        self._turn: Counter[str] = Counter()
        self.took_ms: dict[str, list[float]] = {ask.name: [] for ask in plan.asks}
        self.wrong: Counter[str] = Counter()

    async def once(self, ask: Ask, due_s: float) -> None:
        """Ask once; what is not answered well counts as wrong, by its status or error."""
        turn = self._turn[ask.name]
        self._turn[ask.name] += 1
        headers = {"Authorization": f"Bearer {ask.tokens[turn % len(ask.tokens)]}"} if ask.tokens else {}
        body = ask.bodies[turn % len(ask.bodies)] if ask.bodies else None
        method = "GET"
        if body is not None:
            method, headers["Idempotency-Key"] = "POST", str(uuid4())
        try:
            path = ask.paths[turn % len(ask.paths)]
            async with self._http.request(method, path, json=body, headers=headers) as reply:
                await reply.read()
                if reply.status >= 400:
                    self.wrong[f"{ask.name}: {reply.status}"] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self.wrong[f"{ask.name}: {type(error).__name__}"] += 1
        self.took_ms[ask.name].append(1000 * (time.monotonic() - due_s))

    async def all_the_time(self) -> float:
        """Ask at random times, the same for everybody who measures; return the seconds it took."""
        chance, asks = random.Random(1), self._plan.asks
        weights = [ask.weight for ask in asks]
        began = due_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while (due_s := due_s + chance.expovariate(self._plan.rate_per_s)) < began + self._plan.seconds:
                (ask,) = chance.choices(asks, weights)
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                group.create_task(self.once(ask, due_s))
        return time.monotonic() - began


async def main() -> None:
    """Run one plan from standard input."""
    line = await asyncio.to_thread(sys.stdin.buffer.readline)
    plan = msgspec.json.decode(line, type=Plan)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=ANSWER_MAX_S)
    async with aiohttp.ClientSession(plan.url, connector=connector, timeout=timeout) as http:
        warm = Asked(plan, http)
        for ask in plan.asks:
            await asyncio.gather(*(warm.once(ask, time.monotonic()) for _ in range(CONNECTIONS // len(plan.asks))))
        print('{"ready":true}', flush=True)
        await asyncio.to_thread(sys.stdin.buffer.readline)
        asked = Asked(plan, http)
        seconds = await asked.all_the_time()
    cases = [
        {
            "request": name,
            "requests": len(took_ms),
            **{f"p{share}_ms": round(float(np.percentile(took_ms or [0.0], share)), 1) for share in (50, 95, 99)},
        }
        for name, took_ms in asked.took_ms.items()
    ]
    seen = {"seconds": seconds, "cases": cases, "wrong": dict(asked.wrong), "generator_cpu_s": time.process_time()}
    print(msgspec.json.encode(seen).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
