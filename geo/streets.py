"""A street graph: junctions joined by arcs with a length, a speed and the real shape of the street between them.

Built from plain arrays (`onward/maps` reads them from an OpenStreetMap extract). Shortest paths by SciPy's Dijkstra on
travel time. Places snap only where there is a way to all other snapped places of the same mainland or island.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from geo.distance import EARTH_RADIUS_M
from geo.point import Floats, Point
from geo.travel import CROW_FLIES, UNREACHABLE_S, CrowFlies, Seconds, Vehicle

SPEED_MAX_MPS: Final = {Vehicle.BICYCLE: 5.0, Vehicle.SCOOTER: 9.0, Vehicle.CAR: 14.0, Vehicle.FOOT: 1.4}
SNAP_MAX_M: Final = 2_000.0
MATRIX_LIMIT_S: Final = 5_400.0
ISLAND_JUNCTIONS_MIN: Final = 100
"""A part of the streets without a way to the rest is an island from this size on; smaller ones are gaps in the map."""
KEPT_MAX: Final = 16_000_000


class StreetArrays(msgspec.Struct, frozen=True):
    """The graph as arrays: n junctions, m arcs, and the arcs' inner shape points laid end to end.

    `nodes` (n, 2) lat/lng; `tail`, `head` (m,) junction numbers; `length_m`, `speed_mps` (m,) float32; `car`,
    `bicycle`, `foot` (m,) bool: open to them in this direction; `shape` (k, 2) lat/lng; `shape_start` (m + 1,) offsets
    into `shape`.
    """

    nodes: Floats
    tail: NDArray[np.int32]
    head: NDArray[np.int32]
    length_m: NDArray[np.float32]
    speed_mps: NDArray[np.float32]
    car: NDArray[np.bool_]
    bicycle: NDArray[np.bool_]
    foot: NDArray[np.bool_]
    shape: Floats
    shape_start: NDArray[np.int64]


class Route(msgspec.Struct, frozen=True):
    """A way along the streets: its points (k, 2) lat/lng, metres at each point (k,), whole metres and seconds."""

    path: Floats
    along_m: Floats
    length_m: int
    seconds: int


class StreetGraph:
    """Routes, travel times and random places on one map."""

    def __init__(self, arrays: StreetArrays) -> None:
        if len(arrays.tail) == 0:
            raise ValueError("the map has no streets")
        top = len(arrays.nodes)
        if arrays.tail.min() < 0 or arrays.head.min() < 0 or max(arrays.tail.max(), arrays.head.max()) >= top:
            raise ValueError("an arc names a junction that does not exist")
        self.arrays = arrays
        self._origin = arrays.nodes.mean(axis=0)
        self._weights: dict[Vehicle, csr_matrix] = {}
        self._arcs: dict[Vehicle, dict[tuple[int, int], int]] = {}
        self._kept: dict[Vehicle, OrderedDict[int, Floats]] = {}
        self._trees: dict[Vehicle, tuple[NDArray[np.int64], cKDTree, NDArray[np.int64]]] = {}

    def route(self, start: Point, end: Point, vehicle: Vehicle) -> Route | None:
        """Return the quickest way between the junctions nearest to two places, or None when there is none."""
        source, target = self.snap(start, vehicle), self.snap(end, vehicle)
        if source is None or target is None:
            return None
        seconds, before = dijkstra(
            self._matrix(vehicle), directed=True, indices=source, return_predecessors=True, limit=MATRIX_LIMIT_S
        )
        if not np.isfinite(seconds[target]):
            return None
        nodes = [target]
        while nodes[-1] != source:
            nodes.append(int(before[nodes[-1]]))
        nodes.reverse()
        path = self._draw(nodes, vehicle)
        along_m = np.concatenate(([0.0], np.cumsum(_steps_m(path))))
        return Route(path, along_m, round(float(along_m[-1])), round(float(seconds[target])))

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        """Return whole seconds between places; `UNREACHABLE_S` where there is no way or no street near."""
        out = np.full((len(origins), len(destinations)), UNREACHABLE_S, dtype=np.int32)
        sources = [self.snap(Point(*row), vehicle) for row in origins.tolist()]
        targets = [self.snap(Point(*row), vehicle) for row in destinations.tolist()]
        rows = [i for i, node in enumerate(sources) if node is not None]
        columns = [j for j, node in enumerate(targets) if node is not None]
        if rows and columns:
            found = self._from(vehicle, [s for s in sources if s is not None])[:, [t for t in targets if t is not None]]
            start_s = CROW_FLIES[vehicle][0]
            out[np.ix_(rows, columns)] = np.where(np.isfinite(found), found + start_s, UNREACHABLE_S)
        return out

    def _from(self, vehicle: Vehicle, nodes: list[int]) -> Floats:
        """Return the seconds from each node to all (n, junctions); what was asked lately is remembered."""
        kept = self._kept.setdefault(vehicle, OrderedDict())
        missing = sorted(set(nodes) - kept.keys())
        if missing:
            found = dijkstra(self._matrix(vehicle), directed=True, indices=missing, limit=MATRIX_LIMIT_S)
            kept.update(zip(missing, found.astype(np.float32), strict=True))
        rows = np.stack([kept[node] for node in nodes])
        for node in nodes:
            kept.move_to_end(node)
        while len(kept) * len(self.arrays.nodes) > KEPT_MAX:
            kept.popitem(last=False)
        return rows

    def snap(self, point: Point, vehicle: Vehicle) -> int | None:
        """Return the nearest junction the vehicle can use, or None when it is over 2 km away."""
        nodes, tree, _ = self._tree(vehicle)
        meters, found = tree.query(self._flat(np.array([[point.lat, point.lng]]))[0])
        return int(nodes[found]) if meters <= SNAP_MAX_M else None

    def parts(self, places: Floats, vehicle: Vehicle) -> NDArray[np.int64]:
        """Return which part of the map each place is on (n,), -1 for off the map; no way joins two parts."""
        label = self._tree(vehicle)[2]
        nodes = [self.snap(Point(*row), vehicle) for row in places.tolist()]
        return np.array([-1 if node is None else label[node] for node in nodes], np.int64)

    def random_point(self, random: np.random.Generator, vehicle: Vehicle = Vehicle.CAR) -> Point:
        """Return a junction drawn at random."""
        nodes, _, label = self._tree(vehicle)
        mainland = nodes[label[nodes] == np.bincount(label[nodes]).argmax()]
        lat, lng = self.arrays.nodes[random.choice(mainland)]
        return Point(float(lat), float(lng))

    def _usable(self, vehicle: Vehicle) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the arcs open to a vehicle and the seconds it needs for each."""
        arrays = self.arrays
        slow = {Vehicle.BICYCLE: arrays.bicycle, Vehicle.FOOT: arrays.foot}
        usable = np.flatnonzero(slow.get(vehicle, arrays.car))
        speed = np.minimum(arrays.speed_mps[usable], SPEED_MAX_MPS[vehicle])
        if vehicle in slow:
            speed = np.full(len(usable), SPEED_MAX_MPS[vehicle])
        return usable, np.maximum(arrays.length_m[usable] / speed, 0.01)

    def _arc_of(self, vehicle: Vehicle) -> dict[tuple[int, int], int]:
        """(tail, head) → the quickest arc between two neighbours."""
        if vehicle not in self._arcs:
            usable, seconds = self._usable(vehicle)
            slowest_first = usable[np.argsort(-seconds, kind="stable")]
            pairs = zip(self.arrays.tail[slowest_first].tolist(), self.arrays.head[slowest_first].tolist(), strict=True)
            self._arcs[vehicle] = dict(zip(pairs, slowest_first.tolist(), strict=True))
        return self._arcs[vehicle]

    def _draw(self, nodes: list[int], vehicle: Vehicle) -> Floats:
        if len(nodes) == 1:
            return self.arrays.nodes[nodes]
        arcs = self._arc_of(vehicle)
        pieces = [self.arrays.nodes[nodes[:1]]]
        for pair in pairwise(nodes):
            arc = arcs[pair]
            pieces.append(self.arrays.shape[self.arrays.shape_start[arc] : self.arrays.shape_start[arc + 1]])
            pieces.append(self.arrays.nodes[pair[1]][None, :])
        return np.concatenate(pieces)

    def _matrix(self, vehicle: Vehicle) -> csr_matrix:
        if vehicle not in self._weights:
            arrays, top = self.arrays, len(self.arrays.nodes)
            usable, seconds = self._usable(vehicle)
            tail, head = arrays.tail[usable], arrays.head[usable]
            order = np.lexsort((seconds, head, tail))  # csr_matrix adds twins up: keep the quickest of each pair
            tail, head, seconds = tail[order], head[order], seconds[order]
            first = np.ones(len(tail), bool)
            first[1:] = (tail[1:] != tail[:-1]) | (head[1:] != head[:-1])
            self._weights[vehicle] = csr_matrix((seconds[first], (tail[first], head[first])), shape=(top, top))
        return self._weights[vehicle]

    def _tree(self, vehicle: Vehicle) -> tuple[NDArray[np.int64], cKDTree, NDArray[np.int64]]:
        """Return the junctions places snap to, a tree to find them, and which part of the map each junction is on.

        Those are the largest strongly connected part of the mainland and of each island that is no mere fragment.
        """
        if vehicle not in self._trees:
            matrix = self._matrix(vehicle)
            _, label = connected_components(matrix, directed=True, connection="weak")
            _, strong = connected_components(matrix, directed=True, connection="strong")
            sizes = np.bincount(label)
            parts = np.flatnonzero((sizes >= ISLAND_JUNCTIONS_MIN) | (sizes == sizes.max()))
            inside = [np.flatnonzero(label == part) for part in parts]
            nodes = np.concatenate([part[strong[part] == np.bincount(strong[part]).argmax()] for part in inside])
            self._trees[vehicle] = nodes, cKDTree(self._flat(self.arrays.nodes[nodes])), label.astype(np.int64)
        return self._trees[vehicle]

    def _flat(self, places: Floats) -> Floats:
        """Return metres east and north of the map's middle."""
        north = np.radians(places[:, 0] - self._origin[0]) * EARTH_RADIUS_M
        east = np.radians(places[:, 1] - self._origin[1]) * EARTH_RADIUS_M * np.cos(np.radians(self._origin[0]))
        return np.column_stack((east, north))


def _steps_m(path: Floats) -> Floats:
    lat = np.radians(path[:, 0])
    north = np.diff(lat) * EARTH_RADIUS_M
    east = np.diff(np.radians(path[:, 1])) * EARTH_RADIUS_M * np.cos(lat[:-1])
    return np.hypot(north, east)


class StreetTimes:
    """Travel times on a street graph: no way between islands, the straight line to places off the map or very far."""

    source = "street_graph"

    def __init__(self, graph: StreetGraph) -> None:
        self._graph = graph
        self._crow = CrowFlies()

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        """Return whole seconds from every origin to every destination."""
        found = self._graph.seconds(origins, destinations, vehicle)
        if not (missing := found >= UNREACHABLE_S).any():
            return found
        here, there = (self._graph.parts(places, vehicle) for places in (origins, destinations))
        apart = (here[:, None] != there[None, :]) & (here[:, None] >= 0) & (there[None, :] >= 0)
        return np.where(missing & ~apart, self._crow.seconds(origins, destinations, vehicle), found)
