"""Imported maps on disk: `<data_dir>/maps/<name>/` with a description, a street graph, places and vector tiles."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from geo.streets import StreetArrays, StreetGraph
from onward.config import Settings

FORMAT_VERSION: Final = 3
INFO_FILE: Final = "map.json"
STREETS_FILE: Final = "streets.npz"
TILES_FILE: Final = "tiles.pmtiles"
PLACES_FILE: Final = "places.json"
ATTRIBUTION: Final = "© OpenStreetMap contributors"


class MapInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a map is: its name, bounds (west, south, east, north), and where it came from."""

    name: str
    bounds: tuple[float, float, float, float]
    center: tuple[float, float]
    attribution: str = ATTRIBUTION
    source: str
    source_sha256: str
    junctions: int
    arcs: int
    places: int
    format_version: int = FORMAT_VERSION


class Place(msgspec.Struct, frozen=True):
    """A named shop or an address: `kind` is the OpenStreetMap value (`restaurant`), or `address`."""

    name: str
    kind: str
    lat: float
    lng: float


class CityMap:
    """One imported map; the heavy parts are read when first used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.info = msgspec.json.decode((folder / INFO_FILE).read_bytes(), type=MapInfo)

    @cached_property
    def graph(self) -> StreetGraph:
        """The street graph."""
        with np.load(self.folder / STREETS_FILE) as arrays:
            return StreetGraph(StreetArrays(**{name: arrays[name] for name in StreetArrays.__struct_fields__}))

    @cached_property
    def places(self) -> list[Place]:
        """Shops and addresses."""
        return msgspec.json.decode((self.folder / PLACES_FILE).read_bytes(), type=list[Place])


def maps_folder(data_dir: Path) -> Path:
    """Return where an installation's maps are."""
    return data_dir / "maps"


def map_dir(data_dir: Path, name: str) -> Path | None:
    """Return the folder of an imported map, or None when it was not imported."""
    folder = maps_folder(data_dir) / name
    return folder.resolve() if (folder / INFO_FILE).exists() else None


def load_map(folder: Path) -> CityMap:
    """Return an imported map."""
    return CityMap(folder)


def list_maps(data_dir: Path) -> list[MapInfo]:
    """Return what was imported, by name."""
    return [CityMap(folder).info for folder in _folders(data_dir)]


def _folders(data_dir: Path) -> list[Path]:
    return [file.parent for file in sorted(maps_folder(data_dir).glob(f"*/{INFO_FILE}"))]


def map_name_of(settings: Settings) -> str:
    """Return the name of the map to serve: the one of the settings, or the only one there is; "" when neither."""
    found = _folders(settings.data_dir)
    return settings.map_name or (found[0].name if len(found) == 1 else "")


def map_of(settings: Settings) -> Path | None:
    """Return the folder of the map to serve; None when there is none."""
    name = map_name_of(settings)
    return map_dir(settings.data_dir, name) if name else None


def no_map(settings: Settings) -> str:
    """Return what to do where `map_of` found none."""
    known = ", ".join(folder.name for folder in _folders(settings.data_dir))
    todo = "run `onward map import FILE.osm.pbf`."
    if known:
        todo = f"choose one of {known} with `--map` or ONWARD_MAP_NAME, or {todo}"
    if settings.map_name:
        return f"There is no map called {settings.map_name}: {todo}"
    return f"{'Several maps were' if known else 'No map was'} imported: {todo}"
