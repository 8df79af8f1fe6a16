"""Taking one more job on the way: its pickup and its door put between the stops that a driver has already.

Everybody who waits for those stops waits longer; that is a part of the price. Behind the last stop is no detour: there
a driver is free.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dispatch.engine.candidates import eligible
from dispatch.engine.problem import REACH_MAX_S, Ints, Problem

STOPS_MAX: Final = 8
PER_JOB: Final = 6
NO_PROMISE: Final = 10**9
IMPOSSIBLE: Final = 2**50


class Detour(NamedTuple):
    """A driver, a job, and after how many of his stops its pickup and its door come.

    `delay` and `late` are prices: of the job and, what is added, of everybody on the way; `longer_s` is what the route
    takes more; `start_by_s` is when he leaves for the pickup.
    """

    driver: int
    job: int
    before_pickup: int
    before_door: int
    delay: int
    late: int
    longer_s: int
    start_by_s: int
    end_s: int
    end_place: int


def make_detours(problem: Problem) -> list[Detour]:
    """Return the best ways to take each job on a route under way; a few drivers for each job."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for number, driver in enumerate(problem.drivers):
        if 0 < len(driver.route) <= STOPS_MAX:
            by_length[len(driver.route)].append(number)
    if not by_length or not any(job.several_stores for job in problem.jobs):
        return []
    allowed = eligible(problem)
    found: list[tuple[int, Detour]] = []
    for drivers in by_length.values():
        found += _Routes(problem, drivers, allowed[drivers]).best()
    found.sort()
    count: dict[int, int] = defaultdict(int)
    kept = []
    for _, detour in found:
        count[detour.job] += 1
        if count[detour.job] <= PER_JOB:
            kept.append(detour)
    return kept


@dataclass(slots=True)
class _Way:
    """Drivers × jobs on the way: where, since when, and what everybody's waiting costs."""

    place: Ints
    now: Ints
    delay: Ints
    late: Ints


