"""What past deliveries teach: by laws that hold for any of them, and by examples."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.accuracy import Outcome, accuracy, report
from dispatch.learning import (
    HAND_OVER_S,
    Arrival,
    Average,
    HandOver,
    Learned,
    Lesson,
    Readiness,
    Ride,
    StopKind,
    hour_of_week,
    learn,
    local,
)
from geo.eta import ERRORS_KEPT, HORIZONS_S, Eta, Spread
from geo.travel import CROW_FLIES, UNREACHABLE_S, Vehicle

MONDAY = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
STORE, OTHER = uuid4(), uuid4()
SECONDS = st.integers(30, 7_200)


def rides(provider_s: int, actual_s: int, n: int, *, at: datetime = MONDAY, source: str = "lines") -> list[Lesson]:
    return [Ride(source, Vehicle.CAR, hour_of_week(at), provider_s, actual_s)] * n


@given(provider_s=SECONDS)
def test_with_no_history_nothing_changes(provider_s: int) -> None:
    """Cold start is what is shipped: the provider's seconds, no lateness, the usual hand-over, the prior's spread."""
    known = Learned()
    assert known.ride_s("lines", Vehicle.CAR, MONDAY, provider_s) == provider_s
    assert known.ready_late_s(STORE, MONDAY) == 0
    assert known.hand_over_s(StopKind.PICKUP, STORE) == HAND_OVER_S
    estimate = Eta(provider_s, provider_s + 200)
    assert known.spread.corrected(estimate) == estimate


def test_rides_that_always_take_longer_are_expected_to() -> None:
    """A provider that is off by half again is right after some dozens of rides, and no ride of another vehicle is."""
    known = learn(Learned(), [ride for length_s in (300, 600, 900) for ride in rides(length_s, length_s * 3 // 2, 40)])
    assert known.ride_s("lines", Vehicle.CAR, MONDAY, 600) == pytest.approx(900, rel=0.06)
    assert known.ride_s("lines", Vehicle.BICYCLE, MONDAY, 600) == 600
    assert known.ride_s("streets", Vehicle.CAR, MONDAY, 600) == 600


def test_a_few_rides_move_it_a_little() -> None:
    """Two strange rides do not turn the city around: n / (n + 20)."""
    known = learn(Learned(), rides(600, 1_200, 2))
    assert 600 < known.ride_s("lines", Vehicle.CAR, MONDAY, 600) < 850


def test_rush_hour_is_learned_apart_from_the_night() -> None:
    """Each hour of the week has a factor of its own on top of what is true of all."""
    night = MONDAY.replace(hour=3)
    pairs = zip(rides(600, 1_000, 150), rides(600, 500, 150, at=night), strict=True)
    known = learn(Learned(), [ride for pair in pairs for ride in pair])
    rush_s, night_s = (known.ride_s("lines", Vehicle.CAR, at, 600) for at in (MONDAY, night))
    assert rush_s > 880
    assert night_s < 600


@given(lessons=st.lists(st.tuples(SECONDS, SECONDS, st.integers(0, 167)), max_size=60), provider_s=SECONDS)
def test_whatever_was_learned_a_ride_stays_a_ride(lessons: list[tuple[int, int, int]], provider_s: int) -> None:
    """No history makes a ride take no time or forever; what has no way stays without one."""
    known = learn(Learned(), [Ride("lines", Vehicle.CAR, hour, said, took) for said, took, hour in lessons])
    assert 15 <= known.ride_s("lines", Vehicle.CAR, MONDAY, provider_s) <= 120_000
    assert known.ride_s("lines", Vehicle.CAR, MONDAY, UNREACHABLE_S) == UNREACHABLE_S


@given(lessons=st.lists(st.tuples(SECONDS, SECONDS), max_size=60), provider_s=SECONDS)
def test_what_a_ride_takes_beside_its_way_is_used_up_as_it_goes_on(
    lessons: list[tuple[int, int]], provider_s: int
) -> None:
    """The rest never takes longer than a ride of that length, far away as long, and at the door nothing."""
    known = learn(Learned(), [Ride("lines", Vehicle.CAR, 12, said, took) for said, took in lessons])
    left = partial(known.left_s, "lines", Vehicle.CAR, MONDAY)
    whole = partial(known.ride_s, "lines", Vehicle.CAR, MONDAY)
    start_s = round(CROW_FLIES[Vehicle.CAR][0])
    assert 0 <= left(provider_s) <= whole(provider_s)
    assert left(start_s) == left(0) == 0
    assert left(3_600) == pytest.approx(whole(3_600), abs=1)
    assert left(UNREACHABLE_S) == UNREACHABLE_S


def test_half_way_half_of_the_ride_is_left_and_not_all_its_lights_and_doors() -> None:
    """Rides that take three minutes and the way: who has a minute's way to go is not four minutes away."""
    start_s = round(CROW_FLIES[Vehicle.CAR][0])
    known = learn(Learned(), [one for way_s in (60, 300, 900) for one in rides(start_s + way_s, 180 + way_s, 100)])
    assert known.ride_s("lines", Vehicle.CAR, MONDAY, start_s + 60) == pytest.approx(240, abs=30)
    assert 60 < known.left_s("lines", Vehicle.CAR, MONDAY, start_s + 60) < 130


