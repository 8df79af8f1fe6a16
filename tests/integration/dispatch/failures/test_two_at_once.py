"""Two failures at once: what one leaves behind is not lost in the other."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dispatch import offers
from dispatch.planner import Planner, PlannerAway
from dispatch.tick import Dispatcher
from dispatch.watch import VANISHED_AFTER_S, Lookout
from kernel.clock import JumpWatch
from kernel.db import Reason
from kernel.ids import Kind, new_id, parse, show
from tests.support.people import create_delivery, eventually
from tests.support.server import Onward
from tests.support.trouble import HOUR, Moved, asks, at_their_places, part, sql
from tests.support.world import Business
from tracking.live import LivePositions


async def alone(onward: Onward, **parts: Any) -> Dispatcher:
    """A dispatcher of one's own: the server's does nothing, nor do those who look after drivers and offers."""
    installation = onward.installation
    others = {"dispatcher", "lookout", "roll_call", "expire_offers"}
    await installation.supervisor.stop(but=set(installation.supervisor.names()) - others)
    planner, clock = parts.get("planner", part(onward, Planner)), parts.get("clock", installation.clock)
    return Dispatcher(installation.db, part(onward, LivePositions), planner, clock)


async def sets(onward: Onward, business: Business, *, opened: bool) -> None:
    """A store closes or opens, and all that follows has."""
    path = f"/stores/{show(Kind.STORE, business.store_id)}"
    body = {"open": opened, "reason": "" if opened else "oven broken"}
    assert (await asks(onward, "PATCH", path, business.token, body))[0] == 200
    waiting = "SELECT 1 FROM outbox WHERE done_at IS NULL"
    await eventually(lambda: sql(onward, waiting), lambda rows: not rows, "everybody has heard of it")


async def is_taken(onward: Onward, delivery: UUID) -> None:
    """Whoever is asked for it says yes."""
    query = (
        "SELECT o.id, o.driver_id FROM offers o JOIN offer_deliveries od ON od.offer_id = o.id WHERE delivery_id = $1"
    )
    (offer,) = await sql(onward, f"{query} AND od.delivery_id = $1", delivery)
    async with onward.installation.db.driver_tx(offer["driver_id"]) as con:
        await offers.accept(con, driver_id=offer["driver_id"], offer_id=offer["id"], now=datetime.now(UTC))


async def the(onward: Onward, delivery: UUID) -> Any:
    (row,) = await sql(onward, "SELECT * FROM deliveries WHERE id = $1", delivery)
    return row


async def made(onward: Onward, business: Business, **more: Any) -> UUID:
    return parse(Kind.DELIVERY, (await create_delivery(onward, business, **more))["id"])


async def test_a_driver_vanishes_with_food_aboard_and_more_to_fetch_at_a_store_that_is_closed(onward: Onward) -> None:
    """What he carries stays his, what he did not fetch says that its store is closed, and goes on when it opens."""
    world, dispatcher = onward.world, await alone(onward)
    await at_their_places(onward, 1)
    aboard, waiting = [await made(onward, world.verde) for _ in range(2)]
    assert await dispatcher.tick(world.operator_id) == 1
    await is_taken(onward, waiting)
    assert (await the(onward, aboard))["status"] == "assigned"
    await sql(onward, "UPDATE deliveries SET status = 'picked_up' WHERE id = $1", aboard)
    await sets(onward, world.verde, opened=False)
    clock = Moved()
    clock.by = -timedelta(seconds=2 * VANISHED_AFTER_S)
    live = part(onward, LivePositions)
    lookout = Lookout(onward.installation.db, live, clock, jumps=JumpWatch(Moved(), time.monotonic))
    clock.by = timedelta(seconds=VANISHED_AFTER_S + 30)
    await lookout.look()
    assert await dispatcher.tick(world.operator_id) == 0
    assert (await the(onward, aboard))["status"] == "picked_up"
    left = await the(onward, waiting)
    assert (left["status"], left["unassigned_reason"]) == ("pending", {"code": "store_closed", "counts": {}})
    opened = await sql(onward, "SELECT code FROM alerts WHERE ended_at IS NULL ORDER BY code")
    assert [row["code"] for row in opened] == ["driver_vanished", "store_closed"]
    await sets(onward, world.verde, opened=True)
    assert (await the(onward, waiting))["unassigned_reason"] is None
    await at_their_places(onward, 2)
    assert await dispatcher.tick(world.operator_id) == 1
    (asked,) = await sql(onward, "SELECT driver_id FROM offers WHERE status = 'sent'")
    assert asked["driver_id"] == world.pool[1].id


async def test_a_planned_route_begins_while_one_of_its_stores_is_closed(onward: Onward) -> None:
    """The rest is offered; what was left behind is kept for nobody, and any driver has it when the store opens."""
    world, dispatcher = onward.world, await alone(onward)
    now, driver = datetime.now(UTC), world.pool[0].id
    parcels = [await made(onward, world.rosso), await made(onward, world.verde)]
    plan, route = new_id(), new_id()
    await sql(
        onward,
        "INSERT INTO route_plans (id, operator_id, plan, made_at) VALUES ($1, $2, '{}', $3)",
        plan,
        world.operator_id,
        now,
    )
    await sql(
        onward,
        """INSERT INTO planned_routes (id, plan_id, operator_id, driver_id, start_at, end_at, to_pickup_s, stops)
           VALUES ($1, $2, $3, $4, $5, $6, 60, $7)""",
        route,
        plan,
        world.operator_id,
        driver,
        now,
        now + HOUR,
        [{"kind": kind, "delivery_id": show(Kind.DELIVERY, one)} for kind in ("pickup", "dropoff") for one in parcels],
    )
    await sql(onward, "UPDATE deliveries SET planned_route_id = $1, pinned_driver_id = $2", route, driver)
    await sets(onward, world.verde, opened=False)
    await at_their_places(onward, 1)
    await dispatcher.tick(world.operator_id)
    offered, left = [await the(onward, one) for one in parcels]
    assert (offered["status"], left["status"]) == ("offered", "pending")
    assert (left["planned_route_id"], left["pinned_driver_id"]) == (None, None)
    assert left["unassigned_reason"]["code"] == "store_closed"
    await sets(onward, world.verde, opened=True)
    await at_their_places(onward, 2)
    assert await dispatcher.tick(world.operator_id) == 1
    rows = await sql(onward, "SELECT driver_id FROM offer_deliveries WHERE delivery_id = $1", parcels[1])
    assert [row["driver_id"] for row in rows] == [world.pool[1].id]


async def test_many_refuse_and_then_the_store_closes(onward: Onward) -> None:
    """The board says the one that is true now; when the store opens somebody is asked at once, not after the pause."""
    world, dispatcher = onward.world, await alone(onward)
    await at_their_places(onward, 1)
    refused = await made(onward, world.verde)
    await sql(onward, "UPDATE deliveries SET attempts = 5")
    assert await dispatcher.tick(world.operator_id) == 1
    (offer,) = await sql(onward, "SELECT id, driver_id FROM offers")
    async with onward.installation.db.driver_tx(offer["driver_id"]) as con:
        await offers.decline(
            con, driver_id=offer["driver_id"], offer_id=offer["id"], reason="far", now=datetime.now(UTC)
        )
    assert (await the(onward, refused))["unassigned_reason"]["code"] == "declined_often"
    await sets(onward, world.verde, opened=False)
    assert await dispatcher.tick(world.operator_id) == 0
    assert (await the(onward, refused))["unassigned_reason"]["code"] == "store_closed"
    await sets(onward, world.verde, opened=True)
    await at_their_places(onward, 2)
    assert await dispatcher.tick(world.operator_id) == 1


async def test_the_kitchen_is_early_and_the_clock_is_set_back(onward: Onward) -> None:
    """What is ready is ready: it does not wait for the hour in which it was announced, nor for one that comes twice."""
    world, clock = onward.world, Moved()
    dispatcher = await alone(onward, clock=clock)
    await at_their_places(onward, 1)
    early = await made(onward, world.verde, ready_at=(datetime.now(UTC) + HOUR).isoformat())
    assert await dispatcher.tick(world.operator_id) == 0
    await sql(onward, "UPDATE deliveries SET was_ready_at = now() WHERE id = $1", early)
    clock.by = -HOUR
    assert await dispatcher.tick(world.operator_id) == 1


async def test_two_dispatchers_stand_in_for_planners_that_are_dead(onward: Onward) -> None:
    """Both match plainly from the same look: each delivery and each driver is in one offer at most."""
    world = onward.world

    class Dead:
        async def answer(self, question: Any) -> Any:
            raise PlannerAway("BrokenProcessPool")

    pair = [await alone(onward, planner=Dead()) for _ in range(2)]
    await at_their_places(onward, 2)
    for _ in range(3):
        await made(onward, world.verde)
    for _ in range(2):
        assert [await one.tick(world.operator_id) for one in pair] == [0, 0]
    await asyncio.gather(*(one._tick(world.operator_id) for one in pair))
    sent = await sql(onward, "SELECT driver_id FROM offers WHERE status = 'sent'")
    held = await sql(onward, "SELECT delivery_id FROM offer_deliveries WHERE holds")
    assert 1 <= len(sent) == len({row["driver_id"] for row in sent}) <= 2
    assert len(held) == len({row["delivery_id"] for row in held})


async def test_a_dispatcher_dies_before_its_commit_and_another_goes_on_while_drivers_leave(onward: Onward) -> None:
    """Killed with a plan in its hands: nothing of it remains; the next asks who is still there."""
    world, planned = onward.world, asyncio.Event()
    real = part(onward, Planner)

    class Slow:
        async def answer(self, question: Any) -> Any:
            answer = await real.answer(question)
            planned.set()
            await asyncio.Event().wait()
            return answer

    dying = await alone(onward, planner=Slow())
    await at_their_places(onward, 2)
    delivery = await made(onward, world.verde)
    tick = asyncio.create_task(dying.tick(world.operator_id))
    await asyncio.wait_for(planned.wait(), 15)
    tick.cancel()
    await asyncio.gather(tick, return_exceptions=True)
    assert await sql(onward, "SELECT 1 FROM offers") == []
    await sql(onward, "UPDATE driver_profiles SET state = 'offline' WHERE id = $1", world.pool[0].id)
    heir = await alone(onward)
    assert await heir.tick(world.operator_id) == 1
    rows = await sql(onward, "SELECT driver_id FROM offer_deliveries WHERE delivery_id = $1", delivery)
    assert [row["driver_id"] for row in rows] == [world.pool[1].id]
    async with onward.installation.db.platform_tx(Reason.ADMIN) as con:
        assert await con.fetchval("SELECT count(*) FROM dispatch_decisions WHERE outcome = 'offered'") == 1
