"""A whole day of orders, played through the engine epoch by epoch: what it commits to happens, exactly on time.

A delivery is unknown before its time, and ready when it was. A driver who is asked refuses what he refused that day;
what he accepts he keeps. What a dispatcher's hand did is done again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from dispatch.engine.bundles import Trip as PlannedTrip
from dispatch.engine.explain import explain
from dispatch.engine.load import second_price
from dispatch.engine.plan import Plan
from dispatch.engine.problem import Legs, Problem
from dispatch.engine.reposition import expected
from dispatch.engine.solve import solve
from dispatch.whatif.asking import Asking
from dispatch.whatif.given import Delivery, Rules, Shift, Trip, Way
from dispatch.whatif.hands import Hand, Stop, Visit, World
from dispatch.whatif.question import driver_of, job_of

FOREVER: Final = 10**9
LOOK_AGAIN_S: Final = 60
"""While something waits the engine is asked at least so often: the world goes otherwise than it thought."""


@dataclass
class Day:
    """Plays one day; afterwards `trips` and `ways` say what happened, what is in `left` did not."""

    deliveries: tuple[Delivery, ...]
    shifts: tuple[Shift, ...]
    legs: Legs
    rules: Rules
    starts_ms: int = 0
    solved: Callable[[Problem], Plan] = solve
    stores: tuple[int, ...] = ()
    """Places that are known to be stores before anything was ordered there."""
    told_s: dict[int, int] = field(default_factory=dict)
    """When its driver was told or accepted, by the delivery's number; as `picked_s`, `door_s` and `hand`."""
    picked_s: dict[int, int] = field(default_factory=dict)
    door_s: dict[int, int] = field(default_factory=dict)
    hand: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._hands = [Hand(n, shift, shift.place, shift.on_s) for n, shift in enumerate(self.shifts)]
        self._coming = sorted(range(len(self.deliveries)), key=lambda n: (self.deliveries[n].known_s, n), reverse=True)
        self._world = World(self.deliveries, self.legs, self.rules, self._done)
        self._asking = Asking(self.deliveries, self.rules.answer_s)
        self._drivers = {shift.driver_id for shift in self.shifts}
        self._pins = sorted(
            ((pin.at_s, number, pin.driver_id) for number, one in enumerate(self.deliveries) for pin in one.pins),
            key=lambda pin: pin[:2],
            reverse=True,
        )
        self._picks: list[tuple[int, int, int, tuple[int, ...]]] = []
        self.left: dict[int, Delivery] = {}
        """What waits to be picked up, by number, in the order it became known."""
        self._orders: dict[int, int] = dict.fromkeys(self.stores, 0)
        """How many came from each store so far."""
        self._due_s = -FOREVER
        """Before then, with no news, the engine would say the same as the last time."""
        self._moves_due_s = -FOREVER

    @property
    def ways(self) -> list[Way]:
        """All movements; places on the way are known to `between`."""
        return self._world.ways

    @property
    def trips(self) -> list[Trip]:
        """What was picked up together, and how it went on."""
        return [
            Trip(shift, told_s, picked_s, jobs, tuple(self.door_s[job] for job in jobs))
            for shift, told_s, picked_s, picked in self._picks
            for jobs in [tuple(sorted(picked, key=lambda job: self.door_s[job]))]
        ]

    def between(self, place: int) -> tuple[int, int, float] | None:
        """Return the two places that one on the way lies between, and the share of the way behind; else None."""
        return self._world.between(place)

    def play(self, told: Callable[[float], None] = lambda share: None) -> None:
        """Play the whole day; `told` hears the share of it that is over."""
        if not self.deliveries or not self.shifts:
            self.left = dict(enumerate(self.deliveries))
            return
        rules, hands = self.rules, self._hands
        first = min(self.deliveries[self._coming[-1]].known_s, *(shift.on_s for shift in self.shifts), FOREVER)
        known = [one.known_s for one in self.deliveries if one.known_s < FOREVER]
        last = max(first, *known, *(shift.off_s for shift in self.shifts))
        now = first
        while now <= last:
            while self._coming and self.deliveries[self._coming[-1]].known_s <= now:
                number = self._coming.pop()
                one = self.left[number] = self.deliveries[number]
                self._orders[one.pickup] = self._orders.get(one.pickup, 0) + 1
                self._due_s = now
            for hand in hands:
                self._world.settle(hand, now, doors_only=not rules.keeps)
            self._hear(now)
            self._obey(now)
            self._decide(now)
            if not rules.keeps:
                for hand in hands:
                    self._world.settle(hand, now)
            told((now - first) / max(1, last - first))
            now += rules.epoch_s
            if not self.left and not rules.moves:
                coming = self.deliveries[self._coming[-1]].known_s if self._coming else last + 1
                now += max(0, -(-(coming - now) // rules.epoch_s)) * rules.epoch_s
        for hand in hands:
            self._world.settle(hand, FOREVER)
        for number in reversed(self._coming):
            self.left[number] = self.deliveries[number]
        told(1.0)

    def _done(self, hand: Hand, visit: Visit) -> None:
        jobs = tuple(stop.job for stop in visit.stops if stop.job is not None)
        for job in jobs:
            if visit.stops[0].pickup:
                self.picked_s[job], self.hand[job] = visit.moment_s, hand.number
                del self.left[job]
                self._due_s = min(self._due_s, visit.moment_s)
            else:
                self.door_s[job] = visit.moment_s
        if jobs and visit.stops[0].pickup:
            told_s = min(hand.told_s, *(self.told_s[job] for job in jobs))
            self._picks.append((hand.number, told_s, visit.moment_s, jobs))

    def _hear(self, now: int) -> None:
        """Let drivers answer who were asked."""
        for offer in self._asking.due(now):
            if offer not in self._asking.open:
                continue  # somebody else was faster
            self._due_s = now
            if offer.refusal is not None:
                self._asking.refuse(offer)
            elif any(job not in offer.hand.jobs() for job in offer.joins):
                self._asking.void(offer)
            else:
                self._asking.take(offer)
                self._take(offer.hand, offer.jobs, offer.stops, offer.at_s)

    def _take(self, hand: Hand, jobs: tuple[int, ...], stops: list[Stop], at_s: int) -> None:
        """Put jobs on a hand's route; `stops` is the whole of it as it was when he was asked."""
        hand.told_s = at_s
        for job in jobs:
            self.told_s[job] = at_s
        still = [stop for stop in stops if stop in hand.stops or stop.job in jobs]
        self._world.send(hand, still, at_s)

    def _obey(self, now: int) -> None:
        """Do what a dispatcher did by hand, as far as it can still be done."""
        while self._pins and self._pins[-1][0] <= now:
            at_s, job, driver_id = self._pins.pop()
            if job not in self.left or (driver_id is not None and driver_id not in self._drivers):
                continue
            holder = next((hand for hand in self._hands if job in hand.jobs()), None)
            if holder is not None and holder.shift.driver_id == driver_id:
                continue
            if holder is not None:
                self._world.send(holder, [stop for stop in holder.stops if stop.job != job], at_s)
            self._asking.pin(job, driver_id, None if holder is None else holder.shift.driver_id, FOREVER)
            self._due_s = now

    def _decide(self, now: int) -> None:
        rules = self.rules
        still = {hand.shift.driver_id for hand in self._hands if hand.shift.off_s < now and not hand.idle}
        hands = [
            hand
            for hand in self._hands
            if hand.shift.driver_id not in still
            and hand.shift.on_s <= now + rules.early_s
            and now <= hand.shift.off_s
            and not hand.asked
            and not self._asking.quiet(hand, now, rules.cooldown_s)
            and (not rules.tells_end or self._sets_off_s(hand, now) <= hand.shift.off_s)
        ]
        given = {job for hand in self._hands if rules.keeps for job in hand.jobs()} | self._asking.held()
        waiting = [number for number in self.left if number not in given and not self._asking.waits(number, now)]
        advised = rules.moves and (not rules.keeps or now >= self._moves_due_s)
        if not hands or not ((waiting and (now >= self._due_s or not rules.keeps)) or (advised and self._orders)):
            return
        bound = self._bound(hands, waiting, now)
        jobs = waiting + [job for hand in hands if hand.number in bound and rules.keeps for job in hand.jobs()]
        mark = self._world.places()
        problem = self._problem(now, hands, jobs, bound)
        plan = self.solved(problem)
        self._world.forget(mark)
        self._commit(now, hands, jobs, bound, problem, plan)
        if advised:
            self._move(now, hands, plan)
        tentative = [
            now + route.start_by_s - rules.lead_s - rules.epoch_s + 1 for route in plan.routes if not route.commit
        ]
        begins = [hand.shift.on_s - rules.early_s for hand in self._hands]
        self._due_s = min((*tentative, *(at_s for at_s in begins if at_s > now), now + LOOK_AGAIN_S))

    def _sets_off_s(self, hand: Hand, now: int) -> int:
        """Return when he is done with what he has aboard, and may set off to fetch something."""
        free_s = max(hand.free_s, hand.shift.on_s)
        for visit in self._world.visits(hand, now):
            if visit.stops[0].pickup:
                break
            free_s = visit.free_s
        return free_s

    def _bound(self, hands: list[Hand], waiting: list[int], now: int) -> set[int]:
        """Return the hands on their way to a store where what they fetch may still become another set, or more."""
        if not self.rules.keeps:
            return {hand.number for hand in hands if any(stop.pickup for stop in hand.stops)}
        stores = {self.deliveries[number].pickup for number in waiting}
        return {
            hand.number
            for hand in hands
            if (mine := hand.jobs())
            and hand.leave_s <= now
            and len(hand.stops) == 2 * len(mine)
            and {self.deliveries[job].pickup for job in mine} == {hand.stops[0].place}
            and hand.stops[0].place in stores
            and len(mine) < min(self.deliveries[job].stack_max for job in mine)
        }

    def _problem(self, now: int, hands: list[Hand], jobs: list[int], bound: set[int]) -> Problem:
        rules, numbers = self.rules, {job: n for n, job in enumerate(jobs)}
        drivers = tuple(
            driver_of(self._world, hand, self.deliveries, now, rules, self._keeps(hand, bound, numbers))
            for hand in hands
        )
        legs, vehicles = self._world.legs(), {driver.vehicle for driver in drivers}
        problem = Problem(
            now_ms=self.starts_ms + now * 1000,
            drivers=drivers,
            jobs=tuple(
                job_of(number, self.deliveries[number], now, self._asking, rules, legs, vehicles) for number in jobs
            ),
            legs=legs,
            weights=rules.weights,
            business_weights=rules.business_weights,
            pickup_service_s=rules.pickup_service_s,
            dropoff_service_s=rules.dropoff_service_s,
            epoch_s=rules.epoch_s,
            lead_s=rules.lead_s,
            demand=tuple(expected(self._orders).items()) if rules.moves else (),
        )
        return replace(problem, second_price=second_price(problem))

    def _keeps(self, hand: Hand, bound: set[int], numbers: dict[int, int]) -> tuple[int, ...] | None:
        if hand.number not in bound:
            return None
        return tuple(numbers[job] for job in hand.jobs()) if self.rules.keeps else ()

    def _commit(
        self, now: int, hands: list[Hand], jobs: list[int], bound: set[int], problem: Problem, plan: Plan
    ) -> None:
        if not self.rules.keeps:
            self._change_errands(now, hands, jobs, bound, plan)
        several = {n for n, job in enumerate(jobs) if self.deliveries[job].asks > 1}
        explained = explain(problem, plan) if several else []
        for route in plan.routes:
            hand, trip = hands[route.driver], route.trips[0]
            joins = hand.jobs() if hand.number in bound else ()
            new = tuple(jobs[job] for job in trip.jobs if jobs[job] not in joins)
            if not route.commit or not new or (hand.number in bound and not self.rules.keeps):
                continue
            asked = [(hand, self._with(hand, trip, jobs))]
            if len(trip.jobs) == 1 and trip.jobs[0] in several and trip.amid is None and not joins:
                by_id = {driver.id: number for number, driver in enumerate(problem.drivers)}
                others = [who for who in explained[trip.jobs[0]].runners_up if not who.took_other_job]
                for who in others[: self.deliveries[new[0]].asks - 1]:
                    other = hands[by_id[who.driver_id]]
                    if not other.asked:
                        asked.append((other, self._with(other, trip, jobs)))
            self._ask(now, asked, new, joins)

    def _ask(
        self, now: int, asked: list[tuple[Hand, list[Stop]]], new: tuple[int, ...], joins: tuple[int, ...]
    ) -> None:
        self._asking.count(new)
        for hand, stops in asked:
            self._asking.ask(hand, new, stops, joins, now)
        if not self.rules.answer_s:
            self._hear(now)

    def _with(self, hand: Hand, trip: PlannedTrip, jobs: list[int]) -> list[Stop]:
        """Return a hand's whole route with a trip: behind what he has, joined to it at the store, or in between."""
        his = [stop for stop in hand.stops if stop.job is not None]
        mine = {(stop.job, stop.pickup): stop for stop in his}

        def call(job: int, *, pickup: bool) -> Stop:
            one = self.deliveries[job]
            return mine.get((job, pickup)) or Stop(one.pickup if pickup else one.dropoff, job, pickup)

        taken = [jobs[job] for job in trip.jobs]
        fetched = sorted(taken, key=lambda job: self.deliveries[job].pickup != trip.pickup)
        pickups, doors = [call(job, pickup=True) for job in fetched], [call(job, pickup=False) for job in taken]
        if trip.amid is not None:
            before_pickup, before_door = trip.amid
            return his[:before_pickup] + pickups + his[before_pickup:before_door] + doors + his[before_door:]
        return [stop for stop in his if stop.job not in taken] + pickups + doors

    def _change_errands(self, now: int, hands: list[Hand], jobs: list[int], bound: set[int], plan: Plan) -> None:
        """Let those who fetch something fetch what the plan says now, and go on to where they are going."""
        taken = {
            hands[route.driver].number: [jobs[job] for job in route.trips[0].jobs]
            for route in plan.routes
            if hands[route.driver].number in bound
        }
        for hand in hands:
            if hand.number not in bound:
                continue
            first = next(n for n, stop in enumerate(hand.stops) if stop.pickup)
            place, mine = hand.stops[first].place, taken.get(hand.number, [])
            for job in mine:
                self.told_s[job] = self.told_s[job] if job in hand.jobs() else now
            hand.changed_s = now
            pickups = [Stop(place, job, pickup=True) for job in mine] or [Stop(place, None, pickup=True)]
            doors = [Stop(self.deliveries[job].dropoff, job, pickup=False) for job in mine]
            hand.stops[first:] = pickups + doors

    def _move(self, now: int, hands: list[Hand], plan: Plan) -> None:
        """Send idle drivers where work comes from; who is told is left in peace for a while."""
        rules = self.rules
        self._moves_due_s = now + LOOK_AGAIN_S
        for move in plan.moves:
            hand = hands[move.driver]
            if not hand.idle or hand.shift.on_s > now or now < hand.moved_s + rules.moves_every_s:
                continue
            hand.moved_s = now
            self._world.send(hand, [Stop(move.place, None, pickup=False)], now)
            if not rules.keeps:
                self._world.settle(hand, FOREVER)
