"""The reference client: drivers and viewers on `websockets` and `msgpack`, none of the server's own code.

App authors read this to write theirs. It keeps every frame until the server acknowledged it, connects again with
back-off after any cut, and sends again what was not acknowledged, with the same sequence numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

SUBPROTOCOL = Subprotocol("onward.v1.msgpack")
BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 3.0
CONNECT_TIMEOUT_S = 5.0
RESEND_AFTER_S = 0.3
STOP_CODES = range(4200, 4300)
NEW_TOKEN_CODES = range(4100, 4200)

Message = dict[str, Any]


class Refused(Exception):
    """The server closed with a code that means: do not come back like this."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(f"closed with {code} {reason}")


class _Client:
    """What both clients share: one socket at a time, opened again after a cut until told to stop."""

    path = ""

    def __init__(self, url: str, token: str, on_message: Callable[[Message], None]) -> None:
        self._url = url.replace("http", "ws", 1) + self.path
        self._token = token
        self._on_message = on_message
        self._socket: ClientConnection | None = None
        self.connections = 0
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled; raises `Refused` when coming back makes no sense."""
        backoff_s = BACKOFF_MIN_S
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    socket = await connect(
                        self._url, subprotocols=[SUBPROTOCOL], compression=None, open_timeout=None, max_size=2**24
                    )
                async with socket:
                    self._socket = socket
                    await self._greet()
                    async for frame in socket:
                        backoff_s = BACKOFF_MIN_S
                        self._receive(msgpack.unpackb(frame))
            except ConnectionClosed as closed:
                _raise_if_final(closed.rcvd.code if closed.rcvd else 1006, closed.rcvd.reason if closed.rcvd else "")
            except (OSError, TimeoutError, InvalidHandshake):
                pass
            else:
                _raise_if_final(socket.close_code or 1006, socket.close_reason or "")
            finally:
                self._socket = None
                self.connected.clear()
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.5))
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def cut(self) -> None:
        """Break the connection as a bad network would, without a close."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def _send(self, message: Message) -> None:
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(msgpack.packb(message))

    async def _greet(self) -> None:
        raise NotImplementedError

    def _receive(self, message: Message) -> None:
        raise NotImplementedError


def _raise_if_final(code: int, reason: str) -> None:
    if code in STOP_CODES or code in NEW_TOKEN_CODES:
        raise Refused(code, reason)


class DriverClient(_Client):
    """A driver's phone. `device_id` names the store of unsent frames: an app that lost its store takes a new one."""

    path = "/ws/driver"

    def __init__(
        self,
        url: str,
        token: str,
        device_id: str,
        on_message: Callable[[Message], None] = lambda _: None,
        *,
        now_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        super().__init__(url, token, on_message)
        self._device_id = device_id
        self._now_ms = now_ms
        self._next_seq = 1
        self._kept: OrderedDict[int, Message] = OrderedDict()
        self._welcomed = False
        self._resend_timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.acked_fixes: list[int] = []
        """The device time of every acknowledged fix, in milliseconds."""
        self.fixes_sent = 0
        self.rejected: dict[str, int] = {}
        self.nacks: list[Message] = []

    async def send_fixes(self, fixes: list[Message]) -> int:
        """Keep and send a frame of fixes (`t`, `lat`, `lng`, …); return its sequence number."""
        self.fixes_sent += len(fixes)
        return await self._keep({"type": "fixes", "fixes": fixes})

    async def act(self, kind: str, **fields: Any) -> str:
        """Keep and send an action (`offer_reply`, `status`, `proof_ref`, `availability`); return its id."""
        action_id = uuid.uuid4().hex
        await self._keep({"type": kind, "id": action_id, "t": self._now_ms(), **fields})
        return action_id

    async def all_acked(self) -> None:
        """Wait until nothing is kept any more."""
        await self._empty.wait()

    async def _keep(self, message: Message) -> int:
        seq = self._next_seq
        self._next_seq += 1
        self._kept[seq] = {**message, "seq": seq}
        self._empty.clear()
        if self._welcomed:
            await self._send(self._kept[seq])
        return seq

    async def _greet(self) -> None:
        self._welcomed = False
        await self._send(
            {
                "type": "hello",
                "token": self._token,
                "device_id": self._device_id,
                "app": "onward-client/1",
                "clock_ms": self._now_ms(),
                "last_acked_seq": next(iter(self._kept), self._next_seq) - 1,
            }
        )

    def _receive(self, message: Message) -> None:
        kind = message["type"]
        if kind == "welcome":
            self._welcomed = True
            self.connections += 1
            self._forget_up_to(message["resume_seq"])
            self._next_seq = max(self._next_seq, message["resume_seq"] + 1)
            self.connected.set()
            self._resend_soon(0)
        elif kind == "ack":
            for reason, count in message.get("rejected", {}).items():
                self.rejected[reason] = self.rejected.get(reason, 0) + count
            self._forget_up_to(message["seq"])
        elif kind == "nack":
            if message["retry"]:
                self._resend_soon(RESEND_AFTER_S)
            else:
                self.nacks.append(message)
        elif kind == "ping":
            self._spawn(self._send({"type": "pong", "t": message["t"]}))
        self._on_message(message)

    def _forget_up_to(self, seq: int) -> None:
        while self._kept and next(iter(self._kept)) <= seq:
            _, message = self._kept.popitem(last=False)
            self.acked_fixes += [fix["t"] for fix in message.get("fixes", ())]
        if not self._kept:
            self._empty.set()

    def _resend_soon(self, after_s: float) -> None:
        if self._resend_timer is None:
            loop = asyncio.get_running_loop()
            self._resend_timer = loop.call_later(after_s, lambda: self._spawn(self._resend()))

    async def _resend(self) -> None:
        self._resend_timer = None
        for message in list(self._kept.values()):
            await self._send(message)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())


class ViewerClient(_Client):
    """A board or a customer's page."""

    path = "/ws/live"

    def __init__(self, url: str, token: str, on_message: Callable[[Message], None] = lambda _: None) -> None:
        super().__init__(url, token, on_message)
        self._since: Message | None = None
        self.snapshots = 0

    async def _greet(self) -> None:
        watch: Message = {"type": "watch", "token": self._token}
        if self._since is not None:
            watch["since"] = self._since
        await self._send(watch)

    def _receive(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("snapshot", "resumed"):
            self.snapshots += kind == "snapshot"
            self.connections += 1
            self._since = {"epoch": message["epoch"], "offset": message["offset"]}
            self.connected.set()
        elif kind == "delta" and self._since is not None:
            self._since["offset"] = message["offset"]
        self._on_message(message)
