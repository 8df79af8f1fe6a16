"""What a route costs, term by term: the terms stay apart so that a decision can be explained.

Costs are hundredths of weighted seconds. Dedicated drivers come first as a price, not a wall: a pool driver is taken
when the business' own would be later than that price is worth. A driver's second is dearer the busier everybody is,
and free after his shift: a last long way home costs nobody's next order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dispatch.engine.bundles import Bundles
from dispatch.engine.candidates import eligible
from dispatch.engine.problem import NOWHERE, REACH_MAX_S, Ints, Problem

TERMS = ("delay", "lateness", "driver_time", "empty_travel", "dedicated_first", "fairness")

CELLS_AT_ONCE: Final = 30_000
"""Prices made at once: what they are made of stays in the processor's cache."""


class Terms(msgspec.Struct, frozen=True):
    """The price of one route, or of one driver for one job."""

    delay: int = 0
    lateness: int = 0
    driver_time: int = 0
    empty_travel: int = 0
    dedicated_first: int = 0
    fairness: int = 0

    @property
    def total(self) -> int:
        """The sum that is minimised."""
        return sum(getattr(self, name) for name in TERMS)


@dataclass(slots=True)
class Priced:
    """n routes priced at once: each term (n,), when each driver must leave (n,), is free again (n,) and where (n,)."""

    terms: dict[str, Ints]
    start_by_s: Ints
    end_s: Ints
    end_place: Ints
    feasible: Ints

    @property
    def total(self) -> Ints:
        """The sum of the terms."""
        return np.asarray(sum(self.terms.values()), np.int64)


