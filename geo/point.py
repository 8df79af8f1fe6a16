"""A place on Earth: latitude and longitude in degrees (WGS 84)."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Floats = NDArray[np.float64]
"""Arrays of places have shape (n, 2): latitude, longitude."""


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lng: Annotated[float, Meta(ge=-180, le=180)]


def as_array(points: list[Point]) -> Floats:
    """Return places as an array of shape (n, 2)."""
    return np.array([(p.lat, p.lng) for p in points], dtype=np.float64).reshape(-1, 2)
