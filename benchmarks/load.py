"""The load generator: thousands of sockets in one process, as cheap as can be, so that the server is what is measured.

It reads one plan as a line of JSON, connects everybody, says `{"ready":true}`, and for each line that comes then it
streams for the plan's time and prints what it saw. Frames are made and read by hand on bare protocols: a library's
client would cost more than the server that is measured. Mask keys are zero, which is a legal key.
"""

from __future__ import annotations

import asyncio
import os
import random
import struct
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import urlsplit

import msgspec
import numpy as np
import uvloop

from benchmarks.stand import LAT, LNG, SPAN_DEG
from onward.processes import allow_many_sockets

CONNECTING_MAX: Final = 50
SETTLE_S: Final = 2.0
ROUND_S: Final = 0.002
BARE: Final = ("echo", "relay")
DEG_PER_S: Final = 8.5e-5
"""Everybody drives north at 9.5 m/s, and turns now and then."""
TURN_S: Final = 900.0
BACKLOG_MS: Final = 6 * 3_600_000
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class Plan(msgspec.Struct, frozen=True):
    """Who connects, how often a driver speaks, and for how long."""

    url: str
    seconds: float
    frames_per_s: float
    """Of each driver."""
    fixes_per_frame: int = 1
    drivers: list[str] = []
    viewers: list[str] = []
    boxes: list[tuple[float, float, float, float]] = []
    """What viewers who watch a board have on their screens, in turn: south, west, north, east; none: all."""
    step_m: float = 0.0
    turns_s: float = 0.0
    """Half of the drivers speak, then the other half, in turns of so long, each said as it begins; 0: all do."""
    awake: bool = False
    """Never sleep: it has a core of its own. To wake up who sleeps is the kernel's work and counts as the sender's; on
    a virtual machine that is more than the sending, and no phone on a network costs it."""
    protocol: str = "onward"
    """`onward`; `echo` and `relay`: a bare server, spoken to in frames of the same size; `socketio`."""


