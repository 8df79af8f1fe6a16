"""The shape of the world: distances, paths, fences, arrival times, streets, zones."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.cells import cell_of, disk
from geo.distance import bearing_deg, destination, meters_between, meters_matrix
from geo.eta import Leg, eta_chain, shown_range
from geo.fence import Fence, FenceEvent, FenceFix, FenceState, observe
from geo.path import Walk, length_m
from geo.point import Point, as_array
from geo.streets import StreetArrays, StreetGraph, StreetTimes
from geo.travel import UNREACHABLE_S, CrowFlies, Vehicle
from geo.zones import ZoneError, ZoneIndex, zone_from_geojson

HERE = Point(60.17, 24.94)
points = st.builds(Point, st.floats(-80, 80), st.floats(-179, 179))


@given(points, st.floats(0, 359.9), st.floats(1, 100_000))
def test_going_a_way_and_measuring_it_gives_the_way(start: Point, heading: float, meters: float) -> None:
    """Destination, distance and bearing fit together."""
    end = destination(start, heading, meters)
    assert meters_between(start, end) == pytest.approx(meters, rel=1e-5, abs=0.01)
    turn = abs(bearing_deg(start, end) - heading)
    assert min(turn, 360 - turn) < 0.1


@given(st.lists(points, min_size=1, max_size=5), st.lists(points, min_size=1, max_size=5))
def test_the_matrix_says_what_single_distances_say(a: list[Point], b: list[Point]) -> None:
    """Vectorised and scalar are the same formula."""
    found = meters_matrix(as_array(a), as_array(b))
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            assert found[i, j] == pytest.approx(meters_between(p, q), abs=0.01)


@given(st.lists(st.floats(0.1, 80), min_size=1, max_size=60))
def test_a_walk_covers_its_path_and_never_more(steps: list[float]) -> None:
    """However it is cut into steps."""
    path = [HERE, destination(HERE, 90, 200), destination(HERE, 45, 400)]
    walk = Walk(path)
    gone = 0.0
    for meters in steps:
        before = walk.at
        gone += meters_between(before, walk.advance(meters))
    assert gone <= min(sum(steps), length_m(path)) + 0.01
    assert walk.done == (sum(steps) >= length_m(path) - 1e-6)


def fixes(*meters: float, speed: float = 1.0, every_ms: int = 5_000) -> list[FenceFix]:
    return [FenceFix(destination(HERE, 0, m), 1000 + every_ms * n, speed, 8.0) for n, m in enumerate(meters)]


def fired(seen: list[FenceFix]) -> list[FenceEvent]:
    state = FenceState()
    return [event for fix in seen for event, _ in observe(state, Fence(HERE), [fix])]


def test_an_arrival_is_told_once_and_leaving_needs_distance() -> None:
    """Approach, arrive, wander at the edge, leave."""
    seen = fixes(250, 40, 30, 20, 70, 30, 200, 400, 500)
    assert fired(seen) == [FenceEvent.APPROACHED, FenceEvent.ARRIVED, FenceEvent.LEFT]


def test_driving_by_is_no_arrival() -> None:
    """Fast through the circle."""
    assert fired(fixes(100, 40, 10, 50, 120, speed=12.0)) == [FenceEvent.APPROACHED]


def test_a_sparse_pair_on_both_sides_of_a_stop_passed_it_and_did_not_arrive() -> None:
    """A fix a minute: the way between two of them counts, for coming near alone; too far apart they say nothing."""
    assert fired(fixes(900, -900, speed=20.0, every_ms=60_000)) == [FenceEvent.APPROACHED]
    assert fired(fixes(900, -900, speed=20.0, every_ms=200_000)) == []
    aside = [FenceFix(destination(fix.at, 90, 400), fix.t_ms, 20.0, 8.0) for fix in fixes(900, -900, every_ms=60_000)]
    assert fired(aside) == []


def test_who_tells_no_speed_arrives_by_staying_and_one_fix_at_a_red_light_is_no_stay() -> None:
    """Fifteen seconds with little way between; two fixes a second apart say nothing without a speed."""
    silent = [FenceFix(fix.at, fix.t_ms, None, 8.0) for fix in fixes(30, 28, 31, every_ms=8_000)]
    assert fired(silent[:2]) == [FenceEvent.APPROACHED]
    assert fired(silent) == [FenceEvent.APPROACHED, FenceEvent.ARRIVED]
    assert fired(fixes(100, 20, 120, speed=0.5)) == [FenceEvent.APPROACHED]


def test_the_same_fix_twice_is_one() -> None:
    """Delivered again it shows no stay."""
    near = fixes(20)
    assert fired([near[0]] * 5) == [FenceEvent.APPROACHED]


@given(st.randoms(use_true_random=False), st.integers(10, 40))
def test_a_fence_tells_the_same_in_any_order_and_each_once(chance: random.Random, count: int) -> None:
    """Come, stay, leave, with fixes late and twice."""
    legs = [*(1500 - 60 * n for n in range(20)), *([25] * chance.randint(0, 4)), *(20 + 70 * n for n in range(count))]
    seen = fixes(*legs, speed=chance.choice((1.0, 9.0)))
    order = sorted(range(len(seen)), key=lambda n: n + chance.uniform(0, 16))
    shuffled = [seen[n] for n in order for _ in range(chance.choice((1, 2)))]
    assert sorted(fired(shuffled)) == sorted(fired(seen))


def test_inaccurate_fixes_do_not_move_a_fence() -> None:
    """An arrival is not made of guesses."""
    near = fixes(20, 20, 20)
    vague = [FenceFix(fix.at, fix.t_ms, fix.speed_mps, 400.0) for fix in near]
    assert fired(vague) == []


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 900), st.integers(0, 300)), min_size=1, max_size=8))
def test_arrival_times_grow_along_the_route_and_doubt_never_shrinks(legs: list[tuple[int, int, int]]) -> None:
    """P90 is never before P50, and later stops are never earlier."""
    etas = eta_chain([Leg(travel, ready, service) for travel, ready, service in legs])
    assert all(eta.p90_s > eta.p50_s for eta in etas)
    assert [eta.p50_s for eta in etas] == sorted(eta.p50_s for eta in etas)
    doubts = [eta.p90_s - eta.p50_s for eta in etas]
    assert doubts == sorted(doubts)


def test_people_are_shown_whole_minutes_when_it_is_near_and_five_when_it_is_far() -> None:
    """Never a promise earlier than the estimate."""
    now = datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC)
    near, far = eta_chain([Leg(300), Leg(3000)])
    assert [at.minute for at in shown_range(now, near)] == [6, 7]
    assert all(at.minute % 5 == 0 for at in shown_range(now, far))
    assert shown_range(now, far)[0].timestamp() >= now.timestamp() + far.p50_s


def grid() -> StreetGraph:
    """Four corners of a block; the east street is one-way north for cars; a shape point bends the south street."""
    corners = [HERE, destination(HERE, 90, 300), destination(HERE, 0, 300)]
    corners.append(Point(corners[2].lat, corners[1].lng))
    arcs = [(0, 1), (1, 0), (0, 2), (2, 0), (2, 3), (3, 2), (1, 3), (3, 1)]
    car = [(a, b) != (3, 1) for a, b in arcs]
    bend = destination(destination(HERE, 90, 150), 180, 20)
    shape = np.array([[bend.lat, bend.lng], [bend.lat, bend.lng]])
    return StreetGraph(
        StreetArrays(
            nodes=as_array(corners),
            tail=np.array([a for a, _ in arcs], np.int32),
            head=np.array([b for _, b in arcs], np.int32),
            length_m=np.full(8, 300, np.float32),
            speed_mps=np.full(8, 10, np.float32),
            car=np.array(car),
            bicycle=np.full(8, True),
            foot=np.full(8, True),
            shape=shape,
            shape_start=np.array([0, 1, 2, 2, 2, 2, 2, 2, 2], np.int64),
        )
    )


def test_a_route_follows_the_streets_shape_and_the_one_way_binds_cars_alone() -> None:
    """South bends; going south on the east street a car has to go round the block."""
    graph = grid()
    east, north_east = destination(HERE, 90, 300), Point(destination(HERE, 0, 300).lat, destination(HERE, 90, 300).lng)
    along = graph.route(HERE, east, Vehicle.CAR)
    assert along is not None
    assert len(along.path) == 3
    car, bicycle = (graph.route(north_east, east, v) for v in (Vehicle.CAR, Vehicle.BICYCLE))
    assert car is not None
    assert bicycle is not None
    assert car.length_m > 2.5 * bicycle.length_m


def test_far_from_every_street_there_is_no_way_on_the_graph_and_the_crow_helps_out() -> None:
    """Unreachable is said, not guessed; the service falls back and still answers."""
    graph, far = grid(), Point(61.0, 24.94)
    assert graph.route(HERE, far, Vehicle.CAR) is None
    a, b = as_array([HERE]), as_array([far])
    assert graph.seconds(a, b, Vehicle.CAR)[0, 0] == UNREACHABLE_S
    assert StreetTimes(graph).seconds(a, b, Vehicle.CAR)[0, 0] == CrowFlies().seconds(a, b, Vehicle.CAR)[0, 0]


def chain(start: Point, heading: float, junctions: int) -> list[Point]:
    return [destination(start, heading, 50.0 * number) for number in range(junctions)]


def test_no_way_leads_to_an_island_and_a_gap_in_the_map_is_none() -> None:
    """Between two big parts there is no way, within each there is; a fragment is bridged, off the map is a guess."""
    mainland, island = chain(HERE, 90, 200), chain(destination(HERE, 180, 1_000), 90, 120)
    fragment = chain(destination(HERE, 0, 300), 90, 5)
    nodes = [*mainland, *island, *fragment]
    pairs = [(n, n + 1) for n in range(len(nodes) - 1) if n + 1 not in (200, 320)]
    arcs = np.array([*pairs, *((b, a) for a, b in pairs)], np.int32)
    graph = StreetGraph(
        StreetArrays(
            nodes=as_array(nodes),
            tail=arcs[:, 0],
            head=arcs[:, 1],
            length_m=np.full(len(arcs), 50, np.float32),
            speed_mps=np.full(len(arcs), 10, np.float32),
            car=np.full(len(arcs), True),
            bicycle=np.full(len(arcs), True),
            foot=np.full(len(arcs), True),
            shape=np.zeros((0, 2)),
            shape_start=np.zeros(len(arcs) + 1, np.int64),
        )
    )
    far_away = destination(HERE, 0, 9_000)
    places = as_array([mainland[0], mainland[100], island[0], island[50], fragment[0], far_away])
    seconds = StreetTimes(graph).seconds(places, places, Vehicle.BICYCLE)
    apart = seconds >= UNREACHABLE_S
    on_island = np.array([False, False, True, True, False, False])
    off_the_map = np.array([False, False, False, False, False, True])
    assert (apart == ((on_island[:, None] != on_island[None, :]) & ~off_the_map[:, None] & ~off_the_map[None, :])).all()
    crow = CrowFlies().seconds(places, places, Vehicle.BICYCLE)
    assert (seconds[-1] == crow[-1]).all()
    random = np.random.default_rng(1)
    assert all(graph.random_point(random).lat > HERE.lat - 0.005 for _ in range(50))


def test_a_graph_with_an_arc_to_nowhere_is_refused() -> None:
    """Before it can answer wrongly."""
    arrays = grid().arrays
    with pytest.raises(ValueError, match="does not exist"):
        StreetGraph(
            StreetArrays(**{**{f: getattr(arrays, f) for f in arrays.__struct_fields__}, "head": arrays.head + 9})
        )


def test_zones_are_checked_repaired_and_found() -> None:
    """A bow tie becomes two triangles; nonsense is refused in words."""
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}
    index = ZoneIndex({"tie": zone_from_geojson(bow_tie)})
    assert index.containing(np.array([[1.0, 1.8], [1.8, 1.0], [0.5, 0.2]])) == [["tie"], [], ["tie"]]
    off_the_map = {"type": "Polygon", "coordinates": [[[0, 0], [999, 0], [0, 9], [0, 0]]]}
    for wrong in ({}, {"type": "Point", "coordinates": [0, 0]}, off_the_map):
        with pytest.raises(ZoneError):
            zone_from_geojson(wrong)


def test_a_cell_is_in_its_own_disk() -> None:
    """And a ring around it has six more."""
    cell = cell_of(HERE, 8)
    assert cell in disk(cell, 1)
    assert len(disk(cell, 1)) == 7
