"""An hour of a city's peak on the real server: what customers, couriers and kitchens get out of its dispatcher.

The demo's people order, cook, ride and answer offers through the public sockets of a server on PostgreSQL and Valkey;
one clock hurries all of it. Orders are the seed's; who gets them when is up to the server, as it lives. Everything that
was ordered in the time is followed to its door.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from dispatch.planner import Planner
from kernel.db import Database, Reason, Record
from onward.config import Settings
from onward.demo import demo_map, simulate, start_afresh
from onward.errors import Refused
from onward.maps.store import load_map, map_dir, maps_folder
from onward.pace import Pace
from onward.processes import running
from onward.seed import seed_city
from onward.servers import with_servers
from onward.simulator.plan import make_plan
from onward.simulator.run import Orders, Report

BUSINESSES: Final = 4
FIX_EVERY_S: Final = 4.0
LOOK_EVERY_S: Final = 5.0
START_S: Final = 120.0
DRAIN_MAX_S: Final = 5_400.0
KEEP_UP_EVERY_S: Final = 0.5
BEHIND_MAX_S: Final = 0.1
"""Events that wait longer than this on the machine's clock make time go as slow as it does in life."""
ENDED: Final = ("completed", "rejected", "canceled")

Seen = Callable[[float, str], None]

_ROWS: Final = """
SELECT o.placed_at, o.status, d.driver_id, d.status AS delivery_status, d.assigned_at, d.finished_at, d.promised_at,
       d.driver_pay_minor, coalesce(d.was_ready_at, d.ready_at) AS ready_at, d.picked_up_at, dr.pool
FROM orders o LEFT JOIN deliveries d ON d.business_id = o.business_id AND d.order_id = o.id
LEFT JOIN driver_profiles dr ON dr.id = d.driver_id
ORDER BY o.placed_at
"""


class Peak(msgspec.Struct, frozen=True):
    """What is played: for how long, how many couriers and orders, how fast; kitchens take between two times.

    `moves`: idle couriers are told where orders come from, and most go there.
    """

    minutes: float
    drivers: int
    orders_per_hour: float
    seed: int
    speed: float
    preparation_s: tuple[int, int] = (480, 1_200)
    moves: bool = False


def run_city(settings: Settings, map_name: str | None, peak: Peak, *, seen: Seen) -> dict[str, Any]:
    """Play a peak on servers of its own; return the figures. `seen` is told the share of the time, and how it goes.

    Raises `Refused` when there is no such map.
    """
    start_afresh(settings.data_dir)
    name, folder = demo_map(settings, None) if map_name is None else _imported(settings, map_name)
    pace = Pace.start(settings.data_dir / "pace", peak.speed)
    own = {"database_url": "", "redis_url": "", "port": 0, "rate_limits": False, "map_name": name}
    with with_servers(settings.model_copy(update=own)) as filled:
        found = pace.run(_play(filled, folder, peak, pace, seen))
    return {"map": map_name or name, **msgspec.structs.asdict(peak), **found}


def _imported(settings: Settings, name: str) -> tuple[str, Path]:
    """Lend a map of the installation to the servers of the benchmark."""
    folder = map_dir(Settings().data_dir, name)
    if folder is None:
        raise Refused(f"There is no map {name}: see `onward map list`; central Helsinki needs no --map.")
    lent = f"lent-{name}"
    link = maps_folder(settings.data_dir) / lent
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
    return lent, folder


