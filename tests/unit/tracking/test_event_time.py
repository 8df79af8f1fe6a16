"""Event time: whatever the network does to a stream of fixes, the server ends up believing the same."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.distance import destination
from geo.fence import Fence, FenceFix, FenceState, observe
from geo.point import Point
from tracking.filters import DISORDER_MAX, IN_HISTORY, FilterLimits, FilterState, judge
from tracking.session import DriverSession
from tracking.wire import WireFix

NOW_MS = 1_790_000_000_000
STOP = Point(60.17, 24.94)
LIMITS = FilterLimits()


class Server:
    """What the server makes of frames: the session, the filters, history, the dot and a fence, without the wires."""

    def __init__(self) -> None:
        self.session = DriverSession(0)
        self.filters = FilterState()
        self.fence = FenceState()
        self.told: list[str] = []
        self.history: dict[int, tuple[float, float]] = {}
        self.dots: list[int] = []

    def receives(self, seq: int, fixes: list[WireFix], at_s: float) -> None:
        if self.session.take(seq, at_s) is not None:
            return
        for fix in fixes:
            if judge(self.filters, fix, NOW_MS, LIMITS) in IN_HISTORY:
                self.history.setdefault(fix.t, (fix.lat, fix.lng))
        shown = self.filters.shown
        if shown is not None and (not self.dots or shown.t > self.dots[-1]):
            self.dots.append(shown.t)
        seen = [FenceFix(Point(fix.lat, fix.lng), fix.t, fix.spd, fix.acc) for fix in self.filters.believed]
        self.told += [event.value for event, _ in observe(self.fence, Fence(STOP), seen)]
        self.filters.believed = []
        self.session.done(seq)

    def end(self) -> tuple[object, ...]:
        return self.history, self.filters.shown, self.dots[-1], sorted(self.told)


def a_way(chance: random.Random, *, stays: bool) -> list[WireFix]:
    """Two kilometres to the stop, a while there or not, and on; now and then a false or a vague reading."""
    t, fixes = NOW_MS - 3_600_000, []
    away_m = 1_990
    while away_m > -1_900:
        standing = stays and -30 < away_m < 50
        at = destination(STOP, 90, away_m) if away_m >= 0 else destination(STOP, 270, -away_m)
        fixes.append(WireFix(t, at.lat, at.lng, 8.0, 0.3 if standing else 11.0))
        if chance.random() < 0.04 and len(fixes) > 1:
            wrong = destination(at, chance.uniform(0, 360), chance.uniform(30_000, 60_000))
            fixes.append(WireFix(t + 900, wrong.lat, wrong.lng, 8.0, 11.0))
        if chance.random() < 0.04:
            fixes.append(WireFix(t + 1_700, at.lat, at.lng, 900.0))
        pause_ms = chance.choice((4_000, 4_000, 4_000, 20_000))
        t += pause_ms
        before_m = away_m
        away_m -= 3 if standing else 11 * pause_ms // 1_000
        if stays and before_m > 45 > away_m:
            away_m = 45
    return fixes


def frames(fixes: list[WireFix], chance: random.Random) -> list[list[WireFix]]:
    """Cut a stream into frames of any size."""
    cut: list[list[WireFix]] = []
    while fixes:
        size = chance.choice((1, 1, 2, 5, 30))
        cut.append(fixes[:size])
        fixes = fixes[size:]
    return cut


def of_a_bad_network(fixes: list[WireFix], chance: random.Random) -> list[WireFix]:
    """Some twice, and in another order: none after `DISORDER_MAX` newer ones, the last in its place."""
    *before, last = fixes
    times = [n for n in range(1, len(before)) for _ in range(chance.choice((1, 1, 2)))]
    places = sorted((n + chance.uniform(0, DISORDER_MAX), n) for n in times)
    return [before[0], *(before[n] for _, n in places), last]


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_any_shuffle_duplication_and_cut_of_a_stream_ends_in_the_same_state(seed: int, stays: bool) -> None:
    """The same history, the same dot, the same told by the fence, each once; and the dot never moved back."""
    chance = random.Random(seed)
    fixes = a_way(chance, stays=stays)
    clean, faulty = Server(), Server()
    for seq, frame in enumerate(frames(fixes, chance), 1):
        clean.receives(seq, frame, 60.0 * seq)
    sent = frames(of_a_bad_network(fixes, chance), chance)
    for seq, frame in enumerate(sent, 1):
        faulty.receives(seq, frame, 60.0 * seq)
        for again in range(max(1, seq - chance.choice((0, 0, 3))), seq + 1):
            faulty.receives(again, sent[again - 1], 60.0 * seq)
    assert faulty.end() == clean.end()
    assert faulty.dots == sorted(set(faulty.dots))
    assert len(faulty.told) == len(set(faulty.told))
    assert ("arrived" in clean.told) == stays


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_a_tunnel_delivered_in_one_batch_after_newer_fixes_is_history_and_arrivals_in_it_count(seed: int) -> None:
    """The dot stays where it is; who stood at the stop in the tunnel arrived."""
    chance = random.Random(seed)
    fixes = a_way(chance, stays=True)
    start = next(n for n, fix in enumerate(fixes) if fix.spd == 0.3) - 5
    end = start + 32
    server = Server()
    for seq, frame in enumerate((fixes[:start], fixes[end : end + 8], fixes[start:end], fixes[end + 8 :]), 1):
        server.receives(seq, frame, 60.0 * seq)
    assert set(server.history) == {fix.t for fix in fixes}
    assert server.told.count("arrived") == 1
    assert server.dots == sorted(set(server.dots))


@pytest.mark.parametrize("known", range(DISORDER_MAX + 1, 3 * DISORDER_MAX))
def test_a_fix_is_judged_until_sixteen_newer_ones_have_come_however_many_came_before(known: int) -> None:
    """A teleport tells: judged, it is one; after sixteen newer ones nobody looks, and no fence sees it."""
    for newer in (DISORDER_MAX - 1, DISORDER_MAX):
        state = FilterState()
        for second in range(known):
            assert judge(state, WireFix(NOW_MS - 60_000 + 1_000 * second, STOP.lat, STOP.lng), NOW_MS, LIMITS) == "live"
        state.believed.clear()
        there = destination(STOP, 90, 30_000)
        late = WireFix(NOW_MS - 60_000 + 1_000 * (known - newer) - 500, there.lat, there.lng)
        assert judge(state, late, NOW_MS, LIMITS) == ("jump" if newer < DISORDER_MAX else "late")
        assert state.believed == []
