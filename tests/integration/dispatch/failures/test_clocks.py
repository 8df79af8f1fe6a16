"""Clocks that are set: offers neither end at once nor live on, and nobody counts as silent for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from dispatch import offers
from dispatch.watch import VANISHED_AFTER_S, Lookout
from kernel.clock import JumpWatch
from kernel.db import Reason
from tests.support.people import Courier, courier, create_delivery, until
from tests.support.server import Onward
from tests.support.trouble import HOUR, Moved, asks, part, sql
from tracking.live import LivePositions


def _asked_for(driver: Courier, delivery_id: str) -> bool:
    """What is told of an offer before may still be on its way: look for this one."""
    return (driver.last("offer") or {"offer": {"deliveries": []}})["offer"]["deliveries"] == [delivery_id]


async def test_a_clock_that_is_set_neither_ends_all_offers_nor_lets_them_live(onward: Onward) -> None:
    """Forward or back an hour: each open offer has its term once more, then expires; the phone is told the new end."""
    world, installation = onward.world, onward.installation
    db = installation.db
    for jump in (HOUR, -HOUR):
        async with courier(onward, world.pool[0]) as pia:
            await pia.goes_online(world.verde.lat, world.verde.lng)
            made = await create_delivery(onward, world.verde)
            await until(partial(_asked_for, pia, made["id"]), "Pia is asked", pia.changed)
            now = datetime.now(UTC) + jump
            async with db.platform_tx(Reason.OFFER_EXPIRY) as con:
                assert await offers.restart_terms(con, now, datetime.min.replace(tzinfo=UTC)) == 1
                assert await offers.expire_due(con, now + timedelta(seconds=29)) == 0
                assert await offers.expire_due(con, now + timedelta(seconds=31)) == 1
            async with db.platform_tx(Reason.OFFER_EXPIRY) as con:
                rows = await con.fetch("SELECT expires_at - sent_at AS term, status FROM offers ORDER BY sent_at")
            assert {row["term"] for row in rows} == {timedelta(seconds=30)}
        await sql(onward, "UPDATE deliveries SET status = 'canceled' WHERE status = 'pending'")
        await sql(onward, "DELETE FROM offer_deliveries")
        await sql(onward, "UPDATE dispatch_decisions SET offer_id = NULL")
        await sql(onward, "DELETE FROM offers")


def test_a_set_clock_is_noticed_once_and_a_slow_one_never() -> None:
    """A minute that really passed is no jump; an hour that did not is one, and then it is the new normal."""
    clock, passed = Moved(), [0.0]
    start = datetime.now(UTC)
    clock.now = lambda: start + timedelta(seconds=passed[0]) + clock.by  # type: ignore[method-assign]
    watch = JumpWatch(clock, lambda: passed[0])
    passed[0] += 60
    assert not watch.jumped()
    for by in (HOUR, -HOUR):
        clock.by += by
        assert watch.jumped()
        passed[0] += 1
        assert not watch.jumped()


async def test_after_the_clock_was_set_nobody_counts_as_vanished_and_later_who_is_silent_does(onward: Onward) -> None:
    """A jump starts the silence anew, for all; it does not hide it for ever."""
    world = onward.world
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        delivery = await create_delivery(onward, world.verde)
        await pia.answers(await pia.is_offered(), "accept")
    clock, passed = Moved(), [0.0]
    start = datetime.now(UTC)
    clock.now = lambda: start + timedelta(seconds=passed[0]) + clock.by  # type: ignore[method-assign]
    live = part(onward, LivePositions)
    lookout = Lookout(onward.installation.db, live, clock, jumps=JumpWatch(clock, lambda: passed[0]))

    async def status() -> str:
        return str((await asks(onward, "GET", f"/deliveries/{delivery['id']}", world.verde.token))[1]["status"])

    for by in (HOUR, -2 * HOUR):
        clock.by += by
        await lookout.look()
        assert await status() == "assigned"
    passed[0] += VANISHED_AFTER_S + 1
    await lookout.look()
    assert await status() == "pending"
