"""What came of a day, played or real, and its figures: both are measured by the same rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
import numpy as np

from dispatch.whatif.past import PastDay, PastDelivery
from geo.distance import road_meters
from geo.point import Point


class Move(msgspec.Struct, frozen=True):
    """One leg: who, when he set off (in a real day: arrived), from where to where, with how many deliveries aboard."""

    driver_id: UUID
    at_s: int
    start: Point
    end: Point
    aboard: int


@dataclass(slots=True)
class Outcome:
    """Moments and driver by the delivery's number in the day, and all legs; `told_s` is when its driver accepted."""

    told_s: dict[int, int] = field(default_factory=dict)
    picked_s: dict[int, int] = field(default_factory=dict)
    door_s: dict[int, int] = field(default_factory=dict)
    driver: dict[int, UUID] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)

    def by_driver(self) -> dict[UUID, list[int]]:
        """Return the numbers of what each driver brought."""
        found: dict[UUID, list[int]] = {}
        for number, driver_id in self.driver.items():
            found.setdefault(driver_id, []).append(number)
        return found

    def busy_s(self) -> int:
        """Return how many seconds drivers had work: from when one was told of it to its door."""
        spans = [[(self.told_s[n], self.door_s[n]) for n in mine] for mine in self.by_driver().values()]
        return sum(map(_covered, spans))

    def trips(self) -> int:
        """Return how many times somebody with nothing aboard picked something up."""
        trips = 0
        for mine in self.by_driver().values():
            aboard = 0
            for _, change in sorted([(self.picked_s[n], 0) for n in mine] + [(self.door_s[n], 1) for n in mine]):
                trips += change == 0 and aboard == 0
                aboard += -1 if change else 1
        return trips


def as_it_was(day: PastDay) -> Outcome:
    """Return what really happened, as far as it is known from the deliveries' own moments."""
    outcome = Outcome()
    for number, one in enumerate(day.deliveries):
        if one.driver_id is None or one.picked_s is None or one.door_s is None:
            continue
        outcome.told_s[number] = one.picked_s if one.assigned_s is None else one.assigned_s
        outcome.picked_s[number], outcome.door_s[number] = one.picked_s, max(one.door_s, one.picked_s)
        outcome.driver[number] = one.driver_id
    starts = {shift.driver_id: shift.at for shift in sorted(day.shifts, key=lambda shift: -shift.on_s)}
    for driver_id, mine in outcome.by_driver().items():
        visits = [(outcome.picked_s[n], 1, n) for n in mine] + [(outcome.door_s[n], -1, n) for n in mine]
        visits.sort(key=lambda visit: (visit[0], -visit[1], visit[2]))
        place, aboard = starts.get(driver_id, day.deliveries[visits[0][2]].pickup), 0
        for at_s, change, number in visits:
            stop = day.deliveries[number].pickup if change > 0 else day.deliveries[number].dropoff
            outcome.moves.append(Move(driver_id, at_s, place, stop, aboard))
            place, aboard = stop, aboard + change
    return outcome


def _covered(spans: Iterable[tuple[int, int]]) -> int:
    """Return how many seconds lie in at least one span."""
    total, until = 0, None
    for start, end in sorted(spans):
        begin = start if until is None else max(start, until)
        total += max(0, end - begin)
        until = end if until is None else max(end, until)
    return total


class Service(msgspec.Struct, frozen=True):
    """How some deliveries were served. Click to door is from the order to the door; late is past the promise."""

    deliveries: int
    undelivered: int
    click_to_door_mean_s: int | None
    click_to_door_p50_s: int | None
    click_to_door_p90_s: int | None
    late: int
    late_s: int


class Work(msgspec.Struct, frozen=True):
    """What it took. Pay is what the drivers earn by the deliveries, tips included; `utilisation` is busy of worked."""

    drivers: int
    worked_s: int
    pay_minor: int
    pay_per_hour_minor: int | None
    distance_m: int
    empty_m: int
    utilisation: float | None
    trips: int
    deliveries_per_trip: float | None


def service(deliveries: Sequence[PastDelivery], outcome: Outcome, numbers: Iterable[int]) -> Service:
    """Return how the deliveries with these numbers were served."""
    chosen = list(numbers)
    done = [number for number in chosen if number in outcome.door_s]
    waits = np.array([outcome.door_s[number] - deliveries[number].placed_s for number in done])
    late = [max(0, outcome.door_s[number] - deliveries[number].promised_s) for number in done]
    mean, p50, p90 = (
        (round(float(waits.mean())), *(round(float(q)) for q in np.percentile(waits, (50, 90))))
        if done
        else (None, None, None)
    )
    return Service(len(chosen), len(chosen) - len(done), mean, p50, p90, sum(s > 0 for s in late), sum(late))


def work(day: PastDay, outcome: Outcome) -> Work:
    """Return what serving the day took."""
    shifts = day.shifts
    worked_s = sum(max(0, min(shift.off_s, day.until_s) - shift.on_s) for shift in shifts)
    pay_minor = sum(day.deliveries[number].pay_minor for number in outcome.door_s)
    trips = outcome.trips()
    meters = [(road_meters(move.start, move.end), move.aboard) for move in outcome.moves]
    return Work(
        drivers=len({shift.driver_id for shift in shifts}),
        worked_s=worked_s,
        pay_minor=pay_minor,
        pay_per_hour_minor=round(pay_minor * 3600 / worked_s) if worked_s else None,
        distance_m=sum(m for m, _ in meters),
        empty_m=sum(m for m, aboard in meters if not aboard),
        utilisation=round(min(1.0, outcome.busy_s() / worked_s), 4) if worked_s else None,
        trips=trips,
        deliveries_per_trip=round(len(outcome.door_s) / trips, 3) if trips else None,
    )
