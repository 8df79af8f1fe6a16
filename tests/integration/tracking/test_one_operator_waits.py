"""One operator's servers are away: his phones wait for their acks, and nobody else's do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from kernel import keys
from kernel.clock import SystemClock
from kernel.db import Database
from kernel.ids import new_id
from kernel.redis import Command, Redis, Shards, connect
from onward.embedded import Servers
from tests.support.people import DEADLINE_S
from tracking import ingest as ingest_module
from tracking.fences import Fences
from tracking.filters_kept import Filters
from tracking.ingest import Ingest, Overloaded
from tracking.wire import WireFix


class OneShardAway(Shards):
    """The real servers, of which those of one operator don't answer for now."""

    away: UUID | None = None

    async def write(self, key: str, *commands: Command) -> list[Any]:
        """Write, or fail as a shard in failover does."""
        if self.away is not None and key == keys.fix_stream(self.away):
            raise ConnectionError("no route to host")
        return await super().write(key, *commands)


async def test_who_waits_for_his_servers_holds_up_nobody(
    servers: Servers, redis: Redis, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's fixes are acknowledged meanwhile, also when no room is left; what waited is kept when it can be."""
    monkeypatch.setattr(ingest_module, "WAITING_FIXES_MAX", 10)
    monkeypatch.setattr(ingest_module, "RETRY_S", 0.01)
    shards = OneShardAway(connect(servers.redis_url))
    ingest = Ingest(redis, shards, Fences(redis, db), Filters(db), SystemClock())
    waiting, other = [await ingest.meet(new_id(), new_id(), "phone") for _ in range(2)]
    acked: dict[int, asyncio.Event] = {n: asyncio.Event() for n in range(1, 100)}
    now_ms = int(time.time() * 1000)

    def durable(seq: int, _rejected: Mapping[str, int]) -> None:
        acked[seq].set()

    shards.away = waiting.operator_id
    running = asyncio.create_task(ingest.run())
    try:
        async with asyncio.timeout(DEADLINE_S):
            seq, refused = 1, False
            while not refused:
                try:
                    ingest.add(waiting, seq, [WireFix(now_ms + seq, 60.17, 24.94)], durable)
                    seq += 1
                    await asyncio.sleep(0)
                except Overloaded:
                    refused = True
            for n in range(90, 95):
                ingest.add(other, n, [WireFix(now_ms + n, 60.17, 24.94)], durable)
                await acked[n].wait()
            assert not any(acked[n].is_set() for n in range(1, seq))
            shards.away = None
            await acked[seq - 1].wait()
        assert await redis.hget(keys.durable_seqs(waiting.operator_id), waiting.device) == b"%d" % (seq - 1)
        entries = await redis.xrange(keys.fix_stream(waiting.operator_id))
        assert sum(int(fields[b"count"]) for _, fields in entries) == seq - 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await shards.aclose()
