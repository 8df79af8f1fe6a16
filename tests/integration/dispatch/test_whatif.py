"""A day in a real database is played again: for the operator, for one business and its eyes only, over HTTP."""

from __future__ import annotations

import json
from contextlib import aclosing
from datetime import datetime
from typing import Any

import pytest

from dispatch.whatif.change import Change
from dispatch.whatif.compare import Comparison, compare
from dispatch.whatif_process import Replays
from dispatch.whatif_store import read_day
from geo.travel import CrowFlies
from kernel.clock import SystemClock
from kernel.db import Database, Reason
from kernel.errors import Problem
from kernel.ids import Kind, show
from tests.support.people import courier, create_delivery
from tests.support.server import Onward
from tests.support.world import World
from tests.support.yesterday import write_lunch, yesterday

PATH = "/api/v1/dispatch/what-if"


async def replayed(db: Database, world: World, change: Change, **more: Any) -> Comparison:
    """Read yesterday and play it, without a process of its own."""
    business = more.get("business")
    day = await read_day(
        db,
        world.operator_id,
        business and business.id,
        yesterday(),
        SystemClock().now(),
        deliveries_max=more.get("deliveries_max", 500),
    )
    return compare(day, change, CrowFlies(), of=business and business.id)


async def ask(onward: Onward, token: str, **body: Any) -> tuple[int, list[dict[str, Any]]]:
    """Ask over HTTP; return the status and the lines (or the problem)."""
    headers = onward.as_(token)
    async with onward.http.post(PATH, json={"date": yesterday().isoformat(), **body}, headers=headers) as reply:
        return reply.status, [json.loads(line) for line in (await reply.text()).splitlines()]


async def test_two_drivers_fewer_are_no_better_and_the_same_twice(db: Database, world: World) -> None:
    """What really happened is there beside both played days; asked again, the answer is the same."""
    await write_lunch(db, world, yesterday())
    first, second = [await replayed(db, world, Change(drivers=-2)) for _ in range(2)]
    assert first == second
    assert first.real.service.deliveries == first.baseline.service.deliveries == 24
    assert first.real.service.click_to_door_mean_s == 2_100
    assert first.real.work.pay_minor == first.baseline.work.pay_minor == 24 * 455
    assert first.real.work.worked_s == first.baseline.work.worked_s == 4 * 4 * 3_600
    assert (first.baseline.work.drivers, first.alternative.work.drivers) == (4, 2)
    worse = [one.service.late_s + 7_200 * one.service.undelivered for one in (first.baseline, first.alternative)]
    assert worse[0] <= worse[1]
    assert (first.baseline.service.click_to_door_mean_s or 0) < (first.alternative.service.click_to_door_mean_s or 0)
    assert [business.name for business in first.businesses] == ["Rosso", "Verde"]


async def test_a_business_sees_nothing_but_its_own_day(onward: Onward) -> None:
    """Neither the other's deliveries, nor names or hours of drivers of the pool, nor the other's day by its id."""
    world = onward.world
    await write_lunch(onward.installation.db, world, yesterday())
    status, lines = await ask(onward, world.verde.token)
    assert status == 200
    found = lines[-1]["result"]
    assert [business["name"] for business in found["businesses"]] == ["Verde"]
    assert found["baseline"]["service"]["deliveries"] == len(found["doors"]) == 12
    assert {path["name"] for path in found["paths"]} == {None}
    text = json.dumps(found)
    assert show(Kind.BUSINESS, world.rosso.id) not in text
    assert show(Kind.DRIVER, world.dedicated.id) not in text
    assert found["baseline"]["work"]["worked_s"] < 3 * 4 * 3_600
    status, lines = await ask(onward, world.verde.token, business_id=show(Kind.BUSINESS, world.rosso.id))
    assert (status, lines[0]["code"]) == (404, "not_found")


