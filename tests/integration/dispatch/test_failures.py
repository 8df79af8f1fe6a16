"""What goes wrong in a city, and what happens then: each failure has one defined outcome, and an alert."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from dispatch import offers
from dispatch.offer import PAUSE_AFTER, PAUSE_MAX_S, PAUSE_S, pause_s
from dispatch.planner import Planner, PlannerAway
from dispatch.tick import Dispatcher
from dispatch.watch import VANISHED_AFTER_S, Lookout
from geo.point import Floats
from geo.travel import CrowFlies, Seconds, TravelTimes, Vehicle
from kernel.clock import JumpWatch
from kernel.db import Reason
from kernel.ids import Kind, parse, show
from tests.support.people import Courier, courier, create_delivery, eventually, until, watcher
from tests.support.server import Onward
from tests.support.world import Business
from tracking.live import LivePositions

HOUR = timedelta(hours=1)


class Moved:
    """A clock that runs, and can be set."""

    def __init__(self) -> None:
        self.by = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by

    def now_ms(self) -> int:
        return int(self.now().timestamp() * 1000)


@pytest.fixture
async def onward(onward: Onward) -> Onward:
    """The product with its planner awake: what is told here happens on a running day."""
    await part(onward, Planner).warm_up()
    return onward


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


async def set_store(onward: Onward, business: Business, *, opened: bool, token: str = "") -> tuple[int, Any]:
    path = f"/stores/{show(Kind.STORE, business.store_id)}"
    body = {"open": opened, "reason": "" if opened else "oven broken"}
    return await asks(onward, "PATCH", path, token or business.token, body)


# --- nobody there --------------------------------------------------------------------------------------------------


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


# --- drivers who refuse or vanish ----------------------------------------------------------------------------------


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


# --- a store that closes -------------------------------------------------------------------------------------------


async def test_a_store_that_closes_holds_its_work_tells_its_drivers_and_goes_on_when_it_opens(onward: Onward) -> None:
    """New work is refused with the reason, offers come back, nothing is asked; opening undoes it all."""
    world, lookout = onward.world, part(onward, Lookout)
    rosso = world.rosso
    async with (
        courier(onward, world.dedicated) as dora,
        courier(onward, world.pool[0]) as pia,
        watcher(onward, rosso.token) as board,
    ):
        await dora.goes_online(rosso.lat, rosso.lng)
        going = await create_delivery(onward, rosso)
        await dora.answers(await dora.is_offered(), "accept")
        await dora.reports(going["id"], "en_route_to_pickup")
        door = {"name": "Eva", "address": "Far 1", "lat": rosso.lat - 0.02, "lng": rosso.lng - 0.03}
        await pia.goes_online(rosso.lat, rosso.lng)
        waiting = await create_delivery(onward, rosso, dropoff=door)
        assert (await set_store(onward, rosso, opened=False, token=world.verde.token))[0] == 404
        status, closed = await set_store(onward, rosso, opened=False)
        assert (status, closed["closed_reason"]) == (200, "oven broken")

        def held(o: dict[str, Any]) -> Any:
            mine = next((d for d in o["deliveries"] if d["id"] == waiting["id"]), {})
            return bool(
                mine and mine["unassigned_reason"] == {"code": "store_closed", "counts": {}} and mine["offer"] is None
            )

        await board.sees(held, "what waits is held")
        assert await part(onward, Dispatcher).tick(world.operator_id) == 0
        await until(
            lambda: {s["notice"] for s in (dora.last("route") or {"stops": []})["stops"]} == {"store_closed", None},
            "the driver on the way is told",
            dora.changed,
        )
        await board.sees(lambda o: o["stores"][0]["closed_reason"] == "oven broken", "the store on the board")
        await lookout.look()
        await board.sees(lambda o: alert_of(o, "store_closed").get("data", {}).get("waiting") == 1, "the alert")
        body = {"store_id": show(Kind.STORE, rosso.store_id), "dropoff": door}
        status, refused = await asks(onward, "POST", "/deliveries", rosso.token, body)
        assert (status, refused["code"]) == (409, "store_closed")
        assert "oven broken" in refused["detail"]

        assert (await set_store(onward, rosso, opened=True, token=world.admin_token))[0] == 200

        await board.sees(lambda o: o["stores"][0]["closed_since"] is None, "the store is open")
        await board.sees(
            lambda o: next(d for d in o["deliveries"] if d["id"] == waiting["id"])["status"] == "offered", "it goes on"
        )
        await lookout.look()
        await board.sees(lambda o: codes(o) == set(), "the alert is over")


# --- machines ------------------------------------------------------------------------------------------------------


class NoPlanner:
    """A planner that dies, until it is mended."""

    def __init__(self, real: Planner) -> None:
        self.real = real
        self.dies = True
        self.asked = 0

    async def answer(self, question: Any) -> Any:
        self.asked += 1
        if self.dies:
            raise PlannerAway("BrokenProcessPool")
        return await self.real.answer(question)


async def test_a_planner_that_dies_costs_a_tick_and_one_that_stays_dead_is_stood_in_for(onward: Onward) -> None:
    """Two ticks are lost, the third matches plainly and raises the alert; when the planner is back it is over."""
    world, installation = onward.world, onward.installation
    await installation.supervisor.stop()
    planner = NoPlanner(part(onward, Planner))
    dispatcher = Dispatcher(installation.db, part(onward, LivePositions), planner, installation.clock)  # type: ignore[arg-type]
    await at_their_places(onward, 2)
    delivery = await create_delivery(onward, world.verde)
    assert [await dispatcher.tick(world.operator_id) for _ in range(2)] == [0, 0]
    assert await sql(onward, "SELECT 1 FROM alerts") == []
    assert await dispatcher.tick(world.operator_id) == 1
    sent = await sql(onward, "SELECT delivery_id FROM offer_deliveries")
    assert [row["delivery_id"] for row in sent] == [parse(Kind.DELIVERY, delivery["id"])]
    opened = await sql(onward, "SELECT code, severity FROM alerts WHERE ended_at IS NULL")
    assert [tuple(row) for row in opened] == [("planner_down", "critical")]
    assert planner.asked == 3
    planner.dies = False
    dispatcher._planner._ask_again_at_s = 0.0
    await create_delivery(onward, world.verde)
    assert await dispatcher.tick(world.operator_id) == 1
    assert await sql(onward, "SELECT 1 FROM alerts WHERE ended_at IS NULL") == []


async def at_their_places(onward: Onward, drivers: int) -> None:
    """Put pool drivers beside the store, without their phones: the server's tasks do not run."""
    from kernel import keys
    from tracking.fix import Position

    redis, now_ms = onward.installation.redis, int(time.time() * 1000)
    for driver in onward.world.pool[:drivers]:
        verde = onward.world.verde
        position = Position(driver.id, now_ms, verde.lat, verde.lng, 5.0, 0.0, None, now_ms)
        await redis.hset(keys.positions(onward.world.operator_id), driver.id.bytes, position.pack())
        await redis.geoadd(keys.geo_index(onward.world.operator_id), [verde.lng, verde.lat, driver.id.hex])
        await sql(onward, "UPDATE driver_profiles SET state = 'available' WHERE id = $1", driver.id)


