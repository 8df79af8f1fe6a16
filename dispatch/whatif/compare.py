"""The same day twice through the engine, as it is and as it could be, beside what really happened.

Only the two played days are compared with each other: both have the same blind spots. How far the played day is from
the real one is the model's error, and is told with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal
from uuid import UUID

import msgspec
import numpy as np

from dispatch.decisions import OFFER_LEAD_S
from dispatch.engine.legs import VEHICLES, CrowLegs, TableLegs
from dispatch.engine.problem import Legs
from dispatch.tick import LEAD_S
from dispatch.whatif.change import Change, changed
from dispatch.whatif.day import Day, Delivery, Rules, Shift
from dispatch.whatif.outcome import Move, Outcome, Service, Work, as_it_was, service, work
from dispatch.whatif.past import PastDay
from dispatch.worker import STOP_SERVICE_S
from geo.point import Point, as_array
from geo.travel import CrowFlies, TravelTimes
from kernel.clock import to_ms
from kernel.errors import Problem
from kernel.ids import Kind, show, show_or_none

EPOCH_S: Final = 60
TABLE_PLACES_MAX: Final = 1_200
"""Up to so many places of a day the provider of travel times is asked for all pairs; beyond, the straight line is."""
HOUR_S: Final = 3_600

Phase = Literal["baseline", "alternative"]
Told = Callable[[Phase, float], None]


class Slice(msgspec.Struct, frozen=True):
    """An hour of the day (by when the order was placed, from 0 at the local midnight) or a business, in three days."""

    real: Service
    baseline: Service
    alternative: Service
    hour: int | None = None
    business_id: str | None = None
    name: str | None = None


class Variant(msgspec.Struct, frozen=True):
    """One of the three days in figures."""

    service: Service
    work: Work


class Path(msgspec.Struct, frozen=True):
    """One driver's day: [lat, lng, second of the day] of where he set off from and arrived, in both played days."""

    driver_id: str
    name: str | None
    pool: str
    baseline: list[tuple[float, float, int]]
    alternative: list[tuple[float, float, int]]


class Door(msgspec.Struct, frozen=True):
    """One delivery's door and how many seconds past the promise it was served; None where it was not."""

    lat: float
    lng: float
    real_late_s: int | None
    baseline_late_s: int | None
    alternative_late_s: int | None


class Comparison(msgspec.Struct, frozen=True):
    """The answer: what really happened, the played day as it is, and the alternative."""

    date: str
    time_zone: str
    business_id: str | None
    currency: str
    change: Change
    travel: str
    left_out: dict[str, int]
    real: Variant
    baseline: Variant
    alternative: Variant
    hours: list[Slice]
    businesses: list[Slice]
    paths: list[Path]
    doors: list[Door]