async def test_an_admin_sees_all_or_one_business_and_how_far_it_is(onward: Onward) -> None:
    """Progress comes in lines, for both days; the answer is the last line. The event loop is never held up."""
    world = onward.world
    await write_lunch(onward.installation.db, world, yesterday())
    rosso = show(Kind.BUSINESS, world.rosso.id)
    status, lines = await ask(onward, world.admin_token, business_id=rosso, change={"drivers": 1})
    assert status == 200
    assert {line["progress"]["phase"] for line in lines[:-1]} == {"baseline", "alternative"}
    found = lines[-1]["result"]
    assert found["business_id"] == rosso
    assert found["alternative"]["work"]["drivers"] == found["baseline"]["work"]["drivers"] + 1
    assert "Dora Dedicated" in {path["name"] for path in found["paths"]}
    async with onward.http.get(PATH, headers=onward.as_(world.admin_token)) as reply:
        days = (await reply.json())["data"]
    assert days == [{"date": yesterday().isoformat(), "deliveries": 24, "delivered": 24}]


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        ({"change": {"policy": {"weights": {"delay": -1}}}}, 422, "validation_failed", ">= 0"),
        ({"change": {"policy": {"weights": {"patience": 1}}}}, 422, "validation_failed", "patience"),
        ({"change": {"policy": {"weights": {"delay": 0, "lateness": 0}}}}, 422, "validation_failed", "can't both be 0"),
        ({"change": {"policy": {"stack_max": 9}}}, 422, "validation_failed", "<= 3"),
        ({"change": {"drivers": -4}}, 422, "validation_failed", "at most 3"),
        ({"change": {"drivers": -400}}, 422, "validation_failed", ">= -50"),
        ({"date": "2020-02-30"}, 422, "validation_failed", "date"),
        ({"date": "2020-02-03"}, 404, "no_day", "no deliveries on 2020-02-03"),
        ({"business_id": "biz_00000000000000000000000000000000"}, 404, "not_found", ""),
    ],
)
async def test_what_makes_no_sense_is_refused_with_words(
    onward: Onward, body: dict[str, Any], status: int, code: str, words: str
) -> None:
    """Before anything is played: the field, and what would be right."""
    await write_lunch(onward.installation.db, onward.world, yesterday(), deliveries=2)
    found, lines = await ask(onward, onward.world.admin_token, **body)
    assert (found, lines[0]["code"]) == (status, code)
    assert words in lines[0].get("detail", "")


async def test_one_at_a_time_and_not_too_much(onward: Onward) -> None:
    """While one is played a second is told to come back; a day over the limit says what to do; a driver may not ask."""
    world, db = onward.world, onward.installation.db
    await write_lunch(db, world, yesterday(), deliveries=6)
    day = await read_day(db, world.operator_id, None, yesterday(), SystemClock().now(), deliveries_max=500)
    async with aclosing(onward.installation.parts[Replays].compare(day, Change(), None)) as first:
        await anext(first)
        status, lines = await ask(onward, world.admin_token)
        assert (status, lines[0]["code"]) == (503, "unavailable")
        assert isinstance([news async for news in first][-1], bytes)
    with pytest.raises(Problem, match="more than 5 deliveries") as refused:
        await replayed(db, world, Change(), deliveries_max=5)
    assert refused.value.code == "day_too_big"
    status, lines = await ask(onward, world.pool[0].token)
    assert (status, lines[0]["code"]) == (403, "forbidden")


async def test_a_day_paid_in_two_currencies_is_one_for_each_business(db: Database, world: World) -> None:
    """Money of two kinds is never added up."""
    await write_lunch(db, world, yesterday())
    async with db.platform_tx(Reason.SEED) as con:
        await con.execute("UPDATE deliveries SET currency = 'SEK' WHERE business_id = $1", world.verde.id)
    with pytest.raises(Problem, match="EUR and SEK"):
        await replayed(db, world, Change())
    assert (await replayed(db, world, Change(), business=world.verde)).currency == "SEK"


async def test_shifts_are_kept_as_drivers_come_rest_and_go(onward: Onward) -> None:
    """A break ends a shift and coming back begins another; a day that lasts leaves out what is still under way."""
    world, db = onward.world, onward.installation.db
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(60.170, 24.94)
        await pia.client.act("availability", state="on_break")
        await pia.client.act("availability", state="available")
        await pia.client.all_acked()
        first = await create_delivery(onward, world.rosso)
        await pia.answers(await pia.is_offered(), "accept")
        await pia.delivers(first["id"])
        waiting = await create_delivery(onward, world.rosso)
        async with onward.http.post(
            f"/api/v1/deliveries/{waiting['id']}/cancel",
            json={"reason": "sold out"},
            headers=onward.as_(world.rosso.token),
        ) as reply:
            assert reply.status == 200
        await pia.client.act("availability", state="offline")
        await pia.client.all_acked()
        await create_delivery(onward, world.verde)
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        rows = await con.fetch("SELECT * FROM driver_shifts ORDER BY started_at")
    assert [row["driver_id"] for row in rows] == [world.pool[0].id] * 2
    assert all(row["ended_at"] is not None for row in rows)
    assert rows[0]["ended_at"] <= rows[1]["started_at"]
    async with db.driver_tx(world.pool[1].id, readonly=True) as con:
        assert await con.fetch("SELECT * FROM driver_shifts") == []
    ready = datetime.fromisoformat(first["ready_at"]).date()
    day = await read_day(db, world.operator_id, None, ready, SystemClock().now(), deliveries_max=500)
    assert len(day.deliveries) + sum(day.left_out.values()) == 3
    assert day.left_out == {"canceled": 1, "under_way": 1}
