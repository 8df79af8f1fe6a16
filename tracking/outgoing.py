"""A WebSocket frame as bytes, written straight to the transport: one encoding and one header for all who get it.

Legal on uncompressed sockets only; aiohttp's own pongs and closes go through the same transport, so order holds.
"""

from __future__ import annotations

import struct
from typing import Final

TEXT: Final = 0x81
BINARY: Final = 0x82
_SHORT: Final = struct.Struct(">BB").pack
_MEDIUM: Final = struct.Struct(">BBH").pack
_LONG: Final = struct.Struct(">BBQ").pack


def socket_frame(payload: bytes, *, binary: bool) -> bytes:
    """Return one whole, unmasked message as a server sends it (RFC 6455, section 5.2)."""
    first, size = BINARY if binary else TEXT, len(payload)
    if size < 126:
        return _SHORT(first, size) + payload
    if size < 65536:
        return _MEDIUM(first, 126, size) + payload
    return _LONG(first, 127, size) + payload
