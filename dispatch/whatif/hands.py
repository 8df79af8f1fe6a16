"""The hands of a played day: where each is, what he has still to do, and how that goes in the world of that day.

The world is exact: every ride takes what the legs say, every hand-over the same, and goods are ready when they were.
What a hand does after a stop follows from his stops alone, so it can be looked ahead at without being done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dispatch.engine.problem import Ints, Legs
from dispatch.whatif.given import Delivery, Rules, Shift, Way

ON_THE_WAY: Final = 2**40
"""Places from here on are somewhere between two others."""


@dataclass(slots=True, eq=False)
class Stop:
    """A place to call at: to pick up a delivery or to hand it over. Without a job there is nothing to do any more."""

    place: int
    job: int | None
    pickup: bool


@dataclass(slots=True, eq=False)
class Hand:
    """A driver at work: where and since when (or from when) he is done, his stops, and when he leaves for the first."""

    number: int
    shift: Shift
    place: int
    free_s: int
    stops: list[Stop] = field(default_factory=list)
    leave_s: int = 0
    aboard: int = 0
    asked: bool = False
    jobs_done: int = 0
    told_s: int = 0
    changed_s: int = 0
    """When what he is to fetch was last looked at again: he does not have it before."""
    moved_s: int = -(10**9)
    missed_s: list[int] = field(default_factory=list)
    """When he let offers pass, since he last answered one."""

    @property
    def idle(self) -> bool:
        """Say whether he has nothing to do; he may be on his way to a place where he will wait."""
        return all(stop.job is None for stop in self.stops)

    def jobs(self) -> tuple[int, ...]:
        """Return what he has still to pick up."""
        return tuple(stop.job for stop in self.stops if stop.pickup and stop.job is not None)


class Visit(NamedTuple):
    """One call: the stops it serves, and when he leaves for it, arrives, hands over and is done."""

    stops: Sequence[Stop]
    place: int
    leave_s: int
    arrive_s: int
    moment_s: int
    free_s: int


@dataclass(frozen=True)
class WayLegs:
    """The day's legs, and from places on the way: between `start` and `end`, a `share` (n,) of the way behind."""

    legs: Legs
    start: Ints
    end: Ints
    share: NDArray[np.float64]

    def seconds(self, start: Ints, end: Ints, vehicle: Ints) -> Ints:
        """Return whole seconds from places to places: on the way, between what it is from both of its ends."""
        amid = start >= ON_THE_WAY
        if not amid.any():
            return self.legs.seconds(start, end, vehicle)
        number = np.where(amid, start - ON_THE_WAY, 0)
        back = self.seconds(np.where(amid, self.start[number], start), end, vehicle)
        ahead = self.seconds(np.where(amid, self.end[number], start), end, vehicle)
        share = np.where(amid, self.share[number], 0.0)
        return np.rint((1 - share) * back + share * ahead).astype(np.int64)

    def near(self, start: Ints, end: Ints, count: int) -> Ints | None:
        """Return the nearest, as if who is on his way were there."""
        while (amid := start >= ON_THE_WAY).any():
            start = np.where(amid, self.end[np.where(amid, start - ON_THE_WAY, 0)], start)
        return self.legs.near(start, end, count)


