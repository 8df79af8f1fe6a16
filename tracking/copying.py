"""Fixes as PostgreSQL's binary COPY reads them, straight from the bytes of the stream.

A driver's id and a time go through as they lie there; made into `UUID` and `datetime` first, a fix would cost five
times as much. Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

COLUMNS: Final = (
    "driver_id", "operator_id", "recorded_at", "received_at", "lat", "lng", "accuracy_m", "speed_mps", "heading_deg",
    "source", "verdict", "clock_ahead_ms",
)  # fmt: skip
_START: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_EPOCH_US: Final = 946_684_800_000_000  # 2000-01-01, where PostgreSQL counts from
_FIRST: Final = struct.Struct(">hi16si16siqiqidid").pack
_REAL: Final = struct.Struct(">if").pack
_BIGINT: Final = struct.Struct(">iq").pack
_LENGTH: Final = struct.Struct(">i").pack


def copy_bytes(operator_id: UUID, rows: Iterable[list[Any]]) -> bytes:
    """Return an operator's rows (`tracking.fix.HistoryRow`) as the input of `COPY … FROM STDIN (FORMAT binary)`."""
    operator = operator_id.bytes
    pieces = [_START]
    for driver, t_ms, received_ms, lat, lng, accuracy_m, speed_mps, heading_deg, source, verdict, ahead_ms in rows:
        recorded_us, received_us = t_ms * 1000 - _EPOCH_US, received_ms * 1000 - _EPOCH_US
        pieces += (
            _FIRST(12, 16, driver, 16, operator, 8, recorded_us, 8, received_us, 8, lat, 8, lng),
            _NULL if accuracy_m is None else _REAL(4, accuracy_m),
            _NULL if speed_mps is None else _REAL(4, speed_mps),
            _NULL if heading_deg is None else _REAL(4, heading_deg),
            _text(source),
            _text(verdict),
            _BIGINT(8, ahead_ms),
        )
    pieces.append(_END)
    return b"".join(pieces)


@lru_cache(maxsize=256)
def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH(len(encoded)) + encoded
