"""The Redis or Valkey client: bytes in and out, short retries, and one name for "it is away"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError  # noqa: A004 - redis' own names

Redis = Any
"""`redis.asyncio.Redis` speaking bytes. Its own annotations say `bytes | str` for everything, which helps nobody."""

AWAY: Final = (ConnectionError, TimeoutError, BusyLoadingError, OSError)
"""What it looks like when Redis is away: wait and try again."""

COMMAND_TIMEOUT_S: Final = 5.0


class _Packed:
    """Packs commands with hiredis, as redis-py's blocking connections do and its asyncio ones do not (a third of the
    cost of a batch of positions)."""

    _pack: Final = HiredisRespSerializer().pack

    def pack_command(self, *args: Any) -> list[bytes]:
        """Return a command as it goes over the wire."""
        packed: list[bytes] = self._pack(*args)
        return packed

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """Return many commands as one write."""
        return [b"".join(piece for command in commands for piece in self._pack(*command))]


def connect(url: str) -> Redis:
    """Return a client for `url` (`redis://`, `rediss://` or `unix://`); it connects when first used."""
    client: Redis = redis.asyncio.from_url(
        url,
        socket_timeout=COMMAND_TIMEOUT_S,
        socket_connect_timeout=COMMAND_TIMEOUT_S,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
        client_name="onward",
    )
    pool = client.connection_pool
    pool.connection_class = type("Packed", (_Packed, pool.connection_class), {})
    return client
