"""Batch routes: planned ahead, committed, and offered whole when their drivers have to leave."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from kernel.db import Reason
from kernel.ids import Kind, show
from tests.support.people import courier, create_delivery, eventually
from tests.support.server import Onward
from tests.support.world import Driver

API = "/api/v1/dispatch/routes"


def named(driver: Driver) -> str:
    return show(Kind.DRIVER, driver.id)


def at(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


async def ask(onward: Onward, method: str, token: str, path: str, **more: Any) -> tuple[int, Any]:
    async with onward.http.request(method, f"{API}{path}", headers=onward.as_(token), **more) as reply:
        lines = [json.loads(line) for line in (await reply.text()).splitlines() if line]
        return reply.status, lines[-1]


async def made(onward: Onward, number: int, **more: Any) -> dict[str, Any]:
    rosso = onward.world.rosso
    door = {"name": "Eva", "address": f"Street {number}", "lat": rosso.lat + 0.002 * number, "lng": rosso.lng}
    return await create_delivery(onward, rosso, dropoff=door, **more)


async def planned(onward: Onward, token: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = await ask(onward, "POST", token, "/plan", json={"limit_s": 1, **body})
    assert status == 200, answer
    assert "result" in answer, answer
    found: dict[str, Any] = answer["result"]
    return found


async def decided(onward: Onward, token: str, delivery: str) -> tuple[list[Any], int]:
    async with onward.http.get(f"/api/v1/dispatch/decisions/{delivery}", headers=onward.as_(token)) as reply:
        return (await reply.json()).get("data", []), reply.status


async def on_board(onward: Onward, token: str) -> dict[str, dict[str, Any]]:
    async with onward.http.get("/api/v1/dispatch/board", headers=onward.as_(token)) as reply:
        return {one["id"]: one for one in (await reply.json())["deliveries"]}


async def test_a_day_is_planned_committed_and_driven_in_the_planned_order(onward: Onward) -> None:
    """Nothing changes until the commit; what changed meanwhile is left out; the whole route is one offer; others see
    nothing of it."""
    world, token = onward.world, onward.world.rosso.token
    later = {"ready_at": at(40), "dropoff_until": at(120)}
    parcels = [await made(onward, n, **later) for n in (3, 1, 2, 4)]
    status, today = await ask(onward, "GET", token, "/plannable")
    assert status == 200
    day = datetime.fromisoformat(later["ready_at"]).astimezone(ZoneInfo(today["time_zone"])).date()  # may be tomorrow
    _, could = await ask(onward, "GET", token, f"/plannable?date={day}")
    assert {one["id"] for one in could["deliveries"]} == {one["id"] for one in parcels}
    assert [one["name"] for one in could["drivers"]] == ["Dora Dedicated"]
    store = {"lat": world.rosso.lat, "lng": world.rosso.lng}
    hands = {"driver_id": named(world.dedicated), "on_at": at(0), "off_at": at(180), "start": store, "end": store}
    window = {"ready_from": could["ready_from"], "ready_until": could["ready_until"]}
    plan = await planned(onward, token, {"drivers": [hands], **window})
    assert (plan["planned"], plan["unplanned"], len(plan["routes"])) == (4, [], 1)
    stops = plan["routes"][0]["stops"]
    assert [stop["kind"] for stop in stops] == ["pickup"] * 4 + ["dropoff"] * 4
    assert (await ask(onward, "GET", token, f"/plan/{plan['id']}"))[1]["routes"] == plan["routes"]
    board = await on_board(onward, token)
    assert {one["pinned_driver_id"] for one in board.values()} == {None}

    async with onward.http.post(
        f"/api/v1/deliveries/{parcels[3]['id']}/cancel", json={"reason": "no more"}, headers=onward.as_(token)
    ) as reply:
        assert reply.status == 200
    assert (await ask(onward, "GET", world.verde.token, f"/plan/{plan['id']}"))[0] == 404
    assert (await ask(onward, "POST", world.verde.token, f"/plan/{plan['id']}/commit", json={}))[0] == 404
    status, answer = await ask(onward, "POST", token, f"/plan/{plan['id']}/commit", json={})
    assert status == 200
    results = {one["delivery_id"]: (one["ok"], one["code"]) for one in answer["data"]}
    assert results == {one["id"]: (True, "") for one in parcels[:3]} | {parcels[3]["id"]: (False, "conflict")}
    assert (await ask(onward, "POST", token, f"/plan/{plan['id']}/commit", json={}))[0] == 409
    board = await on_board(onward, token)
    assert {board[one["id"]]["pinned_driver_id"] for one in parcels[:3]} == {named(world.dedicated)}
    for one in parcels[:3]:
        ((why,), status) = await decided(onward, token, one["id"])
        assert (status, why["outcome"], why["driver_name"], why["together"]) == (200, "planned", "Dora Dedicated", 3)
        assert why["added_s"] >= 0
        assert why["to_pickup_s"] is None
    assert await decided(onward, token, parcels[3]["id"]) == ([], 200)
    assert await decided(onward, world.verde.token, parcels[0]["id"]) == ([], 404)

    async with courier(onward, world.dedicated) as dora:
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        await _leaves_now(onward)
        offer = await dora.is_offered()
        expected = [stop for stop in stops if stop["delivery_id"] != parcels[3]["id"]]
        order = [(stop["kind"], stop["delivery_id"]) for stop in expected]
        assert [(stop["kind"], stop["delivery_id"]) for stop in offer["stops"]] == order
        await dora.answers(offer, "accept")
        async with onward.http.get(
            f"/api/v1/dispatch/drivers/{named(world.dedicated)}/route", headers=onward.as_(token)
        ) as reply:
            route = await reply.json()
        assert [(stop["kind"], stop["delivery_id"]) for stop in route["stops"]] == order
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        actions = await con.fetch("SELECT action FROM audit_log WHERE action LIKE 'routes.%' ORDER BY id")
        assert await con.fetchval("SELECT count(*) FROM planned_routes") == 0
    assert [row["action"] for row in actions] == ["routes.planned", "routes.committed"]


async def _leaves_now(onward: Onward, minutes: int = 1) -> None:
    """Every planned route begins in a moment, as if the time had passed."""
    async with onward.installation.db.platform_tx(Reason.SEED) as con:
        await con.execute(
            "UPDATE planned_routes SET start_at = now() + make_interval(mins => $1), end_at = now() + interval '1 day'",
            minutes,
        )


async def test_a_route_nobody_comes_for_goes_to_the_engine(onward: Onward) -> None:
    """Its driver is not there five minutes after he had to leave; somebody of the pool is asked, one by one."""
    world = onward.world
    parcels = [await made(onward, n, ready_at=at(1), dropoff_until=at(90)) for n in (1, 2)]
    hands = {"driver_id": named(world.dedicated), "on_at": at(0), "off_at": at(180)}
    body = {"drivers": [hands], "delivery_ids": [one["id"] for one in parcels]}
    plan = await planned(onward, world.admin_token, body)
    assert (await ask(onward, "POST", world.admin_token, f"/plan/{plan['id']}/commit", json={}))[0] == 200
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.rosso.lat, world.rosso.lng)
        await _leaves_now(onward, minutes=-6)
        offer = await pia.is_offered()
        assert set(offer["deliveries"]) <= {one["id"] for one in parcels}


async def test_who_is_kept_for_a_route_is_named_as_the_reason_why_nobody_comes(onward: Onward) -> None:
    """Dora has to leave in four minutes: she can't take what is ready in ten, and the board says why."""
    world, token = onward.world, onward.world.rosso.token
    parcel = await made(onward, 1, ready_at=at(1), dropoff_until=at(90))
    hands = {"driver_id": named(world.dedicated), "on_at": at(0), "off_at": at(180)}
    plan = await planned(onward, token, {"drivers": [hands], "delivery_ids": [parcel["id"]]})
    await ask(onward, "POST", token, f"/plan/{plan['id']}/commit", json={})
    async with courier(onward, world.dedicated) as dora:
        await _leaves_now(onward, minutes=6)
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        late = await made(onward, 2, ready_at=at(10))
        why = {"code": "nobody_free", "counts": {"kept_for_route": 1}}
        await eventually(
            lambda: on_board(onward, token), lambda all_: all_[late["id"]]["unassigned_reason"] == why, "the reason"
        )


