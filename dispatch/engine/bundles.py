"""Jobs that one driver picks up together, at one store or at two, with the best order of their doors.

A bundle is worth looking at when bringing its jobs together delays them little; under load more delay is worth it,
because the driver is back sooner.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import permutations
from typing import Final

import msgspec
import numpy as np

from dispatch.engine.detours import Detour, make_detours
from dispatch.engine.problem import NOWHERE, STACK_MAX, Ints, Problem

PARTNERS_MAX: Final = 3
"""Pairs (and as many threes) kept per job of a store, and pairs per job with jobs of other stores."""
DELAY_MAX_S: Final = 900
DELAY_PER_PRICE_S: Final = 12
"""A bundle may delay its jobs together by so much, and by so much more for each hundredth of the load's price."""
THREES_FROM_PRICE: Final = 50
STORES_APART_MAX_S: Final = 420


class Trip(msgspec.Struct, frozen=True):
    """One pickup and the doors after it: a place, and job numbers in the order of their doors.

    `then` is a second store that is called at before the first door. `amid` says that this is done on the way: after
    how many of the stops that the driver has already comes the pickup, and after how many the door.
    """

    pickup: int
    jobs: tuple[int, ...]
    then: int = NOWHERE
    amid: tuple[int, int] | None = None


class Bundles:
    """n bundles as arrays, singles first in the order of the jobs.

    `jobs` (n, 3): job numbers in the order of their doors, -1 for none. `size` (n,). `pickup` (n,): place, and `then`
    (n,): the second store's, `NOWHERE` for one. `ready_s` (n,): when the last of the jobs of the first store is;
    `then_ready_s` (n,): of the second. `detour` (n,): number of the detour that it is, -1 for none.
    """

    def __init__(
        self,
        problem: Problem,
        members: list[tuple[int, ...]],
        second_stores: Sequence[int] = (),
        detours: Sequence[Detour] = (),
    ) -> None:
        """The last bundles are those with a second store, and after them one for each detour."""
        members = [*members, *((one.job,) for one in detours)]
        self.members = members
        self.detours = detours
        self.size = np.array([len(jobs) for jobs in members], np.int64)
        self.jobs = np.full((len(members), STACK_MAX), -1, np.int64)
        for number, jobs in enumerate(members):
            self.jobs[number, : len(jobs)] = jobs
        ready = np.array([job.ready_s for job in problem.jobs], np.int64)
        place = np.array([job.pickup for job in problem.jobs], np.int64)
        alone = len(members) - len(detours)
        self.detour = np.arange(len(members)) - alone
        self.detour[:alone] = -1
        self.then = np.full(len(members), NOWHERE)
        self.then[alone - len(second_stores) : alone] = second_stores
        at_second = (self.jobs >= 0) & (place[self.jobs] == self.then[:, None])
        at_first = (self.jobs >= 0) & ~at_second
        self.pickup = place[self.jobs[np.arange(len(members)), at_first.argmax(axis=1)]]
        self.ready_s = np.where(at_first, ready[self.jobs], -(10**9)).max(axis=1)
        self.then_ready_s = np.where(at_second, ready[self.jobs], -(10**9)).max(axis=1)

    def __len__(self) -> int:
        return len(self.members)

    def trip(self, number: int) -> Trip:
        """Return one of them as a part of a plan."""
        detour = self.detours[self.detour[number]] if self.detour[number] >= 0 else None
        amid = (detour.before_pickup, detour.before_door) if detour else None
        return Trip(int(self.pickup[number]), self.members[number], int(self.then[number]), amid)


def make_bundles(problem: Problem) -> Bundles:
    """Return the singles, and the pairs and threes of jobs at one pickup that are worth a look."""
    singles = [(number,) for number in range(len(problem.jobs))]
    at_pickup: dict[int, list[int]] = defaultdict(list)
    for number, job in enumerate(problem.jobs):
        at_pickup[job.pickup].append(number)
    together: list[tuple[int, ...]] = []
    for pickup, numbers in at_pickup.items():
        if len(numbers) > 1:
            together += _at_one_pickup(problem, pickup, numbers)
    known = {frozenset(jobs) for jobs in together}
    for driver in problem.drivers:
        if len(driver.keeps) > 1 and frozenset(driver.keeps) not in known:
            together.append(driver.keeps)
    across = _across_stores(problem)
    return Bundles(
        problem, singles + together + [jobs for jobs, _ in across], [then for _, then in across], make_detours(problem)
    )


