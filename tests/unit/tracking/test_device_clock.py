"""A clock that is off is found out, and a phone that was offline is not taken for one."""

from __future__ import annotations

import random

from tracking.device_clock import OFF_MAX_MS, DeviceClock

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


def frames(clock: DeviceClock, ahead_ms: int, count: int, *, every_ms: int = 10_000, lag_ms: int = 300) -> None:
    for n in range(count):
        at_ms = NOW_MS + every_ms * n
        clock.frame(at_ms - lag_ms + ahead_ms, at_ms)


def test_a_device_that_says_its_time_is_corrected_at_once_either_way() -> None:
    """An hour ahead, an hour behind, a date forgotten."""
    for off_ms in (HOUR_MS, -HOUR_MS, -56 * 365 * 24 * HOUR_MS):
        clock = DeviceClock()
        clock.told(NOW_MS + off_ms, NOW_MS)
        assert clock.ahead_ms == off_ms


def test_what_a_slow_network_makes_of_a_right_clock_is_no_fault_and_a_correction_stays_as_it_is() -> None:
    """The same fix, sent again over a new connection, gets the same time."""
    clock = DeviceClock()
    clock.told(NOW_MS - 4_000, NOW_MS)
    assert clock.ahead_ms == 0
    clock.told(NOW_MS + HOUR_MS, NOW_MS)
    clock.told(NOW_MS + HOUR_MS - 3_000, NOW_MS)
    assert clock.ahead_ms == HOUR_MS
    clock.told(NOW_MS + 1_000, NOW_MS)
    assert clock.ahead_ms == 0


def test_fixes_from_the_future_prove_a_clock_ahead_and_one_alone_proves_nothing() -> None:
    """Three of the last eight frames."""
    clock = DeviceClock()
    frames(clock, 0, 5)
    clock.frame(NOW_MS + 120_000, NOW_MS)
    assert clock.ahead_ms == 0
    frames(clock, HOUR_MS, 3)
    assert abs(clock.ahead_ms - HOUR_MS) < 1_000
    frames(clock, 0, 8)
    assert clock.ahead_ms == 0


def test_always_the_same_hour_late_is_a_clock_behind_and_saved_up_fixes_are_not() -> None:
    """A queue empties faster than it was filled; a device that told its time is believed about being late."""
    behind = DeviceClock()
    frames(behind, -HOUR_MS, 9)
    assert abs(behind.ahead_ms + HOUR_MS) < 1_000
    offline = DeviceClock()
    for n in range(50):
        offline.frame(NOW_MS - HOUR_MS + 60_000 * n, NOW_MS + 2_000 * n)
    assert offline.ahead_ms == 0
    told = DeviceClock()
    told.told(NOW_MS, NOW_MS)
    frames(told, -HOUR_MS, 30)
    assert told.ahead_ms == 0


def test_no_time_that_can_be_sent_breaks_the_measure() -> None:
    """Absurd numbers are no clock."""
    clock, chance = DeviceClock(), random.Random(1)
    for _ in range(200):
        clock.frame(chance.choice((-1, 1)) * 10 ** chance.randint(0, 300), NOW_MS)
        clock.told(chance.randint(0, 2**53), NOW_MS)
        assert abs(clock.ahead_ms) < OFF_MAX_MS
