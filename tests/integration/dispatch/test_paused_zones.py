"""Paused zones: what begins or ends there waits and says so, and goes on when the pause is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.people import call, courier, create_delivery, eventually
from tests.support.server import Onward

PATH = "/api/v1/dispatch/zones/pauses"


def square(lat: float, lng: float, half: float = 0.001) -> dict[str, Any]:
    west, east, south, north = lng - half, lng + half, lat - half, lat + half
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


async def on_board(onward: Onward, token: str, delivery: dict[str, Any]) -> dict[str, Any]:
    _, board = await call(onward, "GET", token, "/api/v1/dispatch/board")
    return next(one for one in board["deliveries"] if one["id"] == delivery["id"])


async def test_a_delivery_to_a_paused_zone_waits_and_goes_on_by_itself(onward: Onward) -> None:
    """The door lies in it; the neighbour's delivery does not; when the pause ends the driver is asked."""
    world = onward.world
    door = square(world.rosso.lat + 0.004, world.rosso.lng + 0.002)
    status, made = await call(onward, "POST", world.admin_token, PATH, json={"area": door, "reason": "a marathon"})
    assert (status, made["business_id"]) == (201, None)
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.rosso.lat, world.rosso.lng)
        waiting = await create_delivery(onward, world.rosso)
        seen = await eventually(
            lambda: on_board(onward, world.rosso.token, waiting),
            lambda one: one["unassigned_reason"],
            "says why it waits",
        )
        assert seen["unassigned_reason"] == {"code": "zone_paused", "counts": {}}
        assert (await call(onward, "GET", world.rosso.token, PATH))[1]["data"][0]["reason"] == "a marathon"
        status, answer = await call(onward, "DELETE", world.rosso.token, f"{PATH}/{made['id']}")
        assert (status, answer["code"]) == (403, "forbidden")
        assert pia.last("offer") is None
        assert (await call(onward, "DELETE", world.admin_token, f"{PATH}/{made['id']}"))[0] == 204
        assert (await pia.is_offered())["deliveries"] == [waiting["id"]]


async def test_a_business_pauses_for_itself_alone(onward: Onward) -> None:
    """Its own deliveries wait; another's are driven through the same street; nobody sees or ends its pause."""
    world = onward.world
    around = square(60.171, 24.943, half=0.02)
    _, made = await call(
        onward, "POST", world.rosso.token, PATH, json={"area": around, "reason": "the kitchen is full"}
    )
    assert (await call(onward, "GET", world.verde.token, PATH))[1]["data"] == []
    assert (await call(onward, "DELETE", world.verde.token, f"{PATH}/{made['id']}"))[0] == 404
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        mine, theirs = await create_delivery(onward, world.rosso), await create_delivery(onward, world.verde)
        assert (await pia.is_offered())["deliveries"] == [theirs["id"]]
        await eventually(
            lambda: on_board(onward, world.rosso.token, mine), lambda one: one["unassigned_reason"], "waits"
        )
        assert (await on_board(onward, world.rosso.token, mine))["status"] == "pending"


async def test_a_pause_ends_at_its_time(onward: Onward) -> None:
    """Nobody has to remember it."""
    world = onward.world
    around = square(60.171, 24.943, half=0.02)
    until = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    body = {"area": around, "reason": "a parade", "until": until}
    assert (await call(onward, "POST", world.admin_token, PATH, json=body))[0] == 201
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        made = await create_delivery(onward, world.verde)
        await eventually(
            lambda: on_board(onward, world.verde.token, made), lambda one: one["unassigned_reason"], "waits"
        )
        assert (await pia.is_offered())["deliveries"] == [made["id"]]
        assert (await call(onward, "GET", world.admin_token, PATH))[1]["data"] == []


@pytest.mark.parametrize(
    ("area", "word"),
    [
        ({"type": "Point", "coordinates": [24.9, 60.1]}, "Polygon"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "crosses itself"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [0, 0], [0, 0], [0, 0]]]}, ""),
        ({"type": "Polygon", "coordinates": "here"}, "not a GeoJSON"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [40, 0], [40, 40], [0, 40], [0, 0]]]}, "country"),
    ],
)
async def test_a_zone_nobody_could_mean_is_refused(onward: Onward, area: dict[str, Any], word: str) -> None:
    """The field and what is wrong with it."""
    status, answer = await call(onward, "POST", onward.world.admin_token, PATH, json={"area": area, "reason": "x"})
    assert (status, answer["errors"][0]["field"]) == (422, "area")
    assert word in answer["detail"]
