"""Fixes and positions: what a driver's phone said, and the newest of it per driver, packed for Redis."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from tracking.wire import WireFix

NUMBER_MAX: Final = 2**53
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class Position(msgspec.Struct, frozen=True):
    """Where a driver was last seen. `t_ms` is when by the device, its clock corrected; `received_ms` when we heard."""

    driver_id: UUID
    t_ms: int
    lat: float
    lng: float
    accuracy_m: float | None
    speed_mps: float | None
    heading_deg: float | None
    received_ms: int

    def pack(self) -> bytes:
        """Return the bytes kept in Redis (without the driver's id: that is the field's name)."""
        return _pack(
            (self.t_ms, self.lat, self.lng, self.accuracy_m, self.speed_mps, self.heading_deg, self.received_ms)
        )


def unpack_position(driver_id: UUID, packed: bytes) -> Position:
    """Return the position behind bytes from Redis."""
    return Position(driver_id, *_unpack(packed))


def position_of(driver_id: UUID, fix: WireFix, received_ms: int) -> Position:
    """Return a fix as a position."""
    return Position(driver_id, fix.t, fix.lat, fix.lng, fix.acc, fix.spd, fix.hdg, received_ms)


HistoryRow = tuple[bytes, int, int, float, float, float | None, float | None, float | None, str, str, int]
"""driver id, t_ms, received_ms, lat, lng, accuracy, speed, heading, source, verdict, by how much t_ms was corrected."""
RejectedRow = tuple[bytes, int, str, dict[str, Any]]
"""driver id, received_ms, reason, the fix as it came, numbers that can't be kept told as such."""


def history_row(driver_id: UUID, fix: WireFix, received_ms: int, verdict: str, ahead_ms: int) -> HistoryRow:
    """Return a fix as it goes through the durable stream to history."""
    source = (fix.src or "").replace("\0", "")  # PostgreSQL keeps no NUL, and one fix must not stop the batch
    return (
        driver_id.bytes,
        fix.t,
        received_ms,
        fix.lat,
        fix.lng,
        fix.acc,
        fix.spd,
        fix.hdg,
        source,
        verdict,
        ahead_ms,
    )


def rejected_row(driver_id: UUID, fix: WireFix, received_ms: int, reason: str) -> RejectedRow:
    """Return a fix that has no place in history, to be kept apart."""
    raw: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(fix).items():
        if isinstance(value, str):
            raw[name] = value.replace("\0", "")
        elif value is not None:
            raw[name] = value if abs(value) < NUMBER_MAX else "out of range"  # also NaN
    return driver_id.bytes, received_ms, reason, raw


def pack_rows(rows: list[Any]) -> bytes:
    """Pack a batch for the stream or a channel."""
    return _pack(rows)


def unpack_rows(packed: bytes) -> list[Any]:
    """Return a batch from the stream or a channel."""
    rows: list[Any] = _unpack(packed)
    return rows