class _Routes:
    """Drivers with equally many stops to serve, before all jobs."""

    def __init__(self, problem: Problem, drivers: list[int], allowed: NDArray[np.bool_]) -> None:
        self._problem = problem
        self._drivers = drivers
        people = [problem.drivers[number] for number in drivers]
        stops = [driver.route for driver in people]
        self._here = np.array([[driver.here] for driver in people], np.int64)
        self._vehicle = np.array([[driver.vehicle] for driver in people], np.int64)
        self._off_s = np.array([[driver.off_s] for driver in people], np.int64)
        self._place = np.array([[stop.place for stop in route] for route in stops], np.int64)
        self._ready_s = np.array([[stop.ready_s for stop in route] for route in stops], np.int64)
        self._is_door = np.array([[stop.promised_s is not None for stop in route] for route in stops], bool)
        self._promised_s = np.array(
            [[NO_PROMISE if stop.promised_s is None else stop.promised_s for stop in route] for route in stops],
            np.int64,
        )
        half_pickup, half_dropoff = problem.half_services()
        self._half = np.where(self._is_door, half_dropoff, half_pickup)
        self._length = self._place.shape[1]
        jobs = problem.jobs
        self._pickup = np.array([[job.pickup for job in jobs]], np.int64)
        self._door = np.array([[job.dropoff for job in jobs]], np.int64)
        self._job_ready_s = np.array([[job.ready_s for job in jobs]], np.int64)
        self._job_promised_s = np.array([[job.promised_s for job in jobs]], np.int64)
        vehicles = sorted({driver.vehicle for driver in problem.drivers})
        ways = [problem.legs.seconds(self._pickup, self._door, np.full(1, vehicle)) for vehicle in vehicles]
        self._floor_s = self._job_ready_s + half_pickup + np.min(ways, axis=0) + half_dropoff
        self._allowed = allowed & np.array([[job.several_stores for job in jobs]])
        limit = np.array([[min(driver.stack_max, job.stack_max) for job in jobs] for driver in people], np.int64)
        aboard = np.cumsum(np.where(self._is_door, -1, 1), axis=1)
        first = -aboard.min(axis=1, initial=0, keepdims=True)
        self._aboard = np.concatenate((first, first + aboard), axis=1)
        self._room = limit - 1
        sizes = np.array([[stop.size for stop in route] for route in stops], np.int64)
        loaded = np.cumsum(np.where(self._is_door, -sizes, sizes), axis=1)
        self._load = np.concatenate((np.zeros_like(self._here), loaded), axis=1) - loaded[:, -1:]
        self._space = np.array([[driver.capacity - job.size for job in jobs] for driver in people], np.int64)
        worth = [problem.job_weights(job) for job in jobs]
        self._delay_weight = np.array([[weights.delay for weights in worth]], np.int64)
        self._lateness_weight = np.array([[weights.lateness for weights in worth]], np.int64)
        self._moments, way = self._as_it_is()
        self._old_end = way.now

    def best(self) -> list[tuple[int, Detour]]:
        """Return the price and the detour that is best for each driver and job, where there is one."""
        shape = self._allowed.shape
        best = np.full(shape, IMPOSSIBLE, np.int64)
        kept = np.zeros((*shape, 7), np.int64)
        for before_pickup in range(self._length):
            for before_door in range(before_pickup, self._length + 1):
                price, figures = self._price(before_pickup, before_door)
                better = price < best
                best[better] = price[better]
                kept[better] = np.stack(np.broadcast_arrays(before_pickup, before_door, *figures), axis=-1)[better]
        out = []
        for row, job in zip(*np.nonzero(best < IMPOSSIBLE), strict=True):
            before_pickup, before_door, delay, late, start, end, end_place = kept[row, job].tolist()
            longer = end - int(self._old_end[row, 0])
            detour = Detour(
                self._drivers[row], int(job), before_pickup, before_door, delay, late, longer, start, end, end_place
            )
            out.append((int(best[row, job]), detour))
        return out

    def _as_it_is(self) -> tuple[list[Ints], _Way]:
        way = _Way(self._here, np.zeros_like(self._here), np.zeros_like(self._here), np.zeros_like(self._here))
        moments = [self._serve(way, stop, None) for stop in range(self._length)]
        return moments, way

    def _price(self, before_pickup: int, before_door: int) -> tuple[Ints, tuple[Ints, ...]]:
        problem, weights = self._problem, self._problem.weights
        half_pickup, half_dropoff = problem.half_services()
        shape = self._allowed.shape
        way = _Way(*(np.broadcast_to(start, shape).copy() for start in (self._here, 0, 0, 0)))
        start = picked = gap = way.now
        for stop in range(self._length + 1):
            if stop == before_pickup:
                start = way.now
                gap = problem.legs.seconds(way.place, self._pickup, self._vehicle)
                picked = np.maximum(way.now + gap + half_pickup, self._job_ready_s)
                way.place, way.now = np.broadcast_to(self._pickup, shape), picked + half_pickup
            if stop == before_door:
                at = way.now + problem.legs.seconds(way.place, self._door, self._vehicle) + half_dropoff
                way.delay = way.delay + self._delay_weight * np.maximum(0, at - self._floor_s)
                way.late = way.late + self._lateness_weight * np.maximum(0, at - self._job_promised_s)
                way.place, way.now = np.broadcast_to(self._door, shape), at + half_dropoff
            if stop < self._length:
                self._serve(way, stop, self._moments[stop])
        price = way.delay + way.late + (weights.driver_time + problem.second_price) * (way.now - self._old_end)
        carried = self._aboard[:, before_pickup : before_door + 1].max(axis=1, keepdims=True)
        loaded = self._load[:, before_pickup : before_door + 1].max(axis=1, keepdims=True)
        good = self._allowed & (carried <= self._room) & (loaded <= self._space)
        good &= (picked <= self._off_s) & (gap <= REACH_MAX_S)
        return np.where(good, price, IMPOSSIBLE), (way.delay, way.late, start, way.now, way.place)

    def _serve(self, way: _Way, stop: int, before: Ints | None) -> Ints:
        """Let everybody serve one of his stops; what is later than `before` is a delay."""
        column = slice(stop, stop + 1)
        half: Ints = self._half[:, column]
        drive = self._problem.legs.seconds(way.place, self._place[:, column], self._vehicle)
        moment: Ints = np.maximum(way.now + drive + half, self._ready_s[:, column])
        if before is not None:
            later = np.where(self._is_door[:, column], moment - before, 0)
            promised = self._promised_s[:, column]
            weights = self._problem.weights
            way.delay = way.delay + weights.delay * later
            more = np.maximum(0, moment - promised) - np.maximum(0, before - promised)
            way.late = way.late + weights.lateness * more
        way.place = np.broadcast_to(self._place[:, column], way.now.shape)
        way.now = moment + half
        return moment
