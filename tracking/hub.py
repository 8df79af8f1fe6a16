"""One subscription connection for each shard of Redis a process, however many sockets hang on it.

Sharded channels live where their keys live: one server or a cluster, the way is the same. What a broken connection or
a moved slot silenced is subscribed again where it is now, and every subscriber is told that he may have missed
something.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from kernel.log import get_logger
from kernel.redis import AWAY, Shards

LOOK_S: Final = 5.0
"""So often each line is asked whether it is there; one that was silent since the last time is given up."""
RETRY_S: Final = 0.25
AT_ONCE_MAX: Final = 100
"""So many channels are opened again at a time."""

Receive = Callable[[bytes], None]
Missed = Callable[[], None]

log = get_logger(__name__)


@dataclass(slots=True, eq=False)
class Line:
    """A subscription connection to one shard."""

    shard: str
    pubsub: Any
    channels: set[str] = field(default_factory=set)
    joining: dict[str, asyncio.Future[None]] = field(default_factory=dict)
    """Channels that were asked for, until Redis says that they are there."""
    leaving: Counter[str] = field(default_factory=Counter)
    heard: bool = True
    reader: asyncio.Task[None] | None = None

    def left(self, channel: str) -> bool:
        """Say whether word that a channel is unsubscribed is the answer to a wish of ours."""
        asked = self.leaving[channel] > 0
        self.leaving[channel] -= asked
        if not self.leaving[channel]:
            del self.leaving[channel]
        return asked


class Hub:
    """Channel → who listens."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._listeners: dict[str, dict[Receive, Missed]] = defaultdict(dict)
        self._lines: dict[str, Line] = {}
        self._silent: set[str] = set()
        self._mend = asyncio.Event()
        self._lock = asyncio.Lock()

    async def subscribe(self, channel: str, receive: Receive, missed: Missed) -> None:
        """Call `receive` with every message from now on; `missed` when some may have been lost.

        With Redis away that begins when it is back, and `missed` tells of it.
        """
        first = not self._listeners[channel]
        self._listeners[channel][receive] = missed
        if not first:
            return
        try:
            await self._open(channel)
        except AWAY:
            self._silence(channel)

    async def unsubscribe(self, channel: str, receive: Receive) -> None:
        """Stop calling `receive`."""
        listeners = self._listeners.get(channel, {})
        listeners.pop(receive, None)
        if listeners or self._listeners.pop(channel, None) is None:
            return
        for line in list(self._lines.values()):
            if channel in line.channels:
                line.channels.discard(channel)
                with contextlib.suppress(*AWAY):
                    async with self._lock:
                        line.leaving[channel] += 1
                        await line.pubsub.sunsubscribe(channel)

    async def run(self) -> None:
        """Keep every channel subscribed where it is, until cancelled."""
        self._silence(*(channel for channel in self._listeners if not self._is_open(channel)))
        try:
            while True:
                gone: set[str] = set()
                try:
                    async with asyncio.timeout(LOOK_S):
                        await self._mend.wait()
                except TimeoutError:
                    gone = await self._dead()
                self._mend.clear()
                await self._shards.look_again()
                self._hang_up_on(gone | (set(self._lines) - self._shards.holders()))
                if not await self._subscribe_again():
                    await asyncio.sleep(RETRY_S)
                    self._mend.set()
        finally:
            readers = [line.reader for line in self._lines.values() if line.reader is not None]
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _open(self, channel: str) -> None:
        """Subscribe at the shard that holds the channel, and wait until it is so: what a read from now on does not show
        will be heard. Raises what it looks like when the shard is away.
        """
        shard = await self._shards.holder(channel)
        async with self._lock:
            line = self._lines.get(shard)
            if line is None:
                line = Line(shard, self._shards.client(shard).pubsub())
            joined = line.joining.setdefault(channel, asyncio.get_running_loop().create_future())
            await line.pubsub.ssubscribe(channel)
            line.channels.add(channel)
            if line.reader is None:
                self._lines[shard] = line
                line.reader = asyncio.create_task(self._read(line), name=f"hub {shard}")
        async with asyncio.timeout(LOOK_S):
            await asyncio.shield(joined)

    async def _read(self, line: Line) -> None:
        """Hand out a shard's messages until its connection breaks or is given up.

        Read from the connection itself: redis-py's `get_message` costs several times what is done with a message.
        """
        connection = line.pubsub.connection
        try:
            while True:
                answer = await connection.read_response(timeout=math.inf, disconnect_on_error=False, push_request=True)
                line.heard = True
                if not isinstance(answer, list):  # to a ping
                    continue
                if answer[0] == b"smessage":
                    for receive in tuple(self._listeners.get(answer[1].decode(), ())):
                        receive(answer[2])
                    continue
                await line.pubsub.handle_message(answer)
                channel = answer[1].decode()
                if answer[0] == b"ssubscribe":
                    if (joined := line.joining.pop(channel, None)) is not None:
                        joined.set_result(None)
                elif answer[0] == b"sunsubscribe" and not line.left(channel):
                    line.channels.discard(channel)  # nobody asked for that: its slot has moved
                    self._silence(channel)
        except AWAY as error:
            log.warning("redis_subscription_lost", shard=line.shard, error=str(error))
        finally:
            if self._lines.get(line.shard) is line:
                del self._lines[line.shard]
            self._silence(*line.channels)
            for joined in line.joining.values():
                joined.set_exception(ConnectionError(f"the line to {line.shard} is gone"))
                joined.exception()  # who waited may have gone too
            with contextlib.suppress(*AWAY):
                await line.pubsub.aclose()

    def _silence(self, *channels: str) -> None:
        if channels:
            self._silent.update(channels)
            self._mend.set()

    async def _dead(self) -> set[str]:
        """Return the shards whose lines did not answer since the last time, and ask them all again."""
        dead = {shard for shard, line in self._lines.items() if not line.heard}
        for line in list(self._lines.values()):
            line.heard = False
            with contextlib.suppress(*AWAY):
                async with self._lock:
                    await line.pubsub.ping()
        return dead

    def _hang_up_on(self, shards: set[str]) -> None:
        """Give up the lines to servers that are dead, or hold no slots any more, however well they still answer."""
        for shard in shards:
            line = self._lines.pop(shard)
            self._silence(*line.channels)
            if line.reader is not None:
                line.reader.cancel()

    async def _subscribe_again(self) -> bool:
        """Open what is silent and tell who listens there; say whether all is open."""
        silent = list(self._silent)
        for start in range(0, len(silent), AT_ONCE_MAX):
            some = silent[start : start + AT_ONCE_MAX]
            opening = (self._open(channel) for channel in some if channel in self._listeners)
            for error in await asyncio.gather(*opening, return_exceptions=True):
                if isinstance(error, AWAY):
                    return False
                if error is not None:
                    raise error
            for channel in some:
                self._silent.discard(channel)
                for missed in list(self._listeners.get(channel, {}).values()):
                    missed()
        return True

    def _is_open(self, channel: str) -> bool:
        return any(channel in line.channels for line in self._lines.values())
