"""A real installation to measure: server, PostgreSQL and Valkey as processes of their own, and the CPU each has spent.

The server runs on the machine's first core and the load generator (`benchmarks.load`) on its last, where the system
lets them be pinned. Peers and floors run as servers of their own under the same load.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import psutil

from kernel.clock import SystemClock
from kernel.db import Connection, Database, Reason
from kernel.ids import new_id
from onward.config import Settings
from onward.embedded import embedded
from onward.maps.importer import import_map
from onward.maps.store import maps_folder
from onward.migrate import migrate
from tenancy.service import create_business, create_driver, create_operator, create_user, open_session
from tenancy.tokens import TrackingLinks

START_DEADLINE_S: Final = 60.0
SECRET: Final = "a secret of the benchmark's own"  # noqa: S105 - a throw-away installation
LAT, LNG, SPAN_DEG = 60.10, 24.80, 0.2


@dataclass(frozen=True, slots=True)
class People:
    """Who drives, who looks on, and how they sign in."""

    operator_id: UUID
    driver_ids: list[UUID]
    driver_tokens: list[str]
    tracking_tokens: list[str]
    """One delivery of each of the first drivers, on its way to a customer."""

    admin_token: str


@dataclass(frozen=True, slots=True)
class Stand:
    """A server to put load on."""

    url: str
    processes: dict[str, list[psutil.Process]]
    redis_url: str = ""
    db: Database | None = None

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds that each part has spent so far."""
        return {name: sum(map(_cpu_s, processes)) for name, processes in self.processes.items()}

    def rss_kb(self, part: str = "server") -> float:
        """Return the memory a part holds now, in KB."""
        return sum(process.memory_info().rss for process in self.processes[part]) / 1024


@contextlib.asynccontextmanager
async def onward_stand(
    *, drivers: int, deliveries: int = 0, pinned: bool = True, extract: Path | None = None
) -> AsyncIterator[tuple[Stand, People]]:
    """Run `onward serve` on new servers with these people in it; durability is what an installation has.

    Not `pinned`, the system puts everything where it likes, as it will in an installation. With an `extract` there is
    a map.
    """
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder) / "data") as servers:
        if extract is not None:
            import_map(extract, maps_folder(Path(folder) / "data") / "helsinki", name="helsinki")
        await migrate(servers.database_url)
        db = await Database.connect(servers.database_url, size_max=4)
        settings = Settings(data_dir=Path(folder) / "data", secret=SECRET)
        people = await _people(db, TrackingLinks(settings.signing_secret()), drivers, deliveries)
        await _settle(servers.database_url)
        environment = {
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "ONWARD_SECRET": SECRET,
            "ONWARD_LOG_LEVEL": "error",
            "ONWARD_RATE_LIMITS": "false",
        }
        command = ("-m", "onward", "serve", "--port", "0", "--data-dir", str(Path(folder) / "data"))
        valkey, postgres = _servers_of(Path(folder) / "data")
        async with _server(command, environment, pinned=pinned) as (url, process):
            parts = {"server": [process], "valkey": [valkey], "postgres": [postgres, *postgres.children()]}
            try:
                yield Stand(url, parts, servers.redis_url, db), people
            finally:
                await db.close()


@contextlib.asynccontextmanager
async def peer_stand(
    *command: str, executable: str = sys.executable, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Stand]:
    """Run a floor or a peer: a program that prints its address and serves."""
    async with _server(command, environment or {}, executable) as (url, process):
        yield Stand(url, {"server": [process]})


async def load(
    stand: Stand, plan: dict[str, Any], *, pinned: bool = True, generator: str = "benchmarks.load"
) -> dict[str, Any]:
    """Put a load on a server once; return what `connected` tells of it."""
    async with connected(stand, plan, pinned=pinned, generator=generator) as stream:
        return await stream()


@contextlib.asynccontextmanager
async def connected(
    stand: Stand, plan: dict[str, Any], *, pinned: bool = True, generator: str = "benchmarks.load"
) -> AsyncIterator[Callable[[], Awaitable[dict[str, Any]]]]:
    """Connect a load to a server; each call of what is yielded puts it on for the plan's time.

    It returns what the generator saw, and the CPU seconds each part spent meanwhile. Of a plan in turns `turns_s` says
    what the server spent in each that was over before the last began.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", generator,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    alone = pinned and _pin(process.pid, last=True)
    try:
        process.stdin.write(msgspec.json.encode({"url": stand.url, "awake": alone, **plan}) + b"\n")
        await _line(process.stdout)
        yield functools.partial(_stream, stand, process.stdin, process.stdout, stand.rss_kb())
    finally:
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _stream(
    stand: Stand, asked: asyncio.StreamWriter, answers: asyncio.StreamReader, connected_kb: float
) -> dict[str, Any]:
    turns = [before := stand.cpu_s()]
    asked.write(b"go\n")
    while "turn" in (seen := await _line(answers)):
        turns.append(stand.cpu_s())
    after = stand.cpu_s()
    spent = {name: after[name] - before[name] for name in before}
    in_turns = [turn["server"] - last["server"] for last, turn in pairwise(turns)]
    return {**seen, "cpu_s": spent, "turns_s": in_turns, "connected_kb": connected_kb, "rss_kb": stand.rss_kb()}


async def _line(stream: asyncio.StreamReader) -> dict[str, Any]:
    line = await stream.readline()
    if not line:
        raise RuntimeError("the load generator stopped: what it said is above")
    found: dict[str, Any] = msgspec.json.decode(line)
    return found


@contextlib.asynccontextmanager
async def _server(
    command: Sequence[str], environment: Mapping[str, str], executable: str = sys.executable, *, pinned: bool = True
) -> AsyncIterator[tuple[str, psutil.Process]]:
    process = await asyncio.create_subprocess_exec(
        executable, *command,
        env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    if pinned:
        _pin(process.pid, last=False)
    try:
        async with asyncio.timeout(START_DEADLINE_S):
            url = await _address(process)
        drains = [asyncio.create_task(_drain(stream)) for stream in (process.stdout, process.stderr)]
        yield url, psutil.Process(process.pid)
        for drain in drains:
            drain.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Read until the server says where it is open."""
    said: list[str] = []
    first = [asyncio.create_task(_find_address(stream, said)) for stream in (process.stdout, process.stderr)]
    for done in asyncio.as_completed(first):
        if (url := await done) is not None:
            for task in first:
                task.cancel()
            return url
    raise RuntimeError("the server did not start:\n" + "".join(said))


