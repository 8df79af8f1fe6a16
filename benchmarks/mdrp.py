"""The Meal Delivery Routing Problem: whole days of a city's orders, played through the engine minute by minute.

Reyes, Erera, Savelsbergh, Sahasrabudhe, O'Neil, "The Meal Delivery Routing Problem" (2018). Instances and their rules:
https://github.com/grubhub/mdrplib. An order is unknown before it is placed; a courier on his way is not diverted, but
what he will pick up there may change until he does. Every solution is judged by a checker of its own below.
"""

from __future__ import annotations

import csv
import math
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
from msgspec.structs import replace
from ortools.sat.python import cp_model

from dispatch.engine.legs import PlaneLegs
from dispatch.engine.load import second_price
from dispatch.engine.plan import Plan
from dispatch.engine.problem import NOWHERE, Driver, Job, Problem
from dispatch.engine.solve import solve

SHOP: Final = UUID(int=0)
AHEAD_MIN: Final = 15
DEMAND_HALF_LIFE_MIN: Final = 60.0
MINUTE: Final = 60


@dataclass
class Order:
    """One order; moments are minutes of the day."""

    id: str
    x: float
    y: float
    placed: int
    restaurant: str
    ready: int
    number: int = 0


@dataclass
class Courier:
    """One courier and where he is in his day."""

    id: str
    x: float
    y: float
    on: int
    off: int
    number: int = 0
    place: int = 0
    free: int = 0
    heading_to: int = NOWHERE
    jobs: tuple[int, ...] = ()
    assigned_at: int = 0
    departures: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass
class Instance:
    """One day of one city."""

    name: str
    orders: list[Order]
    couriers: list[Courier]
    restaurants: dict[str, tuple[float, float]]
    meters_per_minute: float
    pickup_service: int
    dropoff_service: int
    max_click_to_door: int
    pay_per_order: int
    pay_per_hour: int

    def minutes(self, a: tuple[float, float], b: tuple[float, float]) -> int:
        """Return whole minutes between two points, rounded up."""
        return math.ceil(math.hypot(a[0] - b[0], a[1] - b[1]) / self.meters_per_minute - 1e-9)


def load(folder: Path) -> Instance:
    """Read one instance's four tab-separated files."""
    parameters = next(_rows(folder / "instance_parameters.txt"))
    couriers = [
        Courier(r["courier"], float(r["x"]), float(r["y"]), int(r["on_time"]), int(r["off_time"]))
        for r in _rows(folder / "couriers.txt")
    ]
    orders = [
        Order(r["order"], float(r["x"]), float(r["y"]), int(r["placement_time"]), r["restaurant"], int(r["ready_time"]))
        for r in _rows(folder / "orders.txt")
    ]
    orders.sort(key=lambda order: (order.placed, order.id))
    for number, order in enumerate(orders):
        order.number = number
    for number, courier in enumerate(couriers):
        courier.number = number
    values = list(parameters.values())
    return Instance(
        name=folder.name,
        orders=orders,
        couriers=couriers,
        restaurants={r["restaurant"]: (float(r["x"]), float(r["y"])) for r in _rows(folder / "restaurants.txt")},
        meters_per_minute=float(values[0]),
        pickup_service=int(values[1]),
        dropoff_service=int(values[2]),
        max_click_to_door=int(values[4]),
        pay_per_order=int(values[5]),
        pay_per_hour=int(values[6]),
    )


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t")


