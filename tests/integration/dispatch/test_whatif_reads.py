"""What a replayed day knows is read from what was kept: refusals, pauses, a dispatcher's hand, how long things took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dispatch.whatif.given import Pin, Refusal
from dispatch.whatif_store import read_day
from kernel.clock import SystemClock
from kernel.db import Database, Reason
from kernel.ids import Kind, new_id, show
from tests.support.server import Onward
from tests.support.world import World
from tests.support.yesterday import write_lunch, yesterday

MIDNIGHT = datetime.combine(yesterday(), datetime.min.time(), UTC)
NOON_S = 12 * 3_600


def at(seconds: int) -> datetime:
    """Return a moment of yesterday."""
    return MIDNIGHT + timedelta(seconds=seconds)


def around(lat: float, lng: float) -> dict[str, Any]:
    """Return a small square."""
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
    return {"type": "Polygon", "coordinates": [[[lng + x / 1_000, lat + y / 1_000] for x, y in corners]]}


async def offered(db: Database, world: World, delivery: Any, driver_id: UUID, status: str, took_s: int) -> None:
    """Write an offer that was answered."""
    async with db.platform_tx(Reason.SEED) as con:
        offer_id = new_id()
        await con.execute(
            """INSERT INTO offers (id, operator_id, driver_id, status, terms, sent_at, expires_at, answered_at)
               VALUES ($1, $2, $3, $4, '{}', $5, $5, $6)""",
            offer_id, world.operator_id, driver_id, status, at(NOON_S), at(NOON_S + took_s),
        )  # fmt: skip
        await con.execute(
            """INSERT INTO offer_deliveries (offer_id, business_id, delivery_id, driver_id, expires_at, holds)
               VALUES ($1, $2, $3, $4, $5, false)""",
            offer_id, delivery["business_id"], delivery["id"], driver_id, at(NOON_S),
        )  # fmt: skip


async def test_what_people_did_that_day_is_known_of_each_delivery(db: Database, world: World) -> None:
    """Who refused and how fast, when its zone was paused, to whom a dispatcher gave it."""
    await write_lunch(db, world, yesterday(), deliveries=4)
    rosso, paul = world.rosso, world.pool[0].id
    async with db.platform_tx(Reason.SEED) as con:
        first = await con.fetchrow(
            "SELECT * FROM deliveries WHERE business_id = $1 ORDER BY created_at LIMIT 1", rosso.id
        )
        assert first is not None
        area = around(rosso.lat, rosso.lng)
        for business_id, begins, ends in (
            (None, at(NOON_S - 60), at(NOON_S + 600)),
            (world.verde.id, at(NOON_S), None),
            (None, at(-7_200), at(-3_600)),
        ):
            await con.execute(
                """INSERT INTO paused_zones (id, operator_id, business_id, area, reason, created_at, ended_at)
                   VALUES ($1, $2, $3, $4, 'parade', $5, $6)""",
                new_id(), world.operator_id, business_id, area, begins, ends,
            )  # fmt: skip
        detail = {"delivery_id": show(Kind.DELIVERY, first["id"]), "driver_id": show(Kind.DRIVER, paul), "reason": ""}
        await con.execute(
            """INSERT INTO audit_log (id, operator_id, business_id, action, detail, created_at)
               VALUES ($1, $2, $3, 'delivery.reassigned', $4, $5)""",
            new_id(), world.operator_id, rosso.id, detail, at(NOON_S + 90),
        )  # fmt: skip
        await con.execute("UPDATE deliveries SET was_ready_at = $2 WHERE id = $1", first["id"], at(NOON_S + 900))
    for driver_id, status, took_s in ((paul, "declined", 12), (paul, "expired", 30), (world.pool[1].id, "accepted", 4)):
        await offered(db, world, first, driver_id, status, took_s)
    day = await read_day(db, world.operator_id, None, yesterday(), SystemClock().now(), deliveries_max=500)
    known = {one.id: one for one in day.deliveries}
    one = known[first["id"]]
    assert one.refusals == {paul: (Refusal(12), Refusal(30, missed=True))}
    assert one.pins == (Pin(NOON_S + 90, paul),)
    assert one.paused == ((NOON_S - 60, NOON_S + 600),)
    assert one.was_ready_s == NOON_S + 900
    assert day.lived.answer_s == 4
    others = [other for other in day.deliveries if other.id != first["id"]]
    assert all(not other.pins and not other.refusals for other in others)
    own = await read_day(db, world.operator_id, world.verde.id, yesterday(), SystemClock().now(), deliveries_max=500)
    assert [delivery.paused for delivery in own.deliveries] == [(), ()]


async def test_the_policy_is_the_one_of_that_day(onward: Onward) -> None:
    """What was changed since, by the operator or by a business, is as it was before; what was changed then holds."""
    world, db = onward.world, onward.installation.db
    await write_lunch(db, world, yesterday(), deliveries=4)
    changes: list[tuple[str, dict[str, Any]]] = [
        (world.rosso.token, {"stack_max": 3}),
        (world.admin_token, {"offer_ttl_s": 45}),
        (world.admin_token, {"offer_ttl_s": 60}),
        (world.rosso.token, {"stack_max": 1}),
    ]
    for token, body in changes:
        async with onward.http.patch("/api/v1/dispatch/policy", json=body, headers=onward.as_(token)) as reply:
            assert reply.status == 200
    async with db.platform_tx(Reason.SEED) as con:
        first = "SELECT id FROM audit_log ORDER BY created_at, id LIMIT 2"
        await con.execute(f"UPDATE audit_log SET created_at = $1 WHERE id IN ({first})", at(NOON_S))
    day = await read_day(db, world.operator_id, None, yesterday(), SystemClock().now(), deliveries_max=500)
    assert day.policies.operator.offer_ttl_s == 45
    assert (day.policies.of(world.rosso.id).stack_max, day.policies.of(world.verde.id).stack_max) == (3, 2)


async def test_an_ended_pause_is_kept_and_holds_nobody_up(onward: Onward) -> None:
    """Ending it twice is refused, the list and the dispatcher forget it, the day remembers it."""
    headers, world = onward.as_(onward.world.admin_token), onward.world
    body = {"area": around(world.rosso.lat, world.rosso.lng), "reason": "parade"}
    path = "/api/v1/dispatch/zones/pauses"
    async with onward.http.post(path, json=body, headers=headers) as reply:
        pause = await reply.json()
    for status in (204, 404):
        async with onward.http.delete(f"{path}/{pause['id']}", headers=headers) as reply:
            assert reply.status == status
    async with onward.http.get(path, headers=headers) as reply:
        assert (await reply.json())["data"] == []
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        assert await con.fetchval("SELECT count(*) FROM paused_zones WHERE ended_at IS NOT NULL") == 1
