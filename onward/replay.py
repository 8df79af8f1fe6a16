"""`onward replay`: recorded GPS traces through real driver sockets, faults and all, checked for losses.

Event times keep their spacing and are moved so that the last fix of the file is now; only the sending is faster. Rows
of one vehicle are sent in the order of the file, duplicates and disorder included.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import Progress

from geo.travel import Vehicle
from onward.config import Settings
from onward.demo import DemoFailed, lost_fixes, start_afresh
from onward.processes import running
from onward.seed import CourierAccess, seed_city
from onward.servers import with_servers
from onward.simulator.plan import CityPlan, PlannedCourier
from tracking.client import DriverClient
from tracking.filters import WITHOUT_PLACE, Verdict

PORTO_PERIOD_S: Final = 15
FRAME_FIXES_MAX: Final = 100
SEND_PERIOD_S: Final = 0.25
PAST_MAX_S: Final = 6 * 24 * 3600
console = Console(stderr=True)


class ReplayFailed(DemoFailed):
    """The file can't be replayed; the message says what to do."""


class Row(NamedTuple):
    """One recorded fix, `t_s` in Unix seconds."""

    vehicle: str
    t_s: float
    lat: float
    lng: float


class Outcome(msgspec.Struct, kw_only=True):
    """What became of a file."""

    file: str
    vehicles: int
    vehicles_at_once: int
    fixes_sent: int
    fixes_acked: int
    fixes_lost: int
    fixes_kept: int
    rejected: dict[str, int]
    seconds: float


def read_porto(text: io.TextIOBase) -> Iterator[Row]:
    """Yield taxi trips of the ECML/PKDD 2015 set: a polyline with a fix every 15 s."""
    for line in csv.DictReader(text):
        start = int(line["TIMESTAMP"])
        for number, (lng, lat) in enumerate(json.loads(line["POLYLINE"])):
            yield Row(line["TAXI_ID"], start + PORTO_PERIOD_S * number, lat, lng)


def read_capmetro(text: io.TextIOBase) -> Iterator[Row]:
    """Yield bus positions of the CapMetrics archive, in the order they arrived."""
    for line in csv.DictReader(text):
        at = datetime.fromisoformat(line["timestamp"]).timestamp()
        yield Row(line["vehicle_id"], at, float(line["latitude"]), float(line["longitude"]))


def read_csv(text: io.TextIOBase) -> Iterator[Row]:
    """Yield rows of a plain file with the columns vehicle, t (Unix seconds), lat, lng."""
    for line in csv.DictReader(text):
        yield Row(line["vehicle"], float(line["t"]), float(line["lat"]), float(line["lng"]))


FORMATS: Final[dict[str, Callable[[io.TextIOBase], Iterator[Row]]]] = {
    "porto": read_porto,
    "capmetro": read_capmetro,
    "csv": read_csv,
}


def read_traces(file: Path, format_: str, vehicles: int) -> dict[str, list[Row]]:
    """Return up to `vehicles` traces in the order of the file; raises `ReplayFailed`."""
    if format_ not in FORMATS:
        raise ReplayFailed(f"There is no format {format_}: one of {', '.join(FORMATS)}.")
    traces: dict[str, list[Row]] = {}
    try:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8", newline="") as text:
            for row in FORMATS[format_](text):
                if row.vehicle in traces or len(traces) < vehicles:
                    traces.setdefault(row.vehicle, []).append(row)
    except OSError as error:
        raise ReplayFailed(f"{file} can't be read: {error.strerror or error}.") from None
    except KeyError as error:
        raise ReplayFailed(
            f"{file} is not in the format {format_}: it has no column {error.args[0]}; --format is one of "
            f"{', '.join(FORMATS)}."
        ) from None
    except (ValueError, TypeError) as error:
        raise ReplayFailed(f"{file} is not in the format {format_}: {error}.") from None
    if not traces:
        raise ReplayFailed(f"{file} has no fixes.")
    return traces


