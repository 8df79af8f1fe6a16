"""When a courier arrives: the legs still to go, walked one by one, with a doubt that grows on the way.

Each leg is travel, then waiting for what is not ready, then service. The median adds up; the spread adds in quadrature
(legs err independently) and never shrinks below a floor. How wrong past estimates were, at so many minutes to go,
replaces that spread as it becomes known. Times are whole seconds from now.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import numpy as np

SPREAD_SHARE: Final = 0.30
"""One leg's P90 − P50 as a share of its median: residuals of real city trips (log standard deviation ≈ 0.2)."""
SPREAD_FLOOR_S: Final = 45
ROUND_FAR_S: Final = 300
ROUND_NEAR_S: Final = 60
NEAR_S: Final = 900
HORIZONS_S: Final = (300, 900, 1_800)
"""Minutes to go err differently near and far: 0–5, 5–15, 15–30 and more."""
ERRORS_KEPT: Final = 400
PRIOR_ERRORS: Final = 20
"""So many errors weigh as much as the spread that nothing was learned for."""
SETTLE_S: Final = 60
"""Added to both sides of an error: a factor of nearly nothing says nothing."""


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


class Spread(msgspec.Struct, frozen=True):
    """How arrivals compared with estimates, near to far: log((actual + 60 s) / (estimate + 60 s)), the latest last."""

    errors: tuple[tuple[float, ...], ...] = ((),) * (len(HORIZONS_S) + 1)

    def after(self, arrivals: Sequence[tuple[int, int]]) -> Spread:
        """Return the spread once more (estimated, actual) seconds are known."""
        kept = [list(errors) for errors in self.errors]
        for estimate_s, actual_s in arrivals:
            kept[horizon(estimate_s)].append(math.log((max(0, actual_s) + SETTLE_S) / (estimate_s + SETTLE_S)))
        return Spread(tuple(tuple(errors[-ERRORS_KEPT:]) for errors in kept))

    def quantile_s(self, estimate_s: int, prior_s: int, share: float) -> int:
        """Return within how many seconds a share of such arrivals happened, drawn to `prior_s` while few are known.

        The share of n errors that the next one keeps to is 1/n further out (Vovk et al., conformal prediction).
        """
        errors = self.errors[horizon(estimate_s)]
        prior = math.log((prior_s + SETTLE_S) / (estimate_s + SETTLE_S))
        further = 0.5 + (share - 0.5) * (1 + 2 / max(1, len(errors)))
        seen = float(np.quantile(errors, min(1.0, max(0.0, further)))) if errors else prior
        weight = len(errors) / (len(errors) + PRIOR_ERRORS)
        ratio = math.exp((1 - weight) * prior + weight * seen)
        return max(0, round((estimate_s + SETTLE_S) * ratio) - SETTLE_S)

    def corrected(self, estimate: Eta) -> Eta:
        """Return the estimate as past errors say."""
        p50_s = self.quantile_s(estimate.p50_s, estimate.p50_s, 0.5)
        p90_s = self.quantile_s(estimate.p50_s, estimate.p90_s, 0.9)
        return Eta(p50_s, max(p50_s + SPREAD_FLOOR_S, p90_s))


def horizon(seconds: int) -> int:
    """Return which of the horizons so many seconds to go are in, from 0 for the nearest."""
    return bisect_right(HORIZONS_S, seconds)


def shown_range(now: datetime, eta: Eta) -> tuple[datetime, datetime]:
    """Return the range to show people: rounded up to whole minutes when near, to five when far."""
    step_s = ROUND_NEAR_S if eta.p50_s < NEAR_S else ROUND_FAR_S
    return _round_up(now + timedelta(seconds=eta.p50_s), step_s), _round_up(now + timedelta(seconds=eta.p90_s), step_s)


def _round_up(at: datetime, step_s: int) -> datetime:
    seconds = math.ceil(at.timestamp() / step_s) * step_s
    return datetime.fromtimestamp(seconds, at.tzinfo)