class Day:
    """Plays one instance: every minute the engine is asked, and what it commits to happens."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        names = list(instance.restaurants)
        self.restaurant = {name: number for number, name in enumerate(names)}
        points = [*instance.restaurants.values(), *((o.x, o.y) for o in instance.orders)]
        self.first_door, self.first_start = len(names), len(names) + len(instance.orders)
        points += [(c.x, c.y) for c in instance.couriers]
        self.labels = names + [order.id for order in instance.orders] + ["0"] * len(instance.couriers)
        self.legs = PlaneLegs(np.array(points, np.float64), instance.meters_per_minute / MINUTE, MINUTE)
        for courier in instance.couriers:
            courier.place, courier.free = self.first_start + courier.number, courier.on
        self.picked: dict[int, int] = {}
        self.dropped: dict[int, int] = {}
        self.by: dict[int, int] = {}
        self.trips: list[tuple[int, int, int, tuple[int, ...]]] = []
        self.cpu_ms: list[float] = []
        self._open: dict[int, Order] = {}
        self._demand: defaultdict[int, float] = defaultdict(float)

    def play(self) -> None:
        """Play the whole day."""
        orders, couriers = self.instance.orders, self.instance.couriers
        coming = 0
        first = min(orders[0].placed, *(c.on for c in couriers))
        last = max(orders[-1].placed, *(c.off for c in couriers))
        for now in range(first, last + 1):
            while coming < len(orders) and orders[coming].placed <= now:
                self._open[coming] = orders[coming]
                self._demand[self.restaurant[orders[coming].restaurant]] += 1
                coming += 1
            self._decide(now)
            for courier in couriers:
                if courier.heading_to != NOWHERE:
                    self._pick_up(courier, now)

    def _decide(self, now: int) -> None:
        couriers = [c for c in self.instance.couriers if c.on <= now + AHEAD_MIN and now <= c.off and c.free <= c.off]
        open_orders = list(self._open.values())
        if not couriers or not (open_orders or self._demand):
            return
        started = time.process_time()
        problem = self.problem(now, couriers, open_orders)
        plan = solve(problem)
        self.cpu_ms.append((time.process_time() - started) * 1000)
        self._commit(now, couriers, open_orders, plan)

    def problem(self, now: int, couriers: list[Courier], open_orders: list[Order]) -> Problem:
        total = sum(self._demand.values()) or 1.0
        problem = Problem(
            now_ms=now * MINUTE * 1000,
            drivers=tuple(
                Driver(
                    id=UUID(int=c.number),
                    place=c.place,
                    free_s=(max(c.free, c.on) - now) * MINUTE,
                    off_s=(c.off - now) * MINUTE,
                    heading_to=c.heading_to,
                )
                for c in couriers
            ),
            jobs=tuple(
                Job(
                    id=UUID(int=o.number),
                    business_id=SHOP,
                    pickup=self.restaurant[o.restaurant],
                    dropoff=self.first_door + o.number,
                    placed_s=(o.placed - now) * MINUTE,
                    ready_s=(o.ready - now) * MINUTE,
                    promised_s=(o.placed + self.instance.max_click_to_door - now) * MINUTE,
                )
                for o in open_orders
            ),
            legs=self.legs,
            pickup_service_s=self.instance.pickup_service * MINUTE,
            dropoff_service_s=self.instance.dropoff_service * MINUTE,
            epoch_s=MINUTE,
            demand=tuple((place, count / total) for place, count in self._demand.items()),
        )
        for place in self._demand:
            self._demand[place] *= 0.5 ** (1 / DEMAND_HALF_LIFE_MIN)
        return replace(problem, second_price=second_price(problem))

    def _commit(self, now: int, couriers: list[Courier], open_orders: list[Order], plan: Plan) -> None:
        for courier in couriers:
            courier.jobs = ()
        for route in plan.routes:
            courier, trip = couriers[route.driver], route.trips[0]
            jobs = tuple(open_orders[job].number for job in trip.jobs)
            if courier.heading_to != NOWHERE:
                courier.jobs = jobs
            elif route.commit and max(courier.free, courier.on) <= now:
                self._send(courier, now, trip.pickup)
                courier.jobs = jobs
        for move in plan.moves:
            courier = couriers[move.driver]
            if courier.heading_to == NOWHERE and courier.on <= now:
                self._send(courier, now, move.place)
                courier.heading_to = NOWHERE

    def _send(self, courier: Courier, now: int, place: int) -> None:
        ids = np.array([courier.place]), np.array([place]), np.zeros(1, np.int64)
        if courier.place != place:
            courier.departures.append((now, self.labels[courier.place], self.labels[place]))
        courier.free = now + int(self.legs.seconds(*ids)[0]) // MINUTE
        courier.place, courier.heading_to, courier.assigned_at = place, place, now

    def _pick_up(self, courier: Courier, now: int) -> None:
        half_pickup, half_dropoff = self.instance.pickup_service // 2, self.instance.dropoff_service // 2
        if not courier.jobs:
            if courier.free <= now:
                courier.heading_to = NOWHERE
            return
        at = max(courier.free + half_pickup, *(self._open[job].ready for job in courier.jobs))
        if at > now:
            return
        leave, place = at + half_pickup, courier.place
        for job in courier.jobs:
            door = self.first_door + job
            ids = np.array([place]), np.array([door]), np.zeros(1, np.int64)
            courier.departures.append((leave, self.labels[place], self.labels[door]))
            arrived = leave + int(self.legs.seconds(*ids)[0]) // MINUTE + half_dropoff
            self.picked[job], self.dropped[job], self.by[job] = at, arrived, courier.number
            leave, place = arrived + half_dropoff, door
            del self._open[job]
        self.trips.append((courier.assigned_at, at, courier.number, courier.jobs))
        courier.place, courier.free, courier.heading_to, courier.jobs = place, leave, NOWHERE, ()


def check(day: Day) -> list[str]:
    """Look at a played day again, from its trips alone; return what breaks the rules."""
    instance, faults = day.instance, []
    by_courier: dict[int, list[tuple[int, int, int, tuple[int, ...]]]] = defaultdict(list)
    for trip in day.trips:
        by_courier[trip[2]].append(trip)
    seen: set[int] = set()
    for number, trips in by_courier.items():
        courier = instance.couriers[number]
        at, free = (courier.x, courier.y), courier.on
        for _, pickup, _, jobs in sorted(trips, key=lambda trip: trip[1]):
            orders = [instance.orders[job] for job in jobs]
            store = instance.restaurants[orders[0].restaurant]
            if {order.restaurant for order in orders} != {orders[0].restaurant}:
                faults.append(f"courier {courier.id} picks up at two restaurants at once")
            if seen & set(jobs):
                faults.append(f"courier {courier.id} brings an order twice")
            if pickup < max(order.placed for order in orders):
                faults.append(f"courier {courier.id} picks up an order that was not placed yet")
            if pickup > courier.off:
                faults.append(f"courier {courier.id} picks up after his shift")
            earliest = max(
                free + instance.minutes(at, store) + instance.pickup_service // 2, *(o.ready for o in orders), 0
            )
            if pickup < earliest:
                faults.append(f"courier {courier.id} is at a restaurant {earliest - pickup} minutes too early")
            seen |= set(jobs)
            free, at = pickup + instance.pickup_service // 2, store
            for job, order in zip(jobs, orders, strict=True):
                door = free + instance.minutes(at, (order.x, order.y)) + instance.dropoff_service // 2
                if day.dropped[job] != door:
                    faults.append(f"order {order.id} is at its door at {door}, not {day.dropped[job]}")
                free, at = door + instance.dropoff_service // 2, (order.x, order.y)
    return faults


def measure(day: Day) -> dict[str, float]:
    """Return the field's figures of one played day."""
    instance = day.instance
    done = [order for order in instance.orders if order.number in day.dropped]
    click_to_door = np.array([day.dropped[o.number] - o.placed for o in done])
    services = instance.pickup_service // 2 + instance.dropoff_service // 2
    floor = np.array(
        [o.ready - o.placed + services + instance.minutes(instance.restaurants[o.restaurant], (o.x, o.y)) for o in done]
    )
    count: defaultdict[int, int] = defaultdict(int)
    for number in day.by.values():
        count[number] += 1
    pay = sum(
        max(instance.pay_per_order * count[c.number], instance.pay_per_hour * (c.off - c.on) / 60)
        for c in instance.couriers
    )
    return {
        "orders": len(instance.orders),
        "ctd_mean": float(click_to_door.mean()),
        "ctd_p90": float(np.percentile(click_to_door, 90)),
        "ready_to_pickup": float(np.mean([day.picked[o.number] - o.ready for o in done])),
        "avoidable_min": float((click_to_door - floor).mean()),
        "undelivered_pct": 100 * (1 - len(done) / len(instance.orders)),
        "orders_per_bundle": len(done) / max(1, len(day.trips)),
        "cost_per_order": pay / max(1, len(done)),
        "epoch_cpu_ms_max": max(day.cpu_ms),
        "epoch_cpu_ms_p50": float(np.median(day.cpu_ms)),
        "cpu_s": sum(day.cpu_ms) / 1000,
    }


