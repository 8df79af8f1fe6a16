"""A dispatcher's hand on routes: stops in another order, two drivers' work swapped; the pool's fairness, measured."""

from __future__ import annotations

import time
from typing import Any

from dispatch.fairness_api import jain
from kernel.db import Reason
from kernel.ids import Kind, show
from tests.support.people import Courier, courier, create_delivery, eventually, until
from tests.support.server import Onward

API = "/api/v1/dispatch"


async def call(onward: Onward, method: str, token: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
    async with onward.http.request(method, f"{API}{path}", headers=onward.as_(token), **more) as reply:
        return reply.status, await reply.json()


def name(driver: Any) -> str:
    return show(Kind.DRIVER, driver.id)


async def takes_two(onward: Onward, person: Courier) -> list[dict[str, Any]]:
    """Two deliveries of one store, accepted one after the other."""
    made = []
    for _ in range(2):
        made.append(await create_delivery(onward, onward.world.rosso))
        offer = await until(lambda: _open(person, made[-1]["id"]), "is offered it", person.changed)
        await person.answers(offer, "accept")
    return made


def _open(person: Courier, delivery_id: str) -> Any:
    offer = person.last("offer")
    return offer["offer"] if offer and delivery_id in offer["offer"]["deliveries"] else None


async def test_a_dispatcher_puts_stops_in_another_order_and_the_phone_follows(onward: Onward) -> None:
    """Pickups stay before their doors, each stop is named once, and an order made from an old look is refused."""
    world, token = onward.world, onward.world.rosso.token
    path = f"/drivers/{name(world.dedicated)}/route"
    async with courier(onward, world.dedicated) as dora:
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        await takes_two(onward, dora)
        _, before = await call(onward, "GET", token, path)
        stops = [stop["id"] for stop in before["stops"]]
        assert len(stops) == 4
        doors = [stop["id"] for stop in before["stops"] if stop["kind"] == "dropoff"]
        order = [stop for stop in stops if stop not in doors] + doors[::-1]
        for wrong, word in ((doors + order[:2], "before"), (order[:3], "once"), ([*order[:3], order[0]], "once")):
            status, answer = await call(
                onward, "POST", token, path, json={"version": before["version"], "stops": wrong}
            )
            assert (status, word in answer["detail"]) == (422, True), answer
        status, after = await call(onward, "POST", token, path, json={"version": before["version"], "stops": order})
        assert (status, [stop["id"] for stop in after["stops"]]) == (200, order)
        status, answer = await call(onward, "POST", token, path, json={"version": before["version"], "stops": stops})
        assert (status, answer["code"]) == (409, "conflict")
        await until(
            lambda: [stop["id"] for stop in (dora.last("route") or {"stops": []})["stops"]] == order,
            "the phone has the new order",
            dora.changed,
        )
        assert (await call(onward, "GET", world.verde.token, path))[0] == 404
        assert (await call(onward, "POST", world.verde.token, path, json={"version": 1, "stops": order}))[0] == 404
        assert (
            await call(onward, "POST", world.admin_token, path, json={"version": after["version"], "stops": order})
        )[0] == 200
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        rows = await con.fetch("SELECT detail FROM audit_log WHERE action = 'route.reordered' ORDER BY id")
    assert [row["detail"]["stops"] for row in rows] == [order, order]


async def test_two_drivers_swap_what_they_have_not_picked_up(onward: Onward) -> None:
    """Each is asked for what the other had; nothing is decided over a driver's head."""
    world, token = onward.world, onward.world.rosso.token
    async with courier(onward, world.dedicated) as dora, courier(onward, world.pool[0]) as pia:
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        made = await create_delivery(onward, world.rosso)
        await dora.answers(await dora.is_offered(), "accept")
        await pia.goes_online(60.18, 24.96)
        body = {"driver_ids": [name(world.dedicated), name(world.pool[0])], "reason": "a flat tyre"}
        status, answer = await call(onward, "POST", token, "/drivers/swap", json=body)
        moved = [(one["delivery_id"], one["ok"], one["previous_driver_id"]) for one in answer["data"]]
        assert (status, moved) == (200, [(made["id"], True, name(world.dedicated))])
        assert (await pia.is_offered())["deliveries"] == [made["id"]]
        status, answer = await call(onward, "POST", world.verde.token, "/drivers/swap", json=body)
        assert (status, answer["data"]) == (200, [])
        same = {"driver_ids": [name(world.dedicated)] * 2}
        assert (await call(onward, "POST", token, "/drivers/swap", json=same))[0] == 422


async def test_fairness_counts_work_time_pay_and_answers(onward: Onward) -> None:
    """Per driver of the pool; a business may not look."""
    world = onward.world
    async with courier(onward, world.pool[0]) as pia, courier(onward, world.pool[1]) as otto:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        made = await create_delivery(onward, world.verde)
        await pia.answers(await pia.is_offered(), "decline", reason="lunch")
        await otto.goes_online(60.18, 24.96)
        await otto.answers(await otto.is_offered(), "accept")
        await otto.delivers(made["id"])
        _, found = await eventually(
            lambda: call(onward, "GET", world.admin_token, "/fairness"),
            lambda one: any(d["pay_minor"] for d in one[1]["drivers"]),
            "the earning is posted",
        )
    shares = {one["driver_id"]: one for one in found["drivers"]}
    first, second = shares[name(world.pool[0])], shares[name(world.pool[1])]
    assert (first["jobs"], first["work_share"], first["acceptance"], first["declined"]) == (0, 0.0, 0.0, 1)
    assert (second["jobs"], second["work_share"], second["acceptance"]) == (1, 1.0, 1.0)
    assert second["pay_minor"] > 0
    assert 0 <= second["busy_s"] <= second["online_s"] + 1
    assert found["jain_pay_per_hour"] is None
    assert (await call(onward, "GET", world.rosso.token, "/fairness"))[0] == 403


def test_jains_index_is_one_when_all_earn_alike_and_one_nth_when_one_earns_all() -> None:
    """The named index, at its ends."""
    assert jain([700, 700, 700]) == 1.0
    assert jain([900, 0, 0]) == round(1 / 3, 4)
    assert jain([0, 0]) == 1.0


async def test_a_silent_phone_is_not_asked(onward: Onward) -> None:
    """On shift, near, and silent for over a minute: no ghost offer; the board says so; his next fix brings it."""
    world, token = onward.world, onward.world.verde.token
    async with courier(onward, world.pool[0]) as pia:
        await pia.is_at(world.verde.lat, world.verde.lng, t=int((time.time() - 90) * 1000))
        await pia.client.act("availability", state="available")
        await pia.client.all_acked()
        made = await create_delivery(onward, world.verde)
        seen = await eventually(lambda: _on_board(onward, token, made), lambda one: one["unassigned_reason"], "why not")
        assert seen["unassigned_reason"] == {"code": "nobody_free", "counts": {"stale_position": 1}}
        assert pia.last("offer") is None
        await pia.is_at(world.verde.lat, world.verde.lng)
        assert (await pia.is_offered())["deliveries"] == [made["id"]]


async def _on_board(onward: Onward, token: str, delivery: dict[str, Any]) -> dict[str, Any]:
    _, board = await call(onward, "GET", token, "/board")
    return next(one for one in board["deliveries"] if one["id"] == delivery["id"])
