"""What is kept of devices is bounded, whatever they call themselves."""

from __future__ import annotations

from kernel import keys
from kernel.redis import Redis
from tests.support.world import World
from tracking.devices_met import DEVICES_MAX, DevicesMet


async def test_ever_new_devices_push_out_the_one_met_longest_ago(redis: Redis, world: World) -> None:
    """Twenty phones of one driver leave as much as a few; a colleague's phone stays known."""
    met, operator = DevicesMet(redis), world.operator_id
    pia, paul = world.pool[0].id, world.pool[1].id
    for kept in (keys.durable_seqs(operator), keys.clocks_ahead(operator)):
        await redis.hset(kept, paul.bytes + b"phone", 70)
    assert await met.meet(operator, paul, "phone", 1) == (None, 70, 70)
    for n in range(20):
        assert await met.meet(operator, pia, f"phone {n}", 1_000 + n) == (None, 0, 0)
        for kept in (keys.durable_seqs(operator), keys.clocks_ahead(operator)):
            await redis.hset(kept, pia.bytes + b"phone %d" % n, n + 1)
    assert await redis.hlen(keys.durable_seqs(operator)) == 1 + DEVICES_MAX
    assert await redis.hlen(keys.clocks_ahead(operator)) == 1 + DEVICES_MAX
    assert await met.meet(operator, pia, "phone 13", 2_000) == (None, 14, 14)
    assert await met.meet(operator, pia, "phone 11", 2_001) == (None, 0, 0)
    assert await met.meet(operator, pia, "phone 12", 2_002) == (None, 0, 0), "it made room for the one before"
    assert await met.meet(operator, pia, "phone 13", 2_003) == (None, 14, 14)
    assert await met.meet(operator, paul, "phone", 3_000) == (None, 70, 70)
