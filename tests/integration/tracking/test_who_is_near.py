"""Who is near: the drivers heard in the last minutes, where they were last."""

from __future__ import annotations

import time

from geo.point import Point
from kernel import keys
from kernel.redis import Redis
from tests.support.people import courier
from tests.support.server import Onward
from tests.support.world import World
from tracking.live import INDEXED_S, MINUTE_MS, LivePositions


async def test_who_says_nothing_is_near_nobody_soon_and_leaves_no_trace(onward: Onward) -> None:
    """Found in the minute of his last fix and in the next; then not, without anybody sweeping."""
    world, redis = onward.world, onward.installation.redis
    live, pia, here = LivePositions(redis), world.pool[0], Point(world.verde.lat, world.verde.lng)
    async with courier(onward, pia) as phone:
        await phone.is_at(here.lat, here.lng)
    heard_ms = (await live.positions(world.operator_id))[pia.id].received_ms

    async def found(later_ms: int) -> list[object]:
        ((*near,),) = await live.nearest(world.operator_id, [here], count=5, now_ms=heard_ms + later_ms)
        return [driver for driver, _ in near]

    assert await found(0) == [pia.id]
    assert await found(MINUTE_MS) == [pia.id]
    assert await found(2 * MINUTE_MS) == []
    left_s = await redis.ttl(keys.geo_index(world.operator_id, heard_ms // MINUTE_MS))
    assert 2 * MINUTE_MS / 1000 < left_s <= INDEXED_S


async def test_who_moved_in_between_is_found_once_where_he_is_now(redis: Redis, world: World) -> None:
    """Both minutes know him: the newer place counts, in the order of the distances."""
    live, now_ms = LivePositions(redis), int(time.time() * 1000)
    minute, (pia, other, _) = now_ms // MINUTE_MS, [driver.id for driver in world.pool]
    for heard, driver, north_m in ((minute - 1, pia, 50), (minute - 1, other, 200), (minute, pia, 400)):
        place = [24.94, 60.17 + north_m / 111_195, driver.hex]
        await redis.geoadd(keys.geo_index(world.operator_id, heard), place)
    ((*near,),) = await live.nearest(world.operator_id, [Point(60.17, 24.94)], count=5, now_ms=now_ms)
    assert [(driver, round(meters, -1)) for driver, meters in near] == [(other, 200), (pia, 400)]
