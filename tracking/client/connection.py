"""Puts a side on a WebSocket: events go in, effects are done, in order; a lost socket is opened again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from tracking.client.session import ConnectAfter, Effect, Message, Send, Stop, Tell

MSGPACK: Final = "onward.v1.msgpack"
JSON: Final = "onward.v1.json"
CONNECT_TIMEOUT_S: Final = 5.0
FRAME_BYTES_MAX: Final = 2**24
LOST: Final = 1006


class Refused(Exception):
    """The server closed with a code that means: do not come back like this. 41xx: set a new token and run again."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(f"closed with {code} {reason}")


class Side(Protocol):
    """What both state machines take."""

    def opened(self, now_ms: int) -> list[Effect]:
        """Handle that a socket is open."""

    def received(self, message: Message) -> list[Effect]:
        """Handle a message of the server."""

    def closed(self, code: int, reason: str = "") -> list[Effect]:
        """Handle that the socket is gone."""


class Connection:
    """One socket after the other for one side."""

    path: ClassVar[str]

    def __init__(
        self,
        url: str,
        side: Side,
        on_message: Callable[[Message], None],
        now_ms: Callable[[], int],
        subprotocol: str,
    ) -> None:
        self._url = url.replace("http", "ws", 1) + self.path
        self._side = side
        self._on_message = on_message
        self._now_ms = now_ms
        self._subprotocol = Subprotocol(subprotocol)
        self._socket: ClientConnection | None = None
        self._outgoing: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.connections = 0
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled; raises `Refused` when coming back like this makes no sense."""
        while True:
            code, reason = LOST, ""
            try:
                code, reason = await self._one_socket()
            except (OSError, TimeoutError, InvalidHandshake, ValueError):
                pass
            except asyncio.CancelledError:
                self._side.closed(LOST)  # who runs again begins with a greeting
                raise
            finally:
                self._socket = None
                self.connected.clear()
            for effect in self._side.closed(code, reason):
                if isinstance(effect, Stop):
                    raise Refused(effect.code, effect.reason)
                if isinstance(effect, ConnectAfter):
                    await asyncio.sleep(effect.after_s)

    async def cut(self) -> None:
        """Break the connection as a bad network would, without a close."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def _one_socket(self) -> tuple[int, str]:
        """Open a socket and serve it; return the close code and reason. Raises `ValueError` for an unreadable frame."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            socket = await connect(
                self._url,
                subprotocols=[self._subprotocol],
                compression=None,
                open_timeout=None,
                max_size=FRAME_BYTES_MAX,
            )
        async with socket:
            self._socket = socket
            self._outgoing = asyncio.Queue()
            writer = asyncio.create_task(self._write(socket, self._outgoing))
            try:
                self._do(self._side.opened(self._now_ms()))
                with contextlib.suppress(ConnectionClosed):
                    async for frame in socket:
                        self._hear(self._decode(frame))
            finally:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
        return socket.close_code or LOST, socket.close_reason or ""

    async def _write(self, socket: ClientConnection, outgoing: asyncio.Queue[str | bytes]) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(await outgoing.get())

    def _hear(self, message: Message) -> None:
        if message["type"] in ("welcome", "snapshot", "resumed"):
            self.connections += not self.connected.is_set()
            self.connected.set()
        self._do(self._side.received(message))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._do_one(effect)

    def _do_one(self, effect: Effect) -> None:
        match effect:
            case Send(message):
                self._outgoing.put_nowait(self._encode(message))
            case Tell(message):
                self._on_message(message)

    def _encode(self, message: Message) -> str | bytes:
        if self._subprotocol == JSON:
            return json.dumps(message)
        packed: bytes = msgpack.packb(message)
        return packed

    def _decode(self, frame: Any) -> Message:
        """Return a frame as a message. Times in objects are `datetime` in MessagePack, and text in JSON."""
        read: Message = json.loads(frame) if self._subprotocol == JSON else msgpack.unpackb(frame, timestamp=3)
        return read