async def _find_address(stream: asyncio.StreamReader | None, said: list[str]) -> str | None:
    assert stream is not None
    while line := (await stream.readline()).decode():
        said.append(line)
        for word in line.split():
            if word.startswith("http://"):
                return word
    return None


async def _drain(stream: asyncio.StreamReader | None) -> None:
    assert stream is not None
    while await stream.read(65536):
        pass


def _pin(pid: int, *, last: bool) -> bool:
    """Give a process the first or the last core, where there are two and the system can; say whether it did."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(pid, {cores[-1]} if last else {cores[0]})
    return len(cores) > 1


def _cpu_s(process: psutil.Process) -> float:
    try:
        if sys.platform == "linux":  # its clock of CPU time, to the nanosecond; what psutil reads is in hundredths
            return time.clock_gettime(~process.pid << 3 | 2)
        times = process.cpu_times()
        return times.user + times.system
    except (psutil.NoSuchProcess, OSError):
        return 0.0


def _servers_of(data_dir: Path) -> tuple[psutil.Process, psutil.Process]:
    """Return the Valkey and the PostgreSQL that serve this directory."""
    postmaster = int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    valkey = next(
        child
        for child in psutil.Process().children(recursive=True)
        if str(data_dir.resolve() / "valkey") in " ".join(child.cmdline())
    )
    return valkey, psutil.Process(postmaster)


async def _settle(database_url: str) -> None:
    """Let PostgreSQL look at what was written, as it does by itself within a minute."""
    con = await asyncpg.connect(database_url)
    await con.execute("ANALYZE")
    await con.close()


async def _people(db: Database, links: TrackingLinks, drivers: int, deliveries: int) -> People:
    now = SystemClock().now()
    async with db.platform_tx(Reason.SEED) as con:
        operator_id = await create_operator(con, name="Many", currency="EUR")
        business_id = await create_business(
            con, operator_id=operator_id, name="Rosso", subdomain="rosso", currency="EUR"
        )
        admin = await create_user(
            con, operator_id=operator_id, email="a@example.com", password_hash="", name="A", role="platform_admin"
        )
        ids, tokens = [], []
        for n in range(drivers):
            driver_id, user_id = await create_driver(
                con, operator_id=operator_id, email=f"d{n}@example.com", password_hash="", name=f"Driver {n:05d}",
                vehicle="car", pool="shared_pool",
            )  # fmt: skip
            ids.append(driver_id)
            tokens.append(await open_session(con, user_id=user_id, now=now))
        await con.execute("UPDATE driver_profiles SET state = 'busy' WHERE operator_id = $1", operator_id)
        carried = [await _delivery(con, operator_id, business_id, driver) for driver in ids[:deliveries]]
        admin_token = await open_session(con, user_id=admin, now=now)
    return People(operator_id, ids, tokens, [links.token(business_id, one) for one in carried], admin_token)


async def _delivery(con: Connection, operator_id: UUID, business_id: UUID, driver_id: UUID) -> UUID:
    """Write a delivery that is on its way to its customer."""
    delivery_id = new_id()
    await con.execute(
        """INSERT INTO deliveries (id, operator_id, business_id, short_code, status, driver_id, uses_shared_pool,
             distance_m, fee_minor, driver_pay_minor, currency, ready_at, promised_at, created_at, assigned_at,
             picked_up_at)
           VALUES ($1, $2, $3, $4, 'en_route_to_dropoff', $5, true, 1500, 490, 455, 'EUR', now(),
             now() + interval '1 hour', now(), now(), now())""",
        delivery_id, operator_id, business_id, delivery_id.hex[-6:], driver_id,
    )  # fmt: skip
    for place, kind in enumerate(("pickup", "dropoff")):
        await con.execute(
            """INSERT INTO stops (id, business_id, delivery_id, kind, driver_id, route_position, name, address,
                 lat, lng) VALUES ($1, $2, $3, $4, $5, $6, 'Place', 'Street 1', $7, $8)""",
            new_id(), business_id, delivery_id, kind, driver_id, place, LAT + SPAN_DEG, LNG,
        )  # fmt: skip
    return delivery_id
