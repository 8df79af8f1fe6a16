"""Several server processes on one port are one installation: nobody notices which one he talks to, or that it died."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from kernel.clock import to_ms
from kernel.db import Database, Reason
from kernel.redis import Redis
from onward.embedded import Servers
from tests.integration.onward.test_command_line import Terminal
from tests.support.people import DEADLINE_S, Courier, Watcher, eventually, until
from tests.support.world import World
from tracking.client import Refused

STORE = (60.1721, 24.9451)
CONNECTIONS_MAX = 60
LOGINS_A_MINUTE = 20


@dataclass
class Several:
    """Two server processes and their parent; looks like one server to people."""

    terminal: Terminal
    url: str
    world: World
    http: aiohttp.ClientSession

    def as_(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    def listening(self) -> dict[int, psutil.Process]:
        """Return the processes that take connections on the port."""
        port = int(self.url.rpartition(":")[2])
        found = {}
        for process in psutil.Process(self.terminal.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended between the two looks
                ports = {c.laddr.port for c in process.net_connections("tcp4") if c.status == psutil.CONN_LISTEN}
                if port in ports:
                    found[process.pid] = process
        return found

    def holder(self, person: Courier | Watcher) -> int:
        """Return the pid of the process that holds somebody's socket."""
        assert person.client._socket is not None
        mine = person.client._socket.local_address[1]
        for pid, process in self.listening().items():
            if any(c.raddr and c.raddr.port == mine for c in process.net_connections("tcp4")):
                return pid
        raise AssertionError("nobody holds it")


@pytest.fixture
async def several(db_url: str, servers: Servers, redis: Redis, world: World, tmp_path: Path) -> AsyncIterator[Several]:
    """Two processes on one port."""
    settings = {"DATABASE_URL": db_url, "REDIS_URL": servers.redis_url, "ONWARD_DATA_DIR": str(tmp_path)}
    terminal = Terminal("serve", "--processes", "2", "--port", "0", **settings)
    try:
        url = (await asyncio.to_thread(terminal.says, "is open at")).split()[-1]
        async with aiohttp.ClientSession(url) as http:
            yield Several(terminal, url, world, http)
    finally:
        terminal.end()


class Connected:
    """People whose sockets close with the test."""

    def __init__(self, several: Several) -> None:
        self.several = several
        self.tasks: dict[Any, asyncio.Task[None]] = {}

    async def open(self, person: Any) -> Any:
        self.tasks[person] = asyncio.create_task(person.client.run())
        async with asyncio.timeout(DEADLINE_S):
            await person.client.connected.wait()
        return person

    def courier(self, device_id: str = "phone") -> Courier:
        return Courier(self.several, self.several.world.pool[0], device_id)  # type: ignore[arg-type]

    def watcher(self) -> Watcher:
        return Watcher(self.several, self.several.world.admin_token)  # type: ignore[arg-type]

    async def elsewhere(self, pid: int, make: Callable[[], Any]) -> tuple[Any, Any]:
        """Connect again and again until another process than `pid` holds the socket; return him and the one before."""
        before = None
        for _ in range(CONNECTIONS_MAX):
            person = await self.open(make())
            if self.several.holder(person) != pid:
                return person, before
            before = person
        raise AssertionError("always the same process")


@pytest.fixture
async def connected(several: Several) -> AsyncIterator[Connected]:
    people = Connected(several)
    yield people
    for task in people.tasks.values():
        task.cancel()
    await asyncio.gather(*people.tasks.values(), return_exceptions=True)


async def test_two_processes_are_one_installation(several: Several, connected: Connected) -> None:
    """A viewer of one sees a driver of the other, a phone that comes back elsewhere is one phone, limits are shared."""
    driver = await connected.open(connected.courier())
    here = several.holder(driver)
    board, _ = await connected.elsewhere(here, connected.watcher)
    await driver.goes_online(*STORE)
    await board.sees(lambda o: o["drivers"], "the driver of the other process")
    await driver.is_at(60.1730, 24.9460)
    await until(lambda: any(abs(p[1] - 60.1730) < 1e-6 for p in board.positions()), "the dot moves", board.changed)

    again, before = await connected.elsewhere(here, connected.courier)
    with pytest.raises(Refused, match="4200"):
        async with asyncio.timeout(DEADLINE_S):
            await connected.tasks.pop(before or driver)
    await again.is_at(60.1740, 24.9470)
    await until(lambda: any(abs(p[1] - 60.1740) < 1e-6 for p in board.positions()), "the dot moves on", board.changed)

    async def guess() -> int:
        body = {"email": "nobody@example.com", "password": "wrong"}
        async with aiohttp.ClientSession(several.url) as http, http.post("/api/v1/auth/login", json=body) as reply:
            return reply.status

    statuses = await asyncio.gather(*(guess() for _ in range(LOGINS_A_MINUTE + 5)))
    assert statuses.count(429) == 5, statuses
    async with several.http.get("/metrics") as reply:
        assert 'onward_sockets_open{kind="driver"} 1.0' in (await reply.text()).splitlines()


async def test_actions_sent_to_two_processes_are_carried_out_once_in_order_with_the_phones_time(
    several: Several, connected: Connected, db: Database
) -> None:
    """And a killed process costs no fix: its phones come back to the other one, which leads now."""
    world = several.world
    driver = await connected.open(connected.courier())
    here = several.holder(driver)
    twin, _ = await connected.elsewhere(here, lambda: connected.courier("copy"))
    await driver.goes_online(*STORE)
    start = int(time.time() * 1000) - 60_000
    asked = ("on_break", "available", "offline")
    for n, state in enumerate(asked):
        for phone in (driver, twin):
            await phone.client.act("availability", id=f"made-offline-{n}", t=start + n, state=state)
    await asyncio.gather(driver.client.all_acked(), twin.client.all_acked())
    assert driver.client.nacks == twin.client.nacks == []
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        told = await con.fetch(
            "SELECT data ->> 'state' AS state FROM outbox WHERE subject = $1 ORDER BY position OFFSET 1",
            world.pool[0].id,
        )
        kept = await con.fetch(
            "SELECT device_at, outcome FROM driver_actions WHERE action_id LIKE 'made-offline%' ORDER BY handled_at"
        )
    assert [row["state"] for row in told] == list(asked)
    assert [(to_ms(row["device_at"]), row["outcome"]) for row in kept] == [(start + n, "done") for n in range(3)]

    several.listening()[here].kill()
    sent = [start + 1000 * n for n in range(40)]
    for n, t in enumerate(sent):
        await driver.client.send_fixes([{"t": t, "lat": STORE[0] + n / 1e5, "lng": STORE[1], "acc": 5.0}])
    async with asyncio.timeout(DEADLINE_S):
        await driver.client.all_acked()
    assert several.holder(driver) != here

    async def history() -> set[int]:
        async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
            rows = await con.fetch("SELECT recorded_at FROM driver_locations WHERE driver_id = $1", world.pool[0].id)
        return {to_ms(row["recorded_at"]) for row in rows}

    await eventually(
        history, lambda found: found >= {*sent, *driver.client.acked_fixes}, "every acked fix is in history"
    )

    await asyncio.to_thread(several.terminal.says, "serving")
    assert len(several.listening()) == 2