def compare(
    day: PastDay, change: Change, travel: TravelTimes, told: Told = lambda phase, share: None, *, of: UUID | None = None
) -> Comparison:
    """Play a day as it is and as it could be; `of` is the business whose day it is. Raises `Problem`s with words."""
    check(day)
    other = changed(day, change)
    legs, source, places = _legs(day, travel)
    baseline = _played(day, legs, places, lambda share: told("baseline", share))
    alternative = _played(other, legs, places, lambda share: told("alternative", share))
    real = as_it_was(day)
    days = (real, baseline, alternative)

    def cut(numbers: list[int]) -> tuple[Service, Service, Service]:
        first, second, third = (service(day.deliveries, outcome, numbers) for outcome in days)
        return first, second, third

    everything = list(range(len(day.deliveries)))
    by_hour: dict[int, list[int]] = {}
    by_business: dict[UUID, list[int]] = {}
    for number, one in enumerate(day.deliveries):
        by_hour.setdefault(one.placed_s // HOUR_S, []).append(number)
        by_business.setdefault(one.business_id, []).append(number)
    whole = cut(everything)
    took = (work(day, real), work(day, baseline), work(other, alternative))
    return Comparison(
        date=day.date,
        time_zone=day.time_zone,
        business_id=show_or_none(Kind.BUSINESS, of),
        currency=day.currency,
        change=change,
        travel=source,
        left_out=day.left_out,
        real=Variant(whole[0], took[0]),
        baseline=Variant(whole[1], took[1]),
        alternative=Variant(whole[2], took[2]),
        hours=[Slice(*cut(numbers), hour=hour) for hour, numbers in sorted(by_hour.items())],
        businesses=[
            Slice(*cut(numbers), business_id=show(Kind.BUSINESS, business_id), name=day.businesses[business_id])
            for business_id, numbers in sorted(by_business.items(), key=lambda item: (-len(item[1]), item[0]))
        ],
        paths=_paths(other, day, baseline, alternative),
        doors=[
            Door(one.dropoff.lat, one.dropoff.lng, *(_late(outcome, number, one.promised_s) for outcome in days))
            for number, one in enumerate(day.deliveries)
        ],
    )


def check(day: PastDay) -> None:
    """Raise `no_day` when there is nothing to play."""
    if not day.deliveries:
        raise Problem(
            "no_day", f"There are no deliveries on {day.date}. Choose another day, or make one with `onward demo`."
        )
    if not day.shifts:
        raise Problem("no_day", f"Nobody worked on {day.date}, so there is nobody to play the day with.")


def _late(outcome: Outcome, number: int, promised_s: int) -> int | None:
    return max(0, outcome.door_s[number] - promised_s) if number in outcome.door_s else None


def _legs(day: PastDay, travel: TravelTimes) -> tuple[Legs, str, dict[Point, int]]:
    """Return the seconds between all places of a day, where they are from, and the places' numbers."""
    places: dict[Point, int] = {}
    for one in day.deliveries:
        places.setdefault(one.pickup, len(places))
        places.setdefault(one.dropoff, len(places))
    for shift in day.shifts:
        places.setdefault(shift.at, len(places))
    where = as_array(list(places))
    if len(places) > TABLE_PLACES_MAX:
        return CrowLegs(where), CrowFlies.source, places
    table = np.zeros((len(VEHICLES), len(places), len(places)), np.int32)
    for vehicle in {shift.vehicle for shift in day.shifts}:
        seconds = table[VEHICLES.index(vehicle)] = travel.seconds(where, where, vehicle)
        np.fill_diagonal(seconds, 0)
        table[VEHICLES.index(vehicle)] = seconds
    return TableLegs(table), travel.source, places


def _played(day: PastDay, legs: Legs, places: dict[Point, int], told: Callable[[float], None]) -> Outcome:
    limits = day.policies.operator.vehicles
    played = Day(
        tuple(
            Delivery(
                id=one.id,
                business_id=one.business_id,
                pickup=places[one.pickup],
                dropoff=places[one.dropoff],
                placed_s=one.placed_s,
                known_s=max(one.placed_s, one.ready_s - LEAD_S),
                ready_s=one.ready_s,
                promised_s=one.promised_s,
                uses_shared_pool=one.uses_shared_pool,
                stack_max=day.policies.of(one.business_id).stack_max,
                needs=one.needs,
                size=one.size,
                distance_m=one.distance_m,
            )
            for one in day.deliveries
        ),
        tuple(
            Shift(
                driver_id=shift.driver_id,
                place=places[shift.at],
                on_s=shift.on_s,
                off_s=shift.off_s,
                vehicle=VEHICLES.index(shift.vehicle),
                pool=shift.pool,
                business_priority=shift.business_priority,
                skills=shift.skills,
                capacity=limits[shift.vehicle].capacity,
                distance_m_max=limits[shift.vehicle].distance_m_max,
            )
            for shift in day.shifts
        ),
        legs,
        Rules(
            epoch_s=EPOCH_S,
            lead_s=OFFER_LEAD_S,
            pickup_service_s=STOP_SERVICE_S,
            dropoff_service_s=STOP_SERVICE_S,
            weights=day.policies.operator.weights,
            business_weights=day.policies.weights(),
        ),
        to_ms(day.starts_at),
    )
    played.play(told)
    where = list(places)
    outcome = Outcome(trips=len(played.trips))
    for trip in played.trips:
        driver_id = day.shifts[trip.shift].driver_id
        outcome.busy_s[driver_id] = outcome.busy_s.get(driver_id, 0) + trip.free_s - trip.left_s
        for job, door_s in zip(trip.jobs, trip.doors_s, strict=True):
            outcome.picked_s[job], outcome.door_s[job], outcome.driver[job] = trip.picked_s, door_s, driver_id
    outcome.moves = [
        Move(day.shifts[way.shift].driver_id, way.at_s, where[way.start], where[way.end], way.aboard)
        for way in played.ways
    ]
    return outcome


def _paths(other: PastDay, day: PastDay, baseline: Outcome, alternative: Outcome) -> list[Path]:
    known = {shift.driver_id: shift for shift in (*other.shifts, *day.shifts)}
    lines: list[dict[UUID, list[tuple[float, float, int]]]] = []
    for outcome in (baseline, alternative):
        mine: dict[UUID, list[tuple[float, float, int]]] = {}
        for move in sorted(outcome.moves, key=lambda move: move.at_s):
            line = mine.setdefault(move.driver_id, [(move.start.lat, move.start.lng, move.at_s)])
            line.append((move.end.lat, move.end.lng, move.at_s))
        lines.append(mine)
    return [
        Path(
            show(Kind.DRIVER, driver_id),
            shift.name,
            shift.pool,
            lines[0].get(driver_id, []),
            lines[1].get(driver_id, []),
        )
        for driver_id, shift in sorted(known.items(), key=lambda item: (item[1].name or "~", item[0]))
    ]