async def _play(settings: Settings, folder: Path, peak: Peak, pace: Pace, seen: Seen) -> dict[str, Any]:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    machine = Machine(pace)
    async with running(settings, pace) as (installation, url):
        await installation.parts[Planner].warm_up()  # loading takes its time: on a fast clock, minutes of the peak
        plan = make_plan(load_map(folder), seed=peak.seed, couriers=peak.drivers, businesses=BUSINESSES)
        access = await seed_city(installation.db, plan)
        if peak.moves:
            async with installation.db.platform_tx(Reason.SEED) as con:
                await con.execute("UPDATE operators SET policy = $1", {"moves": True})
        with tempfile.TemporaryDirectory() as scratch:
            result = Path(scratch) / "result.json"
            orders = Orders(
                url=url,
                map_dir=str(folder),
                result_file=str(result),
                seed=peak.seed,
                for_s=None,
                orders_per_minute=peak.orders_per_hour / 60,
                faults=True,
                access=access,
                orders_for_s=peak.minutes * 60,
                quick_orders=0,
                preparation_s=peak.preparation_s,
                fix_every_s=FIX_EVERY_S,
                pace=pace,
            )
            watch = _watch(installation.db, peak.minutes * 60, stop, seen, machine)
            report = await simulate(orders, Path(scratch) / "orders.json", result, stop, watch)
        async with installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
            rows = await con.fetch(_ROWS)
            offers = await con.fetch("SELECT status, count(*) AS n FROM offers GROUP BY status ORDER BY status")
            told = await con.fetchval("SELECT count(*) FROM driver_moves")
            pools = await con.fetch("SELECT pool, count(*) AS n FROM driver_profiles GROUP BY pool ORDER BY pool")
    drivers = {row["pool"]: row["n"] for row in pools}
    return {
        **figures(rows, {row["status"]: row["n"] for row in offers}, drivers, peak.minutes),
        "moves_told": told,
        **_health(report, machine),
    }


class Machine:
    """Whether this machine keeps up with the clock; while it does not, time goes as slow as in life."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._started = time.monotonic(), pace.seconds()
        self.lags_s: list[float] = []
        """How much later than planned the event loop woke up, in the city's seconds."""

    async def keep_up(self, db: Database) -> None:
        """Wait a little, then choose the pace by how long work is waiting."""
        before = self._pace.seconds()
        await asyncio.sleep(KEEP_UP_EVERY_S)
        self.lags_s.append(self._pace.seconds() - before - KEEP_UP_EVERY_S)
        async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
            waiting_s = await con.fetchval(
                """SELECT extract(epoch FROM clock_timestamp() - min(next_attempt_at))::float8
                   FROM outbox WHERE done_at IS NULL AND next_attempt_at <= clock_timestamp()"""
            )
        self._pace.go(1.0 if (waiting_s or 0.0) > BEHIND_MAX_S else self._pace.speed)

    def speed(self) -> float:
        """Return how many times faster than life it went."""
        machine_s, ours_s = self._started
        return (self._pace.seconds() - ours_s) / (time.monotonic() - machine_s)


async def _watch(db: Database, for_s: float, stop: asyncio.Event, seen: Seen, machine: Machine) -> None:
    """Say how it goes, and stop when all that was ordered in the time is brought, or never will be."""
    clock = asyncio.get_running_loop().time
    started = looked = clock()
    while True:
        await machine.keep_up(db)
        if clock() - looked < LOOK_EVERY_S:
            continue
        looked = clock()
        async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
            placed = await con.fetchval("SELECT count(*) FROM orders")
            moving = await con.fetchval("SELECT count(*) FROM orders WHERE NOT status = ANY($1)", list(ENDED))
        seen(min(1.0, (looked - started) / for_s), f"{placed} orders, {moving} on their way")
        over_s = looked - started - for_s
        if over_s > DRAIN_MAX_S or (over_s > START_S and not moving):
            stop.set()


def figures(rows: list[Record], offers: dict[str, int], drivers: dict[str, int], minutes: float) -> dict[str, Any]:
    """Return what customers and couriers got, from orders with their deliveries, offers by status, drivers by pool.

    Pay is told by pool: who works for one business comes first there, and is no measure of who shares everybody's.
    """
    delivered = [row for row in rows if row["delivery_status"] == "delivered"]
    begin = min((row["placed_at"] for row in rows), default=None)
    of_pool = {pool: [row for row in delivered if row["pool"] == pool] for pool in drivers}
    answered = sum(offers.get(status, 0) for status in ("accepted", "declined", "expired"))
    busy_s = 0.0
    if begin is not None:
        end = begin + timedelta(minutes=minutes)
        for mine in _by_driver(delivered).values():
            spans = [(max(begin, row["assigned_at"]), min(end, row["finished_at"])) for row in mine]
            busy_s += union_s(spans)
    return {
        "orders": len(rows),
        "delivered": len(delivered),
        "undelivered": len(rows) - len(delivered),
        **_doors(delivered),
        "utilisation": round(busy_s / (sum(drivers.values()) * minutes * 60), 3),
        "pay": {pool: _pay(of_pool[pool], count) for pool, count in drivers.items()},
        "acceptance": round(offers.get("accepted", 0) / max(1, answered), 3),
        "offers_per_delivery": round(sum(offers.values()) / max(1, len(delivered)), 2),
        "offers": offers,
        "per_hour": [
            {
                "orders": len(mine),
                "delivered": len(brought := [row for row in mine if row["delivery_status"] == "delivered"]),
                **_doors(brought),
            }
            for mine in _by_hour(rows, begin)
        ],
    }