class World:
    """How the day goes: `done` hears of each call that is over, with its hand."""

    def __init__(
        self,
        deliveries: Sequence[Delivery],
        legs: Legs,
        rules: Rules,
        done: Callable[[Hand, Visit], None],
    ) -> None:
        self._deliveries = deliveries
        self._legs = legs
        self._half_pickup, self._half_dropoff = rules.pickup_service_s // 2, rules.dropoff_service_s // 2
        self._done = done
        self._amid: list[tuple[int, int, float]] = []
        self._seen = 0, legs
        self.ways: list[Way] = []

    def legs(self) -> Legs:
        """Return the seconds between all places there are now."""
        count, legs = self._seen
        if count != len(self._amid):
            start, end, share = (np.array(column) for column in zip(*self._amid, strict=True))
            legs = WayLegs(self._legs, start, end, share)
            self._seen = len(self._amid), legs
        return legs

    def between(self, place: int) -> tuple[int, int, float] | None:
        """Return the two places that one on the way lies between, and the share of the way behind; else None."""
        return None if place < ON_THE_WAY else self._amid[place - ON_THE_WAY]

    def places(self) -> int:
        """Return how many places on the way there are."""
        return len(self._amid)

    def forget(self, places: int) -> None:
        """Forget the places on the way but the first so many: nobody is there."""
        if places < len(self._amid):
            del self._amid[places:]
            self._seen = 0, self._legs

    def way_s(self, hand: Hand, start: int, end: int) -> int:
        """Return how long a hand takes from one place to another."""
        return int(self.legs().seconds(np.array([start]), np.array([end]), np.array([hand.shift.vehicle]))[0])

    def visits(self, hand: Hand, now: int | None = None) -> Iterator[Visit]:
        """Yield how his stops go as they will; with `now`, as far as can be known now."""
        place, leave_s, number = hand.place, hand.leave_s, 0
        while number < len(hand.stops):
            first = hand.stops[number]
            together = 1
            while first.pickup and number + together < len(hand.stops):
                other = hand.stops[number + together]
                if not other.pickup or other.place != first.place:
                    break
                together += 1
            stops = hand.stops[number : number + together]
            arrive_s = leave_s + self.way_s(hand, place, first.place)
            moment_s, half_s = self._moment(stops, arrive_s, now)
            if first.pickup:
                moment_s = max(moment_s, hand.changed_s)
            yield Visit(stops, first.place, leave_s, arrive_s, moment_s, moment_s + half_s)
            place, leave_s, number = first.place, moment_s + half_s, number + together

    def _moment(self, stops: Sequence[Stop], arrive_s: int, now: int | None) -> tuple[int, int]:
        jobs = [self._deliveries[stop.job] for stop in stops if stop.job is not None]
        if not jobs:
            return arrive_s, 0
        if stops[0].pickup:
            ready = [job.ready_s if now is None else job.said_ready_s(now) for job in jobs]
            return max(arrive_s + self._half_pickup, *ready), self._half_pickup
        return max(arrive_s + self._half_dropoff, jobs[0].dropoff_from_s or 0), self._half_dropoff

    def end(self, hand: Hand, now: int) -> tuple[int, int]:
        """Return where and when he will be free, as far as can be known now."""
        place, free_s = hand.place, max(hand.free_s, hand.shift.on_s)
        for visit in self.visits(hand, now):
            place, free_s = visit.place, visit.free_s
        return place, free_s

    def settle(self, hand: Hand, now: int, *, doors_only: bool = False) -> None:
        """Let happen what is due; with `doors_only`, up to what is to be picked up next."""
        while hand.stops and not (doors_only and hand.stops[0].pickup):
            visit = next(self.visits(hand))
            if visit.moment_s > now:
                return
            if visit.place != hand.place or hand.aboard:
                self.ways.append(Way(hand.number, visit.leave_s, hand.place, visit.place, hand.aboard))
            served = sum(stop.job is not None for stop in visit.stops)
            hand.aboard += served if visit.stops[0].pickup else -served
            hand.jobs_done += 0 if visit.stops[0].pickup else served
            del hand.stops[: len(visit.stops)]
            hand.place, hand.free_s, hand.leave_s = visit.place, visit.free_s, visit.free_s
            self._done(hand, visit)

    def here(self, hand: Hand, now: int) -> int:
        """Return where he is now: on the way, at a new place between two others."""
        if not hand.stops or now <= hand.leave_s:
            return hand.place
        visit = next(self.visits(hand))
        if now >= visit.arrive_s:
            return visit.place
        self._amid.append((hand.place, visit.place, (now - visit.leave_s) / (visit.arrive_s - visit.leave_s)))
        return ON_THE_WAY + len(self._amid) - 1

    def send(self, hand: Hand, stops: list[Stop], at_s: int) -> None:
        """Give a hand other stops: he goes on where he is going, or turns round on his way."""
        before = hand.stops
        if not before or not stops or before[0].place != stops[0].place:
            here = self.here(hand, at_s)
            if before and at_s > hand.leave_s:
                if here != hand.place:
                    self.ways.append(Way(hand.number, hand.leave_s, hand.place, here, hand.aboard))
                hand.place, hand.free_s = here, max(hand.free_s, at_s)
            hand.leave_s = max(at_s, hand.free_s, hand.shift.on_s)
        hand.stops = stops
