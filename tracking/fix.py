"""Fixes and positions: what a driver's phone said, and the newest of it per driver, packed for Redis."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from tracking.wire import WireFix

NUMBER_MAX: Final = 2**53
DAY_MS: Final = 24 * 3600 * 1000
pack: Final = msgspec.msgpack.Encoder().encode
unpack: Final = msgspec.msgpack.Decoder().decode


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


def pack_position(fix: WireFix, received_ms: int) -> bytes:
    """Return a position's bytes as they are kept in Redis (without the driver's id: that is the field's name)."""
    return pack((fix.t, fix.lat, fix.lng, fix.acc, fix.spd, fix.hdg, received_ms))


def unpack_position(driver_id: UUID, packed: bytes) -> Position:
    """Return the position behind bytes from Redis."""
    return Position(driver_id, *unpack(packed))


RejectedRow = tuple[bytes, int, str, dict[str, Any]]
"""driver id, received_ms, reason, the fix as it came, numbers that can't be kept told as such."""


def rejected_row(driver: bytes, fix: WireFix, received_ms: int, reason: str) -> RejectedRow:
    """Return a fix that has no place in history, to be kept apart."""
    raw: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(fix).items():
        if isinstance(value, str):
            raw[name] = value.replace("\0", "")
        elif value is not None:
            raw[name] = value if abs(value) < NUMBER_MAX else "out of range"  # also NaN
    return driver, received_ms, reason, raw
