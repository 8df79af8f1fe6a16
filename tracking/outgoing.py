"""Frames as bytes, written straight to the transport: one encoding and one header for all who get them.

Two thirds of what a delivered message costs is the kernel's send; the rest must not be paid for each viewer. Legal on
uncompressed sockets only; aiohttp's own pongs and closes go through the same transport, so order holds.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, Final

import msgspec

TEXT: Final = 0x81
BINARY: Final = 0x82
PING_FRAME: Final = b"\x89\x00"
HEARTBEAT_S: Final = 20.0
"""Who was not heard for so long is asked by a control frame, and is gone when he does not answer within as long."""
_SHORT: Final = struct.Struct(">BB").pack
_MEDIUM: Final = struct.Struct(">BBH").pack
_LONG: Final = struct.Struct(">BBQ").pack
_msgpack: Final = msgspec.msgpack.Encoder().encode
_json: Final = msgspec.json.Encoder().encode


class Wrapping(IntEnum):
    """How a message lies on the wire."""

    MSGPACK = 0
    JSON = 1
    EVENT = 2
    """A Server-Sent Event."""


def socket_frame(payload: bytes, *, binary: bool) -> bytes:
    """Return one whole, unmasked WebSocket message as a server sends it (RFC 6455, section 5.2)."""
    first, size = BINARY if binary else TEXT, len(payload)
    if size < 126:
        return _SHORT(first, size) + payload
    if size < 65536:
        return _MEDIUM(first, 126, size) + payload
    return _LONG(first, 127, size) + payload


class Frame:
    """One message, made into bytes at most once for each wrapping."""

    __slots__ = ("_bytes", "message")

    def __init__(self, message: Any) -> None:
        self.message = message
        self._bytes: list[bytes | None] = [None, None, None]

    def wrapped(self, wrapping: Wrapping) -> bytes:
        """Return the message as it goes to the transport."""
        found = self._bytes[wrapping]
        if found is None:
            if wrapping is Wrapping.MSGPACK:
                found = socket_frame(_msgpack(self.message), binary=True)
            elif wrapping is Wrapping.JSON:
                found = socket_frame(_json(self.message), binary=False)
            else:
                found = b"data: " + _json(self.message) + b"\n\n"
            self._bytes[wrapping] = found
        return found
