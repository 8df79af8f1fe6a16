"""The hot path's pure parts: what becomes of fixes, and what may be acknowledged."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.distance import destination
from geo.point import Point
from geo.travel import Vehicle
from tracking.filters import DEFAULTS, DISORDER_MAX, FilterLimits, FilterState, Verdict, judge
from tracking.session import FRAME_BURST, DriverSession
from tracking.visibility import business_sees_driver, customer_sees_driver
from tracking.wire import WireFix

NOW_MS = 1_790_000_000_000
LIMITS = FilterLimits()


def walk(count: int) -> list[WireFix]:
    """A person walking north-east, a fix a second, the last one now."""
    at = Point(60.17, 24.94)
    fixes = []
    for number in range(count):
        at = destination(at, 45, 3)
        fixes.append(WireFix(NOW_MS - 1000 * (count - number), at.lat, at.lng, 5.0))
    return fixes


def disordered(fixes: list[WireFix], chance: random.Random) -> list[WireFix]:
    """The same fixes in another order: none comes after `DISORDER_MAX` newer ones."""
    keys = [(number + chance.uniform(0, DISORDER_MAX), number) for number in range(len(fixes))]
    return [fixes[number] for _, number in sorted(keys)]


def run(fixes: list[WireFix], limits: FilterLimits = LIMITS) -> tuple[FilterState, list[Verdict]]:
    state = FilterState()
    return state, [judge(state, fix, NOW_MS, limits) for fix in fixes]


@pytest.mark.parametrize(
    ("fix", "verdict"),
    [
        (WireFix(NOW_MS, 0.0, 0.0), Verdict.ZERO),
        (WireFix(NOW_MS, float("nan"), 24.0), Verdict.INVALID),
        (WireFix(NOW_MS, 91.0, 24.0), Verdict.INVALID),
        (WireFix(NOW_MS, 60.0, 181.0), Verdict.INVALID),
        (WireFix(NOW_MS, 60.0, 24.0, spd=float("inf")), Verdict.INVALID),
        (WireFix(NOW_MS + 61_000, 60.0, 24.0), Verdict.FUTURE),
        (WireFix(NOW_MS - 8 * 24 * 3600 * 1000, 60.0, 24.0), Verdict.TOO_OLD),
        (WireFix(NOW_MS, 60.0, 24.0, acc=500.0), Verdict.ACCURACY),
    ],
)
def test_each_way_a_gps_lies_has_its_own_reason(fix: WireFix, verdict: Verdict) -> None:
    """The reason is counted, so it must be the right one."""
    assert run([fix])[1] == [verdict]


def test_a_late_fix_goes_to_history_and_does_not_move_the_dot() -> None:
    """Fixes saved offline arrive after newer ones."""
    fixes = walk(10)
    state, verdicts = run([*fixes[:3], fixes[9], fixes[5]])
    assert verdicts[-1] is Verdict.LATE
    assert state.shown == fixes[9]


def test_one_jump_is_rejected_and_a_move_that_three_fixes_agree_on_is_believed() -> None:
    """A wrong fix never locks a driver out."""
    there = [WireFix(NOW_MS - 3000 + 1000 * n, 60.5, 25.5, 5.0) for n in range(3)]
    state, verdicts = run([*walk(10)[:5], *there])
    assert verdicts[-3:] == [Verdict.JUMP, Verdict.JUMP, Verdict.LIVE]
    assert state.shown == there[-1]


def test_who_is_faster_than_his_vehicle_for_long_is_believed_again_after_ten_minutes() -> None:
    """In a train: each fix jumps from the last believed one, and none agrees with the next."""
    fixes = [WireFix(NOW_MS - 900_000 + 60_000 * n, 60.0 + 0.05 * n, 24.0, 5.0) for n in range(13)]
    _, verdicts = run(fixes)
    assert verdicts == [Verdict.LIVE, *[Verdict.JUMP] * 10, Verdict.LIVE, Verdict.JUMP]


def test_filters_that_thin_out_leave_the_dot_and_show_a_standing_driver_twice_a_minute() -> None:
    """Static by speed and accuracy, nearer than asked, sooner than asked; all of them still are believed."""
    standing = [WireFix(NOW_MS - 40_000 + 2_000 * n, 60.17, 24.94 + 1e-5 * (n % 2), 30.0, 0.2) for n in range(20)]
    state, verdicts = run(standing, FilterLimits(static_m=10))
    assert [n for n, verdict in enumerate(verdicts) if verdict is Verdict.LIVE] == [0, 15]
    assert set(verdicts) == {Verdict.LIVE, Verdict.STATIC}
    assert len(state.believed) == 20
    assert run(walk(9), FilterLimits(distance_m_min=10))[1] == [
        Verdict.LIVE, Verdict.DISTANCE, Verdict.DISTANCE, Verdict.DISTANCE] * 2 + [Verdict.LIVE]  # fmt: skip
    assert run(walk(5), FilterLimits(period_ms_min=2000))[1] == [Verdict.LIVE, Verdict.PERIOD] * 2 + [Verdict.LIVE]


def test_the_limits_are_the_vehicles() -> None:
    """What is a jump on foot is none by car."""
    moves = [WireFix(NOW_MS - 60_000, 60.17, 24.94, 5.0), WireFix(NOW_MS, 60.19, 24.94, 5.0)]
    assert run(moves, DEFAULTS[Vehicle.FOOT])[1][1] is Verdict.JUMP
    assert run(moves, DEFAULTS[Vehicle.CAR])[1][1] is Verdict.LIVE


@given(st.integers(0, 2**32), st.integers(2, 60))
def test_any_shuffle_and_duplication_ends_with_the_same_dot_and_every_fix_once(seed: int, count: int) -> None:
    """Order and repetition do not matter: the newest fix is the dot, each fix is taken once."""
    fixes, chance = walk(count), random.Random(seed)
    arriving = disordered([fix for fix in fixes for _ in range(chance.choice((1, 1, 2)))], chance)
    state, verdicts = run(arriving)
    assert state.shown == fixes[-1]
    taken = [fix.t for fix, verdict in zip(arriving, verdicts, strict=True) if verdict is not Verdict.DUPLICATE]
    assert {fix.t for fix in fixes} == set(taken)


def test_an_ack_never_jumps_over_a_frame_that_is_not_durable() -> None:
    """Cumulative means: everything up to here."""
    session = DriverSession(10)
    assert [session.take(seq, 0.0) for seq in (11, 12, 13)] == [None, None, None]
    assert not session.done(12)
    assert session.durable == 10
    assert session.done(11)
    assert session.durable == 12


def test_a_frame_that_must_come_again_holds_back_the_later_ones() -> None:
    """What was refused for now is not acknowledged by accident."""
    session = DriverSession(0)
    assert session.take(1, 0.0) is None
    session.put_back(1)
    assert session.take(2, 0.0) == "resend_first"
    assert session.take(1, 0.0) is None
    assert session.take(2, 0.0) is None
    session.done(2)
    assert session.durable == 0
    session.done(1)
    assert session.durable == 2


@given(st.lists(st.integers(1, 30), max_size=200))
def test_whatever_is_sent_again_is_taken_once(seqs: list[int]) -> None:
    """At least once up, exactly once in."""
    session, taken = DriverSession(0), []
    for number, seq in enumerate(seqs):
        if session.take(seq, float(number)) is None:
            taken.append(seq)
            session.done(seq)
    assert len(taken) == len(set(taken))


def test_a_flood_is_told_to_slow_down_and_comes_again() -> None:
    """A bucket, not a wall: the refused frame is taken a second later."""
    session = DriverSession(0)
    refusals = [session.take(seq, 0.0) for seq in range(1, FRAME_BURST + 2)]
    assert refusals[-1] == "rate_limited"
    assert session.take(FRAME_BURST + 1, 1.0) is None


def test_a_customer_sees_the_driver_only_as_one_of_the_next_stops() -> None:
    """Neither before there is one, nor after the door."""
    assert customer_sees_driver("en_route_to_dropoff", 0, 1)
    assert customer_sees_driver("assigned", 1, 1)
    assert not customer_sees_driver("assigned", 2, 1)
    assert not customer_sees_driver("pending", None, 1)
    assert not customer_sees_driver("delivered", 0, 1)


def test_a_business_sees_its_own_drivers_on_shift_and_others_only_with_its_goods() -> None:
    """A pool driver's evening is nobody's business."""
    assert business_sees_driver(dedicated=True, state="available", carries_its_delivery=False)
    assert not business_sees_driver(dedicated=True, state="offline", carries_its_delivery=False)
    assert not business_sees_driver(dedicated=False, state="available", carries_its_delivery=False)
    assert business_sees_driver(dedicated=False, state="busy", carries_its_delivery=True)
