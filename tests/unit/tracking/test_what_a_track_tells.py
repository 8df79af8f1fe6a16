"""What a track tells: way, times, speeds, stays and gaps, whatever the phone's sampling."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.distance import meters_between
from geo.point import Point
from tests.support.trips import ride, stay
from tracking.foreign import OwnTracksBody, from_osmand, from_owntracks
from tracking.track import Mark, geojson, gpx
from tracking.trips import TrackPoint, measure

NOW_MS = 1_790_000_000_000
STORE, DOOR = (60.1690, 24.9400), (60.1690, 24.9600)
FAR_M = meters_between(Point(*STORE), Point(*DOOR))


def lunch() -> list[TrackPoint]:
    """Three minutes at the store, eleven hundred metres, two minutes at the door."""
    track = stay(STORE, NOW_MS)
    track += ride(STORE, DOOR, track[-1].t_ms)[1:]
    return track + stay(DOOR, track[-1].t_ms, for_s=120)[1:]


def test_a_trip_has_its_way_its_times_and_its_stays() -> None:
    """Restlessness at the store is no way."""
    trip = measure(lunch())
    assert trip.distance_m == pytest.approx(FAR_M, rel=0.1)
    assert [(d.to_ms - d.from_ms) // 1000 for d in trip.dwells] == [
        pytest.approx(180, abs=20),
        pytest.approx(120, abs=20),
    ]
    assert trip.moving_s + trip.standing_s == (lunch()[-1].t_ms - NOW_MS) // 1000
    assert trip.speed_max_mps == pytest.approx(7.0, abs=0.1)
    assert trip.speed_mean_mps == pytest.approx(5.0, abs=0.6)
    assert trip.gaps == []


def test_a_tunnel_is_a_gap_and_a_quiet_phone_at_one_place_is_not() -> None:
    """Four minutes without a position: between two places it is a gap, at the store it is standing."""
    track = lunch()
    tunnel = [p for p in track if not 250_000 < p.t_ms - NOW_MS < 400_000]
    trip = measure(tunnel)
    assert len(trip.gaps) == 1
    assert trip.unseen_s == pytest.approx(150, abs=10)
    assert trip.distance_m == pytest.approx(FAR_M, rel=0.1)
    quiet = [track[0], *[p for p in track if p.t_ms - NOW_MS >= 170_000]]
    assert measure(quiet).gaps == []


def test_without_speeds_of_the_device_they_come_from_the_way() -> None:
    """And one wild step does not make the maximum."""
    track = [TrackPoint(p.t_ms, p.lat, p.lng) for p in ride(STORE, DOOR, NOW_MS)]
    track[20] = TrackPoint(track[20].t_ms, track[20].lat + 0.0006, track[20].lng)
    assert measure(track).speed_max_mps < 16
    assert measure(track).speed_mean_mps == pytest.approx(5, rel=0.2)


def test_the_path_is_short_and_near_and_keeps_ends_and_time() -> None:
    """Fewer positions, none over 20 s apart, each one that was there."""
    track = [p for whole in zip(lunch(), strict=True) for p in whole]
    path = measure(track).path
    assert path[0][0] == track[0].t_ms
    assert path[-1][0] == track[-1].t_ms
    assert len(path) < 0.7 * len(track)
    assert max(b[0] - a[0] for a, b in itertools.pairwise(path)) <= 20_000
    assert {p[0] for p in path} <= {p.t_ms for p in track}


@given(
    st.lists(
        st.tuples(st.integers(0, 600_000), st.floats(-85, 85), st.floats(-180, 180), st.none() | st.floats(0, 60)),
        max_size=40,
        unique_by=lambda row: row[0],
    )
)
def test_any_track_adds_up(rows: list[tuple[int, float, float, float | None]]) -> None:
    """Moving, standing and unseen are the whole time; the path never goes back."""
    track = [TrackPoint(NOW_MS + t, lat, lng, speed) for t, lat, lng, speed in sorted(rows)]
    trip = measure(track)
    whole_s = (track[-1].t_ms - track[0].t_ms) / 1000 if track else 0
    assert trip.moving_s + trip.standing_s + trip.unseen_s == pytest.approx(whole_s, abs=2)
    assert all(a[0] < b[0] for a, b in itertools.pairwise(trip.path))
    assert trip.distance_m >= 0


def test_exports_are_what_others_read() -> None:
    """A segment and a line for each stretch without a gap; names are escaped, not trusted."""
    track = [p for p in lunch() if not 250_000 < p.t_ms - NOW_MS < 400_000]
    marks = [Mark("<Rosso> & Co", *STORE, NOW_MS)]
    space = "{http://www.topografix.com/GPX/1/1}"
    root = ET.fromstring(gpx("K7", track, marks))
    assert len(root.findall(f".//{space}trkseg")) == 2
    assert len(root.findall(f".//{space}trkpt")) == len(track)
    assert root.findtext(f"{space}wpt/{space}name") == "<Rosso> & Co"
    features = json.loads(geojson("K7", track, marks))["features"]
    assert [one["geometry"]["type"] for one in features] == ["LineString", "LineString", "Point"]
    assert sum(len(one["properties"]["coordTimes"]) for one in features[:2]) == len(track)


@pytest.mark.parametrize(
    ("text", "t_ms"),
    [
        ("1790000000", NOW_MS),
        ("1790000000000", NOW_MS),
        ("2026-09-21T14:13:20Z", NOW_MS),
        ("2026-09-21T16:13:20+02:00", NOW_MS),
        ("2026-09-21 14:13:20", NOW_MS),
    ],
)
def test_apps_write_the_time_as_they_like(text: str, t_ms: int) -> None:
    """Seconds, milliseconds, ISO 8601 with a zone or in UTC."""
    assert from_osmand({"lat": "60", "lon": "24", "timestamp": text}, 0).t == t_ms


def test_what_an_app_does_not_know_is_left_out() -> None:
    """-1, NaN and words are no speed; `location` is a place as well."""
    fix = from_osmand({"location": "60.1,24.9", "speed": "-1", "bearing": "north", "accuracy": "nan"}, 7)
    assert (fix.t, fix.lat, fix.lng, fix.spd, fix.hdg, fix.acc) == (7, 60.1, 24.9, None, None, None)
    assert from_owntracks(OwnTracksBody(type="waypoint", tst=1, lat=1.0, lon=1.0)) is None
