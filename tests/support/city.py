"""A server process and a simulator process on the test's own database and Valkey, so that either can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from kernel.db import Database
from onward.demo import bundled_helsinki
from onward.maps.importer import import_map
from onward.maps.store import load_map, maps_folder
from onward.seed import Access, seed_city
from onward.simulator.plan import make_plan
from onward.simulator.run import Orders, Report

READY_S = 60.0


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class ServerProcess:
    """`onward serve` as a process of its own."""

    data_dir: Path
    database_url: str
    redis_url: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start, and wait until it is ready."""
        environment = {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "ONWARD_RATE_LIMITS": "false",
            "ONWARD_LOG_LEVEL": "error",
        }
        command = [sys.executable, "-m", "onward", "serve", "--data-dir", str(self.data_dir), "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=environment)
        async with aiohttp.ClientSession() as http, asyncio.timeout(READY_S):
            while True:
                assert self.process.poll() is None, "the server ended"
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{self.url}/readyz") as reply:
                        if reply.status == 200:
                            return

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


@dataclass
class City:
    """A seeded city on a running server."""

    server: ServerProcess
    access: Access
    map_dir: Path
    seed: int
    folder: Path

    async def live(self, for_s: float) -> Report:
        """Run the simulator for a time; return its report."""
        result, file = self.folder / "result.json", self.folder / "orders.json"
        orders = Orders(
            url=self.server.url,
            map_dir=str(self.map_dir),
            result_file=str(result),
            seed=self.seed,
            for_s=for_s,
            orders_per_minute=20.0,
            faults=True,
            access=self.access,
        )
        file.write_bytes(msgspec.json.encode(orders))
        child = await asyncio.create_subprocess_exec(sys.executable, "-m", "onward.simulator.run", str(file))
        assert await child.wait() == 0
        return msgspec.json.decode(result.read_bytes(), type=Report)


@contextlib.asynccontextmanager
async def city(
    database_url: str, redis_url: str, folder: Path, *, couriers: int, seed: int = 7
) -> AsyncIterator[tuple[City, Database]]:
    """Start a server with a seeded city on it."""
    data_dir = folder / "onward"
    map_dir = maps_folder(data_dir) / "helsinki"
    import_map(bundled_helsinki(), map_dir, name="helsinki")
    server = ServerProcess(data_dir, database_url, redis_url, free_port())
    await server.start()
    db = await Database.connect(database_url, size_max=4)
    try:
        plan = make_plan(load_map(map_dir), seed=seed, couriers=couriers)
        yield City(server, await seed_city(db, plan), map_dir, seed, folder), db
    finally:
        await db.close()
        server.stop()
