"""What past deliveries teach about the next one: how long rides, kitchens and hand-overs really take.

A ride is the provider's seconds on a line `a + b · t`, times a factor of lately and of the hour of the week. Whatever
is known of few cases is drawn towards what is known of many, by n / (n + 20), and at the end towards what is shipped:
with no history nothing changes. The newest counts most. The same lessons in the same order teach the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from dispatch.rides import RIDE_MIN_S, Ridden, Rides, key
from geo.eta import Spread
from geo.travel import CROW_FLIES, UNREACHABLE_S, Vehicle

HAND_OVER_S: Final = 60
"""What a hand-over takes where none was seen."""
HAND_OVER_MAX_S: Final = 3_600
READY_LATE_MAX_S: Final = 3_600
READY_EARLY_MAX_S: Final = 1_800
PRIOR_CASES: Final = 20
HALF_LIFE_CASES: Final = 30
LINE_HALF_LIFE_RIDES: Final = 500
INTERCEPT_PRIOR_S: Final = 500.0
"""How far the intercept of a ride goes from 0 as easily as its slope from 1 to 2."""
FACTOR_MIN: Final = 0.5
FACTOR_MAX: Final = 3.0
ENOUGH_RIDES: Final = 30
"""With fewer of a vehicle the dispatcher believes the provider: who is chosen must not hang on a few odd rides."""
HOUR_S: Final = 3_600
USED_UP_S: Final = 240.0
"""Of what a ride takes beside its way, a share of 1/e is left by when this long a way is still to go."""

_FORGET: Final = 1 - 0.5 ** (1 / HALF_LIFE_CASES)
_FADE: Final = 0.5 ** (1 / LINE_HALF_LIFE_RIDES)


class Average(msgspec.Struct, frozen=True):
    """A mean of which half is made of the last 30 cases, and how many cases there were."""

    value: float = 0.0
    n: int = 0

    def after(self, value: float) -> Average:
        """Return the average with one more case."""
        return Average(self.value + max(_FORGET, 1 / (self.n + 1)) * (value - self.value), self.n + 1)

    def drawn_to(self, parent: float) -> float:
        """Return the average, drawn to that of its parent while its cases are few."""
        weight = self.n / (self.n + PRIOR_CASES)
        return (1 - weight) * parent + weight * self.value


class Line(msgspec.Struct, frozen=True):
    """Sums for the line through rides, each weighted by 1 / t² (a share of the time counts), the old ones fading."""

    w: float = 0.0
    wt: float = 0.0
    wtt: float = 0.0
    wd: float = 0.0
    wtd: float = 0.0

    def after(self, provider_s: int, actual_s: int) -> Line:
        """Return the sums with one more ride."""
        t, d = float(max(1, provider_s)), float(actual_s)
        more = (1 / t**2, 1 / t, 1.0, d / t**2, d / t)
        sums = (self.w, self.wt, self.wtt, self.wd, self.wtd)
        return Line(*(_FADE * old + new for old, new in zip(sums, more, strict=True)))

    def coefficients(self) -> tuple[float, float]:
        """Return `a` and `b` (ridge regression towards a = 0, b = 1)."""
        ridge = PRIOR_CASES / INTERCEPT_PRIOR_S**2
        matrix = np.array([[self.w + ridge, self.wt], [self.wt, self.wtt + PRIOR_CASES]])
        a, b = np.linalg.solve(matrix, np.array([self.wd, self.wtd + PRIOR_CASES]))
        return float(a), float(b)

    def seconds(self, provider_s: int) -> float:
        """Return what the line makes of the provider's seconds."""
        a, b = self.coefficients()
        return max(float(RIDE_MIN_S), a + b * provider_s)


class Travel(msgspec.Struct, frozen=True):
    """What was learned of one vehicle's rides against one provider: the line, and log factors on top of it."""

    line: Line = Line()
    factor: Average = Average()
    hours: dict[int, Average] = {}

    def seconds(self, provider_s: int, hour: int) -> int:
        """Return how long a ride takes in an hour of the week, from the provider's seconds."""
        if provider_s in {0, UNREACHABLE_S}:
            return provider_s
        return round(self.line.seconds(provider_s) * self.factor_at(hour))

    def factor_at(self, hour: int) -> float:
        """Return what rides of an hour of the week take more (or less) than the line says."""
        log = self.hours.get(hour, Average()).drawn_to(self.factor.drawn_to(0.0))
        return min(FACTOR_MAX, max(FACTOR_MIN, math.exp(log)))

    def after(self, ride: Ride) -> Travel:
        """Return what is known with one more ride: what the line still gets wrong is the factor's."""
        log = math.log(max(1, ride.actual_s) / self.line.seconds(ride.provider_s))
        hours = {**self.hours, ride.hour: self.hours.get(ride.hour, Average()).after(log)}
        return Travel(self.line.after(ride.provider_s, ride.actual_s), self.factor.after(log), hours)


class Kitchen(msgspec.Struct, frozen=True):
    """How much later than announced a store's goods are ready, in all and by the hour of the day; seconds."""

    late_s: Average = Average()
    hours: dict[int, Average] = {}


class StopKind(StrEnum):
    """Where something is handed over: at a store, or at a business' customers' doors."""

    PICKUP = "pickup"
    DROPOFF = "dropoff"


class Ride(msgspec.Struct, frozen=True):
    """One ride between two stops, in an hour of the week: what the provider said, and what it took."""

    source: str
    vehicle: Vehicle
    hour: int
    provider_s: int
    actual_s: int


