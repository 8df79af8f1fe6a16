"""What the bench of recorded traces makes of them is a bad network, and not another past."""

from __future__ import annotations

import random

from benchmarks.gps import PLACES_LATER_MAX, TUNNEL_MS, Trace, with_faults
from geo.point import Point
from tracking.filters import BELIEVED_MS_MAX
from tracking.wire import WireFix

HERE = Point(60.17, 24.94)
STEP_S = 5
HELD_MAX = TUNNEL_MS // 1000 // STEP_S


def trace(times_s: list[int]) -> Trace:
    return Trace("made", [WireFix(t_s * 1000, HERE.lat, HERE.lng) for t_s in times_s], HERE)


def test_a_tunnel_never_sends_a_fix_before_it_was_sent() -> None:
    """Of a recording whose newest block comes first, the tunnel's fixes stay behind that block."""
    recording = trace([*range(100_000, 100_400, STEP_S), *range(0, 400, STEP_S)])
    place = {fix.t: number for number, fix in enumerate(recording.fixes)}
    for seed in range(20):
        firsts = list(
            dict.fromkeys(fix.t for fix in with_faults(recording, random.Random(seed), clock_off=False).fixes)
        )
        for number, t in enumerate(t for t in firsts if t in place):
            assert number >= place[t] - PLACES_LATER_MAX - HELD_MAX


def test_a_teleport_is_asked_for_only_when_something_true_contradicts_it() -> None:
    """After ten minutes of silence the first reading is the only one, whatever it says."""
    gap_s = BELIEVED_MS_MAX // 1000 + 1
    recording = trace(list(range(0, 400 * gap_s, gap_s)))
    for seed in range(20):
        made = with_faults(recording, random.Random(seed), clock_off=False)
        known: list[int] = []
        for fix in made.fixes:
            if fix.t in made.teleports:
                assert any(0 < fix.t - t <= BELIEVED_MS_MAX for t in known)
            elif fix.t % 1000 == 0:
                known.append(fix.t)
        first = made.injected["teleports_first"]
        assert made.injected["teleports"] == len(made.teleports) + first
