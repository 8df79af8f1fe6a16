"""Everything travel times can come from keeps one contract; a routing server may do what servers do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from dispatch.bounded import BoundedTimes
from geo.distance import meters_between
from geo.point import Floats, Point
from geo.streets import StreetArrays, StreetGraph, StreetTimes
from geo.travel import UNREACHABLE_S, CrowFlies, TravelTimes, Vehicle
from onward import routing_look
from onward.adapters.tables import BLOCK_PLACES, RoutingFailed
from onward.config import Settings
from onward.travel import TravelFactory

ISLAND_LNG = 25.5
SPEED_MPS = {"car": 10, "bike": 4, "foot": 1, "auto": 10, "motor_scooter": 9, "bicycle": 4, "pedestrian": 1}
OSRM_PLACES_MAX, VALHALLA_PAIRS_MAX = 100, 2_500


class Server:
    """A routing server of either vendor, as their documentation says, on one map with an island in the east."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.mood: Callable[[], tuple[int, bytes] | None] = lambda: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(outer._osrm(self.path))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(outer._valhalla(self.path, body))

            def _answer(self, answer: tuple[int, Any]) -> None:
                outer.asked.append(self.path)
                status, body = outer.mood() or (answer[0], json.dumps(answer[1]).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _osrm(self, path: str) -> tuple[int, Any]:
        where, _, query = path.partition("?")
        *_, service, version, profile, places = where.split("/")
        asked = dict(part.split("=") for part in query.split("&"))
        assert (service, version, asked["annotations"]) == ("table", "v1", "duration")
        points = [Point(*map(float, reversed(place.split(",")))) for place in places.split(";")]
        if len(points) > OSRM_PLACES_MAX:
            return 400, {"code": "TooBig"}
        sources, targets = ([points[int(n)] for n in asked[end].split(";")] for end in ("sources", "destinations"))
        return 200, {"code": "Ok", "durations": [[_time(a, b, profile) for b in targets] for a in sources]}

    def _valhalla(self, path: str, body: Any) -> tuple[int, Any]:
        assert path == "/sources_to_targets"
        sources, targets = (
            [Point(place["lat"], place["lon"]) for place in body[end]] for end in ("sources", "targets")
        )
        if len(sources) * len(targets) > VALHALLA_PAIRS_MAX:
            return 400, {"error_code": 150}
        cells = [
            [{"from_index": i, "to_index": j, "time": _time(a, b, body["costing"])} for j, b in enumerate(targets)]
            for i, a in enumerate(sources)
        ]
        return 200, {"sources_to_targets": cells, "units": "kilometers"}


def _time(a: Point, b: Point, profile: str) -> float | None:
    return None if (a.lng > ISLAND_LNG) != (b.lng > ISLAND_LNG) else meters_between(a, b) / SPEED_MPS[profile]


def streets() -> StreetTimes:
    """Two straight streets of 300 junctions, one of them on the island."""
    lng = np.concatenate((np.linspace(24.90, 25.00, 300), np.linspace(25.60, 25.70, 300)))
    nodes = np.column_stack((np.full(600, 60.17), lng))
    ahead = np.array([n for n in range(599) if n != 299])
    tail, head = np.concatenate((ahead, ahead + 1)), np.concatenate((ahead + 1, ahead))
    m = len(tail)
    yes = np.ones(m, bool)
    return StreetTimes(
        StreetGraph(
            StreetArrays(
                nodes=nodes,
                tail=tail.astype(np.int32),
                head=head.astype(np.int32),
                length_m=np.full(m, 18.5, np.float32),
                speed_mps=np.full(m, 10.0, np.float32),
                car=yes,
                bicycle=yes,
                foot=yes,
                shape=np.zeros((0, 2)),
                shape_start=np.zeros(m + 1, np.int64),
            )
        )
    )


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def of(name: str, server: Server) -> TravelTimes:
    if name == "street_graph":
        return streets()
    return TravelFactory(None, "" if name == "crow_flies" else f"{name}+{server.url}")()


PROVIDERS = ("crow_flies", "street_graph", "osrm", "valhalla")


def places(n: int, *, lng: float = 24.90) -> Floats:
    return np.column_stack((np.full(n, 60.17), np.linspace(lng, lng + 0.09, n)))


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_keeps_the_contract(name: str, server: Server) -> None:
    """Whole seconds, a row for each origin and a column for each destination, in their order, further is later."""
    travel = of(name, server)
    assert travel.source == name
    some, others = places(3), places(5)
    found = travel.seconds(some, others, Vehicle.BICYCLE)
    assert (found.shape, found.dtype) == ((3, 5), np.int32)
    assert (np.diff(found[0]) > 0).all()
    assert (np.diff(found[2]) < 0).all()
    assert 0 <= found[0, 0] < 120
    assert np.array_equal(travel.seconds(others, some, Vehicle.BICYCLE).T, found)
    assert (travel.seconds(some, others, Vehicle.FOOT)[0, 1:] > found[0, 1:]).all()
    assert travel.seconds(places(0), others, Vehicle.CAR).shape == (0, 5)
    assert travel.seconds(some, places(0), Vehicle.CAR).shape == (3, 0)
    twice = travel.seconds(np.concatenate((some, some)), others, Vehicle.BICYCLE)
    assert np.array_equal(twice, np.concatenate((found, found)))


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_table_of_any_size_is_one_question(name: str, server: Server) -> None:
    """Servers refuse more than 50 × 50: theirs are put together from blocks."""
    travel = of(name, server)
    many = places(2 * BLOCK_PLACES + 7)
    whole = travel.seconds(many, many, Vehicle.CAR)
    fresh = of(name, server)
    parts = [fresh.seconds(many[i : i + 20], many, Vehicle.CAR) for i in range(0, len(many), 20)]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("name", PROVIDERS[1:])
def test_no_way_is_told_as_such(name: str, server: Server) -> None:
    """What has no street to it is out of reach, in both directions; the island itself has ways."""
    found = of(name, server).seconds(
        np.concatenate((places(2), places(2, lng=25.60))), places(2, lng=25.60), Vehicle.CAR
    )
    assert (found[:2] == UNREACHABLE_S).all()
    assert (found[2:] < UNREACHABLE_S).all()


@pytest.mark.parametrize("name", PROVIDERS[2:])
def test_only_what_is_new_is_asked_for(name: str, server: Server) -> None:
    """A driver who moved is one row; stores and doors stay known."""
    travel, known = of(name, server), places(40)
    before = travel.seconds(known, known, Vehicle.CAR)
    assert len(server.asked) == 1
    assert np.array_equal(travel.seconds(known, known, Vehicle.CAR), before)
    assert len(server.asked) == 1
    travel.seconds(np.concatenate((known, [[60.171, 24.95]])), known, Vehicle.CAR)
    assert len(server.asked) == 2


def test_each_vehicle_goes_to_its_own_osrm(server: Server) -> None:
    """`{profile}` in the URL is replaced, as a server of each vehicle wants it."""
    travel = TravelFactory(None, f"osrm+{server.url}/routed-{{profile}}")()
    for vehicle in Vehicle:
        travel.seconds(places(1), places(2), vehicle)
    assert [path.split("/")[1] for path in server.asked] == ["routed-bike", "routed-car", "routed-car", "routed-foot"]


MOODS = {
    "fails": lambda: (500, b"no"),
    "talks nonsense": lambda: (200, b"<html>"),
    "answers something else": lambda: (200, b'{"durations": [[1.0]], "sources_to_targets": [[{"time": 1}]]}'),
    "is full": lambda: (400, b'{"code": "TooBig"}'),
}


@pytest.mark.parametrize("name", PROVIDERS[2:])
@pytest.mark.parametrize("mood", MOODS)
def test_a_server_that_fails_is_left_alone_and_straight_lines_stand_in(name: str, mood: str, server: Server) -> None:
    """Whatever it answers; the source says so, and it is asked again when it had its rest."""
    clock = [0.0]
    travel = BoundedTimes(of(name, server), monotonic_s=lambda: clock[0])
    server.mood = MOODS[mood]
    some = places(3)
    lines = CrowFlies().seconds(some, some, Vehicle.CAR)
    for _ in range(3):
        assert np.array_equal(travel.seconds(some, some, Vehicle.CAR), lines)
    assert (travel.source, travel.down, len(server.asked)) == ("crow_flies", True, 1)
    server.mood = lambda: None
    clock[0] = 60.0
    assert not np.array_equal(travel.seconds(some, some, Vehicle.CAR), lines)
    assert (travel.source, travel.down) == (name, False)


def test_a_server_that_is_not_there_or_hangs_is_told_in_time(server: Server) -> None:
    """It raises by itself before anybody has to give up on it."""
    hangs = threading.Event()

    def hang() -> None:
        hangs.wait(10)

    server.mood = hang
    started = time.monotonic()
    with pytest.raises(RoutingFailed):
        of("osrm", server).seconds(places(2), places(2), Vehicle.CAR)
    hangs.set()
    assert time.monotonic() - started < 3.0
    with pytest.raises(RoutingFailed):
        TravelFactory(None, "osrm+http://127.0.0.1:9")().seconds(places(2), places(2), Vehicle.CAR)


@pytest.mark.parametrize("wrong", ["http://router:5000", "osrm+ftp://router", "google", "osrm+http://"])
def test_a_routing_url_out_of_form_is_refused_in_words(wrong: str) -> None:
    """Before anything starts; empty is fine."""
    with pytest.raises(ValueError, match=r"osrm\+http://host:port or valhalla\+http://host:port"):
        Settings(routing_url=wrong)
    assert Settings(routing_url="valhalla+http://router:8002").routing_url


@pytest.mark.parametrize("vendor", ["osrm", "valhalla"])
def test_the_doctor_tells_a_good_server_from_one_that_is_away_refuses_or_has_another_map(
    server: Server, vendor: str
) -> None:
    """In words that say what to do. A map of elsewhere: every place is at the same street, or none is."""
    here, other = Point(60.17, 24.94), "load the map"

    def fault() -> str:
        return routing_look.fault(of(vendor, server), here) or ""

    assert fault() == ""
    server.mood = lambda: (400, b"NoTiles")
    assert "ONWARD_ROUTING_URL" in fault()
    assert "answered 400" in fault()
    for seconds in (0, None):
        cells = {"osrm": [[seconds] * 8], "valhalla": [[{"time": seconds}] * 8]}[vendor]
        name = {"osrm": "durations", "valhalla": "sources_to_targets"}[vendor]
        server.mood = lambda: (200, json.dumps({name: cells}).encode())  # noqa: B023 - asked within the loop
        assert other in fault()
    server.close()
    assert "ONWARD_ROUTING_URL" in fault()
