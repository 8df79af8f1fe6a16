"""One Redis subscription connection a process, however many sockets hang on it.

A lost connection is opened again with all its channels, and every subscriber is told that it may have missed something.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from kernel.log import get_logger
from kernel.redis import AWAY, Redis

POLL_S: Final = 1.0
RETRY_S: Final = 0.25
OWN_CHANNEL: Final = "live:hub"

Receive = Callable[[bytes], None]
Missed = Callable[[], None]

log = get_logger(__name__)


class Hub:
    """Channel → who listens."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub: Any = None
        self._listeners: dict[str, dict[Receive, Missed]] = defaultdict(dict)

    async def subscribe(self, channel: str, receive: Receive, missed: Missed) -> None:
        """Call `receive` with every message from now on; `missed` when some may have been lost."""
        first = not self._listeners[channel]
        self._listeners[channel][receive] = missed
        if first and self._pubsub is not None:
            await self._pubsub.subscribe(channel)

    async def unsubscribe(self, channel: str, receive: Receive) -> None:
        """Stop calling `receive`."""
        listeners = self._listeners.get(channel, {})
        listeners.pop(receive, None)
        if not listeners and self._listeners.pop(channel, None) is not None and self._pubsub is not None:
            try:
                await self._pubsub.unsubscribe(channel)
            except AWAY:
                log.debug("unsubscribe_while_away", channel=channel)

    async def run(self) -> None:
        """Read and hand out messages, until cancelled; opens the connection again when it is lost."""
        lost = False
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(OWN_CHANNEL, *self._listeners)
                    self._pubsub = pubsub
                    if lost:
                        self._tell_missed()
                    await self._read(pubsub)
            except AWAY as error:
                lost = True
                log.warning("redis_subscription_lost", error=str(error))
                await asyncio.sleep(RETRY_S)
            finally:
                self._pubsub = None

    async def _read(self, pubsub: Any) -> None:
        while True:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=POLL_S)
            if message is None:
                continue
            for receive in list(self._listeners.get(message["channel"].decode(), ())):
                receive(message["data"])

    def _tell_missed(self) -> None:
        for listeners in list(self._listeners.values()):
            for missed in list(listeners.values()):
                missed()
