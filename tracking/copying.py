"""Fixes as PostgreSQL's binary COPY reads them: made once where a fix comes in, and carried to history as they are.

Between comes the durable stream, whose bytes go to COPY untouched: made into objects on the way, a fix would cost
several times as much. Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from tracking.wire import WireFix

COLUMNS: Final = (
    "driver_id", "operator_id", "recorded_at", "received_at", "lat", "lng", "accuracy_m", "speed_mps", "heading_deg",
    "source", "verdict", "clock_ahead_ms",
)  # fmt: skip
_START: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_EPOCH_US: Final = 946_684_800_000_000  # 2000-01-01, where PostgreSQL counts from
_FIELDS: Final = len(COLUMNS)
_PLACED: Final = struct.Struct(">hi16si16siqiqidid").pack
_WHOLE: Final = struct.Struct(">hi16si16siqiqididififif").pack
_REAL: Final = struct.Struct(">if").pack
_BIGINT: Final = struct.Struct(">iq").pack
_LENGTH: Final = struct.Struct(">i").pack


def copy_row(driver: bytes, operator: bytes, fix: WireFix, received_ms: int, verdict: str, ahead_ms: int) -> bytes:
    """Return a fix as a row of `COPY driver_locations (COLUMNS)`; both ids are a UUID's 16 bytes, and `ahead_ms` is by
    how much the fix's time was corrected.
    """
    recorded_us, received_us = fix.t * 1000 - _EPOCH_US, received_ms * 1000 - _EPOCH_US
    accuracy_m, speed_mps, heading_deg = fix.acc, fix.spd, fix.hdg
    if accuracy_m is not None and speed_mps is not None and heading_deg is not None:
        return _WHOLE(
            _FIELDS, 16, driver, 16, operator, 8, recorded_us, 8, received_us, 8, fix.lat, 8, fix.lng,
            4, accuracy_m, 4, speed_mps, 4, heading_deg,
        ) + _tail(fix.src, verdict, ahead_ms)  # fmt: skip
    placed = _PLACED(_FIELDS, 16, driver, 16, operator, 8, recorded_us, 8, received_us, 8, fix.lat, 8, fix.lng)
    reals = (_NULL if number is None else _REAL(4, number) for number in (accuracy_m, speed_mps, heading_deg))
    return b"".join((placed, *reals, _tail(fix.src, verdict, ahead_ms)))


def copy_input(rows: Iterable[bytes]) -> bytes:
    """Return rows as the input of `COPY … FROM STDIN (FORMAT binary)`."""
    return b"".join((_START, *rows, _END))


@lru_cache(maxsize=1024)
def _tail(source: str | None, verdict: str, ahead_ms: int) -> bytes:
    """Return the last columns of a row, which are the same for most fixes of a phone."""
    kept = (source or "").replace("\0", "").encode()  # PostgreSQL keeps no NUL, and one fix must not stop the batch
    told = verdict.encode()
    return b"".join((_LENGTH(len(kept)), kept, _LENGTH(len(told)), told, _BIGINT(8, ahead_ms)))
