"""Great-circle distances and bearings on a sphere of 6,371 km; within a city they are right to 0.5 %."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from geo.point import Floats, Point

EARTH_RADIUS_M: Final = 6_371_000.0
METERS_PER_DEGREE: Final = math.radians(EARTH_RADIUS_M)
"""Of latitude."""
DETOUR: Final = 1.4
"""Road metres per straight metre, the median of short city trips."""


def meters_between(a: Point, b: Point) -> float:
    """Return the distance in metres (haversine)."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    half_lat, half_lng = (lat_b - lat_a) / 2, math.radians(b.lng - a.lng) / 2
    h = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lng) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, h)))


def meters_matrix(a: Floats, b: Floats) -> Floats:
    """Return the distances in metres between every place of `a` (n, 2) and of `b` (m, 2), shape (n, m)."""
    lat_a, lat_b = np.radians(a[:, 0])[:, None], np.radians(b[:, 0])[None, :]
    half_lng = (np.radians(b[:, 1])[None, :] - np.radians(a[:, 1])[:, None]) / 2
    h = np.sin((lat_b - lat_a) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin(half_lng) ** 2
    meters: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(1.0, h)))
    return meters


def road_meters(a: Point, b: Point) -> int:
    """Return a road distance guessed from the straight line, in whole metres."""
    return round(DETOUR * meters_between(a, b))


def bearing_deg(a: Point, b: Point) -> float:
    """Return the heading from `a` to `b` in degrees clockwise from north, 0 ≤ heading < 360."""
    lat_a, lat_b, d_lng = math.radians(a.lat), math.radians(b.lat), math.radians(b.lng - a.lng)
    y = math.sin(d_lng) * math.cos(lat_b)
    x = math.cos(lat_a) * math.sin(lat_b) - math.sin(lat_a) * math.cos(lat_b) * math.cos(d_lng)
    return math.degrees(math.atan2(y, x)) % 360.0


def destination(start: Point, heading_deg: float, meters: float) -> Point:
    """Return the place `meters` away from `start` along a heading."""
    arc, heading, lat = meters / EARTH_RADIUS_M, math.radians(heading_deg), math.radians(start.lat)
    lat_end = math.asin(math.sin(lat) * math.cos(arc) + math.cos(lat) * math.sin(arc) * math.cos(heading))
    d_lng = math.atan2(
        math.sin(heading) * math.sin(arc) * math.cos(lat), math.cos(arc) - math.sin(lat) * math.sin(lat_end)
    )
    return Point(math.degrees(lat_end), (start.lng + math.degrees(d_lng) + 540.0) % 360.0 - 180.0)
