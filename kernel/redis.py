"""Redis or Valkey: one server or a cluster, bytes in and out, short retries, and one name for "it is away"."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import hiredis
import redis.asyncio
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - redis' own names
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from kernel.log import get_logger

Redis = Any
"""`redis.asyncio.Redis` or `RedisCluster` speaking bytes. Their annotations say `bytes | str` for everything."""

Command = tuple[Any, ...]
"""A command's name and its arguments: bytes, text and numbers, one word each."""

AWAY: Final = (
    ConnectionError, TimeoutError, BusyLoadingError, OSError, ReadOnlyError, OutOfMemoryError,
    AskError, ClusterDownError, RedisClusterException, TryAgainError,
)  # fmt: skip
"""What it looks like when Redis is away, or a cluster is changing (`MovedError` is an `AskError`): try again."""

COMMAND_TIMEOUT_S: Final = 5.0
REPLICAS_WAIT_MAX_MS: Final = 1_000
ALONE: Final = "alone"
CLUSTER: Final = "+cluster"
CANT_WRITE: Final = ("MISCONF", "NOREPLICAS")

log = get_logger(__name__)


def connect(url: str) -> Redis:
    """Return a client for `url`; it connects when first used.

    `redis://`, `rediss://` or `unix://`; `redis+cluster://` or `rediss+cluster://` names any one server of a cluster.
    """
    options: dict[str, Any] = {
        "socket_timeout": COMMAND_TIMEOUT_S,
        "socket_connect_timeout": COMMAND_TIMEOUT_S,
        "health_check_interval": 15,
        "retry": Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
        "client_name": "onward",
    }
    if is_cluster(url):
        return RedisCluster.from_url(url.replace(CLUSTER, "", 1), reinitialize_steps=1, **options)
    return redis.asyncio.from_url(url, **options)


def is_cluster(url: str) -> bool:
    """Say whether a URL names a cluster."""
    return url.partition("://")[0].endswith(CLUSTER)


class NotKept(ConnectionError):
    """A write is not safe: a replica lags, or the server may not write (its disk is full, its replicas are too few)."""


class Shards:
    """The servers behind a client, each with a plain client that never connects again in silence.

    One server is a cluster with one shard, so that there is one way to write several keys of a slot at once and one
    to subscribe. What is committed here, `replicas_min` replicas have, where a shard has so many.
    """

    def __init__(self, client: Redis, *, replicas_min: int = 0) -> None:
        self._client = client
        self._replicas_min = replicas_min
        self._clients: dict[str, Redis] = {}
        self._idle: dict[str, list[Any]] = {}
        """Connections to write on, by shard."""
        self._awaited: dict[str, int] = {}

    async def holder(self, key: str) -> str:
        """Return the name of the shard that holds a key or channel."""
        if not isinstance(self._client, RedisCluster):
            return ALONE
        await self._client.initialize()
        node = self._client.get_node_from_key(key)
        assert node is not None  # an uncovered slot raises
        return node.name

    def holders(self) -> set[str]:
        """Return the names of all shards, as far as is known."""
        if not isinstance(self._client, RedisCluster):
            return {ALONE}
        return {node.name for node in self._client.get_primaries()}

    def client(self, name: str) -> Redis:
        """Return a plain client of a shard."""
        if name not in self._clients:
            connection_class, options = self._way_to(name)
            pool = redis.asyncio.ConnectionPool(connection_class=connection_class, **options)
            self._clients[name] = redis.asyncio.Redis.from_pool(pool)
        return self._clients[name]

    def _way_to(self, name: str) -> tuple[Any, dict[str, Any]]:
        """Return the class of a shard's connections, and its arguments."""
        node = None if name == ALONE else self._client.get_node(node_name=name)
        source = node or self._client.connection_pool
        return source.connection_class, {**source.connection_kwargs, "retry": Retry(NoBackoff(), 0)}

    def _new_connection(self, shard: str) -> Any:
        """Return a connection whose only time limit is the caller's; it connects when first used."""
        connection_class, options = self._way_to(shard)
        return connection_class(**{**options, "socket_timeout": None})

    async def write(self, key: str, *commands: Command) -> list[Any]:
        """Carry out commands on keys of the same slot as `key`, all or none, and return their replies as they came.

        Raises one of `AWAY` when that is not sure, also when a replica that is there does not have it in time: write
        the same again. A shard that has lost its replicas goes on without: what is written then is on one server.
        """
        shard = await self.holder(key)
        awaited = self._awaited.get(shard, self._replicas_min)
        looks: tuple[Command, ...] = ()
        if self._replicas_min:
            looks = (("WAIT", awaited, REPLICAS_WAIT_MAX_MS), ("ROLE",))
        try:
            answers = await self._exchange(shard, (("MULTI",), *commands, ("EXEC",), *looks))
        except AWAY:
            await self.look_again()
            raise
        except ResponseError as error:
            if any(code in str(error) for code in CANT_WRITE):
                raise NotKept(str(error)) from error
            raise
        if self._replicas_min:
            role, reached = answers.pop(), answers.pop()
            self._look_at_replicas(shard, awaited, len(role[2]), reached)
        replies: list[Any] = answers[-1]
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _exchange(self, shard: str, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one write and read their answers, under one time limit; redis-py's pipelines and pools cost
        several times as much: a limit, a parser and a callback for each answer, a look at the connection before.
        """
        packed = b"".join(hiredis.pack_command(command) for command in commands)
        idle = self._idle.get(shard)
        connection = idle.pop() if idle else self._new_connection(shard)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await connection.send_packed_command(packed, check_health=False)
                answers = [await connection.read_response(timeout=math.inf) for _ in commands]
        except BaseException:  # what it answers next belongs to what was given up; the idle ones are hardly better
            for broken in (connection, *self._idle.pop(shard, ())):
                await broken.disconnect(nowait=True)
            raise
        self._idle.setdefault(shard, []).append(connection)
        return answers

    def _look_at_replicas(self, shard: str, awaited: int, present: int, reached: int) -> None:
        """Learn how many replicas a shard has; raises `NotKept` when one of them lacks what was committed."""
        expected = min(self._replicas_min, present)
        if expected != awaited:
            log.warning("redis_replicas", present=present, asked_for=self._replicas_min)
            self._awaited[shard] = expected
        if reached < expected:
            raise NotKept(f"{reached} of {expected} replicas have it")

    async def look_again(self) -> None:
        """Ask a cluster who holds what by now; with none of it there, what is known stays."""
        if isinstance(self._client, RedisCluster):
            with contextlib.suppress(*AWAY):
                await self._client.nodes_manager.initialize()

    async def aclose(self) -> None:
        """Close every connection."""
        for connection in chain(*self._idle.values()):
            await connection.disconnect()
        for client in self._clients.values():
            await client.connection_pool.disconnect()
        await self._client.aclose()
