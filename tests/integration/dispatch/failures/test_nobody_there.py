"""Nobody there: each business that waits is told once, and why."""

from __future__ import annotations

import pytest

from dispatch.tick import Dispatcher
from dispatch.watch import Lookout
from tests.support.people import courier, create_delivery, watcher
from tests.support.server import Onward
from tests.support.trouble import alert_of, asks, codes, part, sql


async def test_without_a_driver_each_business_that_waits_has_one_alert_that_ends_by_itself(onward: Onward) -> None:
    """One alert however often it is looked at, told to the business it concerns and to nobody else; nothing loops."""
    world, lookout = onward.world, part(onward, Lookout)
    async with watcher(onward, world.rosso.token) as rosso, watcher(onward, world.verde.token) as verde:
        delivery = await create_delivery(onward, world.rosso)
        await rosso.sees(lambda o: o["deliveries"] and o["deliveries"][0]["unassigned_reason"], "the reason")
        for _ in range(3):
            await lookout.look()
        await rosso.sees(lambda o: codes(o) == {"no_drivers"}, "the alert")
        assert alert_of(rosso.object, "no_drivers")["data"] == {"waiting": 1}
        dispatcher = part(onward, Dispatcher)
        for _ in range(3):
            await dispatcher.tick(world.operator_id)
        decisions = await sql(onward, "SELECT 1 FROM dispatch_decisions")
        assert len(decisions) == 1
        assert len(await sql(onward, "SELECT 1 FROM alerts")) == 1
        _, mine = await asks(onward, "GET", "/dispatch/alerts", world.rosso.token)
        _, others = await asks(onward, "GET", "/dispatch/alerts", world.verde.token)
        _, all_of_them = await asks(onward, "GET", "/dispatch/alerts", world.admin_token)
        assert [alert["code"] for alert in mine["data"]] == ["no_drivers"] == [a["code"] for a in all_of_them["data"]]
        assert others["data"] == []
        async with courier(onward, world.pool[0]) as pia:
            await pia.goes_online(world.rosso.lat, world.rosso.lng)
            assert (await pia.is_offered())["deliveries"] == [delivery["id"]]
            await lookout.look()
            await rosso.sees(lambda o: codes(o) == set(), "the alert is over")
        assert verde.object["alerts"] == []
        assert not [message for message in verde.messages if "no_drivers" in str(message)]
    async with onward.http.get("/metrics") as reply:
        assert 'onward_alerts_open{code="no_drivers"} 0.0' in await reply.text()


async def test_a_driver_on_shift_whose_phone_never_gave_a_place_is_named_as_the_reason(onward: Onward) -> None:
    """Not "nobody on shift": somebody is, and his phone is silent."""
    world = onward.world
    async with watcher(onward, world.verde.token) as board:
        await sql(onward, "UPDATE driver_profiles SET state = 'available' WHERE id = $1", world.pool[0].id)
        await create_delivery(onward, world.verde)
        why = {"code": "nobody_free", "counts": {"stale_position": 1}}
        await board.sees(lambda o: o["deliveries"] and o["deliveries"][0]["unassigned_reason"] == why, "the reason")


async def test_a_business_cannot_read_or_forge_what_is_not_its_own(onward: Onward) -> None:
    """The attack on the table itself: row level security hides and refuses."""
    world, lookout = onward.world, part(onward, Lookout)
    await create_delivery(onward, world.rosso)
    await lookout.look()
    async with onward.installation.db.tenant_tx(world.verde.id) as con:
        assert await con.fetch("SELECT * FROM alerts") == []
        assert await con.execute("UPDATE alerts SET ended_at = now()") == "UPDATE 0"
        with pytest.raises(Exception, match="row-level security"):
            await con.execute(
                """INSERT INTO alerts (id, operator_id, business_id, code, severity, since)
                   VALUES (gen_random_uuid(), $1, $2, 'planner_down', 'critical', now())""",
                world.operator_id,
                world.rosso.id,
            )
