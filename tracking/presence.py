"""Ghosts: a driver whose phone went quiet leaves the geo index, so that nobody looks for work for him there."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from kernel import keys
from kernel.clock import Clock
from kernel.redis import Redis
from tracking.live import LivePositions

GONE_AFTER_MS: Final = 5 * 60_000


async def remove_ghosts(redis: Redis, clock: Clock) -> int:
    """Remove drivers silent for five minutes from every operator's geo index; their last position stays known."""
    removed = 0
    oldest_ms = clock.now_ms() - GONE_AFTER_MS
    for operator in await redis.smembers(keys.operators()):
        operator_id = UUID(bytes=operator)
        seen = await LivePositions(redis).positions(operator_id)
        ghosts = [driver.hex for driver, position in seen.items() if position.received_ms < oldest_ms]
        if ghosts:
            removed += await redis.zrem(keys.geo_index(operator_id), *ghosts)
    return removed
