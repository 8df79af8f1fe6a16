"""Policies: each business has its own over its operator's, nobody sets or reads another's, and the next tick obeys."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.db import Reason
from kernel.ids import Kind, show
from tests.support.people import call, courier, create_delivery, eventually, until
from tests.support.server import Onward

PATH = "/api/v1/dispatch/policy"


async def change(onward: Onward, token: str, body: dict[str, Any], business: Any = None) -> tuple[int, dict[str, Any]]:
    params = {} if business is None else {"business_id": show(Kind.BUSINESS, business.id)}
    return await call(onward, "PATCH", token, PATH, json=body, params=params)


async def on_board(onward: Onward, token: str, delivery: dict[str, Any]) -> dict[str, Any]:
    _, board = await call(onward, "GET", token, "/api/v1/dispatch/board")
    return next(one for one in board["deliveries"] if one["id"] == delivery["id"])


async def test_a_business_own_fields_go_over_its_operators_and_null_brings_them_back(onward: Onward) -> None:
    """Kept is only what was set; what nobody set is the default."""
    world = onward.world
    assert (await change(onward, world.admin_token, {"stack_max": 3, "offer_ttl_s": 60}))[0] == 200
    status, view = await change(onward, world.rosso.token, {"offer_ttl_s": 20, "weights": {"lateness": 300}})
    assert (status, view["set"]) == (200, {"offer_ttl_s": 20, "weights": {"lateness": 300}})
    assert (view["policy"]["stack_max"], view["policy"]["offer_ttl_s"]) == (3, 20)
    assert (view["policy"]["weights"]["delay"], view["policy"]["weights"]["lateness"]) == (100, 300)
    _, view = await change(onward, world.rosso.token, {"offer_ttl_s": None, "weights": {"lateness": None}})
    assert (view["set"], view["policy"]["offer_ttl_s"]) == ({}, 60)
    assert (await call(onward, "GET", world.verde.token, PATH))[1]["policy"]["stack_max"] == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"weights": {"delay": 0, "lateness": 0}}, "weights"),
        ({"weights": {"delay": 10**9}}, "weights.delay"),
        ({"weights": {"delay": -1}}, "weights.delay"),
        ({"stack_max": 4}, "stack_max"),
        ({"offer_ttl_s": 0}, "offer_ttl_s"),
        ({"mode": "chaos"}, "mode"),
        ({"colour": "red"}, "colour"),
        ({"weights": {"fairness": 1}}, "weights.fairness"),
        ({"vehicles": {"car": {"capacity": 1}}}, "vehicles"),
    ],
)
async def test_an_absurd_policy_is_refused_with_its_field(onward: Onward, body: dict[str, Any], field: str) -> None:
    """Bounds on each field, sense between them, and what is the operator's is not a business' to set."""
    status, answer = await change(onward, onward.world.rosso.token, body)
    assert (status, answer["code"], answer["errors"][0]["field"]) == (422, "validation_failed", field)
    assert (await call(onward, "GET", onward.world.rosso.token, PATH))[1]["set"] == {}


async def test_nobody_sets_or_reads_another_business_policy(onward: Onward) -> None:
    """A business can't reach its neighbour's or its operator's; a driver none at all; a change leaves its trace."""
    world = onward.world
    theirs = {"business_id": show(Kind.BUSINESS, world.verde.id)}
    assert (await call(onward, "GET", world.rosso.token, PATH, params=theirs))[0] == 404
    assert (await change(onward, world.rosso.token, {"mode": "manual"}, world.verde))[0] == 404
    assert (await change(onward, world.rosso.token, {"mode": "manual"}))[0] == 200
    assert (await change(onward, world.dedicated.token, {"mode": "manual"}))[0] == 403
    assert (await call(onward, "GET", world.admin_token, PATH))[1]["set"] == {}
    assert (await call(onward, "GET", world.verde.token, PATH))[1]["set"] == {}
    assert (await change(onward, world.admin_token, {"stack_max": 1}, world.verde))[1]["set"] == {"stack_max": 1}
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        rows = await con.fetch("SELECT business_id, detail FROM audit_log WHERE action = 'policy.changed' ORDER BY id")
    assert [row["business_id"] for row in rows] == [world.rosso.id, world.verde.id]
    assert rows[0]["detail"] == {"before": {}, "after": {"mode": "manual"}}


