"""Why nobody has a delivery: a code and counts, never words; whoever shows it says it in the reader's language."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dispatch.engine.candidates import Exclusion
from dispatch.engine.explain import Explanation

PASSING = frozenset({Exclusion.BUSY.value, Exclusion.STALE_POSITION.value, Exclusion.NOT_ANSWERING.value})
"""Exclusions that say nothing about the delivery itself."""


class OpenCode(StrEnum):
    """Why a delivery waits."""

    NO_DRIVERS = "no_drivers"
    NOBODY_FREE = "nobody_free"
    OTHERS_FIRST = "others_first"
    DECLINED_OFTEN = "declined_often"
    STORE_CLOSED = "store_closed"
    NO_WAY = "no_way"
    MANUAL = "manual"
    ZONE_PAUSED = "zone_paused"


class UnassignedReason(msgspec.Struct, frozen=True):
    """A code, and what it counts: drivers by why they can't (`nobody_free`), or offers (`declined_often`)."""

    code: OpenCode
    counts: dict[str, int] = {}


def why_open(explanation: Explanation) -> UnassignedReason:
    """Return why nobody was offered this delivery."""
    counts = {reason: count for reason, count in explanation.excluded.items() if count}
    if explanation.runners_up:
        return UnassignedReason(OpenCode.OTHERS_FIRST)
    if not counts:
        return UnassignedReason(OpenCode.NO_DRIVERS)
    if counts.keys() - PASSING == {Exclusion.NO_WAY}:
        return UnassignedReason(OpenCode.NO_WAY, counts)
    return UnassignedReason(OpenCode.NOBODY_FREE, counts)