def _across_stores(problem: Problem) -> list[tuple[tuple[int, int], int]]:
    """Return pairs of jobs at two stores, each in the order of their doors and with the second store's place."""
    mixed = [number for number, job in enumerate(problem.jobs) if job.several_stores and job.stack_max > 1]
    if len(mixed) < 2:
        return []
    jobs = [problem.jobs[number] for number in mixed]
    store = np.array([job.pickup for job in jobs], np.int64)
    door = np.array([job.dropoff for job in jobs], np.int64)
    ready = np.array([job.ready_s for job in jobs], np.int64)
    vehicle = problem.usual_vehicle()
    seconds = problem.legs.seconds
    apart = seconds(store[:, None], store[None, :], vehicle)
    near = (store[:, None] != store[None, :]) & (apart <= STORES_APART_MAX_S)
    first, second = np.nonzero(near)
    if not len(first):
        return []
    half_pickup, half_dropoff = problem.half_services()
    alone = ready + half_pickup + seconds(store, door, vehicle) + half_dropoff
    called = np.maximum(ready[first] + problem.pickup_service_s + apart[first, second], ready[second])
    found = []
    for near_door, far_door in ((first, second), (second, first)):
        one = called + half_pickup + seconds(store[second], door[near_door], vehicle) + half_dropoff
        other = one + half_dropoff + seconds(door[near_door], door[far_door], vehicle) + half_dropoff
        delay = one - alone[near_door] + other - alone[far_door]
        found.append((delay, near_door, far_door))
    delay, one, other, then = (
        np.concatenate(parts)
        for parts in zip(*((delay, one, other, store[second]) for delay, one, other in found), strict=True)
    )
    order = np.lexsort((then, other, one, delay))
    order = order[delay[order] <= DELAY_MAX_S + DELAY_PER_PRICE_S * problem.second_price]
    kept: dict[frozenset[int], tuple[tuple[int, int], int]] = {}
    count = [0] * len(jobs)
    for a, b, place in zip(one[order].tolist(), other[order].tolist(), then[order].tolist(), strict=True):
        if count[a] < PARTNERS_MAX and count[b] < PARTNERS_MAX and frozenset((a, b)) not in kept:
            kept[frozenset((a, b))] = ((mixed[a], mixed[b]), place)
            count[a] += 1
            count[b] += 1
    return list(kept.values())


def _at_one_pickup(problem: Problem, pickup: int, numbers: list[int]) -> list[tuple[int, ...]]:
    jobs = [problem.jobs[number] for number in numbers]
    doors = np.array([job.dropoff for job in jobs], np.int64)
    vehicle = problem.usual_vehicle()
    way = problem.legs.seconds(np.full(len(doors), pickup), doors, vehicle)
    between = problem.legs.seconds(doors[:, None], doors[None, :], vehicle)
    ready = np.array([job.ready_s for job in jobs], np.int64)
    half_pickup, half_dropoff = problem.half_services()
    allowed_s = DELAY_MAX_S + DELAY_PER_PRICE_S * problem.second_price

    def delay(order: tuple[int, ...]) -> int:
        """Return by how much these jobs, picked up together, are later than each alone."""
        leave = int(ready[list(order)].max()) + half_pickup
        total, at = 0, -1
        for job in order:
            door = leave + int(way[job] if at < 0 else between[at, job]) + half_dropoff
            total += door - (int(ready[job]) + half_pickup + int(way[job]) + half_dropoff)
            leave, at = door + half_dropoff, job
        return total

    both = _pair_delays(ready, way, between, problem.dropoff_service_s)
    pairs: list[tuple[int, tuple[int, ...]]] = []
    for a in range(len(jobs)):
        for b in range(a + 1, len(jobs)):
            if min(jobs[a].stack_max, jobs[b].stack_max) < 2:
                continue
            order = (a, b) if both[a, b] <= both[b, a] else (b, a)
            if both[order] <= allowed_s:
                pairs.append((int(both[order]), order))
    pairs = sorted(pairs)[: PARTNERS_MAX * len(jobs)]
    threes: dict[frozenset[int], tuple[int, tuple[int, ...]]] = {}
    if problem.second_price >= THREES_FROM_PRICE:
        for _, (a, b) in pairs[: 2 * len(jobs)]:
            for c in range(len(jobs)):
                key = frozenset((a, b, c))
                if len(key) < 3 or key in threes or min(jobs[n].stack_max for n in key) < 3:
                    continue
                best = min((delay(order), order) for order in permutations(sorted(key)))
                if best[0] <= 2 * allowed_s:
                    threes[key] = best
    kept = [order for _, order in pairs] + [order for _, order in sorted(threes.values())[: PARTNERS_MAX * len(jobs)]]
    return [tuple(numbers[n] for n in order) for order in kept]


def _pair_delays(ready: Ints, way: Ints, between: Ints, dropoff_service_s: int) -> Ints:
    """Return (a, b) → by how much two jobs are delayed when a is brought first and b next."""
    together = np.maximum(ready[:, None], ready[None, :])
    first = together - ready[:, None]
    second = together + way[:, None] + dropoff_service_s + between - ready[None, :] - way[None, :]
    return np.asarray(first + second, np.int64)