FIGURES: Final = (
    "ctd_mean", "ctd_p90", "ready_to_pickup", "avoidable_min", "undelivered_pct", "orders_per_bundle", "cost_per_order",
)  # fmt: skip

PUBLISHED: Final[dict[str, tuple[float, float]]] = {
    "0r50t100s1p100": (32.46, 30.76), "0r50t100s1p125": (36.75, 34.66), "0r50t100s2p100": (31.21, 29.93),
    "0r50t100s2p125": (35.60, 33.86), "0r50t75s1p100": (29.57, 28.47), "0r50t75s1p125": (33.71, 32.45),
    "0r50t75s2p100": (29.03, 27.95), "0r50t75s2p125": (33.41, 32.00),
}  # fmt: skip
"""Click to door of the paper's rolling horizon, and of its near-optimum that knows the whole day (its table 4)."""


def write(day: Day, folder: Path) -> None:
    """Write a played day as the three files that mdrplib's own evaluator reads."""
    orders, couriers = day.instance.orders, day.instance.couriers
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["assignment_time pickup_time courier orders"]
    for assigned, pickup, courier, jobs in day.trips:
        lines.append(f"{assigned} {pickup} {couriers[courier].id} {' '.join(orders[job].id for job in jobs)}")
    (folder / "solution_info_assignments.txt").write_text("\n".join(lines) + "\n")
    lines = ["order placement_time ready_time pickup_time dropoff_time courier"]
    for order in orders:
        served = order.number in day.dropped
        moments = f"{day.picked[order.number]} {day.dropped[order.number]}" if served else "NA NA"
        who = couriers[day.by[order.number]].id if served else "NA"
        lines.append(f"{order.id} {order.placed} {order.ready} {moments} {who}")
    (folder / "solution_info_orders.txt").write_text("\n".join(lines) + "\n")
    lines = ["courier departure_time departure_location arrival_location"]
    for one in couriers:
        lines += [f"{one.id} {at} {start} {end}" for at, start, end in one.departures]
    (folder / "solution_info_couriers.txt").write_text("\n".join(lines) + "\n")


