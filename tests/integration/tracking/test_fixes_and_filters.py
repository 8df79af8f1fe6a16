"""What became of every fix can be looked up, a device's clock is corrected, and an operator sets its own filters."""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import Any

import pytest

from kernel import keys
from kernel.db import Reason
from kernel.ids import Kind, show
from tests.support.people import DEADLINE_S, courier
from tests.support.server import Onward
from tracking.client import DriverClient
from tracking.fences import Fences, NextStop
from tracking.history import REJECTED_PER_DRIVER_MAX, HistoryWriter
from tracking.wire import WireFix

HOUR_MS = 3_600_000


def fix(t: int, **more: Any) -> dict[str, Any]:
    return {"t": t, "lat": 60.17, "lng": 24.94, "acc": 5.0, **more}


async def drained(onward: Onward) -> None:
    while await onward.installation.redis.xlen(keys.fix_stream(onward.world.operator_id)):
        await HistoryWriter(onward.installation.db, onward.installation.redis).drain()


async def looked_up(onward: Onward, token: str, **query: str) -> dict[str, Any]:
    path = f"/api/v1/drivers/{show(Kind.DRIVER, onward.world.pool[0].id)}/fixes"
    async with onward.http.get(path, params=query, headers=onward.as_(token)) as reply:
        return {"status": reply.status, **await reply.json()}


async def test_every_fix_can_be_looked_up_with_what_became_of_it(onward: Onward) -> None:
    """The believed, the doubted in their place, and the impossible as they came; in pages, newest first."""
    now = int(time.time() * 1000)
    sent = [
        fix(now - 5000),
        fix(now - 4000, lat=60.9),
        fix(now - 3000, acc=400.0),
        fix(now - 2000, lat=0.0, lng=0.0),
        fix(now - 1000, lat=math.nan, src="x\0y"),
        fix(now),
        fix(now),
        fix(now - 4500),
    ]
    async with courier(onward, onward.world.pool[0]) as driver:
        await driver.client.send_fixes(sent)
        await driver.client.all_acked()
        assert driver.client.rejected == {"jump": 1, "accuracy": 1, "zero": 1, "invalid": 1, "duplicate": 1}
    await drained(onward)
    found, cursor = [], ""
    while True:
        page = await looked_up(onward, onward.world.admin_token, limit="3", **({"cursor": cursor} if cursor else {}))
        found += page["data"]
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]
    assert [row["verdict"] for row in found if "t" in row] == ["live", "accuracy", "jump", "late", "live"]
    raw = {row["verdict"]: row["raw"] for row in found if "raw" in row}
    assert raw["zero"] == {"t": now - 2000, "lat": 0.0, "lng": 0.0, "acc": 5.0}
    assert raw["invalid"] == {"t": now - 1000, "lat": "out of range", "lng": 24.94, "acc": 5.0, "src": "xy"}
    none = await looked_up(onward, onward.world.admin_token, to="2020-01-01T00:00:00Z")
    assert none["data"] == []


async def test_a_drivers_fixes_are_his_operators_to_look_up_and_nobody_elses(onward: Onward) -> None:
    """Not a business', not another driver's; and a wrong cursor is told."""
    for token in (onward.world.rosso.token, onward.world.pool[0].token):
        assert (await looked_up(onward, token))["status"] == 403
    assert (await looked_up(onward, onward.world.admin_token, cursor="1.x"))["code"] == "validation_failed"
    async with onward.http.get(
        f"/api/v1/drivers/{show(Kind.DRIVER, onward.world.operator_id)}/fixes",
        headers=onward.as_(onward.world.admin_token),
    ) as reply:
        assert reply.status == 404


async def test_another_operators_admin_finds_no_such_driver(onward: Onward) -> None:
    """Two operators in one installation."""
    from tests.support.world import make_world

    db: Any = onward.installation.db
    async with db.platform_tx(Reason.SEED) as con:
        for table, column in (("users", "email"), ("businesses", "subdomain")):
            await con.execute(f"UPDATE {table} SET {column} = 'other-' || {column}")
    other = await make_world(db)
    assert (await looked_up(onward, other.admin_token))["status"] == 404


async def test_rubbish_is_kept_up_to_a_bound_and_holds_nothing_up(onward: Onward) -> None:
    """Numbers beyond all bounds, thousands of them: the driver's own good fix is in history all the same."""
    driver = onward.world.pool[0]
    rubbish = [{"t": 10**400, "lat": 1, "lng": 1}, {"t": -(2**63), "lat": 1, "lng": 1}] * 200
    headers = onward.as_(driver.token)
    for _ in range(25):
        body = json.dumps({"fixes": rubbish})
        async with onward.http.post(
            "/api/v1/driver/location", data=body, headers={**headers, "Content-Type": "application/json"}
        ) as reply:
            assert (await reply.json())["rejected"] == {"future": 200, "too_old": 200}
    good = fix(int(time.time() * 1000))
    async with onward.http.post("/api/v1/driver/location", json=good, headers=headers) as reply:
        assert await reply.json() == {"accepted": 1, "rejected": {}}
    await drained(onward)
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        assert await con.fetchval("SELECT count(*) FROM driver_locations") == 1
        assert await con.fetchval("SELECT count(*) FROM rejected_fixes") == REJECTED_PER_DRIVER_MAX


