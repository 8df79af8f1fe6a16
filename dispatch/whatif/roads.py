"""The seconds between the places of a past day: as the provider of travel times says, set right by that day's rides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dispatch.engine.legs import VEHICLES, CrowLegs, TableLegs
from dispatch.engine.problem import Ints, Legs
from dispatch.eta_lessons import Driving, ride_lessons
from dispatch.learning import RIDE_MIN_S, Line, Ride
from dispatch.whatif.past import PastDay
from geo.point import Point, as_array
from geo.travel import UNREACHABLE_S, CrowFlies, TravelTimes

TABLE_PLACES_MAX: Final = 1_200
"""Up to so many places of a day the provider of travel times is asked for all pairs; beyond, the straight line is."""
FAR_S: Final = (1_000, 2_000)
"""Where a line is read off: beyond the shortest ride."""


@dataclass(frozen=True)
class LivedLegs:
    """Legs on a line of their own for each vehicle: `start_s` + `per_s` · seconds, as rides went that day."""

    legs: Legs
    start_s: NDArray[np.float64]
    per_s: NDArray[np.float64]

    def seconds(self, start: Ints, end: Ints, vehicle: Ints) -> Ints:
        """Return whole seconds from places to places."""
        said = self.legs.seconds(start, end, vehicle)
        took = np.maximum(RIDE_MIN_S, np.rint(self.start_s[vehicle] + self.per_s[vehicle] * said))
        return np.where((said <= 0) | (said >= UNREACHABLE_S), said, took).astype(np.int64)

    def near(self, start: Ints, end: Ints, count: int) -> Ints | None:
        """Return the nearest as the legs know them."""
        return self.legs.near(start, end, count)


def legs_of(day: PastDay, travel: TravelTimes) -> tuple[Legs, str, dict[Point, int]]:
    """Return the seconds between all places of a day, where they are from, and the places' numbers."""
    places: dict[Point, int] = {}
    for one in day.deliveries:
        places.setdefault(one.pickup, len(places))
        places.setdefault(one.dropoff, len(places))
    for shift in day.shifts:
        places.setdefault(shift.at, len(places))
    where = as_array(list(places))
    if len(places) > TABLE_PLACES_MAX:
        return _as_lived(CrowLegs(where), day, places), CrowFlies.source, places
    table = np.zeros((len(VEHICLES), len(places), len(places)), np.int32)
    for vehicle in {shift.vehicle for shift in day.shifts}:
        seconds = table[VEHICLES.index(vehicle)] = travel.seconds(where, where, vehicle)
        np.fill_diagonal(seconds, 0)
        table[VEHICLES.index(vehicle)] = seconds
    return _as_lived(TableLegs(table), day, places), travel.source, places


def _as_lived(legs: Legs, day: PastDay, places: dict[Point, int]) -> Legs:
    """Return legs on the lines that the day's rides give; nothing changes where there were none."""
    start_s, per_s = np.zeros(len(VEHICLES)), np.ones(len(VEHICLES))
    by_vehicle: dict[int, list[Driving]] = {}
    for ride in day.lived.rides:
        if ride.start in places and ride.end in places:
            by_vehicle.setdefault(VEHICLES.index(ride.vehicle), []).append(ride)
    for vehicle, rides in by_vehicle.items():
        starts, ends = (np.array([places[getattr(ride, end)] for ride in rides]) for end in ("start", "end"))
        said = legs.seconds(starts, ends, np.full(1, vehicle)).tolist()
        line = Line()
        for lesson in ride_lessons(rides, said, "", day.time_zone):
            if isinstance(lesson, Ride):
                line = line.after(lesson.provider_s, lesson.actual_s)
        near, far = (line.seconds(at_s) for at_s in FAR_S)
        per_s[vehicle] = (far - near) / (FAR_S[1] - FAR_S[0])
        start_s[vehicle] = near - per_s[vehicle] * FAR_S[0]
    return LivedLegs(legs, start_s, per_s) if by_vehicle else legs
