"""Hexagonal cells (H3)."""

from __future__ import annotations

import math
from functools import lru_cache

import h3

from geo.point import Point


def cell_of(point: Point, resolution: int) -> str:
    """Return the cell a place lies in."""
    cell: str = h3.latlng_to_cell(point.lat, point.lng, resolution)
    return cell


def disk(cell: str, rings: int) -> set[str]:
    """Return a cell and its neighbours within `rings` steps."""
    return set(h3.grid_disk(cell, rings))


@lru_cache
def rings_over(meters: float, resolution: int) -> int:
    """Return how many rings around a cell cover everything within a distance of any place in it."""
    edge_m: float = h3.average_hexagon_edge_length(resolution, "m")
    return math.ceil(meters / (1.2 * edge_m)) + 1


def outline(cell: str) -> list[tuple[float, float]]:
    """Return the corners of a cell as (lat, lng), in their order."""
    return [(float(lat), float(lng)) for lat, lng in h3.cell_to_boundary(cell)]