class Pricer:
    """A problem as arrays, with the legs inside its bundles looked up once."""

    def __init__(self, problem: Problem, bundles: Bundles) -> None:
        self.problem = problem
        self.bundles = bundles
        drivers, jobs = problem.drivers, problem.jobs
        self.place = np.array([driver.place for driver in drivers], np.int64)
        self.free_s = np.array([problem.begins_s(driver) for driver in drivers], np.int64)
        self.off_s = np.array([driver.off_s for driver in drivers], np.int64)
        self.vehicle = np.array([driver.vehicle for driver in drivers], np.int64)
        self.heading_to = np.array([driver.heading_to for driver in drivers], np.int64)
        self.stack_max = np.array([driver.stack_max for driver in drivers], np.int64)
        self.dropoff = np.array([job.dropoff for job in jobs], np.int64)
        self.pickup = np.array([job.pickup for job in jobs], np.int64)
        self.ready_s = np.array([job.ready_s for job in jobs], np.int64)
        self.promised_s = np.array([job.promised_s for job in jobs], np.int64)
        worth = [problem.job_weights(job) for job in jobs]
        self.delay_weight = np.array([weights.delay for weights in worth], np.int64)
        self.lateness_weight = np.array([weights.lateness for weights in worth], np.int64)
        self.left_open = np.array([weights.open_cost for weights in worth], np.int64)
        self.vehicles = np.unique(self.vehicle) if len(drivers) else np.zeros(1, np.int64)

    @cached_property
    def eligible(self) -> NDArray[np.bool_]:
        """Who may do what by rule (drivers, jobs)."""
        return eligible(self.problem)

    @cached_property
    def floor_s(self) -> Ints:
        """When a private driver waiting at the store would be at each job's door (jobs,)."""
        half_pickup, half_dropoff = self.problem.half_services()
        ways = [self.problem.legs.seconds(self.pickup, self.dropoff, np.full(1, v)) for v in self.vehicles]
        return np.asarray(self.ready_s + half_pickup + np.min(ways, axis=0) + half_dropoff, np.int64)

    @cached_property
    def door_after_s(self) -> Ints:
        """Seconds from the moment of pickup to the moment at each door (vehicles, bundles, 3), and at last to leaving.

        The last axis has four entries: three doors (0 where there is none) and the driver's being free again. Of a
        second store they begin at the moment of pickup there.
        """
        half_pickup, half_dropoff = self.problem.half_services()
        jobs, then = self.bundles.jobs, self.bundles.then
        out = np.zeros((int(self.vehicles.max()) + 1, len(jobs), jobs.shape[1] + 1), np.int64)
        for vehicle in self.vehicles:
            place, now = np.where(then == NOWHERE, self.bundles.pickup, then), np.full(len(jobs), half_pickup)
            for k in range(jobs.shape[1]):
                here = np.flatnonzero(jobs[:, k] >= 0)
                door = self.dropoff[jobs[here, k]]
                now[here] += self.problem.legs.seconds(place[here], door, np.full(1, vehicle)) + half_dropoff
                out[vehicle, here, k] = now[here]
                now[here] += half_dropoff
                place[here] = door
            out[vehicle, :, -1] = now
        return out

    @cached_property
    def to_then_s(self) -> Ints:
        """Seconds from the moment of pickup to that at the second store (vehicles, bundles); 0 where there is none."""
        bundles = self.bundles
        two = np.flatnonzero(bundles.then != NOWHERE)
        out = np.zeros((int(self.vehicles.max()) + 1, len(bundles)), np.int64)
        for vehicle in self.vehicles:
            way = self.problem.legs.seconds(bundles.pickup[two], bundles.then[two], np.full(1, vehicle))
            out[vehicle, two] = way + 2 * self.problem.half_services()[0]
        return out

    @cached_property
    def detours(self) -> Ints:
        """What is known of each detour (detours, 6): prices of delay and lateness, time, start, end and last place."""
        rows = [
            (one.delay, one.late, one.longer_s, one.start_by_s, one.end_s, one.end_place)
            for one in self.bundles.detours
        ]
        return np.array(rows, np.int64).reshape(-1, 6)

    @cached_property
    def end_place(self) -> Ints:
        """The last door of each bundle (bundles,)."""
        last = self.bundles.jobs[np.arange(len(self.bundles)), self.bundles.size - 1]
        return np.asarray(self.dropoff[last], np.int64)

    @cached_property
    def share(self) -> Ints:
        """What one more job costs each driver for the sake of the others' share (drivers,)."""
        return self.problem.weights.fairness * np.array([driver.jobs_done for driver in self.problem.drivers], np.int64)

    @cached_property
    def dedicated(self) -> Ints | None:
        """What it costs that a driver is not the job's business' own (drivers, jobs); None when nobody is anybody's."""
        weights, drivers, jobs = self.problem.weights, self.problem.drivers, self.problem.jobs
        businesses = {job.business_id for job in jobs}
        if not any(businesses & driver.business_priority.keys() for driver in drivers):
            return None
        number = {business: n for n, business in enumerate(businesses)}
        price = np.full((len(drivers), len(businesses)), weights.pool_instead_of_dedicated, np.int64)
        for d, driver in enumerate(drivers):
            if driver.pool == "dedicated":
                for business in businesses & driver.business_priority.keys():
                    step = driver.business_priority[business] - 1
                    price[d, number[business]] = weights.dedicated_priority_step * step
        return np.asarray(price[:, [number[job.business_id] for job in jobs]])

    def per_second(self) -> int:
        """Return what a busy driver's second costs."""
        return self.problem.weights.driver_time + self.problem.second_price

    def route(self, driver: Ints, bundles: tuple[Ints, ...]) -> Priced:
        """Price routes: for each driver (n,) one bundle number (n,) after the other, -1 for none."""
        terms = {name: np.zeros(len(driver), np.int64) for name in TERMS}
        place, at_s = self.place[driver], self.free_s[driver]
        feasible = np.ones(len(driver), bool)
        start_by_s = np.zeros(len(driver), np.int64)
        for position, bundle in enumerate(bundles):
            here = bundle >= 0
            way = self.problem.legs.seconds(place[here], self.bundles.pickup[bundle[here]], self.vehicle[driver[here]])
            trip = self._trip(driver[here], bundle[here], way, at_s[here])
            for name, cost in trip.terms.items():
                terms[name][here] += cost
            jobs = self.bundles.jobs[bundle[here]]
            if self.dedicated is not None:
                extra = np.where(jobs >= 0, self.dedicated[driver[here][:, None], jobs], 0)
                terms["dedicated_first"][here] += extra.sum(axis=1)
            terms["fairness"][here] += self.share[driver[here]] * (jobs >= 0).sum(axis=1)
            feasible[here] &= trip.feasible.astype(bool)
            if position == 0:
                start_by_s[here] = trip.start_by_s
            place, at_s = place.copy(), at_s.copy()
            place[here], at_s[here] = trip.end_place, trip.end_s
        return Priced(terms, start_by_s, at_s, place, feasible.astype(np.int64))

    def _trip(self, driver: Ints, bundle: Ints, way: Ints, at_s: Ints) -> Priced:
        """Price bundles from a time on, with the way to their store; all arguments broadcast to one shape."""
        half_pickup, _ = self.problem.half_services()
        weights = self.problem.weights
        vehicle = self.vehicle[driver] if len(self.vehicles) > 1 else self.vehicles
        picked = np.maximum(way + (at_s + half_pickup), self.bundles.ready_s[bundle])
        start = picked - way
        start -= half_pickup
        left = picked + self.to_then_s[vehicle, bundle]
        np.maximum(left, self.bundles.then_ready_s[bundle], out=left)
        delay, late = np.zeros_like(picked), np.zeros_like(picked)
        for k in range(self.bundles.jobs.shape[1]):
            here = np.flatnonzero(self.bundles.jobs[bundle.ravel(), k] >= 0)
            one = bundle[..., here]
            job = self.bundles.jobs[one, k]
            who = vehicle if vehicle.shape[-1] == 1 else vehicle[..., here]
            after, at = self.door_after_s[who, one, k], left if len(here) == left.shape[-1] else left[..., here]
            delay[..., here] += _beyond(at, after - self.floor_s[job], self.delay_weight[job])
            late[..., here] += _beyond(at, after - self.promised_s[job], self.lateness_weight[job])
        end = left + self.door_after_s[vehicle, bundle, -1]
        busy = np.maximum(start, self.off_s[driver])
        np.minimum(busy, end, out=busy)
        busy -= start
        np.maximum(busy, 0, out=busy)
        busy *= self.per_second()
        terms = {
            "delay": delay,
            "lateness": late,
            "driver_time": busy,
            "empty_travel": weights.empty_travel * way,
        }
        feasible = ((left <= self.off_s[driver]) & (way <= REACH_MAX_S)).astype(np.int64)
        priced = Priced(terms, start, end, np.broadcast_to(self.end_place[bundle], start.shape), feasible)
        return self._on_the_way(priced, bundle) if len(self.bundles.detours) else priced

    def _on_the_way(self, priced: Priced, bundle: Ints) -> Priced:
        """Put in what is known of the detours among these bundles."""
        number = np.broadcast_to(self.bundles.detour[bundle], priced.start_by_s.shape)
        delay, late, longer, start, end, place = np.moveaxis(self.detours[number], -1, 0)

        def put(known: Ints, computed: Ints) -> Ints:
            return np.where(number >= 0, known, computed)

        terms = {
            "delay": put(delay, priced.terms["delay"]),
            "lateness": put(late, priced.terms["lateness"]),
            "driver_time": put(self.per_second() * longer, priced.terms["driver_time"]),
            "empty_travel": put(np.zeros_like(delay), priced.terms["empty_travel"]),
        }
        feasible = put(np.ones_like(delay), priced.feasible)
        return Priced(
            terms, put(start, priced.start_by_s), put(end, priced.end_s), put(place, priced.end_place), feasible
        )

    def all_trips(self, driver: Ints, place: Ints, at_s: Ints) -> NDArray[np.float64]:
        """Return the price of every bundle from each place and time on (starts, bundles); infinite: it can't be."""
        bundles = np.arange(len(self.bundles))[None, :]
        stores, store = np.unique(self.bundles.pickup, return_inverse=True)
        ways = self.problem.legs.seconds(place[:, None], stores[None, :], self.vehicle[driver][:, None])
        out = np.empty((len(driver), len(self.bundles)))
        at_once = max(1, CELLS_AT_ONCE // max(1, len(self.bundles)))
        for some in (slice(row, row + at_once) for row in range(0, len(driver), at_once)):
            trip = self._trip(driver[some, None], bundles, ways[some][:, store], at_s[some, None])
            price = trip.total
            price += self.share[driver[some]][:, None] * self.bundles.size
            if self.dedicated is not None:
                for k in range(self.bundles.jobs.shape[1]):
                    job = self.bundles.jobs[:, k]
                    price += np.where(job >= 0, self.dedicated[driver[some, None], job], 0)
            out[some] = np.where(trip.feasible > 0, price, np.inf)
        return out

    def open_costs(self, jobs: Ints) -> Ints:
        """Return what leaving all jobs of each row open costs (n,); `jobs` (n, any) has -1 for none."""
        return np.asarray(np.where(jobs >= 0, self.open_cost[jobs], 0).sum(axis=1), np.int64)

    @cached_property
    def open_cost(self) -> Ints:
        """What leaving each job open costs (jobs,): more than delaying it long, and what it can't get back anyway."""
        half_pickup, _ = self.problem.half_services()
        earliest = self.floor_s + np.maximum(0, half_pickup - self.ready_s)
        placed = np.array([job.placed_s for job in self.problem.jobs], np.int64)
        late = np.maximum(0, earliest - self.promised_s)
        sunk = self.delay_weight * (earliest - self.floor_s) + self.lateness_weight * late
        return np.asarray(self.left_open + 100 * np.maximum(0, -placed) + sunk, np.int64)


def _beyond(at: Ints, by: Ints, weight: Ints) -> Ints:
    """Return what it costs to be at `at` + `by` when nothing before 0 costs anything."""
    cost = at + by
    np.maximum(cost, 0, out=cost)
    cost *= weight
    return cost
