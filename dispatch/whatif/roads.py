"""The seconds between the places of a past day: as the provider of travel times says, set right by that day's rides."""

from __future__ import annotations

from typing import Final

import numpy as np

from dispatch.engine.legs import VEHICLES
from dispatch.engine.problem import Legs
from dispatch.eta_lessons import ride_lessons
from dispatch.learning import Line, Ride
from dispatch.rides import Ridden, RiddenLegs, straight, table_of
from dispatch.whatif.past import PastDay
from geo.point import Point
from geo.travel import CrowFlies, TravelTimes

TABLE_PLACES_MAX: Final = 1_200
"""Up to so many places of a day the provider of travel times is asked for all pairs; beyond, the straight line is."""


def legs_of(day: PastDay, travel: TravelTimes) -> tuple[Legs, str, dict[Point, int]]:
    """Return the seconds between all places of a day, where they are from, and the places' numbers."""
    places: dict[Point, int] = {}
    for one in day.deliveries:
        places.setdefault(one.pickup, len(places))
        places.setdefault(one.dropoff, len(places))
    for shift in day.shifts:
        places.setdefault(shift.at, len(places))
    if len(places) > TABLE_PLACES_MAX:
        return _as_lived(straight(list(places), {}), day, places), CrowFlies.source, places
    table = table_of(travel, list(places), {shift.vehicle for shift in day.shifts}, {})
    for seconds in table.table:
        np.fill_diagonal(seconds, 0)  # who is there already needs no time, whatever the provider says
    return _as_lived(table, day, places), travel.source, places


def _as_lived(legs: Legs, day: PastDay, places: dict[Point, int]) -> Legs:
    """Return legs on the lines that the day's rides give; nothing changes where there were none."""
    known = [ride for ride in day.lived.rides if ride.start in places and ride.end in places]
    lines: list[Ridden | None] = []
    for number, vehicle in enumerate(VEHICLES):
        rides = [ride for ride in known if ride.vehicle is vehicle]
        if not rides:
            lines.append(None)
            continue
        starts, ends = np.array([places[ride.start] for ride in rides]), np.array([places[ride.end] for ride in rides])
        line = Line()
        for lesson in ride_lessons(rides, legs.seconds(starts, ends, np.full(1, number)).tolist(), "", day.time_zone):
            if isinstance(lesson, Ride):
                line = line.after(lesson.provider_s, lesson.actual_s)
        lines.append(Ridden(*line.coefficients()))
    return RiddenLegs(legs, tuple(lines)) if known else legs
