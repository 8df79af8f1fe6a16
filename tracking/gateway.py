"""The driver socket: one coroutine a connection reads frames in order; acks go out after each durable batch."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from kernel import db as database
from kernel import keys, metrics
from kernel.access import Permission, Principal
from kernel.clock import Clock
from kernel.errors import Problem
from kernel.log import get_logger
from kernel.redis import AWAY
from tracking.doorkeeper import Doorkeeper
from tracking.hub import Hub
from tracking.incoming import PING, PONG, BadFrame, decode_frame, let_go
from tracking.ingest import DRIVERS_KNOWN_MAX, Ingest, Overloaded, Source
from tracking.outgoing import HEARTBEAT_S, PING_FRAME, socket_frame
from tracking.ports import Door, DriverDesk
from tracking.push import DriverPush, read_notice
from tracking.session import Budget, DriverSession
from tracking.wire import (
    CLOSE_BAD_FRAME,
    CLOSE_BAD_TOKEN,
    CLOSE_EXPIRED,
    CLOSE_FORBIDDEN,
    CLOSE_GOING_AWAY,
    CLOSE_IDLE,
    CLOSE_TAKEN_OVER,
    DRIVER_CODECS,
    FIXES_PER_FRAME_MAX,
    FRAME_BYTES_MAX,
    JSON_SUBPROTOCOL,
    SUBPROTOCOLS,
    Ack,
    Codec,
    Config,
    DriverAction,
    Fixes,
    Hello,
    Nack,
    Ping,
    Pong,
    Welcome,
)

HELLO_TIMEOUT_S: Final = 10.0
PING_AFTER_S: Final = 60.0
IDLE_MAX_S: Final = 300.0
BUFFER_BYTES_MAX: Final = 1024 * 1024
ACKS_PER_S: Final = 4_000
ACKS_WAIT_MAX_S: Final = 0.1
"""An ack is for all frames before it: where there would be more of them, one waits a little for the next."""
ACTION_WAIT_MAX_S: Final = 30.0
ACTION_RETRY_S: Final = 0.5
CLOCK_SKEW_TOLD_MS: Final = 30_000
SAMPLING_PERIOD_MS: Final = {"idle": 10_000, "far": 4_000, "near": 1_000}

log = get_logger(__name__)


class DriverGateway:
    """Opens and serves driver sockets."""

    def __init__(
        self,
        *,
        door: Door,
        doorkeeper: Doorkeeper,
        desk: DriverDesk,
        ingest: Ingest,
        hub: Hub,
        push: DriverPush,
        clock: Clock,
    ) -> None:
        self.door = door
        self.doorkeeper = doorkeeper
        self.desk = desk
        self.ingest = ingest
        self.hub = hub
        self.push = push
        self.clock = clock
        self._budgets: dict[UUID, Budget] = {}
        self._open: set[DriverSocket] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._to_ack: list[DriverSocket] = []
        self._acks_from_s = 0.0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve `GET /ws/driver`."""
        ws = web.WebSocketResponse(
            protocols=SUBPROTOCOLS,
            autoping=False,
            max_msg_size=FRAME_BYTES_MAX,
            compress=False,
            decode_text=False,
        )
        await ws.prepare(request)
        assert request.transport is not None
        socket = DriverSocket(self, ws, DRIVER_CODECS[ws.ws_protocol or JSON_SUBPROTOCOL], request.transport)
        self._open.add(socket)
        metrics.sockets_open.labels("driver").inc()
        try:
            await socket.serve()
        finally:
            self._open.discard(socket)
            metrics.sockets_open.labels("driver").dec()
            let_go(ws)
        return ws

    def budget(self, driver_id: UUID) -> Budget:
        """Return what a driver may send, whichever socket he sends it on and however often he comes back."""
        budget = self._budgets.pop(driver_id, None) or Budget()
        self._budgets[driver_id] = budget
        if len(self._budgets) > DRIVERS_KNOWN_MAX:
            del self._budgets[next(iter(self._budgets))]
        return budget

    def ack_soon(self, socket: DriverSocket) -> None:
        """Let a socket acknowledge when all frames of a batch were told."""
        if not self._to_ack:
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, self._acks_from_s - loop.time()), self._ack_all)
        self._to_ack.append(socket)

    def _ack_all(self) -> None:
        sockets, self._to_ack = self._to_ack, []
        for socket in sockets:
            socket.ack()
        self._acks_from_s = asyncio.get_running_loop().time() + min(ACKS_WAIT_MAX_S, len(sockets) / ACKS_PER_S)

    def close_soon(self, socket: DriverSocket, code: int) -> None:
        """Close a socket from where nobody can wait for it."""
        task = asyncio.create_task(socket.close(code))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close_all(self) -> None:
        """Tell every driver to come back: the process is stopping."""
        await asyncio.gather(*(socket.close(CLOSE_GOING_AWAY) for socket in list(self._open)))