def play(folder: Path, out: Path | None = None) -> dict[str, float | str]:
    """Play one instance's day; return its name and figures. Raises `RuntimeError` when the checker finds a fault."""
    day = Day(load(folder))
    cp_model.CpModel()  # the solvers are loaded before the clock runs
    solve(day.problem(0, day.instance.couriers[:1], day.instance.orders[:1]))
    day.play()
    if faults := check(day):
        raise RuntimeError(f"{folder.name}: {faults[0]} ({len(faults)} faults)")
    if out is not None:
        write(day, out / folder.name)
    return {"instance": folder.name, **measure(day)}


def instances(folder: Path) -> list[Path]:
    """Return the instance folders at or below a folder."""
    return sorted(file.parent for file in folder.rglob("instance_parameters.txt"))


def play_all(
    folders: list[Path], out: Path | None, jobs: int, told: Callable[[dict[str, float | str]], None]
) -> list[dict[str, float | str]]:
    """Play instances in `jobs` processes, the big ones first; `told` hears of each when it is done."""
    by_size = sorted(folders, key=lambda folder: -(folder / "orders.txt").stat().st_size)
    results = []
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(play, folder, out) for folder in by_size]):
            results.append(done.result())
            told(results[-1])
    return sorted(results, key=lambda result: str(result["instance"]))


def summary(results: list[dict[str, float | str]]) -> dict[str, float]:
    """Return the means over instances, and the worst epoch of all."""
    means = {name: round(float(np.mean([float(result[name]) for result in results])), 3) for name in FIGURES}
    worst = max(float(result["epoch_cpu_ms_max"]) for result in results)
    cpu_s = sum(float(result["cpu_s"]) for result in results)
    gaps = [
        (float(result["ctd_mean"]) - best) / (published - best)
        for result in results
        for published, best in [PUBLISHED.get(str(result["instance"]), (0.0, 0.0))]
        if best
    ]
    if gaps:  # 1 is the published algorithm, 0 knowing everything ahead
        means["gap_to_clairvoyant"] = round(float(np.mean(gaps)), 3)
    return {"instances": len(results), **means, "epoch_cpu_ms_max": round(worst, 1), "cpu_s": round(cpu_s, 1)}
