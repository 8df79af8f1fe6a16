"""The Redis or Valkey client: bytes in and out, short retries, and one name for "it is away"."""

from __future__ import annotations

from typing import Any, Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError  # noqa: A004 - redis' own names

Redis = Any
"""`redis.asyncio.Redis` speaking bytes. Its own annotations say `bytes | str` for everything, which helps nobody."""

AWAY: Final = (ConnectionError, TimeoutError, BusyLoadingError, OSError)
"""What it looks like when Redis is away: wait and try again."""

COMMAND_TIMEOUT_S: Final = 5.0


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
    return client
