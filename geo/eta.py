"""When a courier arrives: the legs still to go, walked one by one, with a doubt that grows on the way.

Each leg is travel, then waiting for what is not ready, then service. The median adds up; the spread adds in quadrature
(legs err independently) and never shrinks below a floor. Times are whole seconds from now.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

SPREAD_SHARE: Final = 0.30
"""One leg's P90 − P50 as a share of its median: residuals of real city trips (log standard deviation ≈ 0.2)."""
SPREAD_FLOOR_S: Final = 45
ROUND_FAR_S: Final = 300
ROUND_NEAR_S: Final = 60
NEAR_S: Final = 900


class Leg(msgspec.Struct, frozen=True):
    """One stop ahead: travel to it, the earliest second its goods are ready, and the service there."""

    travel_s: int
    ready_in_s: int = 0
    service_s: int = 0


class Eta(msgspec.Struct, frozen=True):
    """Seconds from now to the arrival at a stop: the median and the 90th percentile."""

    p50_s: int
    p90_s: int


def eta_chain(legs: Sequence[Leg]) -> list[Eta]:
    """Return the arrival at each stop of a route, in order."""
    clock_s = 0
    variance = 0.0
    etas = []
    for leg in legs:
        clock_s += leg.travel_s
        variance += (SPREAD_SHARE * leg.travel_s) ** 2
        etas.append(Eta(clock_s, clock_s + max(SPREAD_FLOOR_S, round(math.sqrt(variance)))))
        clock_s = max(clock_s, leg.ready_in_s) + leg.service_s
        variance += (SPREAD_SHARE * leg.service_s) ** 2
    return etas


def shown_range(now: datetime, eta: Eta) -> tuple[datetime, datetime]:
    """Return the range to show people: rounded up to whole minutes when near, to five when far."""
    step_s = ROUND_NEAR_S if eta.p50_s < NEAR_S else ROUND_FAR_S
    return _round_up(now + timedelta(seconds=eta.p50_s), step_s), _round_up(now + timedelta(seconds=eta.p90_s), step_s)


def _round_up(at: datetime, step_s: int) -> datetime:
    seconds = math.ceil(at.timestamp() / step_s) * step_s
    return datetime.fromtimestamp(seconds, at.tzinfo)
