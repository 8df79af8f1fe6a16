"""The ways a viewer comes in: the viewer socket, and its twin as Server-Sent Events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import HttpVersion11, WSMessage, web

from kernel import db as database
from kernel import metrics
from kernel.access import Principal
from kernel.errors import Problem, invalid
from kernel.redis import AWAY
from tracking.doorkeeper import Doorkeeper
from tracking.groups import Viewer
from tracking.incoming import PING, PONG, BadFrame, decode_frame, let_go
from tracking.outgoing import HEARTBEAT_S, PING_FRAME, Frame, Wrapping
from tracking.ports import Door
from tracking.streams import Streams
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
    Look,
    Nack,
    Since,
    Watch,
)

WATCH_TIMEOUT_S: Final = 10.0
EVENT_STREAM_BEAT_S: Final = 15.0
BUFFER_BYTES_MAX: Final = 64 * 1024
"""A viewer for whom more waits reads too slowly: he gets fewer and newer positions."""

Opened = tuple[str, Principal, Since | None]
"""Token, whose it is, and how far he has come."""


class SocketOutlet:
    """A viewer on a WebSocket.

    With thousands of viewers a processor finds nothing of them in its caches: to write touches this and the transport.
    """

    __slots__ = ("_closed", "_transport", "_wrapping", "_ws")

    def __init__(self, transport: asyncio.Transport, ws: web.WebSocketResponse, codec: Codec) -> None:
        self._transport = transport
        self._wrapping = Wrapping.MSGPACK if codec.binary else Wrapping.JSON
        self._closed = False
        self._ws = ws

    def has_room(self) -> bool:
        """Say whether the viewer reads."""
        return _buffered(self._transport) <= BUFFER_BYTES_MAX

    def write(self, frame: Frame) -> None:
        """Write one frame."""
        if not (self._closed or self._transport.is_closing()):
            self._transport.write(frame.wrapped(self._wrapping))

    async def read(self) -> WSMessage:
        """Return the next frame that is no control frame; ask who is silent. Raises `TimeoutError` when he is gone."""
        asked = False
        while True:
            try:
                frame = await self._ws.receive(timeout=HEARTBEAT_S)
            except TimeoutError:
                if asked or self._transport.is_closing():
                    raise
                asked = True
                self._transport.write(PING_FRAME)
                continue
            asked = False
            if frame.type is PING:
                await self._ws.pong(frame.data)
            elif frame.type is not PONG:
                return frame

    async def close(self, code: int) -> None:
        """Close; a viewer that does not read can't be waited for."""
        self._closed = True
        if _buffered(self._transport):
            self._transport.abort()
            return
        with contextlib.suppress(ConnectionError):
            await self._ws.close(code=code)


class EventStreamOutlet:
    """A viewer on Server-Sent Events."""

    def __init__(self, transport: asyncio.Transport, *, chunked: bool) -> None:
        self.closed = asyncio.Event()
        self._transport = transport
        self._chunked = chunked

    def has_room(self) -> bool:
        """Say whether the viewer reads."""
        return _buffered(self._transport) <= BUFFER_BYTES_MAX

    def write(self, frame: Frame) -> None:
        """Write one event."""
        self._write(frame.wrapped(Wrapping.EVENT))

    def _write(self, event: bytes) -> None:
        """Write as a chunk of its own (RFC 9112, section 7.1) to those who speak HTTP/1.1."""
        if self._transport.is_closing():
            self.closed.set()
        elif not self.closed.is_set():
            self._transport.write(b"%x\r\n%b\r\n" % (len(event), event) if self._chunked else event)

    async def close(self, code: int) -> None:
        """End the stream; the code goes as a last event."""
        if _buffered(self._transport):
            self._transport.abort()
        else:
            self.write(Frame(Closed(code)))
        self.closed.set()

    async def beat_until_closed(self) -> None:
        """Send a comment now and then; a viewer who took nothing since the last is cut off."""
        waiting = 0
        while not (self.closed.is_set() or self._transport.is_closing()):
            try:
                async with asyncio.timeout(EVENT_STREAM_BEAT_S):
                    await self.closed.wait()
            except TimeoutError:
                if waiting and _buffered(self._transport) >= waiting:
                    self._transport.abort()
                    return
                self._write(b": beat\n\n")
                waiting = _buffered(self._transport)


def _buffered(transport: asyncio.Transport) -> int:
    return 0 if transport.is_closing() else transport.get_write_buffer_size()


