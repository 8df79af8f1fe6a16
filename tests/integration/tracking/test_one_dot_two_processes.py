"""Two devices of one driver, each on another process: the dot goes on and never back, also for who looks."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

from kernel import keys
from kernel.clock import SystemClock
from kernel.db import Database
from kernel.redis import Redis, Shards
from tests.support.world import World
from tracking import dots
from tracking.fences import Fences
from tracking.filters_kept import Filters
from tracking.fix import Position, unpack_rows
from tracking.ingest import Entry, Ingest
from tracking.live import LivePositions
from tracking.wire import WireFix


class Process:
    """What one process does with fixes."""

    def __init__(self, db: Database, redis: Redis) -> None:
        self.ingest = Ingest(redis, Shards(redis), Fences(redis, db), Filters(db), SystemClock())

    async def receives(self, world: World, driver: UUID, device: str, *fixes: WireFix) -> None:
        self.ingest.add(Entry(world.operator_id, driver, device, 1, lambda _seq, _rejected: None), fixes)
        await self.ingest.flush()


async def test_the_older_fix_of_a_second_device_does_not_move_the_dot_back(
    db: Database, redis: Redis, world: World
) -> None:
    """Each process believes its own device's fix to be the newest; both are kept, the newer one is shown."""
    pia, one, other = world.pool[0].id, Process(db, redis), Process(db, redis)
    for process, device in ((one, "phone"), (other, "tablet")):
        await process.ingest.meet(world.operator_id, pia, device)
    now_ms = int(time.time() * 1000)
    told: list[int] = []
    async with redis.pubsub() as channel:
        await channel.ssubscribe(keys.positions_channel(world.operator_id))
        await one.receives(world, pia, "phone", WireFix(now_ms, 60.17, 24.94))
        await other.receives(world, pia, "tablet", WireFix(now_ms - 1_000, 60.18, 24.95))
        await other.receives(world, pia, "tablet", WireFix(now_ms + 1_000, 60.18, 24.95))
        async with asyncio.timeout(10):
            while len(told) < 2:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                told += [row[5] for row in unpack_rows(message["data"])] if message else []
    assert told == [now_ms, now_ms + 1_000]
    seen = await LivePositions(redis).positions(world.operator_id)
    assert (seen[pia].t_ms, seen[pia].lat) == (now_ms + 1_000, 60.18)
    rows = [
        row[1]
        for _, fields in await redis.xrange(keys.fix_stream(world.operator_id))
        for row in unpack_rows(fields[b"b"])
    ]
    assert rows == [now_ms, now_ms - 1_000, now_ms + 1_000]


async def test_thousands_of_dots_move_at_once(redis: Redis, world: World) -> None:
    """After an outage everybody's fixes come in one batch; the stragglers among them stay where they are."""
    drivers = [UUID(int=number) for number in range(2 * dots.AT_ONCE_MAX + 1)]
    shards, live = Shards(redis), LivePositions(redis)
    for t_ms, some in ((1_790_000_000_000, drivers[::2]), (1_789_999_999_999, drivers)):
        pipe = await shards.begin(keys.positions(world.operator_id))
        at = [Position(driver, t_ms, 60.17, 24.94, None, None, None, t_ms) for driver in some]
        dots.move(pipe, world.operator_id, at)
        await shards.commit(pipe)
    seen = await live.positions(world.operator_id)
    assert len(seen) == len(drivers)
    assert {driver for driver in drivers if seen[driver].t_ms == 1_790_000_000_000} == set(drivers[::2])