def jain(values: np.ndarray[Any, Any]) -> float:
    """Return Jain's index of fairness: 1 when all get the same, 1/n when one gets everything."""
    return float(values.sum() ** 2 / (len(values) * (values**2).sum())) if values.any() else 1.0


def gini(values: np.ndarray[Any, Any]) -> float:
    """Return the Gini coefficient: 0 when all get the same, towards 1 when one gets everything."""
    if not values.any():
        return 0.0
    ranks = np.arange(1, len(values) + 1)
    return float((2 * ranks - len(values) - 1) @ np.sort(values) / (len(values) * values.sum()))


def union_s(spans: list[tuple[datetime, datetime]]) -> float:
    """Return the seconds that spans of time cover together."""
    covered, until = 0.0, None
    for start, end in sorted(spans):
        since = start if until is None else max(start, until)
        if end > since:
            covered += (end - since).total_seconds()
            until = end
    return covered


def _pay(delivered: list[Record], drivers: int) -> dict[str, Any]:
    """Return how one pool's pay is shared; `jain_best`: what whole deliveries would allow at most."""
    pay = np.zeros(drivers)
    for number, mine in enumerate(_by_driver(delivered).values()):
        pay[number] = sum(row["driver_pay_minor"] for row in mine)
    whole, more = divmod(len(delivered), drivers)
    best = jain(np.array([whole + 1] * more + [whole] * (drivers - more)))
    return {
        "drivers": drivers,
        "minor_mean": round(float(pay.mean())),
        "jain": round(jain(pay), 3),
        "jain_best": round(best, 3),
        "gini": round(gini(pay), 3),
    }


def _doors(delivered: list[Record]) -> dict[str, Any]:
    """Return minutes from the click and from when it was ready to the door, and to the pickup, and the share that came
    later than promised; nothing of nothing. What comes before it is ready is the kitchen's, the rest the dispatcher's.
    """
    late = [row["finished_at"] > row["promised_at"] for row in delivered]
    return {
        "click_to_door_min": _minutes(delivered, "placed_at", "finished_at"),
        "ready_to_pickup_min": _minutes(delivered, "ready_at", "picked_up_at"),
        "ready_to_door_min": _minutes(delivered, "ready_at", "finished_at"),
        "door_to_promise_min": _minutes(delivered, "finished_at", "promised_at"),
        "late_share": round(float(np.mean(late)), 4) if late else 0.0,
    }


def _minutes(rows: list[Record], since: str, until: str) -> dict[str, float]:
    if not rows:
        return {}
    minutes = [(row[until] - row[since]).total_seconds() / 60 for row in rows]
    return {"mean": round(float(np.mean(minutes)), 1), "p90": round(float(np.quantile(minutes, 0.9)), 1)}


def _by_driver(delivered: list[Record]) -> dict[Any, list[Record]]:
    mine: dict[Any, list[Record]] = {}
    for row in delivered:
        mine.setdefault(row["driver_id"], []).append(row)
    return mine


def _by_hour(rows: list[Record], begin: datetime | None) -> list[list[Record]]:
    hours: list[list[Record]] = []
    for row in rows:
        hour = int((row["placed_at"] - begin).total_seconds() // 3600) if begin else 0
        while len(hours) <= hour:
            hours.append([])
        hours[hour].append(row)
    return hours


def _health(report: Report, machine: Machine) -> dict[str, Any]:
    """Return how server and machine did."""
    lags_s = machine.lags_s or [0.0]
    return {
        "tick_ms": report.tick_ms,
        "times_life": round(machine.speed(), 1),
        "clock_lag_s": {f"p{share}": round(float(np.percentile(lags_s, share)), 2) for share in (50, 99)},
        "double_assigned": report.double_assigned,
        "cross_tenant_leaks": report.cross_tenant_leaks,
        "errors": report.errors,
        "error_texts": report.error_texts,
    }
