"""Approach, arrival, leaving: each driver's next stop has a fence that sees every fix that is believed, late ones too.

The stop and what its fence remembers are kept apart, so that one process may set the next stop while another is busy
with the last. Told twice (a process died between telling and remembering), it is one event: its id follows from what it
tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal
from uuid import UUID, uuid5

import msgspec

from geo.fence import Fence, FenceEvent, FenceFix, FenceState, observe
from geo.point import Point
from kernel import keys
from kernel.clock import from_ms
from kernel.db import Database, Reason
from kernel.events import Event, EventType
from kernel.ids import Kind, show
from kernel.outbox import emit
from kernel.redis import Redis
from tracking.wire import WireFix

_pack = msgspec.msgpack.Encoder().encode
_EVENTS: Final = UUID("5a1f3c0e-6d0b-4e0e-9a53-0d3c1f6f7c11")
TOLD_AS: Final[Mapping[FenceEvent, EventType]] = {
    FenceEvent.APPROACHED: EventType.DRIVER_APPROACHED,
    FenceEvent.ARRIVED: EventType.DRIVER_ARRIVED,
    FenceEvent.LEFT: EventType.DRIVER_LEFT,
}


class NextStop(msgspec.Struct, frozen=True):
    """The stop a driver goes to now."""

    delivery_id: UUID
    business_id: UUID
    kind: Literal["pickup", "dropoff"]
    lat: float
    lng: float
    radius_m: float


class _Set(msgspec.Struct, frozen=True):
    """A next stop, and since when it is: older fixes say nothing about it."""

    stop: NextStop
    since_ms: int


class _Kept(msgspec.Struct, frozen=True):
    """What the fence of a stop remembers; of another stop than the one that is set it is nothing."""

    stop: _Set
    state: FenceState


_decode_stop = msgspec.msgpack.Decoder(_Set).decode
_decode_kept = msgspec.msgpack.Decoder(_Kept).decode


class Fences:
    """Keeps the next stops, and tells what happens at them as durable events."""

    def __init__(self, redis: Redis, db: Database) -> None:
        self._redis = redis
        self._db = db

    async def put(self, operator_id: UUID, driver_id: UUID, stop: NextStop | None, since_ms: int) -> None:
        """Set a driver's next stop; the same stop again keeps since when it is, and what its fence remembers."""
        key, field = keys.next_stops(operator_id), driver_id.bytes
        if stop is None:
            await self._redis.hdel(key, field)
            await self._redis.hdel(keys.fences(operator_id), field)
            return
        kept = await self._redis.hget(key, field)
        if kept is not None and _decode_stop(kept).stop == stop:
            return
        await self._redis.hset(key, field, _pack(_Set(stop, since_ms)))

    async def step(self, operator_id: UUID, believed: Mapping[bytes, Sequence[WireFix]]) -> None:
        """Show the fences what is believed of drivers' fixes, all drivers (the ids' 16 bytes) in one pass."""
        drivers = list(believed)
        stops = await self._redis.hmget(keys.next_stops(operator_id), drivers)
        going = [(driver, _decode_stop(stop)) for driver, stop in zip(drivers, stops, strict=True) if stop is not None]
        if not going:
            return
        key = keys.fences(operator_id)
        states = await self._redis.hmget(key, [driver for driver, _ in going])
        changed: dict[bytes, bytes] = {}
        events: list[Event] = []
        for (driver, stop), packed in zip(going, states, strict=True):
            state = _state_of(packed, stop)
            at = stop.stop
            fence = Fence(Point(at.lat, at.lng), at.radius_m)
            fixes = (
                FenceFix(Point(fix.lat, fix.lng), fix.t, fix.spd, fix.acc)
                for fix in believed[driver]
                if fix.t >= stop.since_ms
            )
            told = observe(state, fence, fixes)
            events += [_event(operator_id, UUID(bytes=driver), stop, what, t_ms) for what, t_ms in told]
            kept = _pack(_Kept(stop, state))
            if kept != packed:
                changed[driver] = kept
        if events:
            async with self._db.platform_tx(Reason.DRIVER_PRESENCE) as con:
                await emit(con, *events)
        if changed:
            await self._redis.hset(key, mapping=changed)


def _state_of(packed: bytes | None, stop: _Set) -> FenceState:
    if packed is not None:
        kept = _decode_kept(packed)
        if kept.stop == stop:
            return kept.state
    return FenceState()


def _event(operator_id: UUID, driver_id: UUID, stop: _Set, what: FenceEvent, t_ms: int) -> Event:
    at = stop.stop
    return Event(
        id=uuid5(_EVENTS, f"{driver_id}:{at.delivery_id}:{at.kind}:{stop.since_ms}:{what.value}"),
        type=TOLD_AS[what],
        created_at=from_ms(t_ms),
        operator_id=operator_id,
        business_id=at.business_id,
        driver_id=driver_id,
        subject=at.delivery_id,
        data={"delivery_id": show(Kind.DELIVERY, at.delivery_id), "kind": at.kind, "t_ms": t_ms},
    )
