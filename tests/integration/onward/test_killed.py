"""kill -9 at the worst moment: nothing lost, nothing doubled, an offer whole or not there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dispatch import service
from dispatch.service import NewDelivery, Place
from kernel import keys
from kernel.db import Database, Reason
from kernel.ids import new_id
from kernel.redis import Redis
from onward.embedded import Servers
from tests.integration.onward.test_command_line import Terminal
from tests.support.people import eventually
from tests.support.world import World
from tracking.fix import pack_position
from tracking.live import MINUTE_MS
from tracking.wire import WireFix

DELIVERIES = 3
MOMENTS = {
    "between plan and commit": "SELECT FROM onward.deliveries FOR UPDATE",
    "in the middle of the commit": "LOCK TABLE onward.offer_deliveries IN SHARE MODE",
}
"""What somebody else holds, so that the dispatcher waits just there."""


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Servers that were started; they end with the test."""
    started: list[Terminal] = []
    yield started
    for terminal in started:
        terminal.end()


async def a_rush(db: Database, redis: Redis, world: World) -> None:
    """Three deliveries wait, and three drivers stand at the store."""
    now = datetime.now(UTC)
    store = Place("Rosso", "Yrjönkatu 1", world.rosso.lat, world.rosso.lng)
    for number in range(DELIVERIES):
        new = NewDelivery(
            id=new_id(),
            operator_id=world.operator_id,
            business_id=world.rosso.id,
            pickup=store,
            dropoff=Place("Eva", "Mannerheimintie 1", world.rosso.lat + 0.01, world.rosso.lng + 0.02 * number),
            distance_m=100,
            fee_minor=100,
            driver_pay_minor=100,
            currency="EUR",
            ready_at=now,
            promised_at=now + timedelta(minutes=40),
            uses_shared_pool=True,
        )
        async with db.platform_tx(Reason.ADMIN) as con:
            await service.create(con, new, now)
            await con.execute("UPDATE driver_profiles SET state = 'available'")
    now_ms = int(time.time() * 1000)
    seen_ms = now_ms + 600_000
    for driver in world.pool:
        position = pack_position(WireFix(seen_ms, world.rosso.lat, world.rosso.lng, 5.0, 0.0), seen_ms)
        await redis.hset(keys.positions(world.operator_id), driver.id.bytes, position)
        index = keys.geo_index(world.operator_id, now_ms // MINUTE_MS)
        await redis.geoadd(index, [world.rosso.lng, world.rosso.lat, driver.id.hex])


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_dispatcher_killed_in_its_commit_loses_and_doubles_nothing(
    db: Database, db_url: str, servers: Servers, redis: Redis, world: World, tmp_path: Path, terminals: Any, moment: str
) -> None:
    """The half commit is gone with its process; the next one gives each delivery to one driver, once."""

    def serve() -> Terminal:
        settings = {"DATABASE_URL": db_url, "REDIS_URL": servers.redis_url, "ONWARD_DATA_DIR": str(tmp_path)}
        terminals.append(Terminal("serve", "--port", "0", **settings))
        return terminals[-1]  # type: ignore[no-any-return]

    await a_rush(db, redis, world)
    other, look = await asyncpg.connect(db_url), await asyncpg.connect(db_url)
    held = other.transaction()
    await held.start()
    await other.execute(MOMENTS[moment])
    server = serve()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not await look.fetchval(waiting):
        assert server.process.poll() is None
    server.process.kill()
    server.process.wait()
    await held.rollback()
    gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    await eventually(lambda: look.fetchval(gone), bool, "the killed server's sessions end")
    half = await look.fetchrow(
        """SELECT (SELECT count(*) FROM onward.offers) AS offers,
             (SELECT count(*) FROM onward.offer_deliveries) AS held,
             (SELECT count(*) FROM onward.deliveries WHERE status = 'pending' AND version = 1) AS waiting"""
    )
    assert half is not None
    assert tuple(half) == (0, 0, DELIVERIES)

    server = serve()
    whole = """SELECT d.status, d.version, (SELECT count(*) FROM onward.offer_deliveries od
                 JOIN onward.offers o ON o.id = od.offer_id WHERE od.delivery_id = d.id AND od.holds) AS holders,
                 ARRAY(SELECT h.version FROM onward.delivery_status_history h
                       WHERE h.delivery_id = d.id ORDER BY 1) AS told
               FROM onward.deliveries d"""
    rows = await look.fetch(whole)
    while {row["status"] for row in rows} != {"offered"}:
        assert server.process.poll() is None
        rows = await look.fetch(whole)
    assert [row["holders"] for row in rows] == [1] * DELIVERIES
    assert all(row["told"] == list(range(1, row["version"] + 1)) for row in rows)
    await other.close()
    await look.close()