class DriverSocket:
    """One connection of one device."""

    __slots__ = (
        "_ack_due",
        "_alive_at_s",
        "_asked_at_s",
        "_clock_ms",
        "_codec",
        "_device_id",
        "_early",
        "_gateway",
        "_heard_at_s",
        "_id",
        "_idle_timer",
        "_loop",
        "_principal",
        "_rejected",
        "_session",
        "_source",
        "_transport",
        "_ws",
    )

    def __init__(
        self, gateway: DriverGateway, ws: web.WebSocketResponse, codec: Codec, transport: asyncio.Transport
    ) -> None:
        self._gateway = gateway
        self._transport = transport
        self._ws = ws
        self._codec = codec
        self._loop = asyncio.get_running_loop()
        self._id = secrets.token_hex(8)
        self._principal: Principal | None = None
        self._device_id = ""
        self._clock_ms = 0
        self._session = DriverSession(0)
        self._source: Source
        self._rejected: Counter[str] = Counter()
        self._ack_due = False
        self._early: list[dict[str, Any]] | None = []
        """What came before the welcome; None since then."""
        self._heard_at_s = 0.0
        self._alive_at_s = 0.0
        """When anything came, also the answer to a control frame."""
        self._asked_at_s = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Greet, then read until the socket closes."""
        try:
            try:
                async with asyncio.timeout(HELLO_TIMEOUT_S):
                    hello = await self._read()
            except TimeoutError:
                await self.close(CLOSE_IDLE)
                return
            if not isinstance(hello, Hello):
                if hello is not None:
                    raise BadFrame("hello_first", "The first frame is `hello`.")
                return
            with self._gateway.doorkeeper.inside(hello.token, self.close):
                await self._greet(hello)
                # a task of its own: each frame would wake up the whole chain of middlewares above, one by one
                await self._loop.create_task(self._live())
        except BadFrame as error:
            metrics.frames_refused.labels(error.code).inc()
            self._send(Nack(0, error.code, False, error.detail))
            await self.close(CLOSE_BAD_FRAME)
        except Problem as problem:
            self._send(Nack(0, problem.code, False, problem.detail))
            codes = {"token_expired": CLOSE_EXPIRED, "forbidden": CLOSE_FORBIDDEN}
            await self.close(codes.get(problem.code, CLOSE_BAD_TOKEN))
        except (*AWAY, *database.AWAY, TimeoutError):
            self._send(Nack(0, "unavailable", True))
            await self.close(CLOSE_GOING_AWAY)
        finally:
            if self._idle_timer is not None:
                self._idle_timer.cancel()
            if self._principal is not None:
                await self._gateway.hub.unsubscribe(keys.driver_channel(self._principal.driver()), self._on_notice)

    async def _greet(self, hello: Hello) -> None:
        gateway = self._gateway
        principal = await gateway.door.authenticate(hello.token)
        if Permission.DRIVE not in principal.permissions:
            raise Problem("forbidden", "This token is not a driver's.")
        driver_id = principal.driver()
        source = await gateway.ingest.meet(principal.operator(), driver_id, hello.device_id, hello.clock_ms)
        self._principal, self._device_id, self._clock_ms = principal, hello.device_id, hello.clock_ms
        self._session, self._source = DriverSession(source.durable_seq, gateway.budget(driver_id)), source
        await gateway.push.take_over(driver_id, hello.device_id, self._id, hello.clock_ms)
        await gateway.hub.subscribe(keys.driver_channel(driver_id), self._on_notice, self._on_missed)
        state = await gateway.desk.state(principal, hello.last_event)
        now_ms = gateway.clock.now_ms()
        if hello.clock_ms and abs(hello.clock_ms - now_ms) > CLOCK_SKEW_TOLD_MS:
            log.info("device_clock_off", driver=driver_id.hex, by_ms=hello.clock_ms - now_ms)
        limits = {"frame_bytes_max": FRAME_BYTES_MAX, "fixes_per_frame_max": FIXES_PER_FRAME_MAX}
        self._send(Welcome(self._id, now_ms, source.durable_seq, limits, state))
        self._send(Config(SAMPLING_PERIOD_MS))
        early, self._early = self._early or [], None
        for message in early:
            self._send(message)

    async def _live(self) -> None:
        self._heard_at_s = self._alive_at_s
        self._watch_idle()
        while (message := await self._read()) is not None:
            self._heard_at_s = now_s = self._alive_at_s
            if isinstance(message, Pong):
                continue
            if isinstance(message, Hello):
                raise BadFrame("hello_twice", "`hello` is sent once.")
            refusal = self._session.take(message.seq, now_s)
            if refusal == "duplicate":
                self._ack_soon()
            elif refusal is not None:
                metrics.frames_refused.labels(refusal).inc()
                self._send(Nack(message.seq, refusal, True))
            elif isinstance(message, Fixes):
                self._take_fixes(message)
            else:
                await self._act(message)

    def _watch_idle(self) -> None:
        """Ask a silent phone whether it is there; close when it says nothing for long, or its network is gone."""
        now_s = self._loop.time()
        silent_s, dead_s = now_s - self._heard_at_s, now_s - self._alive_at_s
        asked = self._asked_at_s > self._alive_at_s
        if silent_s >= IDLE_MAX_S or (asked and now_s - self._asked_at_s >= HEARTBEAT_S):
            self._gateway.close_soon(self, CLOSE_IDLE)
            return
        if dead_s >= HEARTBEAT_S and not asked and not self._transport.is_closing():
            self._transport.write(PING_FRAME)
            self._asked_at_s = now_s
        if silent_s >= PING_AFTER_S:
            self._send(Ping(self._gateway.clock.now_ms()))
        self._idle_timer = self._loop.call_later(min(HEARTBEAT_S, PING_AFTER_S), self._watch_idle)

    def _take_fixes(self, message: Fixes) -> None:
        try:
            self._gateway.ingest.add(self._source, message.seq, message.fixes, self._durable)
        except Overloaded:
            self._session.put_back(message.seq)
            self._send(Nack(message.seq, "overloaded", True))

    async def _act(self, action: DriverAction) -> None:
        """Carry out an action; wait for a database that is away, for a while, then ask for it again."""
        assert self._principal is not None
        deadline_s = self._loop.time() + ACTION_WAIT_MAX_S
        while True:
            try:
                await self._gateway.desk.act(self._principal, action)
            except Problem as problem:
                metrics.frames_refused.labels(problem.code).inc()
                self._send(Nack(action.seq, problem.code, False, problem.detail or problem.title))
            except (*database.AWAY, *AWAY) as error:
                if self._loop.time() < deadline_s:
                    log.warning("action_waits", error=f"{type(error).__name__}: {error}")
                    await asyncio.sleep(ACTION_RETRY_S)
                    continue
                self._session.put_back(action.seq)
                self._send(Nack(action.seq, "unavailable", True))
                return
            self._gateway.ingest.add(self._source, action.seq, (), self._durable)
            return

    def _durable(self, seq: int, rejected: Mapping[str, int]) -> None:
        if rejected:
            self._rejected.update(rejected)
        if self._session.done(seq):
            self._ack_soon()

    def _ack_soon(self) -> None:
        """Acknowledge once for all frames of a batch: an ack says how far everything is durable."""
        if not self._ack_due:
            self._ack_due = True
            self._gateway.ack_soon(self)

    def ack(self) -> None:
        """Say how far everything is durable."""
        self._ack_due = False
        if self._rejected:
            self._send(Ack(self._session.durable, dict(self._rejected)))
            self._rejected.clear()
        else:
            self._send(Ack(self._session.durable))

    def _on_notice(self, payload: bytes) -> None:
        notice = read_notice(payload)
        if notice.message is not None and self._early is not None:
            self._early.append(notice.message)
        elif notice.message is not None:
            self._send(notice.message)
        elif notice.device_id == self._device_id and notice.session != self._id and notice.clock_ms >= self._clock_ms:
            self._gateway.close_soon(self, CLOSE_TAKEN_OVER)

    def _on_missed(self) -> None:
        """Messages for this driver may be lost: he comes back and finds them in `welcome.state`."""
        self._gateway.close_soon(self, CLOSE_GOING_AWAY)

    def _send(self, message: Any) -> None:
        """Write a message; a phone that stopped reading is cut off, and resumes from its last ack."""
        transport = self._transport
        if self._ws.closed or transport.is_closing():
            return
        transport.write(socket_frame(self._codec.encode(message), binary=self._codec.binary))
        if transport.get_write_buffer_size() > BUFFER_BYTES_MAX:
            transport.abort()

    async def _read(self) -> Any | None:
        """Return the next message, or None when the socket is closed; raises `BadFrame`."""
        while True:
            frame = await self._ws.receive()
            self._alive_at_s = self._loop.time()
            if frame.type is PING:
                await self._ws.pong(frame.data)
            elif frame.type is not PONG:
                return decode_frame(frame, self._codec)

    async def close(self, code: int) -> None:
        """Close with a code that tells the phone what to do next."""
        with contextlib.suppress(ConnectionError):
            await self._ws.close(code=code)
