"""Positions are kept as long as the operator says, and a driver's go on his word, also those that come late."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from kernel import keys
from kernel.db import Database, Reason
from kernel.ids import Kind, new_id, show
from tenancy import service
from tests.support.people import courier, eventually, watcher
from tests.support.server import Onward
from tests.support.trouble import part
from tests.support.world import Driver, World
from tracking.fences import Fences, NextStop
from tracking.history import HistoryWriter
from tracking.ingest import Ingest
from tracking.live import MINUTE_MS, LivePositions
from tracking.retention import forget_old


async def keep(db: Database, operator_id: UUID, driver_id: UUID, *days_ago: int) -> None:
    """Write a position at noon of each of these days."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    async with db.platform_tx(Reason.SEED) as con:
        for days in days_ago:
            at = noon - timedelta(days=days)
            await con.execute("SELECT make_location_partition($1)", at.date())
            await con.execute(
                """INSERT INTO driver_locations (driver_id, operator_id, recorded_at, received_at, lat, lng)
                   VALUES ($1, $2, $3, $3, 60.17, 24.94)""",
                driver_id,
                operator_id,
                at,
            )


async def days_kept(db: Database) -> dict[UUID, list[int]]:
    """Return for each driver how many days ago his positions are."""
    today = datetime.now(UTC).date()
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        rows = await con.fetch("SELECT driver_id, recorded_at FROM driver_locations ORDER BY recorded_at DESC")
    kept: dict[UUID, list[int]] = {}
    for row in rows:
        kept.setdefault(row["driver_id"], []).append((today - row["recorded_at"].date()).days)
    return kept


async def other_operators_driver(db: Database) -> tuple[UUID, UUID]:
    async with db.platform_tx(Reason.SEED) as con:
        operator_id = await service.create_operator(con, name="Tampere Couriers", currency="EUR")
        driver_id, _ = await service.create_driver(
            con,
            operator_id=operator_id,
            email="t@example.com",
            password_hash="x",
            name="Tea",
            vehicle="car",
            pool="shared_pool",
        )
    return operator_id, driver_id


async def partitions(db: Database) -> int:
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        return int(
            await con.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'onward.driver_locations'::regclass")
        )


async def test_each_operator_keeps_positions_as_long_as_it_says(db: Database, world: World) -> None:
    """Days that nobody needs are dropped whole; where another still needs the day, rows go."""
    pia = world.pool[0].id
    operator_id, tea = await other_operators_driver(db)
    async with db.platform_tx(Reason.ADMIN) as con:
        await con.execute("UPDATE operators SET positions_kept_days = 30 WHERE id = $1", operator_id)
    for own, driver in ((world.operator_id, pia), (operator_id, tea)):
        await keep(db, own, driver, 0, 29, 30, 31, 90, 91, 200)
    await forget_old(db, datetime.now(UTC))
    assert await days_kept(db) == {pia: [0, 29, 30, 31, 90], tea: [0, 29, 30]}
    assert await partitions(db) == 5
    await forget_old(db, datetime.now(UTC))
    assert await days_kept(db) == {pia: [0, 29, 30, 31, 90], tea: [0, 29, 30]}


async def test_a_short_time_leaves_room_for_what_comes_late(onward: Onward) -> None:
    """With one day kept, a fix of the day before yesterday is taken, written, and gone with the next look."""
    db, driver = onward.installation.db, onward.world.pool[0]
    headers = onward.as_(onward.world.admin_token)
    async with onward.http.put("/api/v1/admin/retention", json={"positions_days": 1}, headers=headers) as reply:
        assert reply.status == 200
    async with onward.http.get("/api/v1/admin/retention", headers=headers) as reply:
        assert await reply.json() == {"positions_days": 1}
    await keep(db, onward.world.operator_id, driver.id, 0, 1, 3, 20)
    await forget_old(db, datetime.now(UTC))
    assert await days_kept(db) == {driver.id: [0, 1]}
    await reports(onward, driver, int(time.time() * 1000) - 3 * 24 * 3600 * 1000)
    assert await days_kept(db) == {driver.id: [0, 1, 3]}
    await forget_old(db, datetime.now(UTC))
    assert await days_kept(db) == {driver.id: [0, 1]}
    for body, status in (({"positions_days": 0}, 422), ({"positions_days": 9_999}, 422), ({}, 422)):
        async with onward.http.put("/api/v1/admin/retention", json=body, headers=headers) as reply:
            assert reply.status == status
    for token in (onward.world.rosso.token, driver.token):
        async with onward.http.put(
            "/api/v1/admin/retention", json={"positions_days": 5}, headers=onward.as_(token)
        ) as reply:
            assert reply.status == 403


async def reports(onward: Onward, driver: Driver, t_ms: int, lat: float = 60.17) -> None:
    """Report by HTTP, and let history write it."""
    fix = {"t": t_ms, "lat": lat, "lng": 24.94}
    async with onward.http.post("/api/v1/driver/location", json=fix, headers=onward.as_(driver.token)) as reply:
        assert reply.status == 200
    await HistoryWriter(onward.installation.db, onward.installation.redis).drain()


async def erase(onward: Onward, token: str, driver: Driver) -> tuple[int, Any]:
    path = f"/api/v1/drivers/{show(Kind.DRIVER, driver.id)}/positions"
    async with onward.http.delete(path, headers=onward.as_(token)) as reply:
        return reply.status, await reply.json()