async def test_a_dispatcher_takes_a_delivery_out_of_a_planned_route(onward: Onward) -> None:
    """Given to somebody by hand before the route begins, it is no part of it any more."""
    world, token = onward.world, onward.world.rosso.token
    parcels = [await made(onward, n, ready_at=at(1), dropoff_until=at(90)) for n in (1, 2)]
    hands = {"driver_id": named(world.dedicated), "on_at": at(0), "off_at": at(180)}
    plan = await planned(onward, token, {"drivers": [hands], "delivery_ids": [one["id"] for one in parcels]})
    await ask(onward, "POST", token, f"/plan/{plan['id']}/commit", json={})
    async with courier(onward, world.pool[0]) as pia, courier(onward, world.dedicated) as dora:
        await pia.goes_online(world.rosso.lat, world.rosso.lng)
        async with onward.http.post(
            f"/api/v1/dispatch/deliveries/{parcels[0]['id']}/reassign",
            json={"driver_id": named(world.pool[0])},
            headers=onward.as_(token),
        ) as reply:
            assert reply.status == 200
        assert (await pia.is_offered())["deliveries"] == [parcels[0]["id"]]
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        await _leaves_now(onward)
        assert (await dora.is_offered())["deliveries"] == [parcels[1]["id"]]
        await eventually(
            lambda: on_board(onward, token), lambda all_: all_[parcels[1]["id"]]["status"] == "offered", "offered"
        )