class Socket(asyncio.Protocol):
    """One WebSocket."""

    def __init__(self, plan: Plan, path: str, on_frame: Callable[[Socket, bytes], None]) -> None:
        self._host = urlsplit(plan.url).netloc
        self._path = path
        self._protocols = "onward.v1.msgpack" if plan.protocol == "onward" else ""
        self._text = plan.protocol == "socketio"
        self._on_frame = on_frame
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.shaken = asyncio.get_running_loop().create_future()
        self.welcome = asyncio.get_running_loop().create_future()
        self.seq = 0
        self.durable = 0
        self.closed_with = 0
        self.bytes_in = 0
        self.last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask to upgrade."""
        self._transport = cast("asyncio.Transport", transport)
        key = b64encode(os.urandom(16)).decode()
        lines = [f"GET {self._path} HTTP/1.1", f"Host: {self._host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        if self._protocols:
            lines.append(f"Sec-WebSocket-Protocol: {self._protocols}")
        self._transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        """Cut what came into frames."""
        self.bytes_in += len(data)
        data = self._buffer + data if self._buffer else data
        if not self.shaken.done():
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self.shaken.set_exception(ConnectionError(head.decode()))
                return
            self.shaken.set_result(None)
        at, length = 0, len(data)
        while length - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                if length - at < 4:
                    break
                (size,) = struct.unpack_from(">H", data, start)
                start += 2
            elif size == 127:
                if length - at < 10:
                    break
                (size,) = struct.unpack_from(">Q", data, start)
                start += 8
            if length - start < size:
                break
            self._frame(data[at] & 15, data[start : start + size])
            at = start + size
        self._buffer = data[at:]

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode in (1, 2):
            self.last = payload
            self._on_frame(self, payload)
        elif opcode == 9:
            self._write(0x8A, payload)
        elif opcode == 8:
            self.closed_with = struct.unpack(">H", payload[:2])[0] if len(payload) > 1 else 1005

    def connection_lost(self, error: Exception | None) -> None:
        """Remember that it ended."""
        self.closed_with = self.closed_with or 1006
        for waiting in (self.shaken, self.welcome):
            if not waiting.done():
                waiting.set_exception(error or ConnectionError(f"closed with {self.closed_with}: {self.last!r}"))

    def send(self, payload: bytes) -> None:
        """Send one message."""
        self._write(0x81 if self._text else 0x82, payload)

    def _write(self, first: int, payload: bytes) -> None:
        assert self._transport is not None
        size = len(payload)
        head = struct.pack(">BB", first, 128 | size) if size < 126 else struct.pack(">BBH", first, 254, size)
        self._transport.write(b"".join((head, b"\0\0\0\0", payload)))


class Load:
    """Everybody who is connected, and what they saw."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._drivers: dict[int, Socket] = {}
        self._viewers: list[Socket] = []
        self._heard: Counter[str] = Counter()
        self._latencies_ms: list[float] = []
        self._running = False
        self._sent_fixes = 0
        self._nacks: Counter[str] = Counter()
        address = urlsplit(plan.url)
        self._address = (address.hostname or "127.0.0.1", address.port or 80)

    async def connect(self) -> None:
        """Bring everybody on line."""
        gate = asyncio.Semaphore(CONNECTING_MAX)

        async def driver(number: int, token: str) -> None:
            async with gate:
                self._drivers[number] = await self._open("/ws/driver", self._hear_driver, self._hello(number, token))

        async def viewer(number: int, token: str) -> None:
            async with gate:
                socket = await self._open("/ws/live", self._hear_viewer, self._watch(token))
                self._viewers.append(socket)
                if self._plan.boxes:
                    box = self._plan.boxes[number % len(self._plan.boxes)]
                    socket.send(_pack({"type": "look", "box": box, "step_m": self._plan.step_m}))

        await asyncio.gather(*(driver(n, token) for n, token in enumerate(self._plan.drivers)))
        for n in range(len(self._drivers)):
            self._send(n, time.time())  # positions there are before the first picture is asked for
        await asyncio.gather(*(viewer(n, token) for n, token in enumerate(self._plan.viewers)))
        await asyncio.sleep(SETTLE_S)

    async def _open(self, path: str, on_frame: Callable[[Socket, bytes], None], first: bytes) -> Socket:
        if self._plan.protocol == "socketio":
            path = "/socket.io/?EIO=4&transport=websocket"
        _, socket = await asyncio.get_running_loop().create_connection(
            lambda: Socket(self._plan, path, on_frame), *self._address
        )
        await socket.shaken
        socket.send(first)
        if self._plan.protocol not in BARE:
            await socket.welcome
        return socket

    def _hello(self, number: int, token: str) -> bytes:
        if self._plan.protocol == "socketio":
            return b'40{"driver":%d}' % number
        if self._plan.protocol in BARE:
            return b"e" if self._plan.protocol == "echo" else b"d%d" % number
        return _pack({"type": "hello", "token": token, "device_id": "load", "clock_ms": int(time.time() * 1000)})

    def _watch(self, token: str) -> bytes:
        if self._plan.protocol == "socketio":
            return b'40{"watch":%s}' % token.encode()
        if self._plan.protocol in BARE:
            return b"w" + token.encode()
        return _pack({"type": "watch", "token": token})

    def _hear_driver(self, socket: Socket, payload: bytes) -> None:
        if self._plan.protocol in BARE:
            socket.durable += 1
            return
        if self._plan.protocol == "socketio":
            self._hear_socketio(socket, payload)
            return
        message = _unpack(payload)
        if message["type"] == "ack":
            socket.durable = message["seq"]
            self._heard.update({f"rejected_{why}": n for why, n in message.get("rejected", {}).items()})
        elif message["type"] == "welcome":
            socket.durable = socket.seq = message["resume_seq"]
            socket.welcome.set_result(None)
        elif message["type"] == "nack":
            self._nacks[message["code"]] += 1

    def _hear_viewer(self, socket: Socket, payload: bytes) -> None:
        if self._plan.protocol in BARE:
            self._count([int.from_bytes(payload[-8:], "big")])
            return
        if self._plan.protocol == "socketio":
            self._hear_socketio(socket, payload)
            return
        message = _unpack(payload)
        if message["type"] == "positions":
            self._count([position[5] for position in message["positions"]])
        else:
            self._heard[message["type"]] += 1
            if not socket.welcome.done():
                socket.welcome.set_result(None)

    def _hear_socketio(self, socket: Socket, payload: bytes) -> None:
        if payload.startswith(b"42"):
            self._count([msgspec.json.decode(payload[2:])[1][5]])
        elif payload.startswith(b"40"):
            socket.welcome.set_result(None)
        elif payload == b"2":
            socket.send(b"3")

    def _count(self, times_ms: list[int]) -> None:
        if not self._running:
            return
        now_ms = time.time() * 1000
        self._heard["frames"] += 1
        self._heard["positions"] += len(times_ms)
        if len(self._latencies_ms) < 5_000_000:
            self._latencies_ms += [now_ms - t_ms for t_ms in times_ms]

    def _send(self, number: int, now_s: float) -> None:
        """Let a driver say where he is."""
        socket, many = self._drivers[number], self._plan.fixes_per_frame
        socket.seq += 1
        lat = (
            LAT + SPAN_DEG * (number * 7919 % 1000) / 1000 + socket.seq * DEG_PER_S / max(0.1, self._plan.frames_per_s)
        )
        lng = LNG + SPAN_DEG * (number * 104_729 % 1000) / 1000
        t_ms = int(now_s * 1000)
        if self._plan.protocol in BARE:
            socket.send(b"x" * (70 * many - 8) + t_ms.to_bytes(8, "big"))
            return
        if self._plan.protocol == "socketio":
            socket.send(b'42["fix",[%d,%.6f,%.6f,90.0,9.5,%d]]' % (number, lat, lng, t_ms))
            return
        first_ms, step_ms = t_ms, 0
        if many > 1:  # what was saved up while there was no network: one fix a second
            first_ms, step_ms = t_ms - BACKLOG_MS + socket.seq * many * 1000, 1000
        fixes = [
            {"t": first_ms + n * step_ms, "lat": lat + n * 5e-6, "lng": lng, "acc": 8.0, "spd": 9.5, "hdg": 90.0}
            for n in range(many)
        ]
        self._sent_fixes += many
        socket.send(_pack({"type": "fixes", "seq": socket.seq, "fixes": fixes}))

    async def stream(self) -> dict[str, Any]:
        """Let all drivers speak, evenly spread, for the plan's time; then wait until what was said is durable."""
        self._running, self._sent_fixes, self._latencies_ms = True, 0, []
        self._heard.clear()
        bytes_before = sum(socket.bytes_in for socket in self._viewers)
        turns_s, drivers = self._plan.turns_s, list(range(len(self._drivers)))
        halves = [drivers[: len(drivers) // 2], drivers[len(drivers) // 2 :]] if turns_s else [drivers]
        for half in halves:
            random.Random(1).shuffle(half)
        order, rate, turn = halves[0], len(halves[0]) * self._plan.frames_per_s, 0
        began, began_cpu_s, sent = time.monotonic(), time.process_time(), 0
        next_s = 0.0
        while (passed := time.monotonic() - began) < self._plan.seconds:
            if turns_s and passed // turns_s > turn:
                turn = int(passed // turns_s)
                order = halves[turn % 2]
                print(f'{{"turn":{turn}}}', flush=True)
            if passed >= next_s:
                next_s = passed + ROUND_S
                due = int(passed * rate)
                now_s = time.time()
                for n in range(sent, due):
                    self._send(order[n % len(order)], now_s)
                sent = max(sent, due)
            await asyncio.sleep(0 if self._plan.awake else ROUND_S)
        lasted, spent_s = time.monotonic() - began, time.process_time() - began_cpu_s
        with_acks = self._plan.protocol == "onward"
        deadline = time.monotonic() + 10
        while with_acks and time.monotonic() < deadline and any(s.durable < s.seq for s in self._drivers.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        latencies = np.asarray(self._latencies_ms or [0.0])
        return {
            "seconds": lasted,
            "frames": sent,
            "fixes": self._sent_fixes,
            "unacked_frames": sum(s.seq - s.durable for s in self._drivers.values()) if with_acks else 0,
            "heard": dict(self._heard),
            "nacks": dict(self._nacks),
            "viewer_bytes": sum(socket.bytes_in for socket in self._viewers) - bytes_before,
            "closed": dict(Counter(s.closed_with for s in (*self._drivers.values(), *self._viewers) if s.closed_with)),
            "p50_ms": float(np.percentile(latencies, 50)),
            "p99_ms": float(np.percentile(latencies, 99)),
            "max_ms": float(latencies.max()),
            "generator_cpu_s": spent_s,
        }


async def main() -> None:
    """Run one plan from standard input."""
    allow_many_sockets()
    line = await asyncio.to_thread(sys.stdin.buffer.readline)
    work = Load(msgspec.json.decode(line, type=Plan, strict=False))
    await work.connect()
    print('{"ready":true}', flush=True)
    while await asyncio.to_thread(sys.stdin.buffer.readline):
        print(msgspec.json.encode(await work.stream()).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
