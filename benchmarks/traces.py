"""Recorded GPS traces in the formats their publishers chose, as fixes of vehicles in the order they arrived."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from geo.distance import destination
from geo.point import Point
from onward.errors import Refused
from onward.replay import Row, read_capmetro, read_porto

GOAL_ORIGIN: Final = Point(47.62, -122.34)
"""Amazon's traces say metres from a place they keep to themselves."""
_GPX: Final = "{http://www.topografix.com/GPX/1/0}"


def read_liverpool(text: io.TextIOBase) -> Iterator[Row]:
    """Yield bus positions of the UK's open bus data."""
    for line in csv.DictReader(text):
        at = datetime.fromisoformat(line["timestamp"] + "+00:00").timestamp()
        yield Row(line["vehicle_id"], at, float(line["latitude"]), float(line["longitude"]))


def read_munich(text: io.TextIOBase) -> Iterator[Row]:
    """Yield one car's way, as barefoot's map matcher has it."""
    for fix in json.load(text):
        lng, lat = fix["point"].removeprefix("POINT(").removesuffix(")").split()
        yield Row(fix["id"], datetime.fromisoformat(fix["time"]).timestamp(), float(lat), float(lng))


def read_gpx(text: io.TextIOBase) -> Iterator[Row]:
    """Yield the tracks of a GPX 1.0 file, each a vehicle."""
    for number, track in enumerate(ElementTree.parse(text).iter(f"{_GPX}trk")):  # noqa: S314 - a file the caller has chosen
        for point in track.iter(f"{_GPX}trkpt"):
            at = datetime.fromisoformat(point.findtext(f"{_GPX}time", "")).timestamp()
            yield Row(f"track {number}", at, float(point.attrib["lat"]), float(point.attrib["lon"]))


def read_goal(file: Path) -> Iterator[Row]:
    """Yield delivery agents' six minutes, each file of the archive a vehicle."""
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            for line in csv.DictReader(io.TextIOWrapper(archive.open(name), encoding="utf-8")):
                at = datetime.fromisoformat(line["timestamp"][:26] + "+00:00").timestamp()
                north = destination(GOAL_ORIGIN, 0, float(line["y"]))
                place = destination(north, 90, float(line["x"]))
                yield Row(name, at, place.lat, place.lng)


READERS: Final[dict[str, Callable[[io.TextIOBase], Iterator[Row]]]] = {
    "porto_taxi": read_porto,
    "capmetro": read_capmetro,
    "liverpool_bus": read_liverpool,
    "munich_car": read_munich,
    "osm_traces": read_gpx,
}


def read_folder(folder: Path) -> dict[str, dict[str, list[Row]]]:
    """Return per file the fixes of each vehicle; files of no known name are left out. Raises `Refused` without any."""
    found: dict[str, dict[str, list[Row]]] = {}
    for file in sorted(folder.iterdir()):
        rows = _rows(file)
        if rows is not None:
            traces = found.setdefault(file.name, {})
            for row in rows:
                traces.setdefault(row.vehicle, []).append(row)
    if not found:
        raise Refused(f"There is no trace in {folder}: its files begin with {', '.join(READERS)} or amazon_goal.")
    return found


def _rows(file: Path) -> Iterator[Row] | None:
    if file.name.startswith("amazon_goal"):
        return read_goal(file)
    for name, reader in READERS.items():
        if file.name.startswith(name):
            return reader((gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8", newline=""))
    return None