class Readiness(msgspec.Struct, frozen=True):
    """One order of a store, in an hour of the day: how much later than announced it was ready (earlier, below 0)."""

    store_id: UUID
    hour: int
    late_s: int


class HandOver(msgspec.Struct, frozen=True):
    """One hand-over at a store, or at a door for a business; in seconds."""

    stop: StopKind
    at: UUID
    seconds: int


class Arrival(msgspec.Struct, frozen=True):
    """What was once estimated, before past errors corrected it, and what became of it; seconds from then."""

    estimate_s: int
    actual_s: int


Lesson = Ride | Readiness | HandOver | Arrival


class Learned(msgspec.Struct, frozen=True):
    """All that one operator's deliveries taught. Keys: `provider/vehicle`; ids of stores; ids of businesses."""

    travel: dict[str, Travel] = {}
    kitchens: dict[str, Kitchen] = {}
    hand_overs: dict[StopKind, Average] = {}
    at_stores: dict[str, Average] = {}
    at_doors: dict[str, Average] = {}
    spread: Spread = Spread()

    def ride_s(self, source: str, vehicle: Vehicle, at: datetime, provider_s: int) -> int:
        """Return how long a ride takes at a local time, from the provider's seconds."""
        travel = self.travel.get(key(source, vehicle))
        return provider_s if travel is None else travel.seconds(provider_s, hour_of_week(at))

    def left_s(self, source: str, vehicle: Vehicle, at: datetime, provider_s: int) -> int:
        """Return how long the rest of a ride under way takes, from the provider's seconds for that rest.

        What a ride takes beside its way (setting off, lights, the door) was used up in part, and all of it at the end.
        """
        whole_s = self.ride_s(source, vehicle, at, provider_s)
        if provider_s in {0, UNREACHABLE_S}:
            return whole_s
        start_s = round(CROW_FLIES[vehicle][0])
        beside_s = self.ride_s(source, vehicle, at, start_s)
        return max(0, round(whole_s - beside_s * math.exp(-max(0, provider_s - start_s) / USED_UP_S)))

    def rides(self, at: datetime) -> Rides:
        """Return the lines of rides at a local time, of providers and vehicles of which enough were seen."""
        lines = {}
        for name, travel in self.travel.items():
            if travel.factor.n >= ENOUGH_RIDES:
                (a, b), factor = travel.line.coefficients(), travel.factor_at(hour_of_week(at))
                lines[name] = Ridden(a * factor, b * factor)
        return lines

    def ready_late_s(self, store_id: UUID | None, at: datetime) -> int:
        """Return how much later than announced for a local time a store will be ready; 0 for an unknown one."""
        kitchen = self.kitchens.get(str(store_id))
        if kitchen is None:
            return 0
        return round(kitchen.hours.get(at.hour, Average()).drawn_to(kitchen.late_s.drawn_to(0.0)))

    def hand_over_s(self, stop: StopKind, at: UUID | None = None, *, prior_s: int = HAND_OVER_S) -> int:
        """Return how long a hand-over takes at a store, or at the doors of a business; without `at`, anywhere."""
        everywhere = self.hand_overs.get(stop, Average()).drawn_to(prior_s)
        places = self.at_stores if stop is StopKind.PICKUP else self.at_doors
        return round(places.get(str(at), Average()).drawn_to(everywhere))


def learn(learned: Learned, lessons: Iterable[Lesson]) -> Learned:
    """Return what is known after these lessons, in their order."""
    travel, kitchens = dict(learned.travel), dict(learned.kitchens)
    hand_overs = dict(learned.hand_overs)
    places = {StopKind.PICKUP: dict(learned.at_stores), StopKind.DROPOFF: dict(learned.at_doors)}
    arrivals = []
    for lesson in lessons:
        match lesson:
            case Ride():
                ridden = key(lesson.source, lesson.vehicle)
                travel[ridden] = travel.get(ridden, Travel()).after(lesson)
            case Readiness():
                kitchen = kitchens.get(str(lesson.store_id), Kitchen())
                late_s = min(READY_LATE_MAX_S, max(-READY_EARLY_MAX_S, lesson.late_s))
                hours = {**kitchen.hours, lesson.hour: kitchen.hours.get(lesson.hour, Average()).after(late_s)}
                kitchens[str(lesson.store_id)] = Kitchen(kitchen.late_s.after(late_s), hours)
            case HandOver():
                its = places[lesson.stop]
                its[str(lesson.at)] = its.get(str(lesson.at), Average()).after(lesson.seconds)
                hand_overs[lesson.stop] = hand_overs.get(lesson.stop, Average()).after(lesson.seconds)
            case Arrival():
                arrivals.append((lesson.estimate_s, lesson.actual_s))
    return Learned(
        travel=travel,
        kitchens=kitchens,
        hand_overs=hand_overs,
        at_stores=places[StopKind.PICKUP],
        at_doors=places[StopKind.DROPOFF],
        spread=learned.spread.after(arrivals),
    )


def hour_of_week(at: datetime) -> int:
    """Return the hour of the week of a local time: 0 is Monday after midnight."""
    return at.weekday() * 24 + at.hour


def local(at: datetime, time_zone: str) -> datetime:
    """Return an instant as clocks in a time zone show it."""
    return at.astimezone(ZoneInfo(time_zone))
