"""The simulator's own process: `python -m onward.simulator.run PLAN` lets a planned city live and reports as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import traceback
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import uvloop

from kernel.clock import Clock, SystemClock
from onward.maps.store import load_map
from onward.pace import Pace
from onward.seed import Access
from onward.simulator.checkers import BoardWatcher, Ledger, probe_tenants, running
from onward.simulator.courier import Courier
from onward.simulator.plan import FIRST_ORDERS, demand, make_plan
from onward.simulator.shops import Customers, Kitchen, call

STAGGER_S: Final = 0.03
HOME_DEADLINE_S: Final = 30.0
REQUEST_TIMEOUT_S: Final = 20.0
FOR_EVER_S: Final = 10**9


class Orders(msgspec.Struct, frozen=True):
    """What a run is told, in a file, because it holds tokens."""

    url: str
    map_dir: str
    result_file: str
    seed: int
    for_s: float | None
    orders_per_minute: float
    faults: bool
    access: Access
    orders_for_s: float = FOR_EVER_S
    quick_orders: int = FIRST_ORDERS
    preparation_s: tuple[int, int] = (15, 50)
    fix_every_s: float = 1.0
    pace: Pace | None = None

    @property
    def clock(self) -> Clock:
        """The pace's, or the machine's own."""
        return self.pace or SystemClock()


class Counts(msgspec.Struct, kw_only=True):
    """What a run saw, in numbers; times in milliseconds."""

    fixes_sent: int
    fixes_acked: int
    orders_placed: int
    deliveries_created: int
    deliveries_delivered: int
    deliveries_canceled: int
    deliveries_moving: int
    offers: int
    double_assigned: int
    cross_tenant_leaks: int
    tenant_probes: int
    reconnects: int
    fix_to_viewer_ms: dict[str, float]
    tick_ms: dict[str, float]
    nacks: dict[str, int]
    rejected: dict[str, int]
    errors: int
    error_texts: list[str]


class Report(Counts, kw_only=True):
    """The numbers, and for the check against history the device times of acknowledged fixes by driver."""

    acked: dict[str, list[int]]


async def live(orders: Orders, stop: asyncio.Event) -> Report:
    """Let the city live for its time; return what was seen."""
    city = load_map(Path(orders.map_dir))
    access, url = orders.access, orders.url
    plan = make_plan(city, seed=orders.seed, couriers=len(access.couriers), businesses=len(access.businesses))
    ledger = Ledger()
    clock = orders.clock
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S * clock.speed)
    async with aiohttp.ClientSession(url, timeout=timeout) as http:
        operator = BoardWatcher(url, access.admin_token, ledger)
        boards = [BoardWatcher(url, b.token, ledger, business_id=b.id) for b in access.businesses]
        kitchens = [
            Kitchen(http, business, ledger, orders.seed * 100 + n, orders.preparation_s)
            for n, business in enumerate(access.businesses)
        ]
        customers = Customers(http, url, access.businesses, ledger)
        couriers = [
            Courier(
                city,
                planned,
                own,
                url=url,
                http=http,
                ledger=ledger,
                faults=orders.faults,
                clock=clock,
                fix_every_s=orders.fix_every_s,
            )
            for planned, own in zip(plan.couriers, access.couriers, strict=True)
        ]
        everybody = demand(city, plan, per_minute=orders.orders_per_minute, quick=orders.quick_orders)
        hungry = takewhile(lambda order: order.at_s < orders.orders_for_s, everybody)
        async with running(operator.watch(), *(board.watch() for board in boards)):
            async with running(
                *(kitchen.work() for kitchen in kitchens),
                customers.order(hungry),
                _start_all(couriers, ledger),
            ):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), orders.for_s or FOR_EVER_S)
            try:
                async with asyncio.timeout(HOME_DEADLINE_S * clock.speed):
                    await asyncio.gather(*(courier.come_home() for courier in couriers))
            except TimeoutError:
                ledger.error("some fixes were never acknowledged")
            await asyncio.gather(*(courier.hang_up() for courier in couriers))
            probes = await probe_tenants(http, access, boards, ledger)
        path = "/api/v1/admin/platform-metrics"
        platform = await call(http, ledger, "GET", path, token=access.admin_token)
    return _report(ledger, couriers, access, platform, probes)


async def _start_all(couriers: list[Courier], ledger: Ledger) -> None:
    """Start the couriers one after the other; an exception in one of them is an error of the run."""

    async def live(courier: Courier) -> None:
        try:
            await courier.live()
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            ledger.error(f"a courier gave up: {error!r} in {where.name}, line {where.lineno}")

    async with asyncio.TaskGroup() as group:
        for courier in couriers:
            group.create_task(live(courier))
            await asyncio.sleep(STAGGER_S)


def _report(ledger: Ledger, couriers: list[Courier], access: Access, platform: Any, probes: int) -> Report:
    by_status: dict[str, int] = platform["deliveries"]
    finished = {"delivered", "canceled", "failed", "returned"}
    rejected: dict[str, int] = {}
    for courier in couriers:
        for reason, count in courier.client.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + count
    return Report(
        fixes_sent=sum(courier.client.fixes_sent for courier in couriers),
        fixes_acked=sum(len(courier.acked_fixes) for courier in couriers),
        orders_placed=ledger.orders,
        deliveries_created=sum(by_status.values()),
        deliveries_delivered=by_status.get("delivered", 0),
        deliveries_canceled=sum(by_status.get(status, 0) for status in finished - {"delivered"}),
        deliveries_moving=sum(count for status, count in by_status.items() if status not in finished),
        offers=sum(platform["offers"].values()),
        double_assigned=ledger.double_assigned,
        cross_tenant_leaks=ledger.leaks,
        tenant_probes=probes,
        reconnects=sum(courier.client.connections - 1 for courier in couriers),
        fix_to_viewer_ms=ledger.latency(),
        tick_ms=platform["tick_ms"],
        nacks=dict(ledger.nacks),
        rejected=rejected,
        errors=ledger.error_count,
        error_texts=ledger.errors,
        acked={own.id: c.acked_fixes for own, c in zip(access.couriers, couriers, strict=True)},
    )


async def until_told(orders: Orders) -> Report:
    """Live until the time is over or the process is told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await live(orders, stop)


def main(file: Path) -> None:
    """Run what the file says and write the report where it says."""
    orders = msgspec.json.decode(file.read_bytes(), type=Orders)
    report = orders.pace.run(until_told(orders)) if orders.pace else uvloop.run(until_told(orders))
    Path(orders.result_file).write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