async def test_drivers_without_a_name_are_named_at_the_commit(onward: Onward) -> None:
    """Two bicycles are planned for; one gets a name with the right vehicle, the other's work stays where it is."""
    world, token = onward.world, onward.world.admin_token
    parcels = [await made(onward, n, ready_at=at(30), dropoff_until=at(39)) for n in (1, -1)]
    body = {"drivers": [{"vehicle": "bicycle", "count": 2, "on_at": at(0), "off_at": at(90)}]}
    plan = await planned(onward, token, {**body, "delivery_ids": [one["id"] for one in parcels]})
    assert len(plan["routes"]) == 2
    naming = [{"route": 0, "driver_id": named(world.pool[1])}]
    _, answer = await ask(onward, "POST", token, f"/plan/{plan['id']}/commit", json={"drivers": naming})
    assert [(one["route"], one["ok"], one["code"]) for one in answer["data"]] == [
        (0, True, ""),
        (1, False, "validation_failed"),
    ]
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        row = await con.fetchrow("SELECT * FROM planned_routes")
    assert row is not None
    assert row["driver_id"] == world.pool[1].id
    assert row["stops"][0]["delivery_id"] == answer["data"][0]["delivery_id"]


async def test_what_makes_no_sense_is_refused_by_its_field(onward: Onward) -> None:
    """Hours that end before they begin, a driver twice, what another business or nobody has, a stranger's driver."""
    world, token = onward.world, onward.world.rosso.token
    parcel = await made(onward, 1, ready_at=at(30))
    hands = {"driver_id": named(world.dedicated), "on_at": at(0), "off_at": at(60)}
    ids = {"delivery_ids": [parcel["id"]]}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**ids, "drivers": [{**hands, "off_at": at(-5)}]}, "drivers[0].off_at"),
        ({**ids, "drivers": [{**hands, "vehicle": "car"}]}, "drivers[0]"),
        ({**ids, "drivers": [{"vehicle": "car", "count": 50, "on_at": at(0), "off_at": at(9)}, hands]}, "drivers"),
        ({**ids, "drivers": [hands, hands]}, "drivers"),
        ({"drivers": [hands]}, "delivery_ids"),
        ({"drivers": [hands], "ready_from": at(-9), "ready_until": at(-5)}, "ready_from"),
        ({"drivers": [hands], "delivery_ids": [show(Kind.DELIVERY, world.operator_id)]}, "delivery_ids"),
    ]
    for body, field in wrong:
        status, answer = await ask(onward, "POST", token, "/plan", json=body)
        assert (status, answer["errors"][0]["field"]) == (422, field), answer
    strangers = {**ids, "drivers": [{**hands, "driver_id": named(world.pool[0])}]}
    assert (await ask(onward, "POST", token, "/plan", json=strangers))[0] == 404
    status, answer = await ask(onward, "POST", world.verde.token, "/plan", json={**ids, "drivers": [hands]})
    assert status == 422
    assert parcel["id"] in answer["detail"]
    body = {**ids, "drivers": [hands], "business_id": show(Kind.BUSINESS, world.verde.id)}
    assert (await ask(onward, "POST", token, "/plan", json=body))[0] == 404