async def test_a_business_that_leaves_the_pool_is_served_by_its_own(onward: Onward) -> None:
    """The pool stands at the door and is not asked."""
    world = onward.world
    await change(onward, world.rosso.token, {"uses_shared_pool": False, "offer_ttl_s": 45})
    async with courier(onward, world.pool[0]) as pia, courier(onward, world.dedicated) as dora:
        await pia.goes_online(world.rosso.lat, world.rosso.lng)
        made = await create_delivery(onward, world.rosso)
        await eventually(
            lambda: on_board(onward, world.rosso.token, made), lambda one: one["unassigned_reason"], "a reason"
        )
        await dora.goes_online(60.18, 24.96)
        offer = await dora.is_offered()
        assert offer["deliveries"] == [made["id"]]
        assert pia.last("offer") is None
        sent, expires = offer["sent_at"], offer["expires_at"]
        assert seconds_between(sent, expires) == 45


def seconds_between(start: str, end: str) -> int:
    from datetime import datetime

    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


async def test_a_driver_without_the_skill_or_the_room_is_not_asked(onward: Onward) -> None:
    """What a delivery needs is said when it is made, what a driver can by his operator; both reach the engine."""
    world = onward.world
    pia, otto = world.pool[0], world.pool[1]
    path = f"/api/v1/admin/drivers/{show(Kind.DRIVER, otto.id)}"
    status, view = await call(onward, "PATCH", world.admin_token, path, json={"skills": ["cold_box", "age_check"]})
    assert (status, view["skills"]) == (200, ["age_check", "cold_box"])
    assert (await call(onward, "PATCH", world.rosso.token, path, json={"skills": []}))[0] == 403
    assert (await call(onward, "PATCH", world.admin_token, path, json={"skills": ["Age Check!"]}))[0] == 422
    async with courier(onward, pia) as near, courier(onward, otto) as far:
        await near.goes_online(world.rosso.lat, world.rosso.lng)
        made = await create_delivery(onward, world.rosso, needs=["age_check"])
        assert (made["needs"], made["size"]) == (["age_check"], 1)
        big = await create_delivery(onward, world.rosso, size=7)
        for one in (made, big):
            await eventually(
                lambda one=one: on_board(onward, world.rosso.token, one), lambda d: d["unassigned_reason"], "a reason"
            )
        _, why = await call(onward, "GET", world.rosso.token, f"/api/v1/dispatch/decisions/{made['id']}")
        assert why["data"][0]["excluded"] == {"missing_skill": 1}
        _, why = await call(onward, "GET", world.rosso.token, f"/api/v1/dispatch/decisions/{big['id']}")
        assert why["data"][0]["excluded"] == {"vehicle_too_small": 1}
        await far.goes_online(60.18, 24.96)
        offer = await far.is_offered()
        assert (offer["deliveries"], offer["needs"]) == ([made["id"]], ["age_check"])
        await far.answers(offer, "accept")
        await change(onward, world.admin_token, {"vehicles": {"bicycle": {"capacity": 7}}})
        assert (await near.is_offered())["deliveries"] == [big["id"]]