async def test_a_planner_killed_from_outside_is_replaced_at_the_next_question(onward: Onward) -> None:
    """kill -9 while it is idle: one call fails, the next has a new process."""
    planner = Planner(CrowFlies)
    try:
        await planner.warm_up()
        assert planner._pool is not None
        for process in list(planner._pool._processes.values()):
            process.kill()
            await asyncio.to_thread(process.join)

        async def asked() -> bool:
            try:
                return (await planner.leg_seconds([])).seconds == []
            except PlannerAway:
                return False

        await eventually(asked, bool, "a new process answers")
    finally:
        planner.close()


async def test_a_tick_that_fails_does_not_end_the_loop(onward: Onward) -> None:
    """Redis answers nonsense once: it is told, counted, and the next tick does its work."""
    world, installation = onward.world, onward.installation
    await installation.supervisor.stop()
    await at_their_places(onward, 1)
    await create_delivery(onward, world.verde)
    live = part(onward, LivePositions)

    class OnceWrong:
        wrong = True

        async def nearest(self, *args: Any, **more: Any) -> Any:
            if self.wrong:
                self.wrong = False
                raise ValueError("nonsense")
            return await live.nearest(*args, **more)

        async def positions(self, *args: Any) -> Any:
            return await live.positions(*args)

    dispatcher = Dispatcher(installation.db, OnceWrong(), part(onward, Planner), installation.clock)  # type: ignore[arg-type]
    task = asyncio.create_task(dispatcher.run())
    try:
        await eventually(lambda: sql(onward, "SELECT 1 FROM offers"), bool, "the next tick sends an offer")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_two_dispatchers_on_one_market_cannot_give_one_delivery_twice(onward: Onward) -> None:
    """Both planned from the same snapshot, the lock is of no use: the database lets one offer through."""
    world, installation = onward.world, onward.installation
    await installation.supervisor.stop()
    await at_their_places(onward, 2)
    for _ in range(4):
        await create_delivery(onward, world.verde)
    live, planner = part(onward, LivePositions), part(onward, Planner)
    both = asyncio.Barrier(2)

    class Together:
        """Both have their plans before either commits."""

        async def answer(self, question: Any) -> Any:
            answer = await planner.answer(question)
            await both.wait()
            return answer

    pair = [Dispatcher(installation.db, live, Together(), installation.clock) for _ in range(2)]  # type: ignore[arg-type]
    sent = await asyncio.gather(*(one._tick(world.operator_id) for one in pair))
    held = await sql(onward, "SELECT delivery_id FROM offer_deliveries WHERE holds")
    assert len(held) == len({row["delivery_id"] for row in held})
    offers_open = await sql(onward, "SELECT driver_id FROM offers WHERE status = 'sent'")
    assert sum(number or 0 for number in sent) == len(offers_open) >= 1
    assert len(offers_open) == len({row["driver_id"] for row in offers_open})


