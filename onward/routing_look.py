"""A look at the routing server: does it answer for every vehicle, and does its map cover where we deliver?

A server with the map of another city answers too: it takes the nearest street it has, so every way takes it no time.
"""

from __future__ import annotations

from typing import Final

from geo.distance import destination
from geo.point import Point, as_array
from geo.travel import CROW_FLIES, UNREACHABLE_S, TravelTimes, Vehicle
from onward.adapters.tables import RoutingFailed

AROUND_M: Final = 2_000
HEADINGS: Final = range(0, 360, 45)
RIDE_MIN_S: Final = AROUND_M // 60
"""Nobody is faster over two kilometres, whatever he drives."""


def fault(times: TravelTimes, place: Point) -> str | None:
    """Return in words what is wrong with the ways around a place, and what to do; None when they are good."""
    around = as_array([destination(place, heading, AROUND_M) for heading in HEADINGS])
    for vehicle in Vehicle:
        try:
            found = times.seconds(as_array([place]), around, vehicle)[0]
        except RoutingFailed as error:
            return f"{error}: is it running for `{vehicle.value}`, and does ONWARD_ROUTING_URL name it?"
        rides = [int(seconds) - CROW_FLIES[vehicle][0] for seconds in found if seconds < UNREACHABLE_S]
        if not any(seconds >= RIDE_MIN_S for seconds in rides):
            where = f"{place.lat:.4f}, {place.lng:.4f}"
            return f"it knows no way around {where} for `{vehicle.value}`: load the map of that area into it"
    return None
