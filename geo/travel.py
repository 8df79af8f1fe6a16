"""How long it takes to get there: a port, and the calibrated straight line that needs no map.

The straight line has an intercept (unlocking the bicycle, lights, finding the kerb): without one no factor fits short
trips. Shipped figures are priors for a dense city; a street graph or a routing engine replaces them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from geo.distance import meters_matrix
from geo.point import Floats

UNREACHABLE_S: Final = 10**7
Seconds = NDArray[np.int32]


class Vehicle(StrEnum):
    """What a driver moves with."""

    BICYCLE = "bicycle"
    SCOOTER = "scooter"
    CAR = "car"
    FOOT = "foot"


class TravelTimes(Protocol):
    """Where travel times come from."""

    @property
    def source(self) -> str:
        """The provider's name, kept with every arrival time."""

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        """Return whole seconds from every origin (n, 2) to every destination (m, 2); `UNREACHABLE_S` for no way."""


CROW_FLIES: Final[dict[Vehicle, tuple[float, float]]] = {
    Vehicle.CAR: (90.0, 0.17),
    Vehicle.SCOOTER: (60.0, 0.18),
    Vehicle.BICYCLE: (40.0, 0.28),
    Vehicle.FOOT: (10.0, 0.95),
}
"""Per vehicle: seconds to set off and stop, and seconds per straight metre (detour included)."""
TOP_SPEED_MPS: Final[dict[Vehicle, float]] = {
    Vehicle.CAR: 33.0,
    Vehicle.SCOOTER: 14.0,
    Vehicle.BICYCLE: 8.0,
    Vehicle.FOOT: 2.5,
}
"""No vehicle gets further than this in a second, as the crow flies."""


class CrowFlies:
    """The calibrated straight line: `t = a + b · d`."""

    source = "crow_flies"

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        """Return whole seconds from every origin to every destination."""
        start_s, per_m_s = CROW_FLIES[vehicle]
        return np.rint(start_s + per_m_s * meters_matrix(origins, destinations)).astype(np.int32)