# --- clocks --------------------------------------------------------------------------------------------------------


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


# --- places --------------------------------------------------------------------------------------------------------


class Islands:
    """Travel times of a map where the sea is west of Helsinki's middle."""

    source = "islands"

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        from geo.travel import UNREACHABLE_S

        apart = (origins[:, 1] < 24.90)[:, None] != (destinations[:, 1] < 24.90)[None, :]
        return np.where(apart, UNREACHABLE_S, CrowFlies().seconds(origins, destinations, vehicle)).astype(np.int32)


class Hanging:
    """A provider that never answers."""

    source = "hanging"

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        while True:
            time.perf_counter()


def make(provider: type[Any]) -> Callable[[], TravelTimes]:
    return provider


Work = Callable[[Planner, Dispatcher], Awaitable[None]]


async def with_travel(onward: Onward, provider: type[Any], work: Work) -> None:
    """Do something with a planner and a dispatcher of one's own, whose travel times come from a provider."""
    installation = onward.installation
    await installation.supervisor.stop()
    planner = Planner(make(provider))
    try:
        await planner.warm_up()
        installation.parts[Planner] = planner
        await work(planner, Dispatcher(installation.db, part(onward, LivePositions), planner, installation.clock))
    finally:
        planner.close(kill=True)


async def test_a_door_on_an_island_is_refused_in_words_and_dispatch_does_not_loop(
    onward: Onward,
) -> None:
    """A quote says no; what came in another way is told to the business once, and looked at again only later."""
    world = onward.world
    door = {"name": "Eva", "address": "Island 1", "lat": 60.17, "lng": 24.89}

    async def work(planner: Planner, dispatcher: Dispatcher) -> None:
        body = {"store_id": show(Kind.STORE, world.verde.store_id), "dropoff": door}
        for path in ("/quotes", "/deliveries"):
            status, refused = await asks(onward, "POST", path, world.verde.token, body)
            assert (status, refused["code"]) == (422, "undeliverable"), path
            assert "No way" in refused["detail"]
        await at_their_places(onward, 1)
        made = await create_delivery(onward, world.verde)
        await sql(onward, "UPDATE stops SET lng = 24.89 WHERE kind = 'dropoff'")
        assert [await dispatcher.tick(world.operator_id) for _ in range(3)] == [0, 0, 0]
        _, view = await asks(onward, "GET", f"/deliveries/{made['id']}", world.verde.token)
        assert view["unassigned_reason"] == {"code": "no_way", "counts": {"no_way": 1}}
        assert len(await sql(onward, "SELECT 1 FROM outbox WHERE type = 'delivery.undeliverable'")) == 1
        assert len(await sql(onward, "SELECT 1 FROM dispatch_decisions")) == 1
        await part(onward, Lookout).look()
        _, alerts = await asks(onward, "GET", "/dispatch/alerts", world.verde.token)
        assert [alert["code"] for alert in alerts["data"]] == ["undeliverable"]
        await sql(onward, "UPDATE stops SET lng = 24.94 WHERE kind = 'dropoff'")
        await sql(onward, "UPDATE deliveries SET retry_at = now()")
        assert await dispatcher.tick(world.operator_id) == 1
        await part(onward, Lookout).look()
        assert await sql(onward, "SELECT 1 FROM alerts WHERE ended_at IS NULL") == []

    await with_travel(onward, Islands, work)


async def test_a_provider_that_hangs_is_bounded_and_straight_lines_stand_in(onward: Onward) -> None:
    """The tick is late by three seconds once, not lost; the alert says so, and ends with the provider's return."""
    world = onward.world

    async def work(planner: Planner, dispatcher: Dispatcher) -> None:
        await at_their_places(onward, 1)
        await create_delivery(onward, world.verde)
        assert await dispatcher.tick(world.operator_id) == 1
        opened = await sql(onward, "SELECT code FROM alerts WHERE ended_at IS NULL")
        assert [row["code"] for row in opened] == ["travel_times_down"]
        mended = Dispatcher(
            onward.installation.db, part(onward, LivePositions), Planner(CrowFlies), onward.installation.clock
        )
        await at_their_places(onward, 2)
        await create_delivery(onward, world.verde)
        assert await mended.tick(world.operator_id) == 1
        assert await sql(onward, "SELECT 1 FROM alerts WHERE ended_at IS NULL") == []
        mended._planner._planner.close()

    await with_travel(onward, Hanging, work)
