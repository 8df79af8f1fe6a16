"""Seconds between places as they are really ridden: what a provider says, corrected by what was learned of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dispatch.engine.legs import VEHICLES, CrowLegs, TableLegs
from dispatch.engine.problem import Ints, Legs
from geo.point import Point, as_array
from geo.travel import UNREACHABLE_S, CrowFlies, TravelTimes, Vehicle

RIDE_MIN_S: Final = 30


class Ridden(msgspec.Struct, frozen=True):
    """What a ride takes when a provider says `t`: `a + b · t` seconds."""

    a: float
    b: float


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
        table[VEHICLES.index(vehicle)] = said_s if ridden is None else _ridden(said_s, ridden.a, ridden.b)
    return TableLegs(table)


def straight(places: list[Point], rides: Rides) -> Legs:
    """Return straight lines between places, for where there are too many for a table."""
    lines = [rides.get(key(CrowFlies.source, vehicle), Ridden(0.0, 1.0)) for vehicle in VEHICLES]
    a, b = np.array([line.a for line in lines]), np.array([line.b for line in lines])
    return RiddenLegs(CrowLegs(as_array(places).reshape(-1, 2)), a, b)


@dataclass(frozen=True)
class RiddenLegs:
    """Other legs, each corrected by its vehicle's line: `a + b · t` (vehicles,)."""

    legs: Legs
    a: NDArray[np.float64]
    b: NDArray[np.float64]

    def seconds(self, start: Ints, end: Ints, vehicle: Ints) -> Ints:
        """Return whole seconds from places to places."""
        ridden: Ints = _ridden(self.legs.seconds(start, end, vehicle), self.a[vehicle], self.b[vehicle])
        return ridden

    def near(self, start: Ints, end: Ints, count: int) -> Ints | None:
        """Return the nearest: no line changes who that is."""
        return self.legs.near(start, end, count)


def _ridden(said_s: Any, a: Any, b: Any) -> Any:
    """Return corrected whole seconds; no way stays no way, and where one is already takes no time."""
    ridden = np.maximum(RIDE_MIN_S, np.rint(a + b * said_s)).astype(said_s.dtype)
    return np.where((said_s == 0) | (said_s >= UNREACHABLE_S), said_s, ridden)
