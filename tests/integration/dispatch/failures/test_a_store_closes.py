"""A store that closes with work on its hands, and opens again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dispatch import offers
from dispatch.decisions import note
from dispatch.tick import Dispatcher
from dispatch.unassigned import OpenCode, UnassignedReason
from dispatch.watch import Lookout
from kernel.db import Reason
from kernel.ids import Kind, show
from tenancy import stores
from tests.support.people import courier, create_delivery, until, watcher
from tests.support.server import Onward
from tests.support.trouble import HOUR, alert_of, asks, at_their_places, codes, part, sql
from tests.support.world import Business


async def set_store(onward: Onward, business: Business, *, opened: bool, token: str = "") -> tuple[int, Any]:
    path = f"/stores/{show(Kind.STORE, business.store_id)}"
    body = {"open": opened, "reason": "" if opened else "oven broken"}
    return await asks(onward, "PATCH", path, token or business.token, body)


async def test_a_store_that_closes_holds_its_work_tells_its_drivers_and_goes_on_when_it_opens(onward: Onward) -> None:
    """New work is refused with the reason, offers come back, nothing is asked; opening undoes it all."""
    world, lookout = onward.world, part(onward, Lookout)
    rosso = world.rosso
    async with (
        courier(onward, world.dedicated) as dora,
        courier(onward, world.pool[0]) as pia,
        watcher(onward, rosso.token) as board,
    ):
        await dora.goes_online(rosso.lat, rosso.lng)
        going = await create_delivery(onward, rosso)
        await dora.answers(await dora.is_offered(), "accept")
        await dora.reports(going["id"], "en_route_to_pickup")
        door = {"name": "Eva", "address": "Far 1", "lat": rosso.lat - 0.02, "lng": rosso.lng - 0.03}
        await pia.goes_online(rosso.lat, rosso.lng)
        waiting = await create_delivery(onward, rosso, dropoff=door)
        assert (await set_store(onward, rosso, opened=False, token=world.verde.token))[0] == 404
        status, closed = await set_store(onward, rosso, opened=False)
        assert (status, closed["closed_reason"]) == (200, "oven broken")

        def held(o: dict[str, Any]) -> Any:
            mine = next((d for d in o["deliveries"] if d["id"] == waiting["id"]), {})
            return bool(
                mine and mine["unassigned_reason"] == {"code": "store_closed", "counts": {}} and mine["offer"] is None
            )

        await board.sees(held, "what waits is held")
        assert await part(onward, Dispatcher).tick(world.operator_id) == 0
        await until(
            lambda: {s["notice"] for s in (dora.last("route") or {"stops": []})["stops"]} == {"store_closed", None},
            "the driver on the way is told",
            dora.changed,
        )
        await board.sees(lambda o: o["stores"][0]["closed_reason"] == "oven broken", "the store on the board")
        await lookout.look()
        await board.sees(lambda o: alert_of(o, "store_closed").get("data", {}).get("waiting") == 1, "the alert")
        body = {"store_id": show(Kind.STORE, rosso.store_id), "dropoff": door}
        status, refused = await asks(onward, "POST", "/deliveries", rosso.token, body)
        assert (status, refused["code"]) == (409, "store_closed")
        assert "oven broken" in refused["detail"]

        assert (await set_store(onward, rosso, opened=True, token=world.admin_token))[0] == 200

        await board.sees(lambda o: o["stores"][0]["closed_since"] is None, "the store is open")
        await board.sees(
            lambda o: next(d for d in o["deliveries"] if d["id"] == waiting["id"])["status"] == "offered", "it goes on"
        )
        await lookout.look()
        await board.sees(lambda o: codes(o) == set(), "the alert is over")


async def test_a_closing_with_an_end_is_over_by_itself(onward: Onward) -> None:
    """Until then it stays closed; an end in the past is refused; a second word changes the end."""
    rosso, now = onward.world.rosso, datetime.now(UTC)
    path = f"/stores/{show(Kind.STORE, rosso.store_id)}"

    async def closed_for(hours: int) -> tuple[int, Any]:
        body = {"open": False, "reason": "stocktaking", "until": (now + hours * HOUR).isoformat()}
        return await asks(onward, "PATCH", path, rosso.token, body)

    assert (await closed_for(-1))[0] == 422
    assert [(await closed_for(hours))[0] for hours in (1, 2)] == [200, 200]
    opened = []
    for hours in (1.5, 2.5, 2.5):
        async with onward.installation.db.platform_tx(Reason.HOUSEKEEPING) as con:
            opened.append(await stores.open_due(con, now + hours * HOUR))
    assert opened == [0, 1, 0]
    async with watcher(onward, rosso.token) as board:
        await board.sees(lambda o: o["stores"][0]["closed_since"] is None, "the store is open")
    assert len(await sql(onward, "SELECT 1 FROM outbox WHERE type = 'store.opened'")) == 1


async def test_a_plan_made_before_the_store_closed_changes_nothing(onward: Onward) -> None:
    """Planned with the store open, committed with it closed: no offer goes out, and why it waits stays."""
    world, now = onward.world, datetime.now(UTC)
    await onward.installation.supervisor.stop()
    await at_their_places(onward, 1)
    await create_delivery(onward, world.verde)
    rows = await sql(onward, "SELECT * FROM deliveries")
    assert (await set_store(onward, world.verde, opened=False))[0] == 200
    async with onward.installation.db.platform_tx(Reason.DISPATCH_TICK) as con:
        seen = [(rows[0]["id"], rows[0]["version"])]
        asked = {world.pool[0].id: {"deliveries": []}}
        assert await offers.send(
            con, operator_id=world.operator_id, asked=asked, deliveries=seen, ttl_s=30, now=now
        ) == {}  # fmt: skip
        assert not await note(con, rows[0], UnassignedReason(OpenCode.NO_DRIVERS), None, now)
    assert await sql(onward, "SELECT 1 FROM offers") == []
