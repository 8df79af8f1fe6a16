"""What phones, networks and servers do at the worst moment: an acknowledged fix is there, and nobody else pays."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest

from kernel import keys
from kernel.db import Reason
from kernel.redis import Shards
from onward.embedded import valkey
from tests.support.people import Watcher, courier, eventually, until, watcher
from tests.support.server import Onward, start_onward
from tracking.history import HistoryWriter
from tracking.recovery import Facts

FACTS = 1_200
BIG = "x" * 10_000


@pytest.fixture
async def valkey_folder() -> AsyncIterator[Path]:
    """A short path for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ow-") as folder:
        yield Path(folder)


async def test_valkey_killed_under_load_has_every_acknowledged_fix_when_it_is_back(
    db_url: str, valkey_folder: Path, tmp_path: Path
) -> None:
    """kill -9 in the middle of a stream: what was acknowledged before is in its file, what came meanwhile waited."""
    with ExitStack() as running:
        url = await asyncio.to_thread(running.enter_context, valkey(valkey_folder / "valkey.sock"))
        async with (
            start_onward(db_url, url, tmp_path) as onward,
            watcher(onward, onward.world.admin_token) as board,
            courier(onward, onward.world.pool[0]) as driver,
        ):
            await driver.goes_online(60.17, 24.94)
            await board.sees(lambda o: o["drivers"], "the driver")
            await only_in_valkey(onward)
            start = int(time.time() * 1000) + 1_000
            redis = onward.installation.redis
            pid = (await redis.info("server"))["process_id"]
            acked_by_the_killed = 0
            for n in range(60):
                await driver.client.send_fixes([fix(start + 100 * n, n)])
                if n == 20:
                    await driver.client.all_acked()
                    acked_by_the_killed = len(driver.acked_fixes)
                    os.kill(pid, signal.SIGKILL)
            assert acked_by_the_killed >= 21
            again = valkey(valkey_folder / "valkey.sock", fsync="always")
            await asyncio.to_thread(running.enter_context, again)
            await driver.client.all_acked()
            assert await history(onward) >= {start + 100 * n for n in range(60)}

            await driver.is_at(60.1710, 24.94, t=start + 6_000)
            await until(lambda: any(p[1] == pytest.approx(60.1710) for p in board.positions()), "it", board.changed)


async def only_in_valkey(onward: Onward) -> None:
    """Stop moving fixes on to PostgreSQL: from now on an acknowledged fix is in Valkey alone."""
    await onward.installation.supervisor.stop(but=set(onward.installation.supervisor.names()) - {"history"})


async def history(onward: Onward) -> set[int]:
    """Move what Valkey has to history; return the times of all fixes there."""
    while await HistoryWriter(onward.installation.db, onward.installation.redis).drain():
        pass
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        rows = await con.fetch("SELECT recorded_at FROM driver_locations")
    return {round(row["recorded_at"].timestamp() * 1000) for row in rows}


def fix(t: int, n: int) -> dict[str, Any]:
    return {"t": t, "lat": 60.17 + n / 1e5, "lng": 24.94, "acc": 5.0}


async def test_a_socket_cut_in_the_middle_of_a_frame_costs_that_frame_alone(onward: Onward) -> None:
    """Half a frame and a reset: what came whole counts, the half does not, and the phone goes on where it was."""
    token = onward.world.pool[0].token
    hello = msgpack.packb({"type": "hello", "token": token, "device_id": "phone"})
    start = int(time.time() * 1000)
    whole, half = (msgpack.packb({"type": "fixes", "seq": n, "fixes": [fix(start + n, 0)]}) for n in (1, 2))
    host, port = onward.url.removeprefix("http://").split(":")
    async with courier(onward, onward.world.pool[1]) as neighbour:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"GET /ws/driver HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Protocol: onward.v1.msgpack\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(hello) + frame(whole))
        while b"ack" not in (heard := await reader.read(65_536)):
            assert heard
        writer.write(frame(half)[:-5])
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        async with courier(onward, onward.world.pool[0]) as again:
            assert (again.last("welcome") or {})["resume_seq"] == 1
            await again.is_at(60.17, 24.94)
        await neighbour.is_at(60.17, 24.94)
    assert start + 2 not in await history(onward)
    assert start + 1 in await history(onward)


def frame(payload: bytes) -> bytes:
    """Return a binary WebSocket frame as a client sends it, masked with zeros."""
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return b"\x82" + length + b"\0\0\0\0" + payload


async def test_a_viewer_who_never_reads_is_closed_and_the_others_see_everything(onward: Onward) -> None:
    """His facts pile up to a bound; nobody waits for him, and what he held is let go."""
    topic = keys.board_topic(onward.world.operator_id)
    facts = Facts(onward.installation.redis, Shards(onward.installation.redis))
    async with (
        watcher(onward, onward.world.admin_token) as board,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=narrow)) as http,
        http.ws_connect(f"{onward.url}/ws/live", protocols=["onward.v1.msgpack"]) as deaf,
    ):
        await deaf.send_bytes(msgpack.packb({"type": "watch", "token": onward.world.admin_token}))
        await deaf.receive()
        ears: Any = deaf._response.connection.transport  # type: ignore[union-attr]
        ears.pause_reading()
        for n in range(0, FACTS, 50):
            said = [[{"kind": "gone", "id": f"alt_{m:04}{BIG}"}] for m in range(n, n + 50)]
            await asyncio.gather(*(facts.publish(topic, changes) for changes in said))
        await until(lambda: len(seen(board)) == FACTS, "every fact", board.changed)
        assert seen(board) == sorted(set(seen(board)))
        assert board.client.connections == 1
        await eventually(lambda: viewers(onward), lambda count: count == 1, "the one who reads is left")
        ears.abort()


def narrow(address: Any) -> socket.socket:
    """Return a socket that holds little of what nobody reads."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return made


def seen(board: Watcher) -> list[int]:
    """Return the offsets of the facts that a viewer heard."""
    return [message["offset"] for message in board.messages if message["type"] == "delta"]


async def viewers(onward: Onward) -> float:
    """Return how many viewer sockets are open."""
    async with onward.http.get("/metrics") as reply:
        lines = (await reply.text()).splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith('onward_sockets_open{kind="viewer"}'))
