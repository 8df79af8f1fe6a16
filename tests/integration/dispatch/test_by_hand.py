"""A dispatcher's word: a delivery goes to whom he says, is taken back, one or many, and nobody else's is touched."""

from __future__ import annotations

from typing import Any

from kernel.ids import Kind, show
from tests.support.people import courier, create_delivery, eventually
from tests.support.server import Onward

PATH = "/api/v1/dispatch/deliveries"


async def post(onward: Onward, token: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with onward.http.post(f"{PATH}{path}", json=body, headers=onward.as_(token)) as reply:
        return reply.status, await reply.json()


async def on_board(onward: Onward, token: str, delivery: dict[str, Any]) -> dict[str, Any]:
    async with onward.http.get("/api/v1/dispatch/board", headers=onward.as_(token)) as reply:
        board = await reply.json()
    return next(one for one in board["deliveries"] if one["id"] == delivery["id"])


def name(driver: Any) -> str:
    return show(Kind.DRIVER, driver.id)


async def test_a_delivery_goes_to_whom_the_dispatcher_says_and_back_again(onward: Onward) -> None:
    """The near own driver has it; a pool driver far away is told to; then undo."""
    world, token = onward.world, onward.world.rosso.token
    async with courier(onward, world.dedicated) as dora, courier(onward, world.pool[0]) as pia:
        await dora.goes_online(60.169, 24.94)
        await pia.goes_online(60.180, 24.96)
        made = await create_delivery(onward, world.rosso)
        await dora.answers(await dora.is_offered(), "accept")
        status, view = await post(onward, token, f"/{made['id']}/reassign", {"driver_id": name(world.pool[0])})
        assert (status, view["previous_driver_id"]) == (200, name(world.dedicated))
        offer = await pia.is_offered()
        assert offer["deliveries"] == [made["id"]]
        await pia.answers(offer, "accept")
        assert (await on_board(onward, token, made))["driver_id"] == name(world.pool[0])
        await eventually(lambda: _route(onward, dora), lambda stops: not stops, "Dora's route is empty")

        status, view = await post(
            onward, world.admin_token, f"/{made['id']}/reassign", {"driver_id": view["previous_driver_id"]}
        )
        assert status == 200
        await eventually(
            lambda: on_board(onward, token, made),
            lambda one: (one["offer"] or {}).get("driver_id") == name(world.dedicated),
            "offered to Dora again",
        )


async def _route(onward: Onward, person: Any) -> list[Any]:
    async with onward.http.get("/api/v1/driver/assignments", headers=onward.as_(person.who.token)) as reply:
        found: list[Any] = (await reply.json())["stops"]
    return found


async def test_taken_away_without_a_name_it_goes_to_somebody_else(onward: Onward) -> None:
    """The engine chooses anew, and not the one who had it."""
    world, token = onward.world, onward.world.rosso.token
    async with courier(onward, world.dedicated) as dora, courier(onward, world.pool[0]) as pia:
        await dora.goes_online(60.169, 24.94)
        made = await create_delivery(onward, world.rosso)
        await dora.answers(await dora.is_offered(), "accept")
        await pia.goes_online(60.180, 24.96)
        assert (await post(onward, token, f"/{made['id']}/reassign", {}))[0] == 200
        assert (await pia.is_offered())["deliveries"] == [made["id"]]


async def test_a_pin_that_is_declined_is_gone(onward: Onward) -> None:
    """Nobody is asked the same again and again; the engine goes on by itself."""
    world, token = onward.world, onward.world.rosso.token
    async with courier(onward, world.pool[0]) as pia, courier(onward, world.dedicated) as dora:
        await pia.goes_online(60.180, 24.96)
        made = await create_delivery(onward, world.rosso)
        await post(onward, token, f"/{made['id']}/reassign", {"driver_id": name(world.pool[0])})
        await pia.answers(await pia.is_offered(), "decline", reason="a flat tyre")
        await dora.goes_online(60.169, 24.94)
        assert (await dora.is_offered())["deliveries"] == [made["id"]]
        assert (await on_board(onward, token, made))["pinned_driver_id"] is None


async def test_many_at_once_report_one_by_one(onward: Onward) -> None:
    """What can be done is done; the rest says why not, by item."""
    world = onward.world
    async with courier(onward, world.dedicated) as dora:
        await dora.goes_online(60.169, 24.94)
        carried = await create_delivery(onward, world.rosso)
        await dora.answers(await dora.is_offered(), "accept")
        await dora.reports(carried["id"], "en_route_to_pickup", "arrived_at_pickup", "picked_up")
        mine, theirs = await create_delivery(onward, world.rosso), await create_delivery(onward, world.verde)
        stranger = name(world.pool[1])
        status, answer = await post(
            onward,
            world.rosso.token,
            "/reassign",
            {
                "items": [
                    {"delivery_id": mine["id"], "driver_id": name(world.dedicated)},
                    {"delivery_id": carried["id"]},
                    {"delivery_id": theirs["id"], "driver_id": name(world.dedicated)},
                    {"delivery_id": mine["id"], "driver_id": stranger},
                    {"delivery_id": "del_nonsense"},
                ]
            },
        )
    assert status == 200
    assert [one["ok"] for one in answer["data"]] == [True, False, False, False, False]
    codes = [one["code"] for one in answer["data"]]
    assert codes[1] == "illegal_transition"
    assert codes[2] == "not_found"
    assert codes[3] == "validation_failed"
    assert "not on shift" in answer["data"][3]["detail"]


async def test_a_driver_may_not_dispatch(onward: Onward) -> None:
    """A permission of its own."""
    made = await create_delivery(onward, onward.world.rosso)
    status, answer = await post(onward, onward.world.dedicated.token, f"/{made['id']}/reassign", {})
    assert (status, answer["code"]) == (403, "forbidden")
