"""A board or a customer's page: the object as of now, through every cut."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, ClassVar

from tracking.client.connection import MSGPACK, Connection
from tracking.client.session import Limits, Message, ViewerSession


class ViewerClient(Connection):
    """One page. `object` is what it shows; `on_message` is called after each frame was applied to it."""

    path: ClassVar = "/ws/live"

    def __init__(
        self,
        url: str,
        token: str,
        on_message: Callable[[Message], None] = lambda _: None,
        *,
        subprotocol: str = MSGPACK,
        limits: Limits | None = None,
    ) -> None:
        self.session = ViewerSession(token, random=random.random, limits=limits)
        super().__init__(url, self.session, on_message, lambda: time.time_ns() // 1_000_000, subprotocol)
        self.snapshots = 0

    @property
    def object(self) -> dict[str, Any]:
        """The board or tracking object as of the last frame; empty before the first."""
        return self.session.view.object

    def look(self, south: float, west: float, north: float, east: float, step_m: float = 0.0) -> None:
        """Say what the board's screen shows: positions come of who is there and moves by about `step_m` metres."""
        self._do(self.session.look(south, west, north, east, step_m))

    def _hear(self, message: Message) -> None:
        self.snapshots += message["type"] == "snapshot"
        super()._hear(message)