async def test_an_erased_drivers_positions_are_nowhere_and_late_ones_do_not_come_back(onward: Onward) -> None:
    """History, the last position, the index, what viewers could catch up with, what his stop's fence and this process
    remember; then his phone empties its queue.
    """
    world, db, redis = onward.world, onward.installation.db, onward.installation.redis
    dora, neighbour = world.dedicated, world.pool[0]
    await keep(db, world.operator_id, dora.id, 1, 2, 3)
    stop = NextStop(new_id(), new_id(), "dropoff", 60.1690, 24.9400, 60.0)
    await Fences(redis, db).put(world.operator_id, dora.id, stop, 0)
    async with courier(onward, dora) as phone, watcher(onward, world.admin_token) as board:
        await phone.goes_online(60.1690, 24.9400)
        await board.sees(lambda o: any(d["position"] for d in o["drivers"]), "a driver with a place")
        await phone.client.act("availability", state="offline")
        await phone.client.all_acked()
        await board.sees(lambda o: not o["drivers"], "he has gone")
    await reports(onward, neighbour, int(time.time() * 1000))
    await reports(onward, dora, 1)  # too old: kept raw, apart
    fence, ingest = (keys.fences(world.operator_id), dora.id.bytes), part(onward, Ingest)
    await eventually(lambda: redis.hget(*fence), bool, "his stop's fence remembers him")
    assert ingest._drivers[dora.id].filters.shown is not None
    before = await redis.xlen(keys.facts_stream(keys.board_topic(world.operator_id)))
    status, answer = await erase(onward, world.admin_token, dora)
    assert before > 0
    assert (status, answer) == (200, {"positions": 4})
    erased_ms = int(time.time() * 1000)
    assert await redis.hget(*fence) is None
    known = ingest._drivers[dora.id]
    await eventually(lambda: asyncio.sleep(0, known.filters.shown), lambda shown: shown is None, "he is forgotten")
    assert list(await days_kept(db)) == [neighbour.id]
    live = LivePositions(redis)
    assert list(await live.positions(world.operator_id)) == [neighbour.id]
    minute = erased_ms // MINUTE_MS
    for heard in (minute, minute - 1):
        assert await redis.zscore(keys.geo_index(world.operator_id, heard), dora.id.hex) is None
    assert await redis.xlen(keys.facts_stream(keys.board_topic(world.operator_id))) == 0
    for ago_ms in (60_000, 3_600_000, 2 * 24 * 3_600_000, 9 * 24 * 3_600_000):
        await reports(onward, dora, erased_ms - ago_ms)
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        assert await con.fetch("SELECT * FROM rejected_fixes") == []
    assert list(await days_kept(db)) == [neighbour.id]
    assert list(await live.positions(world.operator_id)) == [neighbour.id]
    await reports(onward, dora, int(time.time() * 1000), lat=60.1701)
    await eventually(
        lambda: days_kept(db), lambda kept: Counter(map(len, kept.values())) == {1: 2}, "the fix after the erasure"
    )
    assert (await live.positions(world.operator_id))[dora.id].lat == 60.1701


async def test_a_vanished_drivers_last_place_leaves_alerts_and_their_events(onward: Onward) -> None:
    """What an alert remembered of him is erased with the rest, and who erased is noted."""
    db, dora = onward.installation.db, onward.world.dedicated
    place = {"lat": 60.17, "lng": 24.94}
    async with db.platform_tx(Reason.SEED) as con:
        await con.execute(
            """INSERT INTO alerts (id, operator_id, code, severity, subject_kind, subject_id, since, ended_at, data)
               VALUES ($1, $2, 'driver_vanished', 'critical', 'driver', $3, now(), now(), $4)""",
            dora.id,
            onward.world.operator_id,
            dora.id,
            {"last_seen": place, "phone": "+358"},
        )
        await con.execute(
            """INSERT INTO outbox (id, type, operator_id, subject, data, created_at, done_at)
               VALUES ($1, 'alert.raised', $2, $1, $3, now(), now())""",
            dora.id,
            onward.world.operator_id,
            {"id": "alr_1", "data": {"last_seen": place, "phone": "+358"}},
        )
    assert (await erase(onward, onward.world.rosso.token, dora))[0] == 200
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        kept = [*await con.fetch("SELECT data FROM alerts"), *await con.fetch("SELECT data FROM outbox")]
        noted = await con.fetchrow("SELECT * FROM audit_log WHERE action = 'positions.erased'")
    assert "last_seen" not in json.dumps([row["data"] for row in kept])
    assert "+358" in json.dumps(kept[0]["data"])
    assert (noted["business_id"], noted["detail"]) == (onward.world.rosso.id, {"driver_id": show(Kind.DRIVER, dora.id)})


async def test_who_may_erase(onward: Onward) -> None:
    """The operator, and the business that alone employs him; nobody else's driver, nor by the driver himself."""
    world = onward.world
    for token, driver, status in (
        (world.verde.token, world.dedicated, 404),
        (world.rosso.token, world.pool[0], 404),
        (world.pool[0].token, world.pool[0], 403),
        (world.pool[1].token, world.pool[0], 403),
    ):
        assert (await erase(onward, token, driver))[0] == status
    async with onward.installation.db.platform_tx(Reason.SEED) as con:
        await con.execute(
            "INSERT INTO driver_business_assignments (driver_id, business_id) VALUES ($1, $2)",
            world.dedicated.id,
            world.verde.id,
        )
    status, problem = await erase(onward, world.verde.token, world.dedicated)
    assert (status, problem["code"]) == (403, "forbidden")
    assert (await erase(onward, world.admin_token, world.dedicated))[0] == 200
