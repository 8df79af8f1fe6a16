"""Idle drivers are told where orders come from, when the operator wants it: never who has work or said no."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.moves import Moves
from kernel.db import Reason
from tests.support.people import Courier, courier, create_delivery, until, watcher
from tests.support.server import Onward
from tests.support.world import Driver

FAR = (60.1750, 24.9500)
"""A few minutes from both stores."""


async def wants(onward: Onward, **fields: Any) -> int:
    """Let the operator change its policy; return the status."""
    headers = onward.as_(onward.world.admin_token)
    async with onward.http.patch("/api/v1/dispatch/policy", json=fields, headers=headers) as reply:
        return reply.status


async def looks(onward: Onward) -> None:
    """Let the clock's job be done now."""
    await onward.installation.parts[Moves].look()


async def told(onward: Onward, driver: Driver) -> list[Any]:
    """Return what a driver was told so far, oldest first."""
    async with onward.installation.db.driver_tx(driver.id, readonly=True) as con:
        return list(await con.fetch("SELECT * FROM driver_moves ORDER BY sent_at"))


async def has_orders(onward: Onward) -> None:
    """Let Rosso have had a busy hour."""
    for _ in range(3):
        made = await create_delivery(onward, onward.world.rosso)
        async with onward.http.post(
            f"/api/v1/deliveries/{made['id']}/cancel",
            json={"reason": "sold out"},
            headers=onward.as_(onward.world.rosso.token),
        ) as reply:
            assert reply.status == 200


async def is_sent(person: Courier) -> dict[str, Any]:
    """Wait until the phone says where to go."""
    message = await until(lambda: person.last("move"), "a place to wait", person.changed)
    return dict(message["move"])


async def test_an_idle_driver_is_told_where_orders_come_from_and_may_say_no(onward: Onward) -> None:
    """Off by default. His phone and the board say where and why; he says no once, and hears no more in this shift."""
    world = onward.world
    async with courier(onward, world.pool[0]) as pia, watcher(onward, world.admin_token) as board:
        await pia.goes_online(*FAR)
        await has_orders(onward)
        await looks(onward)
        assert await told(onward, world.pool[0]) == []
        assert await wants(onward, moves=True, moves_every_s=300) == 200
        await looks(onward)
        move = await is_sent(pia)
        assert (move["name"], move["lat"], move["lng"]) == ("Rosso Kamppi", world.rosso.lat, world.rosso.lng)
        await board.sees(
            lambda seen: any(one["move"] and one["move"]["name"] == "Rosso Kamppi" for one in seen["drivers"]),
            "where he is sent",
        )
        await pia.client.act("move_decline", move_id=move["id"])
        await pia.client.all_acked()
        await until(lambda: (pia.last("move") or {}).get("move", 1) is None, "that it is over", pia.changed)
        await board.sees(lambda seen: all(one["move"] is None for one in seen["drivers"]), "that he stays")
        async with onward.installation.db.platform_tx(Reason.SEED) as con:
            await con.execute("UPDATE driver_moves SET sent_at = sent_at - interval '2 hours'")
        await looks(onward)
        assert len(await told(onward, world.pool[0])) == 1
        await pia.client.act("availability", state="offline")
        await pia.client.act("availability", state="available")
        await pia.client.all_acked()
        await looks(onward)
        assert len(await told(onward, world.pool[0])) == 2


async def test_who_has_work_is_told_nothing_and_nobody_too_often(onward: Onward) -> None:
    """Work ends a suggestion; a new one comes only when its time is over."""
    world = onward.world
    assert await wants(onward, moves=True) == 200
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(*FAR)
        await has_orders(onward)
        await looks(onward)
        await is_sent(pia)
        await looks(onward)
        assert len(await told(onward, world.pool[0])) == 1
        await create_delivery(onward, world.rosso)
        await pia.answers(await pia.is_offered(), "accept")
        await looks(onward)
        assert [row["ended_at"] is None for row in await told(onward, world.pool[0])] == [False]
        async with onward.installation.db.platform_tx(Reason.SEED) as con:
            await con.execute("UPDATE driver_moves SET sent_at = sent_at - interval '2 hours'")
        await looks(onward)
        assert len(await told(onward, world.pool[0])) == 1


@pytest.mark.parametrize("why", ["closed", "closed by its hours", "paused"])
async def test_nobody_is_sent_where_nothing_goes_on(onward: Onward, why: str) -> None:
    """A store that closes, or whose zone is paused, ends what was suggested and is suggested no more."""
    world = onward.world
    assert await wants(onward, moves=True, moves_every_s=300) == 200
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(*FAR)
        await has_orders(onward)
        await looks(onward)
        await is_sent(pia)
        rosso = world.rosso
        if why == "closed":
            async with onward.installation.db.platform_tx(Reason.SEED) as con:
                await con.execute("UPDATE stores SET closed_since = now() WHERE id = $1", rosso.store_id)
        elif why == "closed by its hours":
            async with onward.installation.db.platform_tx(Reason.SEED) as con:
                await con.execute("UPDATE stores SET opening_hours = 'off' WHERE id = $1", rosso.store_id)
        else:
            ring = [
                [rosso.lng + x, rosso.lat + y] for x, y in ((-1e-3, -1e-3), (1e-3, -1e-3), (1e-3, 1e-3), (-1e-3, -1e-3))
            ]
            area = {"type": "Polygon", "coordinates": [ring]}
            async with onward.http.post(
                "/api/v1/dispatch/zones/pauses",
                json={"area": area, "reason": "parade"},
                headers=onward.as_(world.admin_token),
            ) as reply:
                assert reply.status == 201
        await looks(onward)
        await until(lambda: (pia.last("move") or {}).get("move", 1) is None, "that it is over", pia.changed)
        async with onward.installation.db.platform_tx(Reason.SEED) as con:
            await con.execute("UPDATE driver_moves SET sent_at = sent_at - interval '2 hours'")
        await looks(onward)
        assert len(await told(onward, world.pool[0])) == 1


async def test_what_is_somebody_elses_to_set_or_to_decline_is_refused(onward: Onward) -> None:
    """A business does not say where drivers wait; a driver declines his own alone."""
    world = onward.world
    async with onward.http.patch(
        "/api/v1/dispatch/policy", json={"moves": True}, headers=onward.as_(world.rosso.token)
    ) as reply:
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "moves")
    assert await wants(onward, moves=True, moves_every_s=10) == 422
    assert await wants(onward, moves=True) == 200
    async with courier(onward, world.pool[0]) as pia, courier(onward, world.pool[1]) as paul:
        await pia.goes_online(*FAR)
        await has_orders(onward)
        await looks(onward)
        move = await is_sent(pia)
        await paul.client.act("move_decline", move_id=move["id"])
        refused = await until(lambda: paul.last("nack"), "a refusal", paul.changed)
        assert (refused["code"], refused["retry"]) == ("not_found", False)
        assert (await told(onward, world.pool[0]))[0]["declined_at"] is None
        assert await told(onward, world.pool[1]) == []
    async with courier(onward, world.pool[0]) as again:
        welcome = await until(lambda: again.last("welcome"), "a welcome", again.changed)
        assert welcome["state"]["move"]["id"] == move["id"]
