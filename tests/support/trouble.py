"""What stories of failures need: a clock that can be set, drivers without phones, the alerts on a board."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from kernel import keys
from kernel.db import Reason
from tests.support.server import Onward
from tracking.fix import pack_position
from tracking.live import MINUTE_MS
from tracking.wire import WireFix

HOUR = timedelta(hours=1)


class Moved:
    """A clock that runs, and can be set."""

    def __init__(self) -> None:
        self.by = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by

    def now_ms(self) -> int:
        return int(self.now().timestamp() * 1000)


def part(onward: Onward, kind: type[Any]) -> Any:
    return onward.installation.parts[kind]


def codes(board: dict[str, Any]) -> set[str]:
    return {alert["code"] for alert in board["alerts"]}


def alert_of(board: dict[str, Any], code: str) -> dict[str, Any]:
    return next((alert for alert in board["alerts"] if alert["code"] == code), {})


async def sql(onward: Onward, query: str, *values: Any) -> list[Any]:
    async with onward.installation.db.platform_tx(Reason.ADMIN) as con:
        return list(await con.fetch(query, *values))


async def asks(onward: Onward, method: str, path: str, token: str, body: Any = None) -> tuple[int, Any]:
    async with onward.http.request(method, f"/api/v1{path}", json=body, headers=onward.as_(token)) as reply:
        return reply.status, await reply.json()


async def at_their_places(onward: Onward, drivers: int) -> None:
    """Put pool drivers beside the store, without their phones: the server's tasks do not run."""
    redis, now_ms = onward.installation.redis, int(time.time() * 1000)
    for driver in onward.world.pool[:drivers]:
        verde = onward.world.verde
        fix = WireFix(t=now_ms, lat=verde.lat, lng=verde.lng, acc=5.0, spd=0.0)
        await redis.hset(keys.positions(onward.world.operator_id), driver.id.bytes, pack_position(fix, now_ms))
        await redis.geoadd(
            keys.geo_index(onward.world.operator_id, now_ms // MINUTE_MS), [verde.lng, verde.lat, driver.id.hex]
        )
        await sql(onward, "UPDATE driver_profiles SET state = 'available' WHERE id = $1", driver.id)
