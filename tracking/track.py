"""A track as it was kept, and in the forms others read: GPX and GeoJSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from gpxpy.gpx import GPX, GPXTrack, GPXTrackPoint, GPXTrackSegment, GPXWaypoint

from kernel.clock import from_ms, to_ms
from kernel.db import Record
from tracking.filters import DOUBTED
from tracking.trips import GAP_MIN_MS, TrackPoint

POINTS_MAX: Final = 100_000
"""More than a day has at one position a second."""


class Mark(msgspec.Struct, frozen=True):
    """A stop as an export names it."""

    name: str
    lat: float
    lng: float
    t_ms: int


def track_from(rows: Iterable[Record]) -> list[TrackPoint]:
    """Return rows of `driver_locations` as a track, without what the filters doubt."""
    return [
        TrackPoint(
            to_ms(row["recorded_at"]), row["lat"], row["lng"], row["speed_mps"], row["heading_deg"], row["accuracy_m"]
        )
        for row in rows
        if row["verdict"] not in DOUBTED
    ]


def gpx(name: str, track: Sequence[TrackPoint], marks: Sequence[Mark]) -> bytes:
    """Return GPX 1.1: one track, a segment for each stretch without a gap, and the stops."""
    document = GPX()
    document.creator = "onward"
    document.waypoints = [GPXWaypoint(mark.lat, mark.lng, time=from_ms(mark.t_ms), name=mark.name) for mark in marks]
    segments = [
        GPXTrackSegment([GPXTrackPoint(point.lat, point.lng, time=from_ms(point.t_ms)) for point in stretch])
        for stretch in _stretches(track)
    ]
    way = GPXTrack(name)
    way.segments = segments
    document.tracks = [way]
    return document.to_xml("1.1").encode()


def geojson(name: str, track: Sequence[TrackPoint], marks: Sequence[Mark]) -> bytes:
    """Return a FeatureCollection: a line for each stretch without a gap, with times and speeds, and the stops."""
    features = [
        _feature(
            "LineString",
            [[point.lng, point.lat] for point in stretch],
            {
                "name": name,
                "coordTimes": [from_ms(point.t_ms) for point in stretch],
                "speeds_mps": [point.speed_mps for point in stretch],
            },
        )
        for stretch in _stretches(track)
        if len(stretch) > 1
    ]
    features += [
        _feature("Point", [mark.lng, mark.lat], {"name": mark.name, "time": from_ms(mark.t_ms)}) for mark in marks
    ]
    return msgspec.json.encode({"type": "FeatureCollection", "features": features})


def _feature(kind: str, coordinates: list[Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def _stretches(track: Sequence[TrackPoint]) -> Iterator[list[TrackPoint]]:
    stretch: list[TrackPoint] = []
    for point in track:
        if stretch and point.t_ms - stretch[-1].t_ms > GAP_MIN_MS:
            yield stretch
            stretch = []
        stretch.append(point)
    if stretch:
        yield stretch
