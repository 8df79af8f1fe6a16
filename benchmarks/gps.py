"""Recorded traces through the real server, once as they are and once over a bad network: is anything lost or different?

Every vehicle is a driver with a socket of its own; the times of its trace are moved so that it ends now. Faults are
seeded. Each driver has one stop to go to, where the trace stands longest (or, never standing, half way): what its fence
tells must be the same in both runs, each once. A teleport that comes when nothing of the ten minutes before it is known
can't be told from the truth until the next fix: those are counted apart (`teleports_first`).
"""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from benchmarks.traces import read_folder
from geo.distance import destination, meters_between
from geo.fence import RADIUS_M, Fence, FenceFix, FenceState, observe
from geo.point import Point
from geo.travel import Vehicle
from kernel import ids, keys
from kernel.db import Database, Reason
from kernel.ids import Kind, new_id
from onward.compose import Installation
from onward.config import Settings
from onward.demo import start_afresh
from onward.processes import running
from onward.replay import Row
from onward.seed import CourierAccess, seed_city
from onward.servers import with_servers
from onward.simulator.plan import CityPlan, PlannedCourier
from tracking.client import DriverClient
from tracking.fences import TOLD_AS, Fences, NextStop
from tracking.filters import BELIEVED_MS_MAX, DEFAULTS, FilterState, judge
from tracking.wire import WireFix

DUPLICATES: Final = 0.20
OUT_OF_ORDER: Final = 0.05
PLACES_LATER_MAX: Final = 6
TELEPORTS: Final = 0.02
TELEPORT_AFTER_MS: Final = 500
TELEPORT_M: Final = (20_000.0, 80_000.0)
TUNNEL_MS: Final = 120_000
TUNNEL_NEWER: Final = 3
CLOCK_AHEAD_MS: Final = 3_600_000
AT_ONCE: Final = 150
FRAME_FIXES: Final = (1, 2, 10, 50, 100)
STANDING_M: Final = 40.0
DEADLINE_S: Final = 120.0
LOOK_S: Final = 1.0
COST_FIXES: Final = 20_000
TOTALS: Final = ("lost", "teleports_shown", "fences_twice", "fences_differ")

Told = Callable[[int], None]


@dataclass(slots=True)
class Trace:
    """One vehicle's fixes, in the order they are sent."""

    file: str
    fixes: list[WireFix]
    stop: Point
    ahead_ms: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    teleports: set[int] = field(default_factory=set)
    """Those that contradict what came before them."""


@dataclass(slots=True)
class Outcome:
    """What became of one vehicle's fixes: by device time the verdict, what the phone was told, what the fence told."""

    kept: dict[int, str]
    rejected: dict[str, int]
    told: list[str]


def clean_traces(files: dict[str, dict[str, list[Row]]], now_ms: int) -> list[Trace]:
    """Return every vehicle's trace, moved so that it ends now."""
    found = []
    for file, vehicles in files.items():
        for rows in vehicles.values():
            shift_ms = now_ms - round(max(row.t_s for row in rows) * 1000)
            fixes = [WireFix(round(row.t_s * 1000) + shift_ms, row.lat, row.lng) for row in rows]
            found.append(Trace(file, fixes, _stopping_place(fixes)))
    return found


