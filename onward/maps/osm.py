"""Reading an OpenStreetMap extract: one pass for streets and shops, one for areas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import osmium
import osmium.geom
import shapely
from osmium.filter import KeyFilter
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry

from onward.maps.store import Place

CAR_KMH: Final[dict[str, int]] = {
    "motorway": 90, "motorway_link": 50, "trunk": 70, "trunk_link": 45, "primary": 50, "primary_link": 35,
    "secondary": 45, "secondary_link": 30, "tertiary": 40, "tertiary_link": 25, "unclassified": 30, "residential": 28,
    "living_street": 12, "service": 15, "road": 25,
}  # fmt: skip
OTHER_KMH: Final[dict[str, int]] = {
    "pedestrian": 10, "cycleway": 18, "footway": 6, "path": 6, "track": 12, "steps": 3, "bridleway": 6,
}  # fmt: skip
MAIN: Final = frozenset({"motorway", "trunk", "primary", "secondary", "tertiary"})
MOTORWAYS: Final = frozenset({"motorway", "motorway_link"})
NO_BICYCLE: Final = MOTORWAYS | {"steps"}
PATHS: Final = frozenset(OTHER_KMH) - {"pedestrian"}
GREEN: Final = frozenset(
    {"park", "garden", "forest", "wood", "grass", "meadow", "cemetery", "pitch", "scrub", "heath", "recreation_ground",
     "farmland", "orchard", "nature_reserve", "golf_course", "village_green", "grassland", "playground"}
)  # fmt: skip
BUILT: Final = frozenset({"residential", "commercial", "retail", "industrial", "construction", "railway"})
EATING: Final = frozenset({"restaurant", "fast_food", "cafe", "bar", "pub", "ice_cream"})
WATER: Final = frozenset({"water", "reservoir", "basin", "bay"})
ADDRESSES_WANTED: Final = 40
PLACES_MAX: Final = 6_000
CUT_REACH_DEG: Final = 0.01
"""How far from the frame a shore may end and still have been cut by the extract's edge."""

Coordinates = list[tuple[int, float, float]]
"""(node id, lng, lat)."""


class MapError(Exception):
    """The file can't become a map; `code` is stable, the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


_outlines = osmium.geom.WKBFactory()


@dataclass(slots=True)
class Street:
    """One way: where it runs, how fast, and which way each may go: 1 forward, -1 backward, 0 both, None not at all."""

    nodes: Coordinates
    speed_kmh: float
    car: int | None
    bicycle: int | None
    foot: int | None


@dataclass(slots=True)
class Extract:
    """All that we take from a file. Features are (layer, properties, geometry in lng/lat)."""

    streets: list[Street] = field(default_factory=list)
    features: list[tuple[str, dict[str, Any], BaseGeometry]] = field(default_factory=list)
    shores: list[LineString] = field(default_factory=list)
    """Lines with water on their right: coasts, and lakes that the extract's edge cuts."""
    places: list[Place] = field(default_factory=list)


def read_extract(pbf: Path, progress: Callable[[str, float], None]) -> Extract:
    """Return what an extract holds; raises `MapError` for files that are none or have no streets."""
    found = Extract()
    street_names: dict[str, tuple[float, float]] = {}
    addresses: list[Place] = []
    try:
        progress("reading streets", 0.05)
        wanted = KeyFilter("highway", "railway", "waterway", "natural", "amenity", "shop", "place", "addr:housenumber")
        streets: Any = osmium.FileProcessor(str(pbf)).with_locations()
        for thing in streets.with_filter(wanted):
            if thing.is_node():
                _take_node(thing, found, addresses)
            elif thing.is_way():
                _take_way(thing, found, street_names)
        progress("reading areas", 0.35)
        areas: Any = osmium.FileProcessor(str(pbf)).with_areas(
            KeyFilter("building", "landuse", "leisure", "natural", "water")
        )
        for thing in areas:
            if thing.is_area():
                _take_area(thing, found, addresses)
            elif thing.is_way() and thing.is_closed():
                _take_cut_area(thing, found)
    except RuntimeError as error:
        raise MapError(
            "not_a_map", f"{pbf.name} can't be read as an OpenStreetMap extract (.osm.pbf): {error}"
        ) from None
    if not found.streets:
        raise MapError("no_streets", f"{pbf.name} has no streets: take an extract of a city, with its roads.")
    if len(addresses) < ADDRESSES_WANTED:
        addresses += [Place(f"{name} {n}", "address", *at) for n, (name, at) in enumerate(street_names.items(), 1)]
    found.places = _spread(found.places + addresses)
    return found


