"""A subscription whose connection lies dead without a word is noticed, and opened again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from kernel.redis import Redis, Shards, connect
from onward.embedded import Servers
from tests.support.people import DEADLINE_S
from tracking import hub
from tracking.hub import Hub


class Network:
    """A way to Redis that can swallow what comes back, on the connections that are open."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._swallowing: list[asyncio.Event] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def swallow(self) -> None:
        """From now on nothing comes back on what is open."""
        for one in self._swallowing:
            one.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        swallowing = asyncio.Event()
        self._swallowing.append(swallowing)
        back, there = await asyncio.open_unix_connection(self._socket_path)

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, silent: asyncio.Event) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    if not silent.is_set():
                        target.write(data)
            target.close()

        for way in (pump(reader, there, asyncio.Event()), pump(back, writer, swallowing)):
            task = asyncio.create_task(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


@contextlib.asynccontextmanager
async def listening(shards: Shards) -> AsyncIterator[Hub]:
    """Run a hub."""
    found = Hub(shards)
    running = asyncio.create_task(found.run())
    yield found
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_dead_subscription_is_opened_again(
    servers: Servers, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No reset and no end comes from the dead connection; who listens is told, and hears again."""
    monkeypatch.setattr(hub, "LOOK_S", 0.2)
    network = Network(servers.redis_url.removeprefix("unix://"))
    server = await asyncio.start_server(network.carry, "127.0.0.1", 0)
    shards = Shards(connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    missed = asyncio.Event()
    async with asyncio.timeout(DEADLINE_S), server, listening(shards) as listener:
        await listener.subscribe("{one}:channel", heard.put_nowait, missed.set)
        assert await redis.spublish("{one}:channel", b"first") == 1, "subscribed is subscribed"
        assert await heard.get() == b"first"
        missed.clear()
        network.swallow()
        await missed.wait()
        assert await redis.spublish("{one}:channel", b"second"), "told of it means subscribed again"
        assert await heard.get() == b"second"
    await shards.aclose()
