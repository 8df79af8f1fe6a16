"""Seconds between places: a table where a street graph was asked, formulas where there are too many pairs for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dispatch.engine.problem import Ints
from geo.distance import EARTH_RADIUS_M
from geo.travel import CROW_FLIES, Vehicle

VEHICLES: Final = tuple(Vehicle)
"""A driver's `vehicle` is a number in here."""
ALL_PAIRS_MAX: Final = 50_000


@dataclass(frozen=True)
class TableLegs:
    """`table` (vehicles, places, places): whole seconds as some provider of travel times gave them."""

    table: NDArray[np.int32]

    def seconds(self, start: Ints, end: Ints, vehicle: Ints) -> Ints:
        """Return whole seconds from places to places."""
        return self.table[vehicle, start, end].astype(np.int64)

    def near(self, start: Ints, end: Ints, count: int) -> Ints | None:
        """Say that all pairs are cheap."""
        return None


@dataclass(frozen=True)
class PlaneLegs:
    """Places (n, 2) on a plane in metres and one speed; seconds are rounded up to whole `step_s`."""

    xy: NDArray[np.float64]
    meters_per_s: float
    step_s: int = 1

    def seconds(self, start: Ints, end: Ints, vehicle: Ints) -> Ints:
        """Return whole seconds from places to places."""
        gap = self.xy[start] - self.xy[end]
        steps = np.hypot(gap[..., 0], gap[..., 1]) / (self.meters_per_s * self.step_s)
        return np.ceil(steps - 1e-9).astype(np.int64) * self.step_s

    def near(self, start: Ints, end: Ints, count: int) -> Ints | None:
        """Return the nearest by distance once all pairs would be too many."""
        return nearest(self.xy[start], self.xy[end], count)


class CrowLegs:
    """Places (n, 2) in lat/lng, the calibrated straight line per vehicle."""

    def __init__(self, places: NDArray[np.float64]) -> None:
        middle = places.mean(axis=0) if len(places) else np.zeros(2)
        north = np.radians(places[:, 0] - middle[0]) * EARTH_RADIUS_M
        east = np.radians(places[:, 1] - middle[1]) * EARTH_RADIUS_M * np.cos(np.radians(middle[0]))
        self._xy = np.column_stack((east, north))
        self._start_s = np.array([CROW_FLIES[vehicle][0] for vehicle in VEHICLES])
        self._per_m_s = np.array([CROW_FLIES[vehicle][1] for vehicle in VEHICLES])

    def seconds(self, start: Ints, end: Ints, vehicle: Ints) -> Ints:
        """Return whole seconds from places to places."""
        gap = self._xy[start] - self._xy[end]
        meters = np.hypot(gap[..., 0], gap[..., 1])
        return np.asarray(np.rint(self._start_s[vehicle] + self._per_m_s[vehicle] * meters), np.int64)

    def near(self, start: Ints, end: Ints, count: int) -> Ints | None:
        """Return the nearest by distance once all pairs would be too many."""
        return nearest(self._xy[start], self._xy[end], count)


def nearest(start: NDArray[np.float64], end: NDArray[np.float64], count: int) -> Ints | None:
    """Return for every end its nearest starts (len(end), count), or None when looking at all pairs is no work."""
    if len(start) * len(end) <= ALL_PAIRS_MAX or len(start) <= count:
        return None
    _, found = cKDTree(start).query(end, k=count)
    numbers: Ints = np.asarray(found, np.int64)
    return numbers