@pytest.mark.parametrize("off_ms", [HOUR_MS, -HOUR_MS])
async def test_a_device_whose_clock_is_off_has_its_dot_and_history_at_the_right_time(
    onward: Onward, off_ms: int
) -> None:
    """Ahead or behind; its own time is kept beside, and a fresh process knows of it."""
    world = onward.world

    def clock() -> int:
        return int(time.time() * 1000) + off_ms

    client = DriverClient(onward.url, world.pool[0].token, "odd", now_ms=clock)
    task = asyncio.create_task(client.run())
    async with asyncio.timeout(DEADLINE_S):
        await client.connected.wait()
        before_ms = time.time() * 1000
        await client.send_fixes([fix(clock())])
        await client.all_acked()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert client.rejected == {}
    await drained(onward)
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        row = await con.fetchrow("SELECT * FROM driver_locations")
    assert row["verdict"] == "live"
    assert abs(row["recorded_at"].timestamp() * 1000 - before_ms) < 5_000
    assert abs(row["clock_ahead_ms"] - off_ms) < 5_000
    kept = await onward.installation.redis.hgetall(keys.clocks_ahead(world.operator_id))
    assert list(kept.values()) == [str(row["clock_ahead_ms"]).encode()]


async def test_an_operator_sets_its_filters_and_the_next_fix_is_judged_by_them(onward: Onward) -> None:
    """Per vehicle; what is not said is as shipped; nonsense and strangers are refused; the change is in the audit."""
    path, admin = "/api/v1/tracking/filters", onward.as_(onward.world.admin_token)
    body = {"vehicles": {"bicycle": {"speed_mps_max": 5, "accuracy_m_max": 100}}}
    async with onward.http.put(path, json=body, headers=admin) as reply:
        view = await reply.json()
    assert view["set"] == {"bicycle": {"speed_mps_max": 5}}
    assert view["vehicles"]["bicycle"]["accuracy_m_max"] == 100
    assert view["vehicles"]["car"]["speed_mps_max"] == 45
    now = int(time.time() * 1000)
    async with courier(onward, onward.world.pool[0]) as driver:
        await driver.client.send_fixes([fix(now - 20_000), fix(now, lat=60.1735)])
        await driver.client.all_acked()
        assert driver.client.rejected == {"jump": 1}
    for wrong in ({"bicycle": {"speed": 1}}, {"bicycle": {"speed_mps_max": 1}}, {"rocket": {}}):
        async with onward.http.put(path, json={"vehicles": wrong}, headers=admin) as reply:
            assert (reply.status, (await reply.json())["code"]) == (422, "validation_failed")
    async with onward.http.put(path, json=body, headers=onward.as_(onward.world.rosso.token)) as reply:
        assert reply.status == 403
    async with onward.http.get(path, headers=admin) as reply:
        assert await reply.json() == view
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        assert await con.fetchval("SELECT count(*) FROM audit_log WHERE action = 'fix_filters.changed'") == 1


async def test_an_arrival_told_by_two_processes_is_one_event_and_older_fixes_do_not_arrive(onward: Onward) -> None:
    """Both step the same fixes; the stop was set after the older ones were made; a new stop forgets the old one."""
    world, now = onward.world, int(time.time() * 1000)
    driver, db, redis = world.pool[0].id, onward.installation.db, onward.installation.redis
    one, two = Fences(redis, db), Fences(redis, db)
    stop = NextStop(world.rosso.store_id, world.rosso.id, "pickup", 60.17, 24.94, 60.0)
    await one.put(world.operator_id, driver, stop, now)
    old = [WireFix(now - 9000 + n, 60.17, 24.94, 5.0, 0.0) for n in range(3)]
    fresh = [WireFix(now + 9000 + n, 60.17, 24.94, 5.0, 0.0) for n in range(3)]
    await one.step(world.operator_id, {driver.bytes: old})
    assert await arrivals(onward) == 0
    before = await redis.hgetall(keys.fences(world.operator_id))
    await one.step(world.operator_id, {driver.bytes: fresh})
    await redis.hset(keys.fences(world.operator_id), mapping=before or {b"x": b"x"})
    await redis.hdel(keys.fences(world.operator_id), driver.bytes)
    await two.step(world.operator_id, {driver.bytes: fresh})
    await two.step(world.operator_id, {driver.bytes: fresh})
    assert await arrivals(onward) == 1
    await two.put(world.operator_id, driver, stop, now + 60_000)
    await two.step(world.operator_id, {driver.bytes: [WireFix(f.t + 60_000, f.lat, f.lng, 5.0, 0.0) for f in fresh]})
    assert await arrivals(onward) == 1
    await two.put(world.operator_id, driver, None, now)
    await one.put(world.operator_id, driver, stop, now + 90_000)
    await two.step(world.operator_id, {driver.bytes: [WireFix(f.t + 90_000, f.lat, f.lng, 5.0, 0.0) for f in fresh]})
    assert await arrivals(onward) == 2


async def arrivals(onward: Onward) -> int:
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        found: int = await con.fetchval("SELECT count(*) FROM outbox WHERE type = 'driver.arrived'")
    return found
