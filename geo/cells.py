"""Hexagonal cells (H3): resolution 8 for markets and demand, 9 for heat maps."""

from __future__ import annotations

from typing import Final

import h3

from geo.point import Point

MARKET_RESOLUTION: Final = 8


def cell_of(point: Point, resolution: int = MARKET_RESOLUTION) -> str:
    """Return the cell a place lies in."""
    cell: str = h3.latlng_to_cell(point.lat, point.lng, resolution)
    return cell


def disk(cell: str, rings: int) -> set[str]:
    """Return a cell and its neighbours within `rings` steps."""
    return set(h3.grid_disk(cell, rings))
