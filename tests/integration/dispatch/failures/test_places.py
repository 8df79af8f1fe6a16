"""Places no way leads to, and travel times that do not come."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from dispatch.planner import Planner
from dispatch.tick import Dispatcher
from dispatch.watch import Lookout
from geo.point import Floats
from geo.travel import CrowFlies, Seconds, TravelTimes, Vehicle
from kernel.ids import Kind, show
from tests.support.people import create_delivery
from tests.support.server import Onward
from tests.support.trouble import asks, at_their_places, part, sql
from tracking.live import LivePositions


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
