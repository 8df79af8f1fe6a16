"""A driver's phone: fixes and actions are kept until the server has them, through every cut."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from tracking.client.connection import MSGPACK, Connection
from tracking.client.session import DriverSession, Effect, Forget, Keep, Limits, Message, WakeAfter
from tracking.client.store import MemoryStore, Store

NACKS_KEPT: Final = 100


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class DriverClient(Connection):
    """One phone. `store` is a durable place, or the id of a device that keeps its frames in memory.

    `on_message` is shown every message of the server, `on_acked` every frame that the server has.
    """

    path: ClassVar = "/ws/driver"

    def __init__(
        self,
        url: str,
        token: str,
        store: Store | str | None = None,
        on_message: Callable[[Message], None] = lambda _: None,
        *,
        on_acked: Callable[[Message], None] = lambda _: None,
        now_ms: Callable[[], int] = _wall_ms,
        subprotocol: str = MSGPACK,
        limits: Limits | None = None,
    ) -> None:
        self._store: Store = MemoryStore(store) if store is None or isinstance(store, str) else store
        saved = self._store.load()
        self.session = DriverSession(
            token,
            saved.device_id,
            random=random.random,
            kept=saved.frames,
            last_seq=saved.last_seq,
            limits=limits,
        )
        super().__init__(url, self.session, on_message, now_ms, subprotocol)
        self._on_acked = on_acked
        self._empty = asyncio.Event()
        self.fixes_sent = 0
        self.fixes_dropped = 0
        """Readings for which there was no room."""
        self.rejected: dict[str, int] = {}
        """Readings that the server did not take, by reason."""
        self.nacks: list[Message] = []
        """The last frames that were refused for good."""
        self._look()

    async def send_fixes(self, fixes: list[Message]) -> None:
        """Keep and send readings (`t`, `lat`, `lng`, …), at most 500 at once."""
        self.fixes_sent += len(fixes)
        await self._keep(self.session.fixes(fixes))

    async def act(self, kind: str, **fields: Any) -> str:
        """Keep and send an action (`offer_reply`, `status`, `proof_ref`, `availability`, `message`); return its id.

        Raises `Full` when nothing more can be kept.
        """
        action_id = uuid.uuid4().hex
        await self._keep(self.session.act(kind, action_id, self._now_ms(), fields))
        return action_id

    async def all_acked(self) -> None:
        """Wait until nothing is kept any more."""
        await self._empty.wait()

    async def _keep(self, effects: list[Effect]) -> None:
        self._do(effects)
        self._look()
        await asyncio.sleep(0)  # whoever sends without a pause lets the frames out, too

    def _hear(self, message: Message) -> None:
        if message["type"] == "ack":
            for reason, count in message.get("rejected", {}).items():
                self.rejected[reason] = self.rejected.get(reason, 0) + count
        elif message["type"] == "nack" and not message["retry"]:
            self.nacks = [*self.nacks[1 - NACKS_KEPT :], message]
        super()._hear(message)
        self._look()

    def _do_one(self, effect: Effect) -> None:
        match effect:
            case Keep(frame):
                self._store.keep(frame)
            case Forget(frames, acked):
                self._forget(frames, acked=acked)
            case WakeAfter(after_s):
                asyncio.get_running_loop().call_later(after_s, lambda: self._do(self.session.woken()))
            case _:
                super()._do_one(effect)

    def _forget(self, frames: Iterable[Message], *, acked: bool) -> None:
        self._store.forget([frame["seq"] for frame in frames])
        for frame in frames:
            if acked:
                self._on_acked(frame)
            else:
                self.fixes_dropped += len(frame["fixes"])

    def _look(self) -> None:
        if self.session.kept:
            self._empty.clear()
        else:
            self._empty.set()
