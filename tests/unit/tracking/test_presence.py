"""When a phone was heard last, as told by a process that could hear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from kernel.clock import JumpWatch, to_ms
from tracking.fix import Position
from tracking.presence import DEAF_AFTER_S, Ears

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Watch:
    """A clock and a monotonic one that stand still until told."""

    speed = 1.0

    def __init__(self) -> None:
        self.s, self.set_by_s = 0.0, 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.s + self.set_by_s)

    def now_ms(self) -> int:
        return to_ms(self.now())

    def monotonic_s(self) -> float:
        return self.s


def ears_by(watch: Watch) -> Ears:
    return Ears(watch, JumpWatch(watch, watch.monotonic_s), watch.monotonic_s)


def fix_at(at: datetime) -> Position:
    return Position(UUID(int=1), to_ms(at), 60.0, 24.0, None, None, None, to_ms(at))


def test_silence_counts_from_the_last_fix_the_beginning_or_when_one_could_hear() -> None:
    """The latest of them; what lies in the future tells nothing."""
    watch = Watch()
    ears = ears_by(watch)
    watch.s = 600
    now = ears.listen()
    assert ears.heard_at(now, None, None) == NOON
    assert ears.heard_at(now, fix_at(NOON + timedelta(minutes=4)), NOON) == NOON + timedelta(minutes=4)
    assert ears.heard_at(now, fix_at(NOON), NOON + timedelta(minutes=7)) == NOON + timedelta(minutes=7)
    assert ears.heard_at(now, fix_at(NOON + timedelta(hours=2)), NOON) == NOON


def test_an_outage_between_two_looks_gives_everybody_the_whole_term_again() -> None:
    """The server was there but its stores were not: looks failed, and nobody could say who spoke."""
    watch = Watch()
    ears = ears_by(watch)
    ears.listen()
    ears.listened()
    for watch.s in (5.0, DEAF_AFTER_S, DEAF_AFTER_S + 5):  # looks that fail
        now = ears.listen()
    assert ears.heard_at(now, fix_at(NOON), NOON) == now
    ears.listened()
    watch.s += 5
    assert ears.heard_at(ears.listen(), fix_at(NOON), NOON) == now


def test_a_clock_that_was_set_tells_nobodys_silence() -> None:
    """Forward or back, counting starts anew."""
    watch = Watch()
    ears = ears_by(watch)
    for watch.set_by_s in (3600.0, -3600.0):
        now = ears.listen()
        assert ears.heard_at(now, fix_at(NOON - timedelta(hours=3)), NOON - timedelta(hours=3)) == now
