"""A phone goes quiet: it is woken, its driver is taken off line, and is back as soon as it speaks; nobody else is."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from dispatch.roll_call import OFF_AFTER, WOKEN_AFTER, RollCall
from dispatch.shifts import SHIFT_GOES_ON
from kernel.clock import JumpWatch, from_ms
from kernel.ids import Kind, show
from tests.support.people import Courier, Watcher, courier, create_delivery, until, watcher
from tests.support.server import Onward
from tests.support.trouble import HOUR, Moved, asks, part, sql
from tests.support.wake import RecordingWakeUp
from tests.support.world import Driver
from tracking.live import LivePositions

A_LITTLE = timedelta(seconds=30)


class Called:
    """A roll call whose clock can be set, by which it could hear all the while."""

    def __init__(self, onward: Onward) -> None:
        self.wakes, self.clock = RecordingWakeUp(), Moved()
        self.clock.by = -HOUR
        self.onward = onward
        self.leads()

    def leads(self) -> None:
        """A process leads from now on that knows nothing of the one before."""
        installation, still = self.onward.installation, JumpWatch(Moved(), time.monotonic)
        live = part(self.onward, LivePositions)
        self.roll = RollCall(installation.db, installation.redis, live, self.wakes, self.clock, jumps=still)

    async def after(self, by: timedelta) -> None:
        self.clock.by = by
        await self.roll.look()


async def comes(onward: Onward, driver: Driver) -> None:
    """He comes to work beside Verde, and his phone goes quiet."""
    async with courier(onward, driver) as phone:
        await phone.goes_online(onward.world.verde.lat, onward.world.verde.lng)


async def state(onward: Onward, driver: Driver) -> str:
    (row,) = await sql(onward, "SELECT state FROM driver_profiles WHERE id = $1", driver.id)
    return str(row["state"])


async def shifts(onward: Onward, driver: Driver) -> list[Any]:
    return await sql(onward, "SELECT * FROM driver_shifts WHERE driver_id = $1 ORDER BY started_at", driver.id)


async def reports(onward: Onward, driver: Driver) -> None:
    """A fix by HTTP."""
    at = {"t": int(time.time() * 1000), "lat": onward.world.verde.lat, "lng": onward.world.verde.lng}
    assert (await asks(onward, "POST", "/driver/location", driver.token, at))[0] == 200


async def sees(board: Watcher, driver: Driver, there: bool) -> None:
    shown = show(Kind.DRIVER, driver.id)
    await board.sees(lambda o: (shown in {d["id"] for d in o["drivers"]}) is there, f"on the board: {there}")


async def test_a_quiet_phone_is_woken_once_then_taken_off_and_its_greeting_goes_on_with_the_shift(
    onward: Onward,
) -> None:
    """Two minutes, five minutes; the shift ends when he was heard last, and goes on as if nothing had been."""
    pia, called = onward.world.pool[0], Called(onward)
    async with watcher(onward, onward.world.admin_token) as board:
        await comes(onward, pia)
        await called.after(WOKEN_AFTER - A_LITTLE)
        assert called.wakes.asked == []
        await called.after(WOKEN_AFTER + A_LITTLE)
        await called.after(OFF_AFTER - A_LITTLE)
        assert called.wakes.asked == [(pia.id, "silent")]
        await sees(board, pia, there=True)
        await called.after(OFF_AFTER + A_LITTLE)
        await sees(board, pia, there=False)
        assert called.wakes.asked == [(pia.id, "silent")]
        (row,) = await sql(onward, "SELECT state, silent_since FROM driver_profiles WHERE id = $1", pia.id)
        (begun,) = await shifts(onward, pia)
        assert row["state"] == "offline"
        assert begun["ended_at"] == row["silent_since"]
        seen = await part(onward, LivePositions).positions(onward.world.operator_id, [pia.id])
        assert row["silent_since"] - from_ms(seen[pia.id].received_ms) < A_LITTLE
        async with courier(onward, pia) as back:
            welcome = (back.last("welcome") or {})["state"]
            assert welcome["driver"]["state"] == "available"
            assert [notice["code"] for notice in welcome["notices"]] == ["was_silent"]
            await sees(board, pia, there=True)
        (going_on,) = await shifts(onward, pia)
        assert (going_on["started_at"], going_on["ended_at"]) == (begun["started_at"], None)


async def test_a_fix_by_http_brings_him_back_after_a_long_silence_to_a_new_shift(onward: Onward) -> None:
    """No greeting, no socket: the next look sees that he speaks; within half an hour the shift goes on."""
    (pia, other, _), called = onward.world.pool, Called(onward)
    await comes(onward, pia)
    await comes(onward, other)
    for _ in range(2):
        await called.after(OFF_AFTER + A_LITTLE)
        assert (await state(onward, pia), await state(onward, other)) == ("offline", "offline")
    await reports(onward, pia)
    await called.after(SHIFT_GOES_ON - A_LITTLE)
    await reports(onward, other)
    await called.after(SHIFT_GOES_ON + A_LITTLE)
    for driver, open_shifts in ((pia, [True]), (other, [False, True])):
        assert await state(onward, driver) == "available"
        assert [row["ended_at"] is None for row in await shifts(onward, driver)] == open_shifts


async def test_an_app_of_somebody_else_brings_him_back_also_by_a_clock_set_back(onward: Onward) -> None:
    """OsmAnd's query, while the server's clock lies before the silence: a new fix differs from the last."""
    pia, called = onward.world.pool[0], Called(onward)
    await comes(onward, pia)
    devices = f"/drivers/{show(Kind.DRIVER, pia.id)}/devices"
    _, device = await asks(onward, "POST", devices, pia.token, {"label": "Pixel"})
    await called.after(OFF_AFTER + A_LITTLE)
    await sql(onward, "UPDATE driver_profiles SET silent_since = silent_since + interval '1 hour'")
    await called.after(OFF_AFTER + A_LITTLE)
    assert await state(onward, pia) == "offline"
    lat, lon = onward.world.verde.lat, onward.world.verde.lng
    query = {"id": device["key"], "timestamp": int(time.time() * 1000), "lat": lat, "lon": lon}
    async with onward.http.get("/ingest/osmand", params=query) as reply:
        assert reply.status == 200
    await called.after(OFF_AFTER + A_LITTLE)
    assert await state(onward, pia) == "available"


async def test_his_page_is_told_when_he_is_taken_off_with_the_socket_open_and_when_he_is_back(onward: Onward) -> None:
    """A phone without location talks and says no place: a board's word is his page's as well."""
    pia, called = onward.world.pool[0], Called(onward)
    async with courier(onward, pia) as phone:
        await phone.goes_online(onward.world.verde.lat, onward.world.verde.lng)
        await until(lambda: (phone.last("shift") or {}).get("state") == "available", "at work", phone.changed)
        await called.after(OFF_AFTER + A_LITTLE)
        await until(lambda: (phone.last("shift") or {}).get("state") == "offline", "taken off", phone.changed)
        assert (phone.last("shift") or {})["silent_since"] is not None
        await phone.is_at(onward.world.verde.lat, onward.world.verde.lng)
        await called.after(OFF_AFTER + A_LITTLE)
        await until(lambda: (phone.last("shift") or {}).get("state") == "available", "back", phone.changed)
        assert (phone.last("shift") or {})["silent_since"] is None


async def test_after_hours_of_silence_nobody_is_brought_back_by_a_hello_or_a_fix(onward: Onward) -> None:
    """Who switches his phone on in the evening is not at work; nobody is remembered as silent for ever."""
    (pia, other, _), called = onward.world.pool, Called(onward)
    await comes(onward, pia)
    await comes(onward, other)
    await called.after(OFF_AFTER + A_LITTLE)
    longer = "UPDATE driver_profiles SET silent_since = silent_since - interval '3 hours' WHERE state = 'offline'"
    await sql(onward, longer)
    async with courier(onward, pia) as phone:
        assert (phone.last("welcome") or {})["state"]["driver"]["state"] == "offline"
        await phone.is_at(onward.world.verde.lat, onward.world.verde.lng)
    await reports(onward, other)
    await called.after(OFF_AFTER + 2 * A_LITTLE)
    for driver in (pia, other):
        (row,) = await sql(onward, "SELECT state, silent_since FROM driver_profiles WHERE id = $1", driver.id)
        assert (row["state"], row["silent_since"]) == ("offline", None)


async def test_a_phone_is_woken_once_whoever_leads_and_again_after_it_spoke(onward: Onward) -> None:
    """A process that takes over knows from Redis whom the one before has woken."""
    pia, called = onward.world.pool[0], Called(onward)
    await comes(onward, pia)
    await called.after(-HOUR)
    for _ in range(2):
        await called.after(WOKEN_AFTER + A_LITTLE)
        called.clock.by = -HOUR
        called.leads()
    assert called.wakes.asked == [(pia.id, "silent")]
    await reports(onward, pia)
    await called.after(WOKEN_AFTER + 2 * A_LITTLE)
    assert called.wakes.asked == [(pia.id, "silent")] * 2


async def test_who_went_himself_is_never_brought_back(onward: Onward) -> None:
    """His phone goes on to report, and greets: he has left, also if he was taken off before he said so."""
    (pia, silenced, _), called = onward.world.pool, Called(onward)
    await comes(onward, silenced)
    await called.after(OFF_AFTER + A_LITTLE)
    await comes(onward, pia)
    for driver in (pia, silenced):
        answer = await asks(onward, "PATCH", "/driver/availability", driver.token, {"state": "offline"})
        assert answer == (200, {"state": "offline"})
        await reports(onward, driver)
    await called.after(OFF_AFTER + 2 * A_LITTLE)
    for driver in (pia, silenced):
        async with courier(onward, driver) as back:
            assert (back.last("welcome") or {})["state"]["driver"]["state"] == "offline"
            await back.is_at(onward.world.verde.lat, onward.world.verde.lng)
    await called.after(OFF_AFTER + 3 * A_LITTLE)
    for driver in (pia, silenced):
        assert await state(onward, driver) == "offline"
        assert all(row["ended_at"] is not None for row in await shifts(onward, driver))


async def test_who_works_rests_or_is_asked_is_not_taken_off(onward: Onward) -> None:
    """Work is the lookout's; a break needs no phone; an offer's term ends first."""
    world, called = onward.world, Called(onward)

    async def accepts(phone: Courier) -> None:
        await phone.goes_online(world.verde.lat, world.verde.lng)
        await create_delivery(onward, world.verde)
        await phone.answers(await phone.is_offered(), "accept")

    async with courier(onward, world.pool[0]) as busy:
        await accepts(busy)
    async with courier(onward, world.pool[1]) as resting:
        await resting.goes_online(world.verde.lat, world.verde.lng)
        await resting.client.act("availability", state="on_break")
        await resting.client.all_acked()
    async with courier(onward, world.pool[2]) as asked:
        await asked.goes_online(world.verde.lat, world.verde.lng)
        await create_delivery(onward, world.verde)
        await asked.is_offered()
    await called.after(OFF_AFTER + A_LITTLE)
    assert [await state(onward, driver) for driver in world.pool] == ["busy", "on_break", "available"]
    assert called.wakes.asked == [(world.pool[2].id, "silent")]


async def test_after_an_outage_or_when_the_clock_was_set_nobody_is_taken_off(onward: Onward) -> None:
    """A server that could not hear, and one whose clock jumped an hour, listen first."""
    pia = onward.world.pool[0]
    await comes(onward, pia)
    live, wakes, later, jumping = part(onward, LivePositions), RecordingWakeUp(), Moved(), Moved()
    later.by = HOUR
    await RollCall(onward.installation.db, onward.installation.redis, live, wakes, later).look()
    roll = RollCall(onward.installation.db, onward.installation.redis, live, wakes, jumping)
    for jumping.by in (HOUR, -HOUR, HOUR):
        await roll.look()
    assert await state(onward, pia) == "available"
    assert wakes.asked == []
