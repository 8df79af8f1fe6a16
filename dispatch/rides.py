"""Seconds between places as they are really ridden: what a provider says, corrected by what was learned of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from dispatch.engine.legs import VEHICLES, CrowLegs, TableLegs
from dispatch.engine.problem import Ints, Legs
from geo.point import Point, as_array
from geo.travel import UNREACHABLE_S, CrowFlies, TravelTimes, Vehicle

RIDE_MIN_S: Final = 30


class Ridden(msgspec.Struct, frozen=True):
    """What a ride takes when a provider says `t`: `a + b · t` seconds."""

    a: float
    b: float

    def seconds(self, said_s: Ints) -> Ints:
        """Return corrected whole seconds; no way stays no way, and where one is already takes no time."""
        ridden_s = np.maximum(RIDE_MIN_S, np.rint(self.a + self.b * said_s)).astype(np.int64)
        return np.where((said_s == 0) | (said_s >= UNREACHABLE_S), said_s, ridden_s)


Rides = dict[str, Ridden]
"""By provider and vehicle (`key`); who is not in it is believed."""


def key(source: str, vehicle: Vehicle) -> str:
    """Return under which name is kept what was learned of a provider's seconds for a vehicle."""
    return f"{source}/{vehicle.value}"


def table_of(travel: TravelTimes, places: list[Point], vehicles: Iterable[Vehicle], rides: Rides) -> TableLegs:
    """Return the seconds between all pairs of places for these vehicles."""
    where = as_array(places)
    table = np.zeros((len(VEHICLES), len(places), len(places)), np.int32)
    for vehicle in vehicles:
        said_s = travel.seconds(where, where, vehicle)
        ridden = rides.get(key(travel.source, vehicle))  # asked afterwards: straight lines may have stood in
        table[VEHICLES.index(vehicle)] = said_s if ridden is None else ridden.seconds(said_s.astype(np.int64))
    return TableLegs(table)


def straight(places: list[Point], rides: Rides) -> Legs:
    """Return straight lines between places, for where there are too many for a table."""
    legs = CrowLegs(as_array(places).reshape(-1, 2))
    lines = [rides.get(key(CrowFlies.source, vehicle)) for vehicle in VEHICLES]
    return RiddenLegs(legs, tuple(lines)) if any(lines) else legs


@dataclass(frozen=True)
class RiddenLegs:
    """Other legs, each corrected by its vehicle's line, if it has one."""

    legs: Legs
    lines: tuple[Ridden | None, ...]

    def seconds(self, start: Ints, end: Ints, vehicle: Ints) -> Ints:
        """Return whole seconds from places to places."""
        said_s = self.legs.seconds(start, end, vehicle)
        which = np.broadcast_to(vehicle, said_s.shape)
        for number, line in enumerate(self.lines):
            if line is not None:
                said_s = np.where(which == number, line.seconds(said_s), said_s)
        return said_s

    def near(self, start: Ints, end: Ints, count: int) -> Ints | None:
        """Return the nearest: no line changes who that is."""
        return self.legs.near(start, end, count)
