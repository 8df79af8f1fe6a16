"""Who is in is looked at again: a socket whose token was revoked or ran out meanwhile is closed, within half a minute.

All tokens of a process are asked for at once, so a socket costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from kernel.log import get_logger
from tracking.ports import Door
from tracking.wire import CLOSE_EXPIRED

LOOK_S: Final = 30.0

Close = Callable[[int], Awaitable[None]]
log = get_logger(__name__)


class Doorkeeper:
    """The tokens behind this process' open sockets."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._inside: dict[str, list[Close]] = {}

    @contextlib.contextmanager
    def inside(self, token: str, close: Close) -> Iterator[None]:
        """Have a socket closed by `close(code)` should its token end meanwhile."""
        self._inside.setdefault(token, []).append(close)
        try:
            yield
        finally:
            sockets = self._inside[token]
            sockets.remove(close)
            if not sockets:
                del self._inside[token]

    async def look(self) -> None:
        """Close the sockets whose token is none any more."""
        if not self._inside:
            return
        ended = await self._door.ended(list(self._inside))
        closing = [close(CLOSE_EXPIRED) for token in ended for close in self._inside.get(token, ())]
        if closing:
            log.info("tokens_ended", sockets=len(closing))
            await asyncio.gather(*closing)
