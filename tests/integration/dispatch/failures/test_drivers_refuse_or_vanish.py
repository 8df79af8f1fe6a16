"""Drivers who refuse or vanish: nobody is plagued, nothing is lost, and a dispatcher decides about food aboard."""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import UUID

import pytest

from dispatch.offer import PAUSE_AFTER, PAUSE_MAX_S, PAUSE_S, pause_s
from dispatch.tick import Dispatcher
from dispatch.watch import VANISHED_AFTER_S, Lookout
from kernel.clock import JumpWatch
from kernel.ids import Kind, parse, show
from tests.support.people import courier, create_delivery, watcher
from tests.support.server import Onward
from tests.support.trouble import HOUR, Moved, alert_of, asks, codes, part, sql
from tracking.live import LivePositions


def test_the_pause_grows_and_is_bounded() -> None:
    """At first the next driver is asked at once; then nobody for a while, and never longer than ten minutes."""
    assert [pause_s(n) for n in range(PAUSE_AFTER)] == [0] * PAUSE_AFTER
    pauses = [pause_s(n) for n in range(PAUSE_AFTER, 10_000, 7)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (PAUSE_S, PAUSE_MAX_S)


async def test_what_three_drivers_refuse_rests_for_a_while_and_raises_an_alert(onward: Onward) -> None:
    """Each is asked once, the fourth is left in peace; by hand it can be given at once."""
    world, lookout = onward.world, part(onward, Lookout)
    async with watcher(onward, world.verde.token) as board, courier(onward, world.pool[0]) as pia:
        delivery = await create_delivery(onward, world.verde)
        delivery_id = parse(Kind.DELIVERY, delivery["id"])
        await sql(onward, "UPDATE deliveries SET attempts = 2 WHERE id = $1", delivery_id)
        await pia.goes_online(world.verde.lat, world.verde.lng)
        await pia.answers(await pia.is_offered(), "decline", reason="too far")
        async with courier(onward, world.pool[1]) as other:
            await other.goes_online(world.verde.lat, world.verde.lng)
            why = {"code": "declined_often", "counts": {"offers": 3}}
            await board.sees(lambda o: o["deliveries"][0]["unassigned_reason"] == why, "the pause")
            assert await part(onward, Dispatcher).tick(world.operator_id) == 0
            assert other.last("offer") is None
            await sql(
                onward,
                """INSERT INTO offers (id, operator_id, driver_id, status, terms, sent_at, expires_at, answered_at)
                   SELECT gen_random_uuid(), o.operator_id, o.driver_id, 'expired', '{}', now(), now(), now()
                   FROM offers o, generate_series(1, 2)""",
            )
            await sql(
                onward,
                """INSERT INTO offer_deliveries (offer_id, business_id, delivery_id, driver_id, expires_at, holds)
                   SELECT o.id, $1, $2, o.driver_id, now(), false FROM offers o WHERE o.status = 'expired'""",
                world.verde.id,
                delivery_id,
            )
            await lookout.look()
            await board.sees(lambda o: alert_of(o, "mass_decline").get("data") == {"lost": 3}, "the alert")
            body = {"driver_id": show(Kind.DRIVER, world.pool[1].id)}
            await asks(onward, "POST", f"/dispatch/deliveries/{delivery['id']}/reassign", world.verde.token, body)
            await other.answers(await other.is_offered(), "accept")
            await lookout.look()
            await board.sees(lambda o: codes(o) == set(), "the alert is over")


async def test_who_misses_three_offers_in_a_row_is_left_in_peace_until_he_comes_anew(onward: Onward) -> None:
    """A phone in a pocket is not asked for ever; the board says why nobody is."""
    world = onward.world
    async with watcher(onward, world.verde.token) as board, courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        await sql(
            onward,
            """INSERT INTO offers (id, operator_id, driver_id, status, terms, sent_at, expires_at, answered_at)
               SELECT gen_random_uuid(), $1, $2, 'expired', '{}', now(), now(), now() FROM generate_series(1, 3)""",
            world.operator_id,
            world.pool[0].id,
        )
        delivery = await create_delivery(onward, world.verde)
        why = {"code": "nobody_free", "counts": {"not_answering": 1}}
        await board.sees(lambda o: o["deliveries"] and o["deliveries"][0]["unassigned_reason"] == why, "the reason")
        await pia.client.act("availability", state="on_break")
        await pia.client.act("availability", state="available")
        assert (await pia.is_offered())["deliveries"] == [delivery["id"]]


async def silence(onward: Onward, driver_id: UUID) -> Lookout:
    """Return a lookout for which a driver has been silent too long."""
    clock = Moved()
    clock.by = -timedelta(seconds=2 * VANISHED_AFTER_S)
    live = part(onward, LivePositions)
    lookout = Lookout(onward.installation.db, live, clock, jumps=JumpWatch(Moved(), time.monotonic))
    clock.by = timedelta(seconds=VANISHED_AFTER_S + 30)
    return lookout


async def test_who_vanishes_before_the_pickup_loses_the_work_and_learns_it_when_he_returns(onward: Onward) -> None:
    """It is offered to somebody else and never to him again."""
    world = onward.world
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        delivery = await create_delivery(onward, world.verde)
        await pia.answers(await pia.is_offered(), "accept")
        await pia.reports(delivery["id"], "en_route_to_pickup")
    lookout = await silence(onward, world.pool[0].id)
    await lookout.look()
    async with courier(onward, world.pool[1]) as other:
        await other.goes_online(world.verde.lat, world.verde.lng)
        assert (await other.is_offered())["deliveries"] == [delivery["id"]]
    async with courier(onward, world.pool[0], "phone") as back:
        state = (back.last("welcome") or {})["state"]
        assert state["route"]["stops"] == []
        assert [(n["code"], n["delivery_id"]) for n in state["notices"]] == [("driver_vanished", delivery["id"])]
        await back.is_at(world.verde.lat, world.verde.lng)
        assert back.last("offer") is None


async def test_who_vanishes_with_food_aboard_keeps_it_and_the_dispatcher_decides(onward: Onward) -> None:
    """An alert with the last place and whom to call; nothing is taken away silently; failing it ends the alert."""
    world = onward.world
    async with courier(onward, world.pool[0]) as pia, watcher(onward, world.verde.token) as board:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        delivery = await create_delivery(onward, world.verde)
        await pia.answers(await pia.is_offered(), "accept")
        await pia.reports(delivery["id"], "en_route_to_pickup", "arrived_at_pickup", "picked_up")
        lookout = await silence(onward, world.pool[0].id)
        await lookout.look()
        await board.sees(lambda o: "driver_vanished" in codes(o), "the alert")
        found = alert_of(board.object, "driver_vanished")
        assert found["severity"] == "critical"
        assert found["subject"] == {"kind": "driver", "id": show(Kind.DRIVER, world.pool[0].id)}
        assert found["data"]["delivery_ids"] == [delivery["id"]]
        assert found["data"]["last_seen"]["lat"] == pytest.approx(world.verde.lat)
        _, still = await asks(onward, "GET", f"/deliveries/{delivery['id']}", world.verde.token)
        assert still["status"] == "picked_up"
        path = f"/dispatch/deliveries/{delivery['id']}/fail"
        assert (await asks(onward, "POST", path, world.rosso.token, {"reason": "x"}))[0] == 404
        status, failed = await asks(onward, "POST", path, world.verde.token, {"reason": "Driver can't be reached"})
        assert (status, failed["status"]) == (200, "failed")
        await lookout.look()
        await board.sees(lambda o: codes(o) == set(), "the alert is over")


async def test_after_an_outage_nobody_counts_as_vanished(onward: Onward) -> None:
    """A server that heard nobody for an hour listens first: silence counts from when it could hear."""
    world = onward.world
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        delivery = await create_delivery(onward, world.verde)
        await pia.answers(await pia.is_offered(), "accept")
    later = Moved()
    later.by = HOUR
    lookout = Lookout(onward.installation.db, part(onward, LivePositions), later)
    await lookout.look()
    _, still = await asks(onward, "GET", f"/deliveries/{delivery['id']}", world.verde.token)
    assert still["status"] == "assigned"