def run_replay(settings: Settings, file: Path, *, format_: str, speed: float, vehicles: int) -> Outcome:
    """Replay a file on servers of its own; return what became of it."""
    traces = read_traces(file, format_, vehicles)
    if not settings.database_url and not settings.redis_url:
        start_afresh(settings.data_dir)
    with with_servers(settings.model_copy(update={"rate_limits": False})) as filled:
        import uvloop

        return uvloop.run(_replay(filled, traces, file.name, speed))


async def _replay(settings: Settings, traces: dict[str, list[Row]], name: str, speed: float) -> Outcome:
    first_s = min(row.t_s for rows in traces.values() for row in rows)
    last_s = max(row.t_s for rows in traces.values() for row in rows)
    shift_s = time.time() - last_s
    if last_s - first_s > PAST_MAX_S:
        raise ReplayFailed("The file spans more than six days: split it.")
    people = tuple(
        PlannedCourier(f"Vehicle {vehicle}", Vehicle.CAR, None, rows[0].lat, rows[0].lng, 0)
        for vehicle, rows in traces.items()
    )
    started = time.monotonic()
    async with running(settings) as (installation, url):
        access = await seed_city(installation.db, CityPlan(0, (), people))
        at_once = _Gauge()
        everybody = asyncio.Barrier(len(traces))
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("replaying", total=sum(len(rows) for rows in traces.values()))
            phones = await asyncio.gather(
                *(
                    _drive(
                        url, courier, rows, first_s, shift_s, speed, at_once, everybody, lambda n: bar.advance(task, n)
                    )
                    for courier, rows in zip(access.couriers, traces.values(), strict=True)
                )
            )
        acked = {own.id: times for own, (_, times) in zip(access.couriers, phones, strict=True)}
        clients = [client for client, _ in phones]
        rejected: dict[str, int] = {}
        for client in clients:
            for reason, count in client.rejected.items():
                rejected[reason] = rejected.get(reason, 0) + count
        total_acked = sum(map(len, acked.values()))
        missing = await lost_fixes(installation.db, acked)
        explained = sum(rejected.get(reason, 0) for reason in WITHOUT_PLACE)
    return Outcome(
        file=name,
        vehicles=len(traces),
        vehicles_at_once=at_once.top,
        fixes_sent=sum(client.fixes_sent for client in clients),
        fixes_acked=total_acked,
        fixes_lost=max(0, missing - explained),
        fixes_kept=total_acked - explained - rejected.get(Verdict.DUPLICATE, 0),
        rejected=rejected,
        seconds=round(time.monotonic() - started, 1),
    )


class _Gauge:
    """How many are under way, and the most there were."""

    def __init__(self) -> None:
        self.now = self.top = 0

    def add(self, number: int) -> None:
        self.now += number
        self.top = max(self.top, self.now)


async def _drive(
    url: str,
    courier: CourierAccess,
    rows: list[Row],
    first_s: float,
    shift_s: float,
    speed: float,
    at_once: _Gauge,
    everybody: asyncio.Barrier,
    sent: Callable[[int], None],
) -> tuple[DriverClient, list[int]]:
    """Send one vehicle's rows at the recorded pace times `speed`; the socket is open from the start to the end.

    Return the phone, and the device time of every acknowledged fix in milliseconds.
    """
    acked: list[int] = []
    client = DriverClient(
        url, courier.token, on_acked=lambda frame: acked.extend(fix["t"] for fix in frame.get("fixes", ()))
    )
    socket = asyncio.create_task(client.run())
    await client.connected.wait()
    at_once.add(1)
    await everybody.wait()
    loop = asyncio.get_running_loop()
    start = loop.time()
    position = 0
    while position < len(rows):
        until_s = first_s + (loop.time() - start) * speed
        frame: list[dict[str, object]] = []
        while position < len(rows) and len(frame) < FRAME_FIXES_MAX and rows[position].t_s <= until_s:
            row = rows[position]
            frame.append({"t": round((row.t_s + shift_s) * 1000), "lat": row.lat, "lng": row.lng, "src": "replay"})
            position += 1
        if frame:
            await client.send_fixes(frame)
            sent(len(frame))
        else:
            await asyncio.sleep(SEND_PERIOD_S)
    await client.all_acked()
    at_once.add(-1)
    socket.cancel()
    await asyncio.gather(socket, return_exceptions=True)
    return client, acked
