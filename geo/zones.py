"""Zones: areas a business serves. Drawn by people, so checked with care; looked up in bulk by an R-tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import shapely
from shapely import STRtree
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity

from geo.point import Floats

VERTICES_MAX: Final = 2_000
AREA_DEG2_MAX: Final = 25.0


class ZoneError(ValueError):
    """The area can't be used; the message says why."""


def zone_from_geojson(geojson: dict[str, Any], *, repair: bool = True) -> BaseGeometry:
    """Return a valid polygon from a GeoJSON Polygon or MultiPolygon; self-crossings are repaired, or told.

    Raises `ZoneError` when it is no polygon, is empty, has over 2,000 vertices, leaves the map or is absurdly large.
    """
    try:
        area = shape(geojson)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, shapely.errors.ShapelyError) as error:
        raise ZoneError(f"this is not a GeoJSON polygon: {error}") from None
    if not isinstance(area, Polygon | MultiPolygon) or area.is_empty:
        raise ZoneError("a zone is a Polygon or a MultiPolygon with an area")
    if shapely.get_num_coordinates(area) > VERTICES_MAX:
        raise ZoneError(f"a zone has at most {VERTICES_MAX} vertices: simplify it")
    west, south, east, north = area.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise ZoneError("coordinates are longitude, latitude in degrees")
    if not repair and not area.is_valid:
        raise ZoneError(f"the outline crosses itself: {explain_validity(area)}")
    area = shapely.make_valid(area)
    if area.area == 0 or area.area > AREA_DEG2_MAX:
        raise ZoneError("the zone has no area" if area.area == 0 else "the zone is larger than a country")
    return area


class ZoneIndex:
    """Which zones hold a place; an edge counts as inside."""

    def __init__(self, zones: Mapping[str, BaseGeometry]) -> None:
        self._ids: Sequence[str] = list(zones)
        self._tree = STRtree(list(zones.values()))

    def containing(self, places: Floats) -> list[list[str]]:
        """Return for every place (n, 2) the ids of the zones around it."""
        points = shapely.points(places[:, 1], places[:, 0])
        hits: list[list[str]] = [[] for _ in range(len(places))]
        for place, zone in self._tree.query(points, predicate="covered_by").T.tolist():
            hits[place].append(self._ids[zone])
        return hits
