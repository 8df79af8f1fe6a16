"""A Valkey Cluster behind the server: a server of it that dies costs no acknowledged fix, and no viewer for good."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from kernel import keys
from kernel.db import Reason
from kernel.redis import AWAY, Redis, Shards, connect
from onward.doctor import examine
from onward.embedded import Servers
from tests.support.cluster import cluster
from tests.support.people import DEADLINE_S, courier, eventually, until, watcher
from tests.support.server import start_onward
from tracking.ingest import Ingest

FIXES = 60


async def test_a_primary_killed_in_the_middle_of_a_stream_costs_no_acked_fix_and_no_viewer(
    db_url: str, tmp_path: Path
) -> None:
    """Its replica takes over: fixes go on, boards and phones hear again, every acknowledged fix reaches history."""
    async with (
        cluster(tmp_path / "cluster") as servers,
        start_onward(db_url, servers.url, tmp_path, rate_limits=True) as onward,
        watcher(onward, onward.world.admin_token) as board,
        courier(onward, onward.world.pool[0]) as driver,
    ):
        operator_id = onward.world.operator_id
        await driver.goes_online(60.17, 24.94)
        await board.sees(lambda o: o["drivers"], "the driver")
        shards = onward.installation.parts[Ingest]._shards
        killed = servers.node(await shards.holder(keys.positions(operator_id)))
        start = int(time.time() * 1000) + 1_000
        for n in range(FIXES):
            fix = {"t": start + 100 * n, "lat": 60.17 + n / 1e5, "lng": 24.94, "acc": 5.0}
            await driver.client.send_fixes([fix])
            if n == FIXES // 3:
                servers.kill(killed)
        async with asyncio.timeout(DEADLINE_S):
            await driver.client.all_acked()

        async def kept() -> set[int]:
            async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
                rows = await con.fetch("SELECT recorded_at FROM driver_locations")
            return {round(row["recorded_at"].timestamp() * 1000) for row in rows}

        await eventually(kept, lambda found: found >= set(driver.client.acked_fixes), "every acked fix in history")
        assert {start + 100 * n for n in range(FIXES)} <= set(driver.client.acked_fixes)

        await driver.is_at(60.171, 24.94, t=start + 100 * FIXES)
        await until(lambda: any(p[1] == pytest.approx(60.171) for p in board.positions()), "the dot", board.changed)
        await driver.client.act("availability", state="offline")
        await board.sees(lambda o: not o["drivers"], "that he went")
        async with onward.http.get("/readyz") as reply:
            assert reply.status == 200, await reply.text()
        settings = onward.installation.settings.model_copy(update={"redis_url": servers.url})
        looked = {one.what: one async for one in examine(settings)}
        assert not looked["redis"].ok
        assert "3 shards: 1 without 1 replica" in looked["redis"].detail


async def test_a_server_that_may_not_write_is_as_good_as_away(servers: Servers, redis: Redis) -> None:
    """Too few replicas, or a full disk: what was to be committed waits, and goes in when it may."""
    shards = Shards(connect(servers.redis_url))

    async def count() -> list[Any]:
        return await shards.write("k", ("INCR", "k"))

    await redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(AWAY, match="NOREPLICAS"):
            await count()
    finally:
        await redis.config_set("min-replicas-to-write", 0)
    assert await count() == [1]
    await shards.aclose()
