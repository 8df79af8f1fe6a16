"""A look takes a moment, and phones go on speaking meanwhile."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from dispatch.watch import VANISHED_AFTER_S, Lookout
from kernel.clock import JumpWatch
from kernel.db import Reason
from tests.support.people import courier, create_delivery
from tests.support.server import Onward
from tracking.live import LivePositions


class Slow:
    """A clock by which the first thing of a look is long before the rest of it."""

    speed = 1.0

    def __init__(self) -> None:
        self.behind: list[timedelta] = []

    def now(self) -> datetime:
        return datetime.now(UTC) - (self.behind.pop(0) if self.behind else timedelta())

    def now_ms(self) -> int:
        return int(self.now().timestamp() * 1000)


async def test_a_driver_who_is_heard_while_the_lookout_looks_has_not_vanished(onward: Onward) -> None:
    """His newest fix is younger than the look: he keeps the work that he was given long ago."""
    world = onward.world
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        delivery = await create_delivery(onward, world.verde)
        await pia.answers(await pia.is_offered(), "accept")
        async with onward.installation.db.platform_tx(Reason.ADMIN) as con:
            await con.execute("UPDATE deliveries SET assigned_at = assigned_at - interval '1 hour'")
        clock = Slow()
        clock.behind = [timedelta(seconds=2 * VANISHED_AFTER_S)]
        live = onward.installation.parts[LivePositions]
        lookout = Lookout(onward.installation.db, live, clock, jumps=JumpWatch(Slow(), time.monotonic))
        clock.behind = [timedelta(minutes=1)]
        await lookout.look()
        async with onward.http.get(
            f"/api/v1/deliveries/{delivery['id']}", headers=onward.as_(world.verde.token)
        ) as reply:
            assert (await reply.json())["status"] == "assigned"