def _stopping_place(fixes: list[WireFix]) -> Point:
    """Return where a vehicle stood longest."""
    in_time = sorted(fixes, key=lambda fix: fix.t)
    best_ms, place = 0, in_time[len(in_time) // 2]
    start = in_time[0]
    for fix in in_time:
        if meters_between(Point(start.lat, start.lng), Point(fix.lat, fix.lng)) > STANDING_M:
            start = fix
        elif fix.t - start.t > best_ms:
            best_ms, place = fix.t - start.t, start
    return Point(place.lat, place.lng)


def with_faults(trace: Trace, chance: random.Random, *, clock_off: bool) -> Trace:
    """Return what a bad network and a bad receiver make of a trace."""
    bad = Trace(trace.file, [], trace.stop, CLOCK_AHEAD_MS if clock_off else 0)
    known = {fix.t for fix in trace.fixes}
    fixes: list[WireFix] = []
    for number, fix in enumerate(trace.fixes):
        fixes.append(fix)
        if number and chance.random() < TELEPORTS and fix.t + TELEPORT_AFTER_MS not in known:
            there = destination(Point(fix.lat, fix.lng), chance.uniform(0, 360), chance.uniform(*TELEPORT_M))
            fixes.append(WireFix(fix.t + TELEPORT_AFTER_MS, there.lat, there.lng))
            bad.teleports.add(fix.t + TELEPORT_AFTER_MS)
    fixes = _out_of_order(fixes, chance, bad.injected)
    fixes = _tunnel(fixes, bad.injected)
    bad.fixes = _duplicated(fixes, chance, bad.injected)
    bad.injected["teleports"] = len(bad.teleports)
    first = _first_of_all(bad)
    bad.injected["teleports_first"] = len(first)
    bad.teleports -= first
    bad.injected["clocks_off"] = int(clock_off)
    return bad


def _out_of_order(fixes: list[WireFix], chance: random.Random, injected: Counter[str]) -> list[WireFix]:
    places = []
    for number, fix in enumerate(fixes):
        late = number > 0 and chance.random() < OUT_OF_ORDER
        injected["out_of_order"] += late
        places.append((number + (chance.randint(1, PLACES_LATER_MAX) + 0.5 if late else 0), number, fix))
    return [fix for _, _, fix in sorted(places, key=lambda place: place[:2])]


def _tunnel(fixes: list[WireFix], injected: Counter[str]) -> list[WireFix]:
    """Hold back what was made in two minutes in the middle, until a few newer ones have come."""
    middle = len(fixes) // 2
    begin_ms = fixes[middle].t
    held: list[WireFix] = []
    after: list[WireFix] = []
    for fix in fixes[middle:]:
        (held if begin_ms <= fix.t < begin_ms + TUNNEL_MS else after).append(fix)
    newer = [number for number, fix in enumerate(after) if fix.t >= begin_ms + TUNNEL_MS][:TUNNEL_NEWER]
    injected["tunnels"] += 1
    place = newer[-1] + 1 if newer else len(after)
    return [*fixes[:middle], *after[:place], *held, *after[place:]]


def _duplicated(fixes: list[WireFix], chance: random.Random, injected: Counter[str]) -> list[WireFix]:
    places = [(float(number), fix) for number, fix in enumerate(fixes)]
    for number, fix in enumerate(fixes):
        if chance.random() < DUPLICATES:
            injected["duplicates"] += 1
            places.append((number + chance.randint(0, 20) + 0.5, fix))
    return [fix for _, fix in sorted(places, key=lambda place: place[0])]


def _first_of_all(trace: Trace) -> set[int]:
    """Return the teleports that come when nothing true is known from the ten minutes before them."""
    found: set[int] = set()
    known: list[int] = []
    for fix in trace.fixes:
        if fix.t not in trace.teleports:
            insort(known, fix.t)
        elif bisect_left(known, fix.t) == bisect_left(known, fix.t - BELIEVED_MS_MAX):
            found.add(fix.t)
    return found


async def play(installation: Installation, url: str, traces: list[Trace], seed: int, sent: Told) -> list[Outcome]:
    """Send traces as drivers of an operator of their own; return what became of each."""
    people = tuple(
        PlannedCourier(f"Vehicle {n}", Vehicle.CAR, None, t.fixes[0].lat, t.fixes[0].lng, 0)
        for n, t in enumerate(traces)
    )
    access = await seed_city(installation.db, CityPlan(seed, (), people))
    drivers = [ids.parse(Kind.DRIVER, courier.id) for courier in access.couriers]
    db = installation.db
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        operator_id = await con.fetchval("SELECT operator_id FROM driver_profiles WHERE id = $1", drivers[0])
    fences = Fences(installation.redis, db)
    for driver_id, trace in zip(drivers, traces, strict=True):
        stop = NextStop(new_id(), new_id(), "dropoff", trace.stop.lat, trace.stop.lng, RADIUS_M)
        await fences.put(operator_id, driver_id, stop, 0)
    some, chance = asyncio.Semaphore(AT_ONCE), random.Random(seed)
    cuts = [random.Random(chance.random()) for _ in traces]
    clients = await asyncio.gather(
        *(
            _drive(url, courier, trace, cut, some, sent)
            for courier, trace, cut in zip(access.couriers, traces, cuts, strict=True)
        )
    )
    async with asyncio.timeout(DEADLINE_S):
        told = await _settled(installation, operator_id)
    kept = await _kept(db, operator_id)
    return [
        Outcome(kept.get(driver_id, {}), client.rejected, sorted(told.get(driver_id, [])))
        for driver_id, client in zip(drivers, clients, strict=True)
    ]


async def _drive(
    url: str, courier: CourierAccess, trace: Trace, cut: random.Random, some: asyncio.Semaphore, sent: Told
) -> DriverClient:
    """Send one vehicle's fixes in frames of any size."""
    async with some:
        client = DriverClient(
            url, courier.token, f"gps-{new_id().hex}", now_ms=lambda: time.time_ns() // 1_000_000 + trace.ahead_ms
        )
        socket = asyncio.create_task(client.run())
        await client.connected.wait()
        place = 0
        while place < len(trace.fixes):
            size = cut.choice(FRAME_FIXES)
            frame = trace.fixes[place : place + size]
            await client.send_fixes([{"t": fix.t + trace.ahead_ms, "lat": fix.lat, "lng": fix.lng} for fix in frame])
            place += size
        await client.all_acked()
        socket.cancel()
        await asyncio.gather(socket, return_exceptions=True)
        sent(len(trace.fixes))
        return client


async def _told(db: Database, operator_id: UUID) -> dict[UUID, list[str]]:
    found: dict[UUID, list[str]] = {}
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        for row in await con.fetch(
            "SELECT driver_id, type FROM outbox WHERE operator_id = $1 AND type = ANY($2)",
            operator_id,
            [type_.value for type_ in TOLD_AS.values()],
        ):
            found.setdefault(row["driver_id"], []).append(row["type"])
    return found


async def _settled(installation: Installation, operator_id: UUID) -> dict[UUID, list[str]]:
    """Return what the fences told once everything is in history and nothing more is told."""
    told: dict[UUID, list[str]] | None = None
    while True:
        await asyncio.sleep(LOOK_S)
        if not await installation.redis.xlen(keys.fix_stream(operator_id)):
            before, told = told, await _told(installation.db, operator_id)
            if told == before:
                return told


async def _kept(db: Database, operator_id: UUID) -> dict[UUID, dict[int, str]]:
    """Return per driver the verdict of every fix in history, by the time its device gave it."""
    found: dict[UUID, dict[int, str]] = {}
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        async for row in con.cursor(
            """SELECT driver_id, verdict, (extract(epoch FROM recorded_at) * 1000)::bigint + clock_ahead_ms AS t
               FROM driver_locations WHERE operator_id = $1""",
            operator_id,
            prefetch=10_000,
        ):
            found.setdefault(row["driver_id"], {})[row["t"]] = row["verdict"]
    return found


def compare(clean: list[Trace], bad: list[Trace], before: list[Outcome], after: list[Outcome]) -> list[dict[str, Any]]:
    """Return a row of figures per file."""
    rows: dict[str, dict[str, Any]] = {}
    for trace, faulty, was, became in zip(clean, bad, before, after, strict=True):
        row = rows.setdefault(
            trace.file,
            {
                "file": trace.file,
                "vehicles": 0,
                "sent": 0,
                "injected": Counter(),
                "clean": Counter(),
                "verdicts": Counter(),
                "rejected": Counter(),
                "lost": 0,
                "teleports_shown": 0,
                "fences": Counter(),
                "fences_twice": 0,
                "fences_differ": 0,
            },
        )
        row["vehicles"] += 1
        row["sent"] += len(faulty.fixes)
        row["injected"] += faulty.injected
        row["clean"].update(was.kept.values())
        row["verdicts"].update(became.kept.values())
        row["rejected"].update(became.rejected)
        row["lost"] += len({fix.t for fix in trace.fixes} - was.kept.keys())
        row["lost"] += len({fix.t + faulty.ahead_ms for fix in faulty.fixes} - became.kept.keys())
        row["teleports_shown"] += sum(became.kept.get(t + faulty.ahead_ms) == "live" for t in faulty.teleports)
        row["fences"].update(became.told)
        row["fences_twice"] += len(became.told) - len(set(became.told))
        row["fences_differ"] += was.told != became.told
    return [
        {name: dict(sorted(value.items())) if isinstance(value, Counter) else value for name, value in row.items()}
        for row in rows.values()
    ]


def costs(fixes: list[WireFix]) -> dict[str, float]:
    """Return the CPU of judging one fix and of showing it to a fence, in microseconds."""
    fixes = sorted(fixes, key=lambda fix: fix.t)[:COST_FIXES]
    state, limits = FilterState(), DEFAULTS[Vehicle.CAR]
    start = time.process_time()
    for fix in fixes:
        judge(state, fix, fix.t, limits)
    judge_s = time.process_time() - start
    fence, remembered = Fence(_stopping_place(fixes[: len(fixes) // 10])), FenceState()
    start = time.process_time()
    observe(remembered, fence, (FenceFix(Point(fix.lat, fix.lng), fix.t) for fix in fixes))
    fence_s = time.process_time() - start
    return {"judge_cpu_us": judge_s / len(fixes) * 1e6, "fence_cpu_us": fence_s / len(fixes) * 1e6}


async def both_runs(
    installation: Installation, url: str, files: dict[str, dict[str, list[Row]]], seed: int, sent: Told
) -> dict[str, Any]:
    """Play the traces clean and with faults; return the figures."""
    chance = random.Random(seed)
    clean = clean_traces(files, time.time_ns() // 1_000_000)
    firsts = {trace.file: number for number, trace in reversed(list(enumerate(clean)))}
    bad = [
        with_faults(trace, random.Random(chance.random()), clock_off=firsts[trace.file] == number)
        for number, trace in enumerate(clean)
    ]
    before = await play(installation, url, clean, seed, sent)
    after = await play(installation, url, bad, seed + 1, sent)
    rows = compare(clean, bad, before, after)
    totals = {name: sum(row[name] for row in rows) for name in TOTALS}
    return {"seed": seed, "files": rows, **totals, **costs(max((trace.fixes for trace in clean), key=len))}


def run_gps(settings: Settings, folder: Path, seed: int, *, started: Told, sent: Told) -> dict[str, Any]:
    """Read a folder of traces and play it on servers of its own. Raises `Refused` when there is nothing to read."""
    import uvloop

    files = read_folder(folder)
    started(2 * sum(len(rows) for vehicles in files.values() for rows in vehicles.values()))
    start_afresh(settings.data_dir)
    own = {"database_url": "", "redis_url": "", "port": 0, "rate_limits": False}

    async def runs(filled: Settings) -> dict[str, Any]:
        async with running(filled) as (installation, url):
            return await both_runs(installation, url, files, seed, sent)

    begin_s = time.monotonic()
    with with_servers(settings.model_copy(update=own)) as filled:
        found = uvloop.run(runs(filled))
    return {**found, "seconds": round(time.monotonic() - begin_s, 1)}