async def test_several_are_asked_at_once_and_the_first_has_it(onward: Onward) -> None:
    """Everybody's phone rings; when one accepts, the others hear that it is gone, and their answers come too late."""
    world = onward.world
    await change(onward, world.verde.token, {"mode": "offer_to_several", "offer_to_count": 3})
    async with (
        courier(onward, world.pool[0]) as a,
        courier(onward, world.pool[1]) as b,
        courier(onward, world.pool[2]) as c,
    ):
        for person in (a, b, c):
            await person.goes_online(60.171, 24.944)
        made = await create_delivery(onward, world.verde)
        offers = [await person.is_offered() for person in (a, b, c)]
        assert (await on_board(onward, world.verde.token, made))["offer"]["asked"] == 3
        await a.answers(offers[0], "decline", reason="lunch")
        assert (await on_board(onward, world.verde.token, made))["status"] == "offered"
        await b.answers(offers[1], "accept")
        assert (await on_board(onward, world.verde.token, made))["driver_id"] == show(Kind.DRIVER, world.pool[1].id)
        await until(lambda: c.last("offer_gone"), "the third hears that it is gone", c.changed)
        async with onward.http.post(
            f"/api/v1/driver/assignments/{offers[2]['id']}/accept", headers=onward.as_(world.pool[2].token)
        ) as reply:
            assert (reply.status, (await reply.json())["code"]) == (409, "offer_gone")
        _, told = await call(onward, "GET", world.verde.token, f"/api/v1/dispatch/decisions/{made['id']}")
        assert {(one["driver_id"], one["answer"], one["reason"]) for one in told["answers"]} == {
            (show(Kind.DRIVER, world.pool[0].id), "declined", "lunch"),
            (show(Kind.DRIVER, world.pool[1].id), "accepted", ""),
            (show(Kind.DRIVER, world.pool[2].id), "revoked", "taken"),
        }


async def test_when_all_of_several_decline_it_is_open_again(onward: Onward) -> None:
    """The delivery waits for the last answer, and then for somebody else."""
    world = onward.world
    await change(onward, world.verde.token, {"mode": "offer_to_several", "offer_to_count": 2})
    async with (
        courier(onward, world.pool[0]) as a,
        courier(onward, world.pool[1]) as b,
        courier(onward, world.pool[2]) as c,
    ):
        await a.goes_online(60.171, 24.944)
        await b.goes_online(60.171, 24.944)
        made = await create_delivery(onward, world.verde)
        for person in (a, b):
            await person.answers(await person.is_offered(), "decline")
        await eventually(
            lambda: on_board(onward, world.verde.token, made), lambda one: one["status"] == "pending", "open again"
        )
        await c.goes_online(60.18, 24.96)
        assert (await c.is_offered())["deliveries"] == [made["id"]]


async def test_in_manual_mode_nobody_is_asked_until_a_dispatcher_says_whom(onward: Onward) -> None:
    """The engine suggests, ranked, with its terms in seconds; the pin is then an offer like any other."""
    world = onward.world
    await change(onward, world.rosso.token, {"mode": "manual"})
    async with courier(onward, world.dedicated) as dora, courier(onward, world.pool[0]) as pia:
        await dora.goes_online(60.169, 24.94)
        await pia.goes_online(60.180, 24.96)
        made = await create_delivery(onward, world.rosso, needs=[])
        await eventually(
            lambda: on_board(onward, world.rosso.token, made), lambda one: one["unassigned_reason"], "says why"
        )
        path = f"/api/v1/dispatch/deliveries/{made['id']}/suggestions"
        status, answer = await call(onward, "GET", world.rosso.token, path)
        assert status == 200
        assert [one["driver_id"] for one in answer["data"]] == [
            show(Kind.DRIVER, world.dedicated.id),
            show(Kind.DRIVER, world.pool[0].id),
        ]
        assert answer["data"][0]["total"] < answer["data"][1]["total"]
        assert set(answer["data"][1]["terms"]) >= {"delay", "dedicated_first"}
        assert (await call(onward, "GET", world.verde.token, path))[0] == 404
        assert dora.last("offer") is None
        assert pia.last("offer") is None
        body = {"driver_id": answer["data"][1]["driver_id"]}
        await call(onward, "POST", world.rosso.token, f"/api/v1/dispatch/deliveries/{made['id']}/reassign", json=body)
        assert (await pia.is_offered())["deliveries"] == [made["id"]]
