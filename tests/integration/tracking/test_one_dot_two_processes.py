"""Two devices of one driver, each on another process: the dot goes on and never back, also for who looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from kernel import keys
from kernel.clock import SystemClock
from kernel.db import Database
from kernel.redis import Redis, Shards
from tests.support.people import DEADLINE_S
from tests.support.world import World
from tracking import dots
from tracking.fences import Fences
from tracking.filters_kept import Filters
from tracking.fix import unpack
from tracking.ingest import Ingest
from tracking.live import LivePositions
from tracking.wire import WireFix


class Process:
    """What one process does with fixes."""

    def __init__(self, db: Database, redis: Redis) -> None:
        self.ingest = Ingest(redis, Shards(redis), Fences(redis, db), Filters(db), SystemClock())

    async def hears(self, world: World, driver: UUID, device: str) -> Callable[[WireFix], Awaitable[None]]:
        """Meet a device; return what brings in a fix of it, until it is durable."""
        source = await self.ingest.meet(world.operator_id, driver, device)

        async def receives(fix: WireFix) -> None:
            durable = asyncio.Event()
            self.ingest.add(source, 1, [fix], lambda _seq, _rejected: durable.set())
            writing = asyncio.create_task(self.ingest.run())
            async with asyncio.timeout(DEADLINE_S):
                await durable.wait()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

        return receives


async def test_the_older_fix_of_a_second_device_does_not_move_the_dot_back(
    db: Database, redis: Redis, world: World
) -> None:
    """Each process believes its own device's fix to be the newest; both are kept, the newer one is shown."""
    pia = world.pool[0].id
    phone = await Process(db, redis).hears(world, pia, "phone")
    tablet = await Process(db, redis).hears(world, pia, "tablet")
    now_ms = int(time.time() * 1000)
    told: list[int] = []
    async with redis.pubsub() as channel:
        await channel.ssubscribe(keys.positions_channel(world.operator_id))
        await phone(WireFix(now_ms, 60.17, 24.94))
        await tablet(WireFix(now_ms - 1_000, 60.18, 24.95))
        await tablet(WireFix(now_ms + 1_000, 60.18, 24.95))
        async with asyncio.timeout(DEADLINE_S):
            while len(told) < 2:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                told += [position[0] for _, position in unpack(message["data"])] if message else []
    assert told == [now_ms, now_ms + 1_000]
    seen = await LivePositions(redis).positions(world.operator_id)
    assert (seen[pia].t_ms, seen[pia].lat) == (now_ms + 1_000, 60.18)
    counts = [int(fields[b"count"]) for _, fields in await redis.xrange(keys.fix_stream(world.operator_id))]
    assert counts == [1, 1, 1]


async def test_thousands_of_dots_move_at_once(redis: Redis, world: World) -> None:
    """After an outage everybody's fixes come in one batch; the stragglers among them stay where they are."""
    drivers = [UUID(int=number) for number in range(2 * dots.AT_ONCE_MAX + 1)]
    shards, live = Shards(redis), LivePositions(redis)
    for t_ms, some in ((1_790_000_000_000, drivers[::2]), (1_789_999_999_999, drivers)):
        newest = {driver.bytes: (WireFix(t_ms, 60.17, 24.94), t_ms) for driver in some}
        await shards.write(keys.fix_stream(world.operator_id), *dots.moves(world.operator_id, newest))
    seen = await live.positions(world.operator_id)
    assert len(seen) == len(drivers)
    assert {driver for driver in drivers if seen[driver].t_ms == 1_790_000_000_000} == set(drivers[::2])
