"""Frames as they come in, from drivers and from viewers: a message, or a refusal with a code."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from tracking.wire import FRAME_BYTES_MAX, Codec

# by their own names: looked up in the enumeration for each frame they cost more than what is asked of them
BINARY: Final = WSMsgType.BINARY
TEXT: Final = WSMsgType.TEXT
PING: Final = WSMsgType.PING
PONG: Final = WSMsgType.PONG


class BadFrame(Exception):
    """Bytes that are no message."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(detail)


def let_go(ws: web.WebSocketResponse) -> None:
    """Cut the circle of a socket that ended, the error it ended with, and the frames that this went through.

    Else each one waits, with all that hangs on it, for a collection that comes after millions of objects.
    """
    if (error := ws.exception()) is not None:
        error.__traceback__ = error.__context__ = None


def decode_frame(frame: WSMessage, codec: Codec) -> Any | None:
    """Return a received frame as a message; None when the socket is closing. Raises `BadFrame` with a code."""
    if frame.type is not (BINARY if codec.binary else TEXT):
        if frame.type is WSMsgType.ERROR and getattr(frame.data, "code", None) == WSCloseCode.MESSAGE_TOO_BIG:
            raise BadFrame("frame_too_big", f"A frame has at most {FRAME_BYTES_MAX} bytes.")
        if frame.type not in (BINARY, TEXT):
            return None
        raise BadFrame("wrong_frame_type", f"{codec.subprotocol} uses {'binary' if codec.binary else 'text'} frames.")
    try:
        return codec.decode(frame.data)
    except msgspec.ValidationError as error:
        raise BadFrame("invalid_message", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame("malformed_frame", str(error)) from None