class ViewerGateway:
    """Opens and serves views."""

    def __init__(
        self, *, door: Door, doorkeeper: Doorkeeper, streams: Streams, bearer: Callable[[web.Request], str | None]
    ) -> None:
        self._door = door
        self._doorkeeper = doorkeeper
        self._streams = streams
        self._bearer = bearer
        self._open: set[Viewer] = set()

    async def handle_socket(self, request: web.Request) -> web.StreamResponse:
        """Serve `GET /ws/live`."""
        ws = web.WebSocketResponse(
            protocols=SUBPROTOCOLS,
            autoping=False,
            max_msg_size=FRAME_BYTES_MAX,
            compress=False,
            decode_text=False,
        )
        await ws.prepare(request)
        assert request.transport is not None
        codec = VIEWER_CODECS[ws.ws_protocol or JSON_SUBPROTOCOL]
        outlet = SocketOutlet(request.transport, ws, codec)

        async def opening() -> Opened | None:
            try:
                async with asyncio.timeout(WATCH_TIMEOUT_S):
                    watch = decode_frame(await outlet.read(), codec)
            except TimeoutError:
                await outlet.close(CLOSE_IDLE)
                return None
            if watch is None:
                return None
            if not isinstance(watch, Watch):
                raise BadFrame("watch_first", "The first frame is `watch`.")
            return watch.token, await self._door.authenticate(watch.token), watch.since

        async def until_closed(viewer: Viewer) -> None:
            try:
                while (message := decode_frame(await outlet.read(), codec)) is not None:
                    if isinstance(message, Look):
                        self._streams.look(viewer, message)
            except TimeoutError:
                await outlet.close(CLOSE_IDLE)

        try:
            await self._serve(outlet, opening, until_closed)
        finally:
            let_go(ws)
        return ws

    async def handle_events(self, request: web.Request) -> web.StreamResponse:
        """Serve `GET /live`; `?since=<epoch>:<offset>` goes on where a stream was cut, `?box=` is what is looked at."""
        token = self._bearer(request)
        if token is None:
            raise Problem("unauthenticated", "Send `Authorization: Bearer <token>`.")
        principal = await self._door.authenticate(token)
        since, look = _since(request.query.get("since")), _look(request.query)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        await response.write(b": open\n\n")  # with it go the headers; what follows goes to the transport
        assert request.transport is not None
        outlet = EventStreamOutlet(request.transport, chunked=request.version >= HttpVersion11)

        async def opening() -> Opened | None:
            return token, principal, since

        async def until_closed(viewer: Viewer) -> None:
            if look is not None:
                self._streams.look(viewer, look)
            await outlet.beat_until_closed()

        await self._serve(outlet, opening, until_closed)
        return response

    async def _serve(
        self,
        outlet: SocketOutlet | EventStreamOutlet,
        opening: Callable[[], Awaitable[Opened | None]],
        until_closed: Callable[[Viewer], Awaitable[None]],
    ) -> None:
        viewer: Viewer | None = None
        metrics.sockets_open.labels("viewer").inc()
        try:
            opened = await opening()
            if opened is None:
                return
            token, principal, since = opened
            with self._doorkeeper.inside(token, outlet.close):
                viewer = await self._streams.join(outlet, principal, since)
                self._open.add(viewer)
                await until_closed(viewer)
        except BadFrame as error:
            metrics.frames_refused.labels(error.code).inc()
            outlet.write(Frame(Nack(0, error.code, False, error.detail)))
            await outlet.close(CLOSE_BAD_FRAME)
        except Problem as problem:
            outlet.write(Frame(Nack(0, problem.code, False, problem.detail)))
            codes = {"token_expired": CLOSE_EXPIRED, "forbidden": CLOSE_FORBIDDEN, "not_found": CLOSE_FINISHED}
            await outlet.close(codes.get(problem.code, CLOSE_BAD_TOKEN))
        except (*AWAY, *database.AWAY, TimeoutError):
            await outlet.close(CLOSE_GOING_AWAY)
        finally:
            metrics.sockets_open.labels("viewer").dec()
            if viewer is not None:
                self._open.discard(viewer)
                await self._streams.leave(viewer)

    async def close_all(self) -> None:
        """Tell every viewer to come back: the process is stopping."""
        await asyncio.gather(*(viewer.outlet.close(CLOSE_GOING_AWAY) for viewer in list(self._open)))


def _since(text: str | None) -> Since | None:
    epoch, _, offset = (text or "").partition(":")
    return Since(epoch, int(offset)) if epoch and offset.isascii() and offset.isdigit() and len(offset) < 16 else None


def _look(query: Mapping[str, str]) -> Look | None:
    """Return what the screen shows, from `box=south,west,north,east` and `step_m=`; raises `validation_failed`."""
    if "box" not in query:
        return None
    asked = {"type": "look", "box": query["box"].split(","), "step_m": query.get("step_m", "0")}
    try:
        return msgspec.convert(asked, Look, strict=False)
    except msgspec.ValidationError as error:
        raise invalid("box", f"Give south,west,north,east in degrees, and step_m in metres: {error}.") from None