def test_a_kitchen_that_is_late_at_lunch_is_expected_late_at_lunch() -> None:
    """By the hour of the day, drawn to the store's whole day where few orders are known; other stores are not."""
    lunch = [Readiness(STORE, 12, 600)] * 60
    evening = [Readiness(STORE, 19, 0)] * 60
    known = learn(Learned(), [lesson for pair in zip(lunch, evening, strict=True) for lesson in pair])
    assert known.ready_late_s(STORE, MONDAY) > 450
    assert known.ready_late_s(STORE, MONDAY.replace(hour=19)) < 120
    assert 120 < known.ready_late_s(STORE, MONDAY.replace(hour=16)) < 450
    assert known.ready_late_s(OTHER, MONDAY) == 0


def test_a_hand_over_is_learned_where_it_happens() -> None:
    """A slow counter is slow; one that nobody knows yet is like the others."""
    known = learn(Learned(), [HandOver(StopKind.PICKUP, STORE, 240)] * 80)
    assert known.hand_over_s(StopKind.PICKUP, STORE) > 200
    assert HAND_OVER_S < known.hand_over_s(StopKind.PICKUP, OTHER) == known.hand_over_s(StopKind.PICKUP)
    assert known.hand_over_s(StopKind.DROPOFF, STORE) == HAND_OVER_S


def test_errors_correct_the_estimate_at_their_horizon() -> None:
    """Nine in ten arrivals within what is told for nine in ten, as it was with the last ones; others stay."""
    arrivals = [Arrival(600, 540 + 3 * n) for n in range(100)]
    spread = learn(Learned(), arrivals).spread
    told = spread.corrected(Eta(600, 780))
    assert told.p50_s == pytest.approx(690 - 90 * 20 / 120, abs=10)
    assert told.p90_s == pytest.approx(540 + 270, abs=15)
    assert spread.corrected(Eta(2_400, 3_000)) == Eta(2_400, 3_000)


@given(st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 9_000)), max_size=30), st.integers(0, 6_000))
def test_the_doubtful_end_is_never_before_the_median(arrivals: list[tuple[int, int]], p50_s: int) -> None:
    """Whatever errors there were: P90 comes after P50, and neither before now."""
    told = Spread().after(arrivals).corrected(Eta(p50_s, p50_s + 60))
    assert 0 <= told.p50_s < told.p90_s


def test_only_the_latest_errors_count() -> None:
    """A city changes: of each horizon the last 400 are kept."""
    spread = Spread().after([(600, 60_000)] * 50).after([(600, 600)] * ERRORS_KEPT)
    assert [len(errors) for errors in spread.errors] == [0, ERRORS_KEPT, 0, 0]
    assert max(spread.errors[1]) == 0
    assert len(spread.errors) == len(HORIZONS_S) + 1


def test_what_was_learned_survives_being_kept() -> None:
    """As JSON and back it is the same, and teaching in two parts teaches the same as in one."""
    lessons = [
        *rides(500, 700, 3),
        Readiness(STORE, 12, 90),
        HandOver(StopKind.DROPOFF, OTHER, 75),
        Arrival(700, 800),
        *rides(400, 300, 2),
    ]
    whole = learn(Learned(), lessons)
    kept = msgspec.json.decode(msgspec.json.encode(learn(Learned(), lessons[:4])), type=Learned)
    assert learn(kept, lessons[4:]) == whole


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=100))
def test_an_average_lies_among_its_cases(values: list[float]) -> None:
    """And drawn to its parent, between the two."""
    average = Average()
    for value in values:
        average = average.after(value)
    assert min(values) - 1e-9 <= average.value <= max(values) + 1e-9
    low, high = sorted((average.value, 7.0))
    assert low - 1e-9 <= average.drawn_to(7.0) <= high + 1e-9


def test_hours_are_those_of_the_operators_clocks() -> None:
    """Lunch is at noon in Helsinki, whatever UTC says."""
    at = local(datetime(2026, 7, 5, 22, 30, tzinfo=UTC), "Europe/Helsinki")
    assert hour_of_week(at) == 1


def test_a_report_tells_by_horizon_and_source_how_good_it_was() -> None:
    """Errors are estimate minus actual; the shares are of all; an empty time has no figures."""
    outcomes = [
        Outcome(600, 900, 660, "lines"),
        Outcome(600, 900, 1_000, "lines+learned"),
        Outcome(100, 160, 40, "lines+learned"),
    ]
    found = report(7, 2, outcomes)
    assert found.total is not None
    assert (found.total.n, found.total.mae_s, found.total.bias_s) == (3, 173, -133)
    assert found.total.mape == pytest.approx((60 / 660 + 0.4 + 1) / 3, abs=1e-4)
    assert (found.total.within_3_min, found.total.within_5_min) == (0.6667, 0.6667)
    assert found.total.p90_cover == 0.6667
    assert {name: figures.n for name, figures in found.by_horizon.items()} == {"0-5": 1, "5-15": 2}
    assert {name: figures.n for name, figures in found.by_source.items()} == {"lines": 1, "lines+learned": 2}
    assert accuracy([]) is None
    assert report(7, 0, []).total is None


def test_a_store_is_known_by_its_id() -> None:
    """Two stores never share a kitchen."""
    known = learn(Learned(), [Readiness(UUID(int=1), 12, 100)])
    assert set(known.kitchens) == {str(UUID(int=1))}
