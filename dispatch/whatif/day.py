"""A whole day of orders, played through the engine epoch by epoch: what it commits to happens, exactly on time.

A delivery is unknown before its time. A driver on his way is not diverted; what he was promised he keeps. Nobody
declines, nobody gets lost, every stop takes as long as the engine thinks: a day so played is a model of the day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import msgspec
import numpy as np
from msgspec.structs import replace

from dispatch.engine.load import second_price
from dispatch.engine.plan import Plan
from dispatch.engine.problem import NOWHERE, STACK_MAX, Driver, Job, JobWeights, Legs, Problem, Weights
from dispatch.engine.solve import solve

FOREVER: Final = 10**9


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery of the day; moments are seconds of the day, `pickup` and `dropoff` places of its legs."""

    id: UUID
    business_id: UUID
    pickup: int
    dropoff: int
    placed_s: int
    known_s: int
    ready_s: int
    promised_s: int
    uses_shared_pool: bool = True
    stack_max: int = STACK_MAX
    needs: frozenset[str] = frozenset()
    size: int = 1
    distance_m: int = 0


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """One driver's stretch of work: where he begins, from when, and until when he may pick up."""

    driver_id: UUID
    place: int
    on_s: int
    off_s: int
    vehicle: int = 0
    pool: str = "shared_pool"
    business_priority: dict[UUID, int] = {}
    skills: frozenset[str] = frozenset()
    capacity: int = 100
    distance_m_max: int = 10**6


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How a day is played.

    `lead_s`: a driver hears of a trip so long before he must leave. `early_s`: he may be planned with so long before
    his shift. `keeps`: what he is on his way to fetch is promised to him; else it may change until he has it.
    `demand_half_life_s`: how fast past orders stop telling where idle drivers should wait; 0: they stay.
    """

    epoch_s: int
    lead_s: int = 0
    early_s: int = 0
    keeps: bool = True
    demand_half_life_s: int = 0
    pickup_service_s: int = 0
    dropoff_service_s: int = 0
    weights: Weights = Weights()
    business_weights: dict[UUID, JobWeights] = {}


class Way(msgspec.Struct, frozen=True):
    """One movement: which shift's driver, when, from where to where, and with how many deliveries aboard."""

    shift: int
    at_s: int
    start: int
    end: int
    aboard: int


class Trip(msgspec.Struct, frozen=True):
    """One pickup and the doors after it, as it happened; `jobs` are numbers of deliveries in the order of `doors_s`."""

    shift: int
    told_s: int
    left_s: int
    picked_s: int
    jobs: tuple[int, ...]
    doors_s: tuple[int, ...]
    free_s: int


@dataclass(slots=True)
class _Errand:
    """Where a driver is bound for, and what he will fetch there as things stand."""

    pickup: int
    jobs: tuple[int, ...]
    told_s: int
    leave_s: int
    arrive_s: int


@dataclass(slots=True)
class _Hand:
    """A driver at work: the place where and the time when he is free of what is aboard, and his errand."""

    number: int
    shift: Shift
    place: int
    free_s: int
    errand: _Errand | None = None
    jobs_done: int = 0


