"""Messages for one driver, whatever process holds his socket."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from kernel import keys
from kernel.redis import Redis
from tracking.wire import DriverDown

_encode = msgspec.msgpack.Encoder().encode


class Notice(msgspec.Struct, frozen=True):
    """What travels on a driver's channel: a message for his apps, or word that a device connected elsewhere."""

    message: dict[str, Any] | None = None
    device_id: str = ""
    session: str = ""
    clock_ms: int = 0


class DriverPush:
    """Reaches a driver's sockets. Lossy on purpose: what matters is in `welcome.state` after a reconnect."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def push(self, driver_id: UUID, message: DriverDown) -> bool:
        """Send a message to the driver's open sockets; say whether there is one, as far as any process knows."""
        return await self._publish(driver_id, Notice(message=msgspec.to_builtins(message)))

    async def take_over(self, driver_id: UUID, device_id: str, session: str, clock_ms: int) -> None:
        """Tell sockets of this device to close which, by the device's own clock, said hello before this one did."""
        await self._publish(driver_id, Notice(device_id=device_id, session=session, clock_ms=clock_ms))

    async def _publish(self, driver_id: UUID, notice: Notice) -> bool:
        return bool(await self._redis.spublish(keys.driver_channel(driver_id), _encode(notice)))


def read_notice(payload: bytes) -> Notice:
    """Return what came on a driver's channel."""
    return msgspec.msgpack.decode(payload, type=Notice)
