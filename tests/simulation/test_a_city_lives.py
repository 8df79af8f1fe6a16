"""The whole product under a living city, with phones that fail and servers that die."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import asyncpg
import psutil

from kernel.db import Database
from kernel.redis import Redis, connect
from onward.demo import bundled_helsinki, lost_fixes
from onward.embedded import Servers, valkey
from onward.maps.importer import import_map
from onward.maps.store import load_map
from onward.simulator.plan import demand, make_plan
from onward.simulator.run import Report
from tests.support.city import City, city
from tests.support.people import DEADLINE_S
from tracking.client import Message, ViewerClient


async def check(report: Report, db: Database, seed: int) -> None:
    """Hold the hard invariants; a failure names the command that shows it again."""
    again = f"again with: onward demo --for 60 --drivers 12 --seed {seed} --json"
    assert report.error_texts == [], again
    assert report.double_assigned == 0, again
    assert report.cross_tenant_leaks == 0, again
    assert await lost_fixes(db, report.acked) == 0, again
    assert report.fixes_acked == report.fixes_sent, again
    ended = report.deliveries_delivered + report.deliveries_canceled + report.deliveries_moving
    assert ended == report.deliveries_created > 0, again


async def assigned(town: City) -> None:
    """Wait until a delivery has found its driver, as the operator's board tells it."""
    seen = asyncio.Event()

    def hear(message: Message) -> None:
        objects = message.get("changes") or message.get("object", {}).get("deliveries", ())
        if any(o.get("kind") == "delivery" and o.get("driver_id") for o in objects):
            seen.set()

    board = asyncio.create_task(ViewerClient(town.server.url, town.access.admin_token, hear).run())
    await asyncio.wait_for(seen.wait(), 60)
    board.cancel()


def test_the_same_seed_gives_the_same_city(tmp_path: Path) -> None:
    """Demand and people are the seed's; another seed is another city."""
    folder = tmp_path / "helsinki"
    import_map(bundled_helsinki(), folder, name="helsinki")
    town = load_map(folder)

    def first_orders(seed: int) -> list[object]:
        plan = make_plan(town, seed=seed, couriers=10)
        orders = demand(town, plan, per_minute=10)
        return [plan, *(next(orders) for _ in range(20))]

    assert first_orders(1) == first_orders(1)
    assert first_orders(1) != first_orders(2)


async def test_a_city_with_failing_phones_loses_nothing(
    db_url: str, servers: Servers, redis: Redis, tmp_path: Path
) -> None:
    """Dropouts, offline spells, cut sockets and duplicates: nothing lost, nothing doubled, nothing leaked."""
    async with city(db_url, servers.redis_url, tmp_path, couriers=12) as (town, db):
        report = await town.live(25)
        await check(report, db, town.seed)


async def test_a_server_killed_in_the_middle_comes_back_and_nothing_acknowledged_is_missing(
    db_url: str, servers: Servers, redis: Redis, tmp_path: Path
) -> None:
    """kill -9 while deliveries are under way: every driver and viewer resumes, no delivery is assigned twice."""
    async with city(db_url, servers.redis_url, tmp_path, couriers=10) as (town, db):
        living = asyncio.create_task(town.live(35))
        await assigned(town)
        town.server.kill()
        await town.server.start()
        report = await living
        await check(report, db, town.seed)
        assert report.reconnects >= 10


async def test_valkey_killed_in_the_middle_comes_back_and_nothing_acknowledged_is_missing(
    db_url: str, tmp_path: Path
) -> None:
    """kill -9 of Valkey: fixes wait, are sent again where they must be, and the boards catch up."""
    socket = tmp_path / "v" / "v.sock"
    with valkey(socket) as url:
        async with city(db_url, url, tmp_path, couriers=8) as (town, db):
            living = asyncio.create_task(town.live(40))
            await assigned(town)
            info = await connect(url).info("server")
            os.kill(info["process_id"], signal.SIGKILL)
            with valkey(socket):
                report = await living
                await check(report, db, town.seed)


async def test_a_database_that_goes_away_for_a_while_is_waited_for(
    db_url: str, servers: Servers, redis: Redis, tmp_path: Path
) -> None:
    """First it hangs, then every connection breaks: reads get a coded "unavailable", actions wait, nothing is lost."""
    async with city(db_url, servers.redis_url, tmp_path, couriers=8) as (town, db):
        con = await asyncpg.connect(db_url)
        postmaster = psutil.Process(await con.fetchval("SELECT pg_backend_pid()")).parent()
        assert postmaster is not None
        living = asyncio.create_task(town.live(40))
        await assigned(town)
        frozen = [postmaster, *postmaster.children()]
        for process in frozen:
            process.suspend()
        try:
            await not_ready(town, times=4)
        finally:
            for process in frozen:
                process.resume()
        await con.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'onward onward_%'"
        )
        await con.close()
        report = await living
        for pool in (db._app, db._platform):
            await pool.expire_connections()
        await check(report, db, town.seed)


async def not_ready(town: City, *, times: int) -> None:
    """Wait until the server has said so many times that it is not ready."""
    async with aiohttp.ClientSession(town.server.url) as http, asyncio.timeout(DEADLINE_S):
        while times:
            async with http.get("/readyz") as reply:
                times -= reply.status == 503
