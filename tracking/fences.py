"""Arrivals: each driver's next stop has a fence, and live fixes step it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from geo.fence import Fence, FenceEvent, FenceFix, FenceState, step
from geo.point import Point
from kernel import keys
from kernel.clock import from_ms
from kernel.db import Database, Reason
from kernel.events import EventType, event
from kernel.ids import Kind, show
from kernel.outbox import emit
from kernel.redis import Redis
from tracking.fix import Position

_pack = msgspec.msgpack.Encoder().encode


class NextStop(msgspec.Struct, frozen=True):
    """The stop a driver goes to now."""

    delivery_id: UUID
    business_id: UUID
    kind: Literal["pickup", "dropoff"]
    lat: float
    lng: float
    radius_m: float


class _Kept(msgspec.Struct, frozen=True):
    stop: NextStop
    state: FenceState


class Fences:
    """Keeps the next stops and tells of arrivals as durable events."""

    def __init__(self, redis: Redis, db: Database) -> None:
        self._redis = redis
        self._db = db

    async def put(self, operator_id: UUID, driver_id: UUID, stop: NextStop | None) -> None:
        """Set a driver's next stop; the same stop again keeps what its fence remembers."""
        key, field = keys.next_stops(operator_id), driver_id.bytes
        if stop is None:
            await self._redis.hdel(key, field)
            return
        kept = await self._redis.hget(key, field)
        if kept is not None and msgspec.msgpack.decode(kept, type=_Kept).stop == stop:
            return
        await self._redis.hset(key, field, _pack(_Kept(stop, FenceState())))

    async def step(self, operator_id: UUID, positions: Sequence[Position]) -> None:
        """Move fences on by live fixes, in the order they were made."""
        by_driver: dict[UUID, list[Position]] = defaultdict(list)
        for position in positions:
            by_driver[position.driver_id].append(position)
        key = keys.next_stops(operator_id)
        values = await self._redis.hmget(key, [driver.bytes for driver in by_driver])
        changed: dict[bytes, bytes] = {}
        arrivals: list[tuple[UUID, NextStop, int]] = []
        for (driver_id, fixes), packed in zip(by_driver.items(), values, strict=True):
            if packed is None:
                continue
            kept = msgspec.msgpack.decode(packed, type=_Kept)
            state = kept.state
            fence = Fence(Point(kept.stop.lat, kept.stop.lng), kept.stop.radius_m)
            for fix in sorted(fixes, key=lambda p: p.t_ms):
                seen = FenceFix(Point(fix.lat, fix.lng), fix.t_ms, fix.speed_mps, fix.accuracy_m)
                state, fired = step(state, fence, seen)
                if fired is FenceEvent.ARRIVED:
                    arrivals.append((driver_id, kept.stop, fix.t_ms))
            if state != kept.state:
                changed[driver_id.bytes] = _pack(_Kept(kept.stop, state))
        for driver_id, stop, t_ms in arrivals:
            await self._tell(operator_id, driver_id, stop, t_ms)
        if changed:
            await self._redis.hset(key, mapping=changed)

    async def _tell(self, operator_id: UUID, driver_id: UUID, stop: NextStop, t_ms: int) -> None:
        async with self._db.platform_tx(Reason.DRIVER_PRESENCE) as con:
            await emit(
                con,
                event(
                    EventType.DRIVER_ARRIVED,
                    at=from_ms(t_ms),
                    operator_id=operator_id,
                    business_id=stop.business_id,
                    driver_id=driver_id,
                    subject=stop.delivery_id,
                    data={"delivery_id": show(Kind.DELIVERY, stop.delivery_id), "kind": stop.kind, "t_ms": t_ms},
                ),
            )