def _spread(places: list[Place]) -> list[Place]:
    """Keep at most `PLACES_MAX`, evenly over the file."""
    step = max(1, -(-len(places) // PLACES_MAX))
    return places[::step]


def _take_node(node: Any, found: Extract, addresses: list[Place]) -> None:
    tags = node.tags
    lat, lng = node.location.lat, node.location.lon
    kind = tags.get("amenity") or tags.get("shop")
    name = tags.get("name")
    if name and kind:
        found.places.append(Place(name, kind, lat, lng))
        if kind in EATING or tags.get("shop"):
            found.features.append(("poi", {"name": name, "kind": kind}, shapely.Point(lng, lat)))
    if name and tags.get("place") in ("city", "town", "village", "suburb", "neighbourhood", "island"):
        found.features.append(("place", {"name": name, "kind": tags["place"]}, shapely.Point(lng, lat)))
    _take_address(tags, lat, lng, addresses)


def _take_address(tags: Any, lat: float, lng: float, addresses: list[Place]) -> None:
    street, number = tags.get("addr:street"), tags.get("addr:housenumber")
    if street and number:
        addresses.append(Place(f"{street} {number}", "address", lat, lng))


def _runs(way: Any) -> list[LineString]:
    """Return the parts of a way that are in the file: what the extract's edge cut off has no place."""
    parts = [list(run) for known, run in groupby(way.nodes, key=lambda node: node.location.valid()) if known]
    lines = [[(node.location.lon, node.location.lat) for node in part] for part in parts]
    return [LineString(line) for line in lines if len(line) > 1]


def _take_way(way: Any, found: Extract, street_names: dict[str, tuple[float, float]]) -> None:
    nodes = [(n.ref, n.location.lon, n.location.lat) for n in way.nodes if n.location.valid()]
    if len(nodes) < 2:
        return
    tags = way.tags
    line = LineString([(lng, lat) for _, lng, lat in nodes])
    if tags.get("natural") == "coastline":
        found.shores += _runs(way)
    if tags.get("waterway") in ("river", "stream", "canal"):
        found.features.append(("waterway", {}, line))
    if tags.get("railway") in ("rail", "tram", "light_rail"):
        found.features.append(("road", {"class": "rail"}, line))
    kind = tags.get("highway")
    if kind is None or tags.get("area") == "yes" or not (kind in CAR_KMH or kind in OTHER_KMH):
        return
    base = kind.removesuffix("_link")
    shown: dict[str, Any] = {"class": "main" if base in MAIN else "path" if kind in PATHS else "minor"}
    if name := tags.get("name"):
        shown["name"] = name
        middle = nodes[len(nodes) // 2]
        street_names.setdefault(name, (middle[2], middle[1]))
    found.features.append(("road", shown, line))
    if tags.get("access") in ("no", "private"):
        return
    car = _car_direction(tags, kind) if kind in CAR_KMH and tags.get("motor_vehicle") not in ("no", "private") else None
    found.streets.append(Street(nodes, _speed_kmh(tags, kind), car, _bicycle_direction(tags, kind), _foot(tags, kind)))


def _car_direction(tags: Any, kind: str) -> int:
    oneway = tags.get("oneway")
    if oneway == "-1":
        return -1
    implied = tags.get("junction") == "roundabout" or kind == "motorway"
    return 1 if oneway in ("yes", "true", "1") or (oneway is None and implied) else 0


def _bicycle_direction(tags: Any, kind: str) -> int | None:
    told = tags.get("bicycle")
    if told in ("no", "private") or (kind in NO_BICYCLE and told is None):
        return None
    against = tags.get("oneway:bicycle") == "no" or any(
        (tags.get(key) or "").startswith("opposite") for key in ("cycleway", "cycleway:left", "cycleway:right")
    )
    return 0 if against or kind in PATHS - {"cycleway"} else _car_direction(tags, kind)


def _foot(tags: Any, kind: str) -> int | None:
    told = tags.get("foot")
    return None if told in ("no", "private") or (kind in MOTORWAYS and told is None) else 0


def _speed_kmh(tags: Any, kind: str) -> float:
    usual = float(CAR_KMH.get(kind) or OTHER_KMH[kind])
    text = (tags.get("maxspeed") or "").lower().strip()
    number = text.removesuffix("mph").strip()
    if not number.isdigit() or not 3 <= int(number) <= 150:
        return usual
    limit = int(number) * (1.609 if text.endswith("mph") else 1.0)
    return min(usual, limit)


def _take_area(area: Any, found: Extract, addresses: list[Place]) -> None:
    tags = area.tags
    try:
        geometry = shapely.from_wkb(_outlines.create_multipolygon(area))
    except (RuntimeError, osmium.InvalidLocationError):  # cut by the extract's edge
        return
    center = geometry.representative_point()
    _take_address(tags, center.y, center.x, addresses)
    name, kind = tags.get("name"), tags.get("amenity") or tags.get("shop")
    if name and kind in EATING:
        found.places.append(Place(name, kind, center.y, center.x))
    _draw_area(tags, geometry, found)


def _take_cut_area(way: Any, found: Extract) -> None:
    """Draw an area that the extract's edge cuts, as far as it is in the file; whole ones came as areas."""
    corners = [(node.location.lon, node.location.lat) for node in way.nodes if node.location.valid()]
    if len(corners) == len(way.nodes) or len(corners) < 3:
        return
    outline = shapely.LinearRing(corners)
    if _is_water(way.tags):
        found.shores += [line if not outline.is_ccw else line.reverse() for line in _runs(way)]
    else:
        _draw_area(way.tags, shapely.make_valid(shapely.Polygon(outline)), found)


def _is_water(tags: Any) -> bool:
    return "water" in tags or bool({tags.get(key) for key in ("landuse", "leisure", "natural")} & WATER)


def _draw_area(tags: Any, geometry: BaseGeometry, found: Extract) -> None:
    values = {tags.get(key) for key in ("landuse", "leisure", "natural")}
    if "building" in tags and tags["building"] != "no":
        found.features.append(("building", {}, geometry))
    elif _is_water(tags):
        found.features.append(("water", {}, geometry))
    elif values & GREEN:
        found.features.append(("landuse", {"kind": "green"}, geometry))
    elif values & BUILT:
        found.features.append(("landuse", {"kind": "built"}, geometry))


def sea(shores: list[LineString], frame: BaseGeometry) -> list[BaseGeometry]:
    """Return the pieces of the frame that are water: OpenStreetMap draws coasts with the land on their left."""
    if not shores:
        return []
    known = shapely.line_merge(shapely.union_all(shores))
    lines = shapely.intersection(shapely.union_all([known, *_to_the_edge(known, frame)]), frame)
    pieces = list(shapely.get_parts(shapely.polygonize([shapely.node(shapely.union_all([lines, frame.boundary]))])))
    pieces = [piece for parts in pieces for piece in shapely.get_parts(parts)]
    tree = shapely.STRtree(pieces)
    votes: Counter[int] = Counter()
    for line in shores:
        points = shapely.get_coordinates(line)
        for (x1, y1), (x2, y2) in zip(points[:-1:3], points[1::3], strict=False):
            length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5 or 1.0
            across = (y2 - y1) / length * 2e-5, -(x2 - x1) / length * 2e-5
            middle = (x1 + x2) / 2, (y1 + y2) / 2
            for side, vote in ((1, 1), (-1, -1)):
                at = shapely.Point(middle[0] + side * across[0], middle[1] + side * across[1])
                for piece in tree.query(at, predicate="within").tolist():
                    votes[piece] += vote
    return [piece for number, piece in enumerate(pieces) if votes[number] > 0]


def _to_the_edge(lines: BaseGeometry, frame: BaseGeometry) -> list[LineString]:
    """Return the lines that are missing where the extract's edge cut a shore before it reached the frame."""
    ends = shapely.get_parts(lines.boundary)
    inside = [end for end in ends if frame.contains(end) and end.distance(frame.boundary) < CUT_REACH_DEG]
    return [shapely.shortest_line(end, frame.boundary) for end in inside]
