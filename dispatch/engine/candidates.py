"""Who could do what: each exclusion has a reason, and only the nearest few of the rest are priced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from uuid import UUID

import numpy as np

from dispatch.engine.problem import CANDIDATES_MAX, REACH_MAX_S, Arc, Driver, Job
from geo.travel import Seconds


class Exclusion(StrEnum):
    """Why a driver is no candidate for a job."""

    OTHER_BUSINESS = "other_business"
    WRONG_POOL = "wrong_pool"
    DECLINED_BEFORE = "declined_before"
    TOO_FAR = "too_far"
    BEYOND_NEAREST = "beyond_nearest"
    BUSY = "busy"
    STALE_POSITION = "stale_position"


def find(
    drivers: Sequence[Driver], jobs: Sequence[Job], to_pickup_s: Seconds, declined: Mapping[UUID, frozenset[UUID]]
) -> tuple[list[Arc], list[dict[str, int]]]:
    """Return the arcs to price and, per job, how many drivers were left out for what.

    `to_pickup_s` has shape (drivers, jobs); `declined` maps a job to the drivers who must not be asked again.
    """
    arcs: list[Arc] = []
    excluded: list[dict[str, int]] = []
    for j, job in enumerate(jobs):
        reasons: Counter[str] = Counter()
        kept: list[int] = []
        for d, driver in enumerate(drivers):
            reason = exclusion(driver, job, int(to_pickup_s[d, j]), declined.get(job.id, frozenset()))
            if reason is None:
                kept.append(d)
            else:
                reasons[reason.value] += 1
        if len(kept) > CANDIDATES_MAX:
            nearest = np.argsort(to_pickup_s[kept, j], kind="stable")[:CANDIDATES_MAX].tolist()
            reasons[Exclusion.BEYOND_NEAREST.value] += len(kept) - CANDIDATES_MAX
            own = [d for d in kept if drivers[d].pool == "dedicated"]
            kept = sorted({kept[i] for i in nearest} | set(own[:CANDIDATES_MAX]))
        arcs += [Arc(d, j, int(to_pickup_s[d, j])) for d in kept]
        excluded.append(dict(reasons))
    return arcs, excluded


def exclusion(driver: Driver, job: Job, to_pickup_s: int, declined: frozenset[UUID]) -> Exclusion | None:
    """Return why a driver can't do a job, or None when he can."""
    if driver.pool == "dedicated":
        if job.business_id not in driver.business_priority:
            return Exclusion.OTHER_BUSINESS
    elif not job.uses_shared_pool:
        return Exclusion.WRONG_POOL
    if driver.id in declined:
        return Exclusion.DECLINED_BEFORE
    if to_pickup_s > REACH_MAX_S:
        return Exclusion.TOO_FAR
    return None
