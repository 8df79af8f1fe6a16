"""The ways a viewer comes in: the viewer socket, and its twin as Server-Sent Events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from kernel import db as database
from kernel import metrics
from kernel.access import Principal
from kernel.errors import Problem
from kernel.redis import AWAY
from tracking.gateway import BadFrame, decode_frame
from tracking.ports import Door
from tracking.streams import Streams, Viewer
from tracking.wire import (
    CLOSE_BAD_FRAME,
    CLOSE_BAD_TOKEN,
    CLOSE_EXPIRED,
    CLOSE_FINISHED,
    CLOSE_FORBIDDEN,
    CLOSE_GOING_AWAY,
    CLOSE_IDLE,
    FRAME_BYTES_MAX,
    JSON_SUBPROTOCOL,
    SUBPROTOCOLS,
    VIEWER_CODECS,
    Closed,
    Codec,
    Nack,
    Since,
    Watch,
)

WATCH_TIMEOUT_S: Final = 10.0
HEARTBEAT_S: Final = 20.0
EVENT_STREAM_BEAT_S: Final = 15.0
SEND_MAX_S: Final = 0.25


class SocketOutlet:
    """A viewer on a WebSocket."""

    def __init__(self, request: web.Request, ws: web.WebSocketResponse, codec: Codec) -> None:
        self.codec = codec
        self._transport = request.transport
        self._ws = ws

    def buffered_bytes(self) -> int:
        """Return how much waits in the transport."""
        return _buffered(self._transport)

    async def send(self, frame: bytes) -> None:
        """Write one frame."""
        try:
            async with asyncio.timeout(SEND_MAX_S):
                await (self._ws.send_bytes(frame) if self.codec.binary else self._ws.send_str(frame.decode()))
        except TimeoutError:
            _abort(self._transport)
        except ConnectionError:
            return

    async def close(self, code: int) -> None:
        """Close; a viewer that does not read can't be waited for."""
        if self.buffered_bytes():
            _abort(self._transport)
            return
        with contextlib.suppress(ConnectionError):
            await self._ws.close(code=code)


class EventStreamOutlet:
    """A viewer on Server-Sent Events."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self.codec = VIEWER_CODECS[JSON_SUBPROTOCOL]
        self.closed = asyncio.Event()
        self._transport = request.transport
        self._response = response

    def buffered_bytes(self) -> int:
        """Return how much waits in the transport."""
        return _buffered(self._transport)

    async def send(self, frame: bytes) -> None:
        """Write one event."""
        try:
            async with asyncio.timeout(SEND_MAX_S):
                await self._response.write(b"data: " + frame + b"\n\n")
        except TimeoutError:
            _abort(self._transport)
            self.closed.set()
        except ConnectionError:
            self.closed.set()

    async def close(self, code: int) -> None:
        """End the stream; the code goes as a last event."""
        await self.send(self.codec.encode(Closed(code)))
        self.closed.set()


def _abort(transport: asyncio.Transport | None) -> None:
    """Cut off a viewer that does not read: nobody else waits for him."""
    if transport is not None:
        transport.abort()


def _buffered(transport: asyncio.Transport | None) -> int:
    return 0 if transport is None or transport.is_closing() else transport.get_write_buffer_size()


class ViewerGateway:
    """Opens and serves views."""

    def __init__(self, *, door: Door, streams: Streams, bearer: Callable[[web.Request], str | None]) -> None:
        self._door = door
        self._streams = streams
        self._bearer = bearer
        self._open: set[Viewer] = set()

    async def handle_socket(self, request: web.Request) -> web.StreamResponse:
        """Serve `GET /ws/live`."""
        ws = web.WebSocketResponse(
            protocols=SUBPROTOCOLS, heartbeat=HEARTBEAT_S, max_msg_size=FRAME_BYTES_MAX, compress=False
        )
        await ws.prepare(request)
        codec = VIEWER_CODECS[ws.ws_protocol or JSON_SUBPROTOCOL]
        outlet = SocketOutlet(request, ws, codec)

        async def read() -> Any | None:
            return decode_frame(await ws.receive(), codec)

        async def opening() -> tuple[Principal, Since | None] | None:
            async with asyncio.timeout(WATCH_TIMEOUT_S):
                watch = await read()
            if watch is None:
                return None
            if not isinstance(watch, Watch):
                raise BadFrame("watch_first", "The first frame is `watch`.")
            return await self._door.authenticate(watch.token), watch.since

        async def until_closed() -> None:
            while await read() is not None:
                pass

        await self._serve(outlet, opening, until_closed)
        return ws

    async def handle_events(self, request: web.Request) -> web.StreamResponse:
        """Serve `GET /live`; `?since=<epoch>:<offset>` goes on where a stream was cut."""
        token = self._bearer(request)
        if token is None:
            raise Problem("unauthenticated", "Send `Authorization: Bearer <token>`.")
        principal = await self._door.authenticate(token)
        since = _since(request.query.get("since"))
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        outlet = EventStreamOutlet(request, response)

        async def opening() -> tuple[Principal, Since | None] | None:
            return principal, since

        async def until_closed() -> None:
            while not outlet.closed.is_set() and request.transport is not None:
                try:
                    async with asyncio.timeout(EVENT_STREAM_BEAT_S):
                        await outlet.closed.wait()
                except TimeoutError:
                    await response.write(b": beat\n\n")

        await self._serve(outlet, opening, until_closed)
        return response

    async def _serve(
        self,
        outlet: SocketOutlet | EventStreamOutlet,
        opening: Callable[[], Awaitable[tuple[Principal, Since | None] | None]],
        until_closed: Callable[[], Awaitable[None]],
    ) -> None:
        viewer: Viewer | None = None
        metrics.sockets_open.labels("viewer").inc()
        try:
            opened = await opening()
            if opened is None:
                return
            viewer = await self._streams.join(outlet, *opened)
            self._open.add(viewer)
            await until_closed()
        except TimeoutError:
            await outlet.close(CLOSE_IDLE)
        except BadFrame as error:
            metrics.frames_refused.labels(error.code).inc()
            await outlet.send(outlet.codec.encode(Nack(0, error.code, False, error.detail)))
            await outlet.close(CLOSE_BAD_FRAME)
        except Problem as problem:
            await outlet.send(outlet.codec.encode(Nack(0, problem.code, False, problem.detail)))
            codes = {"token_expired": CLOSE_EXPIRED, "forbidden": CLOSE_FORBIDDEN, "not_found": CLOSE_FINISHED}
            await outlet.close(codes.get(problem.code, CLOSE_BAD_TOKEN))
        except (*AWAY, *database.AWAY):
            await outlet.close(CLOSE_GOING_AWAY)
        finally:
            metrics.sockets_open.labels("viewer").dec()
            if viewer is not None:
                self._open.discard(viewer)
                await self._streams.leave(viewer)

    async def close_all(self) -> None:
        """Tell every viewer to come back: the process is stopping."""
        for viewer in list(self._open):
            await viewer.outlet.close(CLOSE_GOING_AWAY)


def _since(text: str | None) -> Since | None:
    epoch, _, offset = (text or "").partition(":")
    return Since(epoch, int(offset)) if epoch and offset.isascii() and offset.isdigit() and len(offset) < 16 else None
