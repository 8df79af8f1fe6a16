"""Deliveries for later: their windows are kept and shown, and windows nobody can keep are refused by field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernel.ids import Kind, show
from tests.support.people import courier, create_delivery, eventually
from tests.support.server import Onward


def at(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


async def test_a_delivery_for_tonight_waits_for_its_window(onward: Onward) -> None:
    """It is kept with its windows; nobody is asked hours ahead, and what is wanted now goes first."""
    world = onward.world
    tonight = await create_delivery(onward, world.verde, dropoff_from=at(300), dropoff_until=at(360))
    assert datetime.fromisoformat(tonight["promised_at"]) - datetime.fromisoformat(tonight["dropoff_from"]) > timedelta(
        minutes=59
    )
    soon = await create_delivery(onward, world.verde, dropoff_from=at(40), dropoff_until=at(60), pickup_until=at(50))
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        await eventually(lambda: _planned(onward, soon), lambda planned: planned, "it is planned for later")
        assert pia.last("offer") is None
        now = await create_delivery(onward, world.verde)
        assert (await pia.is_offered())["deliveries"] == [now["id"]]
        assert await _planned(onward, tonight) is None


async def _planned(onward: Onward, delivery: dict[str, Any]) -> Any:
    headers = onward.as_(onward.world.verde.token)
    async with onward.http.get("/api/v1/dispatch/board", headers=headers) as reply:
        board = await reply.json()
    return next(one["planned_at"] for one in board["deliveries"] if one["id"] == delivery["id"])


@pytest.mark.parametrize(
    ("windows", "field"),
    [
        ({"ready_at": at(60), "pickup_until": at(30)}, "pickup_until"),
        ({"dropoff_from": at(60), "dropoff_until": at(30)}, "dropoff_until"),
        ({"ready_at": at(60), "dropoff_until": at(30)}, "dropoff_until"),
        ({"dropoff_from": "2030-05-01T12:00:00"}, "dropoff_from"),
        ({"dropoff_from": "2930-05-01T12:00:00Z"}, "dropoff_from"),
        ({"needs": ["Age Check"]}, "needs[0]"),
        ({"size": 0}, "size"),
    ],
)
async def test_what_nobody_can_keep_is_refused_with_its_field(
    onward: Onward, windows: dict[str, Any], field: str
) -> None:
    """Ends before beginnings, times without a zone, centuries ahead."""
    world = onward.world
    door = {"name": "Eva", "address": "Mannerheimintie 1", "lat": 60.174, "lng": 24.942}
    body = {"store_id": show(Kind.STORE, world.verde.store_id), "dropoff": door, **windows}
    async with onward.http.post("/api/v1/deliveries", json=body, headers=onward.as_(world.verde.token)) as reply:
        assert reply.status == 422
        assert (await reply.json())["errors"][0]["field"] == field