@dataclass
class Day:
    """Plays one day; afterwards `trips` and `ways` say what happened, what is in `left` did not."""

    deliveries: tuple[Delivery, ...]
    shifts: tuple[Shift, ...]
    legs: Legs
    rules: Rules
    starts_ms: int = 0
    solved: Callable[[Problem], Plan] = solve
    trips: list[Trip] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._hands = [_Hand(n, shift, shift.place, shift.on_s) for n, shift in enumerate(self.shifts)]
        self._coming = sorted(range(len(self.deliveries)), key=lambda n: (self.deliveries[n].known_s, n), reverse=True)
        self.left: dict[int, Delivery] = {}
        """What waits to be picked up, by number, in the order it became known."""
        self._demand: dict[int, float] = {}
        self._due_s = -FOREVER
        """Before then, with no news, the engine would say the same as the last time."""

    def play(self, told: Callable[[float], None] = lambda share: None) -> None:
        """Play the whole day; `told` hears the share of it that is over."""
        if not self.deliveries or not self.shifts:
            self.left = dict(enumerate(self.deliveries))
            return
        rules, hands = self.rules, self._hands
        first = min(self.deliveries[self._coming[-1]].known_s, *(shift.on_s for shift in self.shifts), FOREVER)
        last = max(self.deliveries[self._coming[0]].known_s, *(shift.off_s for shift in self.shifts), first)
        now = first
        while now <= last:
            while self._coming and self.deliveries[self._coming[-1]].known_s <= now:
                number = self._coming.pop()
                one = self.left[number] = self.deliveries[number]
                self._demand[one.pickup] = self._demand.get(one.pickup, 0.0) + 1
                self._due_s = now
            self._decide(now)
            for hand in hands:
                self._settle(hand, now)
            told((now - first) / max(1, last - first))
            now += rules.epoch_s
            if not self.left and not rules.demand_half_life_s:
                coming = self.deliveries[self._coming[-1]].known_s if self._coming else last + 1
                now += max(0, -(-(coming - now) // rules.epoch_s)) * rules.epoch_s
        for hand in hands:
            self._settle(hand, FOREVER)
        for number in reversed(self._coming):
            self.left[number] = self.deliveries[number]
        told(1.0)

    def _decide(self, now: int) -> None:
        rules = self.rules
        hands = [
            hand
            for hand in self._hands
            if hand.shift.on_s <= now + rules.early_s and now <= hand.shift.off_s and hand.free_s <= hand.shift.off_s
        ]
        promised = {job for hand in self._hands if rules.keeps for job in _jobs(hand)}
        waiting = [number for number in self.left if number not in promised]
        stays = not rules.demand_half_life_s
        if not hands or (stays and (not waiting or now < self._due_s)) or not (waiting or self._demand):
            return
        bound = self._bound(hands, waiting, now)
        jobs = waiting + [job for hand in hands if hand.number in bound and rules.keeps for job in _jobs(hand)]
        plan = self.solved(self._problem(now, hands, jobs, bound))
        self._commit(now, hands, jobs, bound, plan)
        tentative = [
            now + route.start_by_s - rules.lead_s - rules.epoch_s + 1 for route in plan.routes if not route.commit
        ]
        begins = [hand.shift.on_s - rules.early_s for hand in self._hands]
        self._due_s = min((*tentative, *(at_s for at_s in begins if at_s > now)), default=FOREVER)

    def _bound(self, hands: list[_Hand], waiting: list[int], now: int) -> set[int]:
        """Return the hands on their way to a store where what they fetch may still become another set, or more."""
        if not self.rules.keeps:
            return {hand.number for hand in hands if hand.errand}
        stores = {self.deliveries[number].pickup for number in waiting}
        return {
            hand.number
            for hand in hands
            if hand.errand
            and hand.errand.leave_s <= now
            and hand.errand.pickup in stores
            and len(hand.errand.jobs) < min(self.deliveries[job].stack_max for job in hand.errand.jobs)
        }

    def _problem(self, now: int, hands: list[_Hand], jobs: list[int], bound: set[int]) -> Problem:
        rules, numbers = self.rules, {job: n for n, job in enumerate(jobs)}
        demand: tuple[tuple[int, float], ...] = ()
        if rules.demand_half_life_s:
            total = sum(self._demand.values()) or 1.0
            demand = tuple((place, count / total) for place, count in self._demand.items())
            for place in self._demand:
                self._demand[place] *= 0.5 ** (rules.epoch_s / rules.demand_half_life_s)
        problem = Problem(
            now_ms=self.starts_ms + now * 1000,
            drivers=tuple(self._driver(hand, now, hand.number in bound, numbers) for hand in hands),
            jobs=tuple(_job(self.deliveries[number], now) for number in jobs),
            legs=self.legs,
            weights=rules.weights,
            business_weights=rules.business_weights,
            pickup_service_s=rules.pickup_service_s,
            dropoff_service_s=rules.dropoff_service_s,
            epoch_s=rules.epoch_s,
            lead_s=rules.lead_s,
            demand=demand,
        )
        return replace(problem, second_price=second_price(problem))

    def _driver(self, hand: _Hand, now: int, bound: bool, numbers: dict[int, int]) -> Driver:
        shift, errand, heading_to = hand.shift, hand.errand, NOWHERE
        place, free_s = hand.place, max(hand.free_s, shift.on_s)
        keeps: tuple[int, ...] = ()
        if errand is not None and bound:
            place, free_s, heading_to = errand.pickup, errand.arrive_s, errand.pickup
            keeps = tuple(numbers[job] for job in errand.jobs) if self.rules.keeps else ()
        elif errand is not None:
            trip = self._trip(hand, errand)
            place, free_s = self.deliveries[errand.jobs[-1]].dropoff, trip.free_s
        return Driver(
            id=shift.driver_id,
            place=place,
            free_s=free_s - now,
            off_s=shift.off_s - now,
            vehicle=shift.vehicle,
            pool=shift.pool,
            business_priority=shift.business_priority,
            jobs_done=hand.jobs_done,
            skills=shift.skills,
            capacity=shift.capacity,
            distance_m_max=shift.distance_m_max,
            heading_to=heading_to,
            keeps=keeps,
        )

    def _commit(self, now: int, hands: list[_Hand], jobs: list[int], bound: set[int], plan: Plan) -> None:
        if not self.rules.keeps:
            for hand in hands:
                if hand.errand is not None:
                    hand.errand.jobs = ()
        for route in plan.routes:
            hand, trip = hands[route.driver], route.trips[0]
            taken = tuple(jobs[job] for job in trip.jobs)
            if hand.number in bound:
                if hand.errand is not None and (route.commit or not self.rules.keeps):
                    hand.errand.jobs = taken
            elif route.commit and hand.errand is None:
                hand.errand = _Errand(trip.pickup, taken, now, *self._go(hand, now, trip.pickup))
        for move in plan.moves:
            hand = hands[move.driver]
            if hand.errand is None and hand.shift.on_s <= now:
                _, hand.free_s = self._go(hand, now, move.place)
                hand.place = move.place

    def _go(self, hand: _Hand, now: int, place: int) -> tuple[int, int]:
        """Send an empty-handed driver somewhere as soon as he is free; return when he leaves and arrives."""
        leave_s = max(now, hand.free_s, hand.shift.on_s)
        if hand.place != place:
            self.ways.append(Way(hand.number, leave_s, hand.place, place, 0))
        return leave_s, leave_s + self._way_s(hand, hand.place, place)

    def _settle(self, hand: _Hand, now: int) -> None:
        """Let happen what is due: the food is in the bag, or the store has nothing for him."""
        errand = hand.errand
        if errand is None:
            return
        if not errand.jobs:
            if errand.arrive_s <= now:
                hand.place, hand.free_s, hand.errand = errand.pickup, errand.arrive_s, None
            return
        trip = self._trip(hand, errand)
        if trip.picked_s > now:
            return
        place, leave_s = errand.pickup, trip.picked_s + self.rules.pickup_service_s // 2
        for n, (job, door_s) in enumerate(zip(trip.jobs, trip.doors_s, strict=True)):
            door = self.deliveries[job].dropoff
            self.ways.append(Way(hand.number, leave_s, place, door, len(trip.jobs) - n))
            place, leave_s = door, door_s + self.rules.dropoff_service_s // 2
            del self.left[job]
        self.trips.append(trip)
        self._due_s = now
        hand.place, hand.free_s, hand.errand = place, trip.free_s, None
        hand.jobs_done += len(trip.jobs)

    def _trip(self, hand: _Hand, errand: _Errand) -> Trip:
        """Return how an errand goes as things stand."""
        half_pickup, half_dropoff = self.rules.pickup_service_s // 2, self.rules.dropoff_service_s // 2
        picked_s = max(errand.arrive_s + half_pickup, *(self.deliveries[job].ready_s for job in errand.jobs))
        place, now, doors = errand.pickup, picked_s + half_pickup, []
        for job in errand.jobs:
            door = self.deliveries[job].dropoff
            now += self._way_s(hand, place, door) + half_dropoff
            doors.append(now)
            place, now = door, now + half_dropoff
        return Trip(hand.number, errand.told_s, errand.leave_s, picked_s, errand.jobs, tuple(doors), now)

    def _way_s(self, hand: _Hand, start: int, end: int) -> int:
        return int(self.legs.seconds(np.array([start]), np.array([end]), np.array([hand.shift.vehicle]))[0])


def _jobs(hand: _Hand) -> tuple[int, ...]:
    return hand.errand.jobs if hand.errand else ()


def _job(delivery: Delivery, now: int) -> Job:
    return Job(
        id=delivery.id,
        business_id=delivery.business_id,
        pickup=delivery.pickup,
        dropoff=delivery.dropoff,
        placed_s=min(0, delivery.placed_s - now),
        ready_s=delivery.ready_s - now,
        promised_s=delivery.promised_s - now,
        uses_shared_pool=delivery.uses_shared_pool,
        stack_max=delivery.stack_max,
        needs=delivery.needs,
        size=delivery.size,
        distance_m=delivery.distance_m,
    )
