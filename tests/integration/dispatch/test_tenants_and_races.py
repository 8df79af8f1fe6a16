"""No tenant sees another's bytes, and no race has two winners."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kernel.db import Reason
from kernel.ids import Kind, parse, show
from tests.support.people import courier, create_delivery, tracking_token, watcher
from tests.support.server import Onward


async def test_another_business_finds_nothing_under_a_foreign_id(onward: Onward) -> None:
    """Not found, and nothing changed: the same answer as for an id that does not exist."""
    world = onward.world
    delivery = await create_delivery(onward, world.rosso)
    headers = onward.as_(world.verde.token)
    order = delivery["id"].replace("del_", "ord_")
    for method, path, body in (
        ("GET", f"/api/v1/deliveries/{delivery['id']}", None),
        ("GET", f"/api/v1/deliveries/{delivery['id']}/proof", None),
        ("POST", f"/api/v1/deliveries/{delivery['id']}/cancel", {"reason": "x"}),
        ("GET", f"/api/v1/dispatch/decisions/{delivery['id']}", None),
        ("GET", f"/api/v1/orders/{order}/tracking", None),
        ("PATCH", f"/api/v1/business/orders/{order}", {"status": "accepted"}),
    ):
        async with onward.http.request(method, path, json=body, headers=headers) as reply:
            assert reply.status in (403, 404), path
            text = await reply.text()
            assert "Mannerheimintie" not in text
    async with onward.http.get("/api/v1/deliveries", headers=headers) as reply:
        assert (await reply.json())["data"] == []
    async with onward.http.post(
        "/api/v1/deliveries",
        json={"store_id": show(Kind.STORE, world.rosso.store_id), "dropoff": _door(world.rosso)},
        headers=headers,
    ) as reply:
        assert reply.status == 404


def _door(business: Any) -> dict[str, Any]:
    return {"name": "Eva", "address": "Here 1", "lat": business.lat + 0.003, "lng": business.lng}


async def test_a_tracking_link_opens_one_delivery_and_cannot_be_bent_to_another(onward: Onward) -> None:
    """The signature covers the ids."""
    mine = tracking_token(await create_delivery(onward, onward.world.rosso))
    other = tracking_token(await create_delivery(onward, onward.world.rosso))
    bent = mine[:26] + other[26:48] + mine[48:]
    async with onward.http.get("/api/v1/track", headers=onward.as_(bent)) as reply:
        assert reply.status == 401
    async with onward.http.get("/api/v1/track", headers=onward.as_(mine)) as reply:
        assert reply.status == 200
    async with onward.http.get("/api/v1/dispatch/board", headers=onward.as_(mine)) as reply:
        assert reply.status == 403


@pytest.mark.parametrize("who", ["rosso", "driver", "tracker", "nobody"])
async def test_only_an_admin_sees_the_platforms_numbers(onward: Onward, who: str) -> None:
    """A permission on every route, and roles that hold no more than theirs."""
    tokens = {
        "rosso": onward.world.rosso.token,
        "driver": onward.world.dedicated.token,
        "tracker": tracking_token(await create_delivery(onward, onward.world.rosso)),
    }
    headers = onward.as_(tokens[who]) if who in tokens else {}
    async with onward.http.get("/api/v1/admin/platform-metrics", headers=headers) as reply:
        assert reply.status == (401 if who == "nobody" else 403)


async def test_a_business_sees_a_pool_driver_only_while_he_carries_its_delivery(onward: Onward) -> None:
    """He appears with the delivery, and is gone with it; the other business never sees him."""
    world = onward.world
    async with (
        courier(onward, world.pool[0]) as driver,
        watcher(onward, world.verde.token) as verde,
        watcher(onward, world.rosso.token) as rosso,
    ):
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(onward, world.verde)
        await driver.answers(await driver.is_offered(), "accept")
        await verde.sees(lambda o: [d["name"] for d in o["drivers"]] == ["Pia Pool 1"], "the courier")
        await driver.delivers(delivery["id"])
        await verde.sees(lambda o: o["drivers"] == [], "the courier gone")
        assert not [m for m in rosso.messages if "Pia" in str(m)]


async def test_a_fresh_snapshot_equals_the_first_one_with_its_deltas(onward: Onward) -> None:
    """The law of the streams."""
    world = onward.world
    async with courier(onward, world.pool[0]) as driver, watcher(onward, world.admin_token) as early:
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(onward, world.verde)
        await driver.answers(await driver.is_offered(), "accept")
        await driver.delivers(delivery["id"])
        await early.sees(
            lambda o: (
                o["drivers"] and o["drivers"][0]["state"] == "available" and o["drivers"][0]["delivery_ids"] == []
            ),
            "the driver free",
        )
        await early.sees(lambda o: o["deliveries"][0]["status"] == "delivered", "delivered")
        async with watcher(onward, world.admin_token) as late:
            fresh = await late.sees(lambda o: o, "a snapshot")
    for name in ("deliveries", "drivers", "stores", "businesses"):
        assert early.object[name] == fresh[name], name


async def test_of_twenty_who_accept_one_offer_at_once_it_is_assigned_once(onward: Onward) -> None:
    """The same driver on many devices, all at the same time: one assignment, no error, no second version."""
    world = onward.world
    async with courier(onward, world.pool[0]) as driver:
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(onward, world.verde)
        offer = await driver.is_offered()
        headers = onward.as_(world.pool[0].token)

        async def accept() -> int:
            async with onward.http.post(f"/api/v1/driver/assignments/{offer['id']}/accept", headers=headers) as reply:
                return reply.status

        assert set(await asyncio.gather(*(accept() for _ in range(20)))) == {200}
    async with onward.installation.db.platform_tx(Reason.ADMIN) as con:
        history = await con.fetch(
            "SELECT status FROM delivery_status_history WHERE delivery_id = $1 ORDER BY version",
            parse(Kind.DELIVERY, delivery["id"]),
        )
    assert [row["status"] for row in history] == ["pending", "offered", "assigned"]


@pytest.mark.parametrize("order", ["accept-first", "cancel-first"])
async def test_accept_and_cancel_at_the_same_moment_end_in_one_truth(onward: Onward, order: str) -> None:
    """Whoever wins, driver and business agree afterwards."""
    world = onward.world
    async with courier(onward, world.pool[0]) as driver:
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(onward, world.verde)
        offer = await driver.is_offered()

        async def accept() -> int:
            path = f"/api/v1/driver/assignments/{offer['id']}/accept"
            async with onward.http.post(path, headers=onward.as_(world.pool[0].token)) as reply:
                return reply.status

        async def cancel() -> int:
            path = f"/api/v1/deliveries/{delivery['id']}/cancel"
            body = {"reason": "x"}
            async with onward.http.post(path, json=body, headers=onward.as_(world.verde.token)) as reply:
                return reply.status

        both = (accept(), cancel()) if order == "accept-first" else (cancel(), accept())
        statuses = sorted(await asyncio.gather(*both))
        assert statuses in ([200, 200], [200, 409])
        async with watcher(onward, world.admin_token) as board:
            await board.sees(lambda o: o["deliveries"][0]["status"] == "canceled", "canceled")
            await board.sees(lambda o: o["drivers"][0]["state"] == "available", "the driver is free")


async def test_an_action_sent_again_answers_the_same_and_changes_nothing(onward: Onward) -> None:
    """The id the phone made is remembered with its outcome, refusals too."""
    world = onward.world
    async with courier(onward, world.pool[0]) as driver:
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(onward, world.verde)
        await driver.answers(await driver.is_offered(), "accept")
        for _ in range(2):
            await driver.client.act("status", id="same", t=1, delivery_id=delivery["id"], status="delivered")
        await driver.client.all_acked()
        assert [nack["code"] for nack in driver.client.nacks] == ["illegal_transition"] * 2
    async with onward.installation.db.platform_tx(Reason.ADMIN) as con:
        assert await con.fetchval("SELECT count(*) FROM driver_actions WHERE action_id = 'same'") == 1


async def test_the_same_idempotency_key_makes_one_delivery(onward: Onward) -> None:
    """Twenty requests at once: one delivery; the same key with another body is refused."""
    world = onward.world
    headers = {**onward.as_(world.rosso.token), "Idempotency-Key": "k-1"}
    body = {"store_id": show(Kind.STORE, world.rosso.store_id), "dropoff": _door(world.rosso)}

    async def create() -> tuple[int, str]:
        async with onward.http.post("/api/v1/deliveries", json=body, headers=headers) as reply:
            return reply.status, (await reply.json()).get("id", "")

    answers = await asyncio.gather(*(create() for _ in range(20)))
    assert {status for status, _ in answers} <= {201, 409}
    assert len({made for status, made in answers if status == 201}) == 1
    assert (await create())[0] == 201
    async with onward.http.post("/api/v1/deliveries", json={**body, "items": "other"}, headers=headers) as reply:
        assert (await reply.json())["code"] == "idempotency_mismatch"
    async with onward.http.get("/api/v1/deliveries", headers=headers) as reply:
        assert len((await reply.json())["data"]) == 1
